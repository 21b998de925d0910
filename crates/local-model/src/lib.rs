//! Embedding models in process, in pure Rust.
//!
//! Two are known, see [`KNOWN`]: multilingual-e5-small with 4-bit weights, which reads about a hundred languages and is the
//! default, and all-MiniLM-L6-v2, which reads English and is better at it. Both give 384 numbers, with no network, no Python
//! and no C. The weights are files of 72 and 91 MB that are not part of the program: [`fetch`] gets and checks them once,
//! [`LocalModel::open`] maps them, [`LocalModel::embed`] turns texts into vectors, and [`LocalEmbedder`] offers that to the
//! rest of the project as the provider `local`.
//!
//! A model expects its [`query_prefix`](KnownModel::query_prefix) before a question, its
//! [`passage_prefix`](KnownModel::passage_prefix) before a text that is to be found, and reads at most
//! [`max_tokens`](KnownModel::max_tokens) tokens of a text. The cosines of multilingual-e5-small lie in a narrow band near
//! 0.8: they rank well, but a threshold has to be set from data, for each model its own.
//!
//! ```no_run
//! # fn main() -> Result<(), local_model::ModelError> {
//! let known = &local_model::ALL_MINILM_L6_V2;
//! let model = local_model::LocalModel::open(known, "models/all-MiniLM-L6-v2".as_ref())?;
//! let vectors = model.embed(&["how do I block my card?".to_owned()])?;
//! assert_eq!(vectors[0].len(), known.dimensions);
//! # Ok(()) }
//! ```
//!
//! Deliberately absent: the environment is never read, nothing is printed, and no HTTP client is linked.

mod checksum;
mod download;
mod embedder;
mod error;
mod fetch;
mod forward;
mod kernels;
mod known;
mod layout;
mod mapped;
mod model;
mod packing;
mod product;
mod tokenizer;
mod weights;

pub use embedder::LocalEmbedder;
pub use error::{ModelError, ModelErrorKind};
pub use fetch::{FetchProgress, Fetched, Location, Source, WORKSHOP_PREFIX, ensure, fetch, verify};
pub use known::{ALL_MINILM_L6_V2, KNOWN, KnownModel, MULTILINGUAL_E5_SMALL, Package, PinnedFile};
pub use model::LocalModel;
