//! What a record says besides its vector: from the rows of the tables, and from the JSON of the log.

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;
use serde_json::Value;
use storage_core::MetadataValue;

/// The key under which the text stands.
const DOCUMENT: &str = "chroma:document";

/// A record's text and metadata.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Words {
    pub(super) text: Option<String>,
    pub(super) metadata: BTreeMap<String, MetadataValue>,
    /// Why the record cannot be moved as it is.
    pub(super) fault: Option<String>,
}

impl Words {
    /// Bytes of text in it, about.
    pub(super) fn set(&mut self, key: ValueRef<'_>, columns: [ValueRef<'_>; 4]) -> usize {
        match row(key, columns) {
            Ok((_, None)) => 0,
            Ok((key, Some(value))) => {
                let bytes = key.len() + size(&value);
                self.put(key, value);
                bytes
            }
            Err(fault) => {
                self.fault.get_or_insert(fault);
                0
            }
        }
    }

    /// One more element of a list.
    pub(super) fn append(&mut self, key: ValueRef<'_>, columns: [ValueRef<'_>; 4]) -> usize {
        match row(key, columns) {
            Ok((_, None)) => 0,
            Ok((key, Some(value))) => {
                let bytes = size(&value);
                match self.metadata.get_mut(&key) {
                    Some(MetadataValue::List(list)) => list.push(value),
                    _ => {
                        self.metadata.insert(key, MetadataValue::List(vec![value]));
                    }
                }
                bytes
            }
            Err(fault) => {
                self.fault.get_or_insert(fault);
                0
            }
        }
    }

    /// Merges what a log row says over what is there: `null` removes a key.
    pub(super) fn merge(&mut self, json: &str) {
        let Ok(Value::Object(entries)) = serde_json::from_str(json) else {
            self.fault
                .get_or_insert("its metadata in the log is no JSON object".to_owned());
            return;
        };
        for (key, value) in entries {
            if value.is_null() {
                if key == DOCUMENT {
                    self.text = None;
                }
                self.metadata.remove(&key);
                continue;
            }
            match MetadataValue::from_json(&value) {
                Some(value) => self.put(key, value),
                None => {
                    self.fault
                        .get_or_insert(format!("its metadata holds no plain value under {key:?}"));
                }
            }
        }
    }

    fn put(&mut self, key: String, value: MetadataValue) {
        match value {
            MetadataValue::String(text) if key == DOCUMENT => self.text = Some(text),
            value => {
                self.metadata.insert(key, value);
            }
        }
    }
}

/// Key and value of a row: of the columns for text, truth, whole number and number the first that holds something. All
/// empty is what SQLite makes of a number that is none (NaN); Chroma does not return such a key either.
fn row(
    key: ValueRef<'_>,
    [text, truth, whole, real]: [ValueRef<'_>; 4],
) -> Result<(String, Option<MetadataValue>), String> {
    let key = key
        .as_str()
        .map_err(|_| "a key of its metadata is no text".to_owned())?
        .to_owned();
    let unfit = || format!("its metadata holds no plain value under {key:?}");
    let value = if text != ValueRef::Null {
        Some(MetadataValue::String(
            text.as_str().map_err(|_| unfit())?.to_owned(),
        ))
    } else if truth != ValueRef::Null {
        match truth.as_i64().map_err(|_| unfit())? {
            0 => Some(MetadataValue::Bool(false)),
            1 => Some(MetadataValue::Bool(true)),
            _ => return Err(unfit()),
        }
    } else if whole != ValueRef::Null {
        Some(MetadataValue::I64(whole.as_i64().map_err(|_| unfit())?))
    } else if real != ValueRef::Null {
        let number = real.as_f64().map_err(|_| unfit())?;
        if !number.is_finite() {
            return Err(format!(
                "the number under {key:?} of its metadata is not finite"
            ));
        }
        Some(MetadataValue::F64(number))
    } else {
        None
    };
    Ok((key, value))
}

fn size(value: &MetadataValue) -> usize {
    match value {
        MetadataValue::String(text) => text.len(),
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NULL: ValueRef<'_> = ValueRef::Null;

    #[test]
    fn a_value_keeps_its_type() {
        let mut words = Words::default();
        words.set(
            ValueRef::Text(b"real"),
            [NULL, NULL, NULL, ValueRef::Real(3.0)],
        );
        words.set(
            ValueRef::Text(b"whole"),
            [NULL, NULL, ValueRef::Integer((1 << 53) + 1), NULL],
        );
        words.set(
            ValueRef::Text(b"truth"),
            [NULL, ValueRef::Integer(0), NULL, NULL],
        );
        words.set(
            ValueRef::Text(b"empty"),
            [ValueRef::Text(b""), NULL, NULL, NULL],
        );
        words.set(ValueRef::Text(b"nan"), [NULL, NULL, NULL, NULL]);
        words.set(
            ValueRef::Text(b"chroma:document"),
            [ValueRef::Text(b"text"), NULL, NULL, NULL],
        );
        words.set(
            ValueRef::Text(b"chroma:uri"),
            [ValueRef::Text(b"file:///x"), NULL, NULL, NULL],
        );
        words.append(
            ValueRef::Text(b"list"),
            [ValueRef::Text(b"b"), NULL, NULL, NULL],
        );
        words.append(
            ValueRef::Text(b"list"),
            [ValueRef::Text(b"a"), NULL, NULL, NULL],
        );
        assert_eq!(words.fault, None);
        assert_eq!(words.text.as_deref(), Some("text"));
        let list = vec![
            MetadataValue::String("b".to_owned()),
            MetadataValue::String("a".to_owned()),
        ];
        assert_eq!(
            words.metadata,
            BTreeMap::from([
                ("real".to_owned(), MetadataValue::F64(3.0)),
                ("whole".to_owned(), MetadataValue::I64((1 << 53) + 1)),
                ("truth".to_owned(), MetadataValue::Bool(false)),
                ("empty".to_owned(), MetadataValue::String(String::new())),
                (
                    "chroma:uri".to_owned(),
                    MetadataValue::String("file:///x".to_owned())
                ),
                ("list".to_owned(), MetadataValue::List(list)),
            ])
        );
        words.merge(r#"{"chroma:document": null, "real": 4, "whole": null, "new": [true]}"#);
        assert_eq!(words.text, None);
        assert_eq!(words.metadata["real"], MetadataValue::I64(4));
        assert!(!words.metadata.contains_key("whole"));
        assert_eq!(
            words.metadata["new"],
            MetadataValue::List(vec![MetadataValue::Bool(true)])
        );
    }

    #[test]
    fn what_cannot_be_kept_is_a_fault_of_the_record() {
        for (columns, reason) in [
            (
                [ValueRef::Text(b"\xff"), NULL, NULL, NULL],
                "no plain value",
            ),
            ([NULL, ValueRef::Integer(2), NULL, NULL], "no plain value"),
            ([NULL, NULL, ValueRef::Text(b"1"), NULL], "no plain value"),
            (
                [NULL, NULL, NULL, ValueRef::Real(f64::INFINITY)],
                "not finite",
            ),
        ] {
            let mut words = Words::default();
            words.set(ValueRef::Text(b"k"), columns);
            assert!(words.fault.unwrap().contains(reason), "{columns:?}");
        }
        let mut words = Words::default();
        words.merge("{\"x\": NaN}");
        assert!(words.fault.is_some());
    }
}
