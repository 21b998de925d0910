//! Files that SQLite holds locks on, read without SQLite.
//!
//! A process that closes *any* descriptor of a file gives up every lock it has on that file: so says POSIX, and a
//! connection that is open elsewhere in the process never learns of it. Another process may then remove the log that
//! the connection reads, or write where it writes. So a descriptor of a store, or of its shared memory, is opened once,
//! shared by everybody who looks, and closed only when the file has no name any more: nobody else can reach it then.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// A file that is read from a place of its own.
#[derive(Debug)]
pub(crate) struct Shared {
    file: Arc<File>,
    at: u64,
}

impl Shared {
    /// Opens a file for reading.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: table::open(path)?,
            at: 0,
        })
    }

    pub(crate) fn metadata(&self) -> io::Result<std::fs::Metadata> {
        self.file.metadata()
    }
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = table::read_at(&self.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let moved = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.metadata()?.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = moved.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(unix)]
mod table {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::path::Path;
    use std::sync::{Arc, Mutex, PoisonError};

    /// Every descriptor that this process has ever opened beside SQLite, but for those of files that are gone.
    static OPEN: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

    struct Kept {
        /// Device and number: no other file gets them while a descriptor is open.
        identity: (u64, u64),
        file: Arc<File>,
    }

    pub(super) fn open(path: &Path) -> io::Result<Arc<File>> {
        // Held until the descriptor is known: a second one could never be closed again.
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|kept| kept.file.metadata().is_ok_and(|found| found.nlink() > 0));
        let found = std::fs::metadata(path)?;
        let identity = (found.dev(), found.ino());
        if let Some(kept) = open.iter().find(|kept| kept.identity == identity) {
            // Those who opened it may have lost the right to since.
            require_readable(path)?;
            return Ok(Arc::clone(&kept.file));
        }
        let file = Arc::new(File::open(path)?);
        // Of what was opened, not of what had that name a moment before.
        let opened = file.metadata()?;
        open.push(Kept {
            identity: (opened.dev(), opened.ino()),
            file: Arc::clone(&file),
        });
        Ok(file)
    }

    pub(super) fn keep(file: &Arc<File>) {
        if let Ok(found) = file.metadata() {
            let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
            open.push(Kept {
                identity: (found.dev(), found.ino()),
                file: Arc::clone(file),
            });
        }
    }

    fn require_readable(path: &Path) -> io::Result<()> {
        rustix::fs::access(path, rustix::fs::Access::READ_OK).map_err(Into::into)
    }

    pub(super) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        file.read_at(buffer, at)
    }
}

#[cfg(not(unix))]
mod table {
    use std::fs::File;
    use std::io::{self, Read, Seek, SeekFrom};
    use std::path::Path;
    use std::sync::Arc;

    /// Locks belong to a descriptor here.
    pub(super) fn open(path: &Path) -> io::Result<Arc<File>> {
        File::open(path).map(Arc::new)
    }

    pub(super) fn keep(_: &Arc<File>) {}

    pub(super) fn read_at(mut file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        file.seek(SeekFrom::Start(at))?;
        file.read(buffer)
    }
}

/// Keeps a descriptor, of a file that others open from now on, from being closed.
pub(crate) fn keep(file: &Arc<File>) {
    table::keep(file);
}

/// Whether this process may write to a file, asked without opening it.
pub(crate) fn may_write(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return rustix::fs::access(path, rustix::fs::Access::WRITE_OK).map_err(Into::into);
    #[cfg(not(unix))]
    return std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map(drop);
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_one_descriptor_and_readers_of_their_own() {
        let directory = std::env::temp_dir().join(format!("descriptors-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (path, other) = (directory.join("a"), directory.join("b"));
        std::fs::write(&path, "0123456789").unwrap();
        std::fs::hard_link(&path, &other).unwrap();
        let (mut first, mut second) = (Shared::open(&path).unwrap(), Shared::open(&other).unwrap());
        assert!(Arc::ptr_eq(&first.file, &second.file));
        let mut two = [0; 2];
        first.read_exact(&mut two).unwrap();
        second.seek(SeekFrom::End(-2)).unwrap();
        second.read_exact(&mut two).unwrap();
        assert_eq!(&two, b"89");
        first.read_exact(&mut two).unwrap();
        assert_eq!(&two, b"23");
        // A file that takes the place of the first one is another file, and the first is let go.
        std::fs::write(directory.join("c"), "new").unwrap();
        std::fs::rename(directory.join("c"), &path).unwrap();
        std::fs::remove_file(&other).unwrap();
        let mut new = String::new();
        Shared::open(&path)
            .unwrap()
            .read_to_string(&mut new)
            .unwrap();
        assert_eq!((new.as_str(), Arc::strong_count(&first.file)), ("new", 2));
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(Shared::open(&path).is_err());
    }
}
