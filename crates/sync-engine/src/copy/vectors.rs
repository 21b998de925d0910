//! Spaces with what is known of their providers, and every vector.

use std::collections::BTreeSet;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, future};
use storage_core::{
    Canary, EmbeddingSpace, InputHash, KeptVector, Result as StoreResult, SpaceId, StoreStatus,
    VectorKey,
};

use super::{Copied, Copying, Step, scope};
use crate::SyncError;

/// Vectors a transaction: two megabytes of a thousand numbers each.
const BATCH: usize = 512;

impl Copying<'_> {
    /// The spaces that are copied: all, or those that the wanted collections use.
    pub(super) fn wanted_spaces<'s>(
        &self,
        status: &'s StoreStatus,
    ) -> impl Iterator<Item = &'s EmbeddingSpace> {
        let used: BTreeSet<&SpaceId> = scope(status, self.options)
            .into_iter()
            .flat_map(|collection| &collection.versions)
            .map(|version| &version.space)
            .collect();
        let all = self.options.collections.is_none();
        status
            .spaces
            .iter()
            .filter(move |space| all || used.contains(&space.id))
    }

    /// Registers the spaces, and hands on their canaries.
    pub(super) async fn spaces(&self, status: &StoreStatus) -> Result<Vec<SpaceId>, SyncError> {
        let mut spaces = Vec::new();
        for space in self.wanted_spaces(status) {
            self.target.register_space(space).await?;
            let known = self.source.canaries(&space.id).await?;
            let there = self.target.canaries(&space.id).await?;
            if let Some(at) = known.checked_at.filter(|_| known != there) {
                let held = |canary: &&Canary| !there.texts.contains(canary);
                let new: Vec<Canary> = known.texts.iter().filter(held).cloned().collect();
                let at = there.checked_at.map_or(at, |checked| checked.max(at));
                self.target.record_canaries(&space.id, &new, at).await?;
            }
            spaces.push(space.id.clone());
        }
        Ok(spaces)
    }

    /// Copies the vectors that the target does not have.
    pub(super) async fn copy_vectors(
        &self,
        status: &StoreStatus,
        spaces: &[SpaceId],
        report: &mut Copied,
    ) -> Result<Step, SyncError> {
        let wanted = match self.options.collections {
            None => None,
            Some(_) => Some(self.referenced(&scope(status, self.options)).await?),
        };
        let total = match &wanted {
            None => self.source.cache_stats().await?.vectors,
            Some(names) => names.len() as u64,
        };
        self.progress.vectors(total);
        for space in spaces {
            // Fused: the end is asked for again after a batch that was not full.
            let mut vectors = self.source.vectors(space).fuse().boxed();
            let mut batch = next(&mut vectors, wanted.as_ref()).await?;
            while !batch.is_empty() {
                let missing = self.missing(space, &batch).await?;
                let (written, there) = (missing.len() as u64, (batch.len() - missing.len()) as u64);
                let bytes = |kept: &KeptVector| 4 * u64::from(kept.vector.embedding.dimensions());
                report.vectors += written;
                report.vectors_there += there;
                report.bytes += missing.iter().map(bytes).sum::<u64>();
                // One batch is written while the next one is read.
                let write = async {
                    match missing.is_empty() {
                        true => Ok(()),
                        false => self.target.adopt(&missing, &self.options.run).await,
                    }
                };
                let (outcome, following) =
                    future::join(write, next(&mut vectors, wanted.as_ref())).await;
                outcome?;
                self.progress.copied(written + there);
                batch = following?;
            }
        }
        match self.source.status().await?.generation == status.generation {
            true => Ok(Step::Done),
            false => Ok(Step::Moved),
        }
    }

    /// Those of the batch that the target does not have. Of several imported vectors of one text it tells one only; the
    /// others are handed over again, and stay as they are.
    async fn missing(
        &self,
        space: &SpaceId,
        batch: &[KeptVector],
    ) -> Result<Vec<KeptVector>, SyncError> {
        let inputs: BTreeSet<InputHash> = batch.iter().map(|kept| kept.vector.key.input).collect();
        let stored = self.target.stored_vectors(space, &inputs).await?;
        let is_missing = |kept: &&KeptVector| {
            let key = &kept.vector.key;
            stored.get(&key.input) != Some(&key.variant)
        };
        Ok(batch.iter().filter(is_missing).cloned().collect())
    }
}

/// The next vectors that are wanted; none at the end.
async fn next(
    vectors: &mut BoxStream<'static, StoreResult<KeptVector>>,
    wanted: Option<&BTreeSet<VectorKey>>,
) -> Result<Vec<KeptVector>, SyncError> {
    let mut batch = Vec::with_capacity(BATCH);
    while batch.len() < BATCH {
        let Some(kept) = vectors.try_next().await? else {
            break;
        };
        if wanted.is_none_or(|names| names.contains(&kept.vector.key)) {
            batch.push(kept);
        }
    }
    Ok(batch)
}
