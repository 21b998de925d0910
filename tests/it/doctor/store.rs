//! Stores that are not there, not whole, not free, or not as they could be.

use std::process::Command;

use integration_tests::{Faq, Outcome, Place, Reply, skip};
use rusqlite::Connection;

use super::{allow, check, filled, finds, follow, sick, well};
use crate::support::{Failing, as_user, stopping_at, unauthorized};

#[test]
fn a_fresh_place_is_told_how_to_begin() {
    let place = Place::hash();
    place.save("faq.csv", &Faq::of(5));
    let shown = place.store().display().to_string();
    let args = ["--faq-path", "faq.csv"];
    let remedy = sick(
        &place,
        &args,
        "store",
        &["there is no store", &shown, "default"],
        "migrate",
    );
    assert!(!place.path("data").exists());
    follow(&place, &remedy, "smart-support migrate");
    well(&place, &args, "store");
    well(&place, &args, "freshness");
}

#[test]
fn what_is_no_store_of_ours_is_named() {
    let place = filled();
    for (name, bytes) in [("notes.db", &b"no database"[..]), ("data", b"")] {
        if !bytes.is_empty() {
            place.write(name, bytes.repeat(20));
        }
        let args = ["--sqlite-path", name];
        sick(&place, &args, "store", &[name], "--store sqlite:PATH");
    }
    well(&place, &["--store", "sqlite:data/embeddings.db"], "store");
}

#[test]
fn an_empty_store_and_a_collection_that_is_not_there_are_named() {
    let place = Place::hash();
    place.save("faq.csv", &Faq::of(5));
    place.run(&["schema", "migrate"]).ok();
    let args = ["--faq-path", "faq.csv"];
    let remedy = sick(&place, &args, "entries", &["the store is empty"], "migrate");
    follow(&place, &remedy, "smart-support migrate");
    well(&place, &[], "entries");
    let other = ["--collection", "fqa"];
    sick(
        &place,
        &other,
        "entries",
        &["fqa is empty", "there are faq"],
        "--collection faq",
    );
    well(&place, &["--collection", "faq"], "entries");
}

#[test]
fn permissions_are_looked_at_from_both_sides() {
    let place = filled();
    // Others may read it: the seeds' chmod 666.
    allow(&place.store(), 0o666);
    let remedy = sick(&place, &[], "store_private", &["mode 666"], "chmod 600");
    follow(&place, &remedy, "chmod");
    well(&place, &[], "store_private");
    // We may not write it.
    allow(&place.path("data"), 0o500);
    let Some(run) = as_user(&place, &["doctor", "--json"]) else {
        return;
    };
    let remedy = finds(
        run,
        "store_writable",
        &["may not be written to"],
        "chmod u+w",
    );
    follow(&place, &remedy, "chmod u+w");
    let run = as_user(&place, &["doctor", "--json"]).unwrap();
    assert_eq!(check(&run.json(), "store_writable")["ok"], true);
    // We may not even read it.
    allow(&place.store(), 0o000);
    let run = as_user(&place, &["doctor", "--json"]).unwrap();
    let remedy = finds(run, "store", &["no permission"], "chmod u+rw");
    follow(&place, &remedy, "chmod u+rw");
    let run = as_user(&place, &["doctor", "--json"]).unwrap();
    assert_eq!(check(&run.ok().json(), "store")["ok"], true);
}

#[test]
fn an_old_schema_is_migrated_and_a_new_one_is_left_alone() {
    let place = filled();
    let version = |version: u32| {
        let connection = Connection::open(place.store()).unwrap();
        connection
            .pragma_update(None, "user_version", version)
            .unwrap();
        connection.close().unwrap();
    };
    let today: u32 = {
        let connection = Connection::open(place.store()).unwrap();
        connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    };
    version(99);
    sick(&place, &[], "schema", &["99"], "upgrade smart-support");
    version(today);
    well(&place, &[], "schema");

    let place = Place::hash();
    std::fs::create_dir(place.path("data")).unwrap();
    let connection = Connection::open(place.store()).unwrap();
    connection
        .pragma_update(None, "application_id", 0x536d_5375)
        .unwrap();
    connection.close().unwrap();
    let remedy = sick(
        &place,
        &[],
        "schema",
        &["version 0"],
        "smart-support schema migrate",
    );
    follow(&place, &remedy, "smart-support");
    well(&place, &[], "schema");
}

#[test]
fn a_damaged_store_is_found_and_can_be_built_again() {
    let place = filled();
    let connection = Connection::open(place.store()).unwrap();
    connection
        .execute_batch("UPDATE embedding_vectors SET checksum = zeroblob(32) WHERE vector_id = 2")
        .unwrap();
    connection.close().unwrap();
    let args = ["--faq-path", "faq.csv"];
    let remedy = sick(
        &place,
        &args,
        "integrity",
        &["vector_hashes"],
        "smart-support repair, then smart-support sync",
    );
    assert!(remedy.contains("smart-support restore FILE"), "{remedy}");
    // One vector is lost and its row is not: the repair says so with its exit code.
    place.run(&["repair"]).expect(3);
    let remedy = sick(&place, &args, "integrity", &["without a vector"], "sync");
    sick(&place, &args, "entries", &["1 of 20 entries"], "sync");
    follow(&place, &remedy, "smart-support sync");
    well(&place, &args, "integrity");
    well(&place, &args, "entries");
}

#[test]
fn a_full_disk_is_seen_before_it_is_full() {
    let place = filled();
    let mut shell = Command::new("unshare");
    let binary = integration_tests::binary().display();
    let mounted = place.path("small");
    std::fs::create_dir(&mounted).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=8m none '{0}' && cp -r data '{0}' && exec '{binary}' doctor --json --sqlite-path \
         small/data/embeddings.db",
        mounted.display()
    );
    shell.args(["-m", "sh", "-c", &script]);
    place.prepare(&mut shell);
    let output = shell.output().unwrap();
    if output.stdout.is_empty() {
        skip("file systems cannot be mounted here");
        return;
    }
    let run = Outcome {
        command: "doctor on a small disk".into(),
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    finds(run, "disk_space", &["free in"], "keep the store elsewhere");
    well(
        &place,
        &["--store", "sqlite:data/embeddings.db"],
        "disk_space",
    );
}

#[test]
fn a_store_that_is_busy_says_with_whom() {
    let server = stopping_at(1, Reply::Vectors);
    let place = Place::stub(&server.api);
    place.save("faq.csv", &Faq::with_ids(20));
    place.run(&["schema", "migrate"]).ok();
    let mut child = place
        .command(&["sync", "--faq-path", "faq.csv", "--concurrency", "1"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    server.wait();
    let holder = format!("pid {}", child.id());
    sick(
        &place,
        &["--offline"],
        "writer",
        &["another process is writing", &holder],
        "--wait",
    );
    server.release();
    child.wait().unwrap();
    well(&place, &["--offline"], "writer");

    // Not one of ours: a shell with a transaction open.
    let connection = Connection::open(place.store()).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    let holder = format!("pid {}", std::process::id());
    sick(
        &place,
        &["--offline"],
        "writer",
        &["holds a transaction open", &holder],
        "ROLLBACK",
    );
    connection.execute_batch("ROLLBACK").unwrap();
    well(&place, &["--offline"], "writer");
}

#[test]
fn a_log_that_was_left_behind_is_taken_in() {
    let place = filled();
    let faq = Faq::with_ids(20);
    place.save(
        "more.csv",
        &faq.edited(|entries| entries[3].answer.push('!')),
    );
    // While somebody else has the store open, a writer cannot take its log in: as if it had been cut off.
    let connection = Connection::open(place.store()).unwrap();
    connection
        .query_row("SELECT count(*) FROM embedding_records", (), |_| Ok(()))
        .unwrap();
    place.run(&["sync", "--faq-path", "more.csv"]).ok();
    let files = place.data();
    drop(connection);
    for (name, bytes) in files {
        std::fs::write(place.path("data").join(name), bytes).unwrap();
    }
    let remedy = sick(
        &place,
        &[],
        "write_ahead_log",
        &["nothing is lost"],
        "cache prune",
    );
    follow(&place, &remedy, "smart-support cache prune");
    assert_eq!(well(&place, &[], "write_ahead_log"), "empty");
    well(&place, &["--faq-path", "more.csv"], "freshness");

    let log = std::fs::File::create(place.path("data/embeddings.db-wal")).unwrap();
    allow(&place.path("data/embeddings.db-wal"), 0o600);
    log.set_len(65 << 20).unwrap();
    drop(log);
    let remedy = sick(
        &place,
        &[],
        "write_ahead_log",
        &["68.2 MB"],
        "end long-running readers",
    );
    follow(&place, &remedy, "smart-support cache prune");
    well(&place, &[], "write_ahead_log");
}

#[test]
fn a_run_that_was_cut_off_is_resumed() {
    let provider = Failing::after(1, unauthorized());
    let place = Place::stub(&provider.api);
    place.save("faq.csv", &Faq::with_ids(40));
    place
        .run(&["migrate", "--faq-path", "faq.csv", "--concurrency", "1"])
        .expect(2);
    provider.mend();
    let args = ["--faq-path", "faq.csv"];
    let details = ["10 texts are paid for and kept"];
    let remedy = sick(
        &place,
        &args,
        "last_run",
        &details,
        "run the same command again",
    );
    follow(&place, &remedy, "smart-support sync");
    assert!(well(&place, &args, "last_run").contains("finished"));
}

#[test]
fn vectors_that_nobody_needs_are_worth_a_word_when_they_are_many() {
    let place = Place::hash();
    let faq = Faq::with_ids(400);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let edited = faq.edited(|entries| {
        for entry in entries.iter_mut() {
            entry.answer.push('!');
        }
    });
    place.save("faq.csv", &edited);
    place.run(&["sync", "--faq-path", "faq.csv"]).ok();
    let details = ["400 of 800 vectors"];
    let remedy = sick(&place, &[], "unreferenced_vectors", &details, "cache prune");
    follow(&place, &remedy, "smart-support cache prune");
    well(&place, &[], "unreferenced_vectors");
}

#[test]
fn a_remedy_is_for_the_store_that_was_looked_at() {
    let place = filled();
    let before = place.data();
    let args = [
        "--sqlite-path",
        "other place/x.db",
        "--collection",
        "cards",
        "--faq-path",
        "faq.csv",
    ];
    let remedy = sick(
        &place,
        &args,
        "store",
        &["other place/x.db"],
        "--collection cards",
    );
    follow(&place, &remedy, "smart-support migrate");
    assert!(well(&place, &args, "entries").contains("20 entries in collection cards"));
    assert!(place.data() == before);
}
