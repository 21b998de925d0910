//! Behind pgbouncer: what only reads works while sessions are anyone's, what writes is refused and leaves nothing behind.

use std::process::Stdio;

use integration_tests::postgres::{Client, Options, PrivateServer};
use integration_tests::{Faq, Outcome, Place, StubApi};

use crate::support::api;

/// Fewer sessions than clients, so that they are handed around.
const TRANSACTIONS: [(&str, &str); 3] = [
    ("pool_mode", "transaction"),
    ("default_pool_size", "2"),
    ("max_client_conn", "100"),
];

/// A server that writes down every statement, and a store in it.
fn filled(api: &StubApi) -> Option<(PrivateServer, Place)> {
    let server = PrivateServer::with(&Options {
        settings: vec![("log_min_duration_statement".to_owned(), "0".to_owned())],
        ..Options::default()
    })?;
    let mut place = Place::stub(api);
    place.set("DATABASE_URL", server.create_database("faq"));
    place.save("faq.csv", &Faq::with_ids(60));
    place.migrate("faq.csv", &[]);
    place.write(
        "golden.csv",
        "id,query,gold,lang,category\n1,Как оформить карту?,t0,ru,К\n2,оформить вклад,t1|t16,ru,\n",
    );
    Some((server, place))
}

const READS: [&[&str]; 10] = [
    &["search", "Как заказать карту?"],
    &["search", "Как заказать карту?", "--search-in", "database"],
    &["status"],
    &["validate"],
    &["eval", "golden.csv"],
    &["index", "status"],
    &["model", "list"],
    &["cache", "stats"],
    &["schema", "status"],
    &["sync", "--faq-path", "faq.csv", "--dry-run"],
];

/// What another client of the same pool finds set.
fn settings(client: &Client) -> Vec<String> {
    let names = [
        "search_path",
        "statement_timeout",
        "lock_timeout",
        "tcp_keepalives_idle",
    ];
    let shown = names.map(|name| client.scalar(&format!("show {name}")));
    shown.into()
}

/// How many advisory locks there are.
fn locks(server: &PrivateServer) -> String {
    server
        .client("postgres")
        .scalar("select count(*) from pg_locks where locktype = 'advisory'")
}

#[test]
fn everything_that_reads_works_while_transactions_are_pooled() {
    let api = api();
    let Some((server, mut place)) = filled(&api) else {
        return;
    };
    let Some(bouncer) = server.bouncer(&TRANSACTIONS) else {
        return;
    };
    let untouched = settings(&server.client("faq"));
    let written = server.log().len();
    place.set("DATABASE_URL", bouncer.url("faq"));
    for command in READS {
        place.run(command).ok();
    }
    place
        .run(&["diff", &bouncer.url("faq"), &bouncer.url("faq")])
        .ok();
    // And many at once.
    let running: Vec<_> = READS
        .iter()
        .chain(&READS)
        .map(|command| {
            let mut running = place.command(command);
            running.stdout(Stdio::piped()).stderr(Stdio::piped());
            (command, running.spawn().unwrap())
        })
        .collect();
    for (command, child) in running {
        Outcome::new(command.join(" "), child.wait_with_output().unwrap()).ok();
    }
    // A named statement belongs to a session, and there is none of ours.
    let log = server.log().split_off(written);
    assert!(log.contains("execute <unnamed>"));
    let named = log
        .lines()
        .find(|line| line.contains("  execute ") && !line.contains("execute <unnamed>"));
    assert_eq!(named, None);
    assert_eq!(settings(&Client::connect(&bouncer.url("faq"))), untouched);
    assert_eq!(locks(&server), "0");
}

#[test]
fn what_writes_is_refused_and_leaves_neither_locks_nor_settings_behind() {
    let api = api();
    let Some((server, mut place)) = filled(&api) else {
        return;
    };
    let Some(bouncer) = server.bouncer(&TRANSACTIONS) else {
        return;
    };
    let untouched = settings(&server.client("faq"));
    let empty = server.create_database("empty");
    assert!(empty.ends_with("/empty"));
    place.save("new.csv", &Faq::with_ids(61));
    let refused = |place: &Place, command: &[&str]| {
        place
            .run(command)
            .expect(2)
            .says(&["pools transactions", "pool_mode=session"]);
        assert_eq!(locks(&server), "0", "{command:?}");
    };
    place.set("DATABASE_URL", bouncer.url("faq"));
    let writes: [&[&str]; 6] = [
        &["sync", "--faq-path", "new.csv"],
        &["migrate", "--faq-path", "new.csv"],
        &["model", "build", "other"],
        &["cache", "prune"],
        &["index", "build"],
        &["index", "drop"],
    ];
    for command in writes {
        refused(&place, command);
    }
    place.set("DATABASE_URL", bouncer.url("empty"));
    refused(&place, &["schema", "migrate"]);
    refused(&place, &["migrate", "--faq-path", "new.csv"]);
    for database in ["faq", "empty"] {
        assert_eq!(
            settings(&Client::connect(&bouncer.url(database))),
            untouched
        );
    }
    // Who says what it is need not be looked at.
    place.set("DATABASE_URL", bouncer.url("faq"));
    place.set("POSTGRES_POOL_MODE", "transaction");
    refused(&place, writes[0]);
    place.run(&["search", "Как заказать карту?"]).ok();
}

#[test]
fn a_pool_of_sessions_is_as_good_as_none() {
    let api = api();
    let Some((server, mut place)) = filled(&api) else {
        return;
    };
    let Some(bouncer) = server.bouncer(&[("pool_mode", "session"), ("default_pool_size", "10")])
    else {
        return;
    };
    place.set("DATABASE_URL", bouncer.url("faq"));
    place.save("faq.csv", &Faq::with_ids(70));
    let report = place.json(&["sync", "--faq-path", "faq.csv"]);
    assert_eq!(
        (&report["new"], &report["unchanged"]),
        (&10.into(), &60.into())
    );
    place.run(&["index", "build"]).ok();
    for command in READS {
        place.run(command).ok();
    }
    assert_eq!(locks(&server), "0");
}
