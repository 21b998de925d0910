//! The threads that compare rows. Questions that wait for one are answered together: the rows are read from memory once
//! for all of them, and memory is what limits a single question.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use retriever::{SearchOptions, Searched};
use storage_core::Embedding;
use tokio::sync::oneshot;

use crate::problem::{Code, Problem};
use crate::routes::search::looks_at_every_row;
use crate::snapshot::Served;

/// Questions answered in one go.
const TOGETHER: usize = 16;

/// What was found, and how long the comparing took.
pub(crate) type Answer = (Vec<storage_core::Result<Searched>>, Duration);

struct Task {
    served: Arc<Served>,
    questions: Vec<(Embedding, SearchOptions)>,
    reply: oneshot::Sender<Answer>,
}

impl Task {
    fn is_slow(&self) -> bool {
        self.questions
            .iter()
            .any(|(_, options)| looks_at_every_row(&options.filter))
    }
}

/// A bounded queue, and threads that empty it for as long as it lives.
#[derive(Debug, Clone)]
pub(crate) struct Searches {
    queue: Sender<Task>,
}

impl Searches {
    /// Starts the threads.
    pub(crate) fn start(threads: usize, waiting: usize) -> std::io::Result<Self> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let (queue, tasks) = bounded(waiting.max(1));
        for number in 0..threads {
            let tasks: Receiver<Task> = tasks.clone();
            std::thread::Builder::new()
                .name(format!("search-{number}"))
                .spawn(move || work(&tasks))?;
        }
        Ok(Self { queue })
    }

    /// Asks a collection several questions at once.
    pub(crate) async fn ask(
        &self,
        served: Arc<Served>,
        questions: Vec<(Embedding, SearchOptions)>,
    ) -> Result<Answer, Problem> {
        let (reply, answer) = oneshot::channel();
        let task = Task {
            served,
            questions,
            reply,
        };
        self.queue.try_send(task).map_err(|error| match error {
            TrySendError::Full(_) => Problem::new(
                Code::Overloaded,
                "too many searches wait already; try again in a moment",
            ),
            TrySendError::Disconnected(_) => Problem::internal(&"no thread searches any longer"),
        })?;
        answer
            .await
            .map_err(|_| Problem::internal(&"a search ended without an answer"))
    }

    /// Searches that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }
}

fn work(tasks: &Receiver<Task>) {
    while let Ok(first) = tasks.recv() {
        let mut gathered = vec![first];
        let mut questions = gathered[0].questions.len();
        // Nobody waits for a search that takes long. A task of another collection ends the gathering, and is done next.
        while !gathered[0].is_slow()
            && questions < TOGETHER
            && let Ok(next) = tasks.try_recv()
        {
            questions += next.questions.len();
            let same = Arc::ptr_eq(&next.served, &gathered[0].served);
            if same && !next.is_slow() {
                gathered.push(next);
            } else {
                answer(std::mem::replace(&mut gathered, vec![next]));
                questions = gathered[0].questions.len();
            }
        }
        answer(gathered);
    }
}

fn answer(tasks: Vec<Task>) {
    let started = Instant::now();
    let served = Arc::clone(&tasks[0].served);
    // Whoever asked may have gone.
    let tasks = tasks.into_iter().filter(|task| !task.reply.is_closed());
    let (mut replies, mut questions) = (Vec::new(), Vec::new());
    for task in tasks {
        replies.push((task.questions.len(), task.reply));
        questions.extend(task.questions);
    }
    // What goes wrong in a search must not take the thread with it.
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        served.index.search_many(&questions)
    }));
    let Ok(found) = found else {
        return;
    };
    let took = started.elapsed();
    let mut found = found.into_iter();
    for (count, reply) in replies {
        let own = found.by_ref().take(count).collect();
        let _ = reply.send((own, took));
    }
}
