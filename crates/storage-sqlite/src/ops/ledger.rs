//! The ledger of runs.

use rusqlite::{Connection, Row};
use storage_core::{
    CollectionName, RunId, RunKind, RunRecord, RunState, Spend, Timestamp, VersionId,
};

use crate::error::{Failure, Outcome};
use crate::{rows, sql};

pub(crate) fn record_run(conn: &Connection, run: &RunRecord) -> Outcome<()> {
    conn.prepare_cached(sql::RECORD_RUN)?.execute((
        run.id.as_str(),
        run.kind.as_str(),
        run.collection.as_str(),
        run.source.as_ref().map(|source| source.as_str()),
        run.version.as_ref().map(VersionId::as_str),
        run.state.as_str(),
        run.requests,
        run.texts,
        run.tokens,
        run.started_at.0,
        run.finished_at.map(|at| at.0),
    ))?;
    Ok(())
}

pub(crate) fn runs(
    conn: &Connection,
    name: &CollectionName,
    limit: usize,
) -> Outcome<Vec<RunRecord>> {
    let mut statement = conn.prepare_cached(sql::RUNS)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query((name.as_str(), limit))?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(run(row, name.clone())?);
    }
    Ok(runs)
}

/// Every recorded run, oldest first.
pub(crate) fn ledger(conn: &Connection) -> Outcome<Vec<RunRecord>> {
    let mut statement = conn.prepare_cached(sql::LEDGER)?;
    let mut rows = statement.query(())?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(run(row, rows::collection_name(row.get(10)?)?)?);
    }
    Ok(runs)
}

fn run(row: &Row<'_>, collection: CollectionName) -> Outcome<RunRecord> {
    let unknown = |what: &str| Failure::corrupt("runs", format!("a run's {what} is unknown"));
    let source: Option<String> = row.get(2)?;
    let version: Option<String> = row.get(3)?;
    Ok(RunRecord {
        id: RunId::new(row.get::<_, String>(0)?).map_err(|_| unknown("name"))?,
        kind: RunKind::parse(rows::text(row, 1)?).ok_or_else(|| unknown("kind"))?,
        collection,
        source: source.map(rows::source_id).transpose()?,
        version: version.as_deref().map(VersionId::from_stored),
        state: RunState::parse(rows::text(row, 4)?).ok_or_else(|| unknown("state"))?,
        requests: row.get(5)?,
        texts: row.get(6)?,
        tokens: row.get(7)?,
        started_at: Timestamp(row.get(8)?),
        finished_at: row.get::<_, Option<i64>>(9)?.map(Timestamp),
    })
}

/// The number of a run, which need not be recorded yet.
pub(crate) fn run_number(conn: &Connection, run: &RunId) -> Outcome<i64> {
    conn.prepare_cached(sql::NAME_RUN)?
        .execute([run.as_str()])?;
    let number = conn
        .prepare_cached(sql::RUN)?
        .query_row([run.as_str()], |row| row.get(0))?;
    Ok(number)
}

/// Adds what was spent to the run's line, and gives the run's number.
pub(crate) fn add_spend(conn: &Connection, spend: &Spend) -> Outcome<i64> {
    let number = run_number(conn, &spend.run)?;
    conn.prepare_cached(sql::ADD_SPEND)?.execute((
        number,
        spend.requests,
        spend.texts,
        spend.tokens,
    ))?;
    Ok(number)
}
