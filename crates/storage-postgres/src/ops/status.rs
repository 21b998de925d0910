//! A store at a glance. Counts come from what the last change recorded, so that a hundred thousand rows cost what
//! ten do; `check` compares them with the rows.

use std::num::NonZeroU32;

use async_trait::async_trait;
use storage_core::{
    CategoryCount, CollectionStatus, EmbeddingModel, EmbeddingSpace, Generation, SpaceId,
    StoreBytes, StoreStatus, Timestamp,
};
use tokio_postgres::types::Type;

use crate::error::{Failure, Outcome};
use crate::rows::{self, StoredVersion, count, count32, get};
use crate::tx::{Tx, Work};
use crate::{schema, sql};

pub(crate) struct Status;

#[async_trait]
impl Work for Status {
    type Output = StoreStatus;
    const NAME: &'static str = "status";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<StoreStatus> {
        let state = tx.one(sql::STORE_STATE, &[]).await?;
        Ok(StoreStatus {
            backend: "postgres",
            schema_version: schema::latest(),
            store_id: get(&state, 0)?,
            generation: Generation(count(&state, 1)?),
            spaces: spaces(tx).await?,
            collections: collections(tx).await?,
        })
    }
}

pub(crate) struct Bytes;

#[async_trait]
impl Work for Bytes {
    type Output = StoreBytes;
    const NAME: &'static str = "bytes";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<StoreBytes> {
        let row = tx.one(sql::BYTES, &[]).await?;
        Ok(StoreBytes {
            file: count(&row, 0)?,
            vectors: count(&row, 1)?,
            text: count(&row, 2)?,
        })
    }
}

pub(crate) async fn spaces(tx: &Tx<'_>) -> Outcome<Vec<EmbeddingSpace>> {
    let rows = tx.rows(sql::SPACES, &[]).await?;
    rows.iter()
        .map(|row| {
            let dimensions = NonZeroU32::new(count32(row, 3)?)
                .ok_or_else(|| Failure::corrupt("status", "a vector space has no dimensions"))?;
            let normaliser = u16::try_from(get::<i32>(row, 7)?)
                .map_err(|_| Failure::corrupt("status", "a space's normaliser is unknown"))?;
            Ok(EmbeddingSpace {
                id: SpaceId::from_stored(get(row, 0)?),
                provider: get(row, 1)?,
                model: EmbeddingModel {
                    name: get(row, 2)?,
                    dimensions,
                    revision: get(row, 4)?,
                    query_prefix: get(row, 5)?,
                    passage_prefix: get(row, 6)?,
                    normaliser,
                },
                nonce: get(row, 8)?,
                created_at: Timestamp(get(row, 9)?),
            })
        })
        .collect()
}

async fn collections(tx: &Tx<'_>) -> Outcome<Vec<CollectionStatus>> {
    let rows = tx.rows(sql::COLLECTIONS, &[]).await?;
    let mut collections = Vec::with_capacity(rows.len());
    for row in &rows {
        let id: i64 = get(row, 0)?;
        let versions = rows::versions(tx, id).await?;
        let find = |column| -> Outcome<Option<&StoredVersion>> {
            let number: Option<i64> = get(row, column)?;
            Ok(number.and_then(|number| versions.iter().find(|found| found.number == number)))
        };
        let named = |found: Option<&StoredVersion>| found.map(|found| found.version.id.clone());
        let active = find(3)?;
        let records = count(row, 5)?;
        let served = active.map_or(0, |active| active.version.records);
        collections.push(CollectionStatus {
            name: rows::collection_name(get(row, 1)?)?,
            generation: Generation(count(row, 2)?),
            active: named(active),
            previous: named(find(4)?),
            records,
            documents: count(row, 6)?,
            missing: records.saturating_sub(served),
            categories: categories(tx, id).await?,
            versions: versions.into_iter().map(|found| found.version).collect(),
        });
    }
    Ok(collections)
}

async fn categories(tx: &Tx<'_>, collection: i64) -> Outcome<Vec<CategoryCount>> {
    let rows = tx
        .rows(sql::CATEGORY_COUNTS, &[(&collection, Type::INT8)])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(CategoryCount {
                category: get(row, 0)?,
                records: count(row, 1)?,
            })
        })
        .collect()
}
