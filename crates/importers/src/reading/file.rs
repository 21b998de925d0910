//! A file that is read more than once and must be the same each time.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use storage_core::{ImportError, ImportErrorKind};

/// A regular file, and what it looked like when it was found.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

impl SourceFile {
    /// Looks at a file without opening it: a pipe would block.
    pub(crate) fn find(path: &Path) -> Result<Self, ImportError> {
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
        if !metadata.is_file() {
            return Err(ImportError::new(
                ImportErrorKind::Unsupported,
                format!("no regular file, save a copy as one: {}", path.display()),
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            length: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// As a person writes it.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Its name without the extension.
    pub(crate) fn stem(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// Bytes it had when it was found.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Opens it for reading.
    pub(crate) fn open(&self) -> Result<File, ImportError> {
        let file = File::open(&self.path).map_err(|error| self.failed(error))?;
        let metadata = file.metadata().map_err(|error| self.failed(error))?;
        self.compare(&metadata)?;
        Ok(file)
    }

    /// Fails when it is no longer what was found.
    pub(crate) fn unchanged(&self) -> Result<(), ImportError> {
        let metadata = fs::metadata(&self.path).map_err(|error| self.failed(error))?;
        self.compare(&metadata)
    }

    fn compare(&self, metadata: &Metadata) -> Result<(), ImportError> {
        if metadata.len() == self.length && metadata.modified().ok() == self.modified {
            Ok(())
        } else {
            Err(self.changing())
        }
    }

    /// Somebody writes to it.
    pub(crate) fn changing(&self) -> ImportError {
        ImportError::new(
            ImportErrorKind::Changing,
            format!(
                "the file changed while it was read, stop what writes to it and import again: {}",
                self.name()
            ),
        )
    }

    /// A read that failed. An end that comes too early means that the file became shorter: lengths are checked before.
    pub(crate) fn failed(&self, error: io::Error) -> ImportError {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return self.changing();
        }
        unreadable(&self.path, error)
    }

    /// It contradicts itself.
    pub(crate) fn damaged(&self, fact: impl std::fmt::Display) -> ImportError {
        ImportError::new(ImportErrorKind::Damaged, format!("{fact}: {}", self.name()))
    }

    /// Its vectors are not as long as was asked.
    pub(crate) fn of_other_length(&self, fact: impl std::fmt::Display) -> ImportError {
        ImportError::new(
            ImportErrorKind::Dimensions,
            format!("{fact}: {}", self.name()),
        )
    }

    /// It is of a form that is not read.
    pub(crate) fn unsupported(&self, fact: impl std::fmt::Display) -> ImportError {
        ImportError::new(
            ImportErrorKind::Unsupported,
            format!("{fact}: {}", self.name()),
        )
    }
}

fn unreadable(path: &Path, error: io::Error) -> ImportError {
    if error.kind() == io::ErrorKind::NotFound {
        let meant = neighbour(path)
            .map(|name| format!(", did you mean `{name}`"))
            .unwrap_or_default();
        return ImportError::new(
            ImportErrorKind::NotFound,
            format!("there is no such file{meant}: {}", path.display()),
        );
    }
    ImportError::new(
        ImportErrorKind::Io,
        format!("the file cannot be read: {}", path.display()),
    )
    .with_source(error)
}

/// The name in the same directory that is most like the one asked for.
fn neighbour(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let directory = match path.parent()? {
        empty if empty.as_os_str().is_empty() => Path::new("."),
        directory => directory,
    };
    fs::read_dir(directory)
        .ok()?
        .take(1_000)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.chars().any(char::is_control))
        .map(|name| (strsim::jaro_winkler(wanted, &name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}
