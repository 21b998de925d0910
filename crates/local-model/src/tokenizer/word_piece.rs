//! WordPiece: each word of a text is cut into the longest pieces of the vocabulary, from its beginning on.
//!
//! Pieces that go on inside a word are written with `##` before them. A word that cannot be cut, or is longer than a
//! hundred characters, becomes the one unknown piece. The vocabulary is that of a `tokenizer.json` as Hugging Face's
//! `tokenizers` writes it. Its special pieces cannot be typed: `[SEP]` in a text is a bracket, a word and a bracket.

use std::collections::HashMap;

use serde::Deserialize;

use super::Encoded;
use super::bert_text::{LONGEST_WORD, words};
use crate::error::Damage;

/// Most pieces a vocabulary may have.
const MOST_PIECES: usize = 1 << 20;

/// Whether a word is spelled out rather than read: cut nearly letter by letter, it is of a language whose letters are in
/// the vocabulary and whose words are not. English words, rare ones too, have two letters a piece and more.
fn is_spelled_out(characters: usize, pieces: usize) -> bool {
    characters >= 4 && pieces * 5 > characters * 3
}

/// The WordPiece tokenizer of a `tokenizer.json`.
pub(crate) struct WordPiece {
    beginnings: Pieces,
    continuations: Pieces,
    unknown: u32,
    begin: u32,
    end: u32,
    /// Number of pieces.
    pieces: usize,
    /// Every piece and its number, for the fingerprint of the model.
    digest: blake3::Hash,
}

/// Pieces by their text.
#[derive(Default)]
struct Pieces {
    ids: HashMap<Box<str>, u32>,
    /// Bytes of the longest.
    longest: usize,
}

impl Pieces {
    fn insert(&mut self, text: &str, id: u32) {
        self.longest = self.longest.max(text.len());
        self.ids.insert(text.into(), id);
    }
}

/// What is read of the file.
#[derive(Deserialize)]
struct File {
    normalizer: Normaliser,
    pre_tokenizer: Typed,
    model: Model,
}

#[derive(Deserialize)]
struct Typed {
    r#type: String,
}

#[derive(Deserialize)]
struct Normaliser {
    r#type: String,
    clean_text: bool,
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    lowercase: bool,
}

#[derive(Deserialize)]
struct Model {
    // Only in newer files; a vocabulary that is a table and has a prefix for continuations is WordPiece.
    r#type: Option<String>,
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: usize,
    vocab: HashMap<String, u32>,
}

impl WordPiece {
    /// Reads a `tokenizer.json` that has to be that of an uncased BERT.
    pub(crate) fn parse(file: &[u8]) -> Result<WordPiece, Damage> {
        let File {
            normalizer,
            pre_tokenizer,
            model,
        } = serde_json::from_slice(file)
            .map_err(|error| Damage::new(format_args!("it is not a BERT's: {error}")))?;
        let typed = |r#type: &str, expected: &str| {
            if r#type == expected {
                Ok(())
            } else {
                Err(Damage::new(format_args!(
                    "it has a {type}, expected a {expected}"
                )))
            }
        };
        typed(&normalizer.r#type, "BertNormalizer")?;
        typed(&pre_tokenizer.r#type, "BertPreTokenizer")?;
        typed(model.r#type.as_deref().unwrap_or("WordPiece"), "WordPiece")?;
        // Accents are stripped where letters are lowered, unless the file says otherwise.
        let uncased = normalizer.clean_text
            && normalizer.handle_chinese_chars
            && normalizer.lowercase
            && normalizer.strip_accents.unwrap_or(true);
        if !uncased || model.max_input_chars_per_word != LONGEST_WORD {
            return Err(Damage::new(
                "it treats texts otherwise than the uncased BERT of this model",
            ));
        }
        WordPiece::new(&model)
    }

    fn new(model: &Model) -> Result<WordPiece, Damage> {
        let pieces = model.vocab.len();
        let prefix = model.continuing_subword_prefix.as_str();
        if pieces > MOST_PIECES || prefix.is_empty() {
            return Err(Damage::new(format_args!(
                "it has {pieces} pieces, and {prefix:?} before those inside a word"
            )));
        }
        let control = |name: &str| {
            model
                .vocab
                .get(name)
                .copied()
                .ok_or_else(|| Damage::new(format_args!("piece {name} is missing")))
        };
        let (unknown, begin, end) = (
            control(&model.unk_token)?,
            control("[CLS]")?,
            control("[SEP]")?,
        );
        let mut in_order = vec![None; pieces];
        for (text, id) in &model.vocab {
            match in_order.get_mut(*id as usize) {
                Some(place @ None) => *place = Some(text.as_str()),
                _ => {
                    return Err(Damage::new(format_args!(
                        "piece {text:?} has the number {id}, which is taken or beyond {pieces} pieces"
                    )));
                }
            }
        }
        let mut digest = blake3::Hasher::new();
        let (mut beginnings, mut continuations) = (Pieces::default(), Pieces::default());
        for (id, text) in (0u32..).zip(in_order.into_iter().flatten()) {
            digest.update(&(text.len() as u64).to_le_bytes());
            digest.update(text.as_bytes());
            match text.strip_prefix(prefix).filter(|rest| !rest.is_empty()) {
                Some(rest) => continuations.insert(rest, id),
                None => beginnings.insert(text, id),
            }
        }
        Ok(WordPiece {
            beginnings,
            continuations,
            unknown,
            begin,
            end,
            pieces,
            digest: digest.finalize(),
        })
    }

    /// The tokenizer, if its pieces are as many as the word embeddings have rows.
    pub(crate) fn fitting(self, rows: usize) -> Result<WordPiece, Damage> {
        if self.pieces == rows {
            return Ok(self);
        }
        Err(Damage::new(format_args!(
            "it has {} pieces, and the weights have {rows} embedding rows: it belongs to another model",
            self.pieces
        )))
    }

    /// A digest of all pieces in the order of their numbers.
    pub(crate) fn digest(&self) -> &blake3::Hash {
        &self.digest
    }

    /// The marks before and after every text.
    pub(crate) fn marks(&self) -> (u32, u32) {
        (self.begin, self.end)
    }

    /// Encodes `text`; stops once `limit` pieces are there and cuts to it.
    pub(crate) fn encode(&self, text: &str, limit: usize) -> Encoded {
        let mut encoded = Encoded::default();
        let mut bytes = String::new();
        words(text, |word, length| {
            bytes.clear();
            bytes.extend(word);
            let before = encoded.ids.len();
            let known = length <= LONGEST_WORD && self.cut(&bytes, &mut encoded.ids);
            if !known {
                encoded.ids.truncate(before);
                encoded.ids.push(self.unknown);
            }
            encoded.characters += length;
            if !known || is_spelled_out(length, encoded.ids.len() - before) {
                encoded.unknown_characters += length;
            }
            encoded.ids.len() < limit
        });
        encoded.ids.truncate(limit);
        encoded
    }

    /// Appends the pieces of `word`; false if it cannot be cut, with some of them appended.
    fn cut(&self, word: &str, ids: &mut Vec<u32>) -> bool {
        let mut rest = word;
        let mut pieces = &self.beginnings;
        while !rest.is_empty() {
            let mut end = rest.len().min(pieces.longest);
            let id = loop {
                // Not every byte is the end of a character.
                match rest.get(..end).map(|candidate| pieces.ids.get(candidate)) {
                    Some(Some(id)) => break *id,
                    _ if end <= 1 => return false,
                    _ => end -= 1,
                }
            };
            ids.push(id);
            rest = &rest[end..];
            pieces = &self.continuations;
        }
        true
    }
}
