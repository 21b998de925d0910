//! The files of Chroma's vector index: its header, its elements, and the norms that a cosine index keeps beside them.
//!
//! Read by element, never as a whole. Every number of the header is checked against every other before it is used.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroU32;

/// Bytes of `header.bin`.
pub(crate) const HEADER: usize = 100;

/// Bytes that are read at once where elements are asked for in about their order.
const BLOCK: usize = 64 << 10;

/// Such pieces that are kept: a megabyte.
const HELD_BLOCKS: usize = 16;

/// Elements from one to the next that still count as about their order.
const NEAR: u64 = 4096;

/// Where things are in `data_level0.bin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// How many elements there are, deleted ones too.
    pub(crate) count: u64,
    /// Bytes of an element.
    pub(crate) size: usize,
    /// Numbers of a vector.
    pub(crate) dimensions: usize,
    data: usize,
    label: usize,
}

impl Layout {
    /// Reads `header.bin`.
    ///
    /// # Errors
    /// Says which of its numbers cannot be.
    pub(crate) fn parse(header: &[u8], dimensions: NonZeroU32) -> Result<Self, String> {
        if header.len() != HEADER {
            return Err(format!(
                "header.bin has {} bytes instead of {HEADER}",
                header.len()
            ));
        }
        let u64_at = |offset: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[offset..offset + 8]);
            u64::from_le_bytes(bytes)
        };
        let i32_at = |offset: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&header[offset..offset + 4]);
            i32::from_le_bytes(bytes)
        };
        let version = i32_at(0);
        if version != 1 {
            return Err(format!("header.bin is of version {version} instead of 1"));
        }
        let (max_elements, count, size) = (u64_at(12), u64_at(20), u64_at(28));
        let (label, data) = (u64_at(36), u64_at(44));
        let (max_level, entry) = (i32_at(52), i32_at(56) as u32);
        let (max_m, max_m0, m) = (u64_at(60), u64_at(68), u64_at(76));
        let vector = 4 * u64::from(dimensions.get());
        // A million links in an element: more than anybody's index has, and no sum below overflows.
        let links_fit = max_m0 <= 1 << 20 && max_m.checked_mul(2) == Some(max_m0) && m == max_m;
        let offsets_fit = u64_at(4) == 0
            && links_fit
            && data == 4 + 4 * max_m0
            && label == data + vector
            && size == label + 8;
        if !offsets_fit {
            return Err(format!(
                "header.bin does not fit vectors of {dimensions} numbers"
            ));
        }
        if count > max_elements || count > u64::from(u32::MAX) {
            return Err(format!(
                "header.bin counts {count} elements in room for {max_elements}"
            ));
        }
        if count > 0 && (u64::from(entry) >= count || max_level < 0) {
            return Err(format!(
                "header.bin begins its graph at element {entry} of {count}"
            ));
        }
        let narrow = |number: u64| usize::try_from(number).map_err(|error| error.to_string());
        Ok(Self {
            count,
            size: narrow(size)?,
            dimensions: narrow(u64::from(dimensions.get()))?,
            data: narrow(data)?,
            label: narrow(label)?,
        })
    }
}

/// An element as it lies in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

impl Element<'_> {
    /// Its label: what the map of ids calls it.
    pub(crate) fn label(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.bytes[self.layout.label..self.layout.label + 8]);
        u64::from_le_bytes(bytes)
    }

    /// Was it deleted? Its bytes stay.
    pub(crate) fn deleted(&self) -> bool {
        self.bytes[2] & 1 == 1
    }

    /// Its numbers: those of a cosine index have been divided by their norm.
    pub(crate) fn numbers(&self) -> impl ExactSizeIterator<Item = f32> {
        let end = self.layout.data + 4 * self.layout.dimensions;
        let (words, _) = self.bytes[self.layout.data..end].as_chunks::<4>();
        words.iter().map(|word| f32::from_le_bytes(*word))
    }

    /// Is its norm 1, or 0, as those of a cosine index are?
    pub(crate) fn is_normalised(&self) -> bool {
        let square: f64 = self
            .numbers()
            .map(|number| f64::from(number) * f64::from(number))
            .sum();
        square == 0.0 || (square.sqrt() - 1.0).abs() <= 1e-3
    }
}

/// The elements of `data_level0.bin`, by position. Whoever stays near where he was reads blocks; whoever jumps, one element.
#[derive(Debug)]
pub(crate) struct Elements<R> {
    file: R,
    layout: Layout,
    /// Elements that are wholly in the file.
    whole: u64,
    /// Pieces of the file with the position of their first element, the newest last. Several, because an index that was
    /// filled by many threads has the order of its records only roughly.
    held: VecDeque<(u64, Vec<u8>)>,
    /// The position that was asked for last.
    last: u64,
}

impl<R: Read + Seek> Elements<R> {
    /// # Errors
    /// When the file's length cannot be had.
    pub(crate) fn new(mut file: R, layout: Layout) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file,
            layout,
            whole: (length / layout.size as u64).min(layout.count),
            held: VecDeque::with_capacity(HELD_BLOCKS),
            last: 0,
        })
    }

    /// How many elements the file holds wholly: fewer than it counts when its end is missing.
    pub(crate) fn whole(&self) -> u64 {
        self.whole
    }

    /// The element at a position; `None` beyond the last whole one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn get(&mut self, position: u64) -> io::Result<Option<Element<'_>>> {
        if position >= self.whole {
            return Ok(None);
        }
        let size = self.layout.size;
        let near = position.abs_diff(self.last) <= NEAR;
        self.last = position;
        let holds = |(first, bytes): &(u64, Vec<u8>)| {
            position >= *first && position - first < (bytes.len() / size) as u64
        };
        let at = match self.held.iter().rposition(holds) {
            Some(at) => at,
            None => {
                let (first, wanted) = if near {
                    let block = (BLOCK / size).max(1) as u64;
                    let first = position / block * block;
                    (first, block.min(self.whole - first))
                } else {
                    (position, 1)
                };
                self.load(first, wanted)?
            }
        };
        let (first, bytes) = &self.held[at];
        let start = usize::try_from(position - first).unwrap_or(usize::MAX) * size;
        Ok(Some(Element {
            bytes: &bytes[start..start + size],
            layout: self.layout,
        }))
    }

    /// Reads so many elements in place of the oldest piece, and tells where they are held.
    fn load(&mut self, first: u64, wanted: u64) -> io::Result<usize> {
        let mut bytes = match self.held.len() {
            HELD_BLOCKS => self.held.pop_front().map_or_else(Vec::new, |(_, old)| old),
            _ => Vec::new(),
        };
        let wanted = wanted * self.layout.size as u64;
        bytes.resize(usize::try_from(wanted).unwrap_or_default(), 0);
        self.file
            .seek(SeekFrom::Start(first * self.layout.size as u64))?;
        self.file.read_exact(&mut bytes)?;
        self.held.push_back((first, bytes));
        Ok(self.held.len() - 1)
    }
}

/// The norms in `length.bin`, by position.
#[derive(Debug)]
pub(crate) struct Norms<R> {
    file: R,
    whole: u64,
    window: Vec<u8>,
    first: u64,
}

impl<R: Read + Seek> Norms<R> {
    /// # Errors
    /// When the file's length cannot be had.
    pub(crate) fn new(mut file: R) -> io::Result<Self> {
        let whole = file.seek(SeekFrom::End(0))? / 4;
        Ok(Self {
            file,
            whole,
            window: Vec::new(),
            first: 0,
        })
    }

    /// The norm of the element at a position; `None` beyond the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn get(&mut self, position: u64) -> io::Result<Option<f32>> {
        const HELD: u64 = 16 << 10;
        if position >= self.whole {
            return Ok(None);
        }
        let held = (self.window.len() / 4) as u64;
        if position < self.first || position >= self.first + held {
            let wanted = HELD.min(self.whole - position);
            self.window.clear();
            self.first = position;
            self.file.seek(SeekFrom::Start(position * 4))?;
            (&mut self.file)
                .take(wanted * 4)
                .read_to_end(&mut self.window)?;
        }
        let start = usize::try_from(position - self.first).unwrap_or(usize::MAX) * 4;
        let word = self.window.get(start..start + 4);
        let word = word.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Some(f32::from_le_bytes([
            word[0], word[1], word[2], word[3],
        ])))
    }
}

#[cfg(test)]
mod tests;
