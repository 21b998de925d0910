//! Rows that were written by SQL become rows like any other: hashed, sealed, and found by what their text hashes to.
//!
//! Nothing that a reader sees changes, so no generation does.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use storage_core::guard::{guard, place_guard, sealed};
use storage_core::{
    CollectionName, ContentHash, Document, EmbedText, Embedding, InputHash, RecordHash,
    metadata_to_json,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::error::{Failure, Outcome};
use crate::rows::{self, DOCUMENT_COLUMNS, Names, get};
use crate::tx::{Tx, Work};
use crate::{sql, wire};

/// Rows that are read at once: their texts and vectors are in memory together.
const BATCH: i64 = 500;

/// Adopts every row that was written by SQL. Again is harmless.
pub(crate) struct Adopt;

/// What adopting came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Adopted {
    /// Rows that are hashed now.
    pub(crate) rows: u64,
    /// Rows that no store of ours would have written, with the reason: they stay as they are, and `validate` reports
    /// them.
    pub(crate) refused: Vec<String>,
}

#[async_trait]
impl Work for Adopt {
    type Output = Adopted;
    const NAME: &'static str = "adopt";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Adopted> {
        let mut adopted = Adopted::default();
        if !get::<bool>(&tx.one(sql::ADOPT_PENDING, &[]).await?, 0)? {
            return Ok(adopted);
        }
        // Writers by SQL wait here too: what is read below stays as it is until the end.
        tx.rows(sql::ADOPT_LOCK, &[]).await?;
        for row in tx.rows(sql::ADOPT_COLLECTIONS, &[]).await? {
            let collection = get(&row, 0)?;
            let name = rows::collection_name(get(&row, 1)?)?;
            adopt_collection(tx, collection, &name, &mut adopted).await?;
        }
        tx.execute(sql::ADOPT_LEFTOVERS, &[]).await?;
        Ok(adopted)
    }
}

async fn adopt_collection(
    tx: &Tx<'_>,
    collection: i64,
    name: &CollectionName,
    adopted: &mut Adopted,
) -> Outcome<()> {
    let names = Names::read(tx, name, collection).await?;
    let mut last = i64::MIN;
    loop {
        let rows = tx
            .rows(
                sql::ADOPT_ROWS,
                &[
                    (&collection, Type::INT8),
                    (&last, Type::INT8),
                    (&BATCH, Type::INT8),
                ],
            )
            .await?;
        let Some(end) = rows.last() else {
            return Ok(());
        };
        last = get(end, DOCUMENT_COLUMNS)?;
        let mut batch = Batch::default();
        for row in &rows {
            batch.read(collection, &names, row, &mut adopted.refused)?;
        }
        batch.bind(tx, &mut adopted.refused).await?;
        adopted.rows += batch.write(tx).await?;
    }
}

/// Some rows on their way.
#[derive(Default)]
struct Batch {
    documents: BTreeMap<i64, (Document, i64)>,
}

impl Batch {
    fn read(
        &mut self,
        collection: i64,
        names: &Names,
        row: &Row,
        refused: &mut Vec<String>,
    ) -> Outcome<()> {
        let document = match names.document(row) {
            Ok(document) => document,
            Err(failure) if failure.is_corrupt() => {
                let (document, chunk): (&str, i64) = (get(row, 0)?, get(row, 1)?);
                refused.push(format!("{document:?} chunk {chunk}: {}", failure.fact()));
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        let number = |at| get::<i64>(row, DOCUMENT_COLUMNS + at);
        let place = place_guard(
            collection,
            &document.key.document,
            document.key.chunk,
            get(row, 2)?,
            &document.locator,
        );
        let place = sealed(place, &[number(1)?, number(2)?, number(3)?]);
        self.documents.insert(number(0)?, (document, place));
        Ok(())
    }

    /// Gives the rows' vectors the names that their texts would have had, had we embedded them.
    async fn bind(&mut self, tx: &Tx<'_>, refused: &mut Vec<String>) -> Outcome<()> {
        let records: Vec<i64> = self.documents.keys().copied().collect();
        let inputs = tx
            .rows(sql::ADOPT_INPUTS, &[(&records, Type::INT8_ARRAY)])
            .await?;
        let mut vectors = Vectors::default();
        let mut bindings = Bindings::default();
        for row in &inputs {
            let record: i64 = get(row, 0)?;
            let Some((document, _)) = self.documents.get(&record) else {
                continue;
            };
            let recipe = EmbedText::parse(get(row, 2)?)
                .map_err(|error| Failure::corrupt("adopt", error.to_string()))?;
            let numbers = wire::little_endian(get(row, 7)?)
                .ok_or_else(|| "it is no vector".to_owned())
                .and_then(|bytes| match Embedding::from_le_bytes(&bytes) {
                    Ok(_) => Ok(bytes),
                    Err(error) => Err(error.to_string()),
                });
            let numbers = match numbers {
                Ok(numbers) => numbers,
                Err(why) => {
                    refused.push(format!(
                        "the vector of {:?} chunk {}: {why}",
                        document.key.document, document.key.chunk
                    ));
                    self.documents.remove(&record);
                    continue;
                }
            };
            let input = InputHash::of(&recipe.render(document));
            let checksum = ContentHash::of(&numbers);
            bindings.records.push(record);
            bindings.versions.push(get(row, 1)?);
            bindings.spaces.push(get(row, 4)?);
            bindings.inputs.push(input.as_bytes().to_vec());
            bindings.variants.push(checksum.as_bytes().to_vec());
            let vector: i64 = get(row, 3)?;
            if vectors.seen.insert((vector, *input.as_bytes())) {
                let stamp = [get(row, 5)?, get(row, 6)?];
                vectors.numbers.push(vector);
                vectors.inputs.push(input.as_bytes().to_vec());
                vectors.checksums.push(checksum.as_bytes().to_vec());
                vectors.guards.push(sealed(guard(&numbers), &stamp));
            }
        }
        vectors.write(tx).await?;
        bindings.write(tx).await
    }

    async fn write(self, tx: &Tx<'_>) -> Outcome<u64> {
        let (mut records, mut hashes) = (Vec::new(), Vec::new());
        let (mut places, mut metadata) = (Vec::new(), Vec::new());
        for (record, (document, place)) in &self.documents {
            records.push(*record);
            hashes.push(RecordHash::of(document).as_bytes().to_vec());
            places.push(*place);
            metadata.push(metadata_to_json(&document.metadata)?);
        }
        tx.execute(
            sql::ADOPT_RECORDS,
            &[
                (&records, Type::INT8_ARRAY),
                (&hashes, Type::BYTEA_ARRAY),
                (&places, Type::INT8_ARRAY),
                (&metadata, Type::TEXT_ARRAY),
            ],
        )
        .await
    }
}

/// Columns of vectors to store under their new names.
#[derive(Default)]
struct Vectors {
    seen: BTreeSet<(i64, [u8; 32])>,
    numbers: Vec<i64>,
    inputs: Vec<Vec<u8>>,
    checksums: Vec<Vec<u8>>,
    guards: Vec<i64>,
}

impl Vectors {
    async fn write(&self, tx: &Tx<'_>) -> Outcome<()> {
        tx.execute(
            sql::ADOPT_VECTORS,
            &[
                (&self.numbers, Type::INT8_ARRAY),
                (&self.inputs, Type::BYTEA_ARRAY),
                (&self.checksums, Type::BYTEA_ARRAY),
                (&self.guards, Type::INT8_ARRAY),
            ],
        )
        .await?;
        Ok(())
    }
}

/// Columns of references to them.
#[derive(Default)]
struct Bindings {
    records: Vec<i64>,
    versions: Vec<i64>,
    spaces: Vec<i64>,
    inputs: Vec<Vec<u8>>,
    variants: Vec<Vec<u8>>,
}

impl Bindings {
    async fn write(&self, tx: &Tx<'_>) -> Outcome<()> {
        tx.execute(
            sql::ADOPT_BINDINGS,
            &[
                (&self.records, Type::INT8_ARRAY),
                (&self.versions, Type::INT8_ARRAY),
                (&self.spaces, Type::INT8_ARRAY),
                (&self.inputs, Type::BYTEA_ARRAY),
                (&self.variants, Type::BYTEA_ARRAY),
            ],
        )
        .await?;
        Ok(())
    }
}
