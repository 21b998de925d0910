//! Vectors of two models are never mixed.

use std::time::Duration;

use integration_tests::{Backend, Entry, Faq, Place, StubApi, on_every_store};

use crate::support::{api, counts};

fn filled(backend: Backend, api: &StubApi) -> (Place, Faq) {
    let place = backend.stub(api);
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let edited = faq.edited(|entries| entries[0].answer.push_str(" Это бесплатно."));
    place.save("faq.csv", &edited);
    (place, edited)
}

fn another_model_is_refused_with_the_remedy(backend: Backend) {
    let api = api();
    let (mut place, faq) = filled(backend, &api);
    let before = (place.data(), api.requests());
    place.set("EMBEDDING_MODEL_NAME", "another-model");
    for args in [
        &["sync", "--faq-path", "faq.csv"][..],
        &["migrate", "--faq-path", "faq.csv"],
        &["migrate", "--faq-path", "faq.csv", "--dry-run"],
        &["search", "карта"],
        &["eval", "golden.jsonl"],
    ] {
        place.write("golden.jsonl", r#"{"query": "карта", "gold": ["t0"]}"#);
        let run = place.run(args).expect(6).prints_nothing();
        run.says(&[
            "stub-model",
            "another-model",
            "EMBEDDING_MODEL_NAME",
            "--force-recompute",
        ]);
    }
    assert!(place.data() == before.0);
    assert_eq!(api.requests(), before.1, "a refusal costs nothing");

    // The remedy works.
    let report = place.migrate("faq.csv", &["--force-recompute"]);
    counts(&report, &[("embedded", 20)]);
    assert_eq!(report["model"]["name"], "another-model");
    assert_eq!(place.search(&[&faq.0[3].text(), "-k", "1"]), ["t3"]);
}

fn another_provider_is_refused_on_a_store_that_has_one(backend: Backend) {
    let api = api();
    let (mut place, _) = filled(backend, &api);
    place.set("EMBEDDING_PROVIDER", "hash");
    let before = place.data();
    for args in [&["sync", "--faq-path", "faq.csv"][..], &["search", "карта"]] {
        place
            .run(args)
            .expect(6)
            .prints_nothing()
            .says(&["stub-model", "hash"]);
    }
    assert!(place.data() == before);
}

fn the_same_name_with_other_dimensions_is_refused(backend: Backend) {
    let api = api();
    let (mut place, _) = filled(backend, &api);
    let before = place.rows("faq");
    let other = StubApi::start(32, Duration::ZERO);
    place.use_stub(&other);
    let run = place
        .run(&["sync", "--faq-path", "faq.csv"])
        .expect(6)
        .prints_nothing();
    run.says(&["dimension", "64", "32", "--force-recompute"]);
    assert_eq!(place.rows("faq"), before);
    let length = match backend {
        Backend::Sqlite => "length(embedding) / 4",
        Backend::Postgres => "vector_dims(embedding)",
    };
    let stored = place.scalar(&format!(
        "SELECT count(*) FROM embedding_vectors WHERE {length} <> 64"
    ));
    assert_eq!(stored, 0);
    let run = place.run(&["search", "карта"]).expect(6).prints_nothing();
    run.says(&["64", "32"]);
}

fn another_recipe_is_refused_with_the_remedy(backend: Backend) {
    let api = api();
    let (place, _) = filled(backend, &api);
    let before = place.data();
    let args = [
        "sync",
        "--faq-path",
        "faq.csv",
        "--embed-text",
        "{question}",
    ];
    let run = place.run(&args).expect(6).prints_nothing();
    run.says(&["{question}", "--force-recompute"]);
    assert!(place.data() == before);
    let report = place.migrate(
        "faq.csv",
        &["--embed-text", "{question}", "--force-recompute"],
    );
    counts(&report, &[("embedded", 20)]);
    let question = Entry::number(19).question;
    assert!(
        api.billed().contains(&question),
        "the question alone was not sent"
    );
}

fn no_embedder_is_chosen_in_silence_when_a_key_is_set(backend: Backend) {
    let api = api();
    let mut place = backend.stub(&api);
    place.unset("EMBEDDING_PROVIDER");
    place.save("faq.csv", &Faq::of(3));
    let report = place.migrate("faq.csv", &[]);
    assert_eq!(report["model"]["provider"], "openai");
}

on_every_store! {
    another_model_is_refused_with_the_remedy,
    another_provider_is_refused_on_a_store_that_has_one,
    the_same_name_with_other_dimensions_is_refused,
    another_recipe_is_refused_with_the_remedy,
    no_embedder_is_chosen_in_silence_when_a_key_is_set,
}
