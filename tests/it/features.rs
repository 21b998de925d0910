//! A build without some features answers for each of them.

use integration_tests::{Faq, Place, skip, slim_binary};

/// A place with the product built with SQLite only.
fn slim() -> Option<Place> {
    let Some(binary) = slim_binary() else {
        skip("SMART_SUPPORT_SLIM_BIN names no binary; cargo xtask test builds one");
        return None;
    };
    let mut place = Place::new();
    place.use_binary(binary);
    Some(place)
}

#[test]
fn what_is_not_built_in_is_named_with_the_build_command() {
    let Some(mut place) = slim() else { return };
    let faq = Faq::of(3);
    for name in ["faq.xlsx", "faq.csv", "faq.jsonl"] {
        place.save(name, &faq);
    }
    // (source, provider, feature)
    let cases = [
        ("faq.xlsx", "hash", "xlsx"),
        ("faq.csv", "hash", "csv"),
        ("faq.jsonl", "openai", "http-embedder"),
        ("faq.jsonl", "ollama", "http-embedder"),
        ("faq.jsonl", "local", "local-model"),
    ];
    place.set("EMBEDDING_BASE_URL", "http://127.0.0.1:9/v1");
    let before = place.files();
    for (source, provider, feature) in cases {
        place.set("EMBEDDING_PROVIDER", provider);
        let run = place
            .run(&["migrate", "--faq-path", source, "--json"])
            .expect(2);
        let run = run.prints_nothing();
        let command = format!("--features {feature}");
        run.says(&[feature, "cargo build", &command]);
        assert!(
            place.files() == before,
            "{source} with {provider} left a file"
        );
    }
    place.set("EMBEDDING_PROVIDER", "local");
    let run = place.run(&["model", "fetch"]).expect(2).prints_nothing();
    run.says(&["local-model", "cargo build"]);
}

#[test]
fn without_an_embedder_the_ways_to_get_one_are_named() {
    let Some(place) = slim() else { return };
    place.save("faq.jsonl", &Faq::of(3));
    let run = place.run(&["migrate", "--faq-path", "faq.jsonl"]).expect(2);
    run.prints_nothing().says(&[
        "no embedder is configured",
        "EMBEDDING_API_KEY",
        "EMBEDDING_PROVIDER=ollama",
        "EMBEDDING_PROVIDER=hash",
        "--features local-model",
    ]);
    assert!(!place.store().exists());
}

#[test]
fn a_slim_build_does_what_it_can() {
    let Some(mut place) = slim() else { return };
    place.set("EMBEDDING_PROVIDER", "hash");
    place.save("faq.jsonl", &Faq::with_ids(10));
    let report = place.migrate("faq.jsonl", &[]);
    assert_eq!(report["new"], 10);
    assert_eq!(place.search(&["Как оформить вклад?", "-k", "1"]), ["t1"]);
    // And the other way round: a store is a store, whoever wrote it.
    place.use_binary(integration_tests::binary());
    assert_eq!(
        place.json(&["validate", "--faq-path", "faq.jsonl"])["ok"],
        true
    );
}
