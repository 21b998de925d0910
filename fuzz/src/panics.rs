//! Whose panic it is. The workbook parser runs in a thread of its own and may panic; the reader makes an error of that.
//! Code of ours runs in the same thread, and a panic of it would be taken for a damaged file just the same.

use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

static OWN: AtomicUsize = AtomicUsize::new(0);

/// Whether the parser panicked, where that is provided for.
#[must_use]
pub fn is_contained(news: &PanicHookInfo<'_>) -> bool {
    // Files of this workspace are compiled by their paths in it, those of other packages by absolute ones.
    let ours = news
        .location()
        .is_none_or(|place| place.file().starts_with("crates"));
    thread::current().name() == Some(faq_source::PARSER_THREAD) && !ours
}

/// From now on, contained panics are quiet, and all others are shown and counted.
pub fn watch_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |news| {
        if !is_contained(news) {
            OWN.fetch_add(1, Ordering::SeqCst);
            usual(news);
        }
    }));
}

/// Panics since [`watch_panics`] that were not the parser's.
#[must_use]
pub fn own_panics() -> usize {
    OWN.load(Ordering::SeqCst)
}
