//! The part of the stores' contract that needs no store: what a change set, a run or a version may say at all.
//! Every backend calls these before it touches anything, so all of them refuse the same things in the same words.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Canary, ChangeSet, Document, DocumentKey, EmbeddingSpace, Locator, MetadataValue, Result, Row,
    RunRecord, StoreError, StoreErrorKind, metadata_to_json,
};

/// Texts and metadata of one row together: far beyond any answer, far below what a backend takes in one row.
const MAX_ROW_BYTES: usize = 32 << 20;

/// Lists within lists. JSON readers, ours included, stop at 128.
pub(crate) const MAX_LIST_DEPTH: usize = 64;

impl ChangeSet {
    /// Checks what needs no store: keys of this collection only, no row twice, at most one vector a version, one
    /// owner a document, and texts that every backend can hold.
    ///
    /// # Errors
    /// `Invalid` names the first row that breaks a rule.
    pub fn validate(&self) -> Result<()> {
        let keys = self
            .upserts
            .iter()
            .map(|row| &row.document().key)
            .chain(&self.deletes)
            .chain(self.relocations.iter().map(|relocation| &relocation.key))
            .chain(self.binds.iter().map(|(key, _)| key));
        for key in keys {
            if key.collection != self.collection {
                return Err(invalid(format!(
                    "a change of one collection names a row of another: {}",
                    key.collection
                )));
            }
        }
        if let Some(version) = &self.register {
            no_nul("the recipe", version.embed_text.as_str())?;
        }
        if let Some(source) = &self.source {
            if source.collection != self.collection {
                return Err(invalid(format!(
                    "a change of one collection names a source of another: {}",
                    source.collection
                )));
            }
            no_nul("the kind of a source", &source.kind)?;
            no_nul("the location of a source", &source.location)?;
        }
        let mut owners = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for row in &self.upserts {
            let document = row.document();
            let owner = owners
                .entry(&document.key.document)
                .or_insert(&document.source);
            if **owner != document.source {
                return Err(invalid(format!(
                    "a document has two sources: {}",
                    document.key.document
                )));
            }
            if !seen.insert(&document.key) {
                return Err(invalid(format!(
                    "a row is written twice in one change: {}",
                    place(&document.key)
                )));
            }
            check_row(row)?;
        }
        for relocation in &self.relocations {
            check_locator(&relocation.key, &relocation.locator)?;
        }
        Ok(())
    }
}

impl RunRecord {
    /// Checks what needs no store.
    ///
    /// # Errors
    /// `Invalid` when a count is beyond what backends hold.
    pub fn validate(&self) -> Result<()> {
        for count in [self.requests, self.texts, self.tokens] {
            whole("a run's count", count)?;
        }
        Ok(())
    }
}

impl EmbeddingSpace {
    /// Checks what needs no store.
    ///
    /// # Errors
    /// `Invalid` when a field holds a NUL character.
    pub fn validate(&self) -> Result<()> {
        for field in [
            self.id.as_str(),
            &self.model.name,
            &self.model.revision,
            &self.model.query_prefix,
            &self.model.passage_prefix,
            &self.nonce,
            &self.provider,
        ] {
            no_nul("a vector space", field)?;
        }
        Ok(())
    }
}

/// Why a version may not be deleted, if so: one answer for every backend.
#[must_use]
pub fn kept_for(active: bool, previous: bool, building: bool) -> Option<&'static str> {
    if active {
        Some("the version is served; promote another one first")
    } else if previous {
        Some("the version is what a rollback would serve; it can go after the next promotion")
    } else if building {
        Some("the version is being built")
    } else {
        None
    }
}

/// Checks canaries against the length of their space's vectors.
///
/// # Errors
/// `Model` for another length, `Invalid` for a text with a NUL character.
pub fn check_canaries(canaries: &[Canary], dimensions: u32) -> Result<()> {
    for canary in canaries {
        no_nul("a canary", &canary.text)?;
        let found = canary.embedding.dimensions();
        if found != dimensions {
            return Err(StoreError::new(
                StoreErrorKind::Model,
                "record_canaries",
                format!("a vector has {found} numbers, its space {dimensions}"),
            ));
        }
    }
    Ok(())
}

fn check_row(row: &Row) -> Result<()> {
    let document = row.document();
    let mut versions = BTreeSet::new();
    if !row
        .vectors()
        .iter()
        .all(|binding| versions.insert(&binding.version))
    {
        return Err(invalid(format!(
            "a row has two vectors of one version: {}",
            place(&document.key)
        )));
    }
    check_document(document)
}

/// Checks what every store asks of a row: names within bounds, no NUL, metadata that can be written.
///
/// # Errors
/// `Invalid` with the row and the rule.
pub fn check_document(document: &Document) -> Result<()> {
    let texts = [
        Some(&document.key.document),
        Some(&document.title),
        Some(&document.body),
        document.category.as_ref(),
        document.subcategory.as_ref(),
    ];
    for text in texts.into_iter().flatten().chain(document.metadata.keys()) {
        no_nul_in(&document.key, text)?;
    }
    for value in document.metadata.values() {
        check_value(&document.key, value, 0)?;
    }
    check_locator(&document.key, &document.locator)?;
    let bytes = texts
        .into_iter()
        .flatten()
        .map(String::len)
        .sum::<usize>()
        .saturating_add(metadata_to_json(&document.metadata)?.len());
    if bytes > MAX_ROW_BYTES {
        return Err(invalid(format!(
            "a row is larger than {MAX_ROW_BYTES} bytes: {}",
            place(&document.key)
        )));
    }
    Ok(())
}

fn check_value(key: &DocumentKey, value: &MetadataValue, depth: usize) -> Result<()> {
    match value {
        MetadataValue::String(text) => no_nul_in(key, text),
        MetadataValue::List(_) if depth == MAX_LIST_DEPTH => Err(invalid(format!(
            "metadata has lists nested deeper than {MAX_LIST_DEPTH}: {}",
            place(key)
        ))),
        MetadataValue::List(values) => values
            .iter()
            .try_for_each(|value| check_value(key, value, depth + 1)),
        MetadataValue::I64(_) | MetadataValue::F64(_) | MetadataValue::Bool(_) => Ok(()),
    }
}

fn check_locator(key: &DocumentKey, locator: &Locator) -> Result<()> {
    if let Some(sheet) = &locator.sheet {
        no_nul_in(key, sheet)?;
    }
    let (start, end) = locator.span.unzip();
    for number in [locator.row, start, end].into_iter().flatten() {
        whole("a place in a source", number)?;
    }
    Ok(())
}

fn no_nul(what: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(invalid(format!("{what} holds a NUL character")));
    }
    Ok(())
}

fn no_nul_in(key: &DocumentKey, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(invalid(format!(
            "a text holds a NUL character: {}",
            place(key)
        )));
    }
    Ok(())
}

/// Databases count in signed 64-bit numbers.
fn whole(what: &str, number: u64) -> Result<()> {
    i64::try_from(number)
        .map(drop)
        .map_err(|_| invalid(format!("{what} is beyond 2^63: {number}")))
}

fn place(key: &DocumentKey) -> String {
    format!("{:?} chunk {}", key.document, key.chunk)
}

fn invalid(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, "validate", message)
}
