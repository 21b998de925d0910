//! One transaction: how statements are sent, and what a named piece of work is.
//!
//! Statements are unnamed and typed by us, so that a connection has no state but its transaction: whichever session of
//! a transaction-pooling proxy serves it, it works.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::pin_mut;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, RowStream};

use crate::error::{Failure, Outcome};

/// A value and the type it is sent as.
pub(crate) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// Work that is done in one transaction, whole or not at all. It may be run more than once.
#[async_trait]
pub(crate) trait Work: Sync {
    /// What it finds out.
    type Output: Send;
    /// What it is called in errors and logs.
    const NAME: &'static str;
    /// Does it, in a transaction that the caller begins and commits.
    async fn run(&self, tx: &Tx<'_>) -> Outcome<Self::Output>;
}

/// An open transaction.
pub(crate) struct Tx<'c> {
    pub(crate) client: &'c Client,
    /// How long the server may be silent.
    pub(crate) patience: Duration,
    /// pgvector's type, whose number every database draws anew.
    pub(crate) vector: &'c Type,
}

impl Tx<'_> {
    /// All rows of a statement.
    pub(crate) async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Outcome<Vec<Row>> {
        within(self.patience, self.client.query_typed(sql, params)).await
    }

    /// The rows of a statement one by one, so that a large answer is never whole in memory.
    pub(crate) async fn stream(&self, sql: &str, params: &[Param<'_>]) -> Outcome<RowStream> {
        let params: Vec<(&(dyn ToSql + Sync), Type)> = params.to_vec();
        within(self.patience, self.client.query_typed_raw(sql, params)).await
    }

    /// The first row, if there is one.
    pub(crate) async fn first(&self, sql: &str, params: &[Param<'_>]) -> Outcome<Option<Row>> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// The row that is always there.
    pub(crate) async fn one(&self, sql: &str, params: &[Param<'_>]) -> Outcome<Row> {
        self.first(sql, params)
            .await?
            .ok_or_else(|| Failure::corrupt("read", "a row that is always there is not"))
    }

    /// How many rows a statement changed.
    pub(crate) async fn execute(&self, sql: &str, params: &[Param<'_>]) -> Outcome<u64> {
        within(self.patience, self.client.execute_typed(sql, params)).await
    }

    /// Runs statements without values.
    pub(crate) async fn batch(&self, sql: &str) -> Outcome<()> {
        within(self.patience, self.client.batch_execute(sql)).await
    }

    /// Sends rows by binary COPY. No rows are not sent at all.
    pub(crate) async fn copy<R: CopyRow>(
        &self,
        sql: &str,
        types: &[Type],
        rows: impl IntoIterator<Item = R>,
    ) -> Outcome<()> {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let sink = within(self.patience, self.client.copy_in(sql)).await?;
        let writer = BinaryCopyInWriter::new(sink, types);
        pin_mut!(writer);
        for row in rows {
            within(self.patience, writer.as_mut().write(&row.values())).await?;
        }
        within(self.patience, writer.finish()).await?;
        Ok(())
    }
}

/// A row that COPY can send.
pub(crate) trait CopyRow: Send {
    /// Its values, in the order of the statement's columns.
    fn values(&self) -> Vec<&(dyn ToSql + Sync)>;
}

/// Waits for the server, but not for one that has died without a word.
pub(crate) async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Outcome<T> {
    match tokio::time::timeout(patience, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::Silent),
    }
}
