//! What runs replaced: told for an undo, and spared while it is kept.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row};
use storage_core::{
    Binding, CollectionName, DocumentKey, Faults, Generation, KeptRow, RunId, UndoRow, VersionId,
};

use super::vectors::vector;
use crate::error::Outcome;
use crate::rows::{self, StoredVersion};
use crate::sql;

/// What undoing a run would do.
pub(crate) fn undo(
    conn: &Connection,
    name: &CollectionName,
    run: &RunId,
) -> Outcome<(Generation, Vec<UndoRow>)> {
    let Some(collection) = rows::collection(conn, name)? else {
        return Ok((Generation(0), Vec::new()));
    };
    let mut told = Vec::new();
    let number: Option<i64> = conn
        .prepare_cached(sql::RUN)?
        .query_row([run.as_str()], |row| row.get(0))
        .optional()?;
    let Some(number) = number else {
        return Ok((collection.generation, told));
    };
    let restorable = Restorable::new(collection.versions);
    let mut statement = conn.prepare_cached(sql::UNDO_ROWS)?;
    let mut rows = statement.query((number, collection.id))?;
    while let Some(row) = rows.next()? {
        let key = key(name, row)?;
        let kept = kept(&key, row)?;
        let mut row = UndoRow::told(key, kept, row.get(3)?);
        if let Some(replaced) = &mut row.replaced {
            let mut there = BTreeSet::new();
            for binding in replaced.vectors() {
                if restorable.number(conn, binding)?.is_some() {
                    there.insert(binding.version.clone());
                }
            }
            replaced.retain_vectors(|binding| there.contains(&binding.version));
        }
        told.push(row);
    }
    Ok((collection.generation, told))
}

/// The numbers of the vectors that kept rows could be restored with: nothing may delete them. A kept row that cannot be
/// read cannot be restored either, and spares nothing.
pub(crate) fn kept_vectors(conn: &Connection) -> Outcome<BTreeSet<i64>> {
    let mut spared = BTreeSet::new();
    let mut statement = conn.prepare_cached(sql::CHECK_COLLECTIONS)?;
    let mut collections = statement.query(())?;
    while let Some(row) = collections.next()? {
        let id = row.get(0)?;
        let name = rows::collection_name(row.get(1)?)?;
        let restorable = Restorable::new(rows::versions(conn, id)?);
        each_kept(conn, id, &name, |_, kept| {
            for binding in kept.iter().flat_map(|kept| kept.row.vectors()) {
                spared.extend(restorable.number(conn, binding)?);
            }
            Ok(())
        })?;
    }
    Ok(spared)
}

/// Kept rows that could not be restored as they were.
pub(crate) fn check(
    conn: &Connection,
    collection: i64,
    name: &CollectionName,
    faults: &mut Faults,
) -> Outcome<()> {
    each_kept(conn, collection, name, |key, kept| {
        if kept.is_none() {
            faults.add(|| {
                format!(
                    "{name}: what an import replaced: {:?} chunk {}",
                    key.document, key.chunk
                )
            });
        }
        Ok(())
    })
}

/// Every kept row of a collection; `None` for one that is damaged.
fn each_kept(
    conn: &Connection,
    collection: i64,
    name: &CollectionName,
    mut take: impl FnMut(&DocumentKey, Option<KeptRow>) -> Outcome<()>,
) -> Outcome<()> {
    let mut statement = conn.prepare_cached(sql::KEPT_ROWS)?;
    let mut rows = statement.query([collection])?;
    while let Some(row) = rows.next()? {
        let key = key(name, row)?;
        match kept(&key, row) {
            Ok(kept) => take(&key, kept)?,
            Err(failure) if failure.is_corrupt() => take(&key, None)?,
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// The key of a kept row from the columns document and chunk.
pub(crate) fn key(name: &CollectionName, row: &Row<'_>) -> Outcome<DocumentKey> {
    Ok(DocumentKey {
        collection: name.clone(),
        document: row.get(0)?,
        chunk: row.get(1)?,
    })
}

/// A kept row from the third column.
pub(crate) fn kept(key: &DocumentKey, row: &Row<'_>) -> Outcome<Option<KeptRow>> {
    if matches!(row.get_ref(2)?, rusqlite::types::ValueRef::Null) {
        return Ok(None);
    }
    Ok(Some(KeptRow::from_json(key.clone(), rows::text(row, 2)?)?))
}

/// The versions of a collection that kept rows could be bound in again.
struct Restorable(BTreeMap<VersionId, StoredVersion>);

impl Restorable {
    fn new(versions: Vec<StoredVersion>) -> Self {
        let named = versions.into_iter();
        Self(
            named
                .map(|found| (found.version.id.clone(), found))
                .collect(),
        )
    }

    /// The number of a vector, where it and its version are still there.
    fn number(&self, conn: &Connection, binding: &Binding) -> Outcome<Option<i64>> {
        match self.0.get(&binding.version) {
            Some(found) if found.version.space == binding.vector.space => {
                vector(conn, found.space, &binding.vector)
            }
            _ => Ok(None),
        }
    }
}
