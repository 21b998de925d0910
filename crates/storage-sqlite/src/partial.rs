//! A file in the making beside the place it is for: written in full, made durable, then renamed. Whoever is cut off
//! leaves one `.partial` behind, and the next of its kind writes over it.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage_core::{StoreError, StoreErrorKind};

use crate::descriptors;
use crate::error::{Failure, Outcome};
use crate::header;

/// What SQLite puts beside a file while it works on it.
pub(crate) const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The name of a file in the making.
pub(crate) const PARTIAL: &str = ".partial";

/// An empty file beside `target`, for its owner only, locked against others who make the same.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    /// Holds the lock.
    file: Arc<File>,
    published: bool,
}

impl Partial {
    pub(crate) fn beside(target: &Path, operation: &'static str) -> Outcome<Self> {
        const TRIES: usize = 100;
        let path = header::beside(target, PARTIAL);
        let failed = |error| unwritable(error, operation, &path);
        for _ in 0..TRIES {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            refuse_link(&path, operation)?;
            let file = Arc::new(options.open(&path).map_err(failed)?);
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Failure::new(
                        StoreErrorKind::Busy,
                        operation,
                        format!(
                            "another process is writing this file; wait for it and run the command again: {}",
                            path.display()
                        ),
                    ));
                }
                // A file system without locks: two at once would be noticed by the check that follows.
                Err(TryLockError::Error(_)) => {}
            }
            // Between opening and locking, whoever had the lock may have published that very file.
            if !is_at(&file, &path) {
                continue;
            }
            file.set_len(0).map_err(failed)?;
            for suffix in SIDECARS {
                remove(&header::beside(&path, suffix)).map_err(failed)?;
            }
            return Ok(Self {
                path,
                file,
                published: false,
            });
        }
        Err(Failure::new(
            StoreErrorKind::Busy,
            operation,
            format!("other processes keep writing this file: {}", path.display()),
        ))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file the owner and mode of the one it is to replace, as far as this user may.
    pub(crate) fn resemble(&self, old: &Metadata) {
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, fchown};
            // A store that an administrator restores stays its service's.
            let given = fchown(&self.file, Some(old.uid()), Some(old.gid()));
            let given = given.and_then(|()| self.file.set_permissions(old.permissions()));
            if let Err(error) = given {
                tracing::debug!(%error, "owner and mode of the old file could not be kept");
            }
        }
        #[cfg(not(unix))]
        let _ = old;
    }

    /// Makes the content durable.
    pub(crate) fn sync(&self, operation: &'static str) -> Outcome<()> {
        self.file
            .sync_all()
            .map_err(|error| unwritable(error, operation, &self.path))
    }

    /// Renames the file to its place: from one moment to the next it is there, whole.
    pub(crate) fn publish(mut self, target: &Path, operation: &'static str) -> Outcome<()> {
        self.sync(operation)?;
        std::fs::rename(&self.path, target)
            .map_err(|error| unwritable(error, operation, target))?;
        self.published = true;
        // It is a store's file now, and whoever has opened it since has locks on it.
        let _ = self.file.unlock();
        descriptors::keep(&self.file);
        sync_directory(target).map_err(|error| unwritable(error, operation, target))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        for suffix in SIDECARS {
            let _ = remove(&header::beside(&self.path, suffix));
        }
        // Still under the lock, so that nobody else's is removed.
        if is_at(&self.file, &self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether an open file is the one of that name.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => same(&open, &named),
        _ => false,
    }
}

/// Whether two names are one file. Where that cannot be told, they are not.
pub(crate) fn same_file(one: &Path, other: &Path) -> bool {
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(a), Ok(b)) if cfg!(unix) => same(&a, &b),
        (Ok(_), Ok(_)) => std::fs::canonicalize(one).ok() == std::fs::canonicalize(other).ok(),
        _ => false,
    }
}

fn same(one: &Metadata, other: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    }
    #[cfg(not(unix))]
    {
        one.len() == other.len() && one.modified().ok() == other.modified().ok()
    }
}

/// Someone else's link in the place of our file would send the bytes elsewhere.
fn refuse_link(path: &Path, operation: &'static str) -> Outcome<()> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(Failure::new(
            StoreErrorKind::Io,
            operation,
            format!(
                "something that is no plain file stands where the copy is made; remove it: {}",
                path.display()
            ),
        ));
    }
    Ok(())
}

/// Removes a file that may not be there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Creates the directories above a file.
pub(crate) fn create_directories(path: &Path, operation: &'static str) -> Outcome<()> {
    let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    else {
        return Ok(());
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(parent)
        .map_err(|error| unwritable(error, operation, parent))
}

/// Makes the names in a file's directory outlive a power cut.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// A place that cannot be written to.
pub(crate) fn unwritable(error: io::Error, operation: &'static str, path: &Path) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full; free space and run the same command again"
        }
        io::ErrorKind::PermissionDenied => "no permission to write; check permissions",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only; name another place",
        _ => "the file cannot be written",
    };
    Failure::Store(
        StoreError::new(
            StoreErrorKind::Io,
            operation,
            format!("{why}: {}", path.display()),
        )
        .with_source(error),
    )
}
