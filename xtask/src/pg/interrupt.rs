//! Ctrl-C while a server runs: the tests get it too and end, and xtask lives on to stop their server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Result;

static PRESSED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on xtask survives it.
pub(super) fn defer() -> Result<()> {
    if PRESSED.get().is_none() {
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&flag))?;
        // Only the main thread starts servers.
        let _ = PRESSED.set(flag);
    }
    Ok(())
}

/// Whether it was pressed since.
pub(crate) fn interrupted() -> bool {
    PRESSED
        .get()
        .is_some_and(|flag| flag.load(Ordering::SeqCst))
}
