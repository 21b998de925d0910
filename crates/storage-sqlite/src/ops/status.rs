//! A store at a glance. Counts come from what the last change recorded, so that a hundred thousand rows cost what
//! ten do; `check` compares them with the rows.

use std::num::NonZeroU32;

use rusqlite::Connection;
use storage_core::{
    CategoryCount, CollectionStatus, EmbeddingModel, EmbeddingVersion, Generation, StoreBytes,
    StoreStatus, Timestamp, VersionId, VersionState,
};

use crate::error::{Failure, Outcome};
use crate::rows;
use crate::{schema, sql};

pub(crate) fn status(conn: &Connection) -> Outcome<StoreStatus> {
    Ok(StoreStatus {
        backend: "sqlite",
        schema_version: schema::latest(),
        generation: generation(conn)?,
        versions: versions(conn)?,
        collections: collections(conn)?,
    })
}

pub(crate) fn generation(conn: &Connection) -> Outcome<Generation> {
    let mut statement = conn.prepare_cached(sql::STORE_GENERATION)?;
    Ok(Generation(statement.query_row((), |row| row.get(0))?))
}

pub(crate) fn bytes(conn: &Connection, file: u64) -> Outcome<StoreBytes> {
    let (vectors, text) = conn
        .prepare_cached(sql::BYTES)?
        .query_row((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(StoreBytes {
        file,
        vectors,
        text,
    })
}

fn versions(conn: &Connection) -> Outcome<Vec<EmbeddingVersion>> {
    let mut statement = conn.prepare_cached(sql::VERSIONS)?;
    let mut rows = statement.query(())?;
    let mut versions = Vec::new();
    while let Some(row) = rows.next()? {
        let dimensions: NonZeroU32 = NonZeroU32::new(row.get(3)?)
            .ok_or_else(|| Failure::corrupt("status", "a version has no dimensions"))?;
        let state = VersionState::parse(rows::text(row, 9)?)
            .ok_or_else(|| Failure::corrupt("status", "a version's state is unknown"))?;
        versions.push(EmbeddingVersion {
            id: VersionId::from_stored(rows::text(row, 0)?),
            provider: row.get(1)?,
            model: EmbeddingModel {
                name: row.get(2)?,
                dimensions,
                revision: row.get(4)?,
                query_prefix: row.get(5)?,
                passage_prefix: row.get(6)?,
                normaliser: row.get(7)?,
            },
            nonce: row.get(8)?,
            state,
            created_at: Timestamp(row.get(10)?),
        });
    }
    Ok(versions)
}

fn collections(conn: &Connection) -> Outcome<Vec<CollectionStatus>> {
    let mut statement = conn.prepare_cached(sql::COLLECTIONS)?;
    let mut rows = statement.query(())?;
    let mut collections = Vec::new();
    while let Some(row) = rows.next()? {
        let version = |column| -> Outcome<Option<VersionId>> {
            let id: Option<String> = row.get(column)?;
            Ok(id.as_deref().map(VersionId::from_stored))
        };
        let id: i64 = row.get(0)?;
        let status = CollectionStatus {
            name: rows::collection_name(row.get(1)?)?,
            generation: Generation(row.get(2)?),
            active: version(3)?,
            previous: version(4)?,
            embed_text: row.get(5)?,
            records: row.get(6)?,
            documents: row.get(7)?,
            missing: 0,
            categories: categories(conn, id)?,
        };
        collections.push((id, row.get::<_, Option<i64>>(8)?, status));
    }
    // A store with one collection, which is nearly every store, counts references without looking at rows.
    let alone = collections.len() == 1;
    collections
        .into_iter()
        .map(|(id, active, mut status)| {
            let served: u64 = match active {
                None => 0,
                Some(active) if alone => conn
                    .prepare_cached(sql::COUNT_INPUTS)?
                    .query_row([active], |row| row.get(0))?,
                Some(active) => conn
                    .prepare_cached(sql::COUNT_SERVED)?
                    .query_row([id, active], |row| row.get(0))?,
            };
            status.missing = status.records.saturating_sub(served);
            Ok(status)
        })
        .collect()
}

fn categories(conn: &Connection, collection: i64) -> Outcome<Vec<CategoryCount>> {
    let mut statement = conn.prepare_cached(sql::CATEGORY_COUNTS)?;
    let counts = statement.query_map([collection], |row| {
        Ok(CategoryCount {
            category: row.get(0)?,
            records: row.get(1)?,
        })
    })?;
    Ok(counts.collect::<Result<_, _>>()?)
}
