//! The versions beside the one that a sync fills. A row that changes loses its vectors there, unless its text in that
//! version has one already: then it costs nothing to keep the version complete.

use std::collections::{BTreeMap, BTreeSet};

use storage_core::{
    Binding, CollectionStatus, EmbedText, EmbeddingStore, InputHash, SpaceId, VectorKey, VersionId,
    VersionSpec,
};

use crate::SyncError;
use crate::plan::{Change, SyncPlan};

/// A version beside the one that is filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// Its name.
    pub version: VersionId,
    /// The space its vectors lie in.
    pub space: SpaceId,
    /// The recipe of its texts.
    pub embed_text: EmbedText,
}

/// Every version of a collection whose recipe can be read.
pub(crate) fn of(status: &CollectionStatus) -> Vec<Companion> {
    status
        .versions
        .iter()
        .filter_map(|version| {
            Some(Companion {
                version: version.id.clone(),
                space: version.space.clone(),
                embed_text: EmbedText::parse(&version.embed_text).ok()?,
            })
        })
        .collect()
}

/// What rows that change keep in other versions, by the position of the row in the plan.
#[derive(Default)]
pub(crate) struct Kept(BTreeMap<usize, Vec<Binding>>);

impl Kept {
    pub(crate) async fn of(
        store: &dyn EmbeddingStore,
        plan: &SyncPlan,
        filled: &VersionSpec,
    ) -> Result<Self, SyncError> {
        let mut kept = Self::default();
        let filled = filled.id();
        for companion in &plan.companions {
            if companion.version == filled {
                continue;
            }
            let inputs: Vec<(usize, InputHash)> = plan
                .rows
                .iter()
                .enumerate()
                .filter(|(_, row)| row.change != Change::Rebound)
                .map(|(position, row)| {
                    let text = companion.embed_text.render(&row.document);
                    (position, InputHash::of(&text))
                })
                .collect();
            let wanted: BTreeSet<InputHash> = inputs.iter().map(|(_, input)| *input).collect();
            if wanted.is_empty() {
                continue;
            }
            let stored = store.stored_vectors(&companion.space, &wanted).await?;
            for (position, input) in inputs {
                if let Some(variant) = stored.get(&input) {
                    kept.0.entry(position).or_default().push(Binding {
                        version: companion.version.clone(),
                        vector: VectorKey {
                            space: companion.space.clone(),
                            input,
                            variant: *variant,
                        },
                    });
                }
            }
        }
        Ok(kept)
    }

    /// What one row keeps.
    pub(crate) fn take(&mut self, position: usize) -> Vec<Binding> {
        self.0.remove(&position).unwrap_or_default()
    }
}
