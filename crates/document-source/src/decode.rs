//! Bytes as text: by their mark, by what the document says of itself, and failing both by what decodes.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1251};
use faq_source::{SourceError, SourceErrorKind};

/// How much of a file the guesses look at.
const HEAD: usize = 64 << 10;

/// Decodes a text file. `declared` is what it says of its own encoding.
///
/// Yields a notice too, where the encoding was a guess or something did not decode.
pub(crate) fn decode<'a>(
    bytes: &'a [u8],
    declared: Option<&'static Encoding>,
) -> Result<(Cow<'a, str>, Option<String>), SourceError> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return Ok(decoded(encoding, &bytes[mark..], false));
    }
    let head = &bytes[..bytes.len().min(HEAD)];
    if let Some(wide) = wide(head) {
        return Ok(decoded(wide, bytes, true));
    }
    if is_binary(head) {
        return Err(SourceError::new(
            SourceErrorKind::Format,
            "it is no text; save it as text, or give it the extension of what it is",
        ));
    }
    if is_utf8(bytes) {
        return Ok(decoded(UTF_8, bytes, false));
    }
    Ok(match declared {
        Some(encoding) if encoding != UTF_8 => decoded(encoding, bytes, false),
        _ => decoded(WINDOWS_1251, bytes, true),
    })
}

fn decoded<'a>(
    encoding: &'static Encoding,
    bytes: &'a [u8],
    guessed: bool,
) -> (Cow<'a, str>, Option<String>) {
    let (text, broken) = encoding.decode_without_bom_handling(bytes);
    let notice = if broken {
        Some(format!(
            "characters that are no {} are shown as \u{fffd}",
            encoding.name()
        ))
    } else if guessed {
        Some(format!(
            "read as {} (found out from the content; save as UTF-8 to be sure)",
            encoding.name().to_lowercase()
        ))
    } else {
        None
    };
    (text, notice)
}

/// Many NULs are no text.
fn is_binary(head: &[u8]) -> bool {
    let zeros = head.iter().filter(|byte| **byte == 0).count();
    zeros > 8 && zeros * 50 > head.len()
}

/// UTF-16 without a mark: one half of the byte pairs is the high byte, and in Latin and Cyrillic text that is one of
/// a few values, zero among them.
fn wide(head: &[u8]) -> Option<&'static Encoding> {
    let pairs = head.len() / 2;
    for (high, encoding) in [(1, UTF_16LE), (0, UTF_16BE)] {
        let every_second = |from: usize| head.iter().skip(from).step_by(2);
        let plain = every_second(high)
            .filter(|byte| matches!(byte, 0 | 0x04 | 0x20 | 0x21))
            .count();
        let zeros = every_second(high).filter(|byte| **byte == 0).count();
        let low_zeros = every_second(1 - high).filter(|byte| **byte == 0).count();
        if zeros > 0 && low_zeros * 20 < zeros + 20 && plain * 10 >= pairs * 9 {
            return Some(encoding);
        }
    }
    None
}

/// A file with a few broken characters among many sound ones is UTF-8 all the same; windows-1251 hardly ever looks
/// like UTF-8 by chance.
fn is_utf8(bytes: &[u8]) -> bool {
    let (mut sound, mut broken) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        sound += chunk.valid().bytes().filter(|byte| *byte >= 0xc0).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    broken == 0 || sound > broken * 8
}
