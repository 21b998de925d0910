//! Noticing that a store has changed: a file tells nobody, so it is asked.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use rusqlite::Connection;
use storage_core::Generation;
use tokio::sync::watch as latest;

use crate::error::Outcome;
use crate::options::{Place, SqliteOptions};
use crate::reader::Reader;
use crate::sql;
use crate::worker::within;

/// The longest wait between two attempts to open a store that cannot be opened.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The generations of a store as it reaches them, beginning with today's, each within `every`; of several that follow
/// each other at once only the last may come. When another file takes the store's place, its generation comes whatever it
/// is: after a restore it may be a smaller number, or the same. It never ends by itself: a store that is not there yet,
/// is gone, locked or damaged is asked again. Takes a thread and one connection of its own, and holds nobody up; a store
/// in memory, which only its owner can change, is never told of.
#[must_use]
pub fn watch(options: SqliteOptions, every: Duration) -> BoxStream<'static, Generation> {
    let Place::File(_) = &options.place else {
        return stream::pending().boxed();
    };
    let (tell, heard) = latest::channel(None);
    // Nothing is ever sent: the thread waits on it, and whoever drops the stream wakes it up.
    let (alive, gone) = channel();
    let watch = Watch {
        options,
        reader: None,
        last: None,
    };
    let started = std::thread::Builder::new()
        .name("sqlite-watch".to_owned())
        .spawn(move || watch.run(every, &tell, &gone));
    if let Err(error) = started {
        tracing::warn!(%error, "a thread for watching the store cannot be started; its changes go unnoticed");
    }
    stream::unfold(
        Listener {
            heard,
            _alive: alive,
        },
        |mut listener| async move {
            loop {
                if listener.heard.changed().await.is_err() {
                    return std::future::pending().await;
                }
                let generation = *listener.heard.borrow_and_update();
                if let Some(generation) = generation {
                    return Some((generation, listener));
                }
            }
        },
    )
    .boxed()
}

struct Listener {
    heard: latest::Receiver<Option<Generation>>,
    _alive: Sender<()>,
}

struct Watch {
    options: SqliteOptions,
    reader: Option<Reader>,
    /// Of which store, and which generation: what was told last.
    last: Option<(String, Generation)>,
}

impl Watch {
    fn run(
        mut self,
        every: Duration,
        tell: &latest::Sender<Option<Generation>>,
        gone: &Receiver<()>,
    ) {
        let mut pause = every;
        loop {
            match self.look() {
                Ok(found) => {
                    pause = every;
                    let generation = found.1;
                    if self.last.as_ref() != Some(&found) {
                        self.last = Some(found);
                        tell.send_replace(Some(generation));
                    }
                }
                Err(failure) => {
                    tracing::debug!("the store cannot be watched: {}", failure.fact());
                    // Whatever is wrong with it, the next connection has not got it.
                    self.reader = None;
                    pause = (pause * 2).min(LONGEST_PAUSE.max(every));
                }
            }
            if gone.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    fn look(&mut self) -> Outcome<(String, Generation)> {
        let mut reader = match (self.reader.take(), &self.options.place) {
            (Some(reader), _) => reader,
            (None, Place::File(path)) if self.options.stays => {
                Reader::staying(path, self.options.busy_timeout)?
            }
            (None, Place::File(path)) => Reader::open(path, self.options.busy_timeout)?,
            (None, Place::Memory) => return Ok((String::new(), Generation::default())),
        };
        let found = reader.read(&|conn| within(conn, &identity))?;
        self.reader = Some(reader);
        Ok(found)
    }
}

/// Which store this is, and its generation. Two stores may be at the same one, and a restored one gets another name.
fn identity(conn: &Connection) -> Outcome<(String, Generation)> {
    let text = |row: &rusqlite::Row<'_>| row.get(0);
    let store = conn
        .prepare_cached(sql::STORE_IDENTITY)?
        .query_row((), text)?;
    let generation = conn
        .prepare_cached(sql::STORE_GENERATION)?
        .query_row((), |row| Ok(Generation(row.get(0)?)))?;
    Ok((store, generation))
}
