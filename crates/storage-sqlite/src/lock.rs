//! One writer: a lock of the operating system on a file beside the store, which says who holds it.
//!
//! The lock goes away with its holder, however that ends, so nobody ever has to clean up. The file stays: whoever
//! removed it would let two writers lock two files of one name. Readers never look at it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use storage_core::{StoreError, StoreErrorKind};

use crate::error::Outcome;
use crate::header;

/// Between two looks at a lock that somebody holds. The system's own wait has no time limit.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waited for even where no wait was asked for: somebody who only looks holds the lock for a moment too.
const GRACE: Duration = Duration::from_millis(100);

/// Waited for beyond that while nobody says that they hold it: a writer that comes or goes, or somebody who looks.
const TURNOVER: Duration = Duration::from_secs(2);

/// As much of a holder's words as is repeated.
const LONGEST_HOLDER: u64 = 512;

/// The right to change a store. Dropping it lets the next writer in.
#[derive(Debug)]
pub struct WriterLock {
    file: File,
    path: PathBuf,
}

/// Locks of this process: the system tells a process nothing else of its own lock than of another's.
static OURS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn ours() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WriterLock {
    /// Waits at most `timeout` for the store at `path`, and leaves `holder` for others to read: one line that says
    /// who, where, since when, and doing what. The store itself need not exist; its directory must.
    ///
    /// # Errors
    /// `Busy` with the words of whoever holds it, `Io` where the lock's file cannot be made.
    pub fn acquire(path: &Path, holder: &str, timeout: Duration) -> storage_core::Result<Self> {
        let path = lock_path(path);
        let mut file = open(&path).map_err(|error| unusable(error, &path))?;
        belong_to_the_store(&file, &path);
        // A wait beyond what a clock can tell is a wait without end.
        let deadline = Instant::now().checked_add(timeout.max(GRACE));
        let passed = |extra: Duration| {
            deadline
                .and_then(|deadline| deadline.checked_add(extra))
                .is_some_and(|deadline| Instant::now() >= deadline)
        };
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if !passed(Duration::ZERO) => {
                    if !told && timeout > GRACE {
                        tracing::info!("waiting for another writer: {}", named(&path));
                        told = true;
                    }
                    std::thread::sleep(LOOK_EVERY);
                }
                Err(TryLockError::WouldBlock)
                    if !passed(TURNOVER) && holder_of(&path).is_none() =>
                {
                    std::thread::sleep(LOOK_EVERY);
                }
                Err(TryLockError::WouldBlock) => return Err(busy(&path)),
                Err(TryLockError::Error(error)) if has_no_locks(&error) => {
                    // SQLite's own locks still keep the store whole; only "one at a time" is lost.
                    tracing::warn!("this file system has no locks: run one writer at a time");
                    break;
                }
                Err(TryLockError::Error(error)) => return Err(unusable(error, &path)),
            }
        }
        // Words for people: the lock holds without them, so a full disk must not keep a repair out.
        let said = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{holder}"));
        if let Err(error) = said {
            tracing::debug!(%error, "the lock's holder could not be written down");
        }
        ours().insert(path.clone());
        Ok(Self { file, path })
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // Before the lock goes, so that the words are never those of somebody who has left in peace.
        let _ = self.file.set_len(0);
        ours().remove(&self.path);
        let _ = self.file.unlock();
    }
}

/// Who writes to the store at `path` at this moment, in the holder's own words; `None` when nobody does.
#[must_use]
pub fn writer(path: &Path) -> Option<String> {
    let path = lock_path(path);
    let file = File::open(&path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(named(&path)),
        _ => None,
    }
}

/// Whether another process writes to the store at `path` at this moment.
pub(crate) fn held_elsewhere(path: &Path) -> bool {
    !ours().contains(&lock_path(path)) && writer(path).is_some()
}

/// Beside the store's real place, so that two names of one store are one lock.
fn lock_path(path: &Path) -> PathBuf {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    header::beside(&real, ".lock")
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Network file systems without a lock server say so by a code of their own.
fn has_no_locks(error: &io::Error) -> bool {
    const ENOLCK: i32 = 37;
    error.kind() == io::ErrorKind::Unsupported
        || cfg!(target_os = "linux") && error.raw_os_error() == Some(ENOLCK)
}

/// An administrator who writes once must not shut the store's owner out.
fn belong_to_the_store(file: &File, lock: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let (Ok(own), Ok(store)) = (file.metadata(), std::fs::metadata(store_of(lock))) else {
            return;
        };
        if own.uid() != store.uid()
            && let Err(error) = fchown(file, Some(store.uid()), Some(store.gid()))
        {
            tracing::debug!(%error, "the lock's file stays with another owner than the store");
        }
    }
    #[cfg(not(unix))]
    let _ = (file, lock);
}

/// The store that a lock is of: its own, or that of a build in it.
#[cfg(unix)]
fn store_of(lock: &Path) -> PathBuf {
    let store = lock.with_extension("");
    if store.extension().is_some_and(|end| end == "build") {
        return store.with_extension("");
    }
    store
}

/// The holder's words; `None` between taking the lock and saying so.
fn holder_of(path: &Path) -> Option<String> {
    let mut words = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_HOLDER).read_to_end(&mut words));
    let words = String::from_utf8_lossy(&words);
    match (read, words.lines().next().map(str::trim)) {
        (Ok(_), Some(line)) if !line.is_empty() => Some(line.to_owned()),
        _ => None,
    }
}

fn named(path: &Path) -> String {
    holder_of(path).unwrap_or_else(|| "another process".to_owned())
}

fn busy(path: &Path) -> StoreError {
    StoreError::new(
        StoreErrorKind::Busy,
        "lock",
        format!(
            "the store is busy: held by {}; run the command again later, or wait for it with --wait 60s ({})",
            named(path),
            path.display()
        ),
    )
}

fn unusable(error: io::Error, path: &Path) -> StoreError {
    StoreError::new(
        StoreErrorKind::Io,
        "lock",
        format!(
            "the store cannot be written to: its lock file cannot be opened; check permissions: {}",
            path.display()
        ),
    )
    .with_source(error)
}

/// The right to build a version of a store at `path`: other writers come in between, another build does not.
pub(crate) fn building(path: &Path, holder: &str, timeout: Duration) -> Outcome<WriterLock> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let lock = WriterLock::acquire(&header::beside(&real, ".build"), holder, timeout);
    Ok(lock.map_err(|error| match error.kind() {
        StoreErrorKind::Busy => StoreError::new(
            StoreErrorKind::Busy,
            "lock",
            format!("a version is being built already: {error}"),
        ),
        _ => error,
    })?)
}

/// Writes of a work that takes turns with other writers.
#[derive(Debug)]
pub(crate) struct Turns {
    path: PathBuf,
    holder: String,
    file: Identity,
}

/// Tells a file from the one that has taken its place.
type Identity = Option<(u64, u64)>;

/// As long as it takes: what waits to be written is paid for.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(24 * 24 * 60 * 60);

impl Turns {
    pub(crate) fn new(path: &Path, holder: &str) -> Outcome<Self> {
        Ok(Self {
            path: path.to_owned(),
            holder: holder.to_owned(),
            file: identity(path),
        })
    }

    /// Waits for the turn. A store that was repaired or restored meanwhile is another file, which nobody asked to write
    /// to.
    pub(crate) fn take(&self) -> Outcome<WriterLock> {
        let turn = WriterLock::acquire(&self.path, &self.holder, AS_LONG_AS_IT_TAKES)?;
        if identity(&self.path) != self.file {
            return Err(StoreError::new(
                StoreErrorKind::Io,
                "write",
                format!(
                    "another file was put in the store's place meanwhile, by a repair or a restore; run the same command \
                     again: {}",
                    self.path.display()
                ),
            )
            .into());
        }
        Ok(turn)
    }
}

fn identity(path: &Path) -> Identity {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// The lock that the options ask for, if they do.
pub(crate) fn wanted(
    path: &Path,
    holder: Option<&str>,
    timeout: Duration,
) -> Outcome<Option<WriterLock>> {
    Ok(holder
        .map(|holder| WriterLock::acquire(path, holder, timeout))
        .transpose()?)
}
