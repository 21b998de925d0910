//! `similar`: the neighbours of a stored entry, without an embedder.

use integration_tests::{Backend, Faq, Place, on_every_store};
use serde_json::Value;

fn filled(backend: Backend) -> Place {
    let mut place = backend.hash();
    place.save("faq.csv", &Faq::with_ids(40));
    place.migrate("faq.csv", &[]);
    // Whoever asks for neighbours needs no model.
    place.unset("EMBEDDING_PROVIDER");
    place.unset("EMBEDDING_API_KEY");
    place.set("EMBEDDING_PROVIDER", "openai");
    place
}

fn ids(found: &Value) -> Vec<&str> {
    let hits = found["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["id"].as_str().unwrap()).collect()
}

fn the_nearest_entries_are_found_and_the_entry_itself_is_not(backend: Backend) {
    let place = filled(backend);
    let found = place.json(&["similar", "t3", "-k", "5"]);
    let near = ids(&found);
    assert_eq!(near.len(), 5);
    assert!(!near.contains(&"t3"));
    // The entry about the same thing, and the one after it, in the order of their scores.
    let scores: Vec<f64> = found["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["score"].as_f64().unwrap())
        .collect();
    assert!(
        scores.is_sorted_by(|left, right| left >= right),
        "{scores:?}"
    );
    assert_eq!(found["mode"], "exact");
    assert_eq!(found["ms"]["embed"], 0.0);
    // Neighbours are neighbours of each other.
    let back = place.json(&["similar", near[0], "-k", "39"]);
    let score = |found: &Value, id: &str| {
        let hits = found["hits"].as_array().unwrap();
        let hit = hits.iter().find(|hit| hit["id"] == id).unwrap();
        hit["score"].as_f64().unwrap()
    };
    assert!((score(&back, "t3") - score(&found, near[0])).abs() < 1e-6);
    assert_eq!(ids(&back).len(), 39);
    assert_eq!(
        ids(&place.json(&["similar", "t3", "--threshold", "0.9999"])),
        [""; 0]
    );
    let some = place.json(&["similar", "t3", "--category", "Карты", "-k", "40"]);
    assert!(
        some["hits"]
            .as_array()
            .unwrap()
            .iter()
            .all(|hit| hit["category"] == "Карты")
    );
    let high = place.json(&["similar", "t3", "--filter", "Приоритет=высокий", "-k", "40"]);
    assert!(!ids(&high).is_empty() && ids(&high).len() < 39);
}

fn an_entry_that_is_not_there_is_not_guessed(backend: Backend) {
    let place = filled(backend);
    place
        .run(&["similar", "t333"])
        .expect(2)
        .says(&["no entry \"t333\"", "did you mean"]);
    place
        .run(&["similar", "t3", "--chunk", "2"])
        .expect(2)
        .says(&["has no text 2", "there are 0"]);
    place
        .run(&["similar", "t3", "--collection", "other"])
        .expect(2)
        .says(&["no entry \"t3\" in collection other", "no entries yet"]);
    place
        .run(&["similar", "t3", "-k", "0"])
        .expect(2)
        .says(&["from 1 to 1000"]);
}

on_every_store! {
    the_nearest_entries_are_found_and_the_entry_itself_is_not,
    an_entry_that_is_not_there_is_not_guessed,
}

#[test]
fn the_database_finds_the_same_neighbours() {
    if !Backend::Postgres.is_there() {
        return;
    }
    let place = filled(Backend::Postgres);
    let outside = place.json(&["similar", "t3", "-k", "7"]);
    let inside = place.json(&["similar", "t3", "-k", "7", "--search-in", "database"]);
    assert_eq!(outside["hits"], inside["hits"]);
    assert_eq!(inside["mode"], "database");
    let both = place.json(&["similar", "t3", "-k", "7", "--search-in", "hybrid"]);
    assert_eq!(both["disagreements"], 0);
}

#[test]
fn a_file_cannot_be_searched_as_a_database() {
    let place = filled(Backend::Sqlite);
    let run = place
        .run(&["similar", "t3", "--search-in", "database"])
        .expect(2);
    run.says(&["only PostgreSQL can"]);
}
