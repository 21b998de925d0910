//! A network that breaks, a server that dies, a server that is not ours to change: what is acknowledged stays, what is
//! not is whole or not there, and every call ends.

mod commits;
mod cuts;
mod refusals;
mod servers;
mod sessions;
mod stalls;

use std::collections::BTreeSet;
use std::time::Duration;

use postgres_harness::{Cluster, Proxy, SUPERUSER, TEMPLATE, TestServer};
use storage_core::testing::fixture::{
    Made, binding, change, documents, faq, fill, generation, key, stored_vector, unpaid, version,
};
use storage_core::testing::{Snapshot, snapshot};
use storage_core::{
    ChangeSet, Document, EmbeddingStore, InputHash, Result, Row, StoredVector, Timestamp,
};
use storage_postgres::{PostgresOptions, PostgresStore};

use crate::server::{Schema, url};

/// Nothing may take longer, on the busiest machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// Vectors that are stored at once.
const BATCH: usize = 10;

/// A store of a test's own behind a network of its own.
struct Network {
    proxy: Proxy,
    schema: Schema,
    /// Through the proxy.
    options: PostgresOptions,
}

impl Network {
    /// None without a server, which is said.
    fn new() -> Option<Self> {
        let url = url()?;
        let schema = Schema::new();
        let (proxy, through) = Proxy::before(&url).unwrap();
        let options = options(&through, &schema.name);
        Some(Self {
            proxy,
            schema,
            options,
        })
    }

    /// The store, past the proxy.
    async fn direct(&self) -> PostgresStore {
        // Whoever was cut off may still be there, in the eyes of the server.
        let patient = self.schema.options.clone().with_wait(DEADLINE);
        storage_postgres::open(&patient).await.unwrap()
    }

    /// What the store holds, past the proxy.
    async fn holds(&self) -> Snapshot {
        snapshot(&self.reader().await).await
    }

    async fn reader(&self) -> PostgresStore {
        storage_postgres::open_read_only(&self.schema.options)
            .await
            .unwrap()
    }
}

/// Words to find a session by.
fn options(url: &str, schema: &str) -> PostgresOptions {
    PostgresOptions::parse(url)
        .and_then(|options| options.with_schema(schema))
        .unwrap()
        .with_pool_size(2)
        .with_writer("a writer under test")
        .with_application_name("a reader under test")
}

/// A server of a test's own with a database for it, and that database's URL; none where there are no programs for one,
/// which is said.
async fn cluster(settings: &[(&str, &str)]) -> Option<(Cluster, String)> {
    let server = TestServer::from_environment()?;
    let programs = server.programs()?;
    let settings = settings.iter();
    let options = postgres_harness::Options {
        durability: postgres_harness::Durability::Full,
        settings: settings
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Default::default()
    };
    let cluster = Cluster::start(programs, &options).unwrap();
    let create = format!("CREATE DATABASE faults TEMPLATE {TEMPLATE}");
    sql(&cluster.url(SUPERUSER, "postgres"), &create).await;
    let url = cluster.url(SUPERUSER, "faults");
    Some((cluster, url))
}

/// Runs SQL, as somebody with psql does.
async fn sql(url: &str, sql: &str) -> Vec<Vec<Option<String>>> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let answer = client.simple_query(sql).await.unwrap();
    crate::server::texts(&answer)
}

/// A sync in small: forty rows are there; twenty of them change, ten go, thirty come.
struct Sync {
    version: Made,
    before: Vec<Document>,
    upserts: Vec<Document>,
    deletes: Vec<Document>,
}

impl Sync {
    fn new() -> Self {
        let mut all = documents(70);
        let before = all[..40].to_vec();
        for document in &mut all[..20] {
            document.body.push_str(" Это бесплатно?");
        }
        let upserts = [&all[..20], &all[40..]].concat();
        Self {
            version: version("one"),
            deletes: before[30..].to_vec(),
            before,
            upserts,
        }
    }

    /// Makes the state before.
    async fn prepare(&self, store: &dyn EmbeddingStore) {
        fill(store, &self.version, &self.before).await;
    }

    fn vectors(&self) -> Vec<StoredVector> {
        let vectors = self.upserts.iter();
        let mut seen = BTreeSet::new();
        vectors
            .map(|document| stored_vector(&self.version, document))
            .filter(|vector| seen.insert(vector.key.input))
            .collect()
    }

    /// Stores what is missing, batch by batch; counts the inputs that were acknowledged.
    async fn pay(
        &self,
        store: &dyn EmbeddingStore,
        acknowledged: &mut BTreeSet<InputHash>,
    ) -> Result<()> {
        let vectors = self.vectors();
        let inputs: BTreeSet<_> = vectors.iter().map(|vector| vector.key.input).collect();
        let stored = store
            .stored_vectors(&self.version.space.id, &inputs)
            .await?;
        let missing: Vec<_> = vectors
            .into_iter()
            .filter(|vector| !stored.contains_key(&vector.key.input))
            .collect();
        for batch in missing.chunks(BATCH) {
            for vector in batch {
                assert!(
                    !acknowledged.contains(&vector.key.input),
                    "a vector that was acknowledged is to be paid for again"
                );
            }
            store
                .put_embeddings(batch, &unpaid("run"), Timestamp(1_500))
                .await?;
            acknowledged.extend(batch.iter().map(|vector| vector.key.input));
        }
        Ok(())
    }

    async fn changes(&self, store: &dyn EmbeddingStore) -> Result<ChangeSet> {
        let status = store.status().await?;
        let base = status.collection(&faq()).map(|status| status.generation);
        let mut changes = change(base.unwrap_or_default());
        changes.upserts = self
            .upserts
            .iter()
            .map(|document| Row::new(document.clone(), vec![binding(&self.version, document)]))
            .collect();
        changes.deletes = self
            .deletes
            .iter()
            .map(|document| document.key.clone())
            .collect();
        Ok(changes)
    }

    /// All of it, as far as it is not there yet.
    async fn run(
        &self,
        store: &dyn EmbeddingStore,
        acknowledged: &mut BTreeSet<InputHash>,
    ) -> Result<()> {
        self.pay(store, acknowledged).await?;
        let (_, rows) = store.fingerprints(&faq()).await?;
        if rows.iter().any(|row| row.key == key("id-0035")) {
            store.apply(self.changes(store).await?).await?;
        }
        Ok(())
    }

    /// What a store holds before and after, found out where nothing breaks.
    async fn states(&self) -> (Snapshot, Snapshot) {
        let schema = Schema::new();
        let store = storage_postgres::create_or_open(&schema.options)
            .await
            .unwrap();
        self.prepare(&store).await;
        let before = snapshot(&store).await;
        self.run(&store, &mut BTreeSet::new()).await.unwrap();
        let after = snapshot(&store).await;
        assert_ne!(before, after);
        (before, after)
    }
}

/// Bounds a call that must end.
async fn ends<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what)
        .await
        .expect("the call does not end")
}

/// Waits for what comes about by itself.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let reached = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reached = tokio::time::timeout(DEADLINE, reached).await;
    assert!(reached.is_ok(), "never: {what}");
}

/// The generation readers see.
async fn seen(store: &dyn EmbeddingStore) -> u64 {
    generation(store, &faq()).await.0
}
