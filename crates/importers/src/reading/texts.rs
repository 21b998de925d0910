//! Metadata out of JSON.

use serde_json::Value as Json;
use storage_core::{ImportedRecord, MetadataValue};

/// Stores take no deeper lists.
const LIST_DEPTH: usize = 64;

/// The value behind a JSON value; `None` for null. What metadata cannot hold as it is (an object, a list with one or
/// with null in it, a whole number beyond 64 bits with sign) is kept as its JSON text: nothing is lost.
pub(crate) fn metadata_value(json: Json) -> Option<MetadataValue> {
    if json.is_null() {
        return None;
    }
    if !holds(&json, 0) {
        return Some(MetadataValue::String(json.to_string()));
    }
    match json {
        Json::String(text) => Some(MetadataValue::String(text)),
        other => MetadataValue::from_json(&other),
    }
}

fn holds(json: &Json, depth: usize) -> bool {
    match json {
        Json::Null | Json::Object(_) => false,
        Json::Number(number) => !number.is_u64() || number.is_i64(),
        Json::Array(values) => {
            depth < LIST_DEPTH && values.iter().all(|value| holds(value, depth + 1))
        }
        Json::String(_) | Json::Bool(_) => true,
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_metadata_cannot_hold_is_kept_as_json_text() {
        let text = |text: &str| Some(MetadataValue::String(text.to_owned()));
        assert_eq!(metadata_value(json!(null)), None);
        assert_eq!(metadata_value(json!({"a": [1]})), text(r#"{"a":[1]}"#));
        assert_eq!(metadata_value(json!([1, null])), text("[1,null]"));
        assert_eq!(
            metadata_value(json!(u64::MAX)),
            text("18446744073709551615")
        );
        assert_eq!(metadata_value(json!("{}")), text("{}"));
        let mut deep = json!(1);
        for _ in 0..65 {
            deep = json!([deep]);
        }
        assert!(matches!(
            metadata_value(deep),
            Some(MetadataValue::String(_))
        ));
    }

    #[test]
    fn types_stay() {
        assert_eq!(metadata_value(json!(3.0)), Some(MetadataValue::F64(3.0)));
        assert_eq!(
            metadata_value(json!(i64::MIN)),
            Some(MetadataValue::I64(i64::MIN))
        );
        assert_eq!(metadata_value(json!([])), Some(MetadataValue::List(vec![])));
        assert_eq!(
            metadata_value(json!(false)),
            Some(MetadataValue::Bool(false))
        );
    }
}
