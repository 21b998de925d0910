//! Cuts JSON text into records without parsing it, so that one record is in memory as JSON values at a time.

use crate::{SourceError, SourceErrorKind};

/// One record and the line it begins in.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) line: u64,
    /// `None` when it is too long to be read.
    pub(super) bytes: Option<&'a [u8]>,
}

impl<'a> Piece<'a> {
    fn new(line: u64, bytes: &'a [u8], longest: usize) -> Self {
        Self {
            line,
            bytes: (bytes.len() <= longest).then_some(bytes),
        }
    }
}

/// Every line that is not blank. `longest` is how many bytes of one are read.
pub(super) fn lines<'a>(
    bytes: &'a [u8],
    longest: usize,
    mut take: impl FnMut(Piece<'a>) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        let line = line.trim_ascii();
        if !line.is_empty() {
            take(Piece::new(number, line, longest))?;
        }
    }
    Ok(())
}

/// Every element of the array that the text is.
pub(super) fn elements<'a>(
    bytes: &'a [u8],
    longest: usize,
    mut take: impl FnMut(Piece<'a>) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    let mut line = 1;
    let mut begun: Option<(usize, u64)> = None;
    let mut commas = 0_u64;
    let mut end = None;
    for (position, &byte) in bytes.iter().enumerate() {
        line += u64::from(byte == b'\n');
        if quoted {
            quoted = byte != b'"' || escaped;
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        if byte.is_ascii_whitespace() {
            continue;
        }
        if end.is_some() {
            return Err(fault(line, "something follows the array"));
        }
        if depth == 1 && matches!(byte, b',' | b']') {
            match begun.take() {
                Some((start, line)) => {
                    let element = bytes[start..position].trim_ascii_end();
                    take(Piece::new(line, element, longest))?;
                }
                None if byte == b',' || commas > 0 => {
                    return Err(fault(line, "an element is missing"));
                }
                None => {}
            }
            if byte == b',' {
                commas += 1;
                continue;
            }
        } else if depth == 1 && begun.is_none() {
            begun = Some((position, line));
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    end = Some(position);
                }
            }
            _ => {}
        }
    }
    match end {
        Some(_) => Ok(()),
        None => Err(fault(line, "the array is never closed")),
    }
}

fn fault(line: u64, what: &str) -> SourceError {
    SourceError::new(
        SourceErrorKind::Format,
        format!("{what} (line {line}); is the file complete"),
    )
}
