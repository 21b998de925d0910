//! Typed metadata, and its one encoding: a JSON object with sorted keys, the same text in every backend.

use std::collections::BTreeMap;
use std::fmt;

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
