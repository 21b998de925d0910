//! Providers over HTTP: any OpenAI-compatible `/v1/embeddings`, and Ollama's `/api/embed`.
//!
//! One road for both: `address` says where, `client` sends, `classify` decides what an answer means, `answer` checks
//! every vector, `retry` says when to come back. The two providers differ in path, body and the form of the answer.

mod address;
mod answer;
mod classify;
mod client;
mod ollama;
mod openai;
mod retry;

pub use ollama::OllamaEmbedder;
pub use openai::OpenAiEmbedder;
