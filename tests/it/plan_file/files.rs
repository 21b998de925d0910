//! Files that are no plan, no longer one, or the plan of something else; and names that no plan is written to.

use integration_tests::{Backend, Faq, rows};

use super::{APPLY, PLAN, edited, refused, stale};
use crate::support::api;

#[test]
fn a_plan_of_another_store_is_refused() {
    let api = api();
    let place = edited(Backend::Sqlite, &api);
    place.json(&PLAN);
    let faq = Faq::with_ids(20);
    let store = ["--store", "sqlite:data/other.db"];
    std::fs::copy(place.path("faq.csv"), place.path("kept.csv")).unwrap();
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &store);
    std::fs::rename(place.path("kept.csv"), place.path("faq.csv")).unwrap();
    let before = rows(&place.path("data/other.db"), "faq");
    let run = place.run(&[&APPLY[..], &store].concat()).expect(6);
    let _ = run.says(&["made for another store", "other.db"]);
    assert_eq!(rows(&place.path("data/other.db"), "faq"), before);
    // The same file name is not the same store.
    std::fs::remove_dir_all(place.path("data")).unwrap();
    stale(&place, &api, &["there is no store at"]);
    place.save("old/faq.csv", &faq);
    place.migrate("old/faq.csv", &[]);
    stale(&place, &api, &["made for another store"]);
}

#[test]
fn an_edited_plan_is_refused() {
    let api = api();
    let place = edited(Backend::Sqlite, &api);
    place.json(&PLAN);
    let whole = std::fs::read_to_string(place.path("plan.json")).unwrap();
    for (was, is) in [
        ("\"t3\"", "\"t4\""),
        ("\"sync\"", "\"migrate\""),
        ("\"allow_delete\": null", "\"allow_delete\": \"100%\""),
        ("\"digest\": \"", "\"digest\": \"0"),
        ("\n}\n", "\n}\n "),
        ("{\n", "{ \n"),
    ] {
        let edited = whole.replacen(was, is, 1);
        assert_ne!(edited, whole, "{was}");
        place.write("plan.json", &edited);
        let run = place.run(&APPLY).prints_nothing();
        assert!([2, 6].contains(&run.code), "{was}: {}", run.stderr);
        let _ = run.says(&["plan.json", "make a new one"]);
    }
    place.write("plan.json", whole.replace("t5", "t9"));
    let _ = refused(&place, &api, &["edited or damaged", "digest", "--plan-out"]);
    place.write("plan.json", whole);
    place.json(&APPLY);
}

#[test]
fn what_is_no_plan_is_told_so() {
    let api = api();
    let place = edited(Backend::Sqlite, &api);
    place.json(&PLAN);
    let whole = std::fs::read(place.path("plan.json")).unwrap();
    let cut = whole[..whole.len() / 2].to_vec();
    let deep = "[".repeat(100_000);
    let other = br#"{"schema": 1, "mode": "dry-run"}"#.to_vec();
    for bytes in [
        Vec::new(),
        cut,
        b"\xff\xfe".to_vec(),
        deep.into_bytes(),
        other,
        b"null".to_vec(),
    ] {
        place.write("plan.json", bytes);
        let _ = place
            .run(&APPLY)
            .expect(2)
            .prints_nothing()
            .says(&["plan.json"]);
    }
    let newer = String::from_utf8(whole)
        .unwrap()
        .replacen("\"schema\": 1", "\"schema\": 2", 1);
    place.write("plan.json", newer);
    let _ = refused(
        &place,
        &api,
        &["schema 2, this build reads 1", "make a new one"],
    );
    std::fs::remove_file(place.path("plan.json")).unwrap();
    let _ = place
        .run(&APPLY)
        .expect(2)
        .says(&["plan.json cannot be read"]);
    std::fs::create_dir(place.path("plan.json")).unwrap();
    let _ = place
        .run(&APPLY)
        .expect(2)
        .says(&["plan.json cannot be read"]);
}

#[test]
fn a_plan_is_never_written_over_something_else() {
    let api = api();
    let place = edited(Backend::Sqlite, &api);
    let source = std::fs::read(place.path("faq.csv")).unwrap();
    let store = std::fs::read(place.store()).unwrap();
    for target in ["faq.csv", "data/embeddings.db", "data"] {
        let args = ["sync", "--faq-path", "faq.csv", "--plan-out", target];
        let _ = place.run(&args).expect(2).says(&[target, "is no plan"]);
    }
    assert_eq!(std::fs::read(place.path("faq.csv")).unwrap(), source);
    assert_eq!(std::fs::read(place.store()).unwrap(), store);
    // An older plan makes way.
    place.json(&PLAN);
    place.json(&PLAN);
    place.json(&APPLY);
}

#[test]
fn a_plan_that_could_never_be_applied_is_not_made() {
    let api = api();
    let place = edited(Backend::Sqlite, &api);
    let memory = [&PLAN[..], &["--store", "sqlite::memory:"]].concat();
    let _ = place
        .run(&memory)
        .expect(2)
        .says(&["in memory", "--store sqlite:PATH"]);
    let piped = ["sync", "--faq-path", "-", "--plan-out", "plan.json"];
    let _ = place.run(&piped).expect(2).says(&["read again"]);
    // What the run would be refused for, the plan is refused for.
    place.save("faq.csv", &Faq::with_ids(5));
    let _ = place.run(&PLAN).expect(6).says(&["--allow-delete"]);
    assert!(!place.path("plan.json").exists());
    let checks = ["migrate", "--validate", "--plan-out", "plan.json"];
    let _ = place.run(&checks).expect(2);
}
