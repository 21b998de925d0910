//! Every vector of a space by name, as the server sends them.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use storage_core::guard::{fits, guard};
use storage_core::{
    ContentHash, Embedding, KeptVector, SpaceId, StoredVector, Timestamp, VectorKey,
};
use tokio_postgres::types::Type;
use tokio_postgres::{Row, RowStream};

use super::read::unadopted;
use super::versions::space;
use crate::error::{Failure, Outcome};
use crate::rows::{self, get};
use crate::streams::{Long, next_row};
use crate::tx::Tx;
use crate::{sql, wire};

/// All vectors of a space.
pub(crate) struct OfSpace(pub(crate) SpaceId);

/// Where reading them stands.
pub(crate) struct Kept {
    rows: Pin<Box<RowStream>>,
    space: SpaceId,
    dimensions: u32,
    patience: Duration,
}

#[async_trait]
impl Long for OfSpace {
    const NAME: &'static str = "vectors";
    type Item = KeptVector;
    type Reading = Kept;

    async fn start(&self, tx: &Tx<'_>) -> Outcome<Option<Kept>> {
        let Some(space) = space(tx, &self.0).await? else {
            return Ok(None);
        };
        // In the order of the index: a sort would hold every vector, on the server's disk.
        tx.batch(sql::SCAN_PLAN).await?;
        let rows = tx
            .stream(sql::KEPT_VECTORS, &[(&space.number, Type::INT8)])
            .await?;
        Ok(Some(Kept {
            rows: Box::pin(rows),
            space: self.0.clone(),
            dimensions: space.dimensions,
            patience: tx.patience,
        }))
    }

    async fn next(reading: &mut Kept) -> Outcome<Option<KeptVector>> {
        let row = next_row(reading.patience, &mut reading.rows.as_mut()).await?;
        row.map(|row| reading.kept(&row)).transpose()
    }
}

impl Kept {
    fn kept(&self, row: &Row) -> Outcome<KeptVector> {
        let input = rows::input_hash(row, 0)?.ok_or_else(|| damaged("a vector has no name"))?;
        let variant = rows::variant(row, 1)?;
        let bytes =
            wire::little_endian(get(row, 5)?).ok_or_else(|| damaged("a vector is unusable"))?;
        let stored_at: i64 = get(row, 4)?;
        let expected: Option<i64> = get(row, 2)?;
        // One that was written by SQL has neither a checksum nor our name for its numbers, until it is adopted.
        let expected = expected.ok_or_else(|| unadopted("vectors"))?;
        if !fits(expected, guard(&bytes), &[get(row, 3)?, stored_at]) {
            return Err(damaged("a vector's checksum does not fit"));
        }
        // The checksum covers the numbers, not the name; what an import named after its numbers tells by itself.
        if variant.is_some_and(|variant| variant != ContentHash::of(&bytes)) {
            return Err(damaged("an imported vector is not what it is named after"));
        }
        let embedding = Embedding::from_le_bytes(&bytes)
            .ok()
            .filter(|embedding| embedding.dimensions() == self.dimensions)
            .ok_or_else(|| damaged("a vector is unusable"))?;
        Ok(KeptVector {
            vector: StoredVector {
                key: VectorKey {
                    space: self.space.clone(),
                    input,
                    variant,
                },
                embedding,
            },
            stored_at: Timestamp(stored_at),
        })
    }
}

fn damaged(fault: &str) -> Failure {
    Failure::corrupt(
        "vectors",
        format!("{fault}; see what is wrong with `smart-support validate`"),
    )
}
