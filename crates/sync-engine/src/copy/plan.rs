//! What a copy would do, and whether it may.

use std::collections::BTreeSet;

use storage_core::{
    Binding, CollectionName, CollectionStatus, EmbeddingStore, Fingerprint, Generation,
    StoreStatus, VectorKey,
};

use super::{CopyOptions, CopyProgress, Copying, QuietCopy, scope};
use crate::{SyncError, SyncErrorKind};

/// One collection of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCollection {
    /// Its name.
    pub name: CollectionName,
    /// Its rows.
    pub rows: u64,
    /// Its versions.
    pub versions: u64,
    /// Whether the target holds it already, row by row.
    pub there: bool,
}

/// What a copy would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyPlan {
    /// Every collection of the source that is wanted.
    pub collections: Vec<PlannedCollection>,
    /// Vectors to go through, those that no row refers to included where the whole store is copied.
    pub vectors: u64,
    /// Bytes of these vectors.
    pub vector_bytes: u64,
    /// Vector spaces.
    pub spaces: u64,
    /// Lines of the ledger.
    pub runs: u64,
    /// The source's generation.
    pub source: Generation,
}

impl CopyPlan {
    pub(super) fn to_write(&self) -> impl Iterator<Item = &CollectionName> {
        let open = self.collections.iter().filter(|planned| !planned.there);
        open.map(|planned| &planned.name)
    }
}

/// A row as far as copies compare it without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) print: Fingerprint,
    /// Its vector in each version, in the versions' order.
    pub(super) bindings: Vec<Binding>,
}

/// Every row of a collection, in key order; `None` when the collection is at another generation.
pub(super) async fn rows(
    store: &dyn EmbeddingStore,
    status: &CollectionStatus,
) -> Result<Option<Vec<Known>>, SyncError> {
    let (generation, prints) = store.fingerprints(&status.name).await?;
    if generation != status.generation {
        return Ok(None);
    }
    let prints = prints.into_iter().map(|print| Known {
        print,
        bindings: Vec::new(),
    });
    let mut rows: Vec<Known> = prints.collect();
    let mut versions: Vec<_> = status.versions.iter().map(|version| &version.id).collect();
    versions.sort_unstable();
    for version in versions {
        let (generation, bound) = store.bindings(&status.name, version).await?;
        if generation != status.generation {
            return Ok(None);
        }
        let mut bound = bound.into_iter().peekable();
        for row in &mut rows {
            if let Some((_, vector)) = bound.next_if(|(key, _)| *key == row.print.key) {
                row.bindings.push(Binding {
                    version: version.clone(),
                    vector,
                });
            }
        }
    }
    Ok(Some(rows))
}

/// Plans a copy without writing anything.
///
/// # Errors
/// As [`copy`](super::copy).
pub async fn plan_copy(
    source: &dyn EmbeddingStore,
    target: &dyn EmbeddingStore,
    options: &CopyOptions,
) -> Result<CopyPlan, SyncError> {
    let progress: &dyn CopyProgress = &QuietCopy;
    let copying = Copying {
        source,
        target,
        options,
        progress,
    };
    plan(&copying, &source.status().await?, &BTreeSet::new()).await
}

/// The same for a source as it was at `status`, with collections that this copy wrote itself.
pub(super) async fn plan(
    copying: &Copying<'_>,
    status: &StoreStatus,
    ours: &BTreeSet<CollectionName>,
) -> Result<CopyPlan, SyncError> {
    let there = copying.target.status().await?;
    // All stores in memory have one id, and are different stores all the same.
    if status.backend == there.backend
        && status.backend != "memory"
        && status.store_id == there.store_id
    {
        return Err(occupied(
            "both names lead to the same store, or to a plain copy of its file: there is nothing to copy".to_owned(),
        ));
    }
    let scope = scope(status, copying.options);
    for name in copying.options.collections.iter().flatten() {
        if status.collection(name).is_none() {
            return Err(SyncError::new(
                SyncErrorKind::Selection,
                format!("the store to copy from has no collection {name}"),
            ));
        }
    }
    let mut collections = Vec::new();
    for collection in &scope {
        let held = there.collection(&collection.name);
        collections.push(PlannedCollection {
            name: collection.name.clone(),
            rows: collection.records,
            versions: collection.versions.len() as u64,
            there: !ours.contains(&collection.name) && copying.is_there(collection, held).await?,
        });
    }
    let (vectors, vector_bytes) = copying.size(status, &scope).await?;
    let runs = copying.source.ledger().await?;
    let wanted = |name: &CollectionName| {
        copying.options.collections.is_none() || scope.iter().any(|found| found.name == *name)
    };
    Ok(CopyPlan {
        collections,
        vectors,
        vector_bytes,
        spaces: copying.wanted_spaces(status).count() as u64,
        runs: runs.iter().filter(|run| wanted(&run.collection)).count() as u64,
        source: status.generation,
    })
}

impl Copying<'_> {
    /// Whether the target holds that collection already; an error where it holds another one of that name.
    async fn is_there(
        &self,
        collection: &CollectionStatus,
        held: Option<&CollectionStatus>,
    ) -> Result<bool, SyncError> {
        let Some(held) = held else {
            return Ok(false);
        };
        let name = &collection.name;
        // What a copy leaves that was cut off: versions without rows.
        if held.records == 0 && collection.records > 0 {
            let known = |id| collection.version(id).is_some();
            return match held.versions.iter().all(|version| known(&version.id)) {
                true => Ok(false),
                false => Err(occupied(format!(
                    "the store to copy into has a collection {name} of its own, without rows and with other versions"
                ))),
            };
        }
        let (Some(wanted), Some(found)) = (
            rows(self.source, collection).await?,
            rows(self.target, held).await?,
        ) else {
            return Err(SyncError::new(
                SyncErrorKind::Conflict,
                format!("collection {name} is being written to; run the command again"),
            ));
        };
        let pointers = |status: &CollectionStatus| (status.active.clone(), status.previous.clone());
        if wanted == found && pointers(collection) == pointers(held) {
            return Ok(true);
        }
        Err(occupied(format!(
            "the store to copy into has a collection {name} already, and it is not the one to copy ({} rows there, {} \
             here): nothing was written",
            held.records, collection.records
        )))
    }

    /// How many vectors there are to go through, and their bytes.
    async fn size(
        &self,
        status: &StoreStatus,
        scope: &[&CollectionStatus],
    ) -> Result<(u64, u64), SyncError> {
        if self.options.collections.is_none() {
            let vectors = self.source.cache_stats().await?.vectors;
            return Ok((vectors, self.source.bytes().await?.vectors));
        }
        let names = self.referenced(scope).await?;
        let bytes = |name: &VectorKey| {
            let space = status.space(&name.space);
            space.map_or(0, |space| 4 * u64::from(space.model.dimensions.get()))
        };
        Ok((names.len() as u64, names.iter().map(bytes).sum()))
    }

    /// The names of the vectors that rows of these collections refer to, in any version.
    pub(super) async fn referenced(
        &self,
        scope: &[&CollectionStatus],
    ) -> Result<BTreeSet<VectorKey>, SyncError> {
        let mut names = BTreeSet::new();
        for collection in scope {
            for version in &collection.versions {
                let (_, bound) = self.source.bindings(&collection.name, &version.id).await?;
                names.extend(bound.into_iter().map(|(_, vector)| vector));
            }
        }
        Ok(names)
    }
}

pub(super) fn occupied(message: String) -> SyncError {
    SyncError::new(SyncErrorKind::Occupied, message)
}
