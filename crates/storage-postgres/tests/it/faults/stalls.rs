//! A network that says nothing any more: every call ends, and leaves nothing behind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use postgres_harness::{Pace, Then, Way, When};
use storage_core::testing::fixture::faq;
use storage_core::{EmbeddingStore, Filter, StoreErrorKind};
use storage_postgres::{PostgresOptions, PostgresStore};
use tokio::sync::Semaphore;

use super::{Network, Sync, ends, seen, until};

/// Faults of the test that counts what is left behind.
const FAULTS: u64 = 100;

/// At once: each waits, mostly.
const TOGETHER: usize = 24;

/// One that is told soon.
fn impatient(options: &PostgresOptions) -> PostgresOptions {
    options
        .clone()
        .with_statement_timeout(Duration::from_secs(1))
        .with_connect_timeout(Duration::from_secs(1))
        .with_wait(Duration::from_secs(1))
}

async fn prepared(network: &Network, sync: &Sync) -> PostgresStore {
    storage_postgres::migrate(&network.schema.options)
        .await
        .unwrap();
    sync.prepare(&network.direct().await).await;
    ends(async {
        loop {
            match storage_postgres::open(&impatient(&network.options)).await {
                Ok(store) => return store,
                // A busy machine is no silent one.
                Err(error) => is_told(Err(error)),
            }
        }
    })
    .await
}

fn is_told(outcome: storage_core::Result<()>) {
    if let Err(error) = outcome {
        let known = [
            StoreErrorKind::Unavailable,
            StoreErrorKind::OutcomeUnknown,
            // The server may still keep the lock for the session that it does not know to be gone.
            StoreErrorKind::Busy,
        ];
        assert!(known.contains(&error.kind()), "{error}");
    }
}

#[tokio::test]
async fn opening_through_a_silent_network_ends() {
    let Some(network) = Network::new() else {
        return;
    };
    let sync = Sync::new();
    storage_postgres::migrate(&network.schema.options)
        .await
        .unwrap();
    sync.prepare(&network.direct().await).await;
    let options = impatient(&network.options);
    // How much an undisturbed opening says; then silence after each share of it.
    drop(storage_postgres::open(&options).await.unwrap());
    let all = network.proxy.bytes(Way::ToClient);
    for share in 0..20 {
        let when = When::Bytes(Way::ToClient, all * share / 20);
        network.proxy.fault(when, Then::Stall);
        is_told(ends(storage_postgres::open(&options)).await.map(drop));
        is_told(
            ends(storage_postgres::open_read_only(&options))
                .await
                .map(drop),
        );
        is_told(
            ends(storage_postgres::schema_status(&options))
                .await
                .map(drop),
        );
        is_told(ends(storage_postgres::writer(&options)).await.map(drop));
        network.proxy.heal();
    }
    until("all connections are gone", || async {
        network.proxy.open() == 0
    })
    .await;
}

#[tokio::test]
async fn migrating_through_a_silent_network_ends() {
    let Some(network) = Network::new() else {
        return;
    };
    let options = impatient(&network.options);
    for bytes in [100, 1_000, 2_000, 3_000, 4_000, 6_000, 8_000] {
        network
            .proxy
            .fault(When::Bytes(Way::ToServer, bytes), Then::Stall);
        is_told(ends(storage_postgres::migrate(&options)).await.map(drop));
        network.proxy.heal();
    }
    until("all connections are gone", || async {
        network.proxy.open() == 0
    })
    .await;
    ends(storage_postgres::create_or_open(&network.options))
        .await
        .unwrap();
}

#[tokio::test]
async fn connections_that_fell_silent_in_the_pool_are_replaced() {
    let Some(network) = Network::new() else {
        return;
    };
    let sync = Sync::new();
    drop(prepared(&network, &sync).await);
    let options = impatient(&network.options).with_pool_size(4);
    let store = storage_postgres::open_read_only(&options).await.unwrap();
    let scans = (0..4).map(|_| store.scan(&faq(), None, Filter::default()).count());
    assert_eq!(
        futures_util::future::join_all(scans).await,
        [sync.before.len(); 4]
    );
    network.proxy.pace(Pace::Never);
    let refused = ends(store.status()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable, "{refused}");
    network.proxy.heal();
    assert_eq!(ends(seen(&store)).await, 1);
}

#[tokio::test]
async fn a_slow_network_is_slow_and_nothing_else() {
    let Some(network) = Network::new() else {
        return;
    };
    let sync = Sync::new();
    let (_, after) = sync.states().await;
    storage_postgres::migrate(&network.schema.options)
        .await
        .unwrap();
    sync.prepare(&network.direct().await).await;
    let patient = network.options.clone().with_wait(super::DEADLINE);
    network.proxy.pace(Pace::Late(Duration::from_millis(5)));
    let store = storage_postgres::open(&patient).await.unwrap();
    ends(sync.run(&store, &mut BTreeSet::new())).await.unwrap();
    network.proxy.heal();
    assert!(network.holds().await == after, "not the state after");
}

#[tokio::test]
async fn an_answer_that_trickles_ends_with_the_deadline() {
    let Some(network) = Network::new() else {
        return;
    };
    let sync = Sync::new();
    let store = prepared(&network, &sync).await;
    network.proxy.pace(Pace::Byte(Duration::from_secs(1)));
    is_told(ends(store.status()).await.map(drop));
    is_told(ends(sync.run(&store, &mut BTreeSet::new())).await);
    network.proxy.heal();
    drop(store);
    let direct = network.direct().await;
    sync.run(&direct, &mut BTreeSet::new()).await.unwrap();
}

/// A hundred syncs that meet silence, each at another byte; then nothing of them is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_silences_leave_no_connection_and_no_task_behind() {
    if crate::server::url().is_none() {
        return;
    }
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let at_start = tasks();
    let sync = Arc::new(Sync::new());
    let places = Arc::new(Semaphore::new(TOGETHER));
    let mut running = tokio::task::JoinSet::new();
    for number in 0..FAULTS {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let sync = Arc::clone(&sync);
        running.spawn(async move {
            let network = Network::new().unwrap();
            let store = prepared(&network, &sync).await;
            let way = [Way::ToServer, Way::ToClient][usize::from(number % 2 == 1)];
            network
                .proxy
                .fault(When::Bytes(way, number * 250), Then::Stall);
            is_told(ends(sync.run(&store, &mut BTreeSet::new())).await);
            let struck = network.proxy.has_struck();
            drop(store);
            network.proxy.heal();
            until("all connections are gone", || async {
                network.proxy.open() == 0
            })
            .await;
            let direct = network.direct().await;
            sync.run(&direct, &mut BTreeSet::new()).await.unwrap();
            drop(place);
            struck
        });
    }
    let mut struck = 0;
    while let Some(met) = running.join_next().await {
        struck += u64::from(met.unwrap());
    }
    assert!(struck > FAULTS / 2, "only {struck} silences met a sync");
    until("the tasks are gone", || async { tasks() <= at_start }).await;
}
