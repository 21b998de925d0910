//! Ways into single readers for bytes of any kind, for the fuzz targets. Each must return, whatever it is given.

#[cfg(any(feature = "chroma", feature = "faiss"))]
pub mod pickle;
