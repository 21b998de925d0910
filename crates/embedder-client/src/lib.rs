//! Turns texts into checked vectors: the [`Embedder`] trait, the providers behind it, and the batches between.
//!
//! Nothing here knows a store. A provider's answer is checked before anyone sees it: as many vectors as texts, in
//! order, finite, of one length.

mod embedder;
mod error;

pub use embedder::{BatchLimits, Embedded, Embedder, Purpose};
pub use error::{EmbedError, EmbedErrorKind};
