//! Providers over HTTP: any OpenAI-compatible `/v1/embeddings`, and Ollama's `/api/embed`.
//!
//! One road for both: `client` sends, repeats and waits; `classify` decides what an answer means; `answer` checks
//! every vector. The two providers differ in address and body only.

mod answer;
mod classify;
mod client;
mod ollama;
mod openai;

pub use ollama::OllamaEmbedder;
pub use openai::OpenAiEmbedder;
