//! Vectors by content: registered, stored, looked up, pruned.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension};
use storage_core::{
    CacheStats, ContentHash, EmbeddingVersion, InputHash, Spend, StoreErrorKind, StoredVector,
    Timestamp, VectorKey, VersionId,
};

use super::ledger;
use crate::error::{Failure, Outcome};
use crate::guard::{guard, sealed};
use crate::{rows, sql};

/// A version's number and length.
pub(crate) type Version = (i64, u32);

pub(crate) fn register(conn: &Connection, version: &EmbeddingVersion) -> Outcome<()> {
    let model = &version.model;
    conn.prepare_cached(sql::REGISTER_VERSION)?.execute((
        version.id.as_str(),
        &version.provider,
        &model.name,
        model.dimensions.get(),
        &model.revision,
        &model.query_prefix,
        &model.passage_prefix,
        model.normaliser,
        &version.nonce,
        version.state.as_str(),
        version.created_at.0,
    ))?;
    Ok(())
}

pub(crate) fn version(conn: &Connection, id: &VersionId) -> Outcome<Option<Version>> {
    let found = conn
        .prepare_cached(sql::VERSION)?
        .query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found)
}

/// Versions by name, each looked up once; one that is not registered is `Model`.
#[derive(Default)]
pub(crate) struct Versions(BTreeMap<VersionId, Version>);

impl Versions {
    pub(crate) fn get(
        &mut self,
        conn: &Connection,
        operation: &'static str,
        id: &VersionId,
    ) -> Outcome<Version> {
        if let Some(found) = self.0.get(id) {
            return Ok(*found);
        }
        let found = version(conn, id)?.ok_or_else(|| {
            Failure::new(
                StoreErrorKind::Model,
                operation,
                format!("the embedding version is not registered: {id}"),
            )
        })?;
        self.0.insert(id.clone(), found);
        Ok(found)
    }
}

/// The number of a stored vector.
pub(crate) fn vector(conn: &Connection, version: i64, key: &VectorKey) -> Outcome<Option<i64>> {
    let found = conn
        .prepare_cached(sql::VECTOR)?
        .query_row(
            (
                version,
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
    let mut versions = Versions::default();
    for vector in batch {
        let (_, expected) = versions.get(conn, "put_embeddings", &vector.key.version)?;
        let found = vector.embedding.dimensions();
        if found != expected {
            return Err(Failure::new(
                StoreErrorKind::Model,
                "put_embeddings",
                format!("a vector has {found} numbers, its version {expected}"),
            ));
        }
    }
    let run = ledger::add_spend(conn, spend)?;
    let mut insert = conn.prepare_cached(sql::INSERT_VECTOR)?;
    for stored in batch {
        let (number, dimensions) = versions.get(conn, "put_embeddings", &stored.key.version)?;
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
    id: &VersionId,
    inputs: &BTreeSet<InputHash>,
) -> Outcome<BTreeMap<InputHash, Option<ContentHash>>> {
    let mut found = BTreeMap::new();
    let Some((number, _)) = version(conn, id)? else {
        return Ok(found);
    };
    let mut statement = conn.prepare_cached(sql::PREFERRED_VARIANT)?;
    for input in inputs {
        let mut rows = statement.query((number, input.as_bytes().as_slice()))?;
        if let Some(row) = rows.next()? {
            found.insert(*input, rows::variant(row, 0)?);
        }
    }
    Ok(found)
}

pub(crate) fn cache_stats(conn: &Connection) -> Outcome<CacheStats> {
    let stats = conn
        .prepare_cached(sql::CACHE_STATS)?
        .query_row((), |row| {
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
        .execute([stored_before.0])? as u64)
}
