//! Which of a record's metadata a reader also wants to see as question, answer and categories.

use std::collections::BTreeMap;

use storage_core::{
    CollectionName, Document, DocumentKey, ImportedRecord, MetadataValue, SourceId,
};

/// Metadata keys by field. Metadata stay as they are: a field shows a copy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldMap {
    /// Becomes the question.
    pub question: Option<String>,
    /// Becomes the answer, instead of the record's text.
    pub answer: Option<String>,
    /// Becomes the category; `category` unless said otherwise.
    pub category: Option<String>,
    /// Becomes the subcategory; `subcategory` unless said otherwise.
    pub subcategory: Option<String>,
}

impl FieldMap {
    /// The names a person may map.
    pub const FIELDS: [&'static str; 4] = ["question", "answer", "category", "subcategory"];

    /// Maps one field; `false` for a name that is none.
    pub fn set(&mut self, field: &str, key: &str) -> bool {
        let place = match field {
            "question" => &mut self.question,
            "answer" => &mut self.answer,
            "category" => &mut self.category,
            "subcategory" => &mut self.subcategory,
            _ => return false,
        };
        *place = Some(key.to_owned());
        true
    }

    /// The row that a record becomes. The record keeps its vector, and its text where that is not the row's answer.
    pub(crate) fn document(
        &self,
        record: &mut ImportedRecord,
        collection: &CollectionName,
        source: &SourceId,
    ) -> Document {
        let metadata = std::mem::take(&mut record.metadata);
        let named = |key: &Option<String>| shown(&metadata, key.as_deref()?);
        let usual = |key: &Option<String>, usual: &str| {
            let text = shown(&metadata, key.as_deref().unwrap_or(usual))?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        // A record without a text stays a row without one: whatever was shown in its place would pass for what was
        // embedded, and the vector be found under it.
        let has_text = record.text.is_some();
        let named = |key: &Option<String>| named(key).filter(|_| has_text);
        let title = named(&self.question).unwrap_or_default();
        let body = match &self.answer {
            Some(_) => named(&self.answer).unwrap_or_default(),
            None => record.text.take().unwrap_or_default(),
        };
        let category = record
            .category
            .take()
            .or_else(|| usual(&self.category, "category"));
        let subcategory = usual(&self.subcategory, "subcategory");
        Document {
            key: DocumentKey {
                collection: collection.clone(),
                document: std::mem::take(&mut record.document),
                chunk: record.chunk,
            },
            source: source.clone(),
            title,
            body,
            category,
            subcategory,
            metadata,
            locator: record.locator.clone(),
        }
    }
}

/// A value as a text; lists have no place in a field.
fn shown(metadata: &BTreeMap<String, MetadataValue>, key: &str) -> Option<String> {
    match metadata.get(key)? {
        MetadataValue::List(_) => None,
        value => Some(value.to_string()),
    }
}
