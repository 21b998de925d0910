//! The one error type of this crate: what failed, what to do about it, what to type next.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;

use crate::known::KnownModel;

/// Says what the caller can do about a [`ModelError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelErrorKind {
    /// There is no weights file at the path: fetch it, or name another path.
    Missing,
    /// The file is not the model or does not hold together: remove it and fetch it again.
    Damaged,
    /// The package, the mirror or the tool that reaches them is not available: put that right or try later.
    Unavailable,
    /// What was downloaded is not what is pinned: do not use it; look at the mirror or the package index.
    Mismatch,
    /// The place the weights are kept in cannot be read or written: free space, or mend its permissions.
    Storage,
}

/// An error of loading, fetching or running the local model.
///
/// The message is one line, lower case, and ends with the command to type next where there is one.
/// The cause, if another layer reported one, is in [`source`](StdError::source) and not repeated in the text.
pub struct ModelError {
    kind: ModelErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What is wrong with a file, found by a reader that knows neither the file's name nor whose it is.
#[derive(Debug)]
pub(crate) struct Damage {
    pub(crate) message: String,
    /// Which of the model's files it is about, counted from 0.
    pub(crate) file: usize,
}

impl Damage {
    /// Something wrong with the weights.
    pub(crate) fn new(message: impl fmt::Display) -> Damage {
        Damage {
            message: message.to_string(),
            file: 0,
        }
    }

    /// The same, of the model's file of this number.
    pub(crate) fn of_file(self, file: usize) -> Damage {
        Damage { file, ..self }
    }
}

impl ModelError {
    pub(crate) fn new(kind: ModelErrorKind, message: impl Into<String>) -> ModelError {
        ModelError {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// What is wrong with one of the files at `paths`, and how to get it again. Files in memory have no paths.
    pub(crate) fn damaged(model: &KnownModel, paths: &[PathBuf], damage: &Damage) -> ModelError {
        let Damage { message, file } = damage;
        let name = model.files.get(*file).map_or("file", |file| file.name);
        let shown = match paths.get(*file) {
            Some(path) => path.display().to_string(),
            None => name.to_owned(),
        };
        ModelError::new(
            ModelErrorKind::Damaged,
            format!(
                "{shown} of the model {} is damaged: {message}; remove it and run `{}`, or name another with --model-path",
                model.name,
                model.fetch_command()
            ),
        )
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> ModelError {
        self.source = Some(source.into());
        self
    }

    /// Tells what the caller can do about it.
    pub fn kind(&self) -> ModelErrorKind {
        self.kind
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelError")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for ModelError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
