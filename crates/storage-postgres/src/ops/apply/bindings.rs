//! Which vectors rows refer to.

use std::collections::{BTreeMap, HashMap, HashSet};

use storage_core::{Binding, DocumentKey, StoreErrorKind};
use tokio_postgres::types::{ToSql, Type};

use super::records::Numbers;
use super::{Applying, place};
use crate::error::{Failure, Outcome};
use crate::ops::vectors::StoredKey;
use crate::rows::{self, get};
use crate::sql;
use crate::tx::CopyRow;

struct Reference<'a> {
    record: i64,
    version: i64,
    space: i64,
    vector: i64,
    input: &'a [u8],
    variant: &'a [u8],
}

impl CopyRow for Reference<'_> {
    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![
            &self.record,
            &self.version,
            &self.space,
            &self.vector,
            &self.input,
            &self.variant,
        ]
    }
}

impl Applying<'_> {
    /// Takes the vectors of these rows away, in every version.
    pub(super) async fn unbind(&mut self, records: &[i64]) -> Outcome<()> {
        if records.is_empty() {
            return Ok(());
        }
        let rows = self
            .tx
            .rows(sql::DROP_INPUTS, &[(&records, Type::INT8_ARRAY)])
            .await?;
        for row in &rows {
            *self.bound.entry(get(row, 0)?).or_default() -= get::<i64>(row, 1)?;
        }
        Ok(())
    }

    /// Refers rows to their vectors.
    pub(super) async fn bind(
        &mut self,
        vectors: &HashMap<StoredKey, i64>,
        numbers: &Numbers<'_>,
    ) -> Outcome<()> {
        let changes = self.changes;
        let mut references: BTreeMap<(i64, i64), Reference<'_>> = BTreeMap::new();
        let mut written = HashSet::with_capacity(changes.upserts.len());
        for row in &changes.upserts {
            let key = &row.document().key;
            let record = number(numbers, key)?;
            written.insert(record);
            for binding in row.vectors() {
                let reference = self.reference(record, key, binding, vectors)?;
                references.insert((record, reference.version), reference);
            }
        }
        let mut older: (Vec<i64>, Vec<i64>) = Default::default();
        for (key, binding) in &changes.binds {
            let record = number(numbers, key)?;
            let reference = self.reference(record, key, binding, vectors)?;
            if !written.contains(&record) {
                older.0.push(record);
                older.1.push(reference.version);
            }
            references.insert((record, reference.version), reference);
        }
        if !older.0.is_empty() {
            // What a row had in that version makes room.
            let rows = self
                .tx
                .rows(
                    sql::DROP_OLDER,
                    &[(&older.0, Type::INT8_ARRAY), (&older.1, Type::INT8_ARRAY)],
                )
                .await?;
            for row in &rows {
                *self.bound.entry(get(row, 0)?).or_default() -= get::<i64>(row, 1)?;
            }
        }
        for (_, version) in references.keys() {
            *self.bound.entry(*version).or_default() += 1;
        }
        let int = || Type::INT8;
        let types = [int(), int(), int(), int(), Type::BYTEA, Type::BYTEA];
        self.tx
            .copy(sql::COPY_INPUTS, &types, references.into_values())
            .await
    }

    fn reference<'b>(
        &self,
        record: i64,
        key: &DocumentKey,
        binding: &'b Binding,
        vectors: &HashMap<StoredKey, i64>,
    ) -> Outcome<Reference<'b>> {
        let stored = self.stored_key(key, binding)?;
        let vector = vectors.get(&stored).ok_or_else(|| {
            Failure::new(
                StoreErrorKind::Model,
                "apply",
                format!(
                    "a row refers to a vector that is not stored: {}",
                    place(key)
                ),
            )
        })?;
        Ok(Reference {
            record,
            version: self.version(&binding.version)?.0,
            space: stored.0,
            vector: *vector,
            input: binding.vector.input.as_bytes(),
            variant: rows::variant_bytes(binding.vector.variant.as_ref()),
        })
    }
}

fn number(numbers: &Numbers<'_>, key: &DocumentKey) -> Outcome<i64> {
    numbers.get(key).copied().ok_or_else(|| {
        super::invalid(format!(
            "a change names a row that does not exist: {}",
            place(key)
        ))
    })
}
