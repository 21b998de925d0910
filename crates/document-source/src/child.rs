//! Reads documents in a process of their own: a parser that loops, eats memory or crashes takes that process with it and
//! nothing else. What the process answers is as hostile as the document was.

mod wire;

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use faq_source::{SourceError, SourceErrorKind};

use crate::limits::bytes as size;
use crate::{DocumentKind, DocumentLimits, Extracted, Extraction, InProcess};

/// Reads every kind but plain text in a child process; plain text has no parser.
#[derive(Debug, Clone)]
pub struct ChildProcess {
    /// The program, which calls [`serve_one`] when it is given the arguments.
    pub program: PathBuf,
    /// What to call it with.
    pub arguments: Vec<OsString>,
}

impl Extraction for ChildProcess {
    fn extract(
        &self,
        kind: DocumentKind,
        bytes: &[u8],
        limits: &DocumentLimits,
    ) -> Result<Extracted, SourceError> {
        match kind {
            DocumentKind::Pdf
            | DocumentKind::Docx
            | DocumentKind::Html
            | DocumentKind::Markdown => self.ask(kind, bytes, limits),
            DocumentKind::Text => InProcess.extract(kind, bytes, limits),
        }
    }
}

impl ChildProcess {
    fn ask(
        &self,
        kind: DocumentKind,
        bytes: &[u8],
        limits: &DocumentLimits,
    ) -> Result<Extracted, SourceError> {
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                SourceError::new(
                    SourceErrorKind::Unavailable,
                    format!("cannot start {} to read it", self.program.display()),
                )
                .with_source(error)
            })?;
        let mut child = Ended(child);
        let request = wire::request(kind, limits);
        let most = wire::most(limits);
        let (Some(mut input), Some(output)) = (child.0.stdin.take(), child.0.stdout.take()) else {
            return Err(broke_off("it has no pipes"));
        };
        let (sender, receiver) = mpsc::channel();
        let deadline = Instant::now() + limits.child_wall;
        let mut late = false;
        let answer = thread::scope(|scope| {
            scope.spawn(move || {
                // A child that refuses reads no further; why, it says on the other pipe.
                let _ = input
                    .write_all(&request)
                    .and_then(|()| input.write_all(bytes));
            });
            scope.spawn(move || {
                let mut answer = Vec::new();
                let read = output.take(most + 1).read_to_end(&mut answer);
                let _ = sender.send(read.map(|_| answer));
            });
            let answer = receiver.recv_timeout(limits.child_wall);
            // Whatever came: it has nothing more to say, and the pipes end with it. One that has answered may still
            // not end, nor read what it was sent.
            if !matches!(&answer, Ok(Ok(answer)) if answer.len() as u64 <= most) {
                let _ = child.0.kill();
            } else if !ends_by(&mut child.0, deadline) {
                late = true;
                let _ = child.0.kill();
            }
            answer
        });
        let answer = answer.ok().filter(|_| !late);
        let Some(answer) = answer else {
            return Err(SourceError::new(
                SourceErrorKind::Limit,
                format!(
                    "reading it takes more than {} s; print it into a new file, or split it",
                    limits.child_wall.as_secs()
                ),
            ));
        };
        let answer =
            answer.map_err(|error| broke_off("its answer broke off").with_source(error))?;
        if answer.len() as u64 > most {
            return Err(SourceError::new(
                SourceErrorKind::Limit,
                format!("its text takes more than {}", size(limits.text_bytes)),
            ));
        }
        let status = child
            .0
            .wait()
            .map_err(|error| broke_off("it cannot be waited for").with_source(error))?;
        if !status.success() {
            return Err(ended(status, limits));
        }
        wire::answer(&answer, limits)
    }
}

/// A child that is not left behind, whatever happens here.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the child ends until then. There is no waiting for that with an end, so it is asked again and again.
fn ends_by(child: &mut Child, deadline: Instant) -> bool {
    const LONGEST: Duration = Duration::from_millis(50);
    let mut pause = Duration::from_micros(200);
    loop {
        match child.try_wait() {
            // What cannot be waited for is told of by the one who does.
            Ok(Some(_)) | Err(_) => return true,
            Ok(None) if Instant::now() >= deadline => return false,
            Ok(None) => thread::sleep(pause),
        }
        pause = (pause * 2).min(LONGEST);
    }
}

fn broke_off(fact: &str) -> SourceError {
    SourceError::new(
        SourceErrorKind::Format,
        format!("the reader of the document failed: {fact}"),
    )
}

/// Why a child that did not end well did not.
fn ended(status: ExitStatus, limits: &DocumentLimits) -> SourceError {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        const OUT_OF_TIME: [i32; 2] = [24, 9];
        const BROKEN: [i32; 2] = [6, 11];
        if status
            .signal()
            .is_some_and(|signal| OUT_OF_TIME.contains(&signal))
        {
            return SourceError::new(
                SourceErrorKind::Limit,
                format!(
                    "reading it takes more than {} s of processor time; print it into a new file, or split it",
                    limits.child_cpu.as_secs()
                ),
            );
        }
        if status
            .signal()
            .is_some_and(|signal| BROKEN.contains(&signal))
        {
            return SourceError::new(
                SourceErrorKind::Format,
                format!(
                    "it is damaged, or reading it takes more than {} of memory; print it into a new file, or split it",
                    size(limits.child_memory)
                ),
            );
        }
    }
    #[cfg(not(unix))]
    let _ = limits;
    SourceError::new(
        SourceErrorKind::Format,
        format!("it is damaged: its reader broke off ({status}); print it into a new file"),
    )
}

/// The other side: reads a request and a document from `input`, answers to `output`. `confine` is called in between,
/// with the limits that were asked for: [`confine`](crate::confine) in a process of its own.
///
/// # Errors
/// When the pipes break, or the request is none.
pub fn serve_one(
    input: impl Read,
    mut output: impl Write,
    confine: impl FnOnce(&DocumentLimits),
) -> io::Result<()> {
    const REQUEST: u64 = 4096;
    let mut input = BufReader::new(input);
    let mut request = Vec::new();
    input
        .by_ref()
        .take(REQUEST)
        .read_until(b'\n', &mut request)?;
    let (kind, limits) = wire::asked(&request).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "the first line is no request")
    })?;
    confine(&limits);
    let mut bytes = Vec::new();
    input.take(limits.file_bytes + 1).read_to_end(&mut bytes)?;
    let extracted = if bytes.len() as u64 > limits.file_bytes {
        Err(crate::rows::too_large(limits.file_bytes))
    } else {
        InProcess.extract(kind, &bytes, &limits)
    };
    output.write_all(&wire::answered(extracted)?)?;
    output.flush()
}

/// Bounds this process for good: memory and processor time as the limits say, no file written, no core left behind.
/// Where the system knows no such bounds, the reader's own limits and the clock of the one who asked remain.
pub fn confine(limits: &DocumentLimits) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let bound = |resource, most: u64| {
            let limit = Rlimit {
                current: Some(most),
                maximum: Some(most),
            };
            // A system that sets lower bounds already refuses higher ones, and that is as good.
            let _ = setrlimit(resource, limit);
        };
        bound(Resource::Core, 0);
        bound(Resource::Fsize, 0);
        bound(Resource::As, limits.child_memory);
        bound(Resource::Cpu, limits.child_cpu.as_secs().max(1));
    }
    #[cfg(not(unix))]
    let _ = limits;
}

#[cfg(test)]
mod tests;
