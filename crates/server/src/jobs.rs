//! Jobs: what changes the store takes longer than a request may. One runs at a time, the others wait in a bounded queue.

use std::sync::Arc;

use crate::limits::Limits;
use crate::metrics::Metrics;

/// The queue, and what became of the jobs that were in it.
#[derive(Debug)]
pub(crate) struct Jobs {}

impl Jobs {
    pub(crate) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        let _ = (limits, metrics);
        Self {}
    }

    /// Takes no further job, and stops the one that runs: cleanly, so that it can be gone on with.
    pub(crate) fn end(&self) {}
}
