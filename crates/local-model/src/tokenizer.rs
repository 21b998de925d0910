//! Turns a text into the model's piece numbers, as the model was trained to see it.

mod bert_text;
mod pieces;
mod unigram;
mod word_piece;

pub(crate) use unigram::Unigram;
pub(crate) use word_piece::WordPiece;

/// The pieces of a text, without the begin and end marks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Encoded {
    /// Piece numbers in the order of the text.
    pub(crate) ids: Vec<u32>,
    /// Characters read, marks for spaces not counted.
    pub(crate) characters: usize,
    /// How many of them the vocabulary says nothing about.
    pub(crate) unknown_characters: usize,
}

/// The tokenizer of a model.
pub(crate) enum Tokenizer {
    /// Best segmentation into scored pieces, as XLM-RoBERTa and its kin have it.
    Unigram(Unigram),
    /// Longest piece first within each word, as BERT and its kin have it.
    WordPiece(WordPiece),
}

impl Tokenizer {
    /// Encodes `text`; stops once `limit` pieces are there and cuts to it.
    pub(crate) fn encode(&self, text: &str, limit: usize) -> Encoded {
        match self {
            Tokenizer::Unigram(unigram) => unigram.encode(text, limit),
            Tokenizer::WordPiece(word_piece) => word_piece.encode(text, limit),
        }
    }

    /// The marks before and after every text.
    pub(crate) fn marks(&self) -> (u32, u32) {
        match self {
            Tokenizer::Unigram(unigram) => unigram.marks(),
            Tokenizer::WordPiece(word_piece) => word_piece.marks(),
        }
    }
}
