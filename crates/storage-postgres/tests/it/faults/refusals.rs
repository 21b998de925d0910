//! Databases that are not ours to use: what is said, and that nothing is changed.

use std::collections::BTreeSet;

use storage_core::{StoreError, StoreErrorKind};
use storage_postgres::{PostgresOptions, PostgresStore};

use super::{Sync, ends};
use crate::server::{Schema, url};

fn refused<T: std::fmt::Debug>(
    outcome: storage_core::Result<T>,
    kind: StoreErrorKind,
    words: &[&str],
) -> StoreError {
    let error = outcome.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    error
}

async fn filled() -> Option<(Schema, Sync)> {
    url()?;
    let schema = Schema::new();
    let store = storage_postgres::create_or_open(&schema.options)
        .await
        .unwrap();
    let sync = Sync::new();
    sync.prepare(&store).await;
    Some((schema, sync))
}

/// Every way in.
async fn every_way_in(options: &PostgresOptions) -> Vec<storage_core::Result<PostgresStore>> {
    vec![
        storage_postgres::open(options).await,
        storage_postgres::open_read_only(options).await,
        storage_postgres::create_or_open(options).await,
        storage_postgres::open_taking_turns(options).await,
    ]
}

#[tokio::test]
async fn a_store_of_a_newer_build_is_refused_and_left_alone() {
    let Some((schema, _)) = filled().await else {
        return;
    };
    let newer = "INSERT INTO smart_support_migrations (version, name, checksum) \
                 VALUES (1000, 'from_the_future', sha256('future'))";
    schema.sql(newer).await;
    let look = "SELECT count(*), max(version) FROM smart_support_migrations";
    let before = schema.sql(look).await;
    for outcome in every_way_in(&schema.options).await {
        refused(
            outcome,
            StoreErrorKind::SchemaNew,
            &["schema 1000", "upgrade smart-support"],
        );
    }
    refused(
        storage_postgres::migrate(&schema.options).await,
        StoreErrorKind::SchemaNew,
        &["upgrade"],
    );
    assert_eq!(schema.sql(look).await, before);
}

#[tokio::test]
async fn tables_of_somebody_else_are_left_alone() {
    if url().is_none() {
        return;
    }
    let schema = Schema::new();
    let name = format!("\"{}\"", schema.name);
    schema
        .sql(&format!(
            "CREATE SCHEMA {name}; CREATE TABLE {name}.embeddings (id bigint); INSERT INTO {name}.embeddings VALUES (1)"
        ))
        .await;
    for outcome in every_way_in(&schema.options).await {
        refused(
            outcome,
            StoreErrorKind::Foreign,
            &["embeddings", "--postgres-schema"],
        );
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()";
    assert_eq!(schema.sql(tables).await, [[Some("1".to_owned())]]);
}

/// A role of a test's own, without any right but to connect; and how it gets in.
async fn role(schema: &Schema) -> (String, PostgresOptions) {
    let name = format!(
        "r_{}",
        schema
            .name
            .to_lowercase()
            .replace(|c: char| !c.is_ascii_alphanumeric(), "_")
    );
    schema
        .sql(&format!(
            "DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN PASSWORD 'pw'"
        ))
        .await;
    let options = schema
        .options
        .clone()
        .with_user(&name)
        .with_password("pw".to_owned().into());
    (name, options)
}

async fn without(schema: &Schema, role: &str) {
    schema
        .sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

#[tokio::test]
async fn a_role_that_may_only_read_reads_and_is_told_that_it_does_not_write() {
    let Some((schema, sync)) = filled().await else {
        return;
    };
    let (name, options) = role(&schema).await;
    let own = format!("\"{}\"", schema.name);
    // Without any right at all.
    let error = storage_postgres::open_read_only(&options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Io, "{error}");
    assert!(error.to_string().contains("privilege"), "{error}");
    schema
        .sql(&format!(
            "GRANT USAGE ON SCHEMA {own} TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA {own} TO {name}"
        ))
        .await;
    let reader = storage_postgres::open_read_only(&options).await.unwrap();
    assert_eq!(super::seen(&reader).await, 1);
    drop(reader);
    let outcome = match storage_postgres::open(&options).await {
        Ok(writer) => ends(sync.run(&writer, &mut BTreeSet::new())).await,
        Err(error) => Err(error),
    };
    refused(
        outcome,
        StoreErrorKind::Io,
        &["privilege", "connect as the role that made the store"],
    );
    // Nothing is left half done, and whoever may goes on.
    let patient = schema.options.clone().with_wait(super::DEADLINE);
    let store = storage_postgres::open(&patient).await.unwrap();
    sync.run(&store, &mut BTreeSet::new()).await.unwrap();
    without(&schema, &name).await;
}

#[tokio::test]
async fn a_role_that_may_not_create_a_schema_is_told_what_it_lacks() {
    if url().is_none() {
        return;
    }
    let schema = Schema::new();
    schema.sql("SELECT 1").await;
    let (name, options) = role(&schema).await;
    let outcome = storage_postgres::create_or_open(&options).await;
    without(&schema, &name).await;
    refused(
        outcome,
        StoreErrorKind::Io,
        &["privilege", "permission denied", "GRANT CREATE ON DATABASE"],
    );
}

#[tokio::test]
async fn a_server_that_only_reads_is_named_as_such() {
    let Some((schema, sync)) = filled().await else {
        return;
    };
    let options = schema
        .options
        .clone()
        .with_url("options='-c default_transaction_read_only=on'")
        .unwrap();
    let reader = storage_postgres::open_read_only(&options).await.unwrap();
    assert_eq!(super::seen(&reader).await, 1);
    let words = ["only reads", "default_transaction_read_only", "primary"];
    match storage_postgres::open(&options).await {
        Ok(store) => {
            let outcome = ends(sync.run(&store, &mut BTreeSet::new())).await;
            refused(outcome, StoreErrorKind::Unavailable, &words);
        }
        Err(error) => {
            refused(Err::<(), _>(error), StoreErrorKind::Unavailable, &words);
        }
    }
    let fresh = Schema::new();
    let options = fresh
        .options
        .clone()
        .with_url("options='-c default_transaction_read_only=on'")
        .unwrap();
    refused(
        storage_postgres::create_or_open(&options).await,
        StoreErrorKind::Unavailable,
        &words,
    );
}

/// Changes are staged in a temporary table.
#[tokio::test]
async fn a_role_that_may_not_make_temporary_tables_is_told_so() {
    let Some((cluster, url)) = super::cluster(&[]).await else {
        return;
    };
    super::sql(
        &url,
        "CREATE ROLE narrow LOGIN PASSWORD 'pw'; REVOKE TEMPORARY ON DATABASE faults FROM PUBLIC; \
         CREATE SCHEMA store AUTHORIZATION narrow; GRANT USAGE ON SCHEMA public TO narrow",
    )
    .await;
    let options = super::options(&format!("{url}?sslmode=disable"), "store")
        .with_user("narrow")
        .with_password("pw".to_owned().into());
    let store = storage_postgres::create_or_open(&options).await.unwrap();
    let sync = Sync::new();
    // What only adds needs none.
    sync.prepare(&store).await;
    let error = ends(sync.run(&store, &mut BTreeSet::new()))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), StoreErrorKind::Io, "{text}");
    assert!(
        text.contains("GRANT TEMPORARY ON DATABASE \"faults\" TO narrow"),
        "{text}"
    );
    assert_eq!(super::seen(&store).await, 1);
    super::sql(&url, "GRANT TEMPORARY ON DATABASE faults TO narrow").await;
    ends(sync.run(&store, &mut BTreeSet::new())).await.unwrap();
    drop(cluster);
}
