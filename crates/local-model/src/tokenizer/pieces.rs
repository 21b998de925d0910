//! Finds vocabulary pieces by their bytes: a compact hash table over the mapped file.
//!
//! A quarter of a million pieces are looked up here, and the table is built at every start, so it holds no strings: one
//! u64 a slot, a tag of the hash above the piece's number, pointing into the file's own sorted-by-id blob. Building it
//! takes a few milliseconds.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Damage;
use crate::layout::e5s1::VocabularyLayout;
use crate::mapped::ModelBytes;

/// The pieces of the vocabulary and their scores.
pub(crate) struct Pieces {
    file: Arc<ModelBytes>,
    offsets: Range<usize>,
    scores: Range<usize>,
    blob: Range<usize>,
    /// Tag in the high half, piece number + 1 in the low half; 0 is an empty slot. The length is a power of two.
    slots: Vec<u64>,
    longest: usize,
    lowest_score: f32,
}

/// A hash that grows with the bytes of a candidate, so that all candidates from one start cost one pass.
#[derive(Clone, Copy)]
pub(crate) struct PieceHash(u64);

impl PieceHash {
    /// The hash of no bytes.
    pub(crate) const EMPTY: PieceHash = PieceHash(0xcbf2_9ce4_8422_2325);

    /// Adds bytes (FNV-1a).
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Slot bits and tag. FNV mixes its low bits poorly upwards, hence the final multiplication.
    #[inline]
    fn finish(self) -> (usize, u64) {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed >> 20) as usize, mixed & 0xffff_ffff_0000_0000)
    }
}

impl Pieces {
    /// Builds the table. Control pieces are left out, so no text can contain one.
    pub(crate) fn new(file: Arc<ModelBytes>, layout: &VocabularyLayout) -> Result<Pieces, Damage> {
        let mut pieces = Pieces {
            file: Arc::clone(&file),
            offsets: layout.offsets.clone(),
            scores: layout.scores.clone(),
            blob: layout.blob.clone(),
            slots: vec![0; (layout.pieces * 2).next_power_of_two()],
            longest: 0,
            lowest_score: 0.0,
        };
        let mask = pieces.slots.len() - 1;
        // An honest table needs under two steps a piece; a file made to collide would take minutes.
        let mut steps_left = layout.pieces * 64;
        let (offsets, _) = file[layout.offsets.clone()].as_chunks::<4>();
        let (scores, _) = file[layout.scores.clone()].as_chunks::<4>();
        let blob = &file[layout.blob.clone()];
        for (id, (ends, score)) in offsets.windows(2).zip(scores).enumerate() {
            let [start, end] = [ends[0], ends[1]].map(|bytes| u32::from_le_bytes(bytes) as usize);
            let bytes = blob.get(start..end).ok_or_else(|| {
                Damage::new(format_args!("piece {id} is at {start}..{end} of the blob"))
            })?;
            let score = f32::from_le_bytes(*score);
            if !score.is_finite() {
                return Err(Damage::new(format_args!(
                    "piece {id} has the score {score}"
                )));
            }
            pieces.lowest_score = pieces.lowest_score.min(score);
            // Scores are logarithms of probabilities; only control pieces hold 0.
            if score >= 0.0 || bytes.is_empty() || id as u32 == layout.unknown {
                continue;
            }
            pieces.longest = pieces.longest.max(bytes.len());
            let mut hash = PieceHash::EMPTY;
            hash.push(bytes);
            let (mut slot, tag) = hash.finish();
            slot &= mask;
            while pieces.slots[slot] != 0 {
                slot = (slot + 1) & mask;
                steps_left = steps_left
                    .checked_sub(1)
                    .ok_or_else(|| Damage::new("its pieces collide far beyond chance"))?;
            }
            pieces.slots[slot] = tag | (id as u64 + 1);
        }
        Ok(pieces)
    }

    /// Finds the piece that consists of `bytes`, whose hash the caller has kept: its id and score.
    #[inline]
    pub(crate) fn find(&self, hash: PieceHash, bytes: &[u8]) -> Option<(u32, f32)> {
        let mask = self.slots.len() - 1;
        let (mut slot, tag) = hash.finish();
        slot &= mask;
        // At most half the slots are taken, so an empty one is always met.
        loop {
            let entry = self.slots[slot];
            if entry == 0 {
                return None;
            }
            if entry & 0xffff_ffff_0000_0000 == tag {
                let id = (entry as u32) - 1;
                if self.bytes(id) == Some(bytes) {
                    return Some((id, self.score(id)));
                }
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Length in bytes of the longest piece.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// The lowest score of any piece, 0 if there are none.
    pub(crate) fn lowest_score(&self) -> f32 {
        self.lowest_score
    }

    fn bytes(&self, id: u32) -> Option<&[u8]> {
        let start = self.word(&self.offsets, id as usize)? as usize;
        let end = self.word(&self.offsets, id as usize + 1)? as usize;
        self.file.get(self.blob.clone())?.get(start..end)
    }

    fn score(&self, id: u32) -> f32 {
        self.word(&self.scores, id as usize)
            .map_or(f32::NEG_INFINITY, f32::from_bits)
    }

    fn word(&self, table: &Range<usize>, index: usize) -> Option<u32> {
        let bytes = self
            .file
            .get(table.clone())?
            .get(index * 4..index * 4 + 4)?;
        bytes.try_into().ok().map(u32::from_le_bytes)
    }
}
