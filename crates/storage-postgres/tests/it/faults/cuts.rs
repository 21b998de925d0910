//! Connections cut at byte offsets spread over a whole sync, both ways.

use std::collections::BTreeSet;
use std::sync::Arc;

use postgres_harness::{Then, Way, When};
use storage_core::StoreErrorKind;
use storage_core::testing::Snapshot;
use tokio::sync::Semaphore;

use super::{Network, Sync, ends, seen};
use crate::server::url;

/// Cuts of each direction.
const OFFSETS: u64 = 20;

/// Rounds side by side: half of each is waiting.
const TOGETHER: usize = 6;

/// Those that wait ten seconds for a server that does not come.
const WAITING: usize = 20;

struct Course {
    sync: Sync,
    before: Snapshot,
    after: Snapshot,
    /// What a whole run sends each way.
    bytes: [u64; 2],
}

impl Course {
    async fn new() -> Option<Arc<Self>> {
        url()?;
        let sync = Sync::new();
        let (before, after) = sync.states().await;
        let network = Network::new()?;
        let bytes = {
            let store = prepared(&network, &sync).await;
            sync.run(&store, &mut BTreeSet::new()).await.unwrap();
            let ways = [Way::ToServer, Way::ToClient];
            ways.map(|way| network.proxy.bytes(way))
        };
        Some(Arc::new(Self {
            sync,
            before,
            after,
            bytes,
        }))
    }

    /// Runs a round for each offset of each direction.
    async fn rounds<F>(
        self: &Arc<Self>,
        together: usize,
        round: impl Fn(Arc<Self>, Network, When) -> F,
    ) where
        F: Future<Output = bool> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(together));
        let mut running = tokio::task::JoinSet::new();
        for (way, all) in [Way::ToServer, Way::ToClient].into_iter().zip(self.bytes) {
            for number in 0..OFFSETS {
                let place = Arc::clone(&places).acquire_owned().await.unwrap();
                let network = Network::new().unwrap();
                let offset = all * number / OFFSETS;
                let round = round(Arc::clone(self), network, When::Bytes(way, offset));
                running.spawn(async move {
                    let struck = round.await;
                    drop(place);
                    struck
                });
            }
        }
        let mut struck = 0;
        while let Some(met) = running.join_next().await {
            struck += u64::from(met.unwrap());
        }
        assert!(
            struck * 4 > OFFSETS * 2 * 3,
            "only {struck} cuts met a sync, which proves little"
        );
    }
}

async fn prepared(network: &Network, sync: &Sync) -> storage_postgres::PostgresStore {
    storage_postgres::migrate(&network.schema.options)
        .await
        .unwrap();
    sync.prepare(&network.direct().await).await;
    let patient = network.options.clone().with_wait(super::DEADLINE);
    storage_postgres::open(&patient).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_is_cut_off_anywhere_goes_on_by_itself() {
    let Some(course) = Course::new().await else {
        return;
    };
    let round = |course: Arc<Course>, network: Network, when: When| async move {
        let store = prepared(&network, &course.sync).await;
        network.proxy.fault(when, Then::Reset);
        ends(course.sync.run(&store, &mut BTreeSet::new()))
            .await
            .unwrap_or_else(|error| panic!("cut at {when:?}: {error}"));
        assert!(
            network.holds().await == course.after,
            "cut at {when:?}: not the state after"
        );
        network.proxy.has_struck()
    };
    course.rounds(TOGETHER, round).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_whose_server_goes_for_good_leaves_all_or_nothing_of_a_change() {
    let Some(course) = Course::new().await else {
        return;
    };
    let round = |course: Arc<Course>, network: Network, when: When| async move {
        let store = prepared(&network, &course.sync).await;
        network.proxy.fault(when, Then::Leave);
        let mut acknowledged = BTreeSet::new();
        let ended = ends(course.sync.run(&store, &mut acknowledged)).await;
        let struck = network.proxy.has_struck();
        if let Err(error) = &ended {
            let text = error.to_string();
            let known = [StoreErrorKind::Unavailable, StoreErrorKind::OutcomeUnknown];
            assert!(known.contains(&error.kind()), "cut at {when:?}: {text}");
            assert!(
                text.contains("again") || text.contains("pg_isready"),
                "cut at {when:?}: {text}"
            );
        }
        drop(store);
        // Once the server has noticed, nobody is in the way.
        let direct = network.direct().await;
        let held = network.holds().await;
        // What of a sync readers see comes at once.
        let states = [&course.before, &course.after];
        let state = states.iter().position(|state| {
            state.collections == held.collections && state.generation == held.generation
        });
        let Some(state) = state else {
            panic!("cut at {when:?}: readers see neither state, but {held:#?}");
        };
        assert!(
            ended.is_err() || state == 1,
            "cut at {when:?}: it says that it is done, and is not"
        );
        course
            .sync
            .run(&direct, &mut acknowledged)
            .await
            .unwrap_or_else(|error| panic!("cut at {when:?}: the next run: {error}"));
        assert!(
            network.holds().await == course.after,
            "cut at {when:?}: the next run does not lead to the state after"
        );
        assert_eq!(
            seen(&direct).await,
            course.after.collections[0].status.generation.0
        );
        struck
    };
    course.rounds(WAITING, round).await;
}
