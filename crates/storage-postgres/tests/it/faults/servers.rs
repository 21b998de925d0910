//! A server that dies, and one that comes back.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use postgres_harness::{Cluster, Proxy, Shutdown, Then, When};
use storage_core::{EmbeddingStore as _, StoreErrorKind};
use storage_postgres::PostgresStore;

use super::{Sync, cluster, ends, options, seen, sql, until};

const COPY: &[u8] = b"FROM STDIN";

struct Case {
    cluster: Cluster,
    url: String,
    proxy: Proxy,
    sync: Sync,
    store: PostgresStore,
}

impl Case {
    async fn new() -> Option<Self> {
        let (cluster, url) = cluster(&[]).await?;
        let (proxy, through) = Proxy::before(&url).unwrap();
        let options = options(&through, "store");
        let store = storage_postgres::create_or_open(&options).await.unwrap();
        let sync = Sync::new();
        sync.prepare(&store).await;
        Some(Self {
            cluster,
            url,
            proxy,
            sync,
            store,
        })
    }

    /// A sync that stands in the middle of a load while the server meets its fate.
    async fn in_mid_load(mut self, fate: impl AsyncFnOnce(&mut Cluster, &str)) {
        self.proxy
            .fault(When::SaidAndBytes(COPY, 1_500), Then::Stall);
        let Self {
            cluster,
            url,
            proxy,
            sync,
            store,
        } = &mut self;
        let mut acknowledged = BTreeSet::new();
        let (ended, ()) = tokio::join!(ends(sync.run(&*store, &mut acknowledged)), async {
            until("a load", || async { proxy.has_struck() }).await;
            fate(cluster, url).await;
            proxy.heal();
        });
        ended.unwrap();
        assert_eq!(seen(store).await, 2);
        assert!(ends(store.check()).await.unwrap().is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_at_once_in_the_middle_of_a_load_is_waited_for() {
    let Some(case) = Case::new().await else {
        return;
    };
    case.in_mid_load(async |cluster, _| {
        cluster.stop(Shutdown::Immediate).unwrap();
        cluster.start_again().unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_in_the_middle_of_a_load_is_waited_for() {
    let Some(case) = Case::new().await else {
        return;
    };
    case.in_mid_load(async |cluster, _| {
        cluster.kill().unwrap();
        cluster.start_again().unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_end_that_is_killed_takes_the_server_down_for_a_moment_only() {
    let Some(case) = Case::new().await else {
        return;
    };
    case.in_mid_load(async |_, url| {
        let pids = sql(
            url,
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'a writer under test'",
        )
        .await;
        let pid = pids[0][0].clone().unwrap();
        assert!(
            Command::new("kill")
                .args(["-9", &pid])
                .status()
                .unwrap()
                .success()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_come_back_is_given_up_with_what_to_do() {
    let Some(mut case) = Case::new().await else {
        return;
    };
    case.cluster.stop(Shutdown::Immediate).unwrap();
    let ended = ends(case.sync.run(&case.store, &mut BTreeSet::new())).await;
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    let changes = storage_core::testing::fixture::change(storage_core::Generation(1));
    for error in [error, ends(case.store.apply(changes)).await.unwrap_err()] {
        let text = error.to_string();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{text}");
        assert!(
            text.contains(&case.proxy.port().to_string()),
            "it does not name the place: {text}"
        );
        assert!(
            text.contains("again") || text.contains("pg_isready"),
            "{text}"
        );
    }
    case.cluster.start_again().unwrap();
    ends(case.sync.run(&case.store, &mut BTreeSet::new()))
        .await
        .unwrap();
    assert_eq!(seen(&case.store).await, 2);
}

/// Readers look for a server that is restarted, and never see a mixture.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_do_not_notice_a_restart() {
    let Some(mut case) = Case::new().await else {
        return;
    };
    let reader = storage_postgres::open_read_only(&options(
        &format!("{}?sslmode=disable", case.url),
        "store",
    ))
    .await
    .unwrap();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let reading = tokio::spawn(async move {
        let (mut reads, mut refused) = (0, 0);
        while stopped.try_recv().is_err() {
            match reader.status().await {
                Ok(status) => {
                    assert_eq!(status.collections[0].generation.0, 1);
                    reads += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
                    refused += 1;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (reads, refused)
    });
    let started = Instant::now();
    for _ in 0..3 {
        case.cluster.restart(Shutdown::Immediate).unwrap();
    }
    let away = started.elapsed();
    stop.send(()).unwrap();
    let (reads, refused) = reading.await.unwrap();
    assert!(reads > 0);
    // A reader waits ten seconds for its server. One that was away for longer is another matter.
    assert!(refused == 0 || away > Duration::from_secs(9), "{away:?}");
}
