//! Skips are loud, and forbidden where `cargo xtask test` runs.

/// Says that a test is skipped and why; where skips are forbidden, fails it.
///
/// # Panics
///
/// If `SMART_SUPPORT_FORBID_SKIPS` is set.
#[allow(clippy::print_stderr, reason = "a skip is loud")]
pub fn skip(why: &str) {
    assert!(
        std::env::var_os("SMART_SUPPORT_FORBID_SKIPS").is_none_or(|value| value.is_empty()),
        "a test would skip itself, and SMART_SUPPORT_FORBID_SKIPS forbids that: {why}"
    );
    eprintln!("SKIPPED: {why}");
}
