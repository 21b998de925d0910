//! Search in the database.
//!
//! This is one of the two places where SQL is put together: the space, the version and the length of its vectors are
//! written into the statement, for a partial index is used for constants only. All three are integers of our own.
//! Whether the server follows the index is its planner's choice, and right: a filter that leaves few rows is cheaper
//! compared row by row. It is asked first, so that we know whether what comes is exact.

use std::collections::BTreeSet;

use async_trait::async_trait;
use storage_core::{
    CollectionName, DocumentKey, Effort, Embedding, EmbeddingRecord, FoundBy, Generation, Nearest,
    NearestQuery, StoreErrorKind,
};
use tokio_postgres::types::Type;

mod conditions;

use conditions::Conditions;

use crate::error::{Failure, Outcome};
use crate::index::{self, StoredIndex};
use crate::ops::scan;
use crate::ops::versions::unknown_version;
use crate::rows::{self, DOCUMENT_COLUMNS, Names, StoredVersion, get};
use crate::tx::{Param, Tx, Work};
use crate::{sql, wire};

/// Rows beyond those asked for: documents of several rows take more than one, and the server's arithmetic differs from
/// ours in the last digits.
const MARGIN: i64 = 16;
/// Candidates the index keeps at least; pgvector's own default, and its limit.
const CANDIDATES: std::ops::RangeInclusive<u32> = 40..=1000;
/// Rows a filtered search visits until it was tuned: pgvector's own default.
const VISITS: u32 = 20_000;

/// One row in so many that passes a filter is found faster by comparing those that pass.
const SELECTIVE: u64 = 50;
/// Up to which share the index is measured with rows left out by number: beyond it nobody would follow it.
const MEASURED: u32 = 50;

/// The nearest rows, all from one moment.
pub(crate) struct FindNearest<'a>(pub(crate) &'a NearestQuery);

#[async_trait]
impl Work for FindNearest<'_> {
    type Output = Nearest;
    const NAME: &'static str = "search";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Nearest> {
        let query = self.0;
        let collection = rows::collection(tx, &query.collection).await?;
        if let Some(id) = &query.version
            && collection
                .as_ref()
                .is_none_or(|found| found.version(id).is_none())
        {
            return Err(unknown_version("search", id));
        }
        let mut nothing = Nearest {
            rows: Vec::new(),
            generation: Generation(0),
            found_by: FoundBy::Comparison,
        };
        let Some(collection) = collection else {
            return Ok(nothing);
        };
        nothing.generation = collection.generation;
        let version = match &query.version {
            Some(id) => collection.version(id),
            None => collection.active_version(),
        };
        let Some(version) = version.filter(|version| version.version.records > 0) else {
            return Ok(nothing);
        };
        let asked = query.vector.dimensions();
        if asked != version.dimensions {
            return Err(Failure::new(
                StoreErrorKind::Model,
                "search",
                format!(
                    "embedding dimension mismatch: the store has {}, the question {asked}; ask with the model the \
                     store was embedded with (`smart-support status` names it)",
                    version.dimensions
                ),
            ));
        }
        let names = Names::read(tx, &query.collection, collection.id).await?;
        let Some(conditions) = Conditions::of(tx, &collection, query).await? else {
            return Ok(nothing);
        };
        let search = Search {
            tx,
            query,
            version,
            names: &names,
            conditions: &conditions,
        };
        let (rows, found_by) = search.run().await?;
        Ok(Nearest {
            rows,
            generation: collection.generation,
            found_by,
        })
    }
}

struct Search<'a> {
    tx: &'a Tx<'a>,
    query: &'a NearestQuery,
    version: &'a StoredVersion,
    names: &'a Names,
    conditions: &'a Conditions,
}

impl Search<'_> {
    async fn run(&self) -> Outcome<(Vec<EmbeddingRecord>, FoundBy)> {
        if !self.query.exact
            && !self.is_selective()
            && let Some(index) = index::usable(self.tx, self.version.space).await?
            && self.prepare(&index).await?
        {
            let statement = self.statement(&index::expression(self.version.dimensions));
            if self.follows(&statement, &index.name).await? {
                let found = self.find(&statement).await?;
                if documents(&found) >= self.query.top_k || self.is_everything(&found) {
                    return Ok((found, FoundBy::Index(index.name)));
                }
                tracing::debug!(
                    "index {} found {} of {} documents; comparing every row",
                    index.name,
                    documents(&found),
                    self.query.top_k
                );
            }
        }
        // Not the index's expression, so no index can be followed. Ties are broken as the caller breaks them.
        let statement = self.statement("v.embedding <=> $1::real[]::vector, r.document, r.chunk");
        Ok((self.find(&statement).await?, FoundBy::Comparison))
    }

    /// Whether so few rows pass the filter that following the index would visit more of the others than comparing
    /// these takes.
    fn is_selective(&self) -> bool {
        self.conditions
            .passing
            .is_some_and(|passing| passing <= self.version.version.records / SELECTIVE)
    }

    /// Whether these are all rows there are, so that nothing was left out.
    fn is_everything(&self, found: &[EmbeddingRecord]) -> bool {
        self.conditions.sql.is_empty() && found.len() as u64 >= self.version.version.records
    }

    /// Sets how the index is searched, and says whether that took: an extension that filters what its index has found
    /// would return too few rows.
    async fn prepare(&self, index: &StoredIndex) -> Outcome<bool> {
        let numbers = self.query.vector.as_slice();
        let row = self
            .tx
            .one(sql::NEAREST_SETTINGS, &[(&numbers, Type::FLOAT4_ARRAY)])
            .await?;
        if get::<Option<&str>>(&row, 1)?.is_none() {
            return Ok(false);
        }
        let effort = self.query.effort.or(index.effort).unwrap_or_else(|| {
            let wanted = u32::try_from(self.query.top_k).unwrap_or(u32::MAX);
            Effort {
                candidates: wanted.clamp(*CANDIDATES.start(), *CANDIDATES.end()),
                visits: VISITS,
            }
        });
        let row = self
            .tx
            .one(
                sql::NEAREST_EFFORT,
                &[
                    (&effort.candidates.to_string(), Type::TEXT),
                    (&effort.visits.to_string(), Type::TEXT),
                ],
            )
            .await?;
        if self.query.one_in.is_some_and(|one_in| one_in < MEASURED) {
            // The planner does not know the share of rows by number, as it knows that of a category.
            self.tx.batch(sql::NEAREST_MEASURED).await?;
        }
        Ok(get::<&str>(&row, 0)? == "strict_order")
    }

    fn statement(&self, distance: &str) -> String {
        sql::NEAREST
            .replace("{version}", &self.version.number.to_string())
            .replace("{space}", &self.version.space.to_string())
            .replace("{conditions}", &self.conditions.sql)
            .replace("{distance}", distance)
    }

    fn params<'p>(&'p self, numbers: &'p &'p [f32], limit: &'p i64) -> Vec<Param<'p>> {
        let mut params: Vec<Param<'p>> = vec![(numbers, Type::FLOAT4_ARRAY), (limit, Type::INT8)];
        params.extend(
            self.conditions
                .values
                .iter()
                .map(|value| (value.as_sql(), value.sql_type())),
        );
        params
    }

    /// Whether the planner follows the index for this very question.
    async fn follows(&self, statement: &str, index: &str) -> Outcome<bool> {
        let (numbers, limit) = (self.query.vector.as_slice(), self.first_limit());
        let rows = self
            .tx
            .rows(
                &format!("EXPLAIN {statement}"),
                &self.params(&numbers, &limit),
            )
            .await?;
        index::is_followed(&rows, index)
    }

    fn first_limit(&self) -> i64 {
        i64::try_from(self.query.top_k)
            .unwrap_or(i64::MAX)
            .saturating_add(MARGIN)
    }

    /// Asks for more rows until there are enough documents among them, or no more rows.
    async fn find(&self, statement: &str) -> Outcome<Vec<EmbeddingRecord>> {
        let numbers = self.query.vector.as_slice();
        let mut limit = self.first_limit();
        loop {
            let rows = self
                .tx
                .rows(statement, &self.params(&numbers, &limit))
                .await?;
            let mut found = Vec::with_capacity(rows.len());
            for row in &rows {
                let document = self.names.document(row)?;
                if self.query.filter.matches(&document) {
                    let sent = get(row, DOCUMENT_COLUMNS)?;
                    let embedding = scan::embedding(row, sent, self.version.dimensions)
                        .map_err(|fault| damaged(&fault, &document.key))?;
                    found.push(EmbeddingRecord {
                        document,
                        embedding,
                    });
                }
            }
            let all = i64::try_from(rows.len()).unwrap_or(i64::MAX) < limit;
            if all || documents(&found) >= self.query.top_k {
                return Ok(found);
            }
            limit = limit.saturating_mul(4);
        }
    }
}

/// Some stored vectors of the version that a collection serves.
pub(crate) struct Sample<'a>(pub(crate) &'a CollectionName, pub(crate) usize);

#[async_trait]
impl Work for Sample<'_> {
    type Output = Vec<Embedding>;
    const NAME: &'static str = "sample";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Vec<Embedding>> {
        let collection = rows::collection(tx, self.0).await?;
        let served = collection.as_ref().and_then(|found| found.active_version());
        let Some(served) = served else {
            return Err(index::serves_nothing(self.0));
        };
        let count = i64::try_from(self.1).unwrap_or(i64::MAX);
        let rows = tx
            .rows(
                sql::SAMPLE_VECTORS,
                &[(&served.number, Type::INT8), (&count, Type::INT8)],
            )
            .await?;
        rows.iter()
            .map(|row| {
                wire::little_endian(get(row, 0)?)
                    .and_then(|bytes| Embedding::from_le_bytes(&bytes).ok())
                    .ok_or_else(|| Failure::corrupt("sample", "a stored vector cannot be used"))
            })
            .collect()
    }
}

fn damaged(fault: &str, key: &DocumentKey) -> Failure {
    Failure::corrupt(
        "search",
        format!(
            "{fault}; run `smart-support repair`, then `smart-support sync`: {:?} chunk {}",
            key.document, key.chunk
        ),
    )
}

fn documents(rows: &[EmbeddingRecord]) -> usize {
    let ids: BTreeSet<&str> = rows
        .iter()
        .map(|row| row.document.key.document.as_str())
        .collect();
    ids.len()
}
