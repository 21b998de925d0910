//! Stand-ins for the tests of other crates: an embedder that obeys, and a server that speaks the providers' APIs.

mod fake;
mod stub;

pub use fake::FakeEmbedder;
pub use stub::{Reply, Shortening, Stream, StubApi, StubRequest};
