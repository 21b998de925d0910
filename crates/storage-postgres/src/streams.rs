//! Reads that are longer than memory: one answer that is taken row by row, in a transaction that stays open as long.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use storage_core::Result;
use tokio_postgres::{Row, RowStream};

use crate::error::{Failure, Outcome};
use crate::readers::{Again, Readers, Reading};
use crate::tx::Tx;

/// What to read.
#[async_trait]
pub(crate) trait Long: Send + Sync + 'static {
    /// What an error says was done.
    const NAME: &'static str;
    /// What comes one by one.
    type Item: Send + 'static;
    /// Where the reading stands. Whoever drives it keeps the connection inside its transaction.
    type Reading: Send + Sync + 'static;

    /// `None` where there is nothing to read.
    async fn start(&self, tx: &Tx<'_>) -> Outcome<Option<Self::Reading>>;

    /// The next item.
    async fn next(reading: &mut Self::Reading) -> Outcome<Option<Self::Item>>;
}

struct Under<L: Long> {
    state: L::Reading,
    connection: Reading,
}

/// Reads it on a connection of its own.
pub(crate) fn read<L: Long>(
    readers: Arc<Readers>,
    place: String,
    wanted: L,
) -> BoxStream<'static, Result<L::Item>> {
    stream::once(async move {
        let started = start_patiently(&readers, &wanted).await;
        // The stream keeps its own connection, not the store.
        drop(readers);
        match started {
            Ok(None) => stream::empty().boxed(),
            Ok(Some(under)) => items(under, place),
            Err(failure) => stream::iter([Err(failure.at(L::NAME, &place))]).boxed(),
        }
    })
    .flatten()
    .boxed()
}

/// Nothing is given yet: where the server goes away, it is begun anew.
async fn start_patiently<L: Long>(readers: &Readers, wanted: &L) -> Outcome<Option<Under<L>>> {
    let mut again = Again::new();
    loop {
        match start(readers, wanted).await {
            Ok(started) => return Ok(started),
            Err(failure) => again.after(failure, L::NAME).await?,
        }
    }
}

async fn start<L: Long>(readers: &Readers, wanted: &L) -> Outcome<Option<Under<L>>> {
    let connection = readers.begin().await?;
    match wanted.start(&connection.tx()?).await {
        Ok(Some(state)) => Ok(Some(Under { state, connection })),
        Ok(None) => {
            connection.end().await;
            Ok(None)
        }
        Err(failure) => {
            if !failure.is_lost() {
                connection.end().await;
            }
            Err(failure)
        }
    }
}

fn items<L: Long>(under: Under<L>, place: String) -> BoxStream<'static, Result<L::Item>> {
    stream::unfold(Some(under), move |under| {
        let place = place.clone();
        async move {
            let mut under = under?;
            match L::next(&mut under.state).await {
                Ok(Some(item)) => Some((Ok(item), Some(under))),
                Ok(None) => {
                    let Under { state, connection } = under;
                    drop(state);
                    connection.end().await;
                    None
                }
                Err(failure) => Some((Err(failure.at(L::NAME, &place)), None)),
            }
        }
    })
    .boxed()
}

/// The next row of an answer, which may not take for ever.
pub(crate) async fn next_row(
    patience: Duration,
    rows: &mut Pin<&mut RowStream>,
) -> Outcome<Option<Row>> {
    match tokio::time::timeout(patience, rows.next()).await {
        Ok(row) => Ok(row.transpose()?),
        Err(_) => Err(Failure::Silent),
    }
}
