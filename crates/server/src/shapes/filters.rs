//! Conditions as requests write them.

use std::collections::BTreeMap;

use serde::Deserialize;
use storage_core::{Comparison, MetadataPredicate, MetadataValue};
use utoipa::ToSchema;

use crate::problem::{Code, Problem};

/// Conditions on metadata: `{"year": 2023, "price": {">=": 100}}`, or `["year=2023", "price>=100"]` as on the command
/// line.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum FilterSpec {
    /// By key: a value to equal, or comparisons.
    Keys(BTreeMap<String, Condition>),
    /// `KEY=VALUE`, or another of `!= < <= > >=`.
    Words(Vec<String>),
}

/// What the value of one key must be.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Condition {
    /// Equal to this.
    Equal(Scalar),
    /// By sign: `=`, `!=`, `<`, `<=`, `>`, `>=`.
    Compared(BTreeMap<String, Scalar>),
}

/// One value.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
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

impl FilterSpec {
    /// The conditions, at most `limit` of them.
    pub(crate) fn predicates(self, limit: usize) -> Result<Vec<MetadataPredicate>, Problem> {
        let predicates = match self {
            Self::Words(words) => {
                let predicates = words.iter().map(|word| {
                    MetadataPredicate::parse(word).ok_or_else(|| {
                        Problem::new(
                            Code::InvalidRequest,
                            format!("filter {:?} is no condition; write KEY=VALUE, or one of != < <= > >=", shown(word)),
                        )
                    })
                });
                predicates.collect::<Result<Vec<_>, _>>()?
            }
            Self::Keys(keys) => {
                let mut predicates = Vec::new();
                for (key, condition) in keys {
                    match condition {
                        Condition::Equal(value) => predicates.push(MetadataPredicate {
                            key,
                            comparison: Comparison::Equal,
                            value: value.value(),
                        }),
                        Condition::Compared(signs) => {
                            for (sign, value) in signs {
                                predicates.push(MetadataPredicate {
                                    key: key.clone(),
                                    comparison: comparison(&sign)?,
                                    value: value.value(),
                                });
                            }
                        }
                    }
                }
                predicates
            }
        };
        if predicates.len() > limit {
            return Err(Problem::new(
                Code::InvalidRequest,
                format!("{} conditions, where {limit} are allowed", predicates.len()),
            ));
        }
        Ok(predicates)
    }
}

fn comparison(sign: &str) -> Result<Comparison, Problem> {
    Ok(match sign {
        "=" => Comparison::Equal,
        "!=" => Comparison::NotEqual,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => {
            return Err(Problem::new(
                Code::InvalidRequest,
                format!(
                    "{:?} does not compare; there are = != < <= > >=",
                    shown(sign)
                ),
            ));
        }
    })
}

/// So much of somebody's text that it can be found again.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
