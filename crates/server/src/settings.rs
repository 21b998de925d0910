//! What may be set. Nothing here reads the environment.

use storage_core::CollectionName;

use crate::{ApiKeys, Limits};

/// How a service answers.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// The collection of a request that names none.
    pub collection: CollectionName,
    /// Entries of a search that names no number.
    pub top_k: usize,
    /// The lowest score that counts; `None` for what the served version was calibrated to.
    pub threshold: Option<f32>,
    /// The lowest score with which `/predict` is confident; `None` for what the served version was calibrated to, else
    /// the seed's 0.6.
    pub confidence: Option<f32>,
    /// Who may ask.
    pub keys: ApiKeys,
    /// What a request may ask for.
    pub limits: Limits,
    /// Threads that compare rows; 0 for as many as the machine has.
    pub search_threads: usize,
}

impl ServiceSettings {
    /// Defaults, for a collection.
    #[must_use]
    pub fn new(collection: CollectionName) -> Self {
        Self {
            collection,
            top_k: 3,
            threshold: None,
            confidence: None,
            keys: ApiKeys::default(),
            limits: Limits::default(),
            search_threads: 0,
        }
    }
}
