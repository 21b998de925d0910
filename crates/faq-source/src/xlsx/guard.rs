//! Looks at a workbook's zip container before calamine does: how many entries, and how large they are when inflated,
//! counted and not as declared. Also refuses what makes the parser allocate by a number in the file.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::{SourceError, SourceErrorKind};

const ENTRIES: usize = 10_000;
const ENTRY_BYTES: u64 = 256 << 20;
const TOTAL_BYTES: u64 = 512 << 20;
const RATIO: u64 = 200;
/// Below this a high ratio is a small file of blanks, not a bomb.
const RATIO_FROM: u64 = 4 << 20;
/// The longest tag or text of a part that is parsed; the longest text of a cell takes 64 KiB.
const LONGEST_RUN: usize = 1 << 20;
/// Different texts that a workbook may announce.
const DECLARED_TEXTS: u64 = 5_000_000;
/// Styles hold a copy of their font's name and number format each.
const STYLE_BYTES: u64 = 64 << 20;

/// Refuses what would cost far more than a workbook of this size is worth.
pub(super) fn check(bytes: &[u8]) -> Result<(), SourceError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    if archive.len() > ENTRIES {
        return Err(refused(format!("it holds {} parts", archive.len())));
    }
    if let Some(other) = other_document(&archive) {
        return Err(SourceError::new(SourceErrorKind::Format, other));
    }
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(broken)?;
        let name = entry.name().map_err(broken)?.to_lowercase();
        let packed = entry.compressed_size().max(1);
        let mut part = Part::new(&name);
        let mut size = 0;
        loop {
            let read = entry
                .read(&mut buffer)
                .map_err(|error| broken(ZipError::Io(error)))?;
            if read == 0 {
                break;
            }
            size += read as u64;
            total += read as u64;
            if size > ENTRY_BYTES || total > TOTAL_BYTES {
                return Err(refused(format!("{name} inflates without end")));
            }
            if size > RATIO_FROM && size / packed > RATIO {
                return Err(refused(format!("{name} inflates more than {RATIO} times")));
            }
            part.feed(&buffer[..read]);
            if let Some(fault) = part.fault() {
                return Err(refused(format!("{name} {fault}")));
            }
        }
    }
    Ok(())
}

/// A zip container that is something else.
fn other_document<R: Read + std::io::Seek>(archive: &ZipArchive<R>) -> Option<&'static str> {
    let names = archive
        .file_names()
        .filter_map(Result::ok)
        .map(|name| name.to_lowercase())
        .collect::<Vec<_>>();
    let holds = |wanted: &str| names.iter().any(|name| name.ends_with(wanted));
    if holds("xl/workbook.bin") {
        return Some("the workbook is a binary one (.xlsb); save it as .xlsx and run again");
    }
    if holds("content.xml") && holds("mimetype") {
        return Some("the file is an OpenDocument sheet (.ods); save it as .xlsx and run again");
    }
    if !holds("_rels/.rels") || holds("word/document.xml") {
        return Some("the file is a zip archive but no workbook; name an .xlsx file");
    }
    None
}

/// What is watched while one part streams by.
struct Part {
    parsed: bool,
    markup: bool,
    strings: bool,
    styles: bool,
    run: usize,
    longest: usize,
    doctype: Needle,
    unique: Needle,
    /// The number behind `uniqueCount`, while it is read: calamine reserves room for so many strings, and a process
    /// that asks for too much is ended, not refused.
    reading: Option<u64>,
    /// The largest of them.
    declared: u64,
    style: Needle,
    styles_seen: u64,
}

impl Part {
    fn new(name: &str) -> Self {
        let strings = name.ends_with("sharedstrings.xml");
        let styles = name.ends_with("styles.xml");
        Self {
            parsed: strings
                || styles
                || name.contains("worksheets/")
                || name.ends_with("workbook.xml"),
            markup: name.ends_with(".xml") || name.ends_with(".rels"),
            strings,
            styles,
            run: 0,
            longest: 0,
            doctype: Needle::new(b"<!DOCTYPE"),
            unique: Needle::new(b"UNIQUECOUNT"),
            reading: None,
            declared: 0,
            style: Needle::new(b"XF"),
            styles_seen: 0,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        if !self.markup {
            return;
        }
        // Most bytes begin no tag and no word that is looked for, and cost one comparison.
        let mut idle = self.is_idle();
        let mut from = 0;
        for (position, &byte) in bytes.iter().enumerate() {
            if idle && !matches!(byte, b'<' | b'>' | b'U' | b'u' | b'X' | b'x') {
                continue;
            }
            if byte == b'<' || byte == b'>' {
                self.longest = self.longest.max(self.run + position - from);
                self.run = 0;
                from = position + 1;
            }
            self.doctype.feed(byte);
            if self.strings {
                self.count_strings(byte);
            }
            if self.styles && self.style.feed(byte) {
                self.styles_seen += 1;
            }
            idle = self.is_idle();
        }
        self.run += bytes.len() - from;
        self.longest = self.longest.max(self.run);
    }

    fn is_idle(&self) -> bool {
        let matched = self.doctype.matched + self.unique.matched + self.style.matched;
        matched == 0 && self.reading.is_none()
    }

    fn count_strings(&mut self, byte: u8) {
        if self.unique.feed(byte) {
            self.reading = Some(0);
        } else if let Some(number) = &mut self.reading {
            match byte {
                b'0'..=b'9' => {
                    *number = number
                        .saturating_mul(10)
                        .saturating_add(u64::from(byte - b'0'));
                    self.declared = self.declared.max(*number);
                }
                b' ' | b'\t' | b'\r' | b'\n' | b'=' | b'"' | b'\'' | b'+' if *number == 0 => {}
                _ => self.reading = None,
            }
        }
    }

    fn fault(&self) -> Option<String> {
        if self.doctype.found {
            return Some("holds a DOCTYPE".to_owned());
        }
        if self.declared > DECLARED_TEXTS {
            return Some(format!("declares {} texts", self.declared));
        }
        if self.parsed && self.longest > LONGEST_RUN {
            return Some("holds a tag or text of more than 1 MiB".to_owned());
        }
        if self.styles_seen.saturating_mul(self.longest as u64) > STYLE_BYTES {
            return Some("holds too many or too long styles".to_owned());
        }
        None
    }
}

/// Finds a word in a stream, in any case. None of the words begins again within itself, so one position is enough.
struct Needle {
    word: &'static [u8],
    matched: usize,
    found: bool,
}

impl Needle {
    fn new(word: &'static [u8]) -> Self {
        Self {
            word,
            matched: 0,
            found: false,
        }
    }

    /// Whether the word ends with this byte.
    #[inline]
    fn feed(&mut self, byte: u8) -> bool {
        if byte.to_ascii_uppercase() == self.word[self.matched] {
            self.matched += 1;
            if self.matched == self.word.len() {
                self.matched = 0;
                self.found = true;
                return true;
            }
        } else {
            self.matched = usize::from(byte.to_ascii_uppercase() == self.word[0]);
        }
        false
    }
}

fn refused(fact: String) -> SourceError {
    SourceError::new(
        SourceErrorKind::Limit,
        format!(
            "the workbook is refused: {fact}; copy the table into a new workbook and save that"
        ),
    )
}

fn broken(error: ZipError) -> SourceError {
    SourceError::new(
        SourceErrorKind::Format,
        "the workbook is damaged or not complete; open it in a spreadsheet program and save it again",
    )
    .with_source(error)
}
