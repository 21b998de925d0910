//! Rows of a data set: a table that has neither questions nor answers. What is embedded of a row is the row itself,
//! `year=2023 indicator=CPI value=121.0`, and every column is metadata too, typed so that filters compare numbers.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use storage_core::MetadataValue;

use crate::table::RawRow;

/// What a snapshot of a data set has for its kind: how the source of a row is told from a FAQ ever after.
pub(crate) const KIND: &str = "dataset";

/// Where the header of a table stands that names no field we know: the first of its first rows that is as wide as most of
/// them. Titles and remarks above a table are narrower, and rows with empty ends are below it.
pub(crate) fn header(rows: &[RawRow]) -> Option<usize> {
    let width = |row: &RawRow| row.cells.iter().map(|(position, _)| position + 1).max();
    let mut widths: BTreeMap<usize, usize> = BTreeMap::new();
    for row in rows {
        *widths.entry(width(row).unwrap_or_default()).or_default() += 1;
    }
    let (usual, _) =
        widths
            .into_iter()
            .max_by(|(left, few), (right, many)| match few.cmp(many) {
                Ordering::Equal => left.cmp(right),
                order => order,
            })?;
    rows.iter().position(|row| width(row) >= Some(usual))
}

/// Whether these can be names of columns: nobody calls all of them a number.
pub(crate) fn are_names<'a>(headers: impl Iterator<Item = &'a str>) -> bool {
    let mut named = headers.filter(|header| !header.is_empty()).peekable();
    named.peek().is_some() && !named.all(|header| header.parse::<f64>().is_ok())
}

/// The value that a text spells where its format has no types. Only what is written just so is a number: a postcode
/// `00501` and an account of twenty digits stay texts, and lose nothing.
pub(crate) fn typed(text: &str) -> MetadataValue {
    match text {
        "true" | "True" | "TRUE" => return MetadataValue::Bool(true),
        "false" | "False" | "FALSE" => return MetadataValue::Bool(false),
        _ => {}
    }
    if let Some(whole) = text.parse::<i64>().ok().filter(|n| n.to_string() == text) {
        return MetadataValue::I64(whole);
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.split_once('.').is_some_and(|(whole, fraction)| {
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        all_digits(whole) && all_digits(fraction) && (whole == "0" || !whole.starts_with('0'))
    });
    match text.parse::<f64>() {
        Ok(number) if plain && number.is_finite() => MetadataValue::F64(number),
        _ => MetadataValue::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_just_so_is_a_number() {
        for (text, expected) in [
            ("2023", MetadataValue::I64(2023)),
            ("-7", MetadataValue::I64(-7)),
            ("0", MetadataValue::I64(0)),
            ("121.0", MetadataValue::F64(121.0)),
            ("-0.5", MetadataValue::F64(-0.5)),
            ("True", MetadataValue::Bool(true)),
            ("false", MetadataValue::Bool(false)),
        ] {
            assert_eq!(typed(text), expected, "{text}");
        }
        for text in [
            "00501",
            "+5",
            "-0",
            "1e5",
            "007.5",
            "1.",
            ".5",
            "1,5",
            "1.2.3",
            "NaN",
            "inf",
            "12345678901234567890",
            "2023-01-01",
            "yes",
            "",
        ] {
            assert_eq!(typed(text), MetadataValue::String(text.to_owned()));
        }
    }
}
