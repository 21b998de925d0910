//! The one thread that owns a store's connection: jobs go in through a bounded channel, answers come back one by one.
//! Dropping a caller's future drops its answer, never its job.

use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use storage_core::{Result, StoreError, StoreErrorKind};
use tokio::sync::{mpsc, oneshot};

use crate::error::Outcome;
use crate::lock::Turns;
use crate::options::Place;

type Job = Box<dyn FnOnce(&mut Session) + Send>;

/// How many jobs may wait. A writer has one at a time; a server some dozens of reads.
const WAITING: usize = 64;

/// What the thread owns.
pub(crate) struct Session {
    pub(crate) conn: Connection,
    /// With it, every write waits for its turn among other writers; without it, the store is its writer's alone.
    pub(crate) turns: Option<Turns>,
}

impl Session {
    pub(crate) fn new(conn: Connection) -> Self {
        Self { conn, turns: None }
    }

    /// Runs a read in a transaction of its own, so that all of it is from one moment.
    pub(crate) fn read<T>(&mut self, read: impl Fn(&Connection) -> Outcome<T>) -> Outcome<T> {
        within(&self.conn, &read)
    }

    /// Runs a write in one transaction: committed when it succeeds, gone when it fails.
    pub(crate) fn write<T>(&mut self, write: impl FnOnce(&Connection) -> Outcome<T>) -> Outcome<T> {
        let _turn = self.turns.as_ref().map(Turns::take).transpose()?;
        // The lock is taken at once: a transaction that reads first and then wants to write fails without waiting.
        let transaction = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = write(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}

/// Runs a read in one transaction of a connection.
pub(crate) fn within<T>(conn: &Connection, read: &dyn Fn(&Connection) -> Outcome<T>) -> Outcome<T> {
    let transaction = conn.unchecked_transaction()?;
    let found = read(&transaction)?;
    // Nothing was written. A commit would fail on a damaged store for what the read has met, and hide what it found.
    transaction.rollback()?;
    Ok(found)
}

/// A handle on the thread. Dropping it lets the jobs that were sent finish, closes the connection and waits for that.
#[derive(Debug)]
pub(crate) struct Worker {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(crate) fn start(mut session: Session) -> Result<Self> {
        let (jobs, mut waiting) = mpsc::channel::<Job>(WAITING);
        let thread = std::thread::Builder::new()
            .name("sqlite-store".to_owned())
            .spawn(move || {
                while let Some(job) = waiting.blocking_recv() {
                    job(&mut session);
                }
            })
            .map_err(|error| {
                StoreError::new(
                    StoreErrorKind::Unavailable,
                    "open",
                    "the store's thread cannot be started",
                )
                .with_source(error)
            })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Runs a job on the thread and waits for its answer.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        place: &Place,
        job: impl FnOnce(&mut Session) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let gone = || {
            StoreError::new(
                StoreErrorKind::Internal,
                operation,
                "the store's thread has ended",
            )
        };
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |session| {
            // Nobody may be waiting any longer: the job was done all the same.
            drop(answer.send(job(session)));
        });
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job).await.map_err(|_| gone())?;
        answered
            .await
            .map_err(|_| gone())?
            .map_err(|failure| failure.at(operation, place))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
