//! Indexes for search in the database.
//!
//! Vectors of several lengths share a table, so an index is one of an expression that names the length, over the
//! vectors of one space. This is the other place where SQL is put together, from checked integers and a name of
//! our own: utility statements take no parameters.

use async_trait::async_trait;
use storage_core::{
    CollectionName, Effort, IndexPlan, IndexProgress, IndexReport, IndexStatus, StoreErrorKind,
    Timestamp,
};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::error::{Failure, Outcome};
use crate::rows::{self, count, count32, get};
use crate::sql;
use crate::tx::{Tx, Work};

/// Numbers per vector that an index takes as they are.
const FULL: u32 = 2_000;
/// Numbers per vector that it takes at half the precision.
const HALF: u32 = 4_000;
/// Below this the server's planner hardly ever follows an index, and is right.
const WORTH_IT: u64 = 10_000;
/// The first version whose parallel build does not write beyond its memory (CVE-2026-3172).
const SAFE_PARALLEL: [u32; 3] = [0, 8, 2];
/// The first version that repairs its graph after a vacuum.
const SAFE_VACUUM: [u32; 3] = [0, 8, 4];
/// The first version that goes on looking when a filter leaves too few rows.
const ITERATIVE: [u32; 3] = [0, 8, 0];
/// An index of ours, as the database has it.
#[derive(Debug, Clone)]
pub(crate) struct StoredIndex {
    pub(crate) name: String,
    pub(crate) valid: bool,
    pub(crate) bytes: u64,
    pub(crate) plan: Option<IndexPlan>,
    pub(crate) effort: Option<Effort>,
    pub(crate) tuning: Option<String>,
}

/// The beginning of the names of a space's indexes.
fn prefix(space: i64) -> String {
    format!("smart_support_hnsw_{space}_")
}

/// The indexes of a space, finished or not.
pub(crate) async fn stored(tx: &Tx<'_>, space: i64) -> Outcome<Vec<StoredIndex>> {
    let rows = tx
        .rows(sql::VECTOR_INDEXES, &[(&prefix(space), Type::TEXT)])
        .await?;
    rows.iter().map(stored_index).collect()
}

fn stored_index(row: &Row) -> Outcome<StoredIndex> {
    let number = |column| -> Outcome<Option<u32>> {
        let number: Option<i32> = get(row, column)?;
        Ok(number.and_then(|number| u32::try_from(number).ok()))
    };
    let pair = |first, second| Ok::<_, Failure>(number(first)?.zip(number(second)?));
    Ok(StoredIndex {
        name: get(row, 0)?,
        valid: get(row, 1)?,
        bytes: count(row, 2)?,
        plan: pair(3, 4)?.map(|(neighbours, candidates)| IndexPlan {
            neighbours,
            candidates,
            memory: None,
        }),
        effort: pair(5, 6)?.map(|(candidates, visits)| Effort { candidates, visits }),
        tuning: get(row, 7)?,
    })
}

/// The index that a search may follow.
pub(crate) async fn usable(tx: &Tx<'_>, space: i64) -> Outcome<Option<StoredIndex>> {
    let indexes = stored(tx, space).await?;
    Ok(indexes.into_iter().rfind(|index| index.valid))
}

/// What a vector is stored as in an index; `None` where none takes it.
fn element(dimensions: u32) -> Option<&'static str> {
    if dimensions <= FULL {
        Some("vector")
    } else if dimensions <= HALF {
        Some("halfvec")
    } else {
        None
    }
}

/// The distance that an index is ordered by, to a vector that is parameter 1.
pub(crate) fn expression(dimensions: u32) -> String {
    let element = element(dimensions).unwrap_or("vector");
    format!("v.embedding::{element}({dimensions}) <=> $1::real[]::{element}({dimensions})")
}

/// Whether a plan follows an index.
pub(crate) fn is_followed(plan: &[Row], index: &str) -> Outcome<bool> {
    for row in plan {
        let line: &str = get(row, 0)?;
        if line.contains(&format!("Index Scan using {index} ")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The statement that builds an index while others read and write.
fn definition(name: &str, space: i64, dimensions: u32, plan: IndexPlan) -> Outcome<String> {
    let element = element(dimensions).ok_or_else(|| {
        Failure::new(
            StoreErrorKind::Unsupported,
            "index",
            format!(
                "no index takes vectors of {dimensions} numbers, {HALF} is the most; every row is compared, or shorten \
                 them with --dimensions where the model can"
            ),
        )
    })?;
    Ok(format!(
        "CREATE INDEX CONCURRENTLY {name} ON embedding_vectors USING hnsw ((embedding::{element}({dimensions})) \
         {element}_cosine_ops) WITH (m = {}, ef_construction = {}) WHERE space_id = {space}",
        plan.neighbours, plan.candidates
    ))
}

/// Bytes that a build keeps in memory: the vectors, their neighbours in the lowest layer and a share of the upper
/// ones, and what a graph's element takes besides (pgvector's src/hnsw.h).
fn memory_needed(vectors: u64, dimensions: u32, plan: IndexPlan) -> u64 {
    let number = if dimensions > FULL { 2 } else { 4 };
    let neighbours = u64::from(plan.neighbours) * 2 * 24;
    let upper = neighbours / 2 / u64::from(plan.neighbours.max(2));
    vectors * (u64::from(dimensions) * number + neighbours + upper + 200)
}

/// A version such as `0.8.6`.
fn version(text: &str) -> [u32; 3] {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

/// What there is to index, and by what.
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    pub(crate) space: i64,
    pub(crate) dimensions: u32,
    pub(crate) vectors: u64,
    pub(crate) extension: String,
    pub(crate) memory: u64,
    pub(crate) indexes: Vec<StoredIndex>,
    /// The index that a search without a filter follows.
    used: Option<String>,
}

impl Survey {
    pub(crate) fn report(self) -> IndexReport {
        let has = version(&self.extension);
        let valid = self.indexes.iter().filter(|index| index.valid).count();
        let plan = self.indexes.iter().find_map(|index| index.plan);
        let plan = plan.unwrap_or_default();
        let memory_needed = memory_needed(self.vectors, self.dimensions, plan);
        let mut warnings = Vec::new();
        if has < ITERATIVE {
            warnings.push(format!(
                "pgvector {} filters what its index has found and returns too few rows, so every row is compared; \
                 upgrade the server's pgvector, then: ALTER EXTENSION vector UPDATE",
                self.extension
            ));
        } else if has < SAFE_PARALLEL {
            warnings.push(format!(
                "pgvector {} may write beyond its memory when several processes build an index (CVE-2026-3172), so one \
                 builds it; upgrade the server's pgvector, then: ALTER EXTENSION vector UPDATE",
                self.extension
            ));
        } else if has < SAFE_VACUUM {
            warnings.push(format!(
                "pgvector {} may leave its graph unrepaired after a vacuum, and find less; upgrade the server's \
                 pgvector, then: ALTER EXTENSION vector UPDATE",
                self.extension
            ));
        }
        for index in self.indexes.iter().filter(|index| !index.valid) {
            warnings.push(format!(
                "index {} is unfinished: a build is under way, or was killed; smart-support index build drops what \
                 killed builds left",
                index.name
            ));
        }
        if element(self.dimensions).is_none() {
            warnings.push(format!(
                "vectors of {} numbers are too long for any index; every row is compared",
                self.dimensions
            ));
        } else if valid == 0 && self.vectors >= WORTH_IT {
            warnings.push(format!(
                "{} vectors have no index, every row is compared; smart-support index build makes one",
                self.vectors
            ));
        }
        if valid > 0 && self.used.is_none() {
            warnings.push(
                "the server compares every row rather than follow the index: it finds that cheaper, as it is for few \
                 rows; if it is not, run: ANALYZE"
                    .to_owned(),
            );
        }
        let untuned = |index: &&StoredIndex| index.valid && index.effort.is_none();
        if let Some(index) = self.indexes.iter().find(untuned) {
            warnings.push(format!(
                "how much index {} finds was never measured; smart-support index tune does it",
                index.name
            ));
        }
        let status = |index: StoredIndex| IndexStatus {
            used: self.used.as_ref() == Some(&index.name),
            name: index.name,
            valid: index.valid,
            bytes: index.bytes,
            vectors: self.vectors,
            plan: index.plan,
            effort: index.effort,
            tuning: index.tuning,
        };
        IndexReport {
            indexes: self.indexes.iter().cloned().map(status).collect(),
            extension: self.extension.clone(),
            dimensions: self.dimensions,
            vectors: self.vectors,
            memory_needed,
            memory_allowed: self.memory,
            warnings,
        }
    }
}

pub(crate) fn serves_nothing(collection: &CollectionName) -> Failure {
    Failure::new(
        StoreErrorKind::Model,
        "index",
        format!(
            "collection {collection} serves no vectors yet; fill it with `smart-support migrate`"
        ),
    )
}

/// Looks at the space that a collection serves.
pub(crate) struct Look<'a>(pub(crate) &'a CollectionName);

#[async_trait]
impl Work for Look<'_> {
    type Output = Survey;
    const NAME: &'static str = "index";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Survey> {
        let collection = rows::collection(tx, self.0).await?;
        let Some(served) = collection.as_ref().and_then(|found| found.active_version()) else {
            return Err(serves_nothing(self.0));
        };
        let row = tx
            .one(sql::INDEX_SURVEY, &[(&served.space, Type::INT8)])
            .await?;
        let indexes = stored(tx, served.space).await?;
        let mut used = None;
        if let Some(index) = indexes.iter().rfind(|index| index.valid) {
            let numbers = vec![1.0f32; served.dimensions as usize];
            let statement = sql::NEAREST
                .replace("{version}", &served.number.to_string())
                .replace("{space}", &served.space.to_string())
                .replace("{conditions}", "")
                .replace("{distance}", &expression(served.dimensions));
            let plan = tx
                .rows(
                    &format!("EXPLAIN {statement}"),
                    &[(&numbers, Type::FLOAT4_ARRAY), (&10i64, Type::INT8)],
                )
                .await?;
            if is_followed(&plan, &index.name)? {
                used = Some(index.name.clone());
            }
        }
        Ok(Survey {
            space: served.space,
            dimensions: count32(&row, 0)?,
            vectors: count(&row, 1)?,
            extension: get(&row, 2)?,
            memory: count(&row, 3)?,
            indexes,
            used,
        })
    }
}

/// Writes down how an index was built. What was tuned for the one before it says nothing about this one.
pub(crate) struct Note<'a> {
    pub(crate) space: i64,
    pub(crate) name: &'a str,
    pub(crate) plan: IndexPlan,
    pub(crate) at: Timestamp,
}

#[async_trait]
impl Work for Note<'_> {
    type Output = ();
    const NAME: &'static str = "index";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<()> {
        let whole = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        tx.execute(
            sql::NOTE_INDEX,
            &[
                (&self.space, Type::INT8),
                (&self.name, Type::TEXT),
                (&whole(self.plan.neighbours), Type::INT4),
                (&whole(self.plan.candidates), Type::INT4),
                (&self.at.0, Type::INT8),
            ],
        )
        .await?;
        Ok(())
    }
}

/// Forgets what is known of a space's index.
pub(crate) struct Forget(pub(crate) i64);

#[async_trait]
impl Work for Forget {
    type Output = ();
    const NAME: &'static str = "index";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<()> {
        tx.execute(sql::FORGET_INDEX, &[(&self.0, Type::INT8)])
            .await?;
        Ok(())
    }
}

/// Keeps how hard searches look, with the measurement.
pub(crate) struct KeepEffort<'a> {
    pub(crate) space: i64,
    pub(crate) effort: Effort,
    pub(crate) measurement: &'a str,
}

#[async_trait]
impl Work for KeepEffort<'_> {
    type Output = ();
    const NAME: &'static str = "index";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<()> {
        let whole = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let kept = tx
            .execute(
                sql::KEEP_EFFORT,
                &[
                    (&self.space, Type::INT8),
                    (&whole(self.effort.candidates), Type::INT4),
                    (&whole(self.effort.visits), Type::INT4),
                    (&self.measurement, Type::TEXT),
                ],
            )
            .await?;
        if kept == 0 {
            return Err(Failure::new(
                StoreErrorKind::Invalid,
                "index",
                "there is no index to tune; build one with `smart-support index build`",
            ));
        }
        Ok(())
    }
}

/// How far a build of another session is.
pub(crate) struct HowFar(pub(crate) i32);

#[async_trait]
impl Work for HowFar {
    type Output = Option<IndexProgress>;
    const NAME: &'static str = "index";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Option<IndexProgress>> {
        let row = tx
            .first(sql::INDEX_PROGRESS, &[(&self.0, Type::INT4)])
            .await?;
        row.map(|row| {
            Ok(IndexProgress {
                phase: get(&row, 0)?,
                done: count(&row, 1)?,
                total: count(&row, 2)?,
            })
        })
        .transpose()
    }
}

/// A session that builds and drops indexes, outside any transaction.
pub(crate) struct Builder<'a> {
    pub(crate) client: &'a Client,
}

impl Builder<'_> {
    /// Makes the session one that may take hours, and whose vacuum of parallel workers is safe.
    pub(crate) async fn prepare(
        &self,
        path: &str,
        plan: IndexPlan,
        extension: &str,
    ) -> Outcome<()> {
        // A build waits for every transaction that began before it, so no lock may be given up on either.
        let mut settings =
            format!("SET search_path = {path}; SET statement_timeout = 0; SET lock_timeout = 0");
        if let Some(memory) = plan.memory {
            settings.push_str(&format!(
                "; SET maintenance_work_mem = '{}kB'",
                memory.div_ceil(1024)
            ));
        }
        if version(extension) < SAFE_PARALLEL {
            settings.push_str("; SET max_parallel_maintenance_workers = 0");
        }
        self.client.batch_execute(&settings).await?;
        Ok(())
    }

    /// Waits for no one: two builds at once would each take the other's unfinished index for a dead one.
    pub(crate) async fn lock(&self) -> Outcome<()> {
        let rows = self.client.query_typed(sql::LOCK_INDEXES, &[]).await?;
        let taken = rows
            .first()
            .map(|row| row.try_get::<_, bool>(0))
            .transpose()?;
        if taken == Some(true) {
            return Ok(());
        }
        Err(Failure::new(
            StoreErrorKind::Busy,
            "index",
            "another session builds or drops an index of this store; run the command again when it is done \
             (`smart-support index status`)",
        ))
    }

    pub(crate) async fn drop(&self, name: &str) -> Outcome<()> {
        // In the store's own schema: another one, where pgvector is, may have an index of that name too.
        let rows = self
            .client
            .query_typed(sql::DROP_INDEX, &[(&name, Type::TEXT)])
            .await?;
        if let Some(row) = rows.first() {
            self.client.batch_execute(row.try_get(0)?).await?;
        }
        Ok(())
    }

    /// The number that the server knows this session by.
    pub(crate) async fn backend(&self) -> Outcome<i32> {
        let rows = self.client.query_typed(sql::BACKEND, &[]).await?;
        match rows.first() {
            Some(row) => Ok(row.try_get(0)?),
            None => Ok(0),
        }
    }

    /// Builds.
    pub(crate) async fn build(&self, name: &str, survey: &Survey, plan: IndexPlan) -> Outcome<()> {
        let statement = definition(name, survey.space, survey.dimensions, plan)?;
        self.client.batch_execute(&statement).await?;
        Ok(())
    }
}

/// The name of the next index of a space.
pub(crate) fn next_name(survey: &Survey) -> String {
    let prefix = prefix(survey.space);
    let number = |index: &StoredIndex| index.name.strip_prefix(&prefix)?.parse::<u64>().ok();
    let last = survey.indexes.iter().filter_map(number).max();
    // Six digits, so that the newest is the last by name.
    format!("{prefix}{:06}", last.unwrap_or(0) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_their_numbers() {
        assert!(version("0.8.10") > SAFE_VACUUM);
        assert!(version("0.8.0") < SAFE_PARALLEL);
        assert_eq!(version("0.9"), [0, 9, 0]);
    }

    #[test]
    fn long_vectors_are_halved_and_longer_ones_refused() {
        let plan = IndexPlan::default();
        let definition = |dimensions| definition("i", 7, dimensions, plan);
        assert!(
            definition(2_000)
                .unwrap()
                .contains("embedding::vector(2000)")
        );
        assert!(definition(2_001).unwrap().contains("halfvec_cosine_ops"));
        assert!(definition(4_001).is_err());
    }
}
