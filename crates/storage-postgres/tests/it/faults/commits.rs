//! COMMIT was sent, and its answer did not come.

use std::collections::BTreeSet;

use postgres_harness::{COMMIT, Pace, Proxy, Then, When};
use storage_core::testing::fixture::{faq, generation};
use storage_core::{EmbeddingStore, StoreErrorKind};
use storage_postgres::PostgresStore;

use super::{Network, Sync, cluster, ends, options, seen};

/// What the tool asks a server with, that it lost the answer of.
const QUESTION: &[u8] = b"pg_xact_status";

struct Case {
    network: Network,
    sync: Sync,
    store: PostgresStore,
    before: u64,
}

impl Case {
    /// Everything is paid for; only the change itself is left.
    async fn new() -> Option<Self> {
        let network = Network::new()?;
        let sync = Sync::new();
        storage_postgres::migrate(&network.schema.options)
            .await
            .unwrap();
        let store = storage_postgres::open(&network.options).await.unwrap();
        sync.prepare(&store).await;
        sync.pay(&store, &mut BTreeSet::new()).await.unwrap();
        Some(Self {
            before: seen(&store).await,
            network,
            sync,
            store,
        })
    }

    async fn apply(&self) -> storage_core::Result<storage_core::Applied> {
        let changes = self.sync.changes(&self.store).await.unwrap();
        ends(self.store.apply(changes)).await
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_reported_as_made() {
    let Some(case) = Case::new().await else {
        return;
    };
    case.network
        .proxy
        .fault(When::Said(COMMIT), Then::LoseAnswer);
    let applied = case.apply().await.unwrap();
    assert!(case.network.proxy.has_struck());
    assert_eq!(applied.collection.0, case.before + 1);
    assert_eq!(seen(&case.store).await, case.before + 1);
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_made_once_more() {
    let Some(case) = Case::new().await else {
        return;
    };
    case.network
        .proxy
        .fault(When::BeforeSaying(COMMIT), Then::Reset);
    let applied = case.apply().await.unwrap();
    assert!(case.network.proxy.has_struck());
    assert_eq!(applied.collection.0, case.before + 1);
    assert_eq!(seen(&case.store).await, case.before + 1);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_when_that_answer_is_lost_too() {
    let Some(case) = Case::new().await else {
        return;
    };
    let changes = case.sync.changes(&case.store).await.unwrap();
    case.network
        .proxy
        .fault(When::Said(COMMIT), Then::LoseAnswer);
    let proxy = &case.network.proxy;
    let (applied, ()) = tokio::join!(ends(case.store.apply(changes)), async {
        super::until("the answer is lost", || async { proxy.has_struck() }).await;
        proxy.fault(When::Said(QUESTION), Then::LoseAnswer);
    });
    assert!(proxy.has_struck());
    assert_eq!(applied.unwrap().collection.0, case.before + 1);
    assert_eq!(seen(&case.store).await, case.before + 1);
}

#[tokio::test]
async fn a_server_that_loses_every_commit_is_given_up() {
    let Some(case) = Case::new().await else {
        return;
    };
    let changes = case.sync.changes(&case.store).await.unwrap();
    let proxy = &case.network.proxy;
    let mut lost = 0;
    let losing = async {
        loop {
            proxy.fault(When::BeforeSaying(COMMIT), Then::Reset);
            super::until("another COMMIT", || async { proxy.has_struck() }).await;
            lost += 1;
        }
    };
    let refused = tokio::select! {
        outcome = ends(case.store.apply(changes)) => outcome.unwrap_err(),
        () = losing => unreachable!(),
    };
    proxy.heal();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable, "{refused}");
    assert!(lost > 1, "it was tried {lost} times");
    assert_eq!(seen(&case.store).await, case.before);
}

#[tokio::test]
async fn a_server_that_is_gone_after_commit_leaves_the_outcome_unknown() {
    let Some(case) = Case::new().await else {
        return;
    };
    let changes = case.sync.changes(&case.store).await.unwrap();
    let proxy = &case.network.proxy;
    proxy.fault(When::Said(COMMIT), Then::KeepAnswer);
    let (refused, ()) = tokio::join!(ends(case.store.apply(changes)), async {
        super::until("COMMIT is sent", || async { proxy.has_struck() }).await;
        proxy.pace(Pace::Away);
    });
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::OutcomeUnknown, "{refused}");
    assert!(
        refused.to_string().contains("smart-support status"),
        "{refused}"
    );
    proxy.pace(Pace::AtOnce);
    // It was made, and is there when the server is.
    assert_eq!(seen(&case.store).await, case.before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_with_its_answer_to_commit_is_believed_only_as_far_as_it_knows() {
    let Some((mut cluster, database)) = cluster(&[]).await else {
        return;
    };
    let (proxy, through) = Proxy::before(&database).unwrap();
    let through = options(&through, "store");
    let store = storage_postgres::create_or_open(&through).await.unwrap();
    let sync = Sync::new();
    sync.prepare(&store).await;
    sync.pay(&store, &mut BTreeSet::new()).await.unwrap();
    let before = seen(&store).await;
    let changes = sync.changes(&store).await.unwrap();
    proxy.fault(When::Said(COMMIT), Then::KeepAnswer);
    let applying = tokio::spawn(async move { (ends(store.apply(changes)).await, store) });
    super::until("COMMIT is sent", || async { proxy.has_struck() }).await;
    cluster.kill().unwrap();
    proxy.heal();
    cluster.start_again().unwrap();
    let (outcome, store) = applying.await.unwrap();
    let now = seen(&store).await;
    assert!(now == before || now == before + 1, "it was done twice");
    match outcome {
        Ok(applied) => {
            assert_eq!((applied.collection.0, now), (before + 1, before + 1));
        }
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{error}"),
    }
    // Whatever became of it, it can be gone on with.
    drop(store);
    let store = storage_postgres::open(&through).await.unwrap();
    sync.run(&store, &mut BTreeSet::new()).await.unwrap();
    assert_eq!(seen(&store).await, before + 1);
}

/// A server that crashes forgets numbers of transactions that were never written down, and gives them to others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_a_forgotten_transaction_is_not_believed_when_another_has_it() {
    // COMMIT is answered before anything is written down, and nothing is for ten seconds.
    let forgetful = [("wal_writer_delay", "10s"), ("autovacuum", "off")];
    let Some((mut cluster, database)) = cluster(&forgetful).await else {
        return;
    };
    let direct = options(&format!("{database}?sslmode=disable"), "store");
    storage_postgres::migrate(&direct).await.unwrap();
    let sync = Sync::new();
    {
        let store = storage_postgres::open(&direct).await.unwrap();
        sync.prepare(&store).await;
        sync.pay(&store, &mut BTreeSet::new()).await.unwrap();
    }
    let (proxy, through) = Proxy::before(&database).unwrap();
    let through = format!("{through}&options=-c%20synchronous_commit%3Doff");
    let through = options(&through, "store");
    let store = storage_postgres::open(&through).await.unwrap();
    let before = seen(&store).await;
    let changes = sync.changes(&store).await.unwrap();
    proxy.fault(When::Said(COMMIT), Then::KeepAnswer);
    let applying = tokio::spawn(async move { (ends(store.apply(changes)).await, store) });
    super::until("COMMIT is sent", || async { proxy.has_struck() }).await;
    cluster.kill().unwrap();
    proxy.pace(Pace::Away);
    cluster.start_again().unwrap();
    // Others are quicker.
    let other =
        "CREATE TABLE IF NOT EXISTS public.others (n bigint); INSERT INTO public.others VALUES (1)";
    for _ in 0..20 {
        super::sql(&database, other).await;
    }
    proxy.heal();
    let (outcome, store) = applying.await.unwrap();
    let now = generation(&store, &faq()).await.0;
    match outcome {
        Ok(applied) => assert_eq!(
            (applied.collection.0, now),
            (before + 1, before + 1),
            "it says that it is done, and is not"
        ),
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{error}"),
    }
}
