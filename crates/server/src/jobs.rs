//! Jobs: what changes the store takes longer than a request may. One runs at a time, the others wait in a bounded queue.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use embedder_client::Meter;
use storage_core::{CollectionName, Timestamp};
use sync_engine::Progress;
use tokio::sync::{Semaphore, watch};

use crate::apart::apart;
use crate::limits::Limits;
use crate::metrics::{JobLabels, Metrics};
use crate::problem::{Code, Problem};
use crate::service::Service;
use crate::shapes::{JobBody, JobProblem, JobResult, ProgressBody};
use crate::work::{self, Task};

/// The queue, and what became of the jobs that were in it.
#[derive(Debug)]
pub(crate) struct Jobs {
    waiting: usize,
    waiting_bytes: usize,
    kept: usize,
    metrics: Arc<Metrics>,
    table: Mutex<Table>,
    /// How much is being written, or about to be.
    busy: watch::Sender<usize>,
    /// Raised when the service is to end.
    ending: watch::Sender<bool>,
    /// Places for bodies that are being received.
    pub(crate) receiving: Arc<Semaphore>,
    /// Held by whoever writes: this process is one writer.
    pub(crate) writing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Table {
    jobs: BTreeMap<u64, Job>,
    waiting: VecDeque<(u64, Task)>,
    bytes: usize,
    last: u64,
    /// Whether there is a task that empties the queue.
    worker: bool,
    ending: bool,
}

#[derive(Debug)]
struct Job {
    id: String,
    kind: &'static str,
    state: State,
    collection: CollectionName,
    document: Option<String>,
    created: Timestamp,
    started: Option<Timestamp>,
    finished: Option<Timestamp>,
    heard: Arc<Heard>,
    meter: Option<Meter>,
    outcome: Option<Result<JobResult, Problem>>,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Done,
    Failed,
    Stopped,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    fn has_ended(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// How far a job is, as it says itself.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    reused: AtomicUsize,
    to_embed: AtomicUsize,
    embedded: AtomicUsize,
    stored: AtomicUsize,
}

impl Progress for Heard {
    fn embedding(&self, reused: usize, to_embed: usize, _: bool) {
        self.reused.store(reused, Ordering::Relaxed);
        self.to_embed.store(to_embed, Ordering::Relaxed);
    }

    fn embedded(&self, texts: usize) {
        self.embedded.fetch_add(texts, Ordering::Relaxed);
    }

    fn stored(&self, vectors: usize) {
        self.stored.fetch_add(vectors, Ordering::Relaxed);
    }
}

/// Why a job did not get to its end.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) problem: Problem,
    /// Whether it was told to stop; else it failed.
    pub(crate) stopped: bool,
}

impl From<Problem> for Unfinished {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            stopped: false,
        }
    }
}

fn ended() -> Problem {
    Problem::new(
        Code::ShuttingDown,
        "the service ended before the job did; nothing of it is visible, and what was paid for is kept: send it again",
    )
}

impl Jobs {
    pub(crate) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            waiting: limits.jobs,
            waiting_bytes: limits.waiting_bytes,
            kept: limits.kept_jobs,
            metrics,
            table: Mutex::default(),
            busy: watch::Sender::new(0),
            ending: watch::Sender::new(false),
            receiving: Arc::new(Semaphore::new(limits.uploads)),
            writing: Arc::default(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job into the queue.
    ///
    /// # Errors
    /// `Overloaded` when too much waits, `ShuttingDown` when none is taken any more.
    pub(crate) fn add(
        service: &Arc<Service>,
        collection: CollectionName,
        task: Task,
    ) -> Result<JobBody, Problem> {
        let jobs = &service.jobs;
        let now = service.backend.now();
        let mut table = jobs.table();
        if table.ending {
            return Err(Problem::new(
                Code::ShuttingDown,
                "the service is about to end",
            ));
        }
        let bytes = table.bytes.saturating_add(task.bytes());
        if table.waiting.len() >= jobs.waiting || bytes > jobs.waiting_bytes {
            let detail = format!(
                "{} jobs wait already; try again when some are done",
                table.waiting.len()
            );
            return Err(Problem::new(Code::Overloaded, detail).retry_after(5));
        }
        table.last += 1;
        let number = table.last;
        let job = Job {
            id: format!("{:x}-{number:x}", now.0),
            kind: task.kind(),
            state: State::Waiting,
            collection,
            document: task.document().map(ToOwned::to_owned),
            created: now,
            started: None,
            finished: None,
            heard: Arc::default(),
            meter: None,
            outcome: None,
        };
        let body = job.body();
        table.jobs.insert(number, job);
        table.bytes = bytes;
        table.waiting.push_back((number, task));
        jobs.count(&table);
        if !table.worker {
            table.worker = true;
            tokio::spawn(work(UnderWay::new(service)));
        }
        Ok(body)
    }

    /// Begins to write beside the queue: the end waits for it.
    ///
    /// # Errors
    /// `ShuttingDown` when nothing is begun any more.
    pub(crate) fn beside(service: &Arc<Service>) -> Result<UnderWay, Problem> {
        let table = service.jobs.table();
        if table.ending {
            return Err(Problem::new(
                Code::ShuttingDown,
                "the service is about to end",
            ));
        }
        Ok(UnderWay::new(service))
    }

    /// The job of that id.
    pub(crate) fn get(&self, id: &str) -> Option<JobBody> {
        let (_, number) = id.rsplit_once('-')?;
        let number = u64::from_str_radix(number, 16).ok()?;
        let table = self.table();
        let job = table.jobs.get(&number).filter(|job| job.id == id)?;
        Some(job.body())
    }

    /// The newest jobs, newest first.
    pub(crate) fn newest(&self, most: usize) -> Vec<JobBody> {
        let table = self.table();
        table
            .jobs
            .values()
            .rev()
            .take(most)
            .map(Job::body)
            .collect()
    }

    /// Takes the job that is next, if one is.
    fn next(&self, now: Timestamp) -> Option<(u64, Task)> {
        let mut table = self.table();
        let Some((number, task)) = table.waiting.pop_front() else {
            table.worker = false;
            return None;
        };
        table.bytes = table.bytes.saturating_sub(task.bytes());
        if let Some(job) = table.jobs.get_mut(&number) {
            job.state = State::Running;
            job.started = Some(now);
        }
        self.count(&table);
        Some((number, task))
    }

    /// What a job that begins works with: where it goes, and who hears how it gets on.
    fn begun(&self, number: u64) -> Option<(CollectionName, Arc<Heard>)> {
        let table = self.table();
        let job = table.jobs.get(&number)?;
        Some((job.collection.clone(), Arc::clone(&job.heard)))
    }

    /// Lets whoever ends the service stop a job.
    pub(crate) fn spends(&self, number: u64, meter: &Meter) {
        let mut table = self.table();
        if table.ending {
            meter.stop();
        }
        if let Some(job) = table.jobs.get_mut(&number) {
            job.meter = Some(meter.clone());
        }
    }

    fn finish(&self, number: u64, outcome: Result<JobResult, Unfinished>, now: Timestamp) {
        let mut table = self.table();
        if let Some(job) = table.jobs.get_mut(&number) {
            let state = match &outcome {
                Ok(_) => State::Done,
                Err(why) if why.stopped => State::Stopped,
                Err(_) => State::Failed,
            };
            self.settle(job, state, outcome.map_err(|why| why.problem), now);
        }
        self.forget(&mut table);
    }

    fn settle(
        &self,
        job: &mut Job,
        state: State,
        outcome: Result<JobResult, Problem>,
        now: Timestamp,
    ) {
        match &outcome {
            Ok(done) => tracing::info!(
                "job {} ({}) done: {} rows, {} texts embedded",
                job.id,
                job.kind,
                done.synced,
                done.embedded
            ),
            Err(problem) => tracing::warn!(
                "job {} ({}) {}: {}",
                job.id,
                job.kind,
                state.as_str(),
                problem.detail
            ),
        }
        job.state = state;
        job.finished = Some(now);
        job.outcome = Some(outcome);
        job.meter = None;
        let labels = JobLabels {
            kind: job.kind.to_owned(),
            state: state.as_str().to_owned(),
        };
        self.metrics.jobs.get_or_create(&labels).inc();
    }

    /// Forgets the oldest of those that have ended.
    fn forget(&self, table: &mut Table) {
        let ended = table.jobs.iter().filter(|(_, job)| job.state.has_ended());
        let ended: Vec<u64> = ended.map(|(number, _)| *number).collect();
        let surplus = ended.len().saturating_sub(self.kept);
        for number in &ended[..surplus] {
            table.jobs.remove(number);
        }
    }

    fn count(&self, table: &Table) {
        let waiting = i64::try_from(table.waiting.len()).unwrap_or(i64::MAX);
        self.metrics.jobs_waiting.set(waiting);
    }

    /// Takes no further job, and stops the one that runs: cleanly, so that it can be gone on with.
    pub(crate) fn end(&self, now: Timestamp) {
        let mut table = self.table();
        table.ending = true;
        self.ending.send_replace(true);
        table.bytes = 0;
        let waiting: Vec<u64> = table.waiting.drain(..).map(|(number, _)| number).collect();
        for number in waiting {
            if let Some(job) = table.jobs.get_mut(&number) {
                self.settle(job, State::Stopped, Err(ended()), now);
            }
        }
        for job in table.jobs.values() {
            if let Some(meter) = &job.meter {
                meter.stop();
            }
        }
        self.count(&table);
    }

    /// Waits until nobody writes.
    pub(crate) async fn idle(&self) {
        // It fails when the sender is gone, and the sender is here.
        let _ = self.busy.subscribe().wait_for(|busy| *busy == 0).await;
    }

    /// Waits until the service is to end.
    pub(crate) async fn ended(&self) -> Unfinished {
        let _ = self.ending.subscribe().wait_for(|ending| *ending).await;
        Unfinished {
            problem: ended(),
            stopped: true,
        }
    }
}

impl Job {
    fn body(&self) -> JobBody {
        let heard = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let outcome = self.outcome.as_ref();
        JobBody {
            id: self.id.clone(),
            kind: self.kind,
            state: self.state.as_str(),
            collection: self.collection.to_string(),
            document_id: self.document.clone(),
            progress: ProgressBody {
                reused: heard(&self.heard.reused),
                to_embed: heard(&self.heard.to_embed),
                embedded: heard(&self.heard.embedded),
                stored: heard(&self.heard.stored),
            },
            created_at: wire::time(self.created),
            started_at: self.started.map(wire::time),
            finished_at: self.finished.map(wire::time),
            result: outcome.and_then(|outcome| outcome.as_ref().ok().cloned()),
            problem: outcome
                .and_then(|outcome| outcome.as_ref().err())
                .map(|problem| JobProblem {
                    code: problem.code.as_str(),
                    detail: problem.detail.clone(),
                }),
        }
    }
}

/// Something that is being written: the service does not end before this is gone, or its patience is.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Service>);

impl UnderWay {
    fn new(service: &Arc<Service>) -> Self {
        service.jobs.busy.send_modify(|busy| *busy += 1);
        Self(Arc::clone(service))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.jobs.busy.send_modify(|busy| *busy -= 1);
    }
}

/// Empties the queue, one job after the other.
async fn work(under_way: UnderWay) {
    let service = Arc::clone(&under_way.0);
    while let Some((number, task)) = service.jobs.next(service.backend.now()) {
        let Some((collection, heard)) = service.jobs.begun(number) else {
            continue;
        };
        let job = work::run(Arc::clone(&service), number, collection, heard, task);
        // A thread of its own: a panic ends that job and no other, and a store that blocks holds no request up.
        let outcome = match apart(job).await {
            Ok(outcome) => outcome,
            Err(panic) => Err(Problem::internal(&panic).into()),
        };
        service.jobs.finish(number, outcome, service.backend.now());
    }
}
