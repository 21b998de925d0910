//! Ctrl-C and SIGTERM. The first asks for a clean stop: nothing more is sent, what arrives is kept, and the run says
//! how to go on. The second, or the first where there is nothing to finish, leaves at once, which is as safe as a power
//! cut.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

use embedder_client::Meter;

use crate::exit::{ExitCode, Failure};

/// What a run is at, as far as leaving is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is begun.
    Preparing = 0,
    /// Calls may be in flight that are paid for.
    Working = 1,
    /// Everything is on disk.
    Finishing = 2,
}

/// Listens from the moment it is made until the process ends.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    phase: Arc<AtomicU8>,
    /// Exit code of the first signal; 0 before.
    code: Arc<AtomicU8>,
}

impl Interrupt {
    /// Starts listening, and stops the meter when asked to stop.
    pub(crate) fn listen(meter: Meter) -> Self {
        let interrupt = Self {
            phase: Arc::new(AtomicU8::new(Phase::Preparing as u8)),
            code: Arc::new(AtomicU8::new(0)),
        };
        let heard = interrupt.clone();
        // A thread of its own: the work may keep the others busy for longer than anybody waits.
        let thread = std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || heard.wait(&meter));
        if let Err(error) = thread {
            tracing::debug!(%error, "no clean stop: the thread that listens cannot be started");
        }
        interrupt
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// The code to end with after a clean stop.
    pub(crate) fn code(&self) -> ExitCode {
        if self.code.load(Ordering::SeqCst) == ExitCode::Terminated as u8 {
            ExitCode::Terminated
        } else {
            ExitCode::Interrupted
        }
    }

    /// A stopped run's failure, with the code of the signal that stopped it.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        match failure.code {
            ExitCode::Interrupted => Failure {
                code: self.code(),
                ..failure
            },
            _ => failure,
        }
    }

    fn wait(&self, meter: &Meter) {
        let listen = || -> io::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut signals = Signals::new()?;
                loop {
                    self.heard(signals.next().await, meter);
                }
            })
        };
        if let Err(error) = listen() {
            tracing::debug!(%error, "no clean stop: signals cannot be heard");
        }
    }

    fn heard(&self, code: ExitCode, meter: &Meter) {
        let phase = self.phase.load(Ordering::SeqCst);
        let first = self.code.swap(code as u8, Ordering::SeqCst) == 0;
        if first && phase == Phase::Working as u8 {
            tracing::warn!(
                "Stopping: nothing more is sent, what arrives is kept; once more to leave at once"
            );
            meter.stop();
            return;
        }
        let what = match phase {
            0 => "interrupted before anything was sent; run the same command again",
            1 => {
                "interrupted at once; what was stored stays paid for; to resume, run the same command again"
            }
            _ => "interrupted after the work was done; check it with `smart-support validate`",
        };
        crate::output::print_error(what);
        std::process::exit(code as i32);
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> ExitCode {
        poll_fn(|context| {
            if self.interrupt.poll_recv(context).is_ready() {
                Poll::Ready(ExitCode::Interrupted)
            } else if self.terminate.poll_recv(context).is_ready() {
                Poll::Ready(ExitCode::Terminated)
            } else {
                Poll::Pending
            }
        })
        .await
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> ExitCode {
        let heard = tokio::signal::ctrl_c().await;
        if heard.is_err() {
            std::future::pending::<()>().await;
        }
        ExitCode::Interrupted
    }
}
