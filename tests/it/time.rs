//! Clocks, time zones and the dates of files: what changed is told by hashes, and nothing else.

use std::fs::{File, FileTimes};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration_tests::{Faq, Place, rows};
use rusqlite::Connection;

use crate::support::{api, billed_once, counts};

/// Milliseconds of a moment: before 1970, 1970, an hour ago, an hour from now, after 2038, after 2106, and beyond what
/// any calendar has.
fn moments() -> Vec<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    let hour = 3_600_000;
    vec![
        -hour,
        0,
        now - hour,
        now + hour,
        (1 << 31) * 1000,
        (1 << 32) * 1000,
        i64::MAX,
    ]
}

/// Gives a file that date.
fn date(place: &Place, file: &str, moment: i64) {
    // File systems end where calendars do not.
    let moment = moment.clamp(0, 253_402_300_799_000);
    let moment = UNIX_EPOCH + Duration::from_millis(moment.unsigned_abs());
    let times = FileTimes::new().set_accessed(moment).set_modified(moment);
    File::options()
        .append(true)
        .open(place.path(file))
        .and_then(|file| file.set_times(times))
        .unwrap();
}

/// Puts every moment that the store keeps without a checksum to this one: of rows and vectors, `validate` would find it.
fn rewrite_times(place: &Place, moment: i64) {
    let connection = Connection::open(place.store()).unwrap();
    for (table, column) in [
        ("embedding_spaces", "created_at"),
        ("collection_versions", "created_at"),
        ("runs", "started_at"),
        ("runs", "finished_at"),
        ("schema_migrations", "applied_at"),
    ] {
        let changed = connection
            .execute(
                &format!("UPDATE {table} SET {column} = ?1 WHERE {column} IS NOT NULL"),
                [moment],
            )
            .unwrap();
        assert!(changed > 0, "{table} keeps {column}");
    }
    connection
        .pragma_update(None, "wal_checkpoint", "TRUNCATE")
        .unwrap();
}

#[test]
fn dates_of_the_store_and_of_the_source_change_nothing() {
    let api = api();
    let place = Place::stub(&api);
    let mut faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let mut billed = 20;
    for moment in moments() {
        rewrite_times(&place, moment);
        date(&place, "faq.csv", moment);
        assert_eq!(
            place.json(&["validate", "--faq-path", "faq.csv"])["ok"],
            true,
            "{moment}"
        );
        let before = rows(&place.store(), "faq");
        let report = place.migrate("faq.csv", &[]);
        counts(
            &report,
            &[("unchanged", 20), ("embedded", 0), ("requests", 0)],
        );
        assert_eq!(rows(&place.store(), "faq"), before, "{moment}");
        // What tells times tells them, or leaves them out.
        place.json(&["status"]);
        let cache = place.json(&["cache", "stats"]);
        let oldest = &cache["oldest_seconds"];
        assert!(
            oldest.is_null() || oldest.as_i64() >= Some(0),
            "{moment}: {cache}"
        );

        // An edit in a file that is older than everything, or from the future, is an edit.
        faq.0[3].answer = format!("Ответ, каким он был в {moment}.");
        place.save("faq.csv", &faq);
        date(&place, "faq.csv", moment);
        let report = place.migrate("faq.csv", &[]);
        counts(
            &report,
            &[("modified", 1), ("unchanged", 19), ("embedded", 1)],
        );
        billed += 1;
        billed_once(&api, billed);
        let status = place.json(&["status"]);
        assert_eq!(status["last_run"]["texts"], 1, "{moment}: {status:#}");
    }
}

#[test]
fn a_time_zone_changes_nothing() {
    let api = api();
    let mut place = Place::stub(&api);
    place.save("faq.xlsx", &Faq::of(20));
    for zone in [
        "UTC",
        "Europe/Moscow",
        "America/New_York",
        "Pacific/Apia",
        // Summer time that begins today, whenever that is.
        "AAA-3BBB,0/0,364/0",
        "no such zone",
    ] {
        place.set("TZ", zone);
        place.migrate("faq.xlsx", &[]);
        assert_eq!(api.requests(), 2, "{zone}");
    }
    billed_once(&api, 20);
}
