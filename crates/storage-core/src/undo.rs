//! What a run replaced, kept so that the run can be undone: as a value, and as the JSON that every backend stores.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::metadata::{metadata_of, metadata_value};
use crate::{
    Binding, ContentHash, Document, DocumentKey, InputHash, Locator, Result, Row, RunId, SourceId,
    SpaceId, StoreError, StoreErrorKind, Timestamp, VectorKey, VersionId,
};

/// What a change set does for the undoing of runs, its own or another's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum UndoPolicy {
    /// Nothing: what it replaces is gone.
    #[default]
    Forget,
    /// Every row that it replaces or deletes is kept under its run as it was, once a run: what the run wrote itself is
    /// never kept. Of a row that it creates its key is kept, so that it is still known as the run's when others write
    /// over it. Relocations and binds leave a row's content as it is, and keep nothing.
    Keep,
    /// It undoes that run: a row that it restores gets back who wrote it and when, and what was kept under that run in
    /// this collection is forgotten in the same transaction, also of rows that others have changed since.
    Of(RunId),
}

/// A row that a run wrote or deleted, and what was there before.
#[derive(Debug, Clone, PartialEq)]
pub struct UndoRow {
    /// The row.
    pub key: DocumentKey,
    /// What the run replaced or deleted, with the vectors it had in those versions that still have them; `None` for a
    /// row that the run created: such a row is told only while it is there. It may lack a vector of a version that was
    /// made active since.
    pub replaced: Option<Row>,
    /// Whether the row was written or deleted by another run since, so that undoing this one would lose that. Of a row
    /// that the run created: whether another run wrote what is there now, over it or after it was gone. So is told, too,
    /// a row of which a repair has lost what the run had kept: nobody knows what to bring back, or whether anything.
    pub changed_since: bool,
}

/// A row as it was before a run replaced or deleted it: what a backend keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptRow {
    /// Its fields and the names of its vectors, in every version it had one in.
    pub row: Row,
    /// The run that had written it last.
    pub run: RunId,
    /// When it was written first.
    pub created_at: Timestamp,
    /// When it was written last.
    pub updated_at: Timestamp,
    /// Whether the run that it is kept under deleted it, and put nothing in its place.
    pub deleted: bool,
}

impl UndoRow {
    /// What is told of a row: from what is kept of it, and from whether the run wrote what is there now, if anything is.
    #[must_use]
    pub fn told(key: DocumentKey, kept: Option<KeptRow>, own: Option<bool>) -> Self {
        let deleted = kept.as_ref().is_some_and(|kept| kept.deleted);
        Self {
            key,
            replaced: kept.map(|kept| kept.row),
            changed_since: !own.unwrap_or(deleted),
        }
    }

    /// Leaves out vectors that are no longer what restoring could refer to.
    pub fn retain_vectors(&mut self, is_there: impl FnMut(&Binding) -> bool) {
        if let Some(row) = &mut self.replaced {
            row.retain_vectors(is_there);
        }
    }
}

impl KeptRow {
    /// The JSON that is stored, with a checksum of its own: a damaged row must not come back as if it were whole.
    ///
    /// # Errors
    /// `Invalid` when a number is not finite, which no stored row holds.
    pub fn to_json(&self) -> Result<String> {
        let document = self.row.document();
        let locator = &document.locator;
        let vectors: Vec<Value> = self
            .row
            .vectors()
            .iter()
            .map(|binding| {
                json!({
                    "version": binding.version.as_str(),
                    "space": binding.vector.space.as_str(),
                    "input": binding.vector.input.to_hex(),
                    "variant": binding.vector.variant.map(|hash| hash.to_hex()),
                })
            })
            .collect();
        let fields = json!({
            "document": document.key.document,
            "chunk": document.key.chunk,
            "source": document.source.as_str(),
            "title": document.title,
            "body": document.body,
            "category": document.category,
            "subcategory": document.subcategory,
            "metadata": metadata_value(&document.metadata)?,
            "sheet": locator.sheet,
            "row": locator.row,
            "page": locator.page,
            "span": locator.span.map(|(start, end)| [start, end]),
            "vectors": vectors,
            "run": self.run.as_str(),
            "created_at": self.created_at.0,
            "updated_at": self.updated_at.0,
            "deleted": self.deleted,
        });
        let checksum = checksum(&fields);
        Ok(json!({ "row": fields, "checksum": checksum }).to_string())
    }

    /// Reads what [`to_json`](Self::to_json) wrote of the row of that name.
    ///
    /// # Errors
    /// `Corrupt` when the text is anything else, or of another row.
    pub fn from_json(key: DocumentKey, text: &str) -> Result<Self> {
        let named = format!("{:?} chunk {}", key.document, key.chunk);
        decode(key, text).ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::Corrupt,
                "undo",
                format!("what a run replaced is damaged, and cannot be restored: {named}"),
            )
        })
    }
}

fn checksum(fields: &Value) -> String {
    ContentHash::of(fields.to_string().as_bytes()).to_hex()
}

fn decode(key: DocumentKey, text: &str) -> Option<KeptRow> {
    let json: Value = serde_json::from_str(text).ok()?;
    let all = json.get("row")?;
    if json.get("checksum")?.as_str()? != checksum(all) {
        return None;
    }
    let fields = Fields(all.as_object()?);
    if fields.text("document")? != key.document || fields.number("chunk")? != u64::from(key.chunk) {
        return None;
    }
    let span = match fields.0.get("span")? {
        Value::Null => None,
        span => Some((span.get(0)?.as_u64()?, span.get(1)?.as_u64()?)),
    };
    let page = fields.optional("page", Value::as_u64)?;
    let document = Document {
        key,
        source: SourceId::new(fields.text("source")?).ok()?,
        title: fields.text("title")?,
        body: fields.text("body")?,
        category: fields.optional("category", owned)?,
        subcategory: fields.optional("subcategory", owned)?,
        metadata: metadata_of(fields.0.get("metadata")?.as_object()?).ok()?,
        locator: Locator {
            sheet: fields.optional("sheet", owned)?,
            row: fields.optional("row", Value::as_u64)?,
            page: page.map(u32::try_from).transpose().ok()?,
            span,
        },
    };
    let vectors = fields
        .0
        .get("vectors")?
        .as_array()?
        .iter()
        .map(binding)
        .collect::<Option<Vec<_>>>()?;
    let versions: BTreeSet<_> = vectors.iter().map(|binding| &binding.version).collect();
    if versions.len() != vectors.len() {
        return None;
    }
    Some(KeptRow {
        row: Row::new(document, vectors),
        run: RunId::new(fields.text("run")?).ok()?,
        created_at: Timestamp(fields.0.get("created_at")?.as_i64()?),
        updated_at: Timestamp(fields.0.get("updated_at")?.as_i64()?),
        deleted: fields.0.get("deleted")?.as_bool()?,
    })
}

fn binding(json: &Value) -> Option<Binding> {
    let fields = Fields(json.as_object()?);
    let variant = fields.optional("variant", owned)?;
    Some(Binding {
        version: VersionId::from_stored(&fields.text("version")?),
        vector: VectorKey {
            space: SpaceId::from_stored(&fields.text("space")?),
            input: InputHash::from_hex(&fields.text("input")?).ok()?,
            variant: variant
                .map(|hash| ContentHash::from_hex(&hash))
                .transpose()
                .ok()?,
        },
    })
}

/// An object whose every field must be there.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn text(&self, name: &str) -> Option<String> {
        owned(self.0.get(name)?)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    /// What may be null.
    fn optional<'a, T>(
        &'a self,
        name: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.0.get(name)? {
            Value::Null => Some(None),
            value => read(value).map(Some),
        }
    }
}

fn owned(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
