//! Reads the table of contents of an "E5S1" weights file: where everything is, and that it all lies inside the file.
//!
//! The format, little-endian throughout: magic `E5S1`; u32 version; seven i32 (hidden width, layers, heads, feed-forward
//! width, embedding rows, positions, token types); f32 epsilon; i32 block length. Then the vocabulary: i32 pieces, bos,
//! eos, pad, unknown; u64 blob length; u32 offsets\[pieces + 1\]; f32 scores\[pieces\]; the blob. Then the normaliser: i32
//! entries, u32 length, and for each entry u32 code point, u8 count, u32 replacement\[count\]. Then the tensors: i32 count,
//! and for each u16 name length, name, u8 type, u32 elements, u64 offset, u64 length.

use std::collections::HashMap;
use std::ops::Range;

use super::{Layout, Shape, Tensor, divides};
use crate::error::Damage;
use crate::packing::{BLOCK_LENGTH, Packing};

/// What a file begins with.
pub(crate) const MAGIC: &[u8] = b"E5S1";

/// Where the vocabulary lies in the file, and the ids of its control pieces.
#[derive(Debug, Clone)]
pub(crate) struct VocabularyLayout {
    pub(crate) pieces: usize,
    pub(crate) bos: u32,
    pub(crate) eos: u32,
    pub(crate) unknown: u32,
    /// `pieces + 1` u32.
    pub(crate) offsets: Range<usize>,
    /// `pieces` f32.
    pub(crate) scores: Range<usize>,
    pub(crate) blob: Range<usize>,
    /// Number of normaliser entries, and their bytes.
    pub(crate) folds: usize,
    pub(crate) fold_bytes: Range<usize>,
}

/// The type byte of packed 4-bit tensors and of plain ones.
const TYPE_F32: u8 = 0;
const TYPE_Q4: u8 = 1;

/// Reads and checks the table of contents, and where the vocabulary is.
pub(crate) fn parse(file: &[u8]) -> Result<(Layout, VocabularyLayout), Damage> {
    let mut cursor = Cursor { file, at: 0 };
    if cursor.take(4, "magic")? != MAGIC {
        return Err(Damage::new("it does not begin with the magic E5S1"));
    }
    let version = cursor.u32("version")?;
    if version != 1 {
        return Err(Damage::new(format_args!(
            "format version {version} is not known, only 1 is"
        )));
    }
    let (shape, rows) = read_shape(&mut cursor)?;
    let vocabulary = read_vocabulary(&mut cursor)?;
    if vocabulary.pieces > rows {
        return Err(Damage::new(format_args!(
            "it has {} pieces but only {rows} embedding rows",
            vocabulary.pieces
        )));
    }
    let tensors = read_tensors(&mut cursor)?;
    Ok((Layout::new(shape, rows, tensors)?, vocabulary))
}

fn read_shape(cursor: &mut Cursor<'_>) -> Result<(Shape, usize), Damage> {
    // The upper bounds are far above any model of this family; they keep every product below within a usize of 64 bits.
    let hidden = cursor.count("hidden width", BLOCK_LENGTH, 4096)?;
    let layers = cursor.count("layers", 1, 64)?;
    let heads = cursor.count("heads", 1, 256)?;
    let feed_forward = cursor.count("feed-forward width", BLOCK_LENGTH, 1 << 14)?;
    let rows = cursor.count("embedding rows", 1, 1 << 22)?;
    let positions = cursor.count("positions", 3, 1 << 13)?;
    let token_types = cursor.count("token types", 1, 16)?;
    let epsilon = f32::from_bits(cursor.u32("epsilon")?);
    let block = cursor.count("block length", 1, 4096)?;
    if block != BLOCK_LENGTH {
        return Err(Damage::new(format_args!(
            "block length {block} is not {BLOCK_LENGTH}"
        )));
    }
    let shape = Shape {
        hidden,
        layers,
        heads,
        feed_forward,
        positions,
        token_types,
        epsilon,
    };
    divides(&shape)?;
    Ok((shape, rows))
}

fn read_vocabulary(cursor: &mut Cursor<'_>) -> Result<VocabularyLayout, Damage> {
    let pieces = cursor.count("pieces", 4, 1 << 22)?;
    let mut control = |what| cursor.count(what, 0, pieces - 1).map(|id| id as u32);
    let bos = control("begin piece")?;
    let eos = control("end piece")?;
    let _pad = control("padding piece")?;
    let unknown = control("unknown piece")?;
    let blob_length = cursor.length("vocabulary blob")?;
    let offsets = cursor.range((pieces + 1) * 4, "vocabulary offsets")?;
    let scores = cursor.range(pieces * 4, "vocabulary scores")?;
    let blob = cursor.range(blob_length, "vocabulary blob")?;
    // Every entry takes at least five bytes, so the count is bounded by the file.
    let folds = cursor.count("normaliser entries", 0, 1 << 22)?;
    let fold_length = cursor.u32("normaliser length")? as usize;
    let fold_bytes = cursor.range(fold_length, "normaliser")?;
    if folds > fold_length / 5 {
        return Err(Damage::new(format_args!(
            "{folds} normaliser entries do not fit {fold_length} bytes"
        )));
    }
    Ok(VocabularyLayout {
        pieces,
        bos,
        eos,
        unknown,
        offsets,
        scores,
        blob,
        folds,
        fold_bytes,
    })
}

fn read_tensors(cursor: &mut Cursor<'_>) -> Result<HashMap<Vec<u8>, Tensor>, Damage> {
    let count = cursor.count("tensors", 1, 1 << 12)?;
    let file_length = cursor.file.len();
    let mut tensors = HashMap::with_capacity(count);
    let mut total = 0usize;
    for _ in 0..count {
        let name_length = usize::from(u16::from_le_bytes(cursor.array("tensor name length")?));
        let name = cursor.take(name_length, "tensor name")?.to_vec();
        let shown = String::from_utf8_lossy(&name).into_owned();
        let [kind] = cursor.array("tensor type")?;
        let elements = cursor.u32("tensor elements")? as usize;
        let offset = cursor.length("tensor offset")?;
        let length = cursor.length("tensor length")?;
        let (packing, expected) = match kind {
            TYPE_F32 => (Packing::F32, elements.checked_mul(4)),
            TYPE_Q4 if elements.is_multiple_of(BLOCK_LENGTH) => {
                (Packing::Q4, Some(Packing::Q4.bytes(elements)))
            }
            other => {
                return Err(Damage::new(format_args!(
                    "tensor {shown} has type {other} and {elements} elements"
                )));
            }
        };
        let end = offset.checked_add(length).filter(|&end| end <= file_length);
        let (Some(end), true) = (end, expected == Some(length)) else {
            return Err(Damage::new(format_args!(
                "tensor {shown} of {elements} elements says it has {length} bytes at {offset}, in a file of {file_length}"
            )));
        };
        total = total.saturating_add(length);
        tensors.insert(
            name,
            Tensor {
                packing,
                elements,
                bytes: offset..end,
            },
        );
    }
    // Tensors that share bytes would let a small file ask for a lot of memory.
    if total > file_length {
        return Err(Damage::new("its tensors overlap"));
    }
    Ok(tensors)
}

/// Reads forward through the file; every step is checked against its end.
struct Cursor<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn range(&mut self, length: usize, what: &str) -> Result<Range<usize>, Damage> {
        let end = self
            .at
            .checked_add(length)
            .filter(|&end| end <= self.file.len());
        let Some(end) = end else {
            return Err(Damage::new(format_args!(
                "it ends inside the {what} ({} bytes)",
                self.file.len()
            )));
        };
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], Damage> {
        let range = self.range(length, what)?;
        Ok(&self.file[range])
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Damage> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    fn u32(&mut self, what: &str) -> Result<u32, Damage> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// A signed 32-bit count that has to lie in `least..=most`.
    fn count(&mut self, what: &str, least: usize, most: usize) -> Result<usize, Damage> {
        let value = i32::from_le_bytes(self.array(what)?);
        usize::try_from(value)
            .ok()
            .filter(|value| (least..=most).contains(value))
            .ok_or_else(|| {
                Damage::new(format_args!(
                    "{what} is {value}, expected {least} to {most}"
                ))
            })
    }

    /// A 64-bit length or offset.
    fn length(&mut self, what: &str) -> Result<usize, Damage> {
        let value = u64::from_le_bytes(self.array(what)?);
        usize::try_from(value).map_err(|_| Damage::new(format_args!("{what} is {value}")))
    }
}
