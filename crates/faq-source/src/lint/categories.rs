//! Categories that are spelt in two ways.

use std::collections::BTreeMap;

use storage_core::normalise;

use crate::SourceRow;

use super::{Finding, FindingKind, entries};

/// A category is rare when so many rows have it, and a spelling of another when that one has several times as many.
const RARE: usize = 2;
const TIMES: usize = 3;

/// Looks for rare categories and subcategories that nearly are frequent ones.
pub(super) fn check(rows: &[SourceRow], findings: &mut Vec<Finding>) {
    for column in ["category", "subcategory"] {
        let value = |row: &SourceRow| match column {
            "category" => row.category.clone(),
            _ => row.subcategory.clone(),
        };
        let mut rows_of: BTreeMap<String, Vec<(usize, &SourceRow)>> = BTreeMap::new();
        for (position, row) in entries(rows) {
            if let Some(name) = value(row) {
                rows_of.entry(name).or_default().push((position, row));
            }
        }
        let frequent: Vec<(&str, String, usize)> = rows_of
            .iter()
            .filter(|(_, rows)| rows.len() > RARE)
            .map(|(name, rows)| (name.as_str(), folded(name), rows.len()))
            .collect();
        for (name, rows) in rows_of.iter().filter(|(_, rows)| rows.len() <= RARE) {
            let fold = folded(name);
            let meant = frequent
                .iter()
                .find(|(_, other, count)| *count >= rows.len() * TIMES && is_slip(&fold, other));
            let Some((meant, _, count)) = meant else {
                continue;
            };
            for row in rows {
                let message = format!("{name:?} is nearly {meant:?}, which {count} rows have");
                findings.push(Finding::new(
                    FindingKind::CategoryTypo,
                    *row,
                    Some(column),
                    message,
                ));
            }
        }
    }
}

fn folded(name: &str) -> String {
    normalise(name).to_lowercase().replace('ё', "е")
}

/// Equal but for case and spaces, or one slip apart; two in a long name. Numbers tell categories apart.
fn is_slip(left: &str, right: &str) -> bool {
    if left == right {
        return true;
    }
    let digits = |text: &str| {
        text.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    let length = left.chars().count().min(right.chars().count());
    let slips = match length {
        0..=3 => return false,
        4..=11 => 1,
        _ => 2,
    };
    left.chars().count().abs_diff(right.chars().count()) <= slips
        && digits(left) == digits(right)
        && strsim::osa_distance(left, right) <= slips
}
