//! Takes a document away: all of its rows, whoever they belong to.

use storage_core::{
    ChangeSet, CollectionName, DocumentKey, EmbeddingStore, Generation, RunId, RunKind, Source,
    SourceId, StoreErrorKind, Timestamp, UndoPolicy,
};

use crate::SyncError;
use crate::ledger::{Ledger, Spent};

/// Plans that are made anew because another writer came first.
const TRIES: usize = 5;

/// What was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Rows.
    pub rows: usize,
    /// Who owned them; the id alone where the store knows no more of it.
    pub owner: SourceId,
    /// The same, in full.
    pub source: Option<Source>,
    /// The collection's generation afterwards.
    pub generation: Generation,
}

/// Takes a document out of a collection, in one transaction. Its vectors stay, paid for, until they are pruned. `None`
/// when there is no such document.
///
/// The source that the document is of is not told: its next sync brings back what it still holds.
///
/// # Errors
/// Those of the store; `Conflict` when another writer keeps coming first.
pub async fn remove_document(
    store: &dyn EmbeddingStore,
    clock: &(dyn Fn() -> Timestamp + Send + Sync),
    run: &RunId,
    collection: &CollectionName,
    document: &str,
) -> Result<Option<Removed>, SyncError> {
    let mut tries = 1;
    loop {
        let (base, fingerprints) = store.fingerprints(collection).await?;
        let mut rows = fingerprints.into_iter();
        let rows = rows.by_ref().filter(|row| row.key.document == document);
        let (owners, deletes): (Vec<SourceId>, Vec<DocumentKey>) =
            rows.map(|row| (row.source, row.key)).unzip();
        let Some(owner) = owners.into_iter().next() else {
            return Ok(None);
        };
        let source = store
            .sources(collection)
            .await?
            .into_iter()
            .find(|source| source.id == owner);
        let rows = deletes.len();
        let ledger = Ledger::open(store, clock, run.clone(), RunKind::Sync, collection).await?;
        let applied = store
            .apply(ChangeSet {
                collection: collection.clone(),
                base,
                source: None,
                upserts: Vec::new(),
                deletes,
                relocations: Vec::new(),
                binds: Vec::new(),
                register: None,
                complete: None,
                activate: None,
                undo: UndoPolicy::Forget,
                run: run.clone(),
                applied_at: clock(),
            })
            .await;
        let again = matches!(&applied, Err(error) if error.kind() == StoreErrorKind::Conflict);
        let outcome = applied.map_err(SyncError::of_apply);
        match ledger.close(Spent::default(), outcome).await {
            Err(_) if again && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
            Ok(applied) => {
                return Ok(Some(Removed {
                    rows,
                    owner,
                    source,
                    generation: applied.collection,
                }));
            }
        }
    }
}
