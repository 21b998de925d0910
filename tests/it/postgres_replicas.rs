//! A real standby beside the primary: it is read, it says how far it is, it is passed over when it is away, and it takes
//! over when the primary is gone.

use std::process::Stdio;
use std::time::{Duration, Instant};

use integration_tests::postgres::{Client, PrivateServer, Shutdown};
use integration_tests::{Faq, Outcome, Place, Reply};
use serde_json::Value;

use crate::support::{Stopping, api, billed_once, counts, stopping_at};

/// Only what never comes takes so long.
const DEADLINE: Duration = Duration::from_secs(120);

/// Two servers; the second follows the first.
struct Pair {
    primary: PrivateServer,
    standby: PrivateServer,
}

impl Pair {
    fn start() -> Option<Self> {
        let primary = PrivateServer::start()?;
        let _ = primary.create_database("faq");
        let standby = primary.standby();
        Some(Self { primary, standby })
    }

    /// Nothing is confirmed before the standby has it, so that nothing is lost with the primary.
    fn wait_for_each_other(&self) {
        let client = self.primary.client("postgres");
        client.run("alter system set synchronous_standby_names = '*'");
        client.run("select pg_reload_conf()");
        until("the standby is waited for", || {
            client.scalar("select count(*) from pg_stat_replication where sync_state = 'sync'")
                == "1"
        });
    }

    fn caught_up(&self) {
        let written = self
            .primary
            .client("faq")
            .scalar("select pg_current_wal_lsn()");
        let standby = self.standby.client("faq");
        until("the standby has replayed", || {
            standby.scalar(&format!("select pg_last_wal_replay_lsn() >= '{written}'")) == "t"
        });
    }

    /// Whichever of the two takes writes.
    fn either(&self) -> String {
        let (first, second) = (self.primary.url("faq"), self.standby.port());
        let first = first.replace("/faq", &format!(",127.0.0.1:{second}/faq"));
        format!("{first}?target_session_attrs=read-write")
    }
}

#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "not within two minutes: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn read_from(place: &Place) -> Value {
    place.json(&["status"])["read_from"].clone()
}

/// A question of the FAQ, and the same after an edit.
const QUESTION: &str = "Как закрыть сейф на выходных?";

fn edited(faq: &Faq) -> Faq {
    faq.edited(|entries| entries[0].question = QUESTION.to_owned())
}

fn finds(place: &Place) -> bool {
    place
        .json(&["search", QUESTION, "--top-k", "1", "--threshold", "0"])
        .to_string()
        .contains(QUESTION)
}

#[test]
fn reads_come_from_a_replica_which_says_how_far_it_is() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut place = Place::hash();
    let faq = Faq::with_ids(30);
    place.set("DATABASE_URL", pair.primary.url("faq"));
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    assert_eq!(read_from(&place), Value::Null);
    pair.caught_up();
    place.set("POSTGRES_READ_URLS", pair.standby.url("faq"));

    let read = read_from(&place);
    assert!(
        read["place"]
            .as_str()
            .unwrap()
            .contains(&pair.standby.port().to_string()),
        "{read}"
    );
    assert_eq!(read["standby"], true);
    assert_eq!(
        (&read["behind"], &read["generation"]),
        (&0.into(), &read["primary_generation"])
    );
    place
        .run(&["status"])
        .ok()
        .prints(&["Read from", "a standby", "as far as the primary"]);

    // What is written meanwhile is not there yet: old answers, and it is said that they are.
    let standby = pair.standby.client("faq");
    standby.run("select pg_wal_replay_pause()");
    until("replay is paused", || {
        standby.scalar("select pg_get_wal_replay_pause_state()") == "paused"
    });
    place.save("faq.csv", &edited(&faq));
    counts(
        &place.json(&["sync", "--faq-path", "faq.csv"]),
        &[("modified", 1)],
    );
    let behind = read_from(&place);
    assert_eq!(behind["generation"], read["generation"]);
    assert!(behind["behind"].as_u64().unwrap() > 0, "{behind}");
    place.run(&["status"]).ok().prints(&["behind the primary"]);
    assert!(!finds(&place));
    standby.run("select pg_wal_replay_resume()");
    pair.caught_up();
    assert_eq!(read_from(&place)["behind"], 0);
    assert!(finds(&place));

    pair.primary.stop(Shutdown::Fast);
    assert!(finds(&place));
    let alone = read_from(&place);
    assert_eq!(
        (&alone["behind"], &alone["primary_generation"]),
        (&Value::Null, &Value::Null)
    );
    place
        .run(&["status"])
        .ok()
        .prints(&["the primary cannot be asked"]);
    assert_eq!(place.json(&["validate"])["ok"], true);
}

#[test]
fn a_replica_that_is_down_is_passed_over_for_the_next_and_then_the_primary() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut place = Place::hash();
    place.set("DATABASE_URL", pair.primary.url("faq"));
    place.save("faq.csv", &edited(&Faq::with_ids(20)));
    place.migrate("faq.csv", &[]);
    pair.caught_up();
    // Nobody listens on the port of a server that has gone.
    let gone = {
        let mut server = PrivateServer::start().unwrap();
        server.stop(Shutdown::Fast);
        server
    };
    let urls = format!("{},{}", gone.url("faq"), pair.standby.url("faq"));
    place.set("POSTGRES_READ_URLS", urls);
    let port = |read: &Value, port: u16| {
        let shown = read["place"].as_str().unwrap().to_owned();
        assert!(shown.contains(&format!(":{port}/")), "{shown}");
    };
    let run = place.run(&["status", "--json"]).ok();
    let run = run.says(&["a replica cannot be read", &gone.port().to_string()]);
    port(&run.json()["read_from"], pair.standby.port());
    assert!(finds(&place));

    pair.standby.stop(Shutdown::Fast);
    let run = place.run(&["status", "--json"]).ok();
    assert_eq!(
        run.stderr.matches("a replica cannot be read").count(),
        2,
        "{}",
        run.stderr
    );
    let read = run.json()["read_from"].clone();
    port(&read, pair.primary.port());
    assert_eq!(
        (&read["behind"], &read["standby"]),
        (&0.into(), &false.into())
    );
    assert!(finds(&place));

    pair.primary.stop(Shutdown::Fast);
    place
        .run(&["search", QUESTION])
        .expect(75)
        .says(&[&pair.primary.port().to_string()]);
}

#[test]
fn a_replica_without_the_store_is_passed_over_and_another_store_is_said_to_be_one() {
    let Some(primary) = PrivateServer::start() else {
        return;
    };
    let mut place = Place::hash();
    place.set("DATABASE_URL", primary.create_database("faq"));
    place.save("faq.csv", &Faq::with_ids(10));
    place.migrate("faq.csv", &[]);
    let other = primary.create_database("other");
    place.set("POSTGRES_READ_URLS", &other);
    let run = place.run(&["status", "--json"]).ok();
    let run = run.says(&["a replica cannot be read", "there is no store"]);
    assert_eq!(run.json()["collections"][0]["records"], 10);

    place.set("DATABASE_URL", &other);
    place.unset("POSTGRES_READ_URLS");
    place.migrate("faq.csv", &[]);
    place.set("DATABASE_URL", primary.url("faq"));
    place.set("POSTGRES_READ_URLS", &other);
    let run = place
        .run(&["status", "--json"])
        .ok()
        .says(&["no replica of the store"]);
    assert_eq!(run.json()["read_from"]["behind"], Value::Null);
}

#[test]
fn what_the_primary_has_to_be_a_replica_is_not() {
    let Some(pair) = Pair::start() else { return };
    let mut place = Place::hash();
    place.set("DATABASE_URL", pair.either());
    place.save("faq.csv", &Faq::with_ids(10));
    place.migrate("faq.csv", &[]);
    pair.caught_up();
    place.set("POSTGRES_READ_URLS", pair.standby.url("faq"));
    let run = place.run(&["status", "--json"]).ok();
    assert_eq!(run.stderr, "");
    assert_eq!(run.json()["read_from"]["standby"], true);
}

#[test]
fn nothing_is_written_to_a_standby() {
    let Some(pair) = Pair::start() else { return };
    let api = api();
    let mut place = Place::stub(&api);
    place.set("DATABASE_URL", pair.primary.url("faq"));
    place.save("faq.csv", &Faq::with_ids(10));
    place.migrate("faq.csv", &[]);
    pair.caught_up();
    place.set("DATABASE_URL", pair.standby.url("faq"));
    for command in [
        &["sync", "--faq-path", "faq.csv"][..],
        &["migrate", "--faq-path", "faq.csv"],
        &["model", "build", "other"],
    ] {
        place
            .run(command)
            .expect(75)
            .says(&["this server is a standby", "name the primary"]);
    }
    assert_eq!(place.json(&["validate"])["ok"], true);
    assert_eq!(read_from(&place)["standby"], true);
}

#[test]
fn the_next_sync_finds_the_new_primary_and_pays_for_nothing_twice() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    pair.wait_for_each_other();
    let api = api();
    let mut place = Place::stub(&api);
    let faq = Faq::with_ids(30);
    place.set("DATABASE_URL", pair.either());
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    billed_once(&api, 30);
    let before = place.json(&["status"]);

    pair.primary.kill9();
    // Nobody has taken over yet.
    place.save("faq.csv", &edited(&faq));
    place
        .run(&["sync", "--faq-path", "faq.csv"])
        .expect(75)
        .says(&["none of the 2 servers will do"]);
    pair.standby.promote();
    let report = place.json(&["sync", "--faq-path", "faq.csv"]);
    counts(
        &report,
        &[("modified", 1), ("embedded", 1), ("unchanged", 29)],
    );
    billed_once(&api, 31);
    assert_eq!(place.json(&["validate"])["ok"], true);
    let after = place.json(&["status"]);
    assert!(after["generation"].as_u64() > before["generation"].as_u64());
}

/// Starts a sync, and waits until it is in that call.
fn begun(place: &Place, provider: &Stopping) -> std::process::Child {
    let mut command = place.command(&["sync", "--faq-path", "faq.csv", "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    provider.wait();
    child
}

#[test]
fn a_sync_under_way_while_the_primary_changes_tells_the_truth() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    pair.wait_for_each_other();
    let provider = stopping_at(4, Reply::Vectors);
    let mut place = Place::stub(&provider.api);
    // One after the other: it is known what was stored when the call is reached.
    place.set("EMBEDDING_CONCURRENCY", "1");
    place.set("DATABASE_URL", pair.either());
    place.save("faq.csv", &Faq::of(0));
    place.run(&["schema", "migrate"]).ok();
    place.save("faq.csv", &Faq::with_ids(60));
    let child = begun(&place, &provider);
    let stored = pair.primary.client("faq");
    until("what was paid for is stored", || {
        let vectors = stored.scalar("select count(*) from embedding_vectors");
        vectors.parse::<usize>().unwrap() + 10 >= provider.api.billed().len()
    });
    drop(stored);
    pair.primary.kill9();
    pair.standby.promote();
    provider.release();
    let run = Outcome::new("sync", child.wait_with_output().unwrap());
    match run.code {
        0 => counts(&run.json(), &[("new", 60)]),
        75 => {
            run.says(&["run the same command again"]);
            place.json(&["sync", "--faq-path", "faq.csv"]);
        }
        code => panic!("{code}: {}", run.stderr),
    }
    billed_once(&provider.api, 60);
    let status = place.json(&["status"]);
    assert_eq!(status["collections"][0]["records"], 60);
    assert_eq!(place.json(&["validate"])["ok"], true);
    let again = place.json(&["sync", "--faq-path", "faq.csv"]);
    counts(&again, &[("unchanged", 60), ("requests", 0)]);
    let locks = Client::connect(&pair.standby.url("faq"))
        .scalar("select count(*) from pg_locks where locktype = 'advisory'");
    assert_eq!(locks, "0");
}
