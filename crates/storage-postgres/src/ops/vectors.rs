//! Vectors by content: stored, looked up, pruned.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use storage_core::guard::{guard, sealed};
use storage_core::{
    CacheStats, ContentHash, InputHash, KeptVector, RunId, SpaceId, Spend, StoreErrorKind,
    StoredVector, Timestamp,
};
use tokio_postgres::types::{ToSql, Type};

use super::versions::{space, unknown_space};
use super::{ledger, undo};
use crate::error::{Failure, Outcome};
use crate::rows::{self, count, get};
use crate::sql;
use crate::tx::{CopyRow, Tx, Work};
use crate::wire::Numbers;

/// Keys a question: enough to make a round trip cheap, few enough for one message.
const LOOKUP: usize = 20_000;

/// How a vector is named inside: the number of its space, and its hashes.
pub(crate) type StoredKey = (i64, InputHash, Option<ContentHash>);

/// Spaces by name, number and length, each looked up once; one that is not registered is `Model`.
#[derive(Default)]
pub(crate) struct Spaces(BTreeMap<SpaceId, (i64, u32)>);

impl Spaces {
    /// The number of a space that was looked up.
    fn known(&self, id: &SpaceId) -> Option<i64> {
        self.0.get(id).map(|(number, _)| *number)
    }

    pub(crate) async fn get(
        &mut self,
        tx: &Tx<'_>,
        operation: &'static str,
        id: &SpaceId,
    ) -> Outcome<(i64, u32)> {
        if let Some(found) = self.0.get(id) {
            return Ok(*found);
        }
        let found = space(tx, id)
            .await?
            .ok_or_else(|| unknown_space(operation, id))?;
        let found = (found.number, found.dimensions);
        self.0.insert(id.clone(), found);
        Ok(found)
    }
}

/// The numbers of stored vectors; those that are not stored are left out.
pub(crate) async fn numbers(
    tx: &Tx<'_>,
    keys: &HashSet<StoredKey>,
) -> Outcome<HashMap<StoredKey, i64>> {
    let mut found = HashMap::with_capacity(keys.len());
    let keys: Vec<&StoredKey> = keys.iter().collect();
    for keys in keys.chunks(LOOKUP) {
        let spaces: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let inputs: Vec<&[u8]> = keys.iter().map(|key| &key.1.as_bytes()[..]).collect();
        let variants: Vec<&[u8]> = keys
            .iter()
            .map(|key| rows::variant_bytes(key.2.as_ref()))
            .collect();
        let answer = tx
            .rows(
                sql::VECTORS,
                &[
                    (&spaces, Type::INT8_ARRAY),
                    (&inputs, Type::BYTEA_ARRAY),
                    (&variants, Type::BYTEA_ARRAY),
                ],
            )
            .await?;
        for row in &answer {
            let position = usize::try_from(get::<i64>(row, 0)? - 1).unwrap_or(usize::MAX);
            let key = keys
                .get(position)
                .ok_or_else(|| Failure::corrupt("read", "a position is out of its range"))?;
            found.insert(**key, get(row, 1)?);
        }
    }
    Ok(found)
}

pub(crate) struct Put<'a> {
    pub(crate) batch: &'a [StoredVector],
    pub(crate) spend: &'a Spend,
    pub(crate) at: Timestamp,
}

/// A vector on its way into the table.
struct NewVector<'a> {
    space: i64,
    variant: &'a [u8],
    checksum: [u8; 32],
    guard: i64,
    run: i64,
    at: i64,
    numbers: Numbers<'a>,
    input: &'a [u8],
}

impl<'a> NewVector<'a> {
    fn new(space: i64, stored: &'a StoredVector, run: i64, at: i64) -> Self {
        let bytes = stored.embedding.to_le_bytes();
        Self {
            space,
            variant: rows::variant_bytes(stored.key.variant.as_ref()),
            input: stored.key.input.as_bytes(),
            checksum: *ContentHash::of(&bytes).as_bytes(),
            guard: sealed(guard(&bytes), &[run, at]),
            run,
            at,
            numbers: Numbers(stored.embedding.as_slice()),
        }
    }
}

impl CopyRow for NewVector<'_> {
    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![
            &self.space,
            &self.input,
            &self.variant,
            &self.checksum,
            &self.guard,
            &self.run,
            &self.at,
            &self.numbers,
        ]
    }
}

/// Makes them one by one as they are sent: the checksums of a large batch are never all in memory.
struct NewVectors<'a> {
    vectors: std::vec::IntoIter<(i64, &'a StoredVector, i64)>,
    run: i64,
}

impl<'a> Iterator for NewVectors<'a> {
    type Item = NewVector<'a>;

    fn next(&mut self) -> Option<NewVector<'a>> {
        let (space, vector, at) = self.vectors.next()?;
        Some(NewVector::new(space, vector, self.run, at))
    }
}

#[async_trait]
impl Work for Put<'_> {
    type Output = ();
    const NAME: &'static str = "put_embeddings";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<()> {
        let vectors: Vec<_> = self.batch.iter().map(|vector| (vector, self.at)).collect();
        let spaces = checked(tx, Self::NAME, &vectors).await?;
        // Two questions in one round trip.
        let (run, new) = futures_util::future::try_join(
            ledger::add_spend(tx, self.spend),
            not_stored(tx, &spaces, &vectors),
        )
        .await?;
        insert(tx, new, run).await
    }
}

/// Vectors that another store holds, with the times they were paid for.
pub(crate) struct Adopt<'a> {
    pub(crate) batch: &'a [KeptVector],
    pub(crate) run: &'a RunId,
}

#[async_trait]
impl Work for Adopt<'_> {
    type Output = ();
    const NAME: &'static str = "adopt";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<()> {
        let vectors: Vec<_> = self
            .batch
            .iter()
            .map(|kept| (&kept.vector, kept.stored_at))
            .collect();
        let spaces = checked(tx, Self::NAME, &vectors).await?;
        let (run, new) = futures_util::future::try_join(
            ledger::run_number(tx, self.run),
            not_stored(tx, &spaces, &vectors),
        )
        .await?;
        insert(tx, new, run).await
    }
}

/// The spaces of vectors that all fit into them.
async fn checked(
    tx: &Tx<'_>,
    operation: &'static str,
    vectors: &[(&StoredVector, Timestamp)],
) -> Outcome<Spaces> {
    let mut spaces = Spaces::default();
    for (vector, _) in vectors {
        let (_, expected) = spaces.get(tx, operation, &vector.key.space).await?;
        let found = vector.embedding.dimensions();
        if found != expected {
            return Err(Failure::new(
                StoreErrorKind::Model,
                operation,
                format!("a vector has {found} numbers, its space {expected}"),
            ));
        }
    }
    Ok(spaces)
}

/// Those that are not stored yet, with the numbers of their spaces and when they were paid for.
async fn not_stored<'v>(
    tx: &Tx<'_>,
    spaces: &Spaces,
    vectors: &[(&'v StoredVector, Timestamp)],
) -> Outcome<Vec<(i64, &'v StoredVector, i64)>> {
    let keyed: Vec<_> = vectors
        .iter()
        .filter_map(|(vector, at)| {
            let space = spaces.known(&vector.key.space)?;
            Some(((space, vector.key.input, vector.key.variant), *vector, at.0))
        })
        .collect();
    let keys: HashSet<StoredKey> = keyed.iter().map(|(key, ..)| *key).collect();
    let mut stored: HashSet<StoredKey> = numbers(tx, &keys).await?.into_keys().collect();
    // The first of a batch stays, as it would if they came one by one.
    let new = keyed
        .into_iter()
        .filter(|(key, ..)| stored.insert(*key))
        .map(|(key, vector, at)| (key.0, vector, at));
    Ok(new.collect())
}

async fn insert(tx: &Tx<'_>, new: Vec<(i64, &StoredVector, i64)>, run: i64) -> Outcome<()> {
    let (int, bytes) = (Type::INT8, Type::BYTEA);
    let types = [
        int.clone(),
        bytes.clone(),
        bytes.clone(),
        bytes,
        int.clone(),
        int.clone(),
        int,
        tx.vector.clone(),
    ];
    let rows = NewVectors {
        vectors: new.into_iter(),
        run,
    };
    tx.copy(sql::COPY_VECTORS, &types, rows).await
}

pub(crate) struct Stored<'a>(pub(crate) &'a SpaceId, pub(crate) &'a BTreeSet<InputHash>);

#[async_trait]
impl Work for Stored<'_> {
    type Output = BTreeMap<InputHash, Option<ContentHash>>;
    const NAME: &'static str = "stored_vectors";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Self::Output> {
        let mut found = BTreeMap::new();
        let Some(space) = space(tx, self.0).await? else {
            return Ok(found);
        };
        let inputs: Vec<&InputHash> = self.1.iter().collect();
        for inputs in inputs.chunks(LOOKUP) {
            let bytes: Vec<&[u8]> = inputs.iter().map(|input| &input.as_bytes()[..]).collect();
            let rows = tx
                .rows(
                    sql::PREFERRED_VARIANTS,
                    &[(&space.number, Type::INT8), (&bytes, Type::BYTEA_ARRAY)],
                )
                .await?;
            for row in &rows {
                if let Some(input) = rows::input_hash(row, 0)? {
                    found.insert(input, rows::variant(row, 1)?);
                }
            }
        }
        Ok(found)
    }
}

pub(crate) struct Cache;

#[async_trait]
impl Work for Cache {
    type Output = CacheStats;
    const NAME: &'static str = "cache_stats";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<CacheStats> {
        let spared = undo::kept_vectors(tx).await?;
        let row = tx
            .one(sql::CACHE_STATS, &[(&spared, Type::INT8_ARRAY)])
            .await?;
        Ok(CacheStats {
            vectors: count(&row, 0)?,
            unreferenced: count(&row, 1)?,
            unreferenced_bytes: count(&row, 2)?,
            oldest: get::<Option<i64>>(&row, 3)?.map(Timestamp),
        })
    }
}

pub(crate) struct Prune(pub(crate) Timestamp);

#[async_trait]
impl Work for Prune {
    type Output = u64;
    const NAME: &'static str = "prune";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<u64> {
        let spared = undo::kept_vectors(tx).await?;
        tx.execute(
            sql::PRUNE,
            &[(&self.0.0, Type::INT8), (&spared, Type::INT8_ARRAY)],
        )
        .await
    }
}
