//! Search in the database, its index, and rows that somebody wrote by SQL, with the real binary.

use integration_tests::Place;
use integration_tests::postgres::TestDatabase;
use serde_json::Value;

/// Entries of two categories, enough for an index to have something to leave out.
const ENTRIES: usize = 120;

fn filled(database: &TestDatabase) -> Place {
    let mut place = Place::hash();
    place.set("DATABASE_URL", database.url());
    place.set("STORAGE_BACKEND", "postgres");
    let lines: String = (0..ENTRIES)
        .map(|n| {
            let category = if n % 5 == 0 { "Cards" } else { "Loans" };
            format!(
                "{{\"id\": \"e{n:03}\", \"question\": \"Question number {n} of {category}?\", \
                 \"answer\": \"Answer {n}.\", \"category\": \"{category}\", \"n\": {n}}}\n"
            )
        })
        .collect();
    place.write("faq.jsonl", lines);
    place.migrate("faq.jsonl", &[]);
    place
}

/// Ids and scores.
fn hits(found: &Value) -> Vec<(String, String)> {
    let hits = found["hits"].as_array().unwrap().iter();
    hits.map(|hit| (hit["id"].to_string(), hit["score"].to_string()))
        .collect()
}

#[test]
fn database_and_memory_give_the_same_entries_and_scores() {
    let Some(database) = TestDatabase::create() else {
        return;
    };
    let mut place = filled(&database);
    for filters in [
        &[][..],
        &["--category", "cards"],
        &["--filter", "n>=100"],
        &["--contains", "NUMBER 7"],
        &["--document", "e011"],
    ] {
        let ask = |place_to_search: &str| {
            let mut args = vec!["search", "number 17", "-k", "7"];
            args.extend_from_slice(filters);
            args.extend(["--search-in", place_to_search]);
            place.json(&args)
        };
        let (inside, outside) = (ask("database"), ask("memory"));
        assert_eq!(hits(&inside), hits(&outside), "{filters:?}");
        assert!(!hits(&inside).is_empty(), "{filters:?}");
        assert_eq!(inside["mode"], "database");
        assert_eq!(outside["mode"], "exact");
        assert_eq!(ask("hybrid")["disagreements"], 0);
    }
    // The variables of other programs.
    place.set("PRODUCT_SEARCH_STRATEGY", "pgvector_primary");
    let found = place.run(&["search", "number 17", "-k", "4", "--threshold", "0.1"]);
    let line = "[INFO] pgvector search found 4 entries (similarity >= 0.1)";
    assert!(found.stderr.contains(line), "{}", found.stderr);
    place.set("USE_PGVECTOR", "false");
    assert_eq!(place.json(&["search", "number 17"])["mode"], "exact");
    let asked = place.json(&["search", "number 17", "--search-in", "database"]);
    assert_eq!(
        asked["mode"], "database",
        "a flag beats what was left behind"
    );
}

#[test]
fn an_index_is_built_once_tuned_and_dropped() {
    let Some(database) = TestDatabase::create() else {
        return;
    };
    let place = filled(&database);
    let early = place.run(&["index", "tune"]);
    assert_eq!(early.code, 6, "{}", early.stderr);
    assert!(early.stderr.contains("smart-support index build"));
    let built = place.json(&["index", "build"]);
    let name = built["built"][0].clone();
    assert!(name.is_string(), "{built}");
    assert_eq!(
        place.json(&["index", "build"])["built"],
        serde_json::json!([])
    );
    let status = place.json(&["index", "status"]);
    assert_eq!(status["indexes"][0]["name"], name);
    assert_eq!(status["indexes"][0]["valid"], true);
    assert_eq!(status["vectors"], ENTRIES);
    let tuned = place.json(&["index", "tune", "--samples", "10", "--filter", "n<50"]);
    assert_eq!(
        (&tuned["reached"], &tuned["kept"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
    let tried = tuned["tried"].as_array().unwrap().last().unwrap();
    let filters = tried["filters"].as_array().unwrap();
    // None, two categories, the one that was named, and two shares.
    assert_eq!(filters.len(), 6, "{tried}");
    let status = place.json(&["index", "status"]);
    assert_eq!(
        status["indexes"][0]["effort"]["ef_search"],
        tried["ef_search"]
    );
    let wrong = place.run(&["index", "build", "--m", "40", "--ef-construction", "60"]);
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    let dropped = place.json(&["index", "drop"]);
    assert_eq!(dropped["dropped"][0], name);
    assert_eq!(dropped["indexes"], serde_json::json!([]));
}

#[test]
fn a_store_that_cannot_search_by_itself_says_so() {
    let mut place = Place::hash();
    place.write(
        "faq.jsonl",
        "{\"id\": \"a\", \"question\": \"Q?\", \"answer\": \"A.\"}\n",
    );
    place.migrate("faq.jsonl", &[]);
    let refused = place.run(&["search", "q", "--search-in", "database"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("leave --search-in out"),
        "{}",
        refused.stderr
    );
    let refused = place.run(&["index", "status"]);
    assert_eq!(refused.code, 2);
    place.set("PRODUCT_SEARCH_STRATEGY", "hybrid");
    let refused = place.run(&["search", "q"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("PRODUCT_SEARCH_STRATEGY"),
        "{}",
        refused.stderr
    );
    assert_eq!(place.run(&["search", "q", "--search-in", "memory"]).code, 0);
}

#[test]
fn a_sync_leaves_rows_alone_that_somebody_wrote_by_sql() {
    let Some(database) = TestDatabase::create() else {
        return;
    };
    let place = filled(&database);
    let client = database.client();
    client.run(
        "SELECT upsert_embedding('mine', 'By hand', '{\"category\": \"Cards\"}', \
         (SELECT embedding FROM embeddings WHERE id = 'e007'))",
    );
    let found = place.json(&["search", "number 7", "-k", "200"]);
    assert!(hits(&found).iter().any(|(id, _)| id == "\"mine\""));
    assert_eq!(
        place.run(&["validate"]).code,
        4,
        "a row without a hash is a finding"
    );
    // The source changes, and loses entries.
    place.write(
        "faq.jsonl",
        "{\"id\": \"e000\", \"question\": \"Another?\", \"answer\": \"A.\", \"category\": \"Cards\"}\n",
    );
    let synced = place.run(&["sync", "--faq-path", "faq.jsonl", "--allow-delete", "100%"]);
    assert_eq!(synced.code, 0, "{}", synced.stderr);
    assert_eq!(place.run(&["validate"]).code, 0);
    let left =
        client.scalar("SELECT string_agg(id, ' ' ORDER BY id) FROM embeddings WHERE adopted");
    assert_eq!(left, "e000 mine");
}
