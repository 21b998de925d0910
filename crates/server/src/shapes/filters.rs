//! Conditions as requests write them.

use std::collections::BTreeMap;

use serde::Deserialize;
use storage_core::{Comparison, MetadataPredicate, MetadataValue};
use utoipa::ToSchema;

use crate::problem::{Code, Problem};

/// Conditions on metadata: `{"year": 2023, "price": {">=": 100}}`, or `["year=2023", "price>=100"]` as on the command
/// line. All must hold.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "filters are {\"KEY\": VALUE}, {\"KEY\": {\">=\": VALUE}} or [\"KEY>=VALUE\"]"
)]
pub(crate) enum FilterSpec {
    /// By key: a value to equal, or comparisons.
    Keys(BTreeMap<String, Condition>),
    /// `KEY=VALUE`, or another of `!= < <= > >=`.
    Words(Vec<Word>),
}

/// `KEY=VALUE`, or another of `!= < <= > >=`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(pattern = "^[^=<>!][^=<>]*(=|<|>)", max_length = 8192)]
pub(crate) struct Word(String);

/// What the value of one key must be.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "a condition is a value, or {\">=\": VALUE} with one of = != < <= > >="
)]
pub(crate) enum Condition {
    /// Equal to this.
    Equal(Scalar),
    /// Compared with these.
    Compared(Box<Comparisons>),
}

/// Comparisons with values. All must hold.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Comparisons {
    #[serde(rename = "=")]
    equal: Option<Scalar>,
    #[serde(rename = "!=")]
    not_equal: Option<Scalar>,
    #[serde(rename = "<")]
    less: Option<Scalar>,
    #[serde(rename = "<=")]
    less_or_equal: Option<Scalar>,
    #[serde(rename = ">")]
    greater: Option<Scalar>,
    #[serde(rename = ">=")]
    greater_or_equal: Option<Scalar>,
}

/// One value.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a value is a text, a number, true or false")]
pub(crate) enum Scalar {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// A number.
    Real(f64),
    /// A text.
    Text(String),
}

impl Scalar {
    fn value(self) -> MetadataValue {
        match self {
            Self::Bool(value) => MetadataValue::Bool(value),
            Self::Whole(value) => MetadataValue::I64(value),
            Self::Real(value) => MetadataValue::F64(value),
            Self::Text(value) => MetadataValue::String(value),
        }
    }
}

impl Condition {
    /// The conditions on this key: none where nothing is compared.
    fn on(self, key: &str) -> Vec<MetadataPredicate> {
        let pairs = match self {
            Self::Equal(value) => vec![(Comparison::Equal, Some(value))],
            Self::Compared(compared) => vec![
                (Comparison::Equal, compared.equal),
                (Comparison::NotEqual, compared.not_equal),
                (Comparison::Less, compared.less),
                (Comparison::LessOrEqual, compared.less_or_equal),
                (Comparison::Greater, compared.greater),
                (Comparison::GreaterOrEqual, compared.greater_or_equal),
            ],
        };
        let predicate = |(comparison, value): (Comparison, Option<Scalar>)| {
            Some(MetadataPredicate {
                key: key.to_owned(),
                comparison,
                value: value?.value(),
            })
        };
        pairs.into_iter().filter_map(predicate).collect()
    }
}

impl FilterSpec {
    /// The conditions, at most `limit` of them.
    pub(crate) fn predicates(self, limit: usize) -> Result<Vec<MetadataPredicate>, Problem> {
        let invalid = |detail: String| Problem::new(Code::InvalidRequest, detail);
        let count = match &self {
            Self::Words(words) => words.len(),
            Self::Keys(keys) => keys.len(),
        };
        // Before anything is made of them: there may be very many.
        if count > limit {
            return Err(invalid(format!(
                "{count} conditions, where {limit} are allowed"
            )));
        }
        match self {
            Self::Keys(keys) => {
                let mut all = Vec::new();
                for (key, condition) in keys {
                    let own = condition.on(&key);
                    // A client's variable may have been null: everything is not what it wanted.
                    if own.is_empty() {
                        let shown: String = key.chars().take(80).collect();
                        return Err(invalid(format!(
                            "filter {shown:?} compares with nothing; leave the key out to take every value"
                        )));
                    }
                    all.extend(own);
                }
                if all.len() > limit {
                    return Err(invalid(format!(
                        "{} conditions, where {limit} are allowed",
                        all.len()
                    )));
                }
                Ok(all)
            }
            Self::Words(words) => words
                .iter()
                .map(|Word(word)| {
                    MetadataPredicate::parse(word).ok_or_else(|| {
                        let shown: String = word.chars().take(80).collect();
                        invalid(format!(
                            "filter {shown:?} is no condition; write KEY=VALUE, or one of != < <= > >="
                        ))
                    })
                })
                .collect(),
        }
    }
}
