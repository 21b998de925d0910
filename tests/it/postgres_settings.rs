//! Which PostgreSQL server is meant, out of everything that may name one; none of this asks a server.

use integration_tests::Place;
use serde_json::Value;

/// The store as it is shown.
fn store(place: &Place, flags: &[&str]) -> Value {
    place.json(&[&["config", "show"], flags].concat())["store"].clone()
}

fn origin(place: &Place, key: &str, flags: &[&str]) -> (Value, Value) {
    let document = place.json(&[&["config", "show", "--origin"], flags].concat());
    let rows = document["settings"].as_array().unwrap();
    let row = rows.iter().find(|row| row["key"] == key).unwrap();
    (row["value"].clone(), row["origin"].clone())
}

/// A place that means PostgreSQL and says nothing more.
fn postgres() -> Place {
    let mut place = Place::hash();
    place.set("STORAGE_BACKEND", "postgres");
    place
}

#[test]
fn parts_of_an_address_come_from_the_nearest_layer() {
    let mut place = postgres();
    assert_eq!(store(&place, &[]), "postgres://localhost:5432");
    for (name, value) in [
        ("PGHOST", "pg.example"),
        ("PGPORT", "6000"),
        ("PGDATABASE", "pgdb"),
        ("PGUSER", "pguser"),
    ] {
        place.set(name, value);
    }
    assert_eq!(store(&place, &[]), "postgres://pguser@pg.example:6000/pgdb");
    place.set("POSTGRES_DATABASE", "smart_support");
    place.set("POSTGRES_USER", "postgres");
    assert_eq!(
        store(&place, &[]),
        "postgres://postgres@pg.example:6000/smart_support"
    );
    // The port belongs to the host that it was named with.
    place.set("POSTGRES_HOST", "ours.example");
    assert_eq!(
        store(&place, &[]),
        "postgres://postgres@ours.example:5432/smart_support"
    );
    let flags = [
        "--postgres-host",
        "typed.example",
        "--postgres-port",
        "7000",
        "--postgres-schema",
        "shop",
    ];
    assert_eq!(
        store(&place, &flags),
        "postgres://postgres@typed.example:7000/smart_support?schema=shop"
    );
    // A flag that names a place in PostgreSQL chooses it.
    place.unset("STORAGE_BACKEND");
    assert_eq!(store(&place, &[]), "sqlite:data/embeddings.db");
    assert_eq!(
        store(&place, &["--postgres-host", "h"]),
        "postgres://postgres@h:5432/smart_support"
    );
}

#[test]
fn a_url_beats_the_parts_and_a_flag_beats_the_url() {
    let mut place = Place::hash();
    place.set("PGUSER", "pguser");
    place.set("PGHOST", "pg.example");
    place.set("POSTGRES_SCHEMA", "schema_of_env");
    place.set("DATABASE_URL", "postgres://db.example:6432/faq");
    assert_eq!(
        store(&place, &[]),
        "postgres://pguser@db.example:6432/faq?schema=schema_of_env"
    );
    place.set(
        "DATABASE_URL",
        "postgres://me@db.example:6432/faq?schema=schema_of_url",
    );
    assert_eq!(
        store(&place, &[]),
        "postgres://me@db.example:6432/faq?schema=schema_of_url"
    );
    assert_eq!(
        store(&place, &["--postgres-schema", "typed"]),
        "postgres://me@db.example:6432/faq?schema=typed"
    );
    // The backend alone does not take the URL's place.
    place.set("STORAGE_BACKEND", "postgres");
    assert_eq!(
        store(&place, &[]),
        "postgres://me@db.example:6432/faq?schema=schema_of_url"
    );
    let typed = ["--store", "postgres://other@elsewhere/x"];
    assert_eq!(
        store(&place, &typed),
        "postgres://other@elsewhere:5432/x?schema=schema_of_env"
    );
}

#[test]
fn the_password_of_one_server_is_not_sent_to_another() {
    let mut place = Place::hash();
    place.set("DATABASE_URL", "postgres://me:hush@db.example/faq");
    for (flags, names) in [
        (&["--postgres-host", "other.example"][..], "--postgres-host"),
        (&["--postgres-user", "root"], "--postgres-user"),
    ] {
        let run = place.run(&[&["config", "show"], flags].concat()).ok();
        assert_eq!(
            run.stderr.matches("DATABASE_URL").count(),
            2,
            "{}",
            run.stderr
        );
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        run.says(&["passed over", names]);
        assert!(
            !store(&place, flags)
                .as_str()
                .unwrap()
                .contains("db.example")
        );
    }
    place.set("STORAGE_BACKEND", "postgres");
    place.set("POSTGRES_HOST", "other.example");
    place
        .run(&["config", "show"])
        .ok()
        .says(&["passed over", "POSTGRES_HOST names the store"]);
    place
        .run(&[
            "status",
            "--store",
            "postgres://h/d",
            "--postgres-host",
            "x",
        ])
        .expect(2)
        .says(&["named twice", "--postgres-host"]);
    place
        .run(&["status", "--sqlite-path", "x.db", "--postgres-host", "x"])
        .expect(2)
        .says(&["two stores are named"]);
}

#[test]
fn secrets_of_a_server_are_masked_wherever_they_come_from() {
    let mut place = postgres();
    place.set("POSTGRES_PASSWORD", "hush");
    place.set("POSTGRES_READ_URLS", "postgres://u:hush@replica/faq");
    place.set("PGSSLMODE", "verify-ca");
    let shown = |key: &str| origin(&place, key, &[]);
    let masked = |name: &str| ("********".into(), format!("environment {name}").into());
    assert_eq!(
        shown("storage.postgres-password"),
        masked("POSTGRES_PASSWORD")
    );
    assert_eq!(
        shown("storage.postgres-read-urls"),
        masked("POSTGRES_READ_URLS")
    );
    assert_eq!(
        shown("storage.postgres-sslmode"),
        ("verify-ca".into(), "environment PGSSLMODE".into())
    );
    place.unset("POSTGRES_PASSWORD");
    let file = place.write("password", "hush\n");
    place.set("POSTGRES_PASSWORD_FILE", &file);
    assert_eq!(
        origin(&place, "storage.postgres-password", &[]),
        masked("POSTGRES_PASSWORD_FILE")
    );
    for args in [
        &["config", "show", "--origin"][..],
        &[
            "config",
            "show",
            "--store",
            "postgres://u:hush@h/d?password=hush",
        ],
        &["status", "-vvv"],
    ] {
        let run = place.run(args);
        assert!(!run.stdout.contains("hush") && !run.stderr.contains("hush"));
    }
}

#[test]
fn what_is_wrong_is_named_with_the_place_it_came_from() {
    let refused = |url: &str, expected: &[&str]| {
        let mut place = Place::hash();
        place.set("DATABASE_URL", url);
        let run = place.run(&["status"]).expect(2).prints_nothing();
        assert!(!run.stderr.contains("Zw7k"), "{}", run.stderr);
        run.says(expected).says(&["environment DATABASE_URL"]);
    };
    refused(
        "postgres://me:Zw7k@Zw7k/Zw7k@db.example/faq",
        &[
            "@ as %40",
            "/ as %2F",
            "postgres://me:***%40***%2F***@db.example/faq",
        ],
    );
    refused("postgres://me@h/d?sslmode=prefer", &["sslmode=verify-full"]);
    refused(
        "postgres://me@h/d?sslmod=require",
        &["sslmod does not exist"],
    );
    refused("postgres://me@h:x/d", &["no number from 1 to 65535"]);
    refused("postgres://me@h/d?schema=a%22b", &["--postgres-schema"]);
    for (name, value, expected) in [
        ("PGSSLMODE", "allow", "sslmode=disable"),
        ("POSTGRES_PORT", "x", "no number from 1 to 65535"),
        ("PGCONNECT_TIMEOUT", "0", "from 1 to 3600"),
        ("PGTARGETSESSIONATTRS", "master", "prefer-standby"),
        ("POSTGRES_SCHEMA", "pg_x", "--postgres-schema"),
        ("POSTGRES_READ_URLS", "mysql://h", "begins with postgres://"),
    ] {
        let mut place = postgres();
        place.set(name, value);
        place
            .run(&["status"])
            .expect(2)
            .prints_nothing()
            .says(&[expected, name]);
    }
    let mut place = postgres();
    place.set("POSTGRES_POOL_SIZE", "0");
    place
        .run(&["status"])
        .expect(2)
        .says(&["POSTGRES_POOL_SIZE"]);
}

#[test]
#[cfg(unix)]
fn a_password_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let mut place = postgres();
    place.unset("POSTGRES_PASSWORD");
    let file = place.write("passwords", "*:*:*:*:hush\n");
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(&file, mode(0o644)).unwrap();
    place.set("PGPASSFILE", &file);
    place
        .run(&["status"])
        .expect(2)
        .says(&["chmod 600", "environment PGPASSFILE"]);
    std::fs::set_permissions(&file, mode(0o600)).unwrap();
    assert!(place.run(&["config", "show"]).ok().stderr.is_empty());
    place.set("PGPASSFILE", "nowhere");
    place
        .run(&["status"])
        .expect(2)
        .says(&["nowhere", "cannot be read"]);
    // The usual one is nobody's choice: it is passed over, and that is said.
    place.unset("PGPASSFILE");
    let usual = place.write_home(".pgpass", "*:*:*:*:hush\n");
    std::fs::set_permissions(&usual, mode(0o644)).unwrap();
    place
        .run(&["config", "show"])
        .ok()
        .says(&["chmod 600", ".pgpass"]);
    // Who says a password needs no file.
    place.set("POSTGRES_PASSWORD", "hush");
    assert!(place.run(&["config", "show"]).ok().stderr.is_empty());
}

#[test]
fn a_service_fills_in_what_nobody_else_says() {
    let mut place = postgres();
    place.write_home(
        ".pg_service.conf",
        "[faq]\nhost=service.example\nport=6001\nuser=served\n[other]\nhost=other\n",
    );
    place.set("PGSERVICE", "faq");
    place.set("PGHOST", "pg.example");
    assert_eq!(
        store(&place, &[]),
        "postgres://served@service.example:6001/served"
    );
    place.set("POSTGRES_DATABASE", "ours");
    assert_eq!(
        store(&place, &[]),
        "postgres://served@service.example:6001/ours"
    );
    place.set("PGSERVICE", "absent");
    place
        .run(&["status"])
        .expect(2)
        .says(&["\"absent\"", ".pg_service.conf", "[absent]"]);
}
