//! Noticing that a store has changed: the server says so, and is asked besides. A standby does not pass on what the
//! primary says, nor does a proxy that pools transactions; there, asking is all there is.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use storage_core::{Generation, StoreErrorKind};
use tokio::time::Instant;

use crate::connect::{self, Session};
use crate::error::{Failure, Outcome};
use crate::options::PostgresOptions;
use crate::rows::{count, get};
use crate::tx::within;
use crate::{own_session, sql};

/// What every new generation is announced on: the schema and the number.
const CHANNEL: &str = "smart_support";

/// Between two attempts to reach a server that is not there.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The generations of a store as it reaches them, beginning with today's. Each comes as soon as the server announces it,
/// where it can, and within `every` where not; of several that follow each other at once only the last may come. After a
/// restore it may be a smaller number. It never ends by itself: a server that is away is looked for, a store that is not
/// there yet is waited for. Takes one connection of its own.
#[must_use]
pub fn watch(options: PostgresOptions, every: Duration) -> BoxStream<'static, Generation> {
    let watch = Watch {
        sql: sql::WATCH.replace("{schema}", &connect::quoted(options.schema())),
        options,
        every,
        connected: None,
        last: None,
        pause: PAUSE,
    };
    stream::unfold(watch, |mut watch| async {
        let generation = watch.next().await;
        Some((generation, watch))
    })
    .boxed()
}

struct Watch {
    options: PostgresOptions,
    every: Duration,
    sql: String,
    connected: Option<Connected>,
    last: Option<Generation>,
    pause: Duration,
}

struct Connected {
    session: Session,
    hears: Hears,
    /// When it is asked whatever was announced.
    next: Instant,
}

/// Whether announcements come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hears {
    Yes,
    /// On a standby: not until it is promoted.
    NotYet,
    /// Behind a proxy.
    Never,
}

impl Watch {
    async fn next(&mut self) -> Generation {
        loop {
            match self.step().await {
                Ok(Some(generation)) if self.last.replace(generation) != Some(generation) => {
                    return generation;
                }
                Ok(_) => {}
                Err(failure) => {
                    tracing::debug!("the store cannot be watched: {}", failure.fact());
                    // Whatever is wrong with it, the next connection has not got it.
                    self.connected = None;
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Waits for the next reason to ask, and asks.
    async fn step(&mut self) -> Outcome<Option<Generation>> {
        // Put back only where nothing went wrong, and where nobody stopped waiting.
        let mut connected = match self.connected.take() {
            Some(connected) => connected,
            None => self.connect().await?,
        };
        if !self.has_reason(&mut connected).await? {
            self.connected = Some(connected);
            return Ok(None);
        }
        connected.next = Instant::now() + self.every;
        let answer = connected.session.client.query_typed(&self.sql, &[]);
        let rows = within(self.options.connect_timeout, answer).await?;
        let row = rows
            .first()
            .ok_or_else(|| Failure::corrupt("watch", "the store has lost its own row"))?;
        let generation = Generation(count(row, 0)?);
        let standby: bool = get(row, 1)?;
        self.pause = PAUSE;
        // Promoted: the next connection can listen.
        if standby || connected.hears != Hears::NotYet {
            self.connected = Some(connected);
        }
        Ok(Some(generation))
    }

    /// Waits for an announcement of this store, or as long as nobody need announce anything.
    async fn has_reason(&self, connected: &mut Connected) -> Outcome<bool> {
        tokio::select! {
            notification = connected.session.notifications.recv() => {
                let notification = notification.ok_or(Failure::Silent)?;
                let schema = notification.payload().rsplit_once(' ');
                Ok(notification.channel() == CHANNEL
                    && schema.is_some_and(|(schema, _)| schema == self.options.schema()))
            }
            () = tokio::time::sleep_until(connected.next) => Ok(true),
        }
    }

    async fn connect(&self) -> Outcome<Connected> {
        let session = connect::connect_once(&self.options).await?;
        let client = &session.client;
        let rows = within(
            self.options.connect_timeout,
            client.query_typed(sql::WRITABLE, &[]),
        );
        let rows = rows.await?;
        let standby = match rows.first() {
            Some(row) => get(row, 0)?,
            None => false,
        };
        let hears = if standby {
            Hears::NotYet
        } else {
            match own_session::require(client, &self.options).await {
                Ok(()) => {
                    client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
                    Hears::Yes
                }
                Err(Failure::Store(error)) if error.kind() == StoreErrorKind::Unsupported => {
                    Hears::Never
                }
                Err(failure) => return Err(failure),
            }
        };
        tracing::debug!(?hears, "watching");
        Ok(Connected {
            session,
            hears,
            next: Instant::now(),
        })
    }
}
