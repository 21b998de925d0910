//! The command line on PostgreSQL, where it has words of its own: flags, schemas, and what a server refuses. What is true
//! of every store is tested on both, in the modules of its area.

use integration_tests::postgres::{TestDatabase, TestRole};
use integration_tests::{Backend, Faq, KEY, Outcome, Place, PostgresStore, skip, slim_binary};

use crate::support::counts;

/// A place on PostgreSQL with a FAQ of twenty rows; none where there is no server.
fn place() -> Option<Place> {
    let place = Backend::Postgres
        .is_there()
        .then(|| Backend::Postgres.hash())?;
    place.save("faq.csv", &Faq::with_ids(20));
    Some(place)
}

/// Host, port, database and user of a store.
fn parts(store: &PostgresStore) -> [String; 4] {
    let url = store.url();
    let (_, rest) = url.split_once("://").unwrap();
    let (user, rest) = rest.split_once(':').unwrap();
    let (_, rest) = rest.rsplit_once('@').unwrap();
    let (address, database) = rest.split_once('/').unwrap();
    let (host, port) = address.rsplit_once(':').unwrap();
    let database = database.split('?').next().unwrap();
    [host, port, database, user].map(str::to_owned)
}

/// The URL with another schema.
fn in_schema(url: &str, schema: &str) -> String {
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}schema={schema}")
}

const MIGRATE: [&str; 3] = ["migrate", "--faq-path", "faq.csv"];

#[test]
fn the_familiar_flags_name_a_server() {
    let Some(mut place) = place() else { return };
    let [host, port, database, user] = parts(place.postgres());
    place.unset("DATABASE_URL");
    let named = [
        "--storage-backend",
        "postgres",
        "--postgres-host",
        &host,
        "--postgres-port",
        &port,
        "--postgres-database",
        &database,
        "--postgres-user",
        &user,
    ];
    // The password comes from the environment.
    let schema = [&["migrate", "--migrate-schema"][..], &named].concat();
    place.run(&schema).ok();
    assert_eq!(place.scalar("SELECT count(*) FROM embedding_records"), 0);

    place.unset("POSTGRES_PASSWORD");
    let nobody = place.run(&[&MIGRATE[..], &named].concat()).expect(2);
    nobody
        .prints_nothing()
        .says(&["wants a password", "POSTGRES_PASSWORD_FILE"]);

    let typed = [&named[..], &["--postgres-password", KEY]].concat();
    let run = place.run(&[&MIGRATE[..], &typed].concat()).ok();
    run.says(&[
        "--postgres-password shows in the process list",
        "POSTGRES_PASSWORD_FILE",
    ])
    .prints(&["Templates processed: 20", "Storage path: postgres://"]);
    let file = place.write("password", format!("{KEY}\n"));
    place.set("POSTGRES_PASSWORD_FILE", &file);
    let checked = place.run(&[&["migrate", "--validate"][..], &named].concat());
    let checked = checked.ok().prints(&["Validation passed!"]);
    assert!(!checked.stderr.contains("process list"));
    assert_eq!(place.rows("faq").len(), 20);
}

#[test]
fn the_tables_are_what_sql_expects() {
    let Some(place) = place() else { return };
    place.migrate("faq.csv", &[]);
    let client = place.postgres().client();
    assert_eq!(
        client.scalar("SELECT count(*) FROM embedding_records"),
        "20"
    );
    let nearest = client.rows(
        "SELECT id FROM embeddings
         ORDER BY embedding <=> (SELECT embedding FROM embeddings WHERE id = 't7'), id LIMIT 3",
    );
    assert_eq!(nearest.len(), 3);
    assert_eq!(nearest[0][0].as_deref(), Some("t7"));
    assert_eq!(
        client.scalar("SELECT count(*) FROM embeddings WHERE adopted AND category = 'Карты'"),
        client.scalar("SELECT count(*) FROM embedding_records WHERE category = 'Карты'")
    );
}

#[test]
fn two_schemas_of_one_database_are_two_stores() {
    let Some(place) = place() else { return };
    let shop = ["--postgres-schema", "shop"];
    let report = place.migrate("faq.csv", &shop);
    assert!(report["store"].as_str().unwrap().ends_with("?schema=shop"));
    let client = place.postgres().client();
    let count = "SELECT count(*) FROM shop.embedding_records";
    assert_eq!(client.scalar(count), "20");
    place
        .run(&["status"])
        .expect(2)
        .says(&["there is no store", "smart-support migrate"]);

    place.save("other.csv", &Faq::with_ids(5));
    let kept = place.data();
    place.migrate("other.csv", &[]);
    let changed = place.data();
    for (table, rows) in &kept {
        assert!(changed[table] == *rows, "{} changed", table.display());
    }
    let faq = Faq::with_ids(20).edited(|entries| entries[3].answer.push_str(" Это бесплатно."));
    place.save("faq.csv", &faq);
    let sync = [&["sync", "--faq-path", "faq.csv"][..], &shop].concat();
    counts(&place.json(&sync), &[("modified", 1), ("unchanged", 19)]);
    assert_eq!(place.rows("faq").len(), 5);
    for (schema, records) in [(&shop[..], 20), (&[], 5)] {
        let status = place.json(&[&["status"], schema].concat());
        assert_eq!(status["collections"][0]["records"], records);
        place.run(&[&["validate"], schema].concat()).ok();
    }
    let (url, shop) = (
        place.postgres().url(),
        in_schema(&place.postgres().url(), "shop"),
    );
    let found = place.run(&["diff", &url, &shop, "--json"]).expect(4).json();
    counts(&found, &[("only_a", 0), ("only_b", 15)]);
}

#[test]
fn a_server_that_is_down_means_try_again_or_memory() {
    let Some(mut place) = place() else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    place.set(
        "DATABASE_URL",
        format!("postgres://me:{KEY}@127.0.0.1:{port}/faq"),
    );
    for args in [
        &MIGRATE[..],
        &["sync", "--faq-path", "faq.csv"],
        &["search", "карта"],
        &["status"],
        &["validate"],
        &["model", "list"],
        &["schema", "status"],
        &["search", "карта", "-vv"],
    ] {
        let run = place.run(args).expect(75).prints_nothing();
        run.says(&["refused (TCP)", "pg_isready"]);
    }
    place.set("FAQ_PATH", "faq.csv");
    let question = &Faq::with_ids(20).0[6].question;
    let run = place
        .run(&["search", question, "--on-store-error", "memory", "--json"])
        .ok();
    let found = run.says(&["DEGRADED"]).json();
    assert_eq!(found["hits"][0]["id"], "t6");
    assert!(found["degraded"].as_str().unwrap().contains("memory"));
}

#[test]
fn who_is_not_let_in_is_told_what_to_do() {
    let Some(mut place) = place() else { return };
    let (owner, database) = (place.postgres().owner(), place.postgres().database());
    let wrong = owner.url_with(database, Some("SECRET-MARK-5ca1ab1e-another"));
    let elsewhere = owner
        .url(database)
        .replace(database.name(), "nowhere_at_all");
    let elsewhere = elsewhere.replace("nowhere_at_all_owner", owner.name());
    let cases = [(wrong, "POSTGRES_PASSWORD"), (elsewhere, "createdb -h ")];
    for (url, remedy) in cases {
        place.set("DATABASE_URL", &url);
        for args in [
            &MIGRATE[..],
            &["search", "карта", "-vvv"],
            &["status", "--log-format", "json", "-vv"],
        ] {
            let run = place.run(args).expect(2).prints_nothing();
            run.says(&[remedy]);
        }
        for args in [
            &["config", "show", "--origin"][..],
            &["config", "show", "--json"],
        ] {
            place.run(args).ok();
        }
    }
}

#[test]
fn a_database_without_pgvector_names_its_administrators_command() {
    let Some(database) = TestDatabase::without_pgvector() else {
        return;
    };
    let role = TestRole::create(&database, "guest", KEY);
    let mut place = Place::hash();
    place.save("faq.csv", &Faq::of(3));
    place.set("DATABASE_URL", role.url(&database));
    place.run(&MIGRATE).expect(2).prints_nothing().says(&[
        "no extension vector",
        "`CREATE EXTENSION vector`",
        database.name(),
    ]);
    place
        .run(&["search", "карта"])
        .expect(2)
        .says(&["there is no store", "smart-support migrate"]);
    // The remedy works, up to the next one.
    database.client().run("create extension vector");
    let refused = place.run(&MIGRATE).expect(1).prints_nothing();
    let grant = format!(
        "GRANT USAGE, CREATE ON SCHEMA \"public\" TO {}",
        role.name()
    );
    refused.says(&["permission denied for schema public", &grant]);
    let own = [&MIGRATE[..], &["--postgres-schema", "own"]].concat();
    let refused = place.run(&own).expect(1);
    let grant_database = format!(
        "GRANT CREATE ON DATABASE \"{}\" TO {}",
        database.name(),
        role.name()
    );
    refused.says(&[&grant_database]);
    database.client().run(&grant);
    place.run(&MIGRATE).ok();
    place.run(&["validate"]).ok();
    drop(database);
    drop(role);
}

#[test]
fn a_role_that_may_not_read_the_tables_is_told_so() {
    let Some(mut place) = place() else { return };
    place.migrate("faq.csv", &[]);
    let stranger = TestRole::create(place.postgres().database(), "stranger", KEY);
    let url = stranger.url(place.postgres().database());
    place.set("DATABASE_URL", url);
    for args in [
        &["search", "карта"][..],
        &["status"],
        &["sync", "--faq-path", "faq.csv"],
    ] {
        let run = place.run(args).expect(1).prints_nothing();
        let error = run.error();
        assert!(
            error.contains("deploy/postgres/read-only-role.sql"),
            "{error}"
        );
        assert_eq!(error.matches("permission denied").count(), 1, "{error}");
    }
}

#[test]
fn other_peoples_tables_are_left_alone() {
    let Some(place) = place() else { return };
    let client = place.postgres().client();
    client.run("create table embedding_records (id int); insert into embedding_records values (7)");
    let before = place.data();
    let owner = place.postgres().owner().name().to_owned();
    client.run(&format!("alter table embedding_records owner to {owner}"));
    for args in [
        &MIGRATE[..],
        &["schema", "migrate"],
        &["status"],
        &["search", "карта"],
    ] {
        let run = place.run(args).expect(2).prints_nothing();
        run.says(&["embedding_records", "not ours", "--postgres-schema"]);
    }
    assert!(place.data() == before);
    // The remedy works.
    place.migrate("faq.csv", &["--postgres-schema", "smart_support"]);
    assert_eq!(client.scalar("select count(*) from embedding_records"), "1");
}

#[test]
fn a_newer_schema_is_refused_by_every_command() {
    let Some(place) = place() else { return };
    place.migrate("faq.csv", &[]);
    place.execute(
        "insert into smart_support_migrations (version, name, checksum)
         select 99, 'of_tomorrow', checksum from smart_support_migrations where version = 1",
    );
    let before = place.data();
    for args in [
        &MIGRATE[..],
        &["sync", "--faq-path", "faq.csv"],
        &["schema", "migrate"],
        &["status"],
        &["validate"],
        &["search", "карта"],
        &["model", "list"],
        &["cache", "prune"],
    ] {
        let run = place.run(args).expect(6).prints_nothing();
        run.says(&["schema 99", "upgrade smart-support"]);
    }
    assert!(place.data() == before);
}

#[test]
fn what_is_for_files_names_postgresqls_own_tool() {
    let Some(place) = place() else { return };
    place.migrate("faq.csv", &[]);
    let before = place.data();
    for (args, tool) in [
        (&["backup", "copy.db"][..], "pg_dump --format=custom"),
        (&["restore", "copy.db"], "pg_restore --clean"),
        (&["repair"], "pg_restore"),
    ] {
        place.run(args).expect(2).prints_nothing().says(&[tool]);
    }
    assert!(place.data() == before && !place.path("copy.db").exists());
}

#[test]
fn damage_is_put_right_by_what_postgresql_has() {
    let Some(place) = place() else { return };
    place.migrate("faq.csv", &[]);
    place.execute("UPDATE embedding_records SET body = 'Другое.' WHERE document = 't3'");
    let run: Outcome = place.run(&["validate"]).expect(4);
    let run = run.prints(&["✗ content_hashes", "pg_restore", "smart-support sync"]);
    assert!(
        !run.stdout.contains("smart-support repair"),
        "{}",
        run.stdout
    );
    place
        .run(&["copy", &place.postgres().url(), "sqlite:copy.db"])
        .expect(1)
        .says(&["the store to copy from has faults", "content_hashes"]);
}

#[test]
fn a_build_without_postgresql_says_so_wherever_it_is_named() {
    let Some(binary) = slim_binary() else {
        skip("SMART_SUPPORT_SLIM_BIN names no binary; cargo xtask test builds one");
        return;
    };
    let mut place = Place::hash();
    place.use_binary(binary);
    place.save("faq.jsonl", &Faq::of(3));
    let url = format!("postgres://me:{KEY}@db.example/faq");
    place.set("DATABASE_URL", &url);
    let before = place.files();
    let long = url.replace("postgres://", "postgresql://");
    for args in [
        &["migrate", "--faq-path", "faq.jsonl"][..],
        &["sync", "--faq-path", "faq.jsonl", "--store", &long],
        &["search", "карта", "--storage-backend", "postgres"],
        &["status", "--postgres-host", "db.example"],
        &["validate"],
        &["schema", "status"],
        &["schema", "migrate"],
        &["model", "list"],
        &["cache", "stats"],
        &["copy", &url, "sqlite:copy.db"],
        &["diff", &url, "sqlite:copy.db"],
    ] {
        let run = place.run(args).expect(2).prints_nothing();
        run.says(&[
            "feature `postgres`",
            "cargo build --release -p cli --features postgres",
        ]);
        assert!(place.files() == before, "{args:?} left a file");
    }
}
