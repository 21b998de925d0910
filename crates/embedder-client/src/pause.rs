//! Waiting, as a part that can be exchanged: a test records what a client would wait, and sits through none of it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// How a client waits before it repeats a call.
#[async_trait]
pub trait Pause: fmt::Debug + Send + Sync + 'static {
    /// Returns when that time has passed.
    async fn pause(&self, wait: Duration);
}
