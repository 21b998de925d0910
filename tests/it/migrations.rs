//! Many at once, and cut off in the middle: every step of the schema is applied once.

use std::process::{Command, Stdio};

use integration_tests::{Faq, Place, scalar, skip};
use rusqlite::Connection;

/// A store that was claimed and never migrated.
fn old(place: &Place) {
    let _ = std::fs::remove_dir_all(place.path("data"));
    std::fs::create_dir(place.path("data")).unwrap();
    let connection = Connection::open(place.store()).unwrap();
    connection
        .execute_batch("PRAGMA application_id = 0x536d5375; PRAGMA user_version = 0; VACUUM;")
        .unwrap();
    connection.close().unwrap();
    assert!(std::fs::metadata(place.store()).unwrap().len() > 0);
}

/// Every migration has one line, and the store is whole.
fn migrated_once(place: &Place, context: &str) {
    let lines = scalar(&place.store(), "SELECT count(*) FROM schema_migrations");
    let steps = scalar(
        &place.store(),
        "SELECT count(DISTINCT version) FROM schema_migrations",
    );
    let newest = scalar(&place.store(), "PRAGMA user_version");
    assert_eq!((lines, steps), (newest, newest), "{context}");
    assert!(newest > 0, "{context}");
    place.run(&["validate"]).ok();
}

#[test]
fn eight_processes_migrate_at_the_same_instant() {
    const PROCESSES: usize = 8;
    let place = Place::hash();
    place.save("faq.csv", &Faq::with_ids(5));
    for round in 0..20 {
        // A store of an older schema, and none at all; the schema alone, and with the rows.
        if round % 2 == 0 {
            old(&place);
        } else {
            let _ = std::fs::remove_dir_all(place.path("data"));
        }
        let args: &[&str] = if round % 4 < 3 {
            &["schema", "migrate", "--wait", "60s"]
        } else {
            &["migrate", "--faq-path", "faq.csv", "--wait", "60s"]
        };
        let started: Vec<_> = (0..PROCESSES)
            .map(|_| {
                let mut command = place.command(args);
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        for process in started {
            let output = process.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "round {round}: {said}");
        }
        migrated_once(&place, &format!("round {round}"));
    }
}

#[test]
fn a_migration_that_is_killed_leaves_the_old_schema_or_the_new_one() {
    let strace = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status();
    if !strace.is_ok_and(|status| status.success()) {
        skip("there is no strace to kill a process at a chosen moment");
        return;
    }
    let place = Place::hash();
    place.save("faq.csv", &Faq::with_ids(5));
    let mut kills = 0;
    for call in ["pwrite64", "fdatasync", "ftruncate", "unlink"] {
        for number in 1..40 {
            old(&place);
            let args: &[&str] = if number % 2 == 0 {
                &["schema", "migrate"]
            } else {
                &["migrate", "--faq-path", "faq.csv"]
            };
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
                ])
                .args(["-e", &format!("inject={call}:signal=KILL:when={number}")])
                .arg(product.get_program())
                .args(product.get_args());
            place.prepare(&mut command);
            let whole = command.output().unwrap().status.success();
            let status = place.run(&["schema", "status", "--json"]);
            if status.code == 0 {
                let status = status.json();
                // Every migration is one transaction: what was applied and what is pending are all there are.
                let number_of = |key: &str| status[key].as_u64().unwrap();
                let pending = status["pending"].as_array().unwrap().len() as u64;
                let whole = number_of("current") + pending == number_of("latest");
                assert!(whole, "{call} {number}: {status}");
            } else {
                // Only a writer may undo what was cut off; a reader names it.
                let status = status.expect(1);
                status.says(&["cut off", "smart-support schema migrate"]);
            }
            place.run(args).ok();
            migrated_once(&place, &format!("{call} {number}"));
            if whole {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills >= 10, "only {kills} kills");
}
