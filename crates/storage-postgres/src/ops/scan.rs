//! Rows with their vectors, as the server sends them.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use storage_core::guard::{fits, guard};
use storage_core::{CollectionName, Embedding, EmbeddingRecord, Filter, StoreErrorKind, VersionId};
use tokio_postgres::types::Type;
use tokio_postgres::{Row, RowStream};

use super::versions::unknown_version;
use crate::error::{Failure, Outcome};
use crate::rows::{self, DOCUMENT_COLUMNS, Names, get};
use crate::streams::{Long, next_row};
use crate::tx::Tx;
use crate::{sql, wire};

/// What to scan: of which collection, in which version or the active one, which rows.
pub(crate) struct Wanted {
    pub(crate) collection: CollectionName,
    pub(crate) version: Option<VersionId>,
    pub(crate) filter: Filter,
}

/// A scan under way. Whoever drives it keeps the connection inside its transaction.
pub(crate) struct Scan {
    rows: Pin<Box<RowStream>>,
    names: Names,
    dimensions: u32,
    /// Whether every row must have a vector.
    served: bool,
    filter: Filter,
    patience: Duration,
}

#[async_trait]
impl Long for Wanted {
    const NAME: &'static str = "scan";
    type Item = EmbeddingRecord;
    type Reading = Scan;

    async fn start(&self, tx: &Tx<'_>) -> Outcome<Option<Scan>> {
        let collection = rows::collection(tx, &self.collection).await?;
        if let Some(id) = &self.version
            && collection
                .as_ref()
                .is_none_or(|found| found.version(id).is_none())
        {
            return Err(unknown_version("scan", id));
        }
        let Some(collection) = collection else {
            return Ok(None);
        };
        let found = match &self.version {
            Some(id) => collection.version(id),
            None => collection.active_version(),
        };
        let Some(found) = found else {
            return Ok(None);
        };
        // No id holds it, and the server takes no text with it.
        if self
            .filter
            .document
            .as_ref()
            .is_some_and(|id| id.contains('\0'))
        {
            return Ok(None);
        }
        let names = Names::read(tx, &self.collection, collection.id).await?;
        // Rows come in key order through three indices. A sort would hold every vector, on the server's disk.
        tx.batch(sql::SCAN_PLAN).await?;
        let rows = tx
            .stream(
                sql::SCAN,
                &[
                    (&collection.id, Type::INT8),
                    (&found.number, Type::INT8),
                    (&self.filter.document, Type::TEXT),
                ],
            )
            .await?;
        Ok(Some(Scan {
            rows: Box::pin(rows),
            names,
            dimensions: found.dimensions,
            served: Some(found.number) == collection.active,
            filter: self.filter.clone(),
            patience: tx.patience,
        }))
    }

    async fn next(reading: &mut Scan) -> Outcome<Option<EmbeddingRecord>> {
        reading.next().await
    }
}

impl Scan {
    /// The next row that passes the filter.
    async fn next(&mut self) -> Outcome<Option<EmbeddingRecord>> {
        while let Some(row) = next_row(self.patience, &mut self.rows.as_mut()).await? {
            let document = self.names.document(&row)?;
            if !self.filter.is_empty() && !self.filter.matches(&document) {
                continue;
            }
            let sent: Option<&[u8]> = get(&row, DOCUMENT_COLUMNS)?;
            if !self.served && sent.is_none() {
                return Err(Failure::new(
                    StoreErrorKind::Model,
                    "scan",
                    format!(
                        "the version is not complete: no vector for {:?} chunk {}",
                        document.key.document, document.key.chunk
                    ),
                ));
            }
            let embedding = embedding(&row, sent, self.dimensions).map_err(|fault| {
                Failure::corrupt(
                    "scan",
                    format!(
                        "{fault}; run `smart-support repair`, then `smart-support sync`: {:?} chunk {}",
                        document.key.document, document.key.chunk
                    ),
                )
            })?;
            return Ok(Some(EmbeddingRecord {
                document,
                embedding,
            }));
        }
        Ok(None)
    }
}

/// The vector in the columns from [`DOCUMENT_COLUMNS`] on: what was sent, checksum, run, time.
pub(crate) fn embedding(
    row: &Row,
    sent: Option<&[u8]>,
    dimensions: u32,
) -> Result<Embedding, String> {
    let sent = sent.ok_or_else(|| "a row has no vector".to_owned())?;
    let bytes = wire::little_endian(sent)
        .filter(|bytes| bytes.len() as u64 == 4 * u64::from(dimensions))
        .ok_or_else(|| "a vector has the wrong length".to_owned())?;
    let column = |at| row.try_get::<_, Option<i64>>(DOCUMENT_COLUMNS + at);
    let (Ok(expected), Ok(run), Ok(created)) = (column(1), column(2), column(3)) else {
        return Err("a vector's checksum is no number".to_owned());
    };
    // A vector that was written by SQL has no checksum until it is adopted.
    if let Some(expected) = expected
        && !fits(
            expected,
            guard(&bytes),
            &[run.unwrap_or_default(), created.unwrap_or_default()],
        )
    {
        return Err("a vector does not match its checksum".to_owned());
    }
    Embedding::from_le_bytes(&bytes).map_err(|error| error.to_string())
}
