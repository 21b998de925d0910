//! PDF: the text that is drawn, page by page, put into lines by where it is drawn.

mod font;
mod lines;
mod page;
mod stream;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use faq_source::{PARSER_THREAD, SourceError, SourceErrorKind};
use lopdf::{Document, LoadOptions};

use crate::extracted::TextBuilder;
use crate::limits::over;
use crate::{DocumentLimits, Extracted};
use font::Fonts;

/// Of the thread that parses: what nests is read by functions that call themselves.
const STACK: usize = 32 << 20;

/// Reads a PDF in a thread by whose name a panic is known as the parser's: one that panics on a damaged file refuses it.
pub(crate) fn extract(bytes: &[u8], limits: &DocumentLimits) -> Result<Extracted, SourceError> {
    thread::scope(|scope| {
        let parser = thread::Builder::new()
            .name(PARSER_THREAD.to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, || read(bytes, limits));
        let parser = parser.map_err(|error| {
            SourceError::new(SourceErrorKind::Unavailable, "no thread to read it in")
                .with_source(error)
        })?;
        parser.join().unwrap_or_else(|_| {
            Err(SourceError::new(
                SourceErrorKind::Format,
                "it is damaged; print it into a new file",
            ))
        })
    })
}

fn read(bytes: &[u8], limits: &DocumentLimits) -> Result<Extracted, SourceError> {
    let document = load(bytes, limits)?;
    let pages = document
        .page_iter()
        .take(limits.pages as usize + 1)
        .collect::<Vec<_>>();
    if pages.len() > limits.pages as usize {
        return Err(over(format!(
            "it has more than {} pages; split it",
            limits.pages
        )));
    }
    if pages.is_empty() {
        return Err(SourceError::new(
            SourceErrorKind::Format,
            "no page of it can be found: it is damaged; print it into a new file",
        ));
    }
    let mut builder = TextBuilder::new(limits);
    builder.pages(u32::try_from(pages.len()).unwrap_or(u32::MAX));
    if let Some(title) = title(&document) {
        builder.title(&title);
    }
    let mut fonts = Fonts::new(&document, limits);
    let mut scanned = Vec::new();
    let mut any = false;
    for (number, page) in (1_u32..).zip(pages) {
        builder.page(number);
        let read = catch_unwind(AssertUnwindSafe(|| {
            page::lines(&document, page, &mut fonts, limits)
        }));
        match read {
            Ok(Ok(lines)) => {
                let paragraphs = lines::paragraphs(lines);
                if paragraphs.is_empty() {
                    scanned.push(number);
                }
                any |= !paragraphs.is_empty();
                for paragraph in paragraphs {
                    builder.block(&paragraph)?;
                }
            }
            Ok(Err(problem)) => builder.failed(number, problem),
            Err(_) => builder.failed(number, "it is damaged".to_owned()),
        }
    }
    if any && !scanned.is_empty() {
        builder.notice(format!(
            "no text layer on pages {}: they are empty, or scanned; for scanned ones run: ocrmypdf IN OUT",
            ranges(&scanned)
        ));
    }
    builder.finish()
}

fn load(bytes: &[u8], limits: &DocumentLimits) -> Result<Document, SourceError> {
    let options = LoadOptions {
        max_decompressed_size: usize::try_from(limits.part_bytes).ok(),
        ..LoadOptions::default()
    };
    let refused = |fact: &str| SourceError::new(SourceErrorKind::Format, fact);
    let protected =
        "it is protected by a password; open it, print it into a new file, and name that";
    match Document::load_mem_with_options(bytes, options) {
        Ok(document) if document.is_encrypted() => Err(refused(protected)),
        Ok(document) => Ok(document),
        Err(lopdf::Error::InvalidPassword | lopdf::Error::Decryption(_)) => Err(refused(protected)),
        Err(error) => {
            let fact = "it is damaged or not complete; fetch it again, or print it into a new file";
            Err(refused(fact).with_source(error))
        }
    }
}

fn title(document: &Document) -> Option<String> {
    let information = document.trailer.get(b"Info").ok()?;
    let (_, information) = document.dereference(information).ok()?;
    let title = information
        .as_dict()
        .ok()?
        .get_deref(b"Title", document)
        .ok()?;
    lopdf::decode_text_string(title).ok()
}

/// `1-3, 7`.
fn ranges(pages: &[u32]) -> String {
    let runs = pages.chunk_by(|left, right| left + 1 == *right);
    let named = runs.filter_map(|run| match run {
        [] => None,
        [one] => Some(one.to_string()),
        [first, .., last] => Some(format!("{first}-{last}")),
    });
    named.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
