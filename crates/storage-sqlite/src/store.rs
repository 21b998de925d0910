//! The store: which thread does what. A store that writes has one thread for its one connection; scans, checks and
//! other long reads of a file bring a connection and a thread of their own, so that they hold no writer up. A store
//! that only reads has no thread at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use rusqlite::Connection;
use storage_core::{
    Applied, CacheStats, Canaries, Canary, ChangeSet, CollectionName, ContentHash, Document,
    DocumentKey, EmbeddingRecord, EmbeddingSpace, EmbeddingStore, Filter, Fingerprint, Freed,
    Generation, InputHash, IntegrityReport, KeptVector, Result, RunId, RunRecord, Source, SpaceId,
    Spend, StoreBytes, StoreError, StoreErrorKind, StoreStatus, StoredVector, Timestamp, UndoRow,
    VectorKey, VersionId, VersionNote,
};
use tokio::sync::{mpsc, oneshot};

use crate::error::Outcome;
use crate::header;
use crate::lock::WriterLock;
use crate::ops::kept::OfSpace;
use crate::ops::pages::{Cursor, Pages};
use crate::ops::scan::Wanted;
use crate::ops::{apply, check, ledger, read, status, undo, vectors, versions};
use crate::options::{Place, SqliteOptions};
use crate::reader::Reader;
use crate::readers::{self, Readers};
use crate::sql;
use crate::worker::{Session, Worker, within};

/// Batches that wait between a scan's thread and whoever reads it.
const BATCHES: usize = 4;

/// A store in an SQLite file, or in memory. Dropping it waits for what was begun and closes the file.
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    place: Place,
    timeout: Duration,
    /// Last, so that the next writer comes in when the file is closed.
    _lock: Option<WriterLock>,
}

enum Engine {
    /// Reads and writes, on a thread of its own.
    Worker(Worker),
    /// Reads only, on the caller's.
    Readers(Arc<Readers>),
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("place", &self.inner.place)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    pub(crate) fn start(
        session: Session,
        options: &SqliteOptions,
        lock: Option<WriterLock>,
    ) -> Result<Self> {
        let worker = Worker::start(session)?;
        Ok(Self::with(Engine::Worker(worker), options, lock))
    }

    pub(crate) fn read_only(reader: Reader, path: &Path, options: &SqliteOptions) -> Self {
        let readers = Readers::new(reader, path.to_owned(), options);
        Self::with(Engine::Readers(Arc::new(readers)), options, None)
    }

    fn with(engine: Engine, options: &SqliteOptions, lock: Option<WriterLock>) -> Self {
        Self {
            inner: Arc::new(Inner {
                engine,
                place: options.place.clone(),
                timeout: options.busy_timeout,
                _lock: lock,
            }),
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl Fn(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        match &self.inner.engine {
            Engine::Worker(worker) => {
                worker
                    .run(operation, &self.inner.place, move |session| {
                        session.read(read)
                    })
                    .await
            }
            Engine::Readers(readers) => readers
                .read(&|conn| within(conn, &read))
                .map_err(|failure| failure.at(operation, &self.inner.place)),
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        write: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        match &self.inner.engine {
            Engine::Worker(worker) => {
                worker
                    .run(operation, &self.inner.place, move |session| {
                        session.write(write)
                    })
                    .await
            }
            Engine::Readers(_) => Err(StoreError::new(
                StoreErrorKind::Io,
                operation,
                format!(
                    "the store was opened for reading only: {}",
                    self.inner.place
                ),
            )),
        }
    }

    /// A long read, handed on page by page.
    fn stream<P: Pages>(&self, wanted: P) -> BoxStream<'static, Result<P::Item>> {
        if let Engine::Readers(readers) = &self.inner.engine {
            return readers::stream(Arc::clone(readers), wanted);
        }
        let inner = Arc::clone(&self.inner);
        stream::once(async move {
            let started = match &inner.engine {
                Engine::Worker(worker) => inner.start(worker, wanted).await,
                Engine::Readers(_) => Err(ended(P::OPERATION)),
            };
            // The stream must not keep the store open: only its own connection.
            drop(inner);
            match started {
                Ok(received) => stream::unfold(received, |mut received| async move {
                    Some((received.recv().await?, received))
                })
                .map(|page| match page {
                    Ok(items) => stream::iter(items.into_iter().map(Ok)).left_stream(),
                    Err(error) => stream::iter([Err(error)]).right_stream(),
                })
                .flatten()
                .left_stream(),
                Err(error) => stream::iter([Err(error)]).right_stream(),
            }
        })
        .flatten()
        .boxed()
    }

    /// A long read: on a thread and a connection of its own where there is a file.
    async fn read_aside<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl Fn(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let (Engine::Worker(_), Place::File(path)) = (&self.inner.engine, &self.inner.place) else {
            return self.read(operation, read).await;
        };
        let (path, timeout) = (path.clone(), self.inner.timeout);
        let (answer, answered) = oneshot::channel();
        spawn(operation, move || {
            let outcome = Reader::beside_writer(&path, timeout)
                .and_then(|mut reader| reader.read(&|conn| within(conn, &read)));
            drop(answer.send(outcome));
        })?;
        answered
            .await
            .map_err(|_| ended(operation))?
            .map_err(|failure| failure.at(operation, &self.inner.place))
    }
}

/// What the thread of a long read sends: a page, or the failure that ends it.
type Page<P> = Result<Vec<<P as Pages>::Item>>;

impl Inner {
    /// Starts a long read and returns its pages.
    async fn start<P: Pages>(&self, worker: &Worker, wanted: P) -> Result<mpsc::Receiver<Page<P>>> {
        let place = self.place.clone();
        let Place::File(path) = &place else {
            return self.start_in_memory(worker, wanted).await;
        };
        let (pages, received) = mpsc::channel(BATCHES);
        let (path, timeout) = (path.clone(), self.timeout);
        spawn(P::OPERATION, move || {
            if let Err(failure) = read_file(&path, timeout, &wanted, &pages) {
                drop(pages.blocking_send(Err(failure.at(P::OPERATION, &place))));
            }
        })?;
        Ok(received)
    }

    /// One connection is all a store in memory has, and it must be free for writers: everything is collected at once.
    async fn start_in_memory<P: Pages>(
        &self,
        worker: &Worker,
        wanted: P,
    ) -> Result<mpsc::Receiver<Page<P>>> {
        let items = worker
            .run(P::OPERATION, &self.place, move |session| {
                session.read(|conn| {
                    let mut items = Vec::new();
                    if let Some(mut cursor) = wanted.start(conn)? {
                        while !cursor.is_done() {
                            items.append(&mut cursor.page(conn)?);
                        }
                    }
                    Ok(items)
                })
            })
            .await?;
        let (pages, received) = mpsc::channel(1);
        // One message, and room for one: this cannot wait.
        drop(pages.try_send(Ok(items)));
        Ok(received)
    }
}

fn read_file<P: Pages>(
    path: &Path,
    timeout: Duration,
    wanted: &P,
    pages: &mpsc::Sender<Page<P>>,
) -> Outcome<()> {
    let reader = Reader::beside_writer(path, timeout)?;
    let transaction = reader.connection().unchecked_transaction()?;
    let Some(mut cursor) = wanted.start(&transaction)? else {
        return Ok(());
    };
    while !cursor.is_done() {
        let page = cursor.page(&transaction)?;
        if !page.is_empty() && pages.blocking_send(Ok(page)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn spawn(operation: &'static str, job: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .name("sqlite-read".to_owned())
        .spawn(job)
        .map(drop)
        .map_err(|error| {
            StoreError::new(
                StoreErrorKind::Unavailable,
                operation,
                "a thread for reading the store cannot be started",
            )
            .with_source(error)
        })
}

fn ended(operation: &'static str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Internal,
        operation,
        "the store's thread has ended",
    )
}

#[async_trait]
impl EmbeddingStore for SqliteStore {
    async fn status(&self) -> Result<StoreStatus> {
        self.read("status", status::status).await
    }

    async fn bytes(&self) -> Result<StoreBytes> {
        let file = match &self.inner.place {
            Place::Memory => 0,
            Place::File(path) => ["", "-wal"]
                .iter()
                .filter_map(|suffix| std::fs::metadata(header::beside(path, suffix)).ok())
                .map(|metadata| metadata.len())
                .sum(),
        };
        self.read_aside("bytes", move |conn| status::bytes(conn, file))
            .await
    }

    async fn fingerprints(
        &self,
        collection: &CollectionName,
    ) -> Result<(Generation, Vec<Fingerprint>)> {
        let collection = collection.clone();
        self.read_aside("fingerprints", move |conn| {
            read::fingerprints(conn, &collection)
        })
        .await
    }

    async fn documents(&self, keys: &[DocumentKey]) -> Result<Vec<Document>> {
        let keys: BTreeSet<_> = keys.iter().cloned().collect();
        self.read("documents", move |conn| read::documents(conn, &keys))
            .await
    }

    async fn sources(&self, collection: &CollectionName) -> Result<Vec<Source>> {
        let collection = collection.clone();
        self.read("sources", move |conn| read::sources(conn, &collection))
            .await
    }

    fn scan(
        &self,
        collection: &CollectionName,
        version: Option<&VersionId>,
        filter: Filter,
    ) -> BoxStream<'static, Result<EmbeddingRecord>> {
        let wanted = Wanted {
            collection: collection.clone(),
            version: version.cloned(),
            filter,
        };
        self.stream(wanted)
    }

    async fn unbound(
        &self,
        collection: &CollectionName,
        version: &VersionId,
    ) -> Result<(Generation, Vec<DocumentKey>)> {
        let (collection, version) = (collection.clone(), version.clone());
        self.read_aside("unbound", move |conn| {
            read::unbound(conn, &collection, &version)
        })
        .await
    }

    async fn bindings(
        &self,
        collection: &CollectionName,
        version: &VersionId,
    ) -> Result<(Generation, Vec<(DocumentKey, VectorKey)>)> {
        let (collection, version) = (collection.clone(), version.clone());
        self.read_aside("bindings", move |conn| {
            read::bindings(conn, &collection, &version)
        })
        .await
    }

    fn vectors(&self, space: &SpaceId) -> BoxStream<'static, Result<KeptVector>> {
        self.stream(OfSpace(space.clone()))
    }

    async fn register_space(&self, space: &EmbeddingSpace) -> Result<()> {
        space.validate()?;
        let space = space.clone();
        self.write("register_space", move |conn| {
            versions::register_space(conn, &space)
        })
        .await
    }

    async fn stored_vectors(
        &self,
        space: &SpaceId,
        inputs: &BTreeSet<InputHash>,
    ) -> Result<BTreeMap<InputHash, Option<ContentHash>>> {
        let (space, inputs) = (space.clone(), inputs.clone());
        self.read("stored_vectors", move |conn| {
            vectors::stored(conn, &space, &inputs)
        })
        .await
    }

    async fn put_embeddings(
        &self,
        batch: &[StoredVector],
        spend: &Spend,
        at: Timestamp,
    ) -> Result<()> {
        tracing::debug!(vectors = batch.len(), "store.put_embeddings");
        let (batch, spend) = (batch.to_vec(), spend.clone());
        self.write("put_embeddings", move |conn| {
            vectors::put(conn, &batch, &spend, at)
        })
        .await
    }

    async fn adopt(&self, batch: &[KeptVector], run: &RunId) -> Result<()> {
        tracing::debug!(vectors = batch.len(), "store.adopt");
        let (batch, run) = (batch.to_vec(), run.clone());
        self.write("adopt", move |conn| vectors::adopt(conn, &batch, &run))
            .await
    }

    async fn apply(&self, changes: ChangeSet) -> Result<Applied> {
        changes.validate()?;
        tracing::debug!(
            collection = %changes.collection,
            base = changes.base.0,
            upserts = changes.upserts.len(),
            deletes = changes.deletes.len(),
            relocations = changes.relocations.len(),
            binds = changes.binds.len(),
            activate = changes.activate.is_some(),
            "store.apply"
        );
        let applied = self
            .write("apply", move |conn| apply::apply(conn, &changes))
            .await?;
        // Nothing large comes after it, and the check that follows brings a cache of its own.
        if let Engine::Worker(worker) = &self.inner.engine {
            let freed = worker.run("apply", &self.inner.place, |session| {
                Ok(session.conn.execute_batch(sql::SHRINK)?)
            });
            if let Err(error) = freed.await {
                tracing::debug!(%error, "the cache could not be freed");
            }
        }
        Ok(applied)
    }

    async fn annotate(
        &self,
        collection: &CollectionName,
        version: &VersionId,
        note: VersionNote<'_>,
    ) -> Result<()> {
        let (collection, version) = (collection.clone(), version.clone());
        let (calibrates, text) = match note {
            VersionNote::Calibration(text) => (true, text.to_owned()),
            VersionNote::Evaluation(text) => (false, text.to_owned()),
        };
        self.write("annotate", move |conn| {
            let note = match calibrates {
                true => VersionNote::Calibration(&text),
                false => VersionNote::Evaluation(&text),
            };
            versions::annotate(conn, &collection, &version, note)
        })
        .await
    }

    async fn delete_version(
        &self,
        collection: &CollectionName,
        version: &VersionId,
        abandoned: bool,
    ) -> Result<Freed> {
        let (collection, version) = (collection.clone(), version.clone());
        self.write("delete_version", move |conn| {
            versions::delete(conn, &collection, &version, abandoned)
        })
        .await
    }

    async fn canaries(&self, space: &SpaceId) -> Result<Canaries> {
        let space = space.clone();
        self.read("canaries", move |conn| versions::canaries(conn, &space))
            .await
    }

    async fn record_canaries(&self, space: &SpaceId, new: &[Canary], at: Timestamp) -> Result<()> {
        let (space, new) = (space.clone(), new.to_vec());
        self.write("record_canaries", move |conn| {
            versions::record_canaries(conn, &space, &new, at)
        })
        .await
    }

    async fn record_run(&self, run: &RunRecord) -> Result<()> {
        run.validate()?;
        let run = run.clone();
        self.write("record_run", move |conn| ledger::record_run(conn, &run))
            .await
    }

    async fn undo(
        &self,
        collection: &CollectionName,
        run: &RunId,
    ) -> Result<(Generation, Vec<UndoRow>)> {
        let (collection, run) = (collection.clone(), run.clone());
        self.read_aside("undo", move |conn| undo::undo(conn, &collection, &run))
            .await
    }

    async fn runs(&self, collection: &CollectionName, limit: usize) -> Result<Vec<RunRecord>> {
        let collection = collection.clone();
        self.read("runs", move |conn| ledger::runs(conn, &collection, limit))
            .await
    }

    async fn ledger(&self) -> Result<Vec<RunRecord>> {
        self.read("ledger", ledger::ledger).await
    }

    async fn cache_stats(&self) -> Result<CacheStats> {
        self.read_aside("cache_stats", vectors::cache_stats).await
    }

    async fn prune(&self, stored_before: Timestamp) -> Result<u64> {
        let pruned = self
            .write("prune", move |conn| vectors::prune(conn, stored_before))
            .await?;
        tracing::debug!(pruned, "store.prune");
        Ok(pruned)
    }

    async fn check(&self) -> Result<IntegrityReport> {
        self.read_aside("check", check::check).await
    }
}
