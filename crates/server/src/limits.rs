//! What a request may ask for at most, all of it in one place. docs/limits.md tells users.

use std::time::Duration;

/// What a request may ask for at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of an uploaded document, or of a body that brings rows.
    pub upload_bytes: usize,
    /// Bytes of all headers together.
    pub header_bytes: usize,
    /// Headers.
    pub headers: usize,
    /// Time for the headers, and for the next request on a connection that is kept.
    pub header_time: Duration,
    /// Time from the headers to the answer, the body included.
    pub request_time: Duration,
    /// The same where a document is uploaded.
    pub upload_time: Duration,
    /// The same where index and store are compared, or the index is built anew.
    pub review_time: Duration,
    /// Time in which a client must take some of an answer.
    pub write_time: Duration,
    /// Time for what was accepted when the service is told to end.
    pub shutdown_time: Duration,
    /// Connections at a time.
    pub connections: usize,
    /// Requests at a time.
    pub requests: usize,
    /// Entries that one search may ask for.
    pub top_k: usize,
    /// Searches in one request.
    pub batch: usize,
    /// Entries that all searches of one request may ask for together.
    pub batch_hits: usize,
    /// Different filters by text or metadata in one request: each looks at every row.
    pub batch_filters: usize,
    /// Characters of a question.
    pub question_chars: usize,
    /// Conditions in one search.
    pub filters: usize,
    /// Questions that may wait for their vectors.
    pub questions: usize,
    /// Calls to the provider for questions, at a time.
    pub question_calls: usize,
    /// Vectors of questions that are kept.
    pub kept_questions: u64,
    /// Searches that may wait for a thread.
    pub searches: usize,
    /// Jobs that may wait.
    pub jobs: usize,
    /// Time for which a job waits for a store that somebody else writes to, or that is away.
    pub store_time: Duration,
    /// Time after which a store that is being read counts as away, until it is read.
    pub load_time: Duration,
    /// Time in which what a job is of must be read.
    pub reading_time: Duration,
    /// Rows that a job names as left out, and notices that it gives.
    pub named_rows: usize,
    /// Bytes of what waits in jobs, together.
    pub waiting_bytes: usize,
    /// Uploads whose bodies are received, at a time: each may hold its whole limit in memory.
    pub uploads: usize,
    /// Jobs that are remembered.
    pub kept_jobs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            upload_bytes: 64 << 20,
            header_bytes: 32 << 10,
            headers: 64,
            header_time: Duration::from_secs(5),
            request_time: Duration::from_secs(10),
            upload_time: Duration::from_secs(120),
            review_time: Duration::from_secs(60),
            write_time: Duration::from_secs(10),
            shutdown_time: Duration::from_secs(10),
            connections: 1024,
            requests: 512,
            top_k: 1000,
            batch: 256,
            batch_hits: 10_000,
            batch_filters: 8,
            question_chars: 8192,
            filters: 256,
            questions: 256,
            question_calls: 8,
            kept_questions: 4096,
            searches: 1024,
            jobs: 64,
            store_time: Duration::from_secs(120),
            load_time: Duration::from_secs(60),
            reading_time: Duration::from_secs(600),
            named_rows: 100,
            waiting_bytes: 256 << 20,
            uploads: 4,
            kept_jobs: 1000,
        }
    }
}
