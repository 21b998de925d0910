//! Turns texts into checked vectors: the [`Embedder`] trait, the providers behind it, and the batches between.
//!
//! Nothing here knows a store. A provider's answer is checked before anyone sees it: as many vectors as texts, in
//! order, finite, of one length.

mod batch;
mod embedder;
mod error;
mod hash;
#[cfg(feature = "http")]
mod http;
#[cfg(not(feature = "http"))]
#[path = "http_absent.rs"]
mod http;
mod meter;
mod pause;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;

pub use batch::{Batch, BatchOutcome, batches, embed_batches};
pub use embedder::{BatchLimits, Embedded, Embedder, Purpose};
pub use error::{EmbedError, EmbedErrorKind};
pub use hash::HashEmbedder;
pub use http::{OllamaEmbedder, OpenAiEmbedder};
pub use meter::{Admission, Meter, SpendLimits};
pub use pause::Pause;
pub use settings::HttpSettings;
