//! Plain text: paragraphs stand apart by empty lines.

use faq_source::SourceError;

use crate::decode::decode;
use crate::extracted::TextBuilder;
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
            paragraph.push_str(line.trim_end());
        }
    }
    builder.block(&paragraph)?;
    builder.finish()
}
