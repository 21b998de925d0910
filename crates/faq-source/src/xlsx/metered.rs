//! The bytes of a workbook, each to be read about twice at most. Any number of sheets may be one and the same part,
//! and looking for the right sheet would inflate and parse it once for each.

use std::cell::Cell;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

/// How often the whole container may be read: once while looking for the sheet, once for the sheet that it has to be.
const TIMES: u64 = 2;
/// The directory, and headers that are read again with each part.
const DIRECTORY: u64 = 512 << 10;

/// What the parser may read of a container.
pub(super) fn allowance(container: &[u8]) -> Cell<u64> {
    Cell::new(container.len() as u64 * TIMES + DIRECTORY)
}

/// A container in memory that counts what is read.
#[derive(Debug)]
pub(super) struct Metered<'a> {
    inner: Cursor<&'a [u8]>,
    left: &'a Cell<u64>,
}

impl<'a> Metered<'a> {
    pub(super) fn new(container: &'a [u8], left: &'a Cell<u64>) -> Self {
        Self {
            inner: Cursor::new(container),
            left,
        }
    }
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.get().checked_sub(read as u64) {
            Some(left) => self.left.set(left),
            None => {
                self.left.set(0);
                return Err(io::Error::other("the container was read too often"));
            }
        }
        Ok(read)
    }
}

impl Seek for Metered<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}
