//! The ledger of runs.

use async_trait::async_trait;
use storage_core::{
    CollectionName, RunId, RunKind, RunRecord, RunState, Spend, StoreErrorKind, Timestamp,
    VersionId,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::error::{Failure, Outcome};
use crate::rows::{self, count, get};
use crate::sql;
use crate::tx::{Tx, Work};

pub(crate) struct RecordRun<'a>(pub(crate) &'a RunRecord);

#[async_trait]
impl Work for RecordRun<'_> {
    type Output = ();
    const NAME: &'static str = "record_run";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<()> {
        let run = self.0;
        tx.execute(
            sql::RECORD_RUN,
            &[
                (&run.id.as_str(), Type::TEXT),
                (&run.kind.as_str(), Type::TEXT),
                (&run.collection.as_str(), Type::TEXT),
                (
                    &run.source.as_ref().map(|source| source.as_str()),
                    Type::TEXT,
                ),
                (&run.version.as_ref().map(VersionId::as_str), Type::TEXT),
                (&run.state.as_str(), Type::TEXT),
                (&stored(run.requests)?, Type::INT8),
                (&stored(run.texts)?, Type::INT8),
                (&stored(run.tokens)?, Type::INT8),
                (&run.started_at.0, Type::INT8),
                (&run.finished_at.map(|at| at.0), Type::INT8),
            ],
        )
        .await?;
        Ok(())
    }
}

pub(crate) struct Runs<'a>(pub(crate) &'a CollectionName, pub(crate) usize);

#[async_trait]
impl Work for Runs<'_> {
    type Output = Vec<RunRecord>;
    const NAME: &'static str = "runs";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Vec<RunRecord>> {
        let limit = i64::try_from(self.1).unwrap_or(i64::MAX);
        let rows = tx
            .rows(
                sql::RUNS,
                &[(&self.0.as_str(), Type::TEXT), (&limit, Type::INT8)],
            )
            .await?;
        rows.iter().map(recorded).collect()
    }
}

/// Every recorded line, oldest first.
pub(crate) struct Ledger;

#[async_trait]
impl Work for Ledger {
    type Output = Vec<RunRecord>;
    const NAME: &'static str = "ledger";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Vec<RunRecord>> {
        let rows = tx.rows(sql::LEDGER, &[]).await?;
        rows.iter().map(recorded).collect()
    }
}

fn recorded(row: &Row) -> Outcome<RunRecord> {
    let unknown = |what: &str| Failure::corrupt("runs", format!("a run's {what} is unknown"));
    let source: Option<String> = get(row, 2)?;
    let version: Option<&str> = get(row, 3)?;
    Ok(RunRecord {
        id: RunId::new(get::<String>(row, 0)?).map_err(|_| unknown("name"))?,
        kind: RunKind::parse(get(row, 1)?).ok_or_else(|| unknown("kind"))?,
        collection: rows::collection_name(get(row, 10)?)?,
        source: source.map(rows::source_id).transpose()?,
        version: version.map(VersionId::from_stored),
        state: RunState::parse(get(row, 4)?).ok_or_else(|| unknown("state"))?,
        requests: count(row, 5)?,
        texts: count(row, 6)?,
        tokens: count(row, 7)?,
        started_at: Timestamp(get(row, 8)?),
        finished_at: get::<Option<i64>>(row, 9)?.map(Timestamp),
    })
}

/// The number of a run, which need not be recorded yet.
pub(crate) async fn run_number(tx: &Tx<'_>, run: &RunId) -> Outcome<i64> {
    let row = tx
        .one(sql::NAME_RUN, &[(&run.as_str(), Type::TEXT)])
        .await?;
    get(&row, 0)
}

/// Adds what was spent to the run's line, and gives the run's number.
pub(crate) async fn add_spend(tx: &Tx<'_>, spend: &Spend) -> Outcome<i64> {
    let row = tx
        .one(
            sql::ADD_SPEND,
            &[
                (&spend.run.as_str(), Type::TEXT),
                (&stored(spend.requests)?, Type::INT8),
                (&stored(spend.texts)?, Type::INT8),
                (&stored(spend.tokens)?, Type::INT8),
            ],
        )
        .await?;
    get(&row, 0)
}

fn stored(count: u64) -> Outcome<i64> {
    i64::try_from(count).map_err(|_| {
        Failure::new(
            StoreErrorKind::Invalid,
            "record_run",
            format!("a run's count is beyond 2^63: {count}"),
        )
    })
}
