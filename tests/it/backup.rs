//! `backup` and `restore`: copies that can be relied on, and stores that are the old one or the new one.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use integration_tests::{Faq, Place, StoredTexts, rows, scalar, skip};
use rusqlite::Connection;
use serde_json::Value;

use crate::support::counts;

/// A store with 40 templates.
fn filled() -> (Place, Faq) {
    let place = Place::hash();
    let faq = Faq::with_ids(40);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    (place, faq)
}

/// The same store after a sync that changed everything.
fn changed(place: &Place, faq: &Faq) {
    place.save(
        "faq.csv",
        &faq.edited(|entries| {
            entries.truncate(30);
            entries
                .iter_mut()
                .for_each(|entry| entry.answer.push_str(" И ещё."));
        }),
    );
    place.json(&["sync", "--faq-path", "faq.csv", "--allow-delete", "100%"]);
}

fn kept(place: &Place, word: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(place.path("data")).unwrap();
    let named = entries.map(|entry| entry.unwrap().path());
    named
        .filter(|path| path.to_string_lossy().contains(word))
        .collect()
}

#[test]
fn a_backup_is_a_store_that_can_be_used_at_once() {
    let (place, _) = filled();
    let before = place.data();
    let report = place.json(&["backup", "copies/faq.db"]);
    counts(
        &report,
        &[("records", 40), ("vectors", 40), ("generation", 1)],
    );
    let copy = place.path("copies/faq.db");
    let metadata = std::fs::metadata(&copy).unwrap();
    assert_eq!(report["bytes"].as_u64(), Some(metadata.len()));
    assert_eq!(metadata.mode() & 0o777, 0o600);
    assert_eq!(report["validation"]["ok"], true);
    for key in ["store", "backup", "seconds"] {
        assert!(!report[key].is_null(), "{key}");
    }
    assert!(place.data() == before, "the store itself changed");
    assert_eq!(rows(&copy, "faq"), rows(&place.store(), "faq"));

    // Nothing beside it, and nothing appears when it is read.
    let store = format!("sqlite:{}", copy.display());
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o400)).unwrap();
    for args in [&["validate"][..], &["status"], &["search", "карта"]] {
        place.run(&[args, &["--store", &store]].concat()).ok();
    }
    assert_eq!(std::fs::read_dir(place.path("copies")).unwrap().count(), 1);
    // Not checked, and said so.
    let quick = place.json(&["backup", "quick.db", "--no-verify"]);
    assert!(quick["validation"].is_null());
    let run = place.run(&["backup", "again.db"]).ok();
    assert!(
        run.stdout.contains("40 rows, 40 vectors, generation 1"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("smart-support restore again.db"));
}

#[test]
fn a_backup_writes_over_nothing_unasked() {
    let (place, faq) = filled();
    place.json(&["backup", "faq.db"]);
    let first = std::fs::read(place.path("faq.db")).unwrap();
    changed(&place, &faq);
    let run = place.run(&["backup", "faq.db", "--json"]).expect(6);
    run.prints_nothing().says(&["faq.db", "--force"]);
    assert!(std::fs::read(place.path("faq.db")).unwrap() == first);
    place.json(&["backup", "faq.db", "--force"]);
    assert_eq!(
        rows(&place.path("faq.db"), "faq"),
        rows(&place.store(), "faq")
    );

    // The store itself, whatever it is called.
    std::fs::hard_link(place.store(), place.path("linked.db")).unwrap();
    symlink(place.store(), place.path("symbolic.db")).unwrap();
    std::fs::create_dir(place.path("directory")).unwrap();
    let before = place.files();
    for (target, says) in [
        ("data/embeddings.db", "the store itself"),
        ("linked.db", "the store itself"),
        ("symbolic.db", "the store itself"),
        ("data/embeddings.db-wal", "a file of the store"),
        ("data/embeddings.db.lock", "a file of the store"),
        ("directory", "is a directory"),
    ] {
        let run = place.run(&["backup", target, "--force"]).expect(6);
        run.prints_nothing().says(&[says, target]);
    }
    assert!(place.files() == before);
    // A store in use is no place for a backup: its log would be taken for the copy's.
    std::fs::write(place.path("faq.db-wal"), "a log").unwrap();
    let run = place.run(&["backup", "faq.db", "--force"]).expect(6);
    run.says(&["a database in use"]);
}

#[test]
fn a_backup_needs_a_store_on_disk() {
    let place = Place::hash();
    for command in [&["backup", "x.db"][..], &["restore", "x.db"], &["repair"]] {
        let memory = [command, &["--store", "sqlite::memory:"]].concat();
        place
            .run(&memory)
            .expect(2)
            .says(&["memory", "sqlite:PATH"]);
    }
    let postgres = ["--store", "postgres://localhost/faq"];
    let run = place.run(&[&["backup", "x.db"][..], &postgres].concat());
    run.expect(2).prints_nothing().says(&["pg_dump"]);
    let run = place.run(&[&["restore", "x.db"][..], &postgres].concat());
    run.expect(2).says(&["pg_restore"]);
    place
        .run(&["backup", "deep/x.db"])
        .expect(2)
        .says(&["there is no store"]);
    assert!(!place.path("deep").exists() && !place.path("data").exists());
}

#[test]
fn a_damaged_store_is_not_backed_up_by_accident() {
    let (place, _) = filled();
    let connection = Connection::open(place.store()).unwrap();
    connection
        .execute(
            "UPDATE embedding_records SET body = 'x' WHERE record_id = 7",
            (),
        )
        .unwrap();
    connection.close().unwrap();
    let run = place.run(&["backup", "faq.db", "--json"]).expect(4);
    let report = run.json();
    assert_eq!(
        (&report["written"], &report["validation"]["ok"]),
        (&false.into(), &false.into())
    );
    assert!(!place.path("faq.db").exists() && !place.path("faq.db.partial").exists());
    let run = place.run(&["backup", "faq.db"]).expect(4);
    assert!(run.stdout.contains("content_hashes") && run.stdout.contains("smart-support repair"));
    place.json(&["backup", "faq.db", "--no-verify"]);
    // And such a copy is not restored by accident.
    let before = place.data();
    let run = place.run(&["restore", "faq.db"]).expect(4);
    assert!(run.stdout.contains("the store is as it was"));
    assert!(place.data() == before);
}

#[test]
fn a_restore_brings_back_what_was_there_and_keeps_what_is() {
    let (place, faq) = filled();
    let before = rows(&place.store(), "faq");
    let searched = place.json(&["search", &faq.0[3].question]);
    place.json(&["backup", "faq.db"]);
    changed(&place, &faq);
    let after = rows(&place.store(), "faq");
    assert_ne!(before, after);

    let report = place.json(&["restore", "faq.db"]);
    counts(&report, &[("records", 40), ("generation", 1)]);
    assert_eq!(rows(&place.store(), "faq"), before);
    place.run(&["validate"]).ok();
    let again = place.json(&["search", &faq.0[3].question]);
    assert_eq!(again["hits"], searched["hits"]);
    let kept = Path::new(report["kept"].as_str().unwrap());
    assert_eq!(rows(kept, "faq"), after);
    assert_eq!(
        std::fs::metadata(place.store()).unwrap().mode() & 0o777,
        0o600
    );
    // It goes on from there.
    place.save("faq.csv", &faq);
    let sync = place.json(&["sync", "--faq-path", "faq.csv"]);
    counts(&sync, &[("unchanged", 40), ("embedded", 0)]);
    place.json(&["restore", &kept.display().to_string()]);
    assert_eq!(rows(&place.store(), "faq"), after);
}

#[test]
fn a_restore_works_where_there_is_no_store_and_over_a_ruined_one() {
    let (place, _) = filled();
    let before = rows(&place.store(), "faq");
    place.json(&["backup", "faq.db"]);
    std::fs::remove_dir_all(place.path("data")).unwrap();
    let report = place.json(&["restore", "faq.db"]);
    assert!(report["kept"].is_null());
    assert_eq!(rows(&place.store(), "faq"), before);

    // A log of the old store must never be replayed into the new one.
    std::fs::write(place.path("data/embeddings.db-wal"), [7; 5_000]).unwrap();
    std::fs::write(place.store(), "Не база данных.\n".repeat(1_000)).unwrap();
    let run = place.run(&["restore", "faq.db"]).expect(6);
    run.says(&["no Smart Support store", "--force"]);
    let run = place.run(&["repair"]).expect(2);
    run.says(&[
        "nothing of a Smart Support store is left",
        "restore FILE --force",
    ]);
    let report = place.json(&["restore", "faq.db", "--force"]);
    assert_eq!(rows(&place.store(), "faq"), before);
    let kept = report["kept"].as_str().unwrap();
    assert!(
        std::fs::read_to_string(kept)
            .unwrap()
            .starts_with("Не база")
    );
    assert_eq!(std::fs::read(format!("{kept}-wal")).unwrap(), [7; 5_000]);
    assert!(!place.path("data/embeddings.db-wal").exists());
}

#[test]
fn a_file_that_is_no_backup_is_refused_and_the_store_is_left_alone() {
    let (place, faq) = filled();
    place.json(&["backup", "good.db"]);
    changed(&place, &faq);
    let good = std::fs::read(place.path("good.db")).unwrap();
    place.write("notes.txt", "Вопрос;Ответ\n".repeat(500));
    place.write("empty.db", "");
    place.write("cut.db", &good[..good.len() / 2]);
    std::fs::create_dir(place.path("directory.db")).unwrap();
    let connection = Connection::open(place.path("other.db")).unwrap();
    connection
        .execute_batch("CREATE TABLE customers (name)")
        .unwrap();
    connection.close().unwrap();
    place.write("newer.db", &good);
    let connection = Connection::open(place.path("newer.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    connection.close().unwrap();
    let _ = std::fs::remove_file(place.path("newer.db-wal"));
    let mut flipped = good.clone();
    let answer = "Чтобы".as_bytes();
    let at = good
        .windows(answer.len())
        .position(|window| window == answer);
    flipped[at.unwrap() + 1] ^= 4;
    place.write("flipped.db", &flipped);
    let before = place.data();
    for (name, code, says) in [
        ("absent.db", 2, "there is no such backup"),
        ("notes.txt", 2, "not a backup"),
        ("other.db", 2, "not a backup"),
        ("empty.db", 6, "is an empty file"),
        ("directory.db", 2, "not a backup"),
        ("newer.db", 6, "99"),
        ("cut.db", 4, ""),
        ("flipped.db", 4, ""),
        ("data/embeddings.db", 6, "the store itself"),
    ] {
        let run = place.run(&["restore", name]).expect(code);
        run.says(&[says]);
        assert!(place.data() == before, "{name} changed the store");
    }
}

#[test]
fn a_backup_of_a_killed_writer_holds_what_it_committed() {
    let (place, faq) = filled();
    // A log that nobody has copied into the store.
    let reader = Connection::open(place.store()).unwrap();
    let mut statement = reader
        .prepare("SELECT document FROM embedding_records")
        .unwrap();
    let mut open = statement.query(()).unwrap();
    open.next().unwrap();
    changed(&place, &faq);
    assert!(
        std::fs::metadata(place.path("data/embeddings.db-wal"))
            .unwrap()
            .len()
            > 0
    );
    place.json(&["backup", "faq.db"]);
    assert_eq!(
        scalar(
            &place.path("faq.db"),
            "SELECT count(*) FROM embedding_records"
        ),
        30
    );
    // A reader in the middle of something holds a restore up: it is told so, and nothing has happened.
    let run = place.run(&["restore", "faq.db", "--wait", "0s"]).expect(75);
    run.says(&["wait"]);
    assert!(kept(&place, "before-restore").is_empty());
    drop(open);
    drop(statement);
    // One that is idle keeps what it has open.
    place.json(&["restore", "faq.db"]);
    assert_eq!(
        scalar(&place.store(), "SELECT count(*) FROM embedding_records"),
        30
    );
    let seen: i64 = reader
        .query_row("SELECT count(*) FROM embedding_records", (), |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(seen, 30);
}

#[test]
fn backups_beside_a_sync_are_whole() {
    let (place, faq) = filled();
    let sizes: Vec<i64> = vec![40, 35];
    std::fs::create_dir(place.path("less")).unwrap();
    place.save("less/faq.csv", &faq.edited(|entries| entries.truncate(35)));
    let writers = std::thread::scope(|scope| {
        let syncing = scope.spawn(|| {
            for round in 0..6 {
                let source = ["less/faq.csv", "faq.csv"][round % 2];
                place
                    .run(&[
                        "sync",
                        "--faq-path",
                        source,
                        "--allow-delete",
                        "100%",
                        "--wait",
                        "60s",
                    ])
                    .ok();
            }
        });
        for round in 0..6 {
            let name = format!("copy-{round}.db");
            let report = place.json(&["backup", &name, "--wait", "60s"]);
            assert_eq!(report["validation"]["ok"], true);
            let count = scalar(&place.path(&name), "SELECT count(*) FROM embedding_records");
            assert!(sizes.contains(&count), "{count} rows");
        }
        syncing.join()
    });
    writers.unwrap();
}

/// Every system call of a restore that changes a directory or a file's end is where somebody may pull the plug.
#[test]
fn a_restore_that_is_killed_leaves_the_old_store_or_the_new_one() {
    killed("restore", &["restore", "faq.db"], |place, faq| {
        place.json(&["backup", "faq.db"]);
        let new = rows(&place.store(), "faq");
        changed(place, faq);
        new
    });
}

#[test]
fn a_repair_that_is_killed_leaves_the_old_store_or_the_new_one() {
    killed("repair", &["repair"], |place, _| {
        let new = rows(&place.store(), "faq");
        let connection = Connection::open(place.store()).unwrap();
        connection
            .execute("UPDATE store_state SET generation = 9", ())
            .unwrap();
        connection.close().unwrap();
        new
    });
}

fn killed(name: &str, args: &[&str], prepare: impl Fn(&Place, &Faq) -> StoredTexts) {
    if !Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        skip("there is no strace to kill a process at a chosen moment");
        return;
    }
    let (place, faq) = filled();
    let new = prepare(&place, &faq);
    let start = place.data();
    let old = rows(&place.store(), "faq");
    let mut kills = 0;
    for call in [
        "rename",
        "unlink",
        "link",
        "fsync",
        "fdatasync",
        "ftruncate",
    ] {
        for number in 1..200 {
            // Back to the beginning.
            std::fs::remove_dir_all(place.path("data")).unwrap();
            for (path, bytes) in &start {
                place.write(&format!("data/{}", path.display()), bytes);
            }
            // A log beside the old store, as a killed writer leaves it.
            let inject = format!("inject={call}:signal=KILL:when={number}");
            let product = place.command(args);
            let mut command = Command::new("strace");
            command
                .args([
                    "-f",
                    "-qq",
                    "-o",
                    "/dev/null",
                    "-e",
                    &format!("trace={call}"),
                    "-e",
                    &inject,
                ])
                .arg(product.get_program())
                .args(product.get_args());
            place.prepare(&mut command);
            let whole = command.output().unwrap().status.success();
            let seen = rows(&place.store(), "faq");
            assert!(
                seen == old || seen == new,
                "{name}: {call} {number}: neither old nor new"
            );
            assert!(!place.path("data/embeddings.db-wal").exists() || seen == old);
            if whole {
                break;
            }
            kills += 1;
            // The next run cleans up, and ends with the new one.
            place.run(args).ok();
            assert_eq!(rows(&place.store(), "faq"), new, "{name}: {call} {number}");
            place.run(&["validate"]).ok();
            let left: Vec<_> = [".partial", ".replaced"]
                .iter()
                .flat_map(|end| kept(&place, end))
                .collect();
            assert!(left.is_empty(), "{name}: {call} {number}: {left:?}");
        }
    }
    assert!(kills > 10, "{name}: only {kills} kills");
}

/// The same hits, to the last bit of their scores, from wherever they come.
#[test]
fn a_store_answers_alike_whatever_it_went_through() {
    let (mut place, faq) = filled();
    place.set("FAQ_PATH", "faq.csv");
    let questions: Vec<&str> = faq
        .0
        .iter()
        .step_by(3)
        .map(|entry| &*entry.question)
        .collect();
    let ask = |place: &Place, store: &str| -> Vec<Value> {
        let hits = questions.iter().map(|question| {
            let args = [
                "search",
                question,
                "-k",
                "10",
                "--store",
                store,
                "--on-store-error",
                "memory",
                "--json",
            ];
            let found = place.run(&args).ok().json();
            let hits = found["hits"].as_array().unwrap().iter();
            let pairs = hits.map(|hit| serde_json::json!([hit["id"], hit["score"]]));
            Value::from_iter(pairs)
        });
        hits.collect()
    };
    let store = format!("sqlite:{}", place.store().display());
    let expected = ask(&place, &store);
    assert!(
        expected
            .iter()
            .all(|hits| hits.as_array().unwrap().len() == 10)
    );
    assert_eq!(ask(&place, "sqlite:nowhere.db"), expected, "memory");
    place.json(&["backup", "faq.db"]);
    assert_eq!(ask(&place, "sqlite:faq.db"), expected, "backup");
    changed(&place, &faq);
    place.json(&["restore", "faq.db"]);
    place.save("faq.csv", &faq);
    assert_eq!(ask(&place, &store), expected, "restored");
    // A page of an index, so that everything is read past it.
    let connection = Connection::open(place.store()).unwrap();
    let root: i64 = connection
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_embedding_records_1'",
            (),
            |row| row.get(0),
        )
        .unwrap();
    let size: i64 = connection
        .pragma_query_value(None, "page_size", |row| row.get(0))
        .unwrap();
    connection.close().unwrap();
    let at = |page: i64| usize::try_from(page * size).unwrap();
    let mut bytes = std::fs::read(place.store()).unwrap();
    bytes[at(root - 1)..at(root)].fill(0x5a);
    std::fs::write(place.store(), bytes).unwrap();
    place.run(&["validate"]).expect(4);
    let report = place.json(&["repair"]);
    assert_eq!(report["written"], true);
    assert_eq!(ask(&place, &store), expected, "repaired");
}
