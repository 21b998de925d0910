//! Owns the directories that clusters live in: who holds one, and what becomes of those whose owner died.
//!
//! A directory is held by a lock on the file beside it, which the kernel lets go when the owner ends, however it ends;
//! a process number could be another's by the time one looks.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::process::{is_server_of, postmaster, stop_foreign};

/// Short: the path of a Unix socket in there may have 107 bytes.
const PREFIX: &str = "smart-support-pg-";
const LOCK: &str = ".lock";
const WRITING_ENDS_WITHIN: Duration = Duration::from_secs(10);

/// A directory for one cluster, removed with this value unless it was made to last.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    /// Held as long as this lives; none for a directory that lasts.
    lock: Option<File>,
}

impl RunDirectory {
    /// A new one among the system's temporary files. Those that dead owners left there are removed first.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn temporary() -> Result<Self> {
        let parent = std::env::temp_dir();
        reap(&parent);
        let name = format!("{PREFIX}{}-{}", std::process::id(), random(4)?);
        let path = parent.join(name);
        let lock_path = lock_of(&path);
        let lock = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&lock_path)
            .with_context(|| format!("cannot create {}", lock_path.display()))?;
        // Locked before the directory exists: whoever sees the directory finds it held.
        lock.lock()
            .with_context(|| format!("cannot lock {}", lock_path.display()))?;
        make(&path)?;
        Ok(Self {
            path,
            lock: Some(lock),
        })
    }

    /// This one, made where it is missing; it outlives this value.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn lasting(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            make(path)?;
        }
        Ok(Self {
            path: path.to_owned(),
            lock: None,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if self.lock.is_some() {
            remove(&self.path);
        }
    }
}

/// What becomes of a directory of clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Somebody holds it, or it is not ours to judge.
    Keep,
    /// Its owner is gone and no server runs in it.
    Remove,
    /// Its owner is gone, and its server is still there.
    StopAndRemove(u32),
}

/// Decides: `held` is whether an owner lives (none if that cannot be told), `postmaster` the number in the data
/// directory, `runs` whether that process is a server on that very data.
pub fn fate(held: Option<bool>, postmaster: Option<u32>, runs: impl Fn(u32) -> bool) -> Fate {
    match (held, postmaster) {
        (None | Some(true), _) => Fate::Keep,
        (Some(false), Some(pid)) if runs(pid) => Fate::StopAndRemove(pid),
        (Some(false), _) => Fate::Remove,
    }
}

/// Removes what dead owners left. A directory that cannot be removed stays: it is in nobody's way.
fn reap(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(PREFIX) || name.ends_with(LOCK) || !path.is_dir() {
            continue;
        }
        // Opened until the directory is gone: two that reap at once must not both.
        let lock = File::open(lock_of(&path));
        let held = match &lock {
            Ok(file) => match file.try_lock() {
                Ok(()) => Some(false),
                Err(TryLockError::WouldBlock) => Some(true),
                Err(TryLockError::Error(_)) => None,
            },
            Err(_) => None,
        };
        let data = path.join("data");
        match fate(held, postmaster(&data), |pid| is_server_of(pid, &data)) {
            Fate::Keep => {}
            Fate::Remove => remove(&path),
            Fate::StopAndRemove(pid) => {
                if stop_foreign(pid, &data).is_ok() {
                    remove(&path);
                }
            }
        }
    }
}

fn remove(path: &Path) {
    let deadline = Instant::now() + WRITING_ENDS_WITHIN;
    // The processes of a killed server write until they notice.
    while let Err(error) = std::fs::remove_dir_all(path) {
        if error.kind() != ErrorKind::DirectoryNotEmpty || Instant::now() > deadline {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // The lock goes last: a directory without one belongs to nobody who could be asked.
    if !path.exists() {
        let _ = std::fs::remove_file(lock_of(path));
    }
}

fn lock_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(LOCK);
    PathBuf::from(name)
}

fn make(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(false)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot create {}", path.display()))
}

/// As many random bytes in hexadecimal: names and passwords that nobody guesses.
///
/// # Errors
///
/// If the system has none.
pub fn random(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut buffer))
        .context("cannot read /dev/urandom")?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_owner_left_is_touched() {
        let runs = |pid| pid == 7;
        let cases = [
            (Some(true), Some(7), Fate::Keep),
            (Some(true), None, Fate::Keep),
            (None, Some(7), Fate::Keep),
            (None, None, Fate::Keep),
            (Some(false), None, Fate::Remove),
            // A number that is some other process's by now.
            (Some(false), Some(8), Fate::Remove),
            (Some(false), Some(7), Fate::StopAndRemove(7)),
        ];
        for (held, postmaster, expected) in cases {
            assert_eq!(
                fate(held, postmaster, runs),
                expected,
                "{held:?} {postmaster:?}"
            );
        }
    }

    #[test]
    fn a_held_directory_outlives_the_reaping_and_a_dropped_one_is_gone() {
        let held = RunDirectory::temporary().unwrap();
        let other = RunDirectory::temporary().unwrap();
        assert!(held.path().is_dir());
        let (path, lock) = (other.path().to_owned(), lock_of(other.path()));
        drop(other);
        assert!(!path.exists() && !lock.exists());
    }

    #[test]
    fn a_directory_whose_owner_died_is_reaped() {
        let left = RunDirectory::temporary().unwrap();
        let path = left.path().to_owned();
        std::fs::create_dir(path.join("data")).unwrap();
        // A process number that no process has.
        std::fs::write(path.join("data/postmaster.pid"), "4194305\n").unwrap();
        let mut left = std::mem::ManuallyDrop::new(left);
        left.lock = None; // the kernel lets go of it when the owner dies
        drop(RunDirectory::temporary().unwrap());
        assert!(!path.exists());
    }
}
