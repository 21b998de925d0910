//! Vectors by content: stored, looked up, pruned.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension};
use storage_core::{
    CacheStats, ContentHash, InputHash, KeptVector, RunId, SpaceId, Spend, StoreErrorKind,
    StoredVector, Timestamp, VectorKey,
};

use super::versions::{space, unknown_space};
use super::{ledger, undo};
use crate::error::{Failure, Outcome};
use crate::{rows, sql};
use storage_core::guard::{guard, sealed};

/// Spaces by name, number and length, each looked up once; one that is not registered is `Model`.
#[derive(Default)]
pub(crate) struct Spaces(BTreeMap<SpaceId, (i64, u32)>);

impl Spaces {
    pub(crate) fn get(
        &mut self,
        conn: &Connection,
        operation: &'static str,
        id: &SpaceId,
    ) -> Outcome<(i64, u32)> {
        if let Some(found) = self.0.get(id) {
            return Ok(*found);
        }
        let found = space(conn, id)?.ok_or_else(|| unknown_space(operation, id))?;
        let found = (found.number, found.dimensions);
        self.0.insert(id.clone(), found);
        Ok(found)
    }
}

/// The number of a stored vector.
pub(crate) fn vector(conn: &Connection, space: i64, key: &VectorKey) -> Outcome<Option<i64>> {
    let found = conn
        .prepare_cached(sql::VECTOR)?
        .query_row(
            (
                space,
                key.input.as_bytes().as_slice(),
                rows::variant_bytes(key.variant.as_ref()),
            ),
            |row| row.get(0),
        )
        .optional()?;
    Ok(found)
}

pub(crate) fn put(
    conn: &Connection,
    batch: &[StoredVector],
    spend: &Spend,
    at: Timestamp,
) -> Outcome<()> {
    let vectors = batch.iter().map(|vector| (vector, at));
    put_each(conn, vectors, || ledger::add_spend(conn, spend))
}

/// Stores vectors of another store with the times they came with.
pub(crate) fn adopt(conn: &Connection, batch: &[KeptVector], run: &RunId) -> Outcome<()> {
    let vectors = batch.iter().map(|kept| (&kept.vector, kept.stored_at));
    put_each(conn, vectors, || ledger::run_number(conn, run))
}

fn put_each<'a>(
    conn: &Connection,
    batch: impl Iterator<Item = (&'a StoredVector, Timestamp)> + Clone,
    run: impl FnOnce() -> Outcome<i64>,
) -> Outcome<()> {
    let mut spaces = Spaces::default();
    for (vector, _) in batch.clone() {
        let (_, expected) = spaces.get(conn, "put_embeddings", &vector.key.space)?;
        let found = vector.embedding.dimensions();
        if found != expected {
            return Err(Failure::new(
                StoreErrorKind::Model,
                "put_embeddings",
                format!("a vector has {found} numbers, its space {expected}"),
            ));
        }
    }
    let run = run()?;
    let mut insert = conn.prepare_cached(sql::INSERT_VECTOR)?;
    for (stored, at) in batch {
        let (number, dimensions) = spaces.get(conn, "put_embeddings", &stored.key.space)?;
        // Looking first is cheaper than a failed insert, which would bind four kilobytes for nothing.
        if vector(conn, number, &stored.key)?.is_some() {
            continue;
        }
        let bytes = stored.embedding.to_le_bytes();
        insert.execute((
            number,
            dimensions,
            stored.key.input.as_bytes().as_slice(),
            rows::variant_bytes(stored.key.variant.as_ref()),
            ContentHash::of(&bytes).as_bytes().as_slice(),
            sealed(guard(&bytes), &[run, at.0]),
            run,
            at.0,
            &bytes[..],
        ))?;
    }
    Ok(())
}

pub(crate) fn stored(
    conn: &Connection,
    id: &SpaceId,
    inputs: &BTreeSet<InputHash>,
) -> Outcome<BTreeMap<InputHash, Option<ContentHash>>> {
    let mut found = BTreeMap::new();
    let Some(space) = space(conn, id)? else {
        return Ok(found);
    };
    let mut statement = conn.prepare_cached(sql::PREFERRED_VARIANT)?;
    for input in inputs {
        let mut rows = statement.query((space.number, input.as_bytes().as_slice()))?;
        if let Some(row) = rows.next()? {
            found.insert(*input, rows::variant(row, 0)?);
        }
    }
    Ok(found)
}

pub(crate) fn cache_stats(conn: &Connection) -> Outcome<CacheStats> {
    let stats = conn
        .prepare_cached(sql::CACHE_STATS)?
        .query_row([spared(conn)?], |row| {
            Ok(CacheStats {
                vectors: row.get(0)?,
                unreferenced: row.get(1)?,
                unreferenced_bytes: row.get(2)?,
                oldest: row.get::<_, Option<i64>>(3)?.map(Timestamp),
            })
        })?;
    Ok(stats)
}

pub(crate) fn prune(conn: &Connection, stored_before: Timestamp) -> Outcome<u64> {
    Ok(conn
        .prepare_cached(sql::PRUNE)?
        .execute((stored_before.0, spared(conn)?))? as u64)
}

/// The vectors that kept rows name, as a JSON array for a statement.
fn spared(conn: &Connection) -> Outcome<String> {
    let numbers = undo::kept_vectors(conn)?;
    let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
    Ok(format!("[{}]", numbers.join(",")))
}
