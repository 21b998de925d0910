//! Plain text: paragraphs stand apart by empty lines.

use faq_source::SourceError;

use crate::decode::decode;
use crate::extracted::{TextBuilder, too_long};
use crate::{DocumentLimits, Extracted};

pub(crate) fn extract(bytes: &[u8], limits: &DocumentLimits) -> Result<Extracted, SourceError> {
    let (text, notice) = decode(bytes, None)?;
    let mut builder = TextBuilder::new(limits);
    if let Some(notice) = notice {
        builder.notice(notice);
    }
    let mut paragraph = String::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            builder.block(&paragraph)?;
            paragraph.clear();
        } else {
            if !paragraph.is_empty() {
                paragraph.push('\n');
            }
            let line = line.trim_end();
            // A file without an empty line is one paragraph, which must not be copied first and refused then.
            if (paragraph.len() + line.len()) as u64 > limits.text_bytes {
                return Err(too_long(limits.text_bytes));
            }
            paragraph.push_str(line);
        }
    }
    builder.block(&paragraph)?;
    builder.finish()
}
