//! The bytes of a weights file, mapped where they come from a path.
//!
//! The only module of this crate that maps memory. It never interprets a byte.
#![allow(unsafe_code)] // `memmap2::Mmap::map`: the reason it is sound here is given at the call

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// The bytes of a weights file: mapped, compiled in, or built in memory by a test.
pub(crate) enum ModelBytes {
    Mapped(Mmap),
    Memory(Cow<'static, [u8]>),
}

impl ModelBytes {
    /// Maps the file at `path`, read-only.
    pub(crate) fn map(path: &Path) -> io::Result<ModelBytes> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        // SAFETY: the map is read-only and only ever read as bytes, for which every bit pattern is valid. `fetch` replaces
        // the file by rename and never writes into it, so our own processes never change or cut the mapped pages. Should
        // somebody else change them in place, every later read is bounds-checked against the length of the map, and no
        // check made at load time is relied on for memory safety.
        let map = unsafe { Mmap::map(&file)? };
        Ok(ModelBytes::Mapped(map))
    }
}

impl Deref for ModelBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            ModelBytes::Mapped(map) => map,
            ModelBytes::Memory(bytes) => bytes,
        }
    }
}
