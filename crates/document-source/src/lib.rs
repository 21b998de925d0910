//! Reads documents that are kept in chunks: PDF, docx, HTML, Markdown and plain text, one by one or by the directory.
//!
//! A document becomes text with pages and headings ([`Extracted`]), the text becomes chunks ([`Chunking`]), and the
//! chunks are the rows of a snapshot that is synced as every other one. Files are hostile: formats whose parsers are not
//! ours are read in a child process ([`ChildProcess`]), and every number meets one of [`DocumentLimits`] first.

mod child;
mod chunk;
mod decode;
#[cfg(feature = "docx")]
mod docx;
#[cfg(not(feature = "docx"))]
#[path = "docx_absent.rs"]
mod docx;
mod extracted;
mod extraction;
#[cfg(feature = "html")]
mod html;
#[cfg(not(feature = "html"))]
#[path = "html_absent.rs"]
mod html;
mod kind;
mod limits;
#[cfg(feature = "markdown")]
mod markdown;
#[cfg(not(feature = "markdown"))]
#[path = "markdown_absent.rs"]
mod markdown;
pub mod metadata;
#[cfg(feature = "pdf")]
mod pdf;
#[cfg(not(feature = "pdf"))]
#[path = "pdf_absent.rs"]
mod pdf;
mod rows;
mod text;
mod tree;

pub use child::{ChildProcess, confine, serve_one};
pub use chunk::{Chunk, ChunkBy, Chunking, TokenCount, chunks};
pub use extracted::{Extracted, FailedPage, Piece};
pub use extraction::{Extraction, InProcess};
pub use kind::DocumentKind;
pub use limits::DocumentLimits;
pub use rows::{DocumentOptions, document};
pub use tree::{Documents, is_pattern};
