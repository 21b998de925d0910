//! Harness of the integration tests: the product's binary in a place of its own, FAQs to feed it, and a look into the
//! store that the product did not write itself.
//!
//! Tests drive the binary from outside and know nothing of the crates behind it. The embedding API they use is
//! [`StubApi`], on loopback, with a ledger of what was billed.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a harness fails by panicking: that is what a failed test is"
)]

mod backend;
mod binary;
pub mod documents;
mod faq;
mod fixture;
pub mod history;
pub mod http;
mod outcome;
mod place;
pub mod postgres;
pub mod seed;
mod service;
mod sheet;
mod skip;
mod store;

pub use backend::{Backend, PostgresStore};
pub use binary::{binary, slim_binary, workspace};
pub use embedder_client::testing::{Reply, Shortening, Stream, StubApi, StubRequest};
pub use faq::{Entry, Faq};
pub use fixture::{TEMPLATES, documents_path, fixture_path, made_documents, templates};
pub use outcome::Outcome;
pub use place::{KEY, MARK, Place, Snapshot, Usage};
pub use service::Service;
pub use sheet::{HEADERS, Sheet, workbook};
pub use skip::skip;
pub use store::{StoredRow, StoredTexts, open, rows, scalar, texts};
