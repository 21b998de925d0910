//! Where the files are, whether they may be opened as they are, and whether they stay as they were.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use storage_core::{ImportError, ImportErrorKind};
use tempfile::TempDir;

use super::damage::{changing, unreadable};

const DATABASE: &str = "chroma.sqlite3";

/// What writers leave beside the database while they write, or for ever when they die.
const COMPANIONS: [&str; 2] = ["-journal", "-wal"];

/// A persistent directory, and the database to open: its own, or a copy of it.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    original: PathBuf,
    copy: Option<Copied>,
}

/// A private copy; goes when the last reader goes.
#[derive(Debug)]
struct Copied {
    database: PathBuf,
    _directory: TempDir,
}

/// What a file looks like from outside, and how often SQLite changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    length: u64,
    changed: Option<SystemTime>,
    counters: Vec<u8>,
}

/// How the files were at a moment: if two are equal, nobody wrote in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    database: Vec<Option<Look>>,
    index: IndexStamp,
}

/// The index files of a collection at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct IndexStamp(Vec<Option<Look>>);

impl Stamp {
    /// The same database with the files of an index.
    pub(super) fn with_index(&self, index: &IndexStamp) -> Self {
        Self {
            database: self.database.clone(),
            index: index.clone(),
        }
    }
}

impl Files {
    /// Looks at a path that a person named.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported` for something else than a directory of 0.4 or later, `Changing`, `Io`.
    pub(super) fn find(path: &Path) -> Result<Self, ImportError> {
        let directory = match path.file_name() {
            Some(name) if name == OsStr::new(DATABASE) => path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .unwrap_or(Path::new(".")),
            _ => path,
        };
        let about = fs::metadata(directory).map_err(|error| unreadable(error, directory))?;
        if !about.is_dir() {
            return Err(ImportError::new(
                ImportErrorKind::Unsupported,
                format!(
                    "not a directory: {}; name the one that holds {DATABASE}",
                    directory.display()
                ),
            ));
        }
        let original = directory.join(DATABASE);
        match fs::metadata(&original) {
            Ok(about) if about.is_file() => {}
            Ok(_) => {
                return Err(ImportError::new(
                    ImportErrorKind::Unsupported,
                    format!("not a file: {}", original.display()),
                ));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(no_database(directory));
            }
            Err(error) => return Err(unreadable(error, &original)),
        }
        let mut files = Self {
            directory: directory.to_owned(),
            original,
            copy: None,
        };
        let header = files.header()?;
        if !header.starts_with(b"SQLite format 3\0") {
            return Err(ImportError::new(
                ImportErrorKind::Damaged,
                format!(
                    "not a SQLite database: {}; take a copy that is whole",
                    files.original.display()
                ),
            ));
        }
        // A write-ahead log makes even readers create files beside the database.
        let logs_ahead = header.get(18..20) != Some(&[1, 1]);
        let companions = COMPANIONS.map(|suffix| beside(&files.original, suffix));
        if logs_ahead || companions.iter().any(|path| path.exists()) {
            files.copy = Some(files.copied(&companions)?);
        }
        Ok(files)
    }

    /// The directory as it was named.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The database to open, and whether it is a copy that may be written to.
    pub(super) fn database(&self) -> (&Path, bool) {
        match &self.copy {
            Some(copy) => (&copy.database, true),
            None => (&self.original, false),
        }
    }

    /// How the files are now.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn stamp(&self, index: &[PathBuf]) -> Result<Stamp, ImportError> {
        let mut database = vec![look(&self.original, self.header()?)?];
        for suffix in COMPANIONS {
            database.push(look(&beside(&self.original, suffix), Vec::new())?);
        }
        Ok(Stamp {
            database,
            index: self.index_stamp(index)?,
        })
    }

    /// How the files of an index are now.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn index_stamp(&self, index: &[PathBuf]) -> Result<IndexStamp, ImportError> {
        let looks = index
            .iter()
            .map(|path| look(&self.directory.join(path), Vec::new()))
            .collect::<Result<_, _>>()?;
        Ok(IndexStamp(looks))
    }

    /// The first hundred bytes of the database: among them counters that SQLite moves with every write.
    fn header(&self) -> Result<Vec<u8>, ImportError> {
        let mut header = Vec::new();
        File::open(&self.original)
            .and_then(|file| file.take(100).read_to_end(&mut header))
            .map_err(|error| unreadable(error, &self.original))?;
        Ok(header)
    }

    /// A writer died, or writes: SQLite must put the file in order, and may not do so in somebody else's directory.
    fn copied(&self, companions: &[PathBuf]) -> Result<Copied, ImportError> {
        let before = self.stamp(&[])?;
        let failed = |error: std::io::Error| {
            ImportError::new(
                ImportErrorKind::Io,
                format!(
                    "cannot copy {} to put it in order; is there room for it in the directory for temporary files (TMPDIR)?",
                    self.original.display()
                ),
            )
            .with_source(error)
        };
        let directory = tempfile::Builder::new()
            .prefix("smart-support-import-")
            .tempdir()
            .map_err(failed)?;
        let database = directory.path().join(DATABASE);
        fs::copy(&self.original, &database).map_err(failed)?;
        for (from, suffix) in companions.iter().zip(COMPANIONS) {
            match fs::copy(from, beside(&database, suffix)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
        if self.stamp(&[])? != before {
            return Err(changing(&self.directory));
        }
        // What was read-only in its place is so in the copy as well.
        make_writable(directory.path()).map_err(failed)?;
        Ok(Copied {
            database,
            _directory: directory,
        })
    }
}

fn make_writable(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let mut rights = fs::metadata(&path)?.permissions();
        if rights.readonly() {
            #[cfg(unix)]
            std::os::unix::fs::PermissionsExt::set_mode(&mut rights, 0o600);
            #[cfg(not(unix))]
            rights.set_readonly(false);
            fs::set_permissions(&path, rights)?;
        }
    }
    Ok(())
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn look(path: &Path, counters: Vec<u8>) -> Result<Option<Look>, ImportError> {
    match fs::metadata(path) {
        Ok(about) => Ok(Some(Look {
            length: about.len(),
            changed: about.modified().ok(),
            counters,
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error, path)),
    }
}

/// There is no database: what is there instead?
fn no_database(directory: &Path) -> ImportError {
    if directory.join("chroma-collections.parquet").exists()
        || directory.join("chroma-embeddings.parquet").exists()
    {
        return ImportError::new(
            ImportErrorKind::Unsupported,
            format!(
                "the layout of Chroma before 0.4 (chroma-embeddings.parquet) is not read: {}; turn it into the new one \
                 with `chroma-migrate`",
                directory.display()
            ),
        );
    }
    // People name the directory of the application; the store is often one level below.
    let below = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .take(1000)
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join(DATABASE).is_file())
        .min();
    let hint = match below {
        Some(below) => format!("; there is one in {}", below.display()),
        None => "; name the persistent directory of a Chroma of version 0.4 or later".to_owned(),
    };
    ImportError::new(
        ImportErrorKind::NotFound,
        format!("no {DATABASE} in {}{hint}", directory.display()),
    )
}
