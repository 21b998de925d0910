//! A run's line in the ledger: opened before anything is written, closed whatever the outcome.

use std::fmt;

use storage_core::{
    CollectionName, EmbeddingStore, RunId, RunKind, RunRecord, RunState, Timestamp, VersionId,
};

use crate::SyncError;

/// The line of a run under way.
pub(crate) struct Ledger<'c> {
    store: &'c dyn EmbeddingStore,
    clock: &'c (dyn Fn() -> Timestamp + Send + Sync),
    line: RunRecord,
    /// Whether the run before this one did not get to its end.
    pub(crate) resumed: bool,
}

impl fmt::Debug for Ledger<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

/// What a run has spent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    /// API calls.
    pub(crate) requests: u64,
    /// Texts.
    pub(crate) texts: u64,
    /// Tokens billed.
    pub(crate) tokens: u64,
}

impl<'c> Ledger<'c> {
    /// Opens the line.
    pub(crate) async fn open(
        store: &'c dyn EmbeddingStore,
        clock: &'c (dyn Fn() -> Timestamp + Send + Sync),
        id: RunId,
        kind: RunKind,
        collection: &CollectionName,
    ) -> Result<Self, SyncError> {
        let before = store.runs(collection, 1).await?;
        let resumed = before.iter().any(|run| run.state != RunState::Finished);
        // The ledger is in the order of these times. A clock that was set back must not put this run before the one
        // that it comes after.
        let earliest = before
            .first()
            .map(|run| Timestamp(run.started_at.0.saturating_add(1)));
        let started_at = clock().max(earliest.unwrap_or(Timestamp(i64::MIN)));
        let line = RunRecord {
            id,
            kind,
            collection: collection.clone(),
            source: None,
            version: None,
            state: RunState::Started,
            requests: 0,
            texts: 0,
            tokens: 0,
            started_at,
            finished_at: None,
        };
        store.record_run(&line).await?;
        Ok(Self {
            store,
            clock,
            line,
            resumed,
        })
    }

    /// Writes down which version the run fills.
    pub(crate) fn fills(&mut self, version: &VersionId) {
        self.line.version = Some(version.clone());
    }

    /// The collection it works on.
    pub(crate) fn collection(&self) -> &CollectionName {
        &self.line.collection
    }

    /// Closes the line. The run's own failure comes before one of the ledger.
    pub(crate) async fn close<T>(
        mut self,
        spent: Spent,
        outcome: Result<T, SyncError>,
    ) -> Result<T, SyncError> {
        self.line.state = if outcome.is_ok() {
            RunState::Finished
        } else {
            RunState::Failed
        };
        self.line.requests = spent.requests;
        self.line.texts = spent.texts;
        self.line.tokens = spent.tokens;
        self.line.finished_at = Some((self.clock)().max(self.line.started_at));
        let recorded = self.store.record_run(&self.line).await;
        let value = outcome?;
        recorded?;
        Ok(value)
    }
}
