//! What a panic shows. The workbook parser is not ours, runs in a thread of its own, and may panic on a damaged file:
//! the reader turns that into an error, so the panic itself is nobody's news. Every other panic is a fault of ours and
//! is shown as ever.

use std::panic;
use std::thread;

/// Keeps panics of the parser's thread quiet from now on.
pub(crate) fn keep_parser_quiet() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |news| {
        if thread::current().name() != Some(faq_source::PARSER_THREAD) {
            usual(news);
        }
    }));
}
