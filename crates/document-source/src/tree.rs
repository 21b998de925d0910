//! Documents of a directory or a pattern, or a single one, as a source.

mod walk;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use faq_source::{
    FaqSource, Identity, IssueKind, RowIssue, SourceError, SourceErrorKind, SourceLimits,
    SourceSnapshot,
};
use storage_core::Locator;

use crate::Extraction;
use crate::limits::{bytes as size, over};
use crate::rows::{self, DocumentOptions, KIND};
use walk::{Found, Root};

pub use walk::is_pattern;

/// What a row takes beside its text.
const ROW: u64 = 400;

/// Documents as a source. A document's id is its path below the directory, with `/` between the names; so it stays the
/// same when the directory moves. A document that cannot be read is an issue of the snapshot: its stored rows stay.
#[derive(Debug)]
pub struct Documents {
    location: String,
    root: Root,
    options: DocumentOptions,
    extraction: Arc<dyn Extraction>,
}

impl Documents {
    /// Looks at what the path is: a document, a directory, or a pattern such as `docs/**/*.md`.
    ///
    /// # Errors
    /// When there is nothing there, it may not be read, or the pattern is none.
    pub fn open(
        path: &Path,
        options: DocumentOptions,
        extraction: Arc<dyn Extraction>,
    ) -> Result<Self, SourceError> {
        options
            .chunking
            .check()
            .map_err(|fault| SourceError::new(SourceErrorKind::Unsupported, fault))?;
        Ok(Self {
            location: path.display().to_string(),
            root: Root::of(path)?,
            options,
            extraction,
        })
    }
}

impl FaqSource for Documents {
    fn describe(&self) -> String {
        format!("documents {}", self.location)
    }

    fn read(&mut self, limits: &SourceLimits) -> Result<SourceSnapshot, SourceError> {
        let mut options = self.options.clone();
        options.limits.file_bytes = options.limits.file_bytes.min(limits.file_bytes);
        let mut snapshot = SourceSnapshot {
            kind: KIND.to_owned(),
            location: self.location.clone(),
            name: self.root.name(),
            identity: Identity::Given,
            ..SourceSnapshot::default()
        };
        let Found {
            documents,
            notices,
            issues,
        } = self
            .root
            .find(&options.limits)
            .map_err(|error| self.located(error))?;
        snapshot.notices = notices;
        snapshot.issues = issues;
        if documents.is_empty() && snapshot.issues.is_empty() {
            return Err(self.located(SourceError::new(
                SourceErrorKind::Empty,
                "no documents there; files with the extensions pdf, docx, html, htm, xhtml, md, markdown, txt and text are read",
            )));
        }
        let (mut text, mut held, mut first) = (0, 0, None);
        for (id, path) in documents {
            let before = snapshot.rows.len();
            let walked = !matches!(self.root, Root::File(_));
            let read = load(&path, walked, options.limits.file_bytes)
                .and_then(|bytes| rows::extract(&id, &bytes, &options, &*self.extraction));
            match read {
                Ok((kind, extracted)) => {
                    text += extracted.text.len() as u64;
                    rows::append(&mut snapshot, &id, kind, extracted, &options);
                }
                Err(error) if error.kind() == SourceErrorKind::Unavailable => {
                    return Err(self.located(error));
                }
                Err(error) => {
                    let issue = unreadable(&id, &error);
                    let fact = SourceError::new(error.kind(), issue.problem.clone());
                    snapshot.issues.push(issue);
                    first.get_or_insert(fact);
                }
            }
            held += snapshot.rows[before..]
                .iter()
                .map(|row| (row.answer.len() + row.question.len() + id.len()) as u64 + ROW)
                .sum::<u64>();
            let refusal = if text > options.limits.all_text_bytes {
                format!(
                    "the documents hold more than {} of text",
                    size(options.limits.all_text_bytes)
                )
            } else if snapshot.rows.len() as u64 > limits.rows {
                format!("the documents make more than {} chunks", limits.rows)
            } else if held > limits.memory_bytes {
                format!(
                    "the chunks take more than {} of memory",
                    size(limits.memory_bytes)
                )
            } else {
                continue;
            };
            return Err(self.located(over(format!(
                "{refusal}; sync parts of them into collections of their own"
            ))));
        }
        match first {
            // Nothing to go on with; and a source without rows would delete all that are stored.
            Some(error) if snapshot.rows.is_empty() => Err(self.located(error)),
            _ => Ok(snapshot),
        }
    }
}

impl Documents {
    fn located(&self, error: SourceError) -> SourceError {
        let message = format!("{}: {error}", self.location);
        let located = SourceError::new(error.kind(), message);
        match std::error::Error::source(&error) {
            Some(cause) => located.with_source(cause.to_string()),
            None => located,
        }
    }
}

fn unreadable(id: &str, error: &SourceError) -> RowIssue {
    let kind = match error.kind() {
        SourceErrorKind::Empty => IssueKind::Empty,
        SourceErrorKind::Limit => IssueKind::TooLong,
        _ => IssueKind::Malformed,
    };
    let cause = std::error::Error::source(error)
        .map(|cause| format!(" ({cause})"))
        .unwrap_or_default();
    RowIssue {
        kind,
        id: Some(id.to_owned()),
        locator: Locator::default(),
        column: None,
        problem: format!("{id} cannot be read: {error}{cause}"),
    }
}

/// A file's bytes, within the limit. One that was found in a directory is opened as what it was found to be.
fn load(path: &Path, walked: bool, most: u64) -> Result<Vec<u8>, SourceError> {
    let failed = |error: std::io::Error| {
        SourceError::new(SourceErrorKind::Unreadable, "the file does not open").with_source(error)
    };
    let mut bytes = Vec::new();
    let file = if walked {
        regular(path)
    } else {
        File::open(path)
    };
    let file = file.map_err(failed)?;
    if file.metadata().is_ok_and(|data| data.len() > most) {
        return Err(rows::too_large(most));
    }
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(rows::too_large(most));
    }
    Ok(bytes)
}

/// Opens a regular file, and nothing that was put into its place since: no link out of the directory, and no pipe to
/// wait at.
fn regular(path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    let file = {
        use rustix::fs::{Mode, OFlags, open};
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        File::from(open(path, flags, Mode::empty())?)
    };
    #[cfg(not(unix))]
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
