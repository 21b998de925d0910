//! Ways into single readers for bytes of any kind, for the fuzz targets. Each must return, whatever it is given.

#[cfg(feature = "chroma")]
pub mod hnsw;
#[cfg(any(feature = "chroma", feature = "faiss"))]
pub mod pickle;
