//! The conformance suite: what every store must do, one test a sentence of the contract, and the helpers the tests
//! of other crates build stores with.
//!
//! A backend implements [`Harness`] and calls [`store_conformance!`](crate::store_conformance) in its tests. No case
//! knows which backend it runs on.

#![allow(
    clippy::unwrap_used,
    reason = "these are tests, though other crates compile them as a library"
)]

pub mod apply;
pub mod check;
pub mod copies;
pub mod created;
pub mod fixture;
pub mod keeping;
pub mod ledger;
pub mod life;
pub mod limits;
pub mod ownership;
pub mod persistence;
pub mod scan;
pub mod undo;
pub mod vectors;
pub mod versions;

mod list;
mod snapshot;

pub use snapshot::{CollectionSnapshot, Snapshot, snapshot};

use async_trait::async_trait;

use crate::{EmbeddingStore, StoreErrorKind};

/// Makes stores of one kind for the suite.
#[async_trait]
pub trait Harness: Sized + Send {
    /// Whether such stores can be made here. Where not, the harness says why, and its cases are skipped.
    fn is_available() -> bool {
        true
    }

    /// An empty store of its own, unseen by every other case.
    async fn fresh() -> Self;

    /// The store.
    fn store(&self) -> &dyn EmbeddingStore;

    /// Closes the store and opens it again at the same place. A store without a place returns itself.
    async fn reopen(self) -> Self;
}

/// Asserts that an operation was refused with this kind, and with a message for people.
///
/// # Panics
/// When it succeeded, or failed otherwise.
#[track_caller]
pub fn refused<T>(outcome: crate::Result<T>, kind: StoreErrorKind) {
    match outcome {
        Ok(_) => panic!("expected {kind:?}, but it succeeded"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(!error.to_string().is_empty());
        }
    }
}
