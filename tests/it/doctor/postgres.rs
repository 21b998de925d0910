//! A PostgreSQL server, step by step.

use integration_tests::{Place, skip};

use super::{check, doctor, finds, text, well};

const STEPS: [&str; 8] = [
    "server_settings",
    "server_name",
    "server",
    "server_tls",
    "server_login",
    "server_database",
    "pgvector",
    "pgvector_version",
];

/// A place whose store is this URL.
fn place(url: &str) -> Place {
    let mut place = Place::hash();
    place.set("DATABASE_URL", url);
    place
}

/// The step that fails has its remedy, those before it are fine, and those after it were not reached.
#[track_caller]
fn fails_at(place: &Place, step: &str, details: &[&str], remedy: &str) {
    let run = doctor(place, &[]);
    assert!(!run.stdout.contains("s3cr3t") && !run.stderr.contains("s3cr3t"));
    finds(run.clone(), step, details, remedy);
    let report = run.json();
    let at = STEPS.iter().position(|name| *name == step).unwrap();
    for (index, name) in STEPS.iter().enumerate() {
        let found = check(&report, name);
        assert_eq!(found["ok"], index != at, "{found:#}");
        assert_eq!(found["skipped"], index > at, "{found:#}");
    }
    assert_eq!(check(&report, "integrity")["skipped"], true);
}

#[test]
fn the_step_that_fails_is_the_finding() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    fails_at(
        &place(&format!("postgres://u:s3cr3t@127.0.0.1:{port}/d")),
        "server",
        &["refused (TCP)", &format!("127.0.0.1:{port}")],
        "pg_isready",
    );
    fails_at(
        &place("postgres://u:s3cr3t@no-such-host.invalid/d"),
        "server_name",
        &["(DNS)"],
        "getent hosts no-such-host.invalid",
    );
    fails_at(
        &place("postgres://u:s3cr3t@h/d?sslmode=prefer"),
        "server_settings",
        &["sslmode=prefer"],
        "sslmode=verify-full",
    );
}

#[test]
fn a_server_is_looked_at_to_the_end() {
    let Some(url) = std::env::var("TEST_DATABASE_URL")
        .ok()
        .filter(|url| !url.is_empty())
    else {
        skip("TEST_DATABASE_URL names no PostgreSQL with pgvector");
        return;
    };
    let place = place(&url);
    assert!(well(&place, &[], "server").starts_with("PostgreSQL "));
    for step in [
        "server_settings",
        "server_name",
        "server_tls",
        "server_login",
    ] {
        well(&place, &[], step);
    }
    let report = doctor(&place, &[]).json();
    // An old version is a finding that names the one to have.
    let version = check(&report, "pgvector_version");
    if version["ok"] == false {
        assert!(text(&version["remedy"]).contains("0.8.4"), "{version:#}");
    }
    let (before, rest) = url.rsplit_once('@').unwrap();
    let user = before.rsplit_once(':').map_or(before, |(user, _)| user);
    let wrong = self::place(&format!("{user}:s3cr3t@{rest}"));
    fails_at(&wrong, "server_login", &["refuses the password"], "psql -h");
}
