//! What a build would do, and what it did.

use storage_core::{
    CollectionName, CollectionStatus, EmbedText, EmbeddingModel, Generation, VersionId,
};

use crate::{Estimate, FailedRow, PhaseSeconds, Target};

/// What a build would do.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildPlan {
    /// The collection.
    pub collection: CollectionName,
    /// Its generation the plan was made on.
    pub base: Generation,
    /// The space the vectors lie in.
    pub target: Target,
    /// The recipe.
    pub embed_text: EmbedText,
    /// The version, where it is known already: it may be half built, complete, or served.
    pub version: Option<VersionId>,
    /// Rows of the collection.
    pub records: u64,
    /// Rows that have no vector in the version yet.
    pub rows: usize,
    /// What sending the distinct texts takes that have no vector.
    pub estimate: Estimate,
    /// Distinct texts that have a vector already.
    pub reused: usize,
    /// Rows that the recipe gives no text for.
    pub failed: Vec<FailedRow>,
    /// Whether the collection serves this version already.
    pub active: bool,
}

/// What a build or a switch did.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildReport {
    /// The version that was filled; `None` when every text was refused and its dimensions are unknown.
    pub version: Option<VersionId>,
    /// Its model.
    pub model: Option<EmbeddingModel>,
    /// Rows that got a vector.
    pub rows: usize,
    /// Texts sent and answered.
    pub embedded: usize,
    /// Texts that had a vector already.
    pub reused: usize,
    /// API calls, failed ones included.
    pub requests: u64,
    /// Tokens billed, where the provider says.
    pub tokens: u64,
    /// Rows that were left out; the version cannot serve while there are any.
    pub failed: Vec<FailedRow>,
    /// Whether every row has a vector in the version.
    pub complete: bool,
    /// The collection's generation afterwards.
    pub generation: Generation,
    /// Seconds.
    pub seconds: PhaseSeconds,
}

impl BuildReport {
    pub(super) fn empty() -> Self {
        Self {
            version: None,
            model: None,
            rows: 0,
            embedded: 0,
            reused: 0,
            requests: 0,
            tokens: 0,
            failed: Vec::new(),
            complete: false,
            generation: Generation::default(),
            seconds: PhaseSeconds::default(),
        }
    }

    pub(super) fn nothing(found: &CollectionStatus, version: &VersionId) -> Self {
        Self {
            version: Some(version.clone()),
            complete: true,
            generation: found.generation,
            ..Self::empty()
        }
    }
}
