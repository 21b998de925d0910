//! Times as JSON has them.

use storage_core::Timestamp;

/// RFC 3339, UTC; empty beyond the year 9999, which only a damaged store says.
#[must_use]
pub fn time(at: Timestamp) -> String {
    let since = std::time::Duration::from_millis(u64::try_from(at.0).unwrap_or_default());
    // Beyond the year 9999 there is no such text; a damaged store may say so.
    std::time::UNIX_EPOCH
        .checked_add(since)
        .filter(|_| at.0 < 253_402_300_800_000)
        .map_or_else(String::new, |at| {
            humantime::format_rfc3339_millis(at).to_string()
        })
}
