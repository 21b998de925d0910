//! A thread that reads, and a stream of what it reads. Files are read by blocking calls, which have no place on the
//! runtime's threads; the channel between holds a few batches, so a slow listener slows the reader down.

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use storage_core::{ImportError, ImportFault, Imported, ImportedRecord};
use tokio::sync::mpsc;

/// Batches that may wait for the listener.
const AHEAD: usize = 4;
/// A batch is handed over when it holds so many entries...
const ENTRIES: usize = 512;
/// ...or so many bytes.
const BYTES: usize = 1 << 20;

type Batch = Vec<Imported>;

/// Why a reader ends before the end.
pub(crate) enum Stop {
    /// Nobody listens any more.
    Deaf,
    /// It cannot go on.
    Failed(ImportError),
}

impl From<ImportError> for Stop {
    fn from(error: ImportError) -> Self {
        Self::Failed(error)
    }
}

/// Where a reader puts what it read.
pub(crate) struct Outlet<'a> {
    hand_over: &'a mut dyn FnMut(Batch) -> bool,
    batch: Batch,
    bytes: usize,
}

impl Outlet<'_> {
    /// Runs a reader; `hand_over` says whether it wants more.
    pub(crate) fn drain(
        hand_over: &mut dyn FnMut(Batch) -> bool,
        work: impl FnOnce(&mut Outlet<'_>) -> Result<(), Stop>,
    ) -> Result<(), ImportError> {
        let mut outlet = Outlet {
            hand_over,
            batch: Vec::new(),
            bytes: 0,
        };
        let ended = work(&mut outlet);
        // What came before an error stands.
        let flushed = match &ended {
            Err(Stop::Deaf) => Ok(()),
            _ => outlet.flush(),
        };
        match ended.and(flushed) {
            Ok(()) | Err(Stop::Deaf) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    pub(crate) fn record(&mut self, record: ImportedRecord) -> Result<(), Stop> {
        let bytes = 4 * record.embedding.as_slice().len()
            + record.document.len()
            + record.text.as_ref().map_or(0, String::len);
        self.put(Imported::Record(Box::new(record)), bytes)
    }

    pub(crate) fn fault(&mut self, fault: ImportFault) -> Result<(), Stop> {
        let bytes = fault.reason.len();
        self.put(Imported::Fault(fault), bytes)
    }

    fn put(&mut self, entry: Imported, bytes: usize) -> Result<(), Stop> {
        self.batch.push(entry);
        self.bytes += bytes;
        if self.batch.len() >= ENTRIES || self.bytes >= BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Stop> {
        self.bytes = 0;
        if self.batch.is_empty() || (self.hand_over)(std::mem::take(&mut self.batch)) {
            Ok(())
        } else {
            Err(Stop::Deaf)
        }
    }
}

/// Runs a reader in a thread of its own once somebody listens.
pub(crate) fn stream(
    work: impl FnOnce(&mut Outlet<'_>) -> Result<(), Stop> + Send + 'static,
) -> BoxStream<'static, Result<Batch, ImportError>> {
    stream::once(async move {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let worker = tokio::task::spawn_blocking(move || {
            let mut hand_over = |batch| sender.blocking_send(batch).is_ok();
            Outlet::drain(&mut hand_over, work)
        });
        stream::unfold((receiver, Some(worker)), |(mut receiver, worker)| async {
            if let Some(batch) = receiver.recv().await {
                return Some((Ok(batch), (receiver, worker)));
            }
            // The thread is at its end: how it ended is part of what it read.
            match worker?.await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some((Err(error), (receiver, None))),
                Err(ended) => match ended.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // Cancelled: the runtime is going down.
                    Err(_) => None,
                },
            }
        })
    })
    .flatten()
    .boxed()
}
