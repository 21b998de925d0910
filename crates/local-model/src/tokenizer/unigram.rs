//! Turns a text into the model's piece numbers: SentencePiece unigram, as XLM-RoBERTa uses it.
//!
//! Steps: compose the text (NFC), replace code points by the file's normaliser table, fold runs of spaces, put U+2581 for
//! every space and before the text, cut into words at U+2581, and give each word the segmentation of the highest total
//! score (Viterbi). A character that no piece covers is unknown and costs the lowest score less ten; neighbours that are
//! unknown become one token. Cutting into words first changes nothing, since U+2581 only ever begins a piece, and keeps
//! the work and the memory for a very long text bounded.

use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

use super::Encoded;
use super::pieces::{PieceHash, Pieces};
use crate::error::Damage;
use crate::layout::e5s1::VocabularyLayout;
use crate::mapped::ModelBytes;

/// What stands for a space, and before the first word.
const SPACE_MARK: char = '\u{2581}';

/// How much worse than the rarest piece an unknown character is (SentencePiece's `kUnkPenalty`).
const UNKNOWN_PENALTY: f64 = 10.0;

/// A word is cut after this many characters. No token has more than a few dozen, so a cut beyond what the model reads
/// at most cannot be seen in a vector; it bounds the memory that a text without spaces takes.
const LONGEST_WORD: usize = 1 << 14;

/// The unigram tokenizer of a weights file.
pub(crate) struct Unigram {
    pieces: Pieces,
    folds: Folds,
    begin: u32,
    end: u32,
    unknown: u32,
    unknown_score: f64,
}

impl Unigram {
    /// Builds the tables. Costs a few milliseconds, nearly all of it the table of pieces.
    pub(crate) fn new(file: Arc<ModelBytes>, layout: &VocabularyLayout) -> Result<Unigram, Damage> {
        let folds = Folds::parse(&file[layout.fold_bytes.clone()], layout.folds)?;
        let pieces = Pieces::new(file, layout)?;
        let unknown_score = f64::from(pieces.lowest_score()) - UNKNOWN_PENALTY;
        Ok(Unigram {
            pieces,
            folds,
            begin: layout.bos,
            end: layout.eos,
            unknown: layout.unknown,
            unknown_score,
        })
    }

    /// The marks before and after every text.
    pub(crate) fn marks(&self) -> (u32, u32) {
        (self.begin, self.end)
    }

    /// Encodes `text`; stops once `limit` pieces are there and cuts to it.
    pub(crate) fn encode(&self, text: &str, limit: usize) -> Encoded {
        let mut encoded = Encoded::default();
        let mut lattice = Lattice::default();
        let mut previous = None;
        for character in text.nfc().flat_map(|character| self.folds.apply(character)) {
            if character == ' ' && previous == Some(' ') {
                continue;
            }
            // A space that the text itself begins with is the mark.
            if previous.is_none() && character != ' ' {
                lattice.push(SPACE_MARK);
            }
            previous = Some(character);
            let character = if character == ' ' {
                SPACE_MARK
            } else {
                character
            };
            if character == SPACE_MARK || lattice.len() >= LONGEST_WORD {
                self.segment(&mut lattice, &mut encoded);
                if encoded.ids.len() >= limit {
                    break;
                }
            }
            lattice.push(character);
        }
        if previous.is_none() {
            lattice.push(SPACE_MARK);
        }
        self.segment(&mut lattice, &mut encoded);
        encoded.ids.truncate(limit);
        encoded
    }

    /// Appends the best segmentation of the word in `lattice` to `encoded`, and clears the word.
    fn segment(&self, lattice: &mut Lattice, encoded: &mut Encoded) {
        let Lattice {
            text,
            starts,
            best,
            path,
        } = lattice;
        if starts.is_empty() {
            return;
        }
        let characters = starts.len();
        starts.push(text.len());
        best.clear();
        best.resize(
            characters + 1,
            Step {
                score: f64::NEG_INFINITY,
                from: 0,
                id: None,
            },
        );
        best[0].score = 0.0;
        for first in 0..characters {
            let score = best[first].score;
            let mut hash = PieceHash::EMPTY;
            for last in first..characters {
                let bytes = &text.as_bytes()[starts[first]..starts[last + 1]];
                if bytes.len() > self.pieces.longest() {
                    break;
                }
                hash.push(&text.as_bytes()[starts[last]..starts[last + 1]]);
                if let Some((id, piece)) = self.pieces.find(hash, bytes) {
                    best[last + 1].improve(score + f64::from(piece), first, Some(id));
                }
            }
            best[first + 1].improve(score + self.unknown_score, first, None);
        }
        path.clear();
        let mut at = characters;
        while at > 0 {
            path.push(best[at].id);
            at = best[at].from;
        }
        let mut previous_known = true;
        for id in path.iter().rev() {
            match id {
                Some(id) => encoded.ids.push(*id),
                None => {
                    encoded.unknown_characters += 1;
                    if previous_known {
                        encoded.ids.push(self.unknown);
                    }
                }
            }
            previous_known = id.is_some();
        }
        encoded.characters += characters - usize::from(text.starts_with(SPACE_MARK));
        text.clear();
        starts.clear();
    }
}

/// The word in hand and the scratch of its segmentation.
#[derive(Default)]
struct Lattice {
    text: String,
    /// Where each character begins.
    starts: Vec<usize>,
    /// The best way to each character boundary.
    best: Vec<Step>,
    path: Vec<Option<u32>>,
}

impl Lattice {
    fn push(&mut self, character: char) {
        self.starts.push(self.text.len());
        self.text.push(character);
    }

    fn len(&self) -> usize {
        self.starts.len()
    }
}

#[derive(Clone, Copy)]
struct Step {
    score: f64,
    from: usize,
    id: Option<u32>,
}

impl Step {
    #[inline]
    fn improve(&mut self, score: f64, from: usize, id: Option<u32>) {
        if score > self.score {
            *self = Step { score, from, id };
        }
    }
}

/// The normaliser: code points that are replaced by others, or by none.
struct Folds {
    /// Rising.
    code_points: Vec<u32>,
    /// Where each entry's replacement begins in `replacements`; one more than there are entries.
    starts: Vec<u32>,
    replacements: Vec<char>,
}

impl Folds {
    fn parse(mut bytes: &[u8], entries: usize) -> Result<Folds, Damage> {
        let mut folds = Folds {
            code_points: Vec::with_capacity(entries),
            starts: vec![0],
            replacements: Vec::new(),
        };
        for entry in 0..entries {
            let cut = |bytes: &mut &[u8]| -> Option<u32> {
                let (word, rest) = bytes.split_first_chunk::<4>()?;
                *bytes = rest;
                Some(u32::from_le_bytes(*word))
            };
            let short = || Damage::new(format_args!("it ends inside normaliser entry {entry}"));
            let code_point = cut(&mut bytes).ok_or_else(short)?;
            let (count, rest) = bytes.split_first().ok_or_else(short)?;
            bytes = rest;
            if folds
                .code_points
                .last()
                .is_some_and(|&last| last >= code_point)
            {
                return Err(Damage::new(format_args!(
                    "normaliser entry {entry} is out of order"
                )));
            }
            for _ in 0..*count {
                let replacement = cut(&mut bytes).ok_or_else(short)?;
                let replacement = char::from_u32(replacement).ok_or_else(|| {
                    Damage::new(format_args!(
                        "normaliser entry {entry} names {replacement:#x}, no character"
                    ))
                })?;
                folds.replacements.push(replacement);
            }
            folds.code_points.push(code_point);
            // Bounded by a quarter of the u32 length of the table.
            folds.starts.push(folds.replacements.len() as u32);
        }
        Ok(folds)
    }

    /// What stands in the place of `character`.
    fn apply(&self, character: char) -> impl Iterator<Item = char> {
        let (same, replaced) = match self.code_points.binary_search(&u32::from(character)) {
            Err(_) => (Some(character), &[][..]),
            Ok(at) => {
                let range = self.starts[at] as usize..self.starts[at + 1] as usize;
                (None, &self.replacements[range])
            }
        };
        same.into_iter().chain(replaced.iter().copied())
    }
}
