//! Stores of every schema that a build ever left: what today's build makes of them, and of one that is newer than it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use integration_tests::history::{self, DIMENSIONS, Left};
use integration_tests::{Faq, Place, Snapshot, StoredTexts, StubApi, open, rows, scalar, seed};
use rusqlite::Connection;

const LATEST: &str = "SELECT max(version) FROM schema_migrations";

/// Every file but the one that only says who writes.
fn files(place: &Place) -> Snapshot {
    let mut files = place.files();
    files.retain(|path, _| path.extension().is_none_or(|end| end != "lock"));
    files
}

/// The rows of all collections, with the checksums of the vectors that are served.
fn contents(place: &Place, left: &Left) -> Vec<StoredTexts> {
    let names = left.collections.keys();
    names.map(|name| rows(&place.store(), name)).collect()
}

/// The store answers, counts and syncs as the build that left it said.
fn is_as_it_was(place: &Place, api: &StubApi, left: &Left) {
    place.run(&["validate"]).ok();
    let status = place.json(&["status"]);
    let listed = status["collections"].as_array().unwrap();
    assert_eq!(listed.len(), left.collections.len());
    for (name, collection) in &left.collections {
        let found = listed.iter().find(|found| found["name"] == **name).unwrap();
        for (key, value) in collection.status.as_object().unwrap() {
            assert_eq!(found[key], *value, "{key} of {name}");
        }
        for answer in &collection.answers {
            let hits = history::search(place, name, &answer.vector);
            assert_eq!(hits, answer.hits, "an answer of {name}");
        }
        let before = api.requests();
        let source = ["--faq-path", &*collection.source, "--collection", name];
        let synced = place.json(&[&["sync"], &source[..]].concat());
        let counts = [
            "new",
            "modified",
            "relabelled",
            "deleted",
            "embedded",
            "requests",
        ];
        for count in counts {
            assert_eq!(synced[count], 0, "{count} of {name}");
        }
        assert_eq!(api.requests(), before, "an unchanged source was paid for");
        place.run(&[&["validate"], &source[..]].concat()).ok();
    }
}

#[test]
fn a_store_of_every_schema_is_upgraded_and_answers_as_it_did() {
    let latest = {
        let place = Place::hash();
        place.run(&["schema", "migrate"]).ok();
        scalar(&place.store(), LATEST)
    };
    let stores = history::stores();
    assert_eq!(stores.len() as i64, latest, "a schema left no store behind");
    for (path, left) in &stores {
        let api = history::api();
        let place = history::place(&api, path, left);
        let schema = scalar(&place.store(), LATEST);
        let before = contents(&place, left);
        if schema < latest {
            for args in [
                &["sync", "--faq-path", "faq.csv"][..],
                &["search", "карта"],
                &["model", "list"],
                &["model", "rollback"],
            ] {
                let untouched = files(&place);
                let refused = place.run(args).expect(6);
                refused.prints_nothing().says(&["schema migrate"]);
                assert!(files(&place) == untouched, "{args:?} changed a file");
            }
            let pending = place.json(&["schema", "status"]);
            assert_eq!(pending["current"], schema);
        }
        place.run(&["schema", "migrate"]).ok();
        assert_eq!(scalar(&place.store(), LATEST), latest);
        assert_eq!(scalar(&place.store(), "PRAGMA user_version"), latest);
        assert_eq!(contents(&place, left), before, "{}", path.display());
        is_as_it_was(&place, &api, left);
        for (name, collection) in &left.collections {
            let versions = history::listed_versions(&place, name);
            assert_eq!(versions, collection.versions, "versions of {name}");
            let list = place.json(&["model", "list", "--collection", name]);
            let listed = list["versions"].as_array().unwrap();
            let active = listed.iter().find(|version| version["state"] == "active");
            assert_eq!(active.unwrap()["embed_text"], *collection.embed_text);
        }
        assert_eq!(api.requests(), 0, "an upgrade costs nothing");
    }
}

/// A version that stood beside the served one under an older schema is still what a rollback serves; what it has not
/// seen is all that is paid for.
#[test]
fn an_upgraded_store_rolls_back_to_the_version_it_had_before() {
    for (path, left) in &history::stores() {
        let api = history::api();
        let place = history::place(&api, path, left);
        place.run(&["schema", "migrate"]).ok();
        let [records, known, ..] = left.collections["faq"].versions[..] else {
            panic!("the collection has a version to go back to");
        };
        place.run(&["model", "rollback"]).ok();
        assert_eq!(api.billed().len() as u64, records - known);
        assert_eq!(
            history::listed_versions(&place, "faq")[..2],
            [records, records]
        );
        place.run(&["validate", "--faq-path", "faq.csv"]).ok();
        place.run(&["model", "rollback"]).ok();
        assert_eq!(api.billed().len() as u64, records - known);
        is_as_it_was(&place, &api, left);
    }
}

#[test]
fn an_upgraded_store_is_copied_restored_and_repaired_like_any_other() {
    for (path, left) in &history::stores() {
        let api = history::api();
        let place = history::place(&api, path, left);
        place.run(&["schema", "migrate"]).ok();
        let before = contents(&place, left);
        place.run(&["backup", "copy.db"]).ok();
        place.run(&["repair"]).ok();
        assert_eq!(contents(&place, left), before);
        let connection = Connection::open(place.store()).unwrap();
        let damage = "UPDATE embedding_vectors SET embedding = zeroblob(length(embedding)) WHERE vector_id IN
            (SELECT i.vector_id FROM record_inputs i JOIN collections c ON c.active_version_id = i.version_id LIMIT 1)";
        assert_eq!(connection.execute(damage, ()).unwrap(), 1);
        connection.close().unwrap();
        place.run(&["validate"]).expect(4);
        place.run(&["repair"]).expect(3);
        for (name, collection) in &left.collections {
            let source = ["--faq-path", &*collection.source, "--collection", name];
            place.run(&[&["sync"], &source[..]].concat()).ok();
        }
        assert_eq!(api.billed().len(), 1, "one vector was lost");
        place.run(&["validate"]).ok();
        assert_eq!(contents(&place, left), before);
        place.run(&["restore", "copy.db"]).ok();
        assert_eq!(contents(&place, left), before);
        is_as_it_was(&place, &api, left);
    }
}

/// Everything that the database itself knows of the schema.
fn schema(store: &Path) -> Vec<[Option<String>; 4]> {
    let connection = open(store);
    let mut statement = connection
        .prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")
        .unwrap();
    let rows = statement.query_map((), |row| {
        Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn an_upgraded_store_has_the_schema_of_a_new_one() {
    let new = Place::hash();
    new.run(&["schema", "migrate"]).ok();
    for (path, left) in &history::stores() {
        let api = history::api();
        let place = history::place(&api, path, left);
        place.run(&["schema", "migrate"]).ok();
        assert_eq!(schema(&place.store()), schema(&new.store()));
        for pragma in ["user_version", "application_id", "auto_vacuum"] {
            let read = |store: &Path| scalar(store, &format!("PRAGMA {pragma}"));
            assert_eq!(read(&place.store()), read(&new.store()), "{pragma}");
        }
    }
}

#[test]
fn a_store_of_a_newer_schema_is_left_untouched_by_every_command() {
    let api = history::api();
    let (path, left) = history::stores().pop().unwrap();
    let place = history::place(&api, &path, &left);
    place.write("golden.jsonl", r#"{"query": "карта", "gold": ["t0"]}"#);
    let connection = Connection::open(place.store()).unwrap();
    connection
        .execute_batch(
            "INSERT INTO schema_migrations VALUES (99, 'of_another_day', zeroblob(32), 0);
             PRAGMA user_version = 99;",
        )
        .unwrap();
    connection.close().unwrap();
    let untouched = files(&place);
    let commands: [&[&str]; 19] = [
        &["sync", "--faq-path", "faq.csv"],
        &["sync", "--faq-path", "faq.csv", "--dry-run"],
        &["migrate", "--faq-path", "faq.csv"],
        &["migrate", "--faq-path", "faq.csv", "--force-recompute"],
        &["schema", "migrate"],
        &["search", "карта"],
        &["status"],
        &["validate"],
        &["eval", "golden.jsonl"],
        &["cache", "stats"],
        &["cache", "prune"],
        &["backup", "copy.db"],
        &["repair"],
        &["model", "list"],
        &["model", "build", "another"],
        &["model", "promote", "previous"],
        &["model", "promote", "previous", "--golden", "golden.jsonl"],
        &["model", "rollback"],
        &["model", "delete", "previous"],
    ];
    for args in commands {
        let refused = place.run(&[args, &["--json"]].concat()).expect(6);
        refused
            .prints_nothing()
            .says(&["99", "upgrade smart-support"]);
        assert!(files(&place) == untouched, "{args:?} changed a file");
    }
    assert_eq!(api.requests(), 0);
}

/// A store of schema 1 with so many rows: today's rows in yesterday's tables. No build that wrote them is left.
fn old(place: &Place, count: usize) {
    place.save("faq.csv", &Faq::with_ids(count));
    place.migrate("faq.csv", &["--batch-size", "1000", "--no-verify"]);
    let today = place.path("today.db");
    std::fs::rename(place.store(), &today).unwrap();
    let connection = Connection::open(place.store()).unwrap();
    let tables = include_str!("../../crates/storage-sqlite/migrations/0001_create_tables.sql");
    connection
        .pragma_update(None, "application_id", 0x536d_5375)
        .unwrap();
    connection
        .pragma_update(None, "journal_mode", "wal")
        .unwrap();
    connection.execute_batch(tables).unwrap();
    connection
        .execute("ATTACH ?1 AS today", [today.to_str().unwrap()])
        .unwrap();
    connection
        .execute_batch(
            "BEGIN;
             DELETE FROM store_state;
             INSERT INTO store_state SELECT * FROM today.store_state;
             INSERT INTO schema_migrations SELECT * FROM today.schema_migrations WHERE version = 1;
             INSERT INTO runs SELECT * FROM today.runs;
             INSERT INTO embedding_versions
                 SELECT space_id, id, provider, name, dimensions, revision, query_prefix, passage_prefix, normaliser,
                        nonce, 'ready', NULL, created_at FROM today.embedding_spaces;
             INSERT INTO collections
                 SELECT c.collection_id, c.name, v.space_id, NULL, v.recipe, c.generation, NULL, c.record_count,
                        c.document_count
                 FROM today.collections c JOIN today.collection_versions v ON v.version_id = c.active_version_id;
             INSERT INTO category_counts SELECT * FROM today.category_counts;
             INSERT INTO sources SELECT * FROM today.sources;
             INSERT INTO embedding_vectors SELECT * FROM today.embedding_vectors;
             INSERT INTO embedding_records SELECT * FROM today.embedding_records;
             INSERT INTO record_inputs
                 SELECT record_id, space_id, vector_id, input_hash, variant FROM today.record_inputs;
             PRAGMA user_version = 1;
             COMMIT;
             DETACH today;",
        )
        .unwrap();
    connection.close().unwrap();
    std::fs::rename(place.store(), place.path("old.db")).unwrap();
}

fn wait(mut process: Child, until: Instant) -> bool {
    while Instant::now() < until {
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    process.kill().unwrap();
    !process.wait().unwrap().success()
}

/// The schema after a kill, which must be one of the two, with every row.
fn looked_at(place: &Place, schemas: [&Vec<[Option<String>; 4]>; 2], before: &StoredTexts) -> i64 {
    let connection = Connection::open(place.store()).unwrap();
    let whole = connection.query_row("PRAGMA integrity_check", (), |row| row.get::<_, String>(0));
    assert_eq!(whole.unwrap(), "ok");
    connection.close().unwrap();
    let version = scalar(&place.store(), "PRAGMA user_version");
    assert_eq!(scalar(&place.store(), LATEST), version);
    let expected = schemas[usize::try_from(version).unwrap() - 1];
    assert!(
        schema(&place.store()) == *expected,
        "between {version} and the next"
    );
    assert!(rows(&place.store(), "faq") == *before, "rows changed");
    version
}

#[test]
fn an_upgrade_killed_at_any_moment_leaves_one_schema_or_the_other() {
    const ROWS: usize = 3000;
    const ROUNDS: u32 = 20;
    let mut random = seed::Random::new(seed::of_run("an upgrade killed at any moment"));
    let api = StubApi::start(DIMENSIONS, Duration::ZERO);
    let place = Place::stub(&api);
    old(&place, ROWS);
    let again = || {
        for end in ["", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(place.path(format!("data/embeddings.db{end}")));
        }
        std::fs::copy(place.path("old.db"), place.store()).unwrap();
    };
    again();
    let before = rows(&place.store(), "faq");
    assert_eq!(before.len(), ROWS);
    let yesterday = schema(&place.store());
    let started = Instant::now();
    place.run(&["schema", "migrate"]).ok();
    let takes = started.elapsed();
    let today = schema(&place.store());
    assert_eq!(rows(&place.store(), "faq"), before);
    let mut seen = BTreeSet::new();
    let mut killed = 0;
    for round in 0..ROUNDS {
        again();
        let mut command = place.command(&["schema", "migrate"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let nanoseconds = u64::try_from(takes.as_nanos()).unwrap();
        let lasts = Duration::from_nanos(random.below(nanoseconds));
        let process = command.spawn().unwrap();
        killed += u32::from(wait(process, Instant::now() + lasts));
        // Half of what was cut off is recovered by the product itself, the other half is looked at first.
        if round % 2 == 0 {
            seen.insert(looked_at(&place, [&yesterday, &today], &before));
        }
        place.run(&["schema", "migrate"]).ok();
        assert!(schema(&place.store()) == today, "round {round}");
        assert!(rows(&place.store(), "faq") == before, "round {round}");
        if round % 6 == 0 {
            place.run(&["validate", "--faq-path", "faq.csv"]).ok();
        }
    }
    assert!(
        killed > 0,
        "every upgrade was done before it could be killed"
    );
    assert!(!seen.is_empty());
}

/// A store of schema 1, damaged behind the product's back.
fn damaged_schema_1(api: &StubApi, statement: &str) -> (Place, Left) {
    let (path, left) = history::stores().remove(0);
    let place = history::place(api, &path, &left);
    let connection = Connection::open(place.store()).unwrap();
    connection
        .execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;")
        .unwrap();
    assert!(connection.execute(statement, ()).unwrap() > 0);
    connection.close().unwrap();
    (place, left)
}

/// Upgrades, repairs and syncs; says how many texts were paid for.
fn is_led_out(place: &Place, api: &StubApi, left: &Left, what: &str) -> usize {
    place.run(&["schema", "migrate"]).ok();
    place.run(&["validate"]).expect(4);
    let repaired = place.run(&["repair", "--json"]);
    assert!(
        matches!(repaired.code, 0 | 3),
        "{what}: {}",
        repaired.stderr
    );
    for (name, collection) in &left.collections {
        let source = ["--faq-path", &*collection.source, "--collection", name];
        place.run(&[&["sync"], &source[..]].concat()).ok();
    }
    place.run(&["validate"]).ok();
    let paid = api.billed().len();
    is_as_it_was(place, api, left);
    paid
}

#[test]
fn a_damaged_store_of_schema_1_is_upgraded_and_then_repaired() {
    const SERVED: &str = "(SELECT i.vector_id FROM record_inputs i JOIN collections c
        ON c.active_version_id = i.version_id ORDER BY i.record_id LIMIT 1)";
    let cases = [
        (
            format!("DELETE FROM embedding_vectors WHERE vector_id = {SERVED}"),
            1,
        ),
        (
            "UPDATE embedding_records SET metadata = '{nothing' WHERE record_id = 2".to_owned(),
            0,
        ),
        (
            "UPDATE embedding_records SET title = CAST(X'c328ff' AS TEXT) WHERE record_id = 2"
                .to_owned(),
            0,
        ),
        (
            "UPDATE collections SET active_version_id = 4711".to_owned(),
            0,
        ),
        (
            "UPDATE record_inputs SET vector_id = 4711 WHERE record_id = 2".to_owned(),
            0,
        ),
    ];
    for (statement, pays) in cases {
        let api = history::api();
        let (place, left) = damaged_schema_1(&api, &statement);
        let paid = is_led_out(&place, &api, &left, &statement);
        assert_eq!(paid, pays, "{statement}");
    }
}

/// Overwrites the root of a table or an index, or the header of the schema's own.
fn break_page(place: &Place, name: &str) {
    let store = place.store();
    let number = match name {
        "sqlite_schema" => 1,
        _ => scalar(
            &store,
            &format!("SELECT rootpage FROM sqlite_schema WHERE name = '{name}'"),
        ),
    };
    let size = scalar(&store, "PRAGMA page_size");
    let start = usize::try_from((number - 1) * size).unwrap() + if number == 1 { 100 } else { 0 };
    let mut bytes = std::fs::read(&store).unwrap();
    bytes[start..start + 8].fill(0xff);
    std::fs::write(&store, bytes).unwrap();
}

#[test]
fn a_store_of_schema_1_that_cannot_be_upgraded_for_its_damage_is_repaired() {
    for broken in [
        "record_inputs",
        "sqlite_autoindex_embedding_vectors_1",
        "sqlite_autoindex_collections_1",
        "sqlite_schema",
    ] {
        let api = history::api();
        let (path, left) = history::stores().remove(0);
        let place = history::place(&api, &path, &left);
        let before = contents(&place, &left);
        break_page(&place, broken);
        if ["record_inputs", "sqlite_schema"].contains(&broken) {
            let refused = place.run(&["schema", "migrate"]).expect(1);
            refused.says(&["smart-support repair"]);
        }
        place.run(&["repair"]).ok();
        assert_eq!(scalar(&place.store(), "PRAGMA user_version"), 2);
        assert_eq!(contents(&place, &left), before, "{broken}");
        is_as_it_was(&place, &api, &left);
        assert_eq!(api.billed().len(), 0, "{broken}");
        for (name, collection) in &left.collections {
            let versions = history::listed_versions(&place, name);
            assert_eq!(
                versions, collection.versions,
                "{broken}: versions of {name}"
            );
        }
    }
}

#[test]
fn a_sound_store_of_schema_1_is_upgraded_and_not_repaired() {
    let api = history::api();
    let (path, left) = history::stores().remove(0);
    let place = history::place(&api, &path, &left);
    let untouched = files(&place);
    place.run(&["repair"]).expect(6).says(&["schema migrate"]);
    assert!(files(&place) == untouched);
}
