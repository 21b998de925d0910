//! Cuts a text into chunks. Pure: the same text gives the same chunks, everywhere and always.
//!
//! A cut falls between paragraphs where it can, else between sentences, else between words, and inside a word only when
//! that word alone is too long; never inside a character as a reader sees it. Among the cuts that would do, the one is
//! taken whose following text hashes lowest: what a chunk is then depends on the text around it, not on everything before
//! it, and after an insertion the cuts soon fall where they fell before. Chunks that are the same text cost nothing to
//! sync. Pages and headings are always cut at, so that each chunk has one of each.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation;

use crate::Piece;

/// Counts the tokens of a text.
pub type TokenCount = Arc<dyn Fn(&str) -> usize + Send + Sync>;

/// No store takes more characters in one text, however few tokens they are.
const MOST_CHARACTERS: usize = 32_767;

/// How large chunks are.
#[derive(Debug, Clone)]
pub struct Chunking {
    /// The most of a chunk.
    pub size: usize,
    /// What a chunk repeats of the one before it, at most.
    pub overlap: usize,
    /// In what both are counted.
    pub by: ChunkBy,
}

impl Default for Chunking {
    /// 1000 characters are some 250 tokens: half of what small embedding models read, and a paragraph or two, which is
    /// what an answer takes. 150 characters repeat the sentence at the seam.
    fn default() -> Self {
        Self {
            size: 1000,
            overlap: 150,
            by: ChunkBy::Characters,
        }
    }
}

/// In what the size of a chunk is counted.
#[derive(Clone)]
pub enum ChunkBy {
    /// Unicode scalar values.
    Characters,
    /// Tokens, as the caller counts them: never fewer in a longer text.
    Tokens(TokenCount),
}

impl fmt::Debug for ChunkBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Characters => "Characters",
            Self::Tokens(_) => "Tokens",
        })
    }
}

impl Chunking {
    /// What is wrong with the numbers, if anything: for a person.
    ///
    /// # Errors
    /// When a chunk would hold nothing of its own, or more than a store takes.
    pub fn check(&self) -> Result<(), String> {
        if self.size == 0 || self.size > MOST_CHARACTERS {
            return Err(format!(
                "a chunk's size is between 1 and {MOST_CHARACTERS}, not {}",
                self.size
            ));
        }
        if self.overlap > self.size / 2 {
            return Err(format!(
                "chunks overlap by half their size at most ({} of {}), not by {}",
                self.size / 2,
                self.size,
                self.overlap
            ));
        }
        Ok(())
    }

    fn measure(&self, text: &str) -> usize {
        match &self.by {
            ChunkBy::Characters => text.chars().count(),
            ChunkBy::Tokens(count) => count(text),
        }
    }

    fn fits(&self, text: &str, size: usize) -> bool {
        // A character takes at least a byte: most texts need no counting.
        if matches!(self.by, ChunkBy::Characters) && text.len() <= size {
            return true;
        }
        // Nor does one take more than four: the rest of a long text is too much, whoever counts it. Each cut asks.
        let most = match &self.by {
            ChunkBy::Characters => size,
            ChunkBy::Tokens(_) => MOST_CHARACTERS,
        };
        if text.len() > most.saturating_mul(4) {
            return false;
        }
        self.measure(text) <= size
            && (text.len() <= MOST_CHARACTERS || text.chars().count() <= MOST_CHARACTERS)
    }
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Position among the chunks, from 0.
    pub index: u32,
    /// Byte offsets into the text; there is no white space at either end.
    pub span: Range<usize>,
    /// The piece it is of, by its position: page and heading.
    pub piece: usize,
}

/// Cuts a text into chunks. The pieces must lie in it, one after the other.
///
/// Everything but white space is in some chunk. A chunk is at most `size` large, or a single character.
#[must_use]
pub fn chunks(text: &str, pieces: &[Piece], chunking: &Chunking) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    for (position, piece) in pieces.iter().enumerate() {
        let Some(within) = text.get(piece.span.clone()) else {
            continue;
        };
        for span in cut(within, chunking) {
            chunks.push(Chunk {
                index: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
                span: piece.span.start + span.start..piece.span.start + span.end,
                piece: position,
            });
        }
    }
    chunks
}

/// How good a place for a cut is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seam {
    Word,
    Sentence,
    Paragraph,
}

fn cut(text: &str, chunking: &Chunking) -> Vec<Range<usize>> {
    let whole = trimmed(text, 0..text.len());
    if whole.is_empty() {
        return Vec::new();
    }
    if chunking.fits(&text[whole.clone()], chunking.size) {
        return vec![whole];
    }
    let seams = seams(text);
    // What a chunk repeats comes on top of its own, and both together are within the size.
    let overlap = chunking.overlap.min(chunking.size / 2);
    let own = (chunking.size - overlap).max(1);
    let mut spans = Vec::new();
    let mut start = whole.start;
    while start < whole.end {
        let end = next_cut(text, &seams, start..whole.end, own, chunking);
        let from = repeated(text, &seams, start, end, overlap, chunking);
        let span = trimmed(text, from..end);
        // An own part of nothing but white space adds nothing to what the chunk before said.
        if !trimmed(text, start..end).is_empty() {
            spans.push(span);
        }
        start = end;
    }
    spans
}

/// Where words begin, and of those, where a sentence or a paragraph does. The first is not among them.
fn seams(text: &str) -> Vec<(usize, Seam)> {
    let mut sentences = text
        .split_sentence_bound_indices()
        .map(|(at, _)| at)
        .peekable();
    let mut seams = Vec::new();
    let mut breaks = 0;
    let mut space = false;
    // A sentence may begin with white space; it counts for the word after it.
    let mut sentence = false;
    // A mark on a space is no word of its own.
    for (at, character) in text.grapheme_indices(true) {
        while sentences.peek().is_some_and(|next| *next <= at) {
            sentences.next();
            sentence = true;
        }
        if character.chars().all(char::is_whitespace) {
            space = true;
            breaks += usize::from(character.ends_with('\n'));
            continue;
        }
        let begins = at > 0 && (space || sentence);
        if begins {
            let seam = if breaks > 1 {
                Seam::Paragraph
            } else if sentence || breaks == 1 {
                Seam::Sentence
            } else {
                Seam::Word
            };
            seams.push((at, seam));
        }
        (space, sentence, breaks) = (false, false, 0);
    }
    seams
}

/// The end of the part that begins at the range's start.
fn next_cut(
    text: &str,
    seams: &[(usize, Seam)],
    range: Range<usize>,
    size: usize,
    chunking: &Chunking,
) -> usize {
    let Range { start, end } = range;
    let fits = |to: usize, size: usize| chunking.fits(text[start..to].trim_end(), size);
    if fits(end, size) {
        return end;
    }
    let first = seams.partition_point(|(at, _)| *at <= start);
    let ahead = &seams[first..];
    let farthest = reach(ahead.len(), |at| fits(ahead[at].0, size));
    if farthest == 0 {
        return within_word(
            text,
            start..ahead.first().map_or(end, |(at, _)| *at),
            size,
            chunking,
        );
    }
    let near = reach(farthest, |at| fits(ahead[at].0, size / 2));
    // Nearer than half the size only if there is no other: a long word follows.
    let window = if near < farthest {
        &ahead[near..farthest]
    } else {
        &ahead[..farthest]
    };
    let best = window.iter().map(|(_, seam)| *seam).max();
    window
        .iter()
        .filter(|(_, seam)| Some(*seam) == best)
        .min_by_key(|(at, _)| (weight(text, *at), *at))
        .map_or(end, |(at, _)| *at)
}

/// How many of the first places hold the condition, which holds for a beginning of them: found by doubling, since a text
/// may have very many more.
fn reach(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let mut step = 1;
    while step <= count && holds(step - 1) {
        step *= 2;
    }
    let (mut low, mut high) = (step / 2, count.min(step - 1));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if holds(middle - 1) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// A number that a place has from the text after it.
fn weight(text: &str, at: usize) -> u64 {
    const LOOKED_AT: usize = 64;
    let after = &text.as_bytes()[at..];
    let hash = blake3::hash(&after[..after.len().min(LOOKED_AT)]);
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// A cut inside a word that is too long, between two characters as a reader sees them.
fn within_word(text: &str, range: Range<usize>, size: usize, chunking: &Chunking) -> usize {
    let word = &text[range.clone()];
    // Only the beginning is looked at: the word may be the whole document.
    let most = match &chunking.by {
        ChunkBy::Characters => size.saturating_add(1).min(MOST_CHARACTERS),
        ChunkBy::Tokens(_) => MOST_CHARACTERS,
    };
    let bounds = word
        .grapheme_indices(true)
        .map(|(at, _)| at)
        .skip(1)
        .take(most)
        .collect::<Vec<_>>();
    let fitting = reach(bounds.len(), |at| chunking.fits(&word[..bounds[at]], size));
    match (fitting, bounds.first()) {
        (0, Some(first)) => single(&word[..*first], size, chunking, range.start),
        (0, None) => single(word, size, chunking, range.start),
        (fitting, _) => range.start + bounds[fitting - 1],
    }
}

/// One character as a reader sees it that is larger than a chunk: letters may carry thousands of marks, and that is
/// nobody's language. Cut between scalar values, if it must be.
fn single(character: &str, size: usize, chunking: &Chunking, start: usize) -> usize {
    const LONGEST: usize = 64;
    if character.chars().count() <= LONGEST {
        return start + character.len();
    }
    let bounds = character
        .char_indices()
        .map(|(at, _)| at)
        .skip(1)
        .take(MOST_CHARACTERS)
        .collect::<Vec<_>>();
    let fitting = reach(bounds.len(), |at| {
        chunking.fits(&character[..bounds[at]], size)
    });
    start + bounds[fitting.max(1) - 1]
}

/// Where a chunk begins whose own part is `start..end`: at most `overlap` before, at a sentence if there is one, else
/// at a word.
fn repeated(
    text: &str,
    seams: &[(usize, Seam)],
    start: usize,
    end: usize,
    overlap: usize,
    chunking: &Chunking,
) -> usize {
    if overlap == 0 {
        return start;
    }
    let before = &seams[..seams.partition_point(|(at, _)| *at < start)];
    // From the seam backwards: how many words may be repeated.
    let count = reach(before.len(), |back| {
        chunking.fits(
            text[before[before.len() - 1 - back].0..start].trim_end(),
            overlap,
        )
    });
    let candidates = &before[before.len() - count..];
    let sentence = candidates.iter().find(|(_, seam)| *seam >= Seam::Sentence);
    let Some((from, _)) = sentence.or(candidates.first()) else {
        return start;
    };
    // Counted together two texts may be more than apart.
    let together = text[*from..end].trim_end();
    if chunking.fits(together, chunking.size) {
        *from
    } else {
        start
    }
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.start + (part.len() - part.trim_start().len());
    let end = range.end - (part.len() - part.trim_end().len());
    if start >= end {
        range.start..range.start
    } else {
        start..end
    }
}

#[cfg(test)]
mod tests;
