//! From a document's bytes to the rows of a snapshot.

use std::sync::Arc;

use faq_source::{
    FurtherColumns, Identity, IssueKind, RowIssue, SourceError, SourceErrorKind, SourceRow,
    SourceSnapshot,
};
use storage_core::{Locator, MetadataValue};

use crate::limits::{bytes as size, over};
use crate::{Chunking, DocumentKind, DocumentLimits, Extracted, Extraction, chunks};

/// How documents are read and cut.
#[derive(Debug, Clone, Default)]
pub struct DocumentOptions {
    /// Size and overlap of the chunks.
    pub chunking: Chunking,
    /// What reading takes at most.
    pub limits: DocumentLimits,
}

/// Reads one document, such as one that was uploaded: the snapshot of a source that has this document and no other.
///
/// `name` is the file's name, by which its kind is found together with its first bytes; `id` is the document's id in the
/// collection, and the snapshot's name. Pages that fail are issues of the snapshot, the others become rows; the stored
/// rows of a document with an issue stay when it is synced. Blocking.
///
/// # Errors
/// When nothing of the document can be read: its kind is unknown, it is damaged, protected by a password, has no text,
/// or passes a limit, which the message names.
pub fn document(
    name: &str,
    id: &str,
    bytes: &[u8],
    options: &DocumentOptions,
    extraction: &dyn Extraction,
) -> Result<SourceSnapshot, SourceError> {
    let mut snapshot = SourceSnapshot {
        kind: KIND.to_owned(),
        location: name.to_owned(),
        name: id.to_owned(),
        identity: Identity::Given,
        ..SourceSnapshot::default()
    };
    let (kind, extracted) = extract(name, bytes, options, extraction)?;
    append(&mut snapshot, id, kind, extracted, options);
    Ok(snapshot)
}

/// The kind of the snapshots.
pub(crate) const KIND: &str = "documents";

/// The text of a document, of which there is some.
pub(crate) fn extract(
    name: &str,
    bytes: &[u8],
    options: &DocumentOptions,
    extraction: &dyn Extraction,
) -> Result<(DocumentKind, Extracted), SourceError> {
    let limits = &options.limits;
    options
        .chunking
        .check()
        .map_err(|fault| SourceError::new(SourceErrorKind::Unsupported, fault))?;
    if bytes.len() as u64 > limits.file_bytes {
        return Err(too_large(limits.file_bytes));
    }
    if bytes.trim_ascii().is_empty() {
        return Err(SourceError::new(
            SourceErrorKind::Empty,
            "the file is empty",
        ));
    }
    let kind = DocumentKind::of(name, bytes).ok_or_else(|| {
        SourceError::new(
            SourceErrorKind::Format,
            "it is no document that is read here: PDF, docx, HTML, Markdown and text are; give it the extension of what it is",
        )
    })?;
    let extracted = extraction.extract(kind, bytes, limits)?;
    if extracted.text.is_empty() && extracted.failed.is_empty() {
        let fact = match extracted.pages {
            Some(1) => {
                "no text layer on its only page: it is scanned; run: ocrmypdf IN OUT".to_owned()
            }
            Some(pages) => {
                format!("no text layer on pages 1-{pages}: they are scanned; run: ocrmypdf IN OUT")
            }
            None => "there is no text in it".to_owned(),
        };
        return Err(SourceError::new(SourceErrorKind::Empty, fact));
    }
    if extracted.text.is_empty() {
        let first = extracted.failed.first().map_or("", |page| &*page.problem);
        return Err(SourceError::new(
            SourceErrorKind::Format,
            format!("none of its pages can be read: {first}"),
        ));
    }
    Ok((kind, extracted))
}

pub(crate) fn too_large(limit: u64) -> SourceError {
    over(format!(
        "it is larger than {}; split it, or take pictures out of it",
        size(limit)
    ))
}

/// Adds the rows of a document to a snapshot.
pub(crate) fn append(
    snapshot: &mut SourceSnapshot,
    id: &str,
    kind: DocumentKind,
    extracted: Extracted,
    options: &DocumentOptions,
) {
    let Extracted {
        text,
        pieces,
        title,
        notices,
        failed,
        ..
    } = extracted;
    let keys: [Arc<str>; 2] = [Arc::from("document_kind"), Arc::from("document_title")];
    let metadata: FurtherColumns = [
        Some(MetadataValue::String(kind.name().to_owned())),
        title.clone().map(MetadataValue::String),
    ]
    .into_iter()
    .zip(keys)
    .filter_map(|(value, key)| Some((key, value?)))
    .collect();
    for notice in notices {
        snapshot.notices.push(format!("{id}: {notice}"));
    }
    for page in failed {
        snapshot.issues.push(RowIssue {
            kind: IssueKind::Malformed,
            id: Some(id.to_owned()),
            locator: Locator {
                page: Some(page.page),
                ..Locator::default()
            },
            column: None,
            problem: format!(
                "page {} of {id} cannot be read: {}",
                page.page, page.problem
            ),
        });
    }
    for chunk in chunks(&text, &pieces, &options.chunking) {
        let piece = &pieces[chunk.piece];
        let question = if piece.heading.is_empty() {
            title.clone().unwrap_or_default()
        } else {
            piece.heading.clone()
        };
        snapshot.rows.push(SourceRow {
            id: Some(id.to_owned()),
            chunk: chunk.index,
            question,
            answer: text[chunk.span.clone()].to_owned(),
            metadata: metadata.clone(),
            locator: Locator {
                page: piece.page,
                span: Some((chunk.span.start as u64, chunk.span.end as u64)),
                ..Locator::default()
            },
            ..SourceRow::default()
        });
    }
}
