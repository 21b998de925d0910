//! A read-only store's connections. Everything runs where it is called: a command that reads once and ends would pay
//! more for a thread, and for handing it a hundred thousand rows, than for the reading.

use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use rusqlite::Connection;
use storage_core::Result;

use crate::error::{Failure, Outcome};
use crate::ops::pages::{Cursor, Pages};
use crate::options::{Place, SqliteOptions};
use crate::reader::{self, Reader};
use crate::sql;

/// Idle connections of one file. A connection is taken out while it is used, so the lock is never held for longer
/// than that takes.
pub(crate) struct Readers {
    idle: Mutex<Vec<Reader>>,
    path: PathBuf,
    timeout: Duration,
    stays: bool,
}

impl Readers {
    pub(crate) fn new(first: Reader, path: PathBuf, options: &SqliteOptions) -> Self {
        Self {
            idle: Mutex::new(vec![first]),
            path,
            timeout: options.busy_timeout,
            stays: options.stays,
        }
    }

    pub(crate) fn read<T>(&self, read: &dyn Fn(&Connection) -> Outcome<T>) -> Outcome<T> {
        let mut reader = self.take()?;
        let found = reader.read(read)?;
        self.give_back(reader);
        Ok(found)
    }

    /// A connection that sees the newest generation.
    fn take(&self) -> Outcome<Reader> {
        let idle = self.lock().pop();
        match idle {
            Some(mut reader) => {
                reader.refresh()?;
                Ok(reader)
            }
            None if self.stays => Reader::staying(&self.path, self.timeout),
            None => Reader::open(&self.path, self.timeout),
        }
    }

    fn give_back(&self, reader: Reader) {
        const KEPT: usize = 2;
        let mut idle = self.lock();
        if idle.len() < KEPT {
            idle.push(reader);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A long read on the caller's thread: a page is read when it is asked for, and between two pages other tasks have a turn.
pub(crate) fn stream<P: Pages>(
    readers: Arc<Readers>,
    wanted: P,
) -> BoxStream<'static, Result<P::Item>> {
    let state = Running {
        readers,
        wanted,
        under_way: None,
        tries: 0,
        sent: false,
        over: false,
    };
    stream::unfold(state, |mut state| async move {
        if state.over {
            return None;
        }
        if state.under_way.is_some() {
            turn().await;
        }
        let page = state.page();
        let items: Vec<_> = match page {
            Ok(records) => records.into_iter().map(Ok).collect(),
            Err(failure) => {
                state.over = true;
                let place = Place::File(state.readers.path.clone());
                vec![Err(failure.at(P::OPERATION, &place))]
            }
        };
        Some((stream::iter(items), state))
    })
    .flatten()
    .boxed()
}

struct Running<P: Pages> {
    readers: Arc<Readers>,
    wanted: P,
    under_way: Option<(Reader, P::Cursor)>,
    tries: usize,
    sent: bool,
    over: bool,
}

impl<P: Pages> Running<P> {
    fn page(&mut self) -> Outcome<Vec<P::Item>> {
        const TRIES: usize = 5;
        loop {
            let (reader, mut scan) = match self.under_way.take() {
                Some(under_way) => under_way,
                None => match self.begin()? {
                    Some(begun) => begun,
                    None => {
                        self.over = true;
                        return Ok(Vec::new());
                    }
                },
            };
            let page = scan.page(reader.connection());
            if reader.is_sound() {
                let page = page?;
                self.sent |= !page.is_empty();
                if scan.is_done() {
                    self.over = true;
                    reader.connection().execute_batch(sql::END_READ)?;
                    self.readers.give_back(reader);
                } else {
                    self.under_way = Some((reader, scan));
                }
                return Ok(page);
            }
            // The file was written to meanwhile: begin again, while nobody has seen a row.
            self.tries += 1;
            if self.sent || self.tries == TRIES {
                return Err(reader::changing());
            }
        }
    }

    fn begin(&self) -> Outcome<Option<(Reader, P::Cursor)>> {
        let reader = self.readers.take()?;
        reader.connection().execute_batch(sql::BEGIN_READ)?;
        match self.wanted.start(reader.connection()) {
            Ok(Some(scan)) => Ok(Some((reader, scan))),
            Ok(None) => {
                reader.connection().execute_batch(sql::END_READ)?;
                self.readers.give_back(reader);
                Ok(None)
            }
            Err(_) if !reader.is_sound() => Err(reader::changing()),
            Err(failure) => Err::<_, Failure>(failure),
        }
    }
}

/// Lets other tasks of the thread run once.
async fn turn() {
    let mut had = false;
    poll_fn(|context| {
        if had {
            return Poll::Ready(());
        }
        had = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
