//! Reads legacy stores and hands over what they hold: every record with the vector it has.
//!
//! Reads only: a source is opened read-only and is the same bytes afterwards. Nothing here computes, stores or invents a
//! vector. Sources are hostile until proven otherwise: sizes are checked before anything is allocated, nothing in them
//! is executed, and a damaged one ends in an error that names the place.

#[cfg(feature = "chroma")]
pub mod chroma;
#[cfg(feature = "faiss")]
pub mod faiss;
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "faiss")]
mod hybrid;
#[cfg(feature = "faiss")]
mod langchain;
#[cfg(any(feature = "chroma", feature = "faiss", feature = "vectors"))]
mod outlet;
#[cfg(any(feature = "chroma", feature = "faiss"))]
#[doc(hidden)]
pub mod pickle;
#[cfg(any(feature = "faiss", feature = "vectors"))]
#[allow(
    dead_code,
    unused_imports,
    reason = "a build with one of the two formats leaves some of it to the other"
)]
mod reading;
#[cfg(feature = "vectors")]
pub mod vectors;
