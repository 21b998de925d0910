//! The zip container around a docx.

use std::io::{Cursor, Read};

use faq_source::{SourceError, SourceErrorKind};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::DocumentLimits;
use crate::decode::decode;
use crate::limits::{bytes, over};

/// Below so many bytes a high ratio is a small part of blanks, not a bomb.
const RATIO_FROM: u64 = 4 << 20;

pub(super) struct Container<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    limits: DocumentLimits,
    /// Bytes inflated so far.
    total: u64,
}

impl<'a> Container<'a> {
    pub(super) fn open(container: &'a [u8], limits: &DocumentLimits) -> Result<Self, SourceError> {
        let archive = ZipArchive::new(Cursor::new(container)).map_err(broken)?;
        if archive.len() > limits.parts {
            return Err(refused(format!(
                "it holds {} parts, more than {}",
                archive.len(),
                limits.parts
            )));
        }
        Ok(Self {
            archive,
            limits: *limits,
            total: 0,
        })
    }

    /// A part as text; `None` where there is none of that name.
    pub(super) fn part(&mut self, name: &str) -> Result<Option<String>, SourceError> {
        let mut entry = match self.archive.by_name(name) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(broken(error)),
        };
        let packed = entry.compressed_size().max(1);
        let limits = &self.limits;
        let mut content = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = entry
                .read(&mut buffer)
                .map_err(|error| broken(ZipError::Io(error)))?;
            if read == 0 {
                break;
            }
            self.total += read as u64;
            let size = (content.len() + read) as u64;
            let refusal = if size > limits.part_bytes {
                format!(
                    "{name:?} inflates to more than {}",
                    bytes(limits.part_bytes)
                )
            } else if self.total > limits.total_bytes {
                format!(
                    "its parts inflate to more than {}",
                    bytes(limits.total_bytes)
                )
            } else if size > RATIO_FROM && size / packed > limits.ratio {
                format!("{name:?} inflates more than {} times", limits.ratio)
            } else {
                content.extend_from_slice(&buffer[..read]);
                continue;
            };
            return Err(refused(refusal));
        }
        let (text, _) = decode(&content, None)?;
        Ok(Some(text.into_owned()))
    }
}

fn refused(fact: String) -> SourceError {
    over(format!(
        "the docx is refused: {fact}; copy the text into a new document and save that"
    ))
}

fn broken(error: ZipError) -> SourceError {
    SourceError::new(
        SourceErrorKind::Format,
        "the docx is damaged or not complete; open it and save it again",
    )
    .with_source(error)
}
