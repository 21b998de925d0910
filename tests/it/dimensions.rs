//! `--dimensions`: shorter vectors where the provider can, and a refusal that says so where it cannot.

use integration_tests::{Faq, Place, Shortening, StubApi, rows, scalar};
use serde_json::Value;

use crate::support::{DIMENSIONS, api, counts};

const MIGRATE: [&str; 3] = ["migrate", "--faq-path", "faq.csv"];

/// A stub that shortens vectors in this way, and a place with twenty entries.
fn place(shortening: Shortening) -> (StubApi, Place) {
    let api = api();
    api.shorten(shortening);
    let place = Place::stub(&api);
    place.save("faq.csv", &Faq::with_ids(20));
    (api, place)
}

fn of_ollama(place: &mut Place, api: &StubApi) {
    place.set("EMBEDDING_PROVIDER", "ollama");
    place.set("EMBEDDING_BASE_URL", api.url());
}

/// What every call asked for.
fn asked(api: &StubApi) -> Vec<Value> {
    let bodies = api.ledger().into_iter();
    bodies
        .map(|request| serde_json::from_str::<Value>(&request.body).unwrap()["dimensions"].clone())
        .collect()
}

/// No vector of any width is stored, and no row.
fn nothing_is_stored(place: &Place) {
    if place.store().exists() {
        for table in ["embedding_vectors", "embedding_records"] {
            let count = format!("SELECT count(*) FROM {table}");
            assert_eq!(scalar(&place.store(), &count), 0, "rows in {table}");
        }
    }
}

#[test]
fn a_provider_that_shortens_its_vectors_is_asked_to() {
    for ollama in [false, true] {
        let (api, mut place) = place(Shortening::Honoured);
        if ollama {
            of_ollama(&mut place, &api);
        }
        let report = place.migrate("faq.csv", &["--dimensions", "16"]);
        counts(&report, &[("embedded", 20)]);
        assert_eq!(report["model"]["dimensions"], 16);
        assert!(
            asked(&api).iter().all(|asked| *asked == 16),
            "{:?}",
            asked(&api)
        );
        let other = "SELECT count(*) FROM embedding_vectors WHERE length(embedding) <> 4 * 16";
        assert_eq!(scalar(&place.store(), other), 0);

        // By variable and by file too; a question is asked with the same number.
        place.set("EMBEDDING_DIMENSIONS", "16");
        let question = Faq::with_ids(20).0[3].text();
        assert_eq!(place.search(&[&question, "-k", "1"]), ["t3"]);
        place.unset("EMBEDDING_DIMENSIONS");
        place.write("smart-support.toml", "[embedding]\ndimensions = 16\n");
        assert_eq!(place.search(&[&question, "-k", "1"]), ["t3"]);
        let report = place.migrate("faq.csv", &[]);
        counts(&report, &[("unchanged", 20), ("requests", 0)]);
        assert_eq!(place.json(&["validate"])["ok"], true);
        assert!(asked(&api).iter().all(|asked| *asked == 16));
    }
}

#[test]
fn config_show_tells_where_the_number_comes_from() {
    let (_api, mut place) = place(Shortening::Honoured);
    let shown = |place: &Place, more: &[&str]| {
        let document = place.json(&[&["config", "show", "--origin"], more].concat());
        let settings = document["settings"].as_array().unwrap().clone();
        let found = settings
            .iter()
            .find(|row| row["key"] == "embedding.dimensions");
        let row = found.unwrap();
        (row["value"].clone(), row["origin"].clone())
    };
    assert_eq!(shown(&place, &[]), (Value::Null, Value::Null));
    place.write("smart-support.toml", "[embedding]\ndimensions = 8\n");
    assert_eq!(shown(&place, &[]).0, "8");
    place.set("EMBEDDING_DIMENSIONS", "16");
    assert_eq!(
        shown(&place, &[]),
        ("16".into(), "environment EMBEDDING_DIMENSIONS".into())
    );
    assert_eq!(
        shown(&place, &["--dimensions", "32"]),
        ("32".into(), "flag".into())
    );
}

#[test]
fn a_provider_that_ignores_the_number_is_refused_and_nothing_is_kept() {
    for ollama in [false, true] {
        let (api, mut place) = place(Shortening::Ignored);
        if ollama {
            of_ollama(&mut place, &api);
        }
        let args = [&MIGRATE[..], &["--dimensions", "16", "--concurrency", "1"]].concat();
        let run = place.run(&args).expect(6).prints_nothing();
        let _ = run.says(&[
            "expected 16, the provider gave 64",
            "leave --dimensions (EMBEDDING_DIMENSIONS) out",
        ]);
        assert_eq!(api.requests(), 1, "one answer says it all");
        nothing_is_stored(&place);
        // The remedy works.
        let report = place.migrate("faq.csv", &[]);
        counts(&report, &[("embedded", 20)]);
        assert_eq!(report["model"]["dimensions"], DIMENSIONS);
    }
}

#[test]
fn a_provider_that_refuses_the_field_ends_the_run_at_its_first_call() {
    for words in [
        "This model does not support specifying dimensions.",
        "Model \"m\" does not support matryoshka representation",
        "body.dimensions: extra inputs are not permitted",
    ] {
        let (api, place) = place(Shortening::Refused(words));
        let args = [&MIGRATE[..], &["--dimensions", "16", "--concurrency", "1"]].concat();
        let run = place.run(&args).expect(2).prints_nothing();
        let _ = run.says(&["16", "stub-model", "leave --dimensions"]);
        assert_eq!(
            api.requests(),
            1,
            "no text is sent again to be found guilty"
        );
        nothing_is_stored(&place);
    }
    // More numbers than the model has.
    let (api, place) = place(Shortening::Honoured);
    let args = [
        &MIGRATE[..],
        &["--dimensions", "65536", "--concurrency", "1"],
    ]
    .concat();
    let _ = place.run(&args).expect(2).says(&["65536", "name a number"]);
    assert_eq!(api.requests(), 1);
    nothing_is_stored(&place);
}

#[test]
fn a_field_that_is_refused_without_a_name_is_at_least_suspected() {
    let (_api, place) = place(Shortening::Refused("unknown field"));
    let args = [&MIGRATE[..], &["--dimensions", "16"]].concat();
    let run = place.run(&args).expect(3);
    assert!(run.stdout.contains("leave --dimensions"), "{}", run.stdout);
    nothing_is_stored(&place);
}

#[test]
fn encoded_vectors_are_refused_whatever_their_number() {
    for dimensions in [None, Some("16")] {
        let (api, place) = place(Shortening::Honoured);
        api.encode();
        let width = dimensions.iter().flat_map(|width| ["--dimensions", width]);
        let width: Vec<&str> = width.collect();
        let args = [&MIGRATE[..], &["--concurrency", "1"], &width].concat();
        let run = place.run(&args).expect(2).prints_nothing();
        let _ = run.says(&["base64", "EMBEDDING_BASE_URL"]);
        assert_eq!(api.requests(), 1);
        nothing_is_stored(&place);
    }
}

#[test]
fn numbers_that_no_vector_has_are_refused_before_anything_happens() {
    let (api, mut place) = place(Shortening::Honoured);
    for wrong in [
        "0",
        "-5",
        "65537",
        "99999999999999999999",
        "many",
        "1.5",
        "",
    ] {
        let run = place.run(&[&MIGRATE[..], &["--dimensions", wrong]].concat());
        let _ = run
            .expect(2)
            .says(&["a number from 1 to 65536", "embedding.dimensions"]);
    }
    place.set("EMBEDDING_DIMENSIONS", "0");
    let _ = place
        .run(&MIGRATE)
        .expect(2)
        .says(&["environment EMBEDDING_DIMENSIONS"]);
    assert_eq!(api.requests(), 0);
    assert!(!place.store().exists());
}

#[test]
fn another_number_than_the_stores_is_refused_with_the_number_to_set() {
    let (api, place) = place(Shortening::Honoured);
    place.migrate("faq.csv", &["--dimensions", "16"]);
    let faq = Faq::with_ids(20);
    let edited = faq.edited(|entries| entries[0].answer.push_str(" Это бесплатно."));
    place.save("faq.csv", &edited);
    let before = (rows(&place.store(), "faq"), api.requests());
    // A number that is known to be another one costs nothing.
    let other = ["sync", "--faq-path", "faq.csv", "--dimensions", "32"];
    let _ = place
        .run(&other)
        .expect(6)
        .says(&["16", "32", "EMBEDDING_DIMENSIONS"]);
    assert_eq!(api.requests(), before.1);
    // The model's own number shows with its first answer.
    let own = ["sync", "--faq-path", "faq.csv"];
    let _ = place
        .run(&own)
        .expect(6)
        .says(&["has 16", "gives 64", "--dimensions 16"]);
    let _ = place
        .run(&["search", "карта"])
        .expect(6)
        .says(&["16", "64", "--dimensions 16"]);
    assert_eq!(rows(&place.store(), "faq"), before.0);
    let report = place.json(&[&own[..], &["--dimensions", "16"]].concat());
    counts(&report, &[("modified", 1), ("embedded", 1)]);
}

#[test]
fn what_runs_in_process_has_its_own_number() {
    let mut place = Place::hash();
    place.save("faq.csv", &Faq::with_ids(20));
    let report = place.migrate("faq.csv", &["--dimensions", "32"]);
    assert_eq!(report["model"]["dimensions"], 32);
    let other = ["sync", "--faq-path", "faq.csv"];
    let _ = place.run(&other).expect(6).says(&["32", "1024"]);

    place.set("EMBEDDING_PROVIDER", "local");
    let args = [
        &MIGRATE[..],
        &[
            "--dimensions",
            "100",
            "--offline",
            "--store",
            "sqlite:other.db",
        ],
    ];
    let run = place.run(&args.concat()).expect(2);
    let _ = run.says(&["cannot give 100", "leave --dimensions"]);
    assert!(!place.path("other.db").exists());
}

#[test]
fn two_widths_of_one_model_stand_side_by_side_and_each_is_asked_for_when_it_serves() {
    let (api, place) = place(Shortening::Honoured);
    let faq = Faq::with_ids(20);
    let question = faq.0[3].text();
    place.migrate("faq.csv", &[]);
    let built = place.json(&["model", "build", "--dimensions", "16"]);
    assert_eq!(built["model"]["dimensions"], 16);
    counts(&built, &[("embedded", 20)]);
    let version = built["version"].as_str().unwrap();
    // What serves is 64 wide, whatever the settings say of the other one.
    for more in [&[][..], &["--dimensions", "16"]] {
        let found = place.search(&[&[&*question, "-k", "1"], more].concat());
        assert_eq!(found, ["t3"], "{more:?}");
        assert_eq!(asked(&api).pop().unwrap(), 64);
    }
    place.json(&["model", "promote", version]);
    let found = place.search(&[&question, "-k", "1"]);
    assert_eq!(found, ["t3"]);
    assert_eq!(asked(&api).pop().unwrap(), 16);
    let edited = faq.edited(|entries| entries[0].answer.push('!'));
    place.save("faq.csv", &edited);
    let report = place.json(&["sync", "--faq-path", "faq.csv"]);
    counts(&report, &[("modified", 1), ("embedded", 1)]);
    assert_eq!(report["model"]["dimensions"], 16);
    assert_eq!(place.json(&["validate"])["ok"], true);
}
