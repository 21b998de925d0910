//! Reads a FAISS file field by field, and never believes a count that the rest of the file has no room for.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Read as _};

use storage_core::ImportError;

use crate::reading::SourceFile;

/// A file and a place in it.
pub(super) struct Scanner<'a> {
    pub(super) file: &'a SourceFile,
    reader: BufReader<File>,
    position: u64,
}

impl<'a> Scanner<'a> {
    pub(super) fn open(file: &'a SourceFile) -> Result<Self, ImportError> {
        Ok(Self {
            reader: BufReader::with_capacity(64 << 10, file.open()?),
            file,
            position: 0,
        })
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes to the end of the file.
    pub(super) fn left(&self) -> u64 {
        self.file.length().saturating_sub(self.position)
    }

    pub(super) fn damaged(&self, fact: impl Display) -> ImportError {
        self.file
            .damaged(format_args!("byte {}: {fact}", self.position))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ImportError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ImportError> {
        self.room(bytes.len() as u64)?;
        self.reader
            .read_exact(bytes)
            .map_err(|error| self.file.failed(error))?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Fails when the file ends within the next so many bytes.
    fn room(&self, bytes: u64) -> Result<(), ImportError> {
        if bytes > self.left() {
            return Err(self.damaged(format_args!(
                "{bytes} bytes should follow, and the file ends after {}, copy it anew",
                self.left()
            )));
        }
        Ok(())
    }

    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), ImportError> {
        self.room(bytes)?;
        let far = i64::try_from(bytes).map_err(|_| self.damaged("a length beyond any file"))?;
        self.reader
            .seek_relative(far)
            .map_err(|error| self.file.failed(error))?;
        self.position += bytes;
        Ok(())
    }

    /// The four letters that say what follows.
    pub(super) fn letters(&mut self) -> Result<[u8; 4], ImportError> {
        self.take()
    }

    pub(super) fn u8(&mut self) -> Result<u8, ImportError> {
        self.take().map(u8::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, ImportError> {
        self.take().map(i32::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, ImportError> {
        self.take().map(i64::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, ImportError> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn f32(&mut self) -> Result<f32, ImportError> {
        self.take().map(f32::from_le_bytes)
    }

    /// A byte that is 0 or 1.
    pub(super) fn flag(&mut self) -> Result<bool, ImportError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.damaged(format_args!("{other} where yes or no should stand"))),
        }
    }

    /// Begins a list: its count, once that many values of `width` bytes can follow.
    pub(super) fn count(&mut self, width: u64) -> Result<u64, ImportError> {
        let count = self.u64()?;
        match count.checked_mul(width) {
            Some(bytes) => self.room(bytes)?,
            None => return Err(self.damaged("a list longer than any file")),
        }
        Ok(count)
    }

    /// Passes over a list and says how many values it had.
    pub(super) fn skip_list(&mut self, width: u64) -> Result<u64, ImportError> {
        let count = self.count(width)?;
        self.skip(count * width)?;
        Ok(count)
    }

    /// A list of singles that is needed in memory; the caller knows how many there may be.
    pub(super) fn floats(&mut self, most: u64) -> Result<Vec<f32>, ImportError> {
        let count = self.count(4)?;
        if count > most {
            return Err(self.damaged(format_args!(
                "a table of {count} numbers, where at most {most} belong"
            )));
        }
        (0..count).map(|_| self.f32()).collect()
    }
}
