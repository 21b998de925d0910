//! Writers that died, and writers that live.

use std::fs;
use std::path::Path;

use futures_util::StreamExt as _;
use importers::chroma::open;
use rusqlite::Connection;
use storage_core::{ImportErrorKind, MetadataValue};

use super::{Fixture, only, options};
use crate::harness::{bytes_of, once, read};

fn writer(db: &Path) -> Connection {
    Connection::open(db.join("chroma.sqlite3")).unwrap()
}

/// Leaves the directory as a writer does that dies in the middle of a large write.
fn die_while_writing(db: &Path) {
    let connection = writer(db);
    // So little room that changed pages reach the file before the end.
    connection
        .execute_batch(
            "PRAGMA cache_size = 2; BEGIN;
             UPDATE embedding_metadata SET string_value = 'half written' WHERE string_value IS NOT NULL;
             DELETE FROM embeddings_queue WHERE seq_id % 2 = 0;",
        )
        .unwrap();
    for name in ["chroma.sqlite3", "chroma.sqlite3-journal"] {
        fs::copy(db.join(name), db.join(format!("{name}.dead"))).unwrap();
    }
    connection.execute_batch("ROLLBACK").unwrap();
    drop(connection);
    for name in ["chroma.sqlite3", "chroma.sqlite3-journal"] {
        fs::rename(db.join(format!("{name}.dead")), db.join(name)).unwrap();
    }
}

#[test]
fn a_write_that_was_never_finished_is_rolled_back_in_a_copy() {
    let fixture = Fixture::of("0.6.3");
    let whole = once(&*only(&fixture.db, "kb_large"));
    die_while_writing(&fixture.db);
    assert!(
        fs::metadata(fixture.db.join("chroma.sqlite3-journal"))
            .unwrap()
            .len()
            > 1000
    );
    let before = bytes_of(&fixture.db);
    let source = only(&fixture.db, "kb_large");
    let found = read(&*source);
    assert!(found.error.is_none(), "{:?}", found.error);
    assert_eq!(found.records, whole.records);
    drop(source);
    assert_eq!(before, bytes_of(&fixture.db));
}

#[test]
fn a_directory_that_nobody_may_write_to_is_read_even_with_a_journal() {
    let fixture = Fixture::of("0.6.3");
    die_while_writing(&fixture.db);
    for file in ["chroma.sqlite3", "chroma.sqlite3-journal"] {
        let path = fixture.db.join(file);
        let mut rights = fs::metadata(&path).unwrap().permissions();
        rights.set_readonly(true);
        fs::set_permissions(&path, rights).unwrap();
    }
    assert_eq!(read(&*only(&fixture.db, "readded")).records.len(), 85);
}

#[test]
fn a_write_ahead_log_is_read_and_left_alone() {
    let fixture = Fixture::of("1.0.21");
    let connection = writer(&fixture.db);
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0")
        .unwrap();
    connection
        .execute(
            "UPDATE embedding_metadata SET string_value = 'from the log ahead' WHERE key = 'chroma:document'",
            [],
        )
        .unwrap();
    // The writer lives on, and has not moved its log into the file.
    let before = bytes_of(&fixture.db);
    let found = read(&*only(&fixture.db, "readded"));
    let texts = found
        .records
        .iter()
        .filter(|record| record.text.as_deref() == Some("from the log ahead"));
    assert_eq!(texts.count(), 85);
    assert_eq!(before, bytes_of(&fixture.db));
    drop(connection);
}

#[test]
fn somebody_who_writes_between_two_batches_is_noticed() {
    let fixture = Fixture::of("1.0.21");
    let source = only(&fixture.db, "kb_large");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let change = || {
        writer(&fixture.db)
            .execute(
                "INSERT INTO embedding_metadata (id, key, int_value) VALUES (1, 'late', 1)",
                [],
            )
            .unwrap();
    };
    runtime.block_on(async {
        change();
        let first = source.read().next().await.unwrap();
        assert_eq!(first.unwrap_err().kind(), ImportErrorKind::Changing);
    });
    // Whoever opens it now sees the change, and is told of the next one.
    assert_eq!(once(&*only(&fixture.db, "kb_large")).records.len(), 1077);
    let source = only(&fixture.db, "kb_large");
    let element = fixture.segment("kb_large").join("data_level0.bin");
    let bytes = fs::read(&element).unwrap();
    fs::write(&element, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(
        once(&*source).error.unwrap().kind(),
        ImportErrorKind::Changing
    );
}

#[test]
fn a_writer_in_the_middle_of_a_transaction_does_not_disturb_and_is_not_disturbed() {
    let fixture = Fixture::of("1.0.21");
    let connection = writer(&fixture.db);
    connection
        .execute_batch("BEGIN EXCLUSIVE; DELETE FROM embeddings_queue WHERE seq_id < 100")
        .unwrap();
    let answer = open(&fixture.db, &options(&["readded"]));
    // With its journal beside the database, what it began is not there yet.
    match answer {
        Ok(sources) => assert_eq!(once(&*sources[0]).records.len(), 85),
        Err(error) => assert_eq!(error.kind(), ImportErrorKind::Changing, "{error}"),
    }
    connection.execute_batch("COMMIT").unwrap();
}

/// What the tables have not taken from the log yet is taken from there.
#[test]
fn tables_that_are_behind_the_log_are_brought_up_to_it() {
    let fixture = Fixture::of("1.5.9");
    let connection = writer(&fixture.db);
    let (collection, followed): (String, i64) = connection
        .query_row(
            "SELECT s.collection, m.seq_id FROM segments s JOIN max_seq_id m ON m.segment_id = s.id
             JOIN collections c ON c.id = s.collection WHERE c.name = 'macros_ip' AND s.scope = 'METADATA'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let known = once(&*only(&fixture.db, "macros_ip")).records;
    let mut with_source = known
        .iter()
        .filter(|record| record.metadata.contains_key("source"));
    let mut one = || with_source.next().unwrap();
    let (kept, gone, again) = (one(), one(), one());
    let vector = |number: f32| -> Vec<u8> { (0..12).flat_map(|_| number.to_le_bytes()).collect() };
    let last: i64 = connection
        .query_row("SELECT max(seq_id) FROM embeddings_queue", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert!(followed <= last);
    let write = |seq: i64,
                 operation: i64,
                 id: &str,
                 vector: Option<Vec<u8>>,
                 metadata: Option<&str>| {
        connection
            .execute(
                "INSERT INTO embeddings_queue (seq_id, operation, topic, id, vector, encoding, metadata)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (
                    last + seq,
                    operation,
                    format!("persistent://other/words/{collection}"),
                    id,
                    vector.as_ref(),
                    vector.as_ref().map(|_| "FLOAT32"),
                    metadata,
                ),
            )
            .unwrap();
    };
    // An update of words alone, with a key that goes; an add of what is there; an update of what is not.
    write(
        1,
        1,
        &kept.document,
        None,
        Some(r#"{"chroma:document": "new words", "source": null, "n": 3.0}"#),
    );
    write(
        2,
        0,
        &kept.document,
        Some(vector(9.0)),
        Some(r#"{"ghost": true}"#),
    );
    write(
        3,
        1,
        "never there",
        Some(vector(9.0)),
        Some(r#"{"ghost": true}"#),
    );
    write(4, 3, &gone.document, None, None);
    // Deleted and made again: nothing of the old one is left.
    write(5, 3, &again.document, None, None);
    write(
        6,
        2,
        &again.document,
        Some(vector(5.0)),
        Some(r#"{"list": [1, 2]}"#),
    );
    write(7, 0, "new", Some(vector(7.0)), None);
    write(8, 1, "new", Some(vector(8.0)), None);
    write(9, 77, "of a later version", None, None);
    drop(connection);
    let source = only(&fixture.db, "macros_ip");
    assert!(
        source
            .collection()
            .notes
            .iter()
            .any(|note| note.contains("1 rows of the log do something"))
    );
    let found = read(&*source);
    assert!(found.faults.is_empty() && found.error.is_none());
    let of = |id: &str| found.records.iter().find(|record| record.document == id);
    let first = of(&kept.document).unwrap();
    assert_eq!(first.text.as_deref(), Some("new words"));
    assert_eq!(first.embedding, kept.embedding);
    let mut expected = kept.metadata.clone();
    assert!(expected.remove("source").is_some());
    expected.insert("n".to_owned(), MetadataValue::F64(3.0));
    assert_eq!(first.metadata, expected);
    assert!(of(&gone.document).is_none() && of("never there").is_none());
    let made = of(&again.document).unwrap();
    assert_eq!(
        (made.embedding.as_slice()[0], made.text.as_ref()),
        (5.0, None)
    );
    assert_eq!(made.metadata.keys().collect::<Vec<_>>(), ["list"]);
    assert_eq!(of("new").unwrap().embedding.as_slice()[11], 8.0);
    assert_eq!(found.records.len(), known.len());
    assert_eq!(source.collection().total, known.len() as u64);
}

#[test]
fn vectors_that_are_none_are_faults_with_their_ids() {
    let fixture = Fixture::of("1.5.9");
    let known = once(&*only(&fixture.db, "macros_ip")).records;
    let connection = writer(&fixture.db);
    let set = |id: &str, vector: &[u8], encoding: &str| {
        let changed = connection
            .execute(
                "UPDATE embeddings_queue SET vector = ?2, encoding = ?3 WHERE id = ?1 AND vector IS NOT NULL
                 AND topic LIKE '%' || (SELECT id FROM collections WHERE name = 'macros_ip')",
                (id, vector, encoding),
            )
            .unwrap();
        assert!(changed > 0);
    };
    let nan: Vec<u8> = (0..12).flat_map(|_| f32::NAN.to_le_bytes()).collect();
    let ones: Vec<u8> = (0..11).flat_map(|_| 1_f32.to_le_bytes()).collect();
    let cases: [(&[u8], &str, &str); 5] = [
        (&nan, "FLOAT32", "not finite"),
        (&[0; 48], "FLOAT32", "norm"),
        (&ones, "FLOAT32", "11 numbers instead of 12"),
        (&[0; 47], "FLOAT32", "47 bytes"),
        (&[0; 48], "INT32", "INT32"),
    ];
    for (record, (vector, encoding, _)) in known.iter().zip(&cases) {
        set(&record.document, vector, encoding);
    }
    drop(connection);
    let found = read(&*only(&fixture.db, "macros_ip"));
    assert_eq!(found.records.len() + cases.len(), known.len());
    for (fault, (record, (_, _, reason))) in found.faults.iter().zip(known.iter().zip(&cases)) {
        assert_eq!(fault.id.as_deref(), Some(&*record.document));
        assert_eq!(fault.row, record.locator.row);
        assert!(fault.reason.contains(reason), "{fault:?}");
    }
}
