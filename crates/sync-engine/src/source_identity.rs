//! Which source of a collection a file is.
//!
//! A source is named after its file, not its directory: a checkout elsewhere is the same FAQ. A file under another
//! name is the same source still when it brings most of its rows; else a renamed workbook would put every template
//! into the store twice.

use std::collections::{BTreeMap, BTreeSet};

use storage_core::{Fingerprint, RecordHash, Source, SourceId};

/// The id of a file's source: its name without directories.
#[must_use]
pub fn source_id(name: &str) -> SourceId {
    let name: String = name
        .chars()
        .filter(|char| !char.is_control())
        .take(120)
        .collect();
    SourceId::new(format!("file:{name}"))
        .expect("a short name with a prefix and no control characters is valid")
}

/// The kind of the source that owns the documents that were sent, one by one.
pub const UPLOAD: &str = "upload";

/// The kind of a source of documents, each of which is cut into rows.
const DOCUMENTS: &str = "documents";

/// Whether a source's ids are those of documents, and its rows no more than what one was cut into.
pub(crate) fn is_cut(kind: &str) -> bool {
    [DOCUMENTS, UPLOAD].contains(&kind)
}

/// The id of a source: of a file, of a data set, which is told by it ever after, or of a table, a query or uploads, whose
/// name is no file's.
pub(crate) fn source_id_of(kind: &str, name: &str) -> SourceId {
    let id = source_id(name);
    let prefix = match kind {
        "postgres" => "table:",
        "dataset" => SourceId::DATA_SET,
        UPLOAD => "upload:",
        _ => return id,
    };
    let name = id.as_str().strip_prefix("file:").unwrap_or_default();
    SourceId::new(format!("{prefix}{name}"))
        .expect("a short name with a prefix and no control characters is valid")
}

/// Finds the stored source that a file continues, or keeps the name of its own. `records` are the hashes of the
/// file's rows.
pub(crate) fn resolve<'a>(
    own: SourceId,
    records: impl Iterator<Item = RecordHash>,
    sources: &[Source],
    fingerprints: impl Iterator<Item = &'a Fingerprint>,
) -> SourceId {
    if sources.iter().any(|source| source.id == own) {
        return own;
    }
    let records: BTreeSet<RecordHash> = records.collect();
    let mut shared: BTreeMap<&'a SourceId, (usize, usize)> = BTreeMap::new();
    for fingerprint in fingerprints {
        let (common, all) = shared.entry(&fingerprint.source).or_default();
        *all += 1;
        *common += usize::from(records.contains(&fingerprint.record));
    }
    shared
        .into_iter()
        .filter(|(_, (common, all))| common * 2 > (*all).min(records.len()))
        .max_by_key(|(_, (common, _))| *common)
        .map_or(own, |(source, _)| source.clone())
}
