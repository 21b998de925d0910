//! `doctor`: each broken situation made for real, found, and mended by the very command that it names.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use integration_tests::{Faq, KEY, Outcome, Place, Reply, StubApi, skip};
use rusqlite::Connection;
use serde_json::Value;

use crate::support::{DIMENSIONS, Failing, api, as_user, stopping_at, unauthorized, unavailable};

/// The check of that name in a report.
#[track_caller]
fn check(report: &Value, name: &str) -> Value {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    found
        .unwrap_or_else(|| panic!("no check {name} in {report:#}"))
        .clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The run found this fault, says these words of it, and names this remedy, which is returned.
#[track_caller]
fn finds(run: Outcome, name: &str, details: &[&str], remedy: &str) -> String {
    let report = run.expect(4).json();
    assert_eq!(report["ok"], false);
    let found = check(&report, name);
    assert_eq!(found["ok"], false, "{found:#}");
    assert_eq!(found["skipped"], false);
    for part in details {
        assert!(text(&found["detail"]).contains(part), "{part} in {found:#}");
    }
    assert!(
        text(&found["remedy"]).contains(remedy),
        "{remedy} in {found:#}"
    );
    text(&found["remedy"]).to_owned()
}

/// Runs `doctor` and looks for a fault.
#[track_caller]
fn sick(place: &Place, args: &[&str], name: &str, details: &[&str], remedy: &str) -> String {
    finds(doctor(place, args), name, details, remedy)
}

/// That check holds now.
#[track_caller]
fn well(place: &Place, args: &[&str], name: &str) -> String {
    let found = check(&doctor(place, args).json(), name);
    assert_eq!(found["ok"], true, "{found:#}");
    assert_eq!(found["skipped"], false, "{found:#}");
    assert_eq!(found["remedy"], Value::Null);
    text(&found["detail"]).to_owned()
}

fn doctor(place: &Place, args: &[&str]) -> Outcome {
    place.run(&[&["doctor", "--json"], args].concat())
}

/// Types the part of a remedy that begins so, up to the end of that command.
#[track_caller]
fn follow(place: &Place, remedy: &str, begins: &str) {
    let from = remedy.find(begins).unwrap();
    let end = remedy[from..]
        .find([';', ','])
        .map_or(remedy.len(), |at| from + at);
    let typed = &remedy[from..end];
    let mut shell = Command::new("sh");
    shell.args(["-c", typed]);
    place.prepare(&mut shell);
    // The command is typed as it stands, so it must be found.
    let binaries = integration_tests::binary().parent().unwrap().display();
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("PATH", format!("{binaries}:{path}"));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{typed}: {output:?}");
}

fn filled() -> Place {
    let place = Place::hash();
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    place
}

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_healthy_store_has_no_finding_and_nothing_is_written() {
    let place = filled();
    let before = place.files();
    let run = place.run(&["doctor", "--faq-path", "faq.csv"]).ok();
    assert!(
        run.stdout.contains("Nothing found that needs mending"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("✓ entries: 20 entries"),
        "{}",
        run.stdout
    );
    let report = place.json(&["doctor", "--faq-path", "faq.csv"]);
    assert_eq!(report["schema"], 1);
    assert_eq!(report["ok"], true);
    for found in report["checks"].as_array().unwrap() {
        assert_eq!(found["ok"], true, "{found:#}");
    }
    let quiet = place.run(&["doctor", "-q"]).ok().stdout;
    assert!(!quiet.contains('✓'), "{quiet}");
    assert!(place.files() == before);
}

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
        "put a backup",
    );
    follow(&place, &remedy, "mv ");
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
fn another_model_than_the_stores_is_found_by_name_and_by_dimensions() {
    let server = api();
    let mut place = Place::stub(&server);
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    well(&place, &[], "model");
    place.set("EMBEDDING_MODEL_NAME", "another-model");
    let details = ["stub-model", "another-model"];
    sick(
        &place,
        &[],
        "model",
        &details,
        "EMBEDDING_MODEL_NAME=stub-model",
    );
    place.set("EMBEDDING_MODEL_NAME", "stub-model");
    well(&place, &[], "model");

    // The same name, other numbers: only the provider's answer can tell.
    let wider = StubApi::start(DIMENSIONS * 2, std::time::Duration::ZERO);
    place.use_stub(&wider);
    let details = ["embedding dimension mismatch", "64", "128"];
    let remedy = sick(&place, &[], "model", &details, "--force-recompute");
    place.set("FAQ_PATH", "faq.csv");
    follow(&place, &remedy, "smart-support migrate --force-recompute");
    well(&place, &[], "model");
}

#[test]
fn the_provider_is_asked_once_and_not_at_all_offline() {
    let server = api();
    let place = Place::stub(&server);
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    let before = server.requests();
    let report = place.json(&["doctor", "--offline"]);
    assert_eq!(check(&report, "provider")["skipped"], true);
    assert_eq!(server.requests(), before);
    assert!(well(&place, &[], "provider").contains("one request"));
    assert_eq!(server.requests(), before + 1);
}

#[test]
fn a_provider_that_refuses_or_is_down_is_named_with_its_remedy() {
    for (reply, details, remedy) in [
        (unauthorized(), "wrong or missing key", "EMBEDDING_API_KEY"),
        (unavailable(), "503", "try again later"),
    ] {
        let provider = Failing::after(0, reply);
        let mut place = Place::stub(&provider.api);
        // Patience is for runs that have something to lose.
        place.set("EMBEDDING_MAX_RETRIES", "5");
        sick(&place, &[], "provider", &[details], remedy);
        assert_eq!(provider.api.requests(), 1);
        provider.mend();
        well(&place, &[], "provider");
    }
    let mut place = Place::new();
    place.set("EMBEDDING_PROVIDER", "ollama");
    place.set("EMBEDDING_BASE_URL", "http://127.0.0.1:9");
    sick(
        &place,
        &[],
        "provider",
        &["127.0.0.1:9"],
        "EMBEDDING_BASE_URL",
    );
}

#[test]
fn an_embedder_that_is_not_configured_is_named() {
    let mut place = Place::new();
    place.set("EMBEDDING_PROVIDER", "openai");
    let remedy = sick(
        &place,
        &[],
        "embedder",
        &["no address"],
        "EMBEDDING_BASE_URL",
    );
    assert!(remedy.starts_with("set "), "{remedy}");
    place.set("EMBEDDING_BASE_URL", "http://127.0.0.1:9/v1");
    well(&place, &["--offline"], "embedder");
}

#[test]
fn weights_that_are_not_there_are_fetched_ahead_of_time() {
    let mut place = Place::new();
    let args = ["--offline"];
    let remedy = sick(
        &place,
        &args,
        "weights",
        &["no model weights"],
        "smart-support model fetch",
    );
    assert!(!remedy.contains("; "), "{remedy}");
    // Ones of our own are taken as they are.
    let own = place.write("own.bin", "weights");
    place.set("SMART_SUPPORT_MODEL_PATH", &own);
    let found = check(&doctor(&place, &args).json(), "weights");
    assert_ne!(
        text(&found["remedy"]),
        "run `smart-support model fetch`",
        "{found:#}"
    );
}

#[test]
fn a_source_is_read_and_compared() {
    let place = filled();
    let absent = ["--faq-path", "fqa.csv"];
    sick(&place, &absent, "source", &["fqa.csv"], "faq.csv");

    place.write("plain.csv", "a,b\n1,2\n");
    let remedy = sick(
        &place,
        &["--faq-path", "plain.csv"],
        "source",
        &["column"],
        "--map",
    );
    assert!(!remedy.is_empty());

    let doubled = Faq::with_ids(20).edited(|entries| entries[5].id = Some("t4".into()));
    place.save("doubled.csv", &doubled);
    let args = ["--faq-path", "doubled.csv"];
    sick(
        &place,
        &args,
        "source_rows",
        &["row 7", "t4"],
        "mend these rows in doubled.csv",
    );
    place.save("doubled.csv", &Faq::with_ids(20));
    well(&place, &args, "source_rows");

    let edited = Faq::with_ids(21).edited(|entries| entries[5].answer.push('!'));
    place.save("faq.csv", &edited);
    let args = ["--faq-path", "faq.csv"];
    let details = ["19 equal, 1 new, 1 modified"];
    let remedy = sick(&place, &args, "freshness", &details, "smart-support sync");
    follow(&place, &remedy, "smart-support sync");
    well(&place, &args, "freshness");
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
fn what_a_killed_run_left_lying_about_is_named() {
    let place = filled();
    let mut gone = Command::new("true").spawn().unwrap();
    let number = gone.id();
    gone.wait().unwrap();
    let report = place.write(&format!(".smart-support-report.{number}.tmp"), "{");
    // Somebody is still writing this one.
    let alive = format!(".smart-support-report.{}.tmp", std::process::id());
    place.write(&alive, "{");
    let name = report.file_name().unwrap().to_str().unwrap();
    let remedy = sick(&place, &[], "leftovers", &[name], "rm -r");
    assert!(!remedy.contains(&alive), "{remedy}");
    follow(&place, &remedy, "rm -r");
    assert!(!report.exists());
    well(&place, &[], "leftovers");
}

#[test]
fn settings_that_cannot_be_read_are_the_first_thing_to_mend() {
    let mut place = filled();
    place.unset("EMBEDDING_API_KEY");
    place.set("EMBEDDING_API_KEY_FILE", "no-such-file");
    let details = ["EMBEDDING_API_KEY_FILE", "cannot be read"];
    sick(&place, &[], "settings", &details, "it takes a path");
    place.write("no-such-file", "key");
    allow(&place.path("no-such-file"), 0o600);
    well(&place, &[], "settings");

    place.set("EMBEDDING_TIMEOUT", "soon");
    sick(
        &place,
        &[],
        "settings",
        &["soon", "EMBEDDING_TIMEOUT"],
        "expected a time such as 60s",
    );
    place.set("EMBEDDING_TIMEOUT", "5s");
    well(&place, &[], "settings");
}

#[test]
fn settings_that_fight_are_named() {
    let mut place = filled();
    place.set("DATABASE_URL", "postgresql://u:SECRET@host/db");
    place.set("STORAGE_BACKEND", "sqlite");
    let details = ["DATABASE_URL", "passed over"];
    sick(
        &place,
        &[],
        "settings_agree",
        &details,
        "unset DATABASE_URL",
    );
    place.unset("DATABASE_URL");
    well(&place, &[], "settings_agree");
    place.set("EMBEDDING_BASE_URL", "http://127.0.0.1:9/v1");
    sick(
        &place,
        &[],
        "settings_agree",
        &["hash"],
        "EMBEDDING_PROVIDER=openai",
    );
    place.unset("EMBEDDING_BASE_URL");
    well(&place, &[], "settings_agree");
}

#[test]
fn a_file_with_a_key_is_for_its_owner() {
    let mut place = filled();
    place.unset("EMBEDDING_API_KEY");
    let file = place.write(".env", format!("EMBEDDING_API_KEY={KEY}\n"));
    allow(&file, 0o644);
    let remedy = sick(
        &place,
        &[],
        "secrets_private",
        &[".env", "644"],
        "chmod 600",
    );
    follow(&place, &remedy, "chmod");
    well(&place, &[], "secrets_private");
}

#[test]
fn a_postgres_store_is_told_the_truth_and_its_password_is_not_shown() {
    let mut place = Place::hash();
    place.set(
        "DATABASE_URL",
        "postgresql://app:pa@SECRET:w/rd@db.example.com:5432/faq",
    );
    let run = doctor(&place, &[]).expect(4);
    assert!(!run.stdout.contains("SECRET") && !run.stderr.contains("SECRET"));
    let masked = "postgresql://app:***%40***%3A***%2F***@db.example.com:5432/faq";
    finds(
        run.clone(),
        "database_url",
        &["could not translate host name"],
        masked,
    );
    finds(
        run,
        "store",
        &["no PostgreSQL backend"],
        "--store sqlite:PATH",
    );
    place.set(
        "DATABASE_URL",
        "postgresql://app:pa%40SECRET@db.example.com:5432/faq",
    );
    well(&place, &[], "database_url");
}
