//! Places that may be read and not written: readers are served, writers are told why, and nothing appears there.

use std::path::PathBuf;
use std::process::Command;

use integration_tests::{Faq, Outcome, Place, skip};
use rusqlite::Connection;

use crate::bad_store::allow;
use crate::support::as_user;

const READERS: [&[&str]; 3] = [&["search", "карта"], &["status"], &["validate"]];

fn filled() -> Place {
    let place = Place::hash();
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    place.save(
        "faq.csv",
        &faq.edited(|entries| entries[0].answer.push('!')),
    );
    place.json(&["backup", "backup.db"]);
    // The lock of the writer that was here stays; a place without it is the harder one.
    std::fs::remove_file(place.path("data/embeddings.db.lock")).unwrap();
    place
}

/// Every command on the place, by whoever may run there: three that read, five that write.
fn check(place: &Place, run: &dyn Fn(&[&str]) -> Option<Outcome>) {
    let before = place.data();
    for args in READERS {
        let Some(outcome) = run(args) else {
            return;
        };
        outcome.ok();
        assert!(place.data() == before, "{args:?} wrote something");
    }
    run(&["backup", "out/copy.db", "--force"]).unwrap().ok();
    // Nothing is wrong with the store, so a repair has nothing to write.
    run(&["repair"]).unwrap().ok();
    for args in [
        &["sync", "--faq-path", "faq.csv"][..],
        &["migrate", "--faq-path", "faq.csv"],
        &["cache", "prune"],
        &["backup", "data/copy.db"],
    ] {
        let outcome = run(args).unwrap();
        let outcome = outcome.expect(1);
        assert!(
            outcome.error().contains("data"),
            "{args:?}: {}",
            outcome.error()
        );
        assert!(place.data() == before, "{args:?} wrote something");
    }
}

#[test]
fn a_read_only_directory() {
    let place = filled();
    allow(&place.store(), 0o400);
    allow(&place.path("data"), 0o500);
    check(&place, &|args| as_user(&place, args));
    let restored = as_user(&place, &["restore", "backup.db"]);
    if let Some(outcome) = restored {
        outcome.expect(1).says(&["no permission to write"]);
    }
    allow(&place.path("data"), 0o700);
}

#[test]
fn a_read_only_file_in_a_directory_that_is_not() {
    let place = filled();
    allow(&place.store(), 0o400);
    let before = std::fs::read(place.store()).unwrap();
    for args in READERS {
        let Some(outcome) = as_user(&place, args) else {
            return;
        };
        outcome.ok();
    }
    assert_eq!(place.data().len(), 1);
    let outcome = as_user(&place, &["sync", "--faq-path", "faq.csv"]).unwrap();
    outcome.expect(1).says(&["embeddings.db", "permissions"]);
    assert!(std::fs::read(place.store()).unwrap() == before);
    allow(&place.store(), 0o600);
}

/// A directory that is mounted for reading, until it is dropped.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn mount(directory: PathBuf) -> Option<Self> {
        let run = |args: &[&str]| {
            let output = Command::new("mount").args(args).arg(&directory).output();
            output.is_ok_and(|output| output.status.success())
        };
        let shown = directory.display().to_string();
        if !run(&["--bind", &shown]) {
            skip("this user may mount nothing, so there is no read-only file system to test on");
            return None;
        }
        let mounted = Self(directory.clone());
        assert!(
            run(&["-o", "remount,ro,bind"]),
            "{shown} cannot be mounted read-only"
        );
        Some(mounted)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_read_only_file_system() {
    let place = filled();
    let Some(_mounted) = ReadOnly::mount(place.path("data")) else {
        return;
    };
    check(&place, &|args| Some(place.run(args)));
    let restored = place.run(&["restore", "backup.db"]);
    restored.expect(1).says(&["file system is read-only"]);
}

/// What a killed writer committed last is in its log, and a medium that cannot be written to must show it.
#[test]
fn a_store_with_a_log_on_a_read_only_file_system() {
    let place = filled();
    let connection = Connection::open(place.store()).unwrap();
    connection
        .pragma_update(None, "wal_autocheckpoint", 0)
        .unwrap();
    connection
        .execute("UPDATE sources SET location = 'elsewhere'", ())
        .unwrap();
    let files = place.data();
    drop(connection);
    for (name, bytes) in &files {
        place.write(&format!("data/{}", name.display()), bytes);
    }
    assert!(
        std::fs::metadata(place.path("data/embeddings.db-wal"))
            .unwrap()
            .len()
            > 0
    );
    let before = place.data();
    let Some(_mounted) = ReadOnly::mount(place.path("data")) else {
        return;
    };
    for args in READERS {
        place.run(args).ok();
    }
    place.run(&["sync", "--faq-path", "faq.csv"]).expect(1);
    assert!(place.data() == before);
    // Its backup needs no log any more.
    place.json(&["backup", "copy.db"]);
    let copied = integration_tests::open(&place.path("copy.db"));
    let location: String = copied
        .query_row("SELECT location FROM sources", (), |row| row.get(0))
        .unwrap();
    assert_eq!(location, "elsewhere");
}
