//! Everything a reader can see of a store, as one comparable value.

use futures_util::TryStreamExt;

use crate::{
    CacheStats, Canaries, CollectionStatus, EmbeddingRecord, EmbeddingSpace, EmbeddingStore,
    Filter, Fingerprint, Generation, RunRecord, Source,
};

/// What readers see of one collection.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectionSnapshot {
    /// Pointers and counts.
    pub status: CollectionStatus,
    /// Keys and hashes.
    pub fingerprints: Vec<Fingerprint>,
    /// Rows with their vectors.
    pub records: Vec<EmbeddingRecord>,
    /// Sources.
    pub sources: Vec<Source>,
    /// Runs.
    pub runs: Vec<RunRecord>,
}

/// What readers see of a store. Two stores that were treated alike have equal snapshots, whatever they are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The readers' counter.
    pub generation: Generation,
    /// Registered vector spaces, with what is known of their providers.
    pub spaces: Vec<(EmbeddingSpace, Canaries)>,
    /// Every collection.
    pub collections: Vec<CollectionSnapshot>,
    /// Vectors stored, and those nobody needs.
    pub cache: CacheStats,
    /// Bytes of vectors and texts.
    pub bytes: (u64, u64),
}

/// Reads everything.
///
/// # Panics
/// When the store cannot be read.
pub async fn snapshot(store: &dyn EmbeddingStore) -> Snapshot {
    let status = store.status().await.unwrap();
    let mut collections = Vec::new();
    for collection in status.collections {
        let name = collection.name.clone();
        let (generation, fingerprints) = store.fingerprints(&name).await.unwrap();
        assert_eq!(generation, collection.generation);
        collections.push(CollectionSnapshot {
            fingerprints,
            records: store
                .scan(&name, None, Filter::default())
                .try_collect()
                .await
                .unwrap(),
            sources: store.sources(&name).await.unwrap(),
            runs: store.runs(&name, usize::MAX).await.unwrap(),
            status: collection,
        });
    }
    let mut spaces = Vec::new();
    for space in status.spaces {
        let canaries = store.canaries(&space.id).await.unwrap();
        spaces.push((space, canaries));
    }
    let bytes = store.bytes().await.unwrap();
    Snapshot {
        generation: status.generation,
        spaces,
        collections,
        cache: store.cache_stats().await.unwrap(),
        bytes: (bytes.vectors, bytes.text),
    }
}
