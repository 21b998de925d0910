//! What runs replaced: told for an undo, and spared while it is kept.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;
use futures_util::pin_mut;
use storage_core::{
    Binding, CollectionName, DocumentKey, Faults, Generation, KeptRow, RunId, UndoRow, VersionId,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::vectors::{self, StoredKey};
use crate::error::Outcome;
use crate::rows::{self, StoredVersion, count32, get};
use crate::sql;
use crate::streams::next_row;
use crate::tx::{Tx, Work};

/// What undoing a run would do.
pub(crate) struct Undo<'a>(pub(crate) &'a CollectionName, pub(crate) &'a RunId);

#[async_trait]
impl Work for Undo<'_> {
    type Output = (Generation, Vec<UndoRow>);
    const NAME: &'static str = "undo";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Self::Output> {
        let Self(name, run) = *self;
        let Some(collection) = rows::collection(tx, name).await? else {
            return Ok((Generation(0), Vec::new()));
        };
        let mut told = Vec::new();
        let Some(row) = tx.first(sql::RUN, &[(&run.as_str(), Type::TEXT)]).await? else {
            return Ok((collection.generation, told));
        };
        let number: i64 = get(&row, 0)?;
        let restorable = Restorable::new(collection.versions);
        let mut wanted = HashSet::new();
        let stream = tx
            .stream(
                sql::UNDO_ROWS,
                &[(&number, Type::INT8), (&collection.id, Type::INT8)],
            )
            .await?;
        pin_mut!(stream);
        while let Some(row) = next_row(tx.patience, &mut stream).await? {
            let key = key(name, &row)?;
            let kept = kept(&key, &row)?;
            let row = UndoRow::told(key, kept, get(&row, 3)?);
            wanted.extend(restorable.names(row.replaced.iter().flat_map(|row| row.vectors())));
            told.push(row);
        }
        let stored = vectors::numbers(tx, &wanted).await?;
        for row in told.iter_mut().filter_map(|row| row.replaced.as_mut()) {
            row.retain_vectors(|binding| restorable.is_there(binding, &stored));
        }
        Ok((collection.generation, told))
    }
}

/// The numbers of the vectors that kept rows could be restored with: nothing may delete them. A kept row that cannot be
/// read cannot be restored either, and spares nothing.
pub(crate) async fn kept_vectors(tx: &Tx<'_>) -> Outcome<Vec<i64>> {
    let mut wanted = HashSet::new();
    for row in tx.rows(sql::KEPT_COLLECTIONS, &[]).await? {
        let id: i64 = get(&row, 0)?;
        let name = rows::collection_name(get(&row, 1)?)?;
        let restorable = Restorable::new(rows::versions(tx, id).await?);
        each_kept(tx, id, &name, |_, kept| {
            wanted.extend(restorable.names(kept.iter().flat_map(|kept| kept.row.vectors())));
        })
        .await?;
    }
    Ok(vectors::numbers(tx, &wanted).await?.into_values().collect())
}

/// Kept rows that could not be restored as they were.
pub(crate) async fn check(
    tx: &Tx<'_>,
    collection: i64,
    name: &CollectionName,
    faults: &mut Faults,
) -> Outcome<()> {
    each_kept(tx, collection, name, |key, kept| {
        if kept.is_none() {
            faults.add(|| {
                format!(
                    "{name}: what an import replaced: {:?} chunk {}",
                    key.document, key.chunk
                )
            });
        }
    })
    .await
}

/// Every kept row of a collection; `None` for one that is damaged.
async fn each_kept(
    tx: &Tx<'_>,
    collection: i64,
    name: &CollectionName,
    mut take: impl FnMut(&DocumentKey, Option<KeptRow>) + Send,
) -> Outcome<()> {
    let stream = tx
        .stream(sql::KEPT_ROWS, &[(&collection, Type::INT8)])
        .await?;
    pin_mut!(stream);
    while let Some(row) = next_row(tx.patience, &mut stream).await? {
        let key = key(name, &row)?;
        match kept(&key, &row) {
            Ok(kept) => take(&key, kept),
            Err(failure) if failure.is_corrupt() => take(&key, None),
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// The key of a kept row from the columns document and chunk.
pub(crate) fn key(name: &CollectionName, row: &Row) -> Outcome<DocumentKey> {
    Ok(DocumentKey {
        collection: name.clone(),
        document: get(row, 0)?,
        chunk: count32(row, 1)?,
    })
}

/// A kept row from the third column.
pub(crate) fn kept(key: &DocumentKey, row: &Row) -> Outcome<Option<KeptRow>> {
    let text: Option<&str> = get(row, 2)?;
    Ok(text
        .map(|text| KeptRow::from_json(key.clone(), text))
        .transpose()?)
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

    /// How a vector is named inside, where its version is still there.
    fn name(&self, binding: &Binding) -> Option<StoredKey> {
        let found = self.0.get(&binding.version)?;
        let vector = &binding.vector;
        (found.version.space == vector.space).then_some((found.space, vector.input, vector.variant))
    }

    fn names<'a>(
        &self,
        bindings: impl Iterator<Item = &'a Binding>,
    ) -> impl Iterator<Item = StoredKey> {
        bindings.filter_map(|binding| self.name(binding))
    }

    fn is_there(&self, binding: &Binding, stored: &HashMap<StoredKey, i64>) -> bool {
        self.name(binding)
            .is_some_and(|name| stored.contains_key(&name))
    }
}
