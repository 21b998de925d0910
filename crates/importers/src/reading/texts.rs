//! Records that no store takes.

use storage_core::{ImportedRecord, MetadataValue};

/// What no store takes: an empty id, a NUL character in any text.
pub(crate) fn fault_in_texts(record: &ImportedRecord) -> Option<String> {
    if record.document.is_empty() {
        return Some("the id is empty".to_owned());
    }
    let texts = [
        ("the id", Some(&record.document)),
        ("the text", record.text.as_ref()),
        ("the category", record.category.as_ref()),
    ];
    for (name, text) in texts {
        if text.is_some_and(|text| text.contains('\0')) {
            return Some(format!("{name} holds a NUL character"));
        }
    }
    let faulty = record
        .metadata
        .iter()
        .find(|(key, value)| key.contains('\0') || has_nul(value))?;
    Some(format!(
        "metadata holds a NUL character under {:?}",
        faulty.0
    ))
}

fn has_nul(value: &MetadataValue) -> bool {
    match value {
        MetadataValue::String(text) => text.contains('\0'),
        MetadataValue::List(values) => values.iter().any(has_nul),
        MetadataValue::I64(_) | MetadataValue::F64(_) | MetadataValue::Bool(_) => false,
    }
}
