//! Stores that are not there, not ours, too new, too old, or not to be written.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use integration_tests::{Faq, Place};

use crate::support::as_user;
use rusqlite::Connection;

/// "SmSu": how a file says that it is a store.
const APPLICATION_ID: u32 = 0x536d_5375;

const READERS: [&[&str]; 5] = [
    &["search", "карта"],
    &["status"],
    &["validate"],
    &["cache", "stats"],
    &["eval", "golden.jsonl"],
];
const WRITERS: [&[&str]; 2] = [&["sync", "--faq-path", "faq.csv"], &["cache", "prune"]];
const CREATORS: [&[&str]; 2] = [
    &["migrate", "--faq-path", "faq.csv"],
    &["schema", "migrate"],
];

fn place() -> Place {
    let place = Place::hash();
    place.save("faq.csv", &Faq::of(5));
    place.write("golden.jsonl", r#"{"query": "карта", "gold": ["x"]}"#);
    std::fs::create_dir(place.path("data")).unwrap();
    place
}

/// Runs commands on a store: each ends with the code and leaves every file as it is.
fn refused(place: &Place, commands: &[&[&str]], code: i32, says: &[&str]) {
    for args in commands {
        let before = place.files();
        let run = place.run(&[*args, &["--json"]].concat());
        run.expect(code).prints_nothing().says(says);
        assert!(place.files() == before, "{args:?} changed a file");
    }
}

#[test]
fn a_store_that_is_not_there_is_named_with_the_origin_of_its_path() {
    let mut place = place();
    std::fs::remove_dir(place.path("data")).unwrap();
    let shown = place.store().display().to_string();
    let all = [&READERS[..], &WRITERS[..]].concat();
    refused(
        &place,
        &all,
        2,
        &[&shown, "default", "smart-support migrate"],
    );
    place.set("SQLITE_DB_PATH", "elsewhere/x.db");
    let shown = place.path("elsewhere/x.db").display().to_string();
    refused(&place, &all, 2, &[&shown, "SQLITE_DB_PATH"]);
    assert!(!place.path("elsewhere").exists());
}

#[test]
fn a_store_of_a_newer_schema_is_refused() {
    let place = place();
    place.migrate("faq.csv", &[]);
    let connection = Connection::open(place.store()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    connection.close().unwrap();
    for commands in [&READERS[..], &WRITERS, &CREATORS] {
        refused(&place, commands, 6, &["99", "upgrade smart-support"]);
    }
}

#[test]
fn a_store_of_an_older_schema_is_upgraded_by_migrate_only() {
    for creator in CREATORS {
        let place = place();
        let connection = Connection::open(place.store()).unwrap();
        connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        connection.pragma_update(None, "user_version", 0).unwrap();
        connection.close().unwrap();
        assert!(std::fs::metadata(place.store()).unwrap().len() > 0);
        for commands in [&READERS[..], &WRITERS] {
            refused(&place, commands, 6, &["schema migrate"]);
        }
        let status = place.json(&["schema", "status"]);
        assert_eq!(status["current"], 0);
        assert_ne!(status["pending"], serde_json::json!([]));
        place.run(creator).ok();
        assert_eq!(
            place.json(&["schema", "status"])["pending"],
            serde_json::json!([])
        );
        place.run(&["sync", "--faq-path", "faq.csv"]).ok();
    }
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let place = place();
    let connection = Connection::open(place.store()).unwrap();
    connection
        .execute_batch("CREATE TABLE customers (name TEXT); INSERT INTO customers VALUES ('A');")
        .unwrap();
    connection.close().unwrap();
    for commands in [&READERS[..], &WRITERS, &CREATORS] {
        refused(&place, commands, 2, &["another program's SQLite database"]);
    }
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let place = place();
    std::fs::write(place.store(), "Не база данных.\n".repeat(100)).unwrap();
    for commands in [&READERS[..], &WRITERS, &CREATORS] {
        refused(&place, commands, 2, &["not a Smart Support store"]);
    }
}

#[test]
fn a_directory_in_the_place_of_a_store_is_named() {
    let place = place();
    std::fs::create_dir(place.store()).unwrap();
    for commands in [&READERS[..], &WRITERS, &CREATORS] {
        refused(&place, commands, 2, &["is a directory", "name a file"]);
    }
}

pub(crate) fn allow(path: &std::path::Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn permissions_are_respected_and_named() {
    let place = place();
    let faq = Faq::of(5);
    place.migrate("faq.csv", &[]);
    place.save(
        "changed.csv",
        &faq.edited(|entries| entries[0].answer.push('!')),
    );
    place.save("secret.csv", &faq);
    allow(&place.path("secret.csv"), 0o000);
    let before = place.data();

    let Some(run) = as_user(&place, &["sync", "--faq-path", "secret.csv"]) else {
        return;
    };
    run.expect(2).says(&["no permission to read", "chmod u+r"]);

    // A store that may be read and not written serves readers, and fails writers as I/O.
    allow(&place.store(), 0o400);
    allow(&place.path("data"), 0o500);
    for args in [&["search", "карта"][..], &["status"], &["validate"]] {
        as_user(&place, args).unwrap().ok();
    }
    let sync = ["sync", "--faq-path", "changed.csv"];
    let run = as_user(&place, &sync).unwrap().expect(1).prints_nothing();
    run.says(&[place.store().file_name().unwrap().to_str().unwrap()]);

    // A store that may not even be read.
    allow(&place.store(), 0o000);
    for args in [&["search", "карта"][..], &sync] {
        as_user(&place, args)
            .unwrap()
            .expect(1)
            .says(&["permission"]);
    }

    // A place where no store can be created.
    let elsewhere = [
        "migrate",
        "--faq-path",
        "faq.csv",
        "--sqlite-path",
        "data/new/x.db",
    ];
    as_user(&place, &elsewhere)
        .unwrap()
        .expect(1)
        .says(&["data/new"]);

    allow(&place.path("data"), 0o700);
    allow(&place.store(), 0o600);
    assert!(place.data() == before);
}

#[test]
fn files_are_for_their_owner_only() {
    let place = Place::hash();
    place.save("faq.csv", &Faq::of(5));
    place.migrate("faq.csv", &["--metadata-dir", "reports"]);
    for path in [
        place.store(),
        place.path("reports/smart-support-report.json"),
    ] {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}
