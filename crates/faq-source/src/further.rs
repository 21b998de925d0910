//! What a row holds beside its fields.

use std::collections::BTreeMap;
use std::ops::Index;
use std::sync::Arc;

use storage_core::MetadataValue;

/// Values by column, few a row and many rows: one allocation each, and the names of the columns shared by all rows. A
/// map of a hundred thousand rows would take more memory than everything else of them. Sorted by column, each there once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FurtherColumns(Vec<(Arc<str>, MetadataValue)>);

impl FurtherColumns {
    /// Adds a value while a row is read; [`settle`](Self::settle) brings it to its place.
    pub(crate) fn push(&mut self, column: Arc<str>, value: MetadataValue) {
        self.0.push((column, value));
    }

    /// Sorts what was pushed, and keeps the last value of each column. All at once: a hostile row has very many.
    pub(crate) fn settle(&mut self) {
        self.0.reverse();
        self.0.sort_by(|(left, _), (right, _)| left.cmp(right));
        self.0.dedup_by(|(later, _), (kept, _)| later == kept);
        self.0.shrink_to_fit();
    }

    /// The value under a column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&MetadataValue> {
        let found = self.0.binary_search_by(|(known, _)| (**known).cmp(column));
        found.ok().map(|at| &self.0[at].1)
    }

    /// Columns and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &MetadataValue)> {
        self.0.iter().map(|(column, value)| (&**column, value))
    }
}

impl Index<&str> for FurtherColumns {
    type Output = MetadataValue;

    fn index(&self, column: &str) -> &MetadataValue {
        self.get(column).expect("a column that the row has")
    }
}

impl From<FurtherColumns> for BTreeMap<String, MetadataValue> {
    fn from(columns: FurtherColumns) -> Self {
        let pairs = columns.0.into_iter();
        pairs
            .map(|(column, value)| (column.to_string(), value))
            .collect()
    }
}

impl<K: Into<Arc<str>>> FromIterator<(K, MetadataValue)> for FurtherColumns {
    fn from_iter<T: IntoIterator<Item = (K, MetadataValue)>>(pairs: T) -> Self {
        let pairs = pairs.into_iter();
        let mut columns = Self(
            pairs
                .map(|(column, value)| (column.into(), value))
                .collect(),
        );
        columns.settle();
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_column_counts() {
        let pairs = [("b", 1), ("a", 2), ("b", 3), ("c", 4), ("a", 5)];
        let columns: FurtherColumns = pairs
            .into_iter()
            .map(|(column, value)| (column, MetadataValue::I64(value)))
            .collect();
        let found: Vec<_> = columns
            .iter()
            .map(|(column, value)| format!("{column}={value}"))
            .collect();
        assert_eq!(found, ["a=5", "b=3", "c=4"]);
        assert_eq!(columns["c"], MetadataValue::I64(4));
        assert_eq!(columns.get("d"), None);
    }
}
