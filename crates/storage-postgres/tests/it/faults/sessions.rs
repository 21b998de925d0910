//! Sessions that an administrator ends, idle and in the middle of something; and more readers than connections.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use postgres_harness::{Then, When};
use storage_core::testing::fixture::faq;
use storage_core::{EmbeddingStore, Filter, StoreErrorKind};
use storage_postgres::PostgresStore;

use super::{Network, Sync, ends, seen, until};

/// What the rows of a COPY follow.
const COPY: &[u8] = b"FROM STDIN";

async fn prepared(network: &Network, sync: &Sync) -> PostgresStore {
    storage_postgres::migrate(&network.schema.options)
        .await
        .unwrap();
    let store = storage_postgres::open(&network.options).await.unwrap();
    sync.prepare(&store).await;
    store
}

/// Ends every session of that name, and waits until they are gone.
async fn end_sessions(network: &Network, name: &str) -> usize {
    let own = format!(
        "application_name = '{name}' AND pid IN (SELECT pid FROM pg_stat_activity WHERE client_port IS NOT NULL) \
         AND client_port IN ({})",
        ports(network).await
    );
    let ended = network
        .schema
        .sql(&format!(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE {own}"
        ))
        .await;
    ended.len()
}

/// The proxy's own ports on the server: other tests have sessions of the same name.
async fn ports(network: &Network) -> String {
    let ports = network.proxy.ports();
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    if ports.is_empty() {
        "-2".to_owned()
    } else {
        ports.join(", ")
    }
}

const WRITER: &str = "a writer under test";
const READER: &str = "a reader under test";

#[tokio::test]
async fn a_writer_whose_session_is_ended_while_idle_goes_on() {
    let Some(network) = Network::new() else {
        return;
    };
    let sync = Sync::new();
    let store = prepared(&network, &sync).await;
    assert_eq!(end_sessions(&network, WRITER).await, 1);
    ends(sync.run(&store, &mut BTreeSet::new())).await.unwrap();
    assert_eq!(seen(&store).await, 2);
}

#[tokio::test]
async fn a_writer_whose_session_is_ended_in_the_middle_of_a_load_goes_on() {
    let Some(network) = Network::new() else {
        return;
    };
    let sync = Sync::new();
    let (_, after) = sync.states().await;
    let store = prepared(&network, &sync).await;
    network
        .proxy
        .fault(When::SaidAndBytes(COPY, 1_000), Then::Stall);
    let mut acknowledged = BTreeSet::new();
    let (ended, ()) = tokio::join!(ends(sync.run(&store, &mut acknowledged)), async {
        until("a load", || async { network.proxy.has_struck() }).await;
        assert!(end_sessions(&network, WRITER).await >= 1);
        network.proxy.heal();
    });
    ended.unwrap();
    assert!(network.holds().await == after, "not the state after");
    let reader = network.reader().await;
    assert!(ends(reader.check()).await.unwrap().is_ok());
}

#[tokio::test]
async fn readers_whose_sessions_are_ended_read_on() {
    let Some(network) = Network::new() else {
        return;
    };
    let sync = Sync::new();
    let store = prepared(&network, &sync).await;
    assert_eq!(seen(&store).await, 1);
    assert!(end_sessions(&network, READER).await >= 1);
    assert_eq!(seen(&store).await, 1);
    // One that has answered in part cannot be gone on with, and says so.
    let mut rows = store.scan(&faq(), None, Filter::default());
    rows.next().await.unwrap().unwrap();
    end_sessions(&network, READER).await;
    let mut read = 1;
    let ended = ends(async {
        while let Some(row) = rows.next().await {
            match row {
                Ok(_) => read += 1,
                Err(error) => return Some(error),
            }
        }
        None
    })
    .await;
    match ended {
        Some(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}"),
        // All rows had come already.
        None => assert_eq!(read, sync.before.len()),
    }
    assert_eq!(seen(&store).await, 1);
}

#[tokio::test]
async fn more_readers_than_connections_are_told_and_read_later() {
    let Some(network) = Network::new() else {
        return;
    };
    let sync = Sync::new();
    drop(prepared(&network, &sync).await);
    let narrow = network
        .options
        .clone()
        .with_pool_size(1)
        .with_wait(Duration::from_millis(100))
        .with_connect_timeout(Duration::from_secs(1));
    let store = storage_postgres::open_read_only(&narrow).await.unwrap();
    let mut first = store.scan(&faq(), None, Filter::default());
    first.next().await.unwrap().unwrap();
    let mut second = store.scan(&faq(), None, Filter::default());
    let (refused, status) = tokio::join!(ends(second.next()), ends(store.status()));
    for refused in [refused.unwrap().map(|_| ()), status.map(|_| ())] {
        let error = refused.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{text}");
        assert!(text.contains("POSTGRES_POOL_SIZE"), "{text}");
    }
    // It was not disturbed.
    let mut read = 1;
    while let Some(row) = first.next().await {
        row.unwrap();
        read += 1;
    }
    assert_eq!(read, sync.before.len());
    assert_eq!(seen(&store).await, 1);
    // Whoever comes in time waits.
    let scans = (0..4).map(|_| async {
        let rows: Vec<_> = store.scan(&faq(), None, Filter::default()).collect().await;
        rows.into_iter().filter(Result::is_ok).count()
    });
    let read = ends(futures_util::future::join_all(scans)).await;
    assert_eq!(read, [sync.before.len(); 4]);
}
