//! From PostgreSQL's types to ours. The server writes every value in a form that needs no driver for its type; which form,
//! and what becomes of it, is decided here.

use faq_source::{Cell, IssueKind, SourceLimits};
use storage_core::MetadataValue;
use tokio_postgres::Row;
use tokio_postgres::types::{Kind, Type};

/// What a column is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Bool,
    Whole,
    Real,
    /// A number of any precision: a float where that is the same number, else text.
    Decimal,
    Text,
    /// A moment, with its offset or without one.
    Moment,
    /// A list of any of these, as JSON.
    List,
}

impl Shape {
    /// How a type is read; `None` for what has no meaning as metadata: vectors, bytes, composites, ranges.
    pub(crate) fn of(kind: &Type) -> Option<Self> {
        let shape = match *kind {
            Type::BOOL => Self::Bool,
            Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => Self::Whole,
            Type::FLOAT4 | Type::FLOAT8 => Self::Real,
            Type::NUMERIC => Self::Decimal,
            Type::TIMESTAMP | Type::TIMESTAMPTZ => Self::Moment,
            Type::TEXT
            | Type::VARCHAR
            | Type::BPCHAR
            | Type::NAME
            | Type::CHAR
            | Type::UNKNOWN
            | Type::UUID
            | Type::DATE
            | Type::TIME
            | Type::TIMETZ
            | Type::INTERVAL
            | Type::MONEY
            | Type::INET
            | Type::CIDR
            | Type::MACADDR
            | Type::XML
            | Type::JSON
            | Type::JSONB => Self::Text,
            _ => {
                return match kind.kind() {
                    Kind::Enum(_) => Some(Self::Text),
                    Kind::Domain(inner) => Self::of(inner),
                    Kind::Array(inner) => match Self::of(inner)? {
                        // Lists of lists are one type with lists.
                        Self::List => None,
                        _ => Some(Self::List),
                    },
                    _ if kind.name() == "citext" => Some(Self::Text),
                    _ => None,
                };
            }
        };
        Some(shape)
    }

    /// The expression that is asked for. A text is cut where it is too long in any case: one character more than may be.
    pub(crate) fn expression(self, column: &str, limits: &SourceLimits) -> String {
        let text = limits.text_chars.saturating_add(1);
        match self {
            Self::Bool => format!("{column}::pg_catalog.bool"),
            Self::Whole => format!("{column}::pg_catalog.int8"),
            // By way of the text: 0.1 stays 0.1 when it becomes twice as precise.
            Self::Real => format!("{column}::pg_catalog.text::pg_catalog.float8"),
            Self::Decimal | Self::Text | Self::Moment => {
                format!("pg_catalog.left({column}::pg_catalog.text, {text})")
            }
            Self::List => format!(
                "pg_catalog.left(pg_catalog.array_to_json({column})::pg_catalog.text, {})",
                limits.record_bytes.saturating_add(1)
            ),
        }
    }

    /// The value in a row, and about how many bytes it takes.
    pub(crate) fn value(
        self,
        row: &Row,
        at: usize,
        limits: &SourceLimits,
    ) -> Result<Option<(Cell, usize)>, tokio_postgres::Error> {
        let known = |value: MetadataValue, bytes: usize| Some((Cell::Value(value), bytes));
        Ok(match self {
            Self::Bool => row
                .try_get::<_, Option<bool>>(at)?
                .and_then(|value| known(MetadataValue::Bool(value), 1)),
            Self::Whole => row
                .try_get::<_, Option<i64>>(at)?
                .and_then(|value| known(MetadataValue::I64(value), 8)),
            Self::Real => row
                .try_get::<_, Option<f64>>(at)?
                .and_then(|value| known(MetadataValue::F64(value), 8)),
            Self::Decimal | Self::Text | Self::Moment => {
                row.try_get::<_, Option<&str>>(at)?.map(|text| {
                    let cell = if is_longer(text, limits.text_chars) {
                        too_long(limits)
                    } else {
                        Cell::Value(match self {
                            Self::Decimal => decimal(text),
                            Self::Moment => MetadataValue::String(moment(text)),
                            _ => MetadataValue::String(text.to_owned()),
                        })
                    };
                    (cell, text.len())
                })
            }
            Self::List => row
                .try_get::<_, Option<&str>>(at)?
                .map(|text| (list(text, limits), text.len())),
        })
    }
}

fn is_longer(text: &str, chars: usize) -> bool {
    // A character takes at least a byte, so most texts need no counting.
    text.len() > chars && text.chars().count() > chars
}

fn too_long(limits: &SourceLimits) -> Cell {
    Cell::Fault(
        IssueKind::TooLong,
        format!("the text has more than {} characters", limits.text_chars),
    )
}

/// A float where it stands for the same number, and for no other of as many digits.
fn decimal(text: &str) -> MetadataValue {
    let exact = text.parse::<f64>().ok().filter(|number| number.is_finite());
    match exact {
        Some(number) if digits(&format!("{number:e}")) == digits(text) => {
            MetadataValue::F64(number)
        }
        _ => MetadataValue::String(text.to_owned()),
    }
}

/// Sign, significant digits and exponent: equal for equal numbers, however they are written.
fn digits(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{part}");
    if !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let trimmed = all.trim_start_matches('0');
    let significant = trimmed.trim_end_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    let zeros = i64::try_from(trimmed.len() - significant.len()).ok()?;
    let places = i64::try_from(part.len()).ok()?;
    Some((negative, significant.to_owned(), exponent - places + zeros))
}

/// RFC 3339 where the moment has an offset, which is UTC here; the same without an offset where the column has none.
fn moment(text: &str) -> String {
    let shaped = text.as_bytes().get(10) == Some(&b' ') && !text.ends_with("BC");
    if !shaped {
        return text.to_owned();
    }
    let text = text.replacen(' ', "T", 1);
    match text.strip_suffix("+00") {
        Some(utc) => format!("{utc}Z"),
        None => text,
    }
}

fn list(text: &str, limits: &SourceLimits) -> Cell {
    if text.len() > limits.record_bytes {
        return Cell::Fault(
            IssueKind::TooLong,
            format!("the list is longer than {} bytes", limits.record_bytes),
        );
    }
    let values = serde_json::from_str(text).ok().and_then(|json| match json {
        serde_json::Value::Array(values) => Some(values),
        _ => None,
    });
    match values {
        Some(values) => Cell::Value(MetadataValue::List(
            // What is NULL in a list says nothing, as it says nothing in a column.
            values.iter().filter_map(MetadataValue::from_json).collect(),
        )),
        None => Cell::Fault(IssueKind::Malformed, "the list cannot be read".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_float_only_where_that_is_the_same_number() {
        let float = MetadataValue::F64;
        let text = |text: &str| MetadataValue::String(text.to_owned());
        for (written, expected) in [
            ("19.99", float(19.99)),
            ("-0.500", float(-0.5)),
            ("0.00", float(0.0)),
            ("1200", float(1200.0)),
            ("12345678901234567890", text("12345678901234567890")),
            ("0.12345678901234567891", text("0.12345678901234567891")),
            ("100000000000000000000", float(1e20)),
            ("NaN", text("NaN")),
            ("Infinity", text("Infinity")),
        ] {
            assert_eq!(decimal(written), expected, "{written}");
        }
    }

    #[test]
    fn moments_are_written_as_rfc_3339() {
        for (server, ours) in [
            ("2026-11-21 18:00:00+00", "2026-11-21T18:00:00Z"),
            ("2026-11-21 18:00:00.25+00", "2026-11-21T18:00:00.25Z"),
            ("2026-11-21 18:00:00", "2026-11-21T18:00:00"),
            ("infinity", "infinity"),
            ("0044-03-15 00:00:00+00 BC", "0044-03-15 00:00:00+00 BC"),
        ] {
            assert_eq!(moment(server), ours);
        }
    }
}
