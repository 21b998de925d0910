//! A store at a glance. Counts come from what the last change recorded, so that a hundred thousand rows cost what
//! ten do; `check` compares them with the rows.

use std::num::NonZeroU32;

use rusqlite::Connection;
use storage_core::{
    CategoryCount, CollectionStatus, EmbeddingModel, EmbeddingSpace, Generation, SpaceId,
    StoreBytes, StoreStatus, Timestamp,
};

use crate::error::{Failure, Outcome};
use crate::rows::{self, StoredVersion};
use crate::{schema, sql};

pub(crate) fn status(conn: &Connection) -> Outcome<StoreStatus> {
    Ok(StoreStatus {
        backend: "sqlite",
        schema_version: schema::latest(),
        generation: generation(conn)?,
        store_id: conn.query_row(sql::STORE_IDENTITY, (), |row| row.get(0))?,
        spaces: spaces(conn)?,
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

fn spaces(conn: &Connection) -> Outcome<Vec<EmbeddingSpace>> {
    let mut statement = conn.prepare_cached(sql::SPACES)?;
    let mut rows = statement.query(())?;
    let mut spaces = Vec::new();
    while let Some(row) = rows.next()? {
        let dimensions: NonZeroU32 = NonZeroU32::new(row.get(3)?)
            .ok_or_else(|| Failure::corrupt("status", "a vector space has no dimensions"))?;
        spaces.push(EmbeddingSpace {
            id: SpaceId::from_stored(rows::text(row, 0)?),
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
            created_at: Timestamp(row.get(9)?),
        });
    }
    Ok(spaces)
}

fn collections(conn: &Connection) -> Outcome<Vec<CollectionStatus>> {
    let mut statement = conn.prepare_cached(sql::COLLECTIONS)?;
    let mut rows = statement.query(())?;
    let mut collections = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let versions = rows::versions(conn, id)?;
        let find = |column| -> Outcome<Option<&StoredVersion>> {
            let number: Option<i64> = row.get(column)?;
            Ok(number.and_then(|number| versions.iter().find(|found| found.number == number)))
        };
        let named = |found: Option<&StoredVersion>| found.map(|found| found.version.id.clone());
        let active = find(3)?;
        let records: u64 = row.get(5)?;
        let served = active.map_or(0, |active| active.version.records);
        collections.push(CollectionStatus {
            name: rows::collection_name(row.get(1)?)?,
            generation: Generation(row.get(2)?),
            active: named(active),
            previous: named(find(4)?),
            records,
            documents: row.get(6)?,
            missing: records.saturating_sub(served),
            categories: categories(conn, id)?,
            versions: versions.into_iter().map(|found| found.version).collect(),
        });
    }
    Ok(collections)
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
