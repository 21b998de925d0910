//! Where waiting harms nobody: stores and files block the thread that asks them, and the threads of requests are few.

use std::future::Future;

use futures_util::future::{AbortHandle, abortable};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::problem::Problem;

/// Does something on a thread of its own, to its end, whoever still waits for it.
pub(crate) fn apart<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    let runtime = Handle::current();
    spawn_blocking(move || runtime.block_on(work))
}

/// Does something on a thread of its own for as long as somebody waits for it.
pub(crate) fn apart_while_wanted<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Wanted<T> {
    let (work, abort) = abortable(work);
    Wanted {
        work: apart(async move { work.await.ok() }),
        abort,
    }
}

/// Something that is done for as long as this is there.
#[derive(Debug)]
pub(crate) struct Wanted<T> {
    work: JoinHandle<Option<T>>,
    abort: AbortHandle,
}

impl<T> Wanted<T> {
    /// Waits for it; whoever stops waiting can go on later.
    ///
    /// # Errors
    /// When it panicked.
    pub(crate) async fn done(&mut self) -> Result<T, String> {
        match (&mut self.work).await {
            Ok(Some(done)) => Ok(done),
            Ok(None) => Err("nobody wanted it any more".to_owned()),
            Err(panic) => Err(panic.to_string()),
        }
    }
}

impl<T> Drop for Wanted<T> {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// Does what takes a processor for a while where no request waits for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = spawn_blocking(work).await;
    done.map_err(|panic| Problem::internal(&panic))
}
