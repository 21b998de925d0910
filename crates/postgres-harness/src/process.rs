//! Owns the server's process: started, ready, stopped, killed. `postgres` itself is the child, without `pg_ctl`
//! between, in a process group of its own so that Ctrl-C reaches the tests and not their server.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::lifeline;

/// How long a server may take to accept connections.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a server that was asked to stop may take.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// How a server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Connections are ended, everything is written.
    Fast,
    /// Nothing is written: the next start recovers from the log, as after a crash.
    Immediate,
}

/// Whether the server ends with whoever started it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tie {
    /// It does, even when its owner is killed.
    #[default]
    Tied,
    /// It stays.
    Free,
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// The kernel's promise is about the *thread* that started the child, so one of its own waits until this is
    /// dropped.
    _keeper: mpsc::Sender<()>,
}

/// What became of a start.
pub(crate) enum Started {
    Ready(Process),
    Ended(ExitStatus),
}

impl Process {
    /// Starts the server and waits until it accepts connections, or has ended.
    pub(crate) fn start(command: Command, data: &Path, tie: Tie) -> Result<Started> {
        Self::start_until(command, tie, &|pid| is_ready(data, pid))
    }

    /// The same with a server of another sort, and whoever knows when that is ready.
    pub(crate) fn start_until(
        mut command: Command,
        tie: Tie,
        ready: &dyn Fn(u32) -> bool,
    ) -> Result<Started> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.process_group(0);
        if tie == Tie::Tied {
            lifeline::tie(&mut command);
        }
        let (keeper, dropped) = mpsc::channel::<()>();
        let (sender, receiver) = mpsc::channel();
        std::thread::Builder::new()
            .name("postgres-keeper".to_owned())
            .spawn(move || {
                if sender.send(command.spawn()).is_ok() {
                    let _ = dropped.recv();
                }
            })
            .context("cannot start a thread")?;
        let child = receiver
            .recv()
            .context("the thread that starts the server has ended")?
            .with_context(|| format!("cannot start {name}"))?;
        let mut process = Self {
            child,
            _keeper: keeper,
        };
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = process
                .child
                .try_wait()
                .context("cannot wait for postgres")?
            {
                return Ok(Started::Ended(status));
            }
            if ready(process.child.id()) {
                return Ok(Started::Ready(process));
            }
            if Instant::now() > deadline {
                process.kill()?;
                bail!("{name} is not ready after {} s", READY_WITHIN.as_secs());
            }
            std::thread::sleep(POLL);
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it: as asked, then harder.
    pub(crate) fn stop(&mut self, shutdown: Shutdown) -> Result<()> {
        if shutdown == Shutdown::Fast {
            self.signal(Signal::INT)?;
            if self.ended_within(STOPPED_WITHIN)? {
                return Ok(());
            }
        }
        self.signal(Signal::QUIT)?;
        if self.ended_within(STOPPED_WITHIN)? {
            return Ok(());
        }
        self.kill()
    }

    /// Ends it as a crash does. Its own children notice and end too.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.child.wait().context("cannot wait for postgres")?;
        Ok(())
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        // A child that was not waited for keeps its number: no other process can have it.
        if self
            .child
            .try_wait()
            .context("cannot wait for postgres")?
            .is_some()
        {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), signal).context("cannot signal postgres")
    }

    fn ended_within(&mut self, limit: Duration) -> Result<bool> {
        let deadline = Instant::now() + limit;
        loop {
            if self
                .child
                .try_wait()
                .context("cannot wait for postgres")?
                .is_some()
            {
                return Ok(true);
            }
            if Instant::now() > deadline {
                return Ok(false);
            }
            std::thread::sleep(POLL);
        }
    }
}

/// The number of the server that the data directory names, running or not.
pub(crate) fn postmaster(data: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}

fn is_ready(data: &Path, pid: u32) -> bool {
    let Ok(text) = std::fs::read_to_string(data.join("postmaster.pid")) else {
        return false;
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    // A crashed server's file is still there until the new one writes its own.
    lines.first() == Some(&pid.to_string().as_str()) && lines.get(7) == Some(&"ready")
}

/// Whether this process is a server on this data directory: a number alone may be some other process's by now.
#[must_use]
pub fn is_server_of(pid: u32, data: &Path) -> bool {
    command_line(pid).is_some_and(|line| line.contains(&*data.to_string_lossy()))
}

/// Stops a server that is nobody's child here.
pub(crate) fn stop_foreign(pid: u32, data: &Path) -> Result<()> {
    let target = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .context("no process number")?;
    for signal in [Signal::INT, Signal::QUIT, Signal::KILL] {
        if !is_server_of(pid, data) {
            return Ok(());
        }
        // It may end just now.
        let _ = kill_process(target, signal);
        let deadline = Instant::now() + STOPPED_WITHIN;
        while Instant::now() < deadline {
            if !is_server_of(pid, data) {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
    }
    bail!("process {pid} does not end")
}

fn command_line(pid: u32) -> Option<String> {
    if Path::new("/proc/self/cmdline").exists() {
        let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    let output = Command::new("ps")
        .args(["-o", "command=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
