//! The store: what is read through the pool, what is written through the one session that holds the lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use storage_core::{
    Applied, CacheStats, Canaries, Canary, ChangeSet, CollectionName, ContentHash, Document,
    DocumentKey, EmbeddingRecord, EmbeddingSpace, EmbeddingStore, Filter, Fingerprint, Freed,
    Generation, InputHash, IntegrityReport, KeptVector, NearestNeighbours, ReadFrom, Result, RunId,
    RunRecord, Source, SpaceId, Spend, StoreBytes, StoreError, StoreErrorKind, StoreStatus,
    StoredVector, Timestamp, UndoRow, VectorKey, VersionId, VersionNote,
};

use crate::error::Outcome;
use crate::ops::apply::Apply;
use crate::ops::check::CheckStore;
use crate::ops::kept::OfSpace;
use crate::ops::ledger::{Ledger, RecordRun, Runs};
use crate::ops::read::{Bindings, Documents, Fingerprints, Sources, Unbound};
use crate::ops::scan::Wanted;
use crate::ops::status::{Bytes, Status};
use crate::ops::undo::Undo;
use crate::ops::vectors::{Adopt, Cache, Prune, Put, Stored};
use crate::ops::versions::{Annotate, Delete, ReadCanaries, RecordCanaries, RegisterSpace};
use crate::options::PostgresOptions;
use crate::readers::Readers;
use crate::schema::Seen;
use crate::streams;
use crate::tx::Work;
use crate::upkeep::Analyse;
use crate::writer::Writer;

/// Changes of fewer rows leave the planner's picture true enough to not even look at it.
const BULK: usize = 1_000;

/// A store in a schema of a PostgreSQL database with pgvector.
pub struct PostgresStore {
    pub(crate) options: PostgresOptions,
    pub(crate) place: String,
    pub(crate) readers: Arc<Readers>,
    writer: Option<Writer>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.close();
        }
    }
}

impl PostgresStore {
    pub(crate) fn new(options: &PostgresOptions, seen: &Seen, writer: Writer) -> Outcome<Self> {
        Ok(Self {
            options: options.clone(),
            place: options.describe(),
            readers: Arc::new(Readers::beside_writer(options, seen)?),
            writer: Some(writer),
        })
    }

    pub(crate) async fn open_reader(options: &PostgresOptions) -> Outcome<Self> {
        Ok(Self {
            options: options.clone(),
            place: options.describe(),
            readers: Arc::new(Readers::open(options).await?),
            writer: None,
        })
    }

    pub(crate) async fn read<W: Work>(&self, work: W) -> Result<W::Output> {
        self.readers
            .run(&work)
            .await
            .map_err(|failure| failure.at(W::NAME, &self.place))
    }

    async fn write<W: Work>(&self, work: W) -> Result<W::Output> {
        let Some(writer) = &self.writer else {
            return Err(StoreError::new(
                StoreErrorKind::Io,
                W::NAME,
                format!("the store was opened for reading only: {}", self.place),
            ));
        };
        writer
            .run(&work)
            .await
            .map_err(|failure| failure.at(W::NAME, &self.place))
    }
}

#[async_trait]
impl EmbeddingStore for PostgresStore {
    async fn status(&self) -> Result<StoreStatus> {
        self.read(Status).await
    }

    async fn read_from(&self) -> Result<Option<ReadFrom>> {
        self.readers
            .read_from()
            .await
            .map_err(|failure| failure.at("read_from", &self.place))
    }

    async fn bytes(&self) -> Result<StoreBytes> {
        self.read(Bytes).await
    }

    async fn fingerprints(
        &self,
        collection: &CollectionName,
    ) -> Result<(Generation, Vec<Fingerprint>)> {
        self.read(Fingerprints(collection)).await
    }

    async fn documents(&self, keys: &[DocumentKey]) -> Result<Vec<Document>> {
        let keys: BTreeSet<_> = keys.iter().cloned().collect();
        self.read(Documents(&keys)).await
    }

    async fn sources(&self, collection: &CollectionName) -> Result<Vec<Source>> {
        self.read(Sources(collection)).await
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
        streams::read(Arc::clone(&self.readers), self.place.clone(), wanted)
    }

    async fn unbound(
        &self,
        collection: &CollectionName,
        version: &VersionId,
    ) -> Result<(Generation, Vec<DocumentKey>)> {
        self.read(Unbound(collection, version)).await
    }

    async fn bindings(
        &self,
        collection: &CollectionName,
        version: &VersionId,
    ) -> Result<(Generation, Vec<(DocumentKey, VectorKey)>)> {
        self.read(Bindings(collection, version)).await
    }

    fn vectors(&self, space: &SpaceId) -> BoxStream<'static, Result<KeptVector>> {
        let wanted = OfSpace(space.clone());
        streams::read(Arc::clone(&self.readers), self.place.clone(), wanted)
    }

    async fn register_space(&self, space: &EmbeddingSpace) -> Result<()> {
        space.validate()?;
        self.write(RegisterSpace(space)).await
    }

    async fn stored_vectors(
        &self,
        space: &SpaceId,
        inputs: &BTreeSet<InputHash>,
    ) -> Result<BTreeMap<InputHash, Option<ContentHash>>> {
        self.read(Stored(space, inputs)).await
    }

    async fn put_embeddings(
        &self,
        batch: &[StoredVector],
        spend: &Spend,
        at: Timestamp,
    ) -> Result<()> {
        tracing::debug!(vectors = batch.len(), "store.put_embeddings");
        self.write(Put { batch, spend, at }).await
    }

    async fn adopt(&self, batch: &[KeptVector], run: &RunId) -> Result<()> {
        tracing::debug!(vectors = batch.len(), "store.adopt");
        self.write(Adopt { batch, run }).await
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
        let applied = self.write(Apply(&changes)).await?;
        if changes.upserts.len() + changes.deletes.len() + changes.binds.len() >= BULK
            && let Err(error) = self.write(Analyse).await
        {
            tracing::debug!(%error, "the planner's statistics could not be brought up to date");
        }
        Ok(applied)
    }

    async fn annotate(
        &self,
        collection: &CollectionName,
        version: &VersionId,
        note: VersionNote<'_>,
    ) -> Result<()> {
        self.write(Annotate {
            collection,
            version,
            note,
        })
        .await
    }

    async fn delete_version(
        &self,
        collection: &CollectionName,
        version: &VersionId,
        abandoned: bool,
    ) -> Result<Freed> {
        self.write(Delete {
            collection,
            version,
            abandoned,
        })
        .await
    }

    async fn canaries(&self, space: &SpaceId) -> Result<Canaries> {
        self.read(ReadCanaries(space)).await
    }

    async fn record_canaries(&self, space: &SpaceId, new: &[Canary], at: Timestamp) -> Result<()> {
        self.write(RecordCanaries { space, new, at }).await
    }

    async fn record_run(&self, run: &RunRecord) -> Result<()> {
        run.validate()?;
        self.write(RecordRun(run)).await
    }

    async fn undo(
        &self,
        collection: &CollectionName,
        run: &RunId,
    ) -> Result<(Generation, Vec<UndoRow>)> {
        self.read(Undo(collection, run)).await
    }

    async fn runs(&self, collection: &CollectionName, limit: usize) -> Result<Vec<RunRecord>> {
        self.read(Runs(collection, limit)).await
    }

    async fn ledger(&self) -> Result<Vec<RunRecord>> {
        self.read(Ledger).await
    }

    async fn cache_stats(&self) -> Result<CacheStats> {
        self.read(Cache).await
    }

    async fn prune(&self, stored_before: Timestamp) -> Result<u64> {
        self.write(Prune(stored_before)).await
    }

    async fn check(&self) -> Result<IntegrityReport> {
        self.read(CheckStore).await
    }

    fn nearest(&self) -> Option<&dyn NearestNeighbours> {
        Some(self)
    }
}
