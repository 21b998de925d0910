//! Typed metadata, and its one encoding: a JSON object with sorted keys, the same text in every backend.

use std::collections::BTreeMap;
use std::fmt;

use crate::rules::MAX_LIST_DEPTH;
use crate::{Result, StoreError, StoreErrorKind};

/// A metadata value keeps the type its source gave it, so that filters compare numbers as numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum MetadataValue {
    /// Text.
    String(String),
    /// A whole number.
    I64(i64),
    /// A finite floating-point number.
    F64(f64),
    /// True or false.
    Bool(bool),
    /// Several values; may be empty, may nest.
    List(Vec<MetadataValue>),
}

impl fmt::Display for MetadataValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => f.write_str(text),
            Self::I64(number) => write!(f, "{number}"),
            Self::F64(number) => write!(f, "{number:?}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::List(values) => {
                for (position, value) in values.iter().enumerate() {
                    let comma = if position == 0 { "" } else { ", " };
                    write!(f, "{comma}{value}")?;
                }
                Ok(())
            }
        }
    }
}

impl MetadataValue {
    /// The JSON form. `None` for a number that JSON cannot hold (NaN, infinities).
    #[must_use]
    pub fn to_json(&self) -> Option<serde_json::Value> {
        Some(match self {
            Self::String(text) => serde_json::Value::from(text.as_str()),
            Self::I64(number) => serde_json::Value::from(*number),
            Self::F64(number) => serde_json::Value::Number(serde_json::Number::from_f64(*number)?),
            Self::Bool(value) => serde_json::Value::from(*value),
            Self::List(values) => values
                .iter()
                .map(Self::to_json)
                .collect::<Option<Vec<_>>>()?
                .into(),
        })
    }

    /// The value behind a JSON value; `None` for null and for objects, which metadata does not hold.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Option<Self> {
        Some(match json {
            serde_json::Value::String(text) => Self::String(text.clone()),
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(whole) => Self::I64(whole),
                None => Self::F64(number.as_f64()?),
            },
            serde_json::Value::Array(values) => Self::List(
                values
                    .iter()
                    .map(Self::from_json)
                    .collect::<Option<Vec<_>>>()?,
            ),
            serde_json::Value::Null | serde_json::Value::Object(_) => return None,
        })
    }

    /// The value behind a JSON value of somebody else's making; `None` for null. What metadata cannot hold as it is (an
    /// object, a list with one or with null in it, a list nested beyond what stores take, a whole number beyond
    /// [`i64`]) is kept as its JSON text, so that nothing is lost.
    #[must_use]
    pub fn or_json_text(json: serde_json::Value) -> Option<Self> {
        match json {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(Self::String(text)),
            other if holds(&other, 0) => Self::from_json(&other),
            other => Some(Self::String(other.to_string())),
        }
    }
}

fn holds(json: &serde_json::Value, depth: usize) -> bool {
    match json {
        serde_json::Value::Null | serde_json::Value::Object(_) => false,
        serde_json::Value::Number(number) => !number.is_u64() || number.is_i64(),
        serde_json::Value::Array(values) => {
            depth < MAX_LIST_DEPTH && values.iter().all(|value| holds(value, depth + 1))
        }
        serde_json::Value::String(_) | serde_json::Value::Bool(_) => true,
    }
}

/// Encodes metadata as a JSON object with sorted keys; empty metadata is `{}`.
///
/// # Errors
/// `Invalid` when a number is not finite.
pub fn metadata_to_json(metadata: &BTreeMap<String, MetadataValue>) -> Result<String> {
    if metadata.is_empty() {
        return Ok("{}".to_owned());
    }
    Ok(metadata_value(metadata)?.to_string())
}

/// The same as a value, for what holds more than metadata.
pub(crate) fn metadata_value(
    metadata: &BTreeMap<String, MetadataValue>,
) -> Result<serde_json::Value> {
    let mut object = serde_json::Map::new();
    for (key, value) in metadata {
        let json = value.to_json().ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::Invalid,
                "metadata",
                format!("the number under {key:?} is not finite"),
            )
        })?;
        object.insert(key.clone(), json);
    }
    Ok(serde_json::Value::Object(object))
}

/// Decodes what [`metadata_to_json`] wrote.
///
/// # Errors
/// `Corrupt` when the text is not a JSON object of such values.
pub fn metadata_from_json(text: &str) -> Result<BTreeMap<String, MetadataValue>> {
    if text == "{}" {
        return Ok(BTreeMap::new());
    }
    let json: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| corrupt(format!("stored metadata is not JSON: {error}")))?;
    let object = json
        .as_object()
        .ok_or_else(|| corrupt("stored metadata is not a JSON object".to_owned()))?;
    metadata_of(object)
}

fn corrupt(reason: String) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, "metadata", reason)
}

/// The metadata behind a JSON object.
pub(crate) fn metadata_of(
    object: &serde_json::Map<String, serde_json::Value>,
) -> Result<BTreeMap<String, MetadataValue>> {
    object
        .iter()
        .map(|(key, value)| {
            let value = MetadataValue::from_json(value).ok_or_else(|| {
                corrupt(format!(
                    "stored metadata holds no plain value under {key:?}"
                ))
            })?;
            Ok((key.clone(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_metadata_cannot_hold_is_kept_as_json_text() {
        let value = MetadataValue::or_json_text;
        let text = |text: &str| Some(MetadataValue::String(text.to_owned()));
        assert_eq!(value(json!(null)), None);
        assert_eq!(value(json!({"a": [1]})), text(r#"{"a":[1]}"#));
        assert_eq!(value(json!([1, null])), text("[1,null]"));
        assert_eq!(value(json!(u64::MAX)), text("18446744073709551615"));
        assert_eq!(value(json!("{}")), text("{}"));
        let mut list = json!(1);
        for _ in 0..MAX_LIST_DEPTH {
            list = json!([list]);
        }
        assert!(matches!(value(list.clone()), Some(MetadataValue::List(_))));
        assert!(matches!(
            value(json!([list])),
            Some(MetadataValue::String(_))
        ));
    }

    #[test]
    fn what_metadata_can_hold_keeps_its_type() {
        let value = MetadataValue::or_json_text;
        assert_eq!(value(json!(3.0)), Some(MetadataValue::F64(3.0)));
        assert_eq!(value(json!(i64::MIN)), Some(MetadataValue::I64(i64::MIN)));
        assert_eq!(value(json!([])), Some(MetadataValue::List(vec![])));
        assert_eq!(value(json!(false)), Some(MetadataValue::Bool(false)));
    }

    #[test]
    fn every_type_survives_the_round_trip() {
        let metadata = BTreeMap::from([
            ("text".to_owned(), MetadataValue::String("7".to_owned())),
            ("whole".to_owned(), MetadataValue::I64(7)),
            ("real".to_owned(), MetadataValue::F64(7.0)),
            ("flag".to_owned(), MetadataValue::Bool(true)),
            (
                "list".to_owned(),
                MetadataValue::List(vec![MetadataValue::I64(1), MetadataValue::Bool(false)]),
            ),
        ]);
        let text = metadata_to_json(&metadata).unwrap();
        assert_eq!(metadata_from_json(&text).unwrap(), metadata);
    }

    #[test]
    fn a_number_that_json_cannot_hold_is_refused() {
        let metadata = BTreeMap::from([("x".to_owned(), MetadataValue::F64(f64::NAN))]);
        assert_eq!(
            metadata_to_json(&metadata).unwrap_err().kind(),
            StoreErrorKind::Invalid
        );
    }
}
