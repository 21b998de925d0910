//! The HTTP providers against servers on loopback: what is sent, what each misbehaviour means, what it costs.
#![allow(
    clippy::unwrap_used,
    reason = "a test says by panicking what went wrong"
)]

mod batches;
mod calls;
mod misbehaviour;
mod secrets;

use std::num::NonZeroU32;
use std::time::Duration;

use embedder_client::HttpSettings;
use embedder_client::testing::StubApi;
use secrecy::SecretString;

/// What must show up nowhere but in the header.
const KEY: &str = "SECRET-MARK-4711";

/// Numbers per vector.
const DIMENSIONS: usize = 4;

/// Settings for a stub, with waits that no test has to sit through.
fn settings(url: &str) -> HttpSettings {
    HttpSettings {
        api_key: Some(SecretString::from(KEY)),
        dimensions: NonZeroU32::new(4),
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(2),
        longest_asked_wait: Duration::from_secs(30),
        max_retries: 3,
        timeout: Duration::from_secs(20),
        ..HttpSettings::new(url, "bge-m3")
    }
}

fn api() -> StubApi {
    StubApi::start(DIMENSIONS, Duration::ZERO)
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("text {number}")).collect()
}
