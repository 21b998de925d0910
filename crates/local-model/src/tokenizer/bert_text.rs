//! A text as BERT's uncased models see it: cleaned, without accents, in lower case, cut into words and signs.
//!
//! The steps of Google's `BasicTokenizer`, in its order: control characters go, white space becomes a space, every CJK
//! ideograph stands alone, accents go (decompose, drop nonspacing marks), letters become lower case; then words are what
//! lies between white space, and every punctuation sign is a word of its own. What a character is follows from Unicode's
//! general category, of a newer Unicode than the reference tokenizer has: it takes 693 of 1,112,064 characters for something
//! else, all of scripts and signs that came since and are in no vocabulary of such a model anyway.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Characters of the longest word that is looked up; longer ones are unknown as a whole.
pub(crate) const LONGEST_WORD: usize = 100;

/// Gives `each` the words of `text` in their order, until it returns false.
///
/// A word of more than [`LONGEST_WORD`] characters is given with its first characters only and its true length, so the
/// memory is bounded whatever the text.
pub(crate) fn words(text: &str, mut each: impl FnMut(&[char], usize) -> bool) {
    let mut word = Vec::new();
    let mut length = 0;
    let characters = text
        .chars()
        .filter_map(clean)
        .flat_map(apart)
        .nfd()
        .filter(|character| character.general_category() != GeneralCategory::NonspacingMark)
        // One by one: a word has no part in how a letter is lowered, as it would have for the Greek sigma.
        .flat_map(char::to_lowercase);
    for character in characters {
        let sign = is_punctuation(character);
        if (sign || character.is_whitespace()) && length > 0 {
            if !each(&word, length) {
                return;
            }
            word.clear();
            length = 0;
        }
        if sign {
            if !each(&[character], 1) {
                return;
            }
        } else if !character.is_whitespace() {
            length += 1;
            if length <= LONGEST_WORD {
                word.push(character);
            }
        }
    }
    if length > 0 {
        each(&word, length);
    }
}

/// What stands for a character: a space for white space, nothing for control characters and for the mark of text that
/// could not be read. Code points that Unicode has not assigned are kept.
fn clean(character: char) -> Option<char> {
    match character {
        '\t' | '\n' | '\r' => Some(' '),
        '\0' | char::REPLACEMENT_CHARACTER => None,
        character if character.is_ascii_graphic() => Some(character),
        character => match character.general_category() {
            GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::PrivateUse => {
                None
            }
            _ if character.is_whitespace() => Some(' '),
            _ => Some(character),
        },
    }
}

/// The character, between spaces if it is an ideograph: Chinese is written without.
fn apart(character: char) -> impl Iterator<Item = char> {
    let space = is_ideograph(character).then_some(' ');
    space.into_iter().chain([character]).chain(space)
}

/// The blocks that BERT's authors took for Chinese characters. Kana and Hangul, written with spaces or not, are letters.
fn is_ideograph(character: char) -> bool {
    matches!(
        u32::from(character),
        0x3400..=0x4dbf
            | 0x4e00..=0x9fff
            | 0xf900..=0xfaff
            | 0x20000..=0x2a6df
            | 0x2a700..=0x2b73f
            | 0x2b740..=0x2b81f
            | 0x2b920..=0x2ceaf
            | 0x2f800..=0x2fa1f
    )
}

/// Punctuation by Unicode, and all of ASCII's signs: `$`, `+` and `^` are none to Unicode.
fn is_punctuation(character: char) -> bool {
    character.is_ascii_punctuation()
        || (!character.is_ascii()
            && character.general_category_group() == GeneralCategoryGroup::Punctuation)
}
