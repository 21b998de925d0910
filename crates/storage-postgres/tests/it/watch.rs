//! Noticing a new generation: told by the server where it tells, found out where not, and after the server was away.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use postgres_harness::{Cluster, Options, SUPERUSER, Shutdown, TEMPLATE, TestServer};
use storage_core::Generation;
use storage_core::testing::fixture;
use storage_postgres::{PostgresOptions, PostgresStore, watch};

use crate::server::{Schema, url};

/// Only what never comes takes so long.
const DEADLINE: Duration = Duration::from_secs(120);
/// Nobody asks again within a test.
const NEVER: Duration = Duration::from_secs(3600);

async fn next(generations: &mut BoxStream<'static, Generation>) -> Generation {
    let next = tokio::time::timeout(DEADLINE, generations.next());
    next.await
        .expect("a generation comes")
        .expect("it never ends")
}

/// The next that is at least this one: several that follow each other at once may be one.
async fn reaches(generations: &mut BoxStream<'static, Generation>, wanted: Generation) {
    while next(generations).await < wanted {}
}

/// Writes, and says what generation that made.
async fn write(store: &PostgresStore, documents: usize) -> Generation {
    let version = fixture::version("m");
    let documents = fixture::documents(documents);
    fixture::fill(store, &version, &documents).await.store
}

#[tokio::test]
async fn a_new_generation_is_announced_long_before_anybody_asks() {
    let Some(_) = url() else { return };
    let (watched, other) = (Schema::new(), Schema::new());
    let store = storage_postgres::create_or_open(&watched.options)
        .await
        .unwrap();
    let beside = storage_postgres::create_or_open(&other.options)
        .await
        .unwrap();
    let mut generations = watch(watched.options.clone(), NEVER);
    let first = next(&mut generations).await;
    // Another store of the same database is nobody's business here.
    write(&beside, 1).await;
    let second = write(&store, 3).await;
    assert!(second > first);
    reaches(&mut generations, second).await;
}

#[tokio::test]
async fn a_store_that_is_not_there_yet_is_waited_for() {
    let Some(_) = url() else { return };
    let schema = Schema::new();
    let mut generations = watch(schema.options.clone(), Duration::from_millis(50));
    let coming = tokio::spawn(async move { next(&mut generations).await });
    let store = storage_postgres::create_or_open(&schema.options)
        .await
        .unwrap();
    coming.await.unwrap();
    drop(store);
}

/// A server of the test's own, and a store in it.
async fn private() -> Option<(Cluster, PostgresOptions, PostgresStore)> {
    let server = TestServer::from_environment()?;
    let cluster = Cluster::start(server.programs()?, &Options::default()).unwrap();
    let (client, connection) =
        tokio_postgres::connect(&cluster.url(SUPERUSER, "postgres"), tokio_postgres::NoTls)
            .await
            .unwrap();
    tokio::spawn(connection);
    client
        .batch_execute(&format!("CREATE DATABASE watched TEMPLATE {TEMPLATE}"))
        .await
        .unwrap();
    let options = PostgresOptions::parse(&cluster.url(SUPERUSER, "watched")).unwrap();
    let store = storage_postgres::create_or_open(&options).await.unwrap();
    Some((cluster, options, store))
}

#[tokio::test]
async fn a_server_that_was_away_is_found_again_and_announces_as_before() {
    let Some((mut cluster, options, store)) = private().await else {
        return;
    };
    let mut generations = watch(options.clone(), NEVER);
    let first = next(&mut generations).await;
    drop(store);
    cluster.stop(Shutdown::Fast).unwrap();
    cluster.start_again().unwrap();
    let store = storage_postgres::open(&options).await.unwrap();
    // Either half of the restart may have been missed; what was written since may not.
    let second = write(&store, 2).await;
    assert!(second > first);
    reaches(&mut generations, second).await;
    let third = write(&store, 5).await;
    reaches(&mut generations, third).await;
}

#[tokio::test]
async fn a_standby_announces_nothing_and_is_asked_until_it_is_promoted() {
    let Some((mut cluster, _, store)) = private().await else {
        return;
    };
    let standby = cluster.standby().unwrap();
    let options = PostgresOptions::parse(&standby.url(SUPERUSER, "watched")).unwrap();
    let mut generations = watch(options.clone(), Duration::from_millis(50));
    next(&mut generations).await;
    let second = write(&store, 3).await;
    reaches(&mut generations, second).await;
    drop(store);
    cluster.stop(Shutdown::Fast).unwrap();
    standby.promote().unwrap();
    let store = storage_postgres::open(&options).await.unwrap();
    let third = write(&store, 7).await;
    reaches(&mut generations, third).await;
}
