//! Children: started, watched, ended.

use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self
            .code
            .map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        let said = self.stderr.trim();
        write!(f, "{code}: {}", said.lines().last().unwrap_or_default())
    }
}

/// A child whose output goes to files, so that it never waits for somebody to read.
pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: File,
    stderr: File,
    started: Instant,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command
            .stdout(Stdio::from(stdout.try_clone()?))
            .stderr(Stdio::from(stderr.try_clone()?));
        Ok(Self {
            started: Instant::now(),
            child: command.spawn()?,
            stdout,
            stderr,
        })
    }

    /// Waits for its end; one that takes too long is killed and is a failure.
    pub(crate) fn end(mut self, deadline: Duration) -> Result<Ended> {
        let until = Instant::now() + deadline;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > until {
                self.child.kill()?;
                self.child.wait()?;
                bail!("it hangs: killed after {} s", deadline.as_secs());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let ended = Ended {
            took: self.started.elapsed(),
            code: status.code(),
            stdout: read(self.stdout)?,
            stderr: read(self.stderr)?,
        };
        if ended.stderr.contains("panicked at") {
            bail!("it panics: {}", ended.stderr.trim());
        }
        Ok(ended)
    }
}

/// Runs a child to its end.
pub(crate) fn run(command: Command, deadline: Duration) -> Result<Ended> {
    Running::start(command)?.end(deadline)
}

fn read(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
