//! Which encoding a text file has, by its first bytes and, failing a mark there, by what decodes.

use std::io::{self, Read};

use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1251};

use crate::{SourceError, SourceErrorKind};

/// How much of a file the guesses look at.
const HEAD: usize = 64 << 10;

/// A text file without its mark.
#[derive(Debug)]
pub(super) struct Text<'a> {
    bytes: &'a [u8],
    encoding: &'static Encoding,
    marked: bool,
}

/// Finds the encoding.
pub(super) fn sniff(bytes: &[u8]) -> Result<Text<'_>, SourceError> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return Ok(Text {
            bytes: &bytes[mark..],
            encoding,
            marked: true,
        });
    }
    let head = &bytes[..bytes.len().min(HEAD)];
    let encoding = if let Some(wide) = wide(head) {
        wide
    } else if is_binary(head) {
        return Err(SourceError::new(
            SourceErrorKind::Format,
            "the file is no text; save the table as .xlsx or .csv",
        ));
    } else if is_utf8(bytes) {
        UTF_8
    } else {
        WINDOWS_1251
    };
    Ok(Text {
        bytes,
        encoding,
        marked: false,
    })
}

/// A stray NUL is a fault of its row; many are no text.
fn is_binary(head: &[u8]) -> bool {
    let zeros = head.iter().filter(|byte| **byte == 0).count();
    zeros > 8 && zeros * 50 > head.len()
}

/// UTF-16 without a mark: one half of the byte pairs is the high byte, and in Latin and Cyrillic text that is one of
/// a few values, zero among them.
fn wide(head: &[u8]) -> Option<&'static Encoding> {
    let pairs = head.len() / 2;
    for (high, encoding) in [(1, UTF_16LE), (0, UTF_16BE)] {
        let highs = || head.iter().skip(high).step_by(2);
        let plain = highs()
            .filter(|byte| matches!(byte, 0 | 0x04 | 0x20 | 0x21))
            .count();
        let zeros = highs().filter(|byte| **byte == 0).count();
        let low_zeros = head
            .iter()
            .skip(1 - high)
            .step_by(2)
            .filter(|byte| **byte == 0)
            .count();
        if zeros > 0 && low_zeros * 20 < zeros + 20 && plain * 10 >= pairs * 9 {
            return Some(encoding);
        }
    }
    None
}

/// A file with a few broken characters among many sound ones is UTF-8 all the same; windows-1251 hardly ever looks
/// like UTF-8 by chance.
fn is_utf8(bytes: &[u8]) -> bool {
    let mut sound = 0;
    let mut broken = 0;
    for chunk in bytes.utf8_chunks() {
        sound += chunk.valid().bytes().filter(|byte| *byte >= 0xc0).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    broken == 0 || sound > broken * 8
}

impl<'a> Text<'a> {
    /// What to tell about the guess; nothing where there was none, or the usual one.
    pub(super) fn notice(&self) -> Option<String> {
        (!self.marked && self.encoding != UTF_8).then(|| {
            format!(
                "read as {} (found out from the content; save as UTF-8 to be sure)",
                self.encoding.name().to_lowercase()
            )
        })
    }

    /// Whether a replacement character stands for something that did not decode.
    pub(super) fn marks_errors(&self) -> bool {
        self.encoding == UTF_16LE || self.encoding == UTF_16BE
    }

    /// The text in UTF-8. A UTF-8 file is passed on as it is: what is broken shows in its own field.
    pub(super) fn reader(&self) -> Decoded<'a> {
        Decoded {
            bytes: self.bytes,
            decoder: (self.encoding != UTF_8)
                .then(|| self.encoding.new_decoder_without_bom_handling()),
            ready: Vec::new(),
            taken: 0,
        }
    }

    /// The beginning of the text, up to the last whole line in it.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        let limit = HEAD as u64;
        // Reading from memory does not fail.
        if self.reader().take(limit).read_to_end(&mut head).is_ok()
            && head.len() == HEAD
            && let Some(end) = head.iter().rposition(|byte| *byte == b'\n')
        {
            head.truncate(end + 1);
        }
        head
    }

    /// Takes off the line `sep=;`, by which spreadsheet programs tell each other the delimiter. They do not count it.
    pub(super) fn take_separator_line(&mut self) -> Option<u8> {
        let head = self.head();
        let rest = head.strip_prefix(b"sep=")?;
        let (&delimiter, rest) = rest.split_first()?;
        let line_break = match rest {
            [b'\r', b'\n', ..] => 2,
            [b'\n' | b'\r', ..] => 1,
            _ => return None,
        };
        if !delimiter.is_ascii() || matches!(delimiter, b'\n' | b'\r' | b'"') {
            return None;
        }
        let width = if self.marks_errors() { 2 } else { 1 };
        self.bytes = self.bytes.get((5 + line_break) * width..)?;
        Some(delimiter)
    }
}

/// Decodes while it is read.
pub(super) struct Decoded<'a> {
    bytes: &'a [u8],
    decoder: Option<Decoder>,
    ready: Vec<u8>,
    taken: usize,
}

impl Read for Decoded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        const PIECE: usize = 16 << 10;
        let Some(decoder) = &mut self.decoder else {
            return self.bytes.read(buffer);
        };
        while self.taken == self.ready.len() && !self.bytes.is_empty() {
            let piece = &self.bytes[..self.bytes.len().min(PIECE)];
            self.ready.resize(PIECE * 4, 0);
            let last = piece.len() == self.bytes.len();
            let (_, read, written, _) = decoder.decode_to_utf8(piece, &mut self.ready, last);
            self.ready.truncate(written);
            self.taken = 0;
            self.bytes = &self.bytes[read..];
        }
        let count = buffer.len().min(self.ready.len() - self.taken);
        buffer[..count].copy_from_slice(&self.ready[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}
