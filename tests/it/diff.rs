//! `diff`: two stores, and exactly what they do not have in common.

use integration_tests::{Faq, Place};
use rusqlite::Connection;
use serde_json::Value;

use crate::support::counts;

const A: &str = "sqlite:data/embeddings.db";
const B: &str = "sqlite:b.db";

/// Two stores of ten templates each, one a copy of the other.
fn pair() -> (Place, Faq) {
    let place = Place::hash();
    let faq = Faq::with_ids(10);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    place.json(&["copy", A, B]);
    (place, faq)
}

fn change(place: &Place, faq: &Faq) {
    place.save("faq.csv", faq);
    place.json(&[
        "sync",
        "--faq-path",
        "faq.csv",
        "--store",
        B,
        "--allow-delete",
        "100%",
    ]);
}

/// The document of a comparison that finds something.
fn different(place: &Place, flags: &[&str]) -> Value {
    let run = place.run(&[&["diff", A, B, "--json"], flags].concat());
    run.expect(4).json()
}

/// The parts in which a row differs.
fn fields(found: &Value, at: usize) -> Vec<&str> {
    let fields = found["collections"][0]["rows"][at]["fields"].as_array();
    let fields = fields.unwrap().iter();
    fields.map(|field| field.as_str().unwrap()).collect()
}

#[test]
fn equal_stores_are_equal_whatever_their_generations() {
    let (place, faq) = pair();
    let found = place.json(&["diff", A, B]);
    assert_eq!(found["equal"], true);
    counts(
        &found,
        &[("same", 10), ("different", 0), ("only_a", 0), ("only_b", 0)],
    );
    let run = place.run(&["diff", A, B]).ok();
    run.prints(&["Equal: 1 collection with 10 rows"]);
    // There and back: the counters differ, the rows do not.
    change(&place, &faq.edited(|entries| entries[0].answer.push('!')));
    change(&place, &faq);
    let before = place.files();
    assert_eq!(place.json(&["diff", B, A])["equal"], true);
    assert_eq!(place.json(&["diff", A, A])["equal"], true);
    assert!(place.files() == before, "comparing writes nothing");
}

#[test]
fn every_part_of_a_row_is_told_apart() {
    let (place, faq) = pair();
    change(
        &place,
        &faq.edited(|entries| {
            entries[0].question.push_str(" Срочно?");
            entries[1].answer.push_str(" Да.");
            entries[2].category = "Иное".to_owned();
            entries.truncate(9);
        }),
    );
    let found = different(&place, &[]);
    assert_eq!(found["equal"], false);
    counts(
        &found,
        &[("only_a", 1), ("only_b", 0), ("different", 3), ("same", 6)],
    );
    // The question is part of what is embedded; the answer is too, by the default recipe.
    let question = fields(&found, 0);
    assert!(
        question.contains(&"question") && question.contains(&"vector"),
        "{question:?}"
    );
    assert!(question.contains(&"reference"), "{question:?}");
    assert!(fields(&found, 1).contains(&"answer"));
    assert_eq!(fields(&found, 2), ["category"]);
    let lost = &found["collections"][0]["rows"][3];
    assert_eq!(lost["in"], "a", "{lost:#}");
    assert_eq!(different_sides(&place)["only_b"], 1);

    let run = place.run(&["diff", A, B]).expect(4);
    run.prints(&[
        "1 only in A, 0 only in B, 3 different, 6 the same",
        "category",
        "only in A",
    ]);
    let run = place.run(&["diff", A, B, "--limit", "1"]).expect(4);
    run.prints(&["and 3 more"]);
}

fn different_sides(place: &Place) -> Value {
    place.run(&["diff", B, A, "--json"]).expect(4).json()
}

#[test]
fn a_moved_row_differs_in_its_place_alone() {
    let (place, faq) = pair();
    change(&place, &faq.edited(|entries| entries.swap(0, 9)));
    let found = different(&place, &[]);
    counts(&found, &[("different", 2), ("same", 8)]);
    assert_eq!(fields(&found, 0), ["place"]);
}

#[test]
fn another_model_is_a_difference_and_no_error() {
    let (mut place, _) = pair();
    std::fs::remove_file(place.path("b.db")).unwrap();
    place.set("EMBEDDING_DIMENSIONS", "64");
    place.migrate("faq.csv", &["--store", B]);
    let found = different(&place, &[]);
    let fact = &found["collections"][0]["facts"][0];
    assert_eq!(fact["what"], "model");
    assert!(
        fact["b"].as_str().unwrap().contains("64 dimensions"),
        "{fact}"
    );
    // Vectors of two models have nothing to compare: the rows themselves are the same.
    counts(&found, &[("different", 0), ("same", 10)]);
    place.run(&["diff", A, B]).expect(4).prints(&["model: "]);
}

#[test]
fn a_collection_of_one_store_only_is_named() {
    let (place, _) = pair();
    place.migrate("faq.csv", &["--collection", "docs"]);
    let found = different(&place, &[]);
    let docs = &found["collections"][0];
    assert_eq!(
        (&docs["collection"], &docs["in"]),
        (&"docs".into(), &"a".into())
    );
    assert_eq!(docs["records"]["a"], 10);
    let run = place.run(&["diff", A, B]).expect(4);
    run.prints(&["docs: the collection is only in A, 10 rows"]);
    // Asked for the other one alone, there is no difference.
    place.run(&["diff", A, B, "--collection", "faq"]).ok();
    let run = place.run(&["diff", A, B, "--collection", "docs"]);
    run.expect(4).prints(&["only in A"]);
    let run = place.run(&["diff", A, B, "--collection", "none"]);
    run.expect(2).says(&["neither store has a collection none"]);
}

#[test]
fn calibrations_and_what_nobody_refers_to_are_compared_when_asked() {
    let (place, faq) = pair();
    // Vectors that no row refers to any longer are no difference to readers.
    change(&place, &faq.edited(|entries| entries[0].question.push('?')));
    change(&place, &faq);
    assert_eq!(place.json(&["diff", A, B])["equal"], true);
    let found = different(&place, &["--all-versions"]);
    let facts = found["facts"].as_array().unwrap();
    let what: Vec<_> = facts
        .iter()
        .map(|fact| fact["what"].as_str().unwrap())
        .collect();
    assert!(
        what.iter().any(|what| what.starts_with("vectors of")),
        "{what:?}"
    );
    assert!(what.contains(&"ledger"), "{what:?}");
    assert!(found["collections"][0]["equal"].as_bool().unwrap());
    // Which score is an answer is something readers do notice.
    let connection = Connection::open(place.path("b.db")).unwrap();
    connection
        .execute(
            "UPDATE collection_versions SET calibration = '{\"threshold\":0.5}'",
            (),
        )
        .unwrap();
    drop(connection);
    let found = different(&place, &[]);
    assert_eq!(found["collections"][0]["facts"][0]["what"], "calibration");
}

#[test]
fn damage_is_an_error_and_no_difference() {
    let (place, _) = pair();
    let connection = Connection::open(place.path("b.db")).unwrap();
    connection
        .execute(
            "UPDATE embedding_vectors SET embedding = zeroblob(4 * dimensions) WHERE vector_id = 3",
            (),
        )
        .unwrap();
    drop(connection);
    let run = place.run(&["diff", A, B, "--json"]).expect(1);
    run.prints_nothing().says(&["smart-support repair"]);
}
