//! `repair`: what is damaged, what is kept, and what the next sync has to pay for.

use integration_tests::{Faq, Place, StubApi, rows, scalar};
use rusqlite::Connection;
use serde_json::{Value, json};
use storage_core::ContentHash;

use crate::support::{api, counts};

fn filled(api: &StubApi) -> (Place, Faq) {
    let place = Place::stub(api);
    let faq = Faq::with_ids(40);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    assert_eq!(api.billed().len(), 40);
    (place, faq)
}

/// Damages a store behind the product's back.
fn damage(place: &Place, statements: &str) {
    let connection = Connection::open(place.store()).unwrap();
    connection
        .execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;")
        .unwrap();
    connection.execute_batch(statements).unwrap();
    connection.close().unwrap();
}

/// Flips a bit of the stored vector of an entry.
fn flip_vector(place: &Place, id: &str) {
    let vector: Vec<u8> = Connection::open(place.store())
        .unwrap()
        .query_row(
            "SELECT v.embedding FROM embedding_records r JOIN record_inputs i USING (record_id)
             JOIN embedding_vectors v USING (vector_id) WHERE r.document = ?1",
            [id],
            |row| row.get(0),
        )
        .unwrap();
    let mut bytes = std::fs::read(place.store()).unwrap();
    // The vector's row has its checksum before it; the same numbers may stand elsewhere too.
    let checksum = *ContentHash::of(&vector).as_bytes();
    let at = (96..bytes.len() - vector.len())
        .find(|at| {
            bytes[*at..].starts_with(&vector)
                && bytes[at - 96..*at]
                    .windows(checksum.len())
                    .any(|window| window == checksum)
        })
        .unwrap();
    bytes[at + 9] ^= 0x10;
    std::fs::write(place.store(), bytes).unwrap();
}

fn ids(rows: &Value) -> Vec<&str> {
    let rows = rows.as_array().unwrap();
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}

#[test]
fn a_sound_store_is_left_alone() {
    let api = api();
    let (place, _) = filled(&api);
    let before = place.files();
    let report = place.json(&["repair"]);
    assert_eq!(
        (&report["sound"], &report["written"]),
        (&json!(true), &json!(false))
    );
    assert!(place.files() == before);
    assert!(place.run(&["repair"]).ok().stdout.contains("sound"));
    let empty = Place::hash();
    empty
        .run(&["repair"])
        .expect(2)
        .says(&["there is no store"]);
    assert!(empty.data().is_empty());
}

#[test]
fn what_follows_from_the_rows_is_worked_out_again() {
    for statement in [
        "UPDATE collections SET record_count = 7",
        "UPDATE collections SET document_count = 7",
        "UPDATE category_counts SET category = 'Нет такой' WHERE category = 'Карты'",
        "DELETE FROM category_counts",
        "UPDATE store_state SET generation = 41",
        "UPDATE collection_versions SET state = 'building'",
        "DELETE FROM record_inputs",
        "UPDATE record_inputs SET vector_id = 1",
        "INSERT INTO record_inputs SELECT 999, version_id, space_id, vector_id, input_hash, variant FROM record_inputs LIMIT 1",
        "DELETE FROM runs",
    ] {
        let api = api();
        let (place, faq) = filled(&api);
        let before = rows(&place.store(), "faq");
        let found = place.search(&[&faq.0[5].question]);
        damage(&place, statement);
        place.run(&["validate"]).expect(4);
        let report = place.json(&["repair"]);
        assert_eq!(report["written"], true, "{statement}");
        counts(
            &report,
            &[
                ("records_kept", 40),
                ("vectors_kept", 40),
                ("vectors_lost", 0),
            ],
        );
        assert_ne!(report["recomputed"], json!([]), "{statement}");
        assert_eq!(report["validation"]["ok"], true);
        place.run(&["validate"]).ok();
        assert_eq!(rows(&place.store(), "faq"), before, "{statement}");
        assert_eq!(place.search(&[&faq.0[5].question]), found);
        let sync = place.json(&["sync", "--faq-path", "faq.csv"]);
        counts(&sync, &[("unchanged", 40), ("requests", 0)]);
        let kept = report["kept"].as_str().unwrap();
        assert!(kept.contains(".damaged-") && std::fs::metadata(kept).is_ok());
    }
}

#[test]
fn a_row_that_fails_its_checksum_is_named_and_comes_back_for_nothing() {
    let api = api();
    let (place, _) = filled(&api);
    let before = rows(&place.store(), "faq");
    damage(
        &place,
        "UPDATE embedding_records SET body = 'Другое.' WHERE document = 't7'",
    );
    let run = place.run(&["repair", "--json"]).expect(3);
    let report = run.json();
    assert_eq!(ids(&report["records_lost"]), ["t7"]);
    assert_eq!(report["records_lost"][0]["row"], 9);
    assert!(
        report["records_lost"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("checksum")
    );
    counts(&report, &[("records_kept", 39), ("vectors_kept", 40)]);
    place.run(&["validate"]).ok();
    let sync = place.json(&["sync", "--faq-path", "faq.csv"]);
    counts(
        &sync,
        &[
            ("new", 1),
            ("unchanged", 39),
            ("reused", 1),
            ("requests", 0),
        ],
    );
    assert_eq!(rows(&place.store(), "faq"), before);
    assert_eq!(api.billed().len(), 40);
}

#[test]
fn a_vector_that_fails_its_checksum_is_the_only_one_that_is_paid_again() {
    let api = api();
    let (place, faq) = filled(&api);
    let before = rows(&place.store(), "faq");
    flip_vector(&place, "t7");
    flip_vector(&place, "t21");
    let run = place.run(&["repair", "--json"]).expect(3);
    let report = run.json();
    assert_eq!(ids(&report["to_embed"]), ["t21", "t7"]);
    counts(
        &report,
        &[
            ("records_kept", 40),
            ("vectors_kept", 38),
            ("vectors_lost", 2),
        ],
    );
    let status = place.json(&["status"]);
    assert_eq!(status["collections"][0]["missing"], 2);
    // A second repair has nothing to add.
    let data = place.data();
    let again = place.run(&["repair"]).expect(3);
    assert!(
        again.stdout.contains("smart-support sync"),
        "{}",
        again.stdout
    );
    assert!(place.data() == data);
    let run = place.run(&["search", &faq.0[5].question]).expect(1);
    run.says(&["smart-support sync"]);

    let billed = api.billed().len();
    let sync = place.json(&["sync", "--faq-path", "faq.csv"]);
    counts(&sync, &[("embedded", 2), ("deleted", 0), ("new", 0)]);
    assert_eq!(api.billed().len(), billed + 2);
    place.run(&["validate", "--faq-path", "faq.csv"]).ok();
    assert_eq!(rows(&place.store(), "faq"), before);
}

#[test]
fn rows_without_vectors_can_be_left_out_so_that_search_works_at_once() {
    let api = api();
    let (place, faq) = filled(&api);
    let before = rows(&place.store(), "faq");
    flip_vector(&place, "t7");
    let run = place.run(&["repair", "--drop-unembedded"]).expect(3);
    assert!(run.stdout.contains("t7") && run.stdout.contains("search works"));
    assert!(!place.search(&[&faq.0[5].question]).is_empty());
    place.run(&["validate"]).ok();
    let sync = place.json(&["sync", "--faq-path", "faq.csv"]);
    counts(&sync, &[("new", 1), ("embedded", 1), ("unchanged", 39)]);
    assert_eq!(rows(&place.store(), "faq"), before);
}

#[test]
fn a_dry_run_says_everything_and_changes_nothing() {
    let api = api();
    let (place, _) = filled(&api);
    flip_vector(&place, "t7");
    damage(
        &place,
        "UPDATE embedding_records SET title = 'x' WHERE document = 't8'",
    );
    let before = place.files();
    let run = place.run(&["repair", "--dry-run", "--json"]).expect(4);
    let report = run.json();
    assert_eq!(ids(&report["to_embed"]), ["t7"]);
    assert_eq!(ids(&report["records_lost"]), ["t8"]);
    assert!(report["validation"].is_null() && report["kept"].is_null());
    assert!(place.files() == before, "a dry run changed a file");
    let text = place.run(&["repair", "--dry-run"]).expect(4).stdout;
    for part in [
        "39  rows kept",
        "1  rows to embed again",
        "t8",
        "Nothing was changed",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

/// The store's own structure, page by page: whatever page is gone, everything on the others is kept.
#[test]
fn any_page_may_be_gone() {
    let api = api();
    let (place, _) = filled(&api);
    let before = rows(&place.store(), "faq");
    let whole = std::fs::read(place.store()).unwrap();
    let size = scalar(&place.store(), "PRAGMA page_size");
    let size = usize::try_from(size).unwrap();
    let mut lost = 0;
    for number in 0..whole.len() / size {
        std::fs::remove_dir_all(place.path("data")).unwrap();
        let mut bytes = whole.clone();
        bytes[number * size..(number + 1) * size].fill(0);
        place.write("data/embeddings.db", &bytes);
        let validated = place.run(&["validate"]);
        if validated.code == 0 {
            continue;
        }
        let run = place.run(&["repair", "--drop-unembedded", "--json"]);
        assert!([0, 3].contains(&run.code), "page {}: {run:?}", number + 1);
        let report = run.json();
        place.run(&["validate"]).ok();
        let after = rows(&place.store(), "faq");
        for (id, row) in &after {
            assert_eq!(before.get(id), Some(row), "page {}", number + 1);
        }
        let missing = 40 - after.len();
        let named = ids(&report["records_lost"]).len() + ids(&report["to_embed"]).len();
        assert_eq!(missing, named, "page {}: {report:#}", number + 1);
        lost = lost.max(missing);
        // And it can be brought up to date.
        let sync = place.json(&["sync", "--faq-path", "faq.csv"]);
        assert_eq!(sync["failed"], json!([]), "page {}", number + 1);
        assert_eq!(rows(&place.store(), "faq").len(), 40, "page {}", number + 1);
        place.run(&["validate", "--faq-path", "faq.csv"]).ok();
    }
    assert!(lost > 0, "no page held a row");
}

#[test]
fn a_header_that_was_overwritten_is_no_reason_to_give_up() {
    let api = api();
    let (place, faq) = filled(&api);
    let before = rows(&place.store(), "faq");
    let whole = std::fs::read(place.store()).unwrap();
    for (what, range) in [
        ("magic", 0..16),
        ("page size", 16..18),
        ("application id", 68..72),
        ("all", 0..100),
    ] {
        std::fs::remove_dir_all(place.path("data")).unwrap();
        let mut bytes = whole.clone();
        bytes[range].fill(0x3c);
        place.write("data/embeddings.db", &bytes);
        let run = place.run(&["search", &faq.0[5].question]);
        assert!([1, 2].contains(&run.code), "{what}: {run:?}");
        let report = place.json(&["repair"]);
        counts(&report, &[("records_kept", 40), ("vectors_kept", 40)]);
        assert_eq!(rows(&place.store(), "faq"), before, "{what}");
        place.run(&["validate"]).ok();
    }
}

#[test]
fn what_is_no_store_is_left_alone_and_restore_is_named() {
    let place = Place::hash();
    std::fs::create_dir(place.path("data")).unwrap();
    std::fs::write(place.store(), "Не база данных.\n".repeat(1_000)).unwrap();
    let before = place.files();
    for args in [&["repair"][..], &["repair", "--dry-run"]] {
        let run = place.run(args).expect(2);
        run.prints_nothing()
            .says(&["nothing of a Smart Support store", "restore"]);
    }
    std::fs::remove_file(place.store()).unwrap();
    let connection = Connection::open(place.store()).unwrap();
    connection
        .execute_batch("CREATE TABLE customers (name); INSERT INTO customers VALUES ('A')")
        .unwrap();
    connection.close().unwrap();
    place
        .run(&["repair"])
        .expect(2)
        .says(&["nothing of a Smart Support store"]);
    assert_eq!(place.data().len(), 1);
    assert!(place.files().len() == before.len());
}

/// The model of the active version, and the lines of a repair after the pointer was lost.
fn served_after_a_lost_pointer(place: &Place) -> (String, Value) {
    damage(place, "UPDATE collections SET active_version_id = NULL");
    place.run(&["validate"]).expect(4);
    let report = place.json(&["repair"]);
    let list = place.json(&["model", "list"]);
    let mut versions = list["versions"].as_array().unwrap().iter();
    let active = versions.find(|version| version["state"] == "active");
    let active = active.unwrap();
    let id = active["id"].as_str().unwrap();
    let lines = report["recomputed"].as_array().unwrap().iter();
    let mut lines = lines.map(|line| line.as_str().unwrap());
    assert!(
        lines.any(|line| line.contains("was lost") && line.contains(&id[..8])),
        "{report}"
    );
    place.run(&["validate"]).ok();
    (
        active["model"]["name"].as_str().unwrap().to_owned(),
        list.clone(),
    )
}

#[test]
fn a_version_that_nobody_promoted_is_not_what_a_repair_serves() {
    let api = api();
    let (place, _) = filled(&api);
    place.json(&["model", "build", "other-model"]);
    // A link more or less says nothing about who was promoted.
    damage(
        &place,
        "DELETE FROM record_inputs WHERE record_id = 3 AND version_id = 1",
    );
    let (model, list) = served_after_a_lost_pointer(&place);
    assert_eq!(model, "stub-model", "{list}");
    // Without the ledger it is the oldest.
    damage(&place, "UPDATE runs SET version = NULL");
    assert_eq!(served_after_a_lost_pointer(&place).0, "stub-model");
    // Nor is one whose build was cut off.
    damage(
        &place,
        "UPDATE collection_versions SET state = 'building' WHERE version_id = 2",
    );
    assert_eq!(served_after_a_lost_pointer(&place).0, "stub-model");
}

#[test]
fn a_repair_serves_what_was_promoted_and_keeps_the_way_back() {
    let api = api();
    let (place, _) = filled(&api);
    place.json(&["model", "build", "other-model"]);
    place.json(&["model", "promote", "other-model"]);
    let (model, list) = served_after_a_lost_pointer(&place);
    assert_eq!(model, "other-model", "{list}");
    place.run(&["model", "rollback"]).ok();
}
