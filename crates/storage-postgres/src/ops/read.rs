//! Rows without their vectors: fingerprints, documents, sources.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use storage_core::{
    CollectionName, ContentHash, Document, DocumentKey, EmbedText, Fingerprint, Generation,
    InputHash, RecordHash, Source, StoreErrorKind, VectorKey, VersionId,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::error::{Failure, Outcome};
use crate::rows::{self, DOCUMENT_COLUMNS, Names, StoredVersion, get};
use crate::streams::next_row;
use crate::tx::{Tx, Work};
use crate::{sql, wire};

pub(crate) struct Fingerprints<'a>(pub(crate) &'a CollectionName);

#[async_trait]
impl Work for Fingerprints<'_> {
    type Output = (Generation, Vec<Fingerprint>);
    const NAME: &'static str = "fingerprints";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Self::Output> {
        let Some(collection) = rows::collection(tx, self.0).await? else {
            return Ok((Generation(0), Vec::new()));
        };
        let names = Names::read(tx, self.0, collection.id).await?;
        let active = collection.active_version();
        let number = active.map(|version| version.number);
        let stream = tx
            .stream(
                sql::FINGERPRINTS,
                &[(&collection.id, Type::INT8), (&number, Type::INT8)],
            )
            .await?;
        futures_util::pin_mut!(stream);
        let room = usize::try_from(collection.records)
            .unwrap_or(0)
            .min(1 << 20);
        let mut found = Vec::with_capacity(room);
        let mut foreign = Vec::new();
        while let Some(row) = next_row(tx.patience, &mut stream).await? {
            let key = names.key(get(&row, 0)?, rows::count32(&row, 1)?);
            let source = names.source(get(&row, 2)?)?;
            let locator = rows::locator(&row, 4)?;
            let (record, vector) = match get::<Option<&[u8]>>(&row, 3)? {
                Some(hashes) => split(hashes, active)?,
                None => {
                    foreign.push(found.len());
                    (
                        RecordHash::from_stored(&[0; 32]).map_err(|_| unhashed())?,
                        None,
                    )
                }
            };
            found.push(Fingerprint {
                key,
                source,
                record,
                locator,
                vector,
            });
        }
        for position in foreign {
            let print = &mut found[position];
            (print.record, print.vector) =
                hashes_of(tx, &names, collection.id, active, &print.key).await?;
        }
        found.sort_by(|left, right| left.key.cmp(&right.key));
        Ok((collection.generation, found))
    }
}

/// The hashes of a row: its own, that of its text in the active version, that of an imported vector.
fn split(
    hashes: &[u8],
    active: Option<&StoredVersion>,
) -> Outcome<(RecordHash, Option<VectorKey>)> {
    let damaged = |_| Failure::corrupt("fingerprints", "a stored hash is not 32 bytes");
    let (record, rest) = hashes.split_at(hashes.len().min(32));
    let record = RecordHash::from_stored(record).map_err(damaged)?;
    let Some(active) = active.filter(|_| !rest.is_empty()) else {
        return Ok((record, None));
    };
    let (input, variant) = rest.split_at(rest.len().min(32));
    let vector = VectorKey {
        space: active.version.space.clone(),
        input: InputHash::from_stored(input).map_err(damaged)?,
        variant: match variant {
            [] => None,
            bytes => Some(ContentHash::from_stored(bytes).map_err(damaged)?),
        },
    };
    Ok((record, Some(vector)))
}

/// The hashes of a row that was written by SQL: what adopting it would store.
async fn hashes_of(
    tx: &Tx<'_>,
    names: &Names,
    collection: i64,
    active: Option<&StoredVersion>,
    key: &DocumentKey,
) -> Outcome<(RecordHash, Option<VectorKey>)> {
    let number = active.map(|version| version.number);
    let row = tx
        .one(
            sql::UNADOPTED,
            &[
                (&collection, Type::INT8),
                (&key.document, Type::TEXT),
                (&i64::from(key.chunk), Type::INT8),
                (&number, Type::INT8),
            ],
        )
        .await?;
    let document = names.document(&row)?;
    let vector = match (active, get::<Option<&[u8]>>(&row, DOCUMENT_COLUMNS)?) {
        (Some(active), Some(sent)) => {
            let recipe = EmbedText::parse(&active.version.embed_text)
                .map_err(|error| Failure::corrupt("fingerprints", error.to_string()))?;
            let bytes = wire::little_endian(sent).ok_or_else(unhashed)?;
            Some(VectorKey {
                space: active.version.space.clone(),
                input: InputHash::of(&recipe.render(&document)),
                variant: Some(ContentHash::of(&bytes)),
            })
        }
        _ => None,
    };
    Ok((RecordHash::of(&document), vector))
}

/// What was written by SQL has no names of ours yet: neither a copy nor a comparison would be of what a writer makes of
/// it.
pub(super) fn unadopted(operation: &'static str) -> Failure {
    Failure::new(
        StoreErrorKind::Unsupported,
        operation,
        "rows that were written by SQL cannot be copied or compared before a writer has taken them in; run \
         `smart-support sync` on this store first, and `smart-support validate` if they are still there then",
    )
}

fn unhashed() -> Failure {
    Failure::corrupt(
        "fingerprints",
        "a row that was written by SQL cannot be read",
    )
}

/// Keys of the rows without a vector in a version.
pub(crate) struct Unbound<'a>(pub(crate) &'a CollectionName, pub(crate) &'a VersionId);

#[async_trait]
impl Work for Unbound<'_> {
    type Output = (Generation, Vec<DocumentKey>);
    const NAME: &'static str = "unbound";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Self::Output> {
        let Some(collection) = rows::collection(tx, self.0).await? else {
            return Ok((Generation(0), Vec::new()));
        };
        let names = Names::read(tx, self.0, collection.id).await?;
        let number = collection.version(self.1).map(|version| version.number);
        let rows = tx
            .rows(
                sql::UNBOUND,
                &[(&collection.id, Type::INT8), (&number, Type::INT8)],
            )
            .await?;
        let keys = rows
            .iter()
            .map(|row| Ok(names.key(get(row, 0)?, rows::count32(row, 1)?)))
            .collect::<Outcome<_>>()?;
        Ok((collection.generation, keys))
    }
}

/// The names of the vectors that rows have in a version.
pub(crate) struct Bindings<'a>(pub(crate) &'a CollectionName, pub(crate) &'a VersionId);

#[async_trait]
impl Work for Bindings<'_> {
    type Output = (Generation, Vec<(DocumentKey, VectorKey)>);
    const NAME: &'static str = "bindings";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Self::Output> {
        let Some(collection) = rows::collection(tx, self.0).await? else {
            return Ok((Generation(0), Vec::new()));
        };
        let Some(version) = collection.version(self.1) else {
            return Ok((collection.generation, Vec::new()));
        };
        let names = Names::read(tx, self.0, collection.id).await?;
        let stream = tx
            .stream(
                sql::BINDINGS,
                &[(&collection.id, Type::INT8), (&version.number, Type::INT8)],
            )
            .await?;
        futures_util::pin_mut!(stream);
        let mut bindings = Vec::new();
        while let Some(row) = next_row(tx.patience, &mut stream).await? {
            if get(&row, 4)? {
                return Err(unadopted("bindings"));
            }
            let input = rows::input_hash(&row, 2)?
                .ok_or_else(|| Failure::corrupt("bindings", "a reference has no input"))?;
            let vector = VectorKey {
                space: version.version.space.clone(),
                input,
                variant: rows::variant(&row, 3)?,
            };
            bindings.push((names.key(get(&row, 0)?, rows::count32(&row, 1)?), vector));
        }
        Ok((collection.generation, bindings))
    }
}

pub(crate) struct Documents<'a>(pub(crate) &'a BTreeSet<DocumentKey>);

#[async_trait]
impl Work for Documents<'_> {
    type Output = Vec<Document>;
    const NAME: &'static str = "documents";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Self::Output> {
        let mut wanted: BTreeMap<&CollectionName, (Vec<&str>, Vec<i64>)> = BTreeMap::new();
        for key in self.0 {
            let (documents, chunks) = wanted.entry(&key.collection).or_default();
            documents.push(&key.document);
            chunks.push(i64::from(key.chunk));
        }
        let mut found = Vec::new();
        for (name, (documents, chunks)) in wanted {
            let Some(collection) = rows::collection(tx, name).await? else {
                continue;
            };
            let names = Names::read(tx, name, collection.id).await?;
            let rows = tx
                .rows(
                    sql::DOCUMENTS,
                    &[
                        (&collection.id, Type::INT8),
                        (&documents, Type::TEXT_ARRAY),
                        (&chunks, Type::INT8_ARRAY),
                    ],
                )
                .await?;
            for row in &rows {
                found.push(names.document(row)?);
            }
        }
        found.sort_by(|left: &Document, right| left.key.cmp(&right.key));
        Ok(found)
    }
}

pub(crate) struct Sources<'a>(pub(crate) &'a CollectionName);

#[async_trait]
impl Work for Sources<'_> {
    type Output = Vec<Source>;
    const NAME: &'static str = "sources";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Self::Output> {
        let rows = tx
            .rows(sql::SOURCES, &[(&self.0.as_str(), Type::TEXT)])
            .await?;
        rows.iter()
            .map(|row: &Row| {
                Ok(Source {
                    id: rows::source_id(get(row, 0)?)?,
                    collection: self.0.clone(),
                    kind: get(row, 1)?,
                    location: get(row, 2)?,
                })
            })
            .collect()
    }
}
