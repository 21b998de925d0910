//! What else is in the database: other stores, other programs, no `public`.

use storage_core::testing::fixture::{documents, faq, fill, version};
use storage_core::testing::refused;
use storage_core::{EmbeddingStore, Filter, StoreErrorKind, check_names};
use storage_postgres::PostgresOptions;

use futures_util::StreamExt;

use crate::server;

/// A database that no other test has, dropped with this value.
struct Database {
    name: String,
    admin: String,
}

impl Database {
    /// `None` without a server.
    async fn create(prepare: &str) -> Option<Self> {
        let admin = server::url()?;
        let name = format!("neighbours_{}_{}", std::process::id(), line_of(prepare));
        run(&admin, &format!("CREATE DATABASE {name}")).await;
        let database = Self { name, admin };
        run(&database.url(), prepare).await;
        Some(database)
    }

    fn url(&self) -> String {
        let (server, _) = self.admin.rsplit_once('/').unwrap();
        let query = self.admin.split_once('?').map_or("", |(_, query)| query);
        format!("{server}/{}?{query}", self.name)
    }

    fn options(&self, schema: &str) -> PostgresOptions {
        PostgresOptions::parse(&self.url())
            .and_then(|options| options.with_schema(schema))
            .unwrap()
            .with_writer("a test")
    }
}

/// Tells databases of one process apart.
fn line_of(prepare: &str) -> usize {
    prepare.len()
}

impl Drop for Database {
    fn drop(&mut self) {
        let (admin, sql) = (
            self.admin.clone(),
            format!("DROP DATABASE {} WITH (FORCE)", self.name),
        );
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(run(&admin, &sql));
        });
        if !std::thread::panicking() {
            dropped.join().unwrap();
        }
    }
}

async fn run(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    let task = tokio::spawn(connection);
    // One statement at a time: a database is not made inside a transaction.
    for statement in sql.split(';').filter(|part| !part.trim().is_empty()) {
        client.batch_execute(statement).await.unwrap();
    }
    drop(client);
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_second_store_fits_beside_one_in_public() {
    let Some(database) = Database::create("SELECT 1").await else {
        return;
    };
    for schema in ["public", "shop"] {
        let store = storage_postgres::create_or_open(&database.options(schema))
            .await
            .unwrap();
        fill(&store, &version("one"), &documents(3)).await;
        assert!(store.check().await.unwrap().is_ok(), "{schema}");
    }
}

#[tokio::test]
async fn another_programs_view_or_function_is_left_alone_and_nothing_is_left_behind() {
    let prepare = "CREATE MATERIALIZED VIEW product_embedding_stats AS SELECT 1 AS one; CREATE SCHEMA f; \
                   CREATE FUNCTION f.search_embeddings(a real, b integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'";
    let Some(database) = Database::create(prepare).await else {
        return;
    };
    for (schema, named) in [
        ("public", "product_embedding_stats"),
        ("f", "search_embeddings()"),
    ] {
        let refusal = storage_postgres::migrate(&database.options(schema)).await;
        let error = refusal.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Foreign, "{error}");
        for part in [named, "--postgres-schema"] {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
        refused(
            storage_postgres::open(&database.options(schema)).await,
            StoreErrorKind::Foreign,
        );
    }
}

#[tokio::test]
async fn a_database_without_public_has_its_store_too() {
    let Some(database) = Database::create("DROP SCHEMA public CASCADE").await else {
        return;
    };
    let store = storage_postgres::create_or_open(&database.options("shop"))
        .await
        .unwrap();
    fill(&store, &version("one"), &documents(3)).await;
    assert!(store.check().await.unwrap().is_ok());
}

#[tokio::test]
async fn an_id_that_no_server_takes_is_nobodys() {
    if server::url().is_none() {
        return;
    }
    let schema = server::Schema::new();
    let store = storage_postgres::create_or_open(&schema.options)
        .await
        .unwrap();
    fill(&store, &version("one"), &documents(3)).await;
    let filter = Filter {
        document: Some("a\0b".to_owned()),
        ..Filter::default()
    };
    assert_eq!(store.scan(&faq(), None, filter).count().await, 0);
}

/// A page that cannot be read ends its own check, and no other: validating is what one does then.
#[tokio::test]
async fn what_cannot_be_read_is_a_finding_among_others() {
    if server::url().is_none() {
        return;
    }
    let schema = server::Schema::new();
    let store = storage_postgres::create_or_open(&schema.options)
        .await
        .unwrap();
    fill(&store, &version("one"), &documents(3)).await;
    // As good as a damaged page: reading the column ends in an error of the data, inside the server.
    schema
        .sql(
            "INSERT INTO runs (id, kind, collection, state, started_at) VALUES ('x', 'sync', 'faq', 'finished', 1); \
             ALTER TABLE runs RENAME TO runs_as_they_were; \
             CREATE FUNCTION damaged() RETURNS text LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'invalid page' USING ERRCODE = 'data_corrupted'; END $$; \
             CREATE VIEW runs AS SELECT run_id, damaged() AS id, kind, collection, source, version, state, requests, \
             texts, tokens, started_at, finished_at FROM runs_as_they_were",
        )
        .await;
    let report = store.check().await.unwrap();
    let check = |name: &str| {
        report
            .checks
            .iter()
            .find(|check| check.name == name)
            .unwrap()
    };
    assert!(!check(check_names::CONNECTION).ok, "{report:?}");
    assert!(check(check_names::TEMPLATES).ok, "{report:?}");
    assert!(check(check_names::VECTOR_HASHES).ok, "{report:?}");
}
