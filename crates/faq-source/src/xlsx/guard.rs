//! Looks at a workbook's zip container before calamine does: how many entries, and how large they are when inflated,
//! counted and not as declared. Also refuses what makes the parser allocate by a number in the file.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::limits::bytes;
use crate::suggest::shorten;
use crate::{SourceError, SourceErrorKind, WorkbookLimits};

/// What a style takes beside its texts.
const STYLE: u64 = 600;
/// What a shared text takes beside its characters.
const TEXT: u64 = 56;

/// Refuses what would cost far more than a workbook of this size is worth. Yields how many bytes the shared texts will
/// take in memory.
pub(super) fn check(container: &[u8], limits: &WorkbookLimits) -> Result<u64, SourceError> {
    let mut archive = ZipArchive::new(Cursor::new(container)).map_err(broken)?;
    if archive.len() > limits.parts {
        return Err(refused(format!(
            "it holds {} parts, more than {}",
            archive.len(),
            limits.parts
        )));
    }
    if let Some(other) = other_document(&archive) {
        return Err(SourceError::new(SourceErrorKind::Format, other));
    }
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0;
    let mut texts = 0;
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
            let most = limits.part_bytes;
            if size > most {
                return Err(refused(format!(
                    "{} inflates to more than {}",
                    shown(&name),
                    bytes(most)
                )));
            }
            if total > limits.total_bytes {
                let most = bytes(limits.total_bytes);
                return Err(refused(format!("its parts inflate to more than {most}")));
            }
            if size > limits.ratio_from && size / packed > limits.ratio {
                return Err(refused(format!(
                    "{} inflates more than {} times",
                    shown(&name),
                    limits.ratio
                )));
            }
            part.feed(&buffer[..read]);
            if let Some(fault) = part.fault(limits) {
                return Err(refused(format!("{} {fault}", shown(&name))));
            }
        }
        if let Some(beginning) = &part.beginning
            && !names_a_workbook(beginning)
        {
            return Err(refused(format!(
                "{} names another part as its workbook",
                shown(&name)
            )));
        }
        if part.strings {
            texts = size + part.strings_seen.max(part.declared) * TEXT;
        }
    }
    Ok(texts)
}

/// The name of a part, as far as a message has room for it.
fn shown(name: &str) -> String {
    format!("{:?}", shorten(name))
}

/// Whether the relations of the whole container lead to a part called `workbook…`: the parser takes whatever they lead
/// to for the list of sheets, and what is expected of a part goes by its name.
fn names_a_workbook(relations: &[u8]) -> bool {
    let text = String::from_utf8_lossy(relations).to_lowercase();
    let mut leading = text
        .split('<')
        .filter(|tag| tag.contains("/relationships/officedocument"))
        .peekable();
    // Without any, the parser has a better message.
    leading.peek().is_none()
        || leading.all(|tag| {
            let mut targets = tag.split("target").skip(1);
            let target = targets.next().unwrap_or_default();
            let target = target.trim_start_matches(|char: char| {
                char.is_whitespace() || matches!(char, '=' | '"' | '\'')
            });
            let target = target.split(['"', '\'']).next().unwrap_or_default();
            let name = target.rsplit('/').next().unwrap_or_default();
            targets.next().is_none() && name.starts_with("workbook")
        })
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
    /// Its tags become a list in memory, one value for each.
    listing: bool,
    tags: u64,
    /// The content of the container's relations.
    beginning: Option<Vec<u8>>,
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
    string: Needle,
    prefixed_string: Needle,
    strings_seen: u64,
    style: Needle,
    styles_seen: u64,
}

impl Part {
    fn new(name: &str) -> Self {
        let strings = name.ends_with("sharedstrings.xml");
        let styles = name.ends_with("styles.xml");
        let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
        let listing = styles
            || name.contains("theme")
            || name.ends_with(".rels")
            || file.starts_with("workbook");
        Self {
            parsed: strings || listing || name.contains("worksheets/"),
            listing,
            tags: 0,
            beginning: (file == ".rels").then(Vec::new),
            markup: name.ends_with(".xml") || name.ends_with(".rels"),
            strings,
            styles,
            run: 0,
            longest: 0,
            doctype: Needle::new(b"<!DOCTYPE"),
            unique: Needle::new(b"UNIQUECOUNT"),
            reading: None,
            declared: 0,
            string: Needle::new(b"<SI"),
            prefixed_string: Needle::new(b":SI"),
            strings_seen: 0,
            style: Needle::new(b"XF"),
            styles_seen: 0,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        if let Some(beginning) = &mut self.beginning {
            beginning.extend_from_slice(bytes);
        }
        if !(self.markup || self.parsed) {
            return;
        }
        // Most bytes begin no tag and no word that is looked for, and cost one comparison.
        let mut idle = self.is_idle();
        let mut from = 0;
        for (position, &byte) in bytes.iter().enumerate() {
            if idle && !matches!(byte, b'<' | b'>' | b':' | b'U' | b'u' | b'X' | b'x') {
                continue;
            }
            if byte == b'<' || byte == b'>' {
                self.longest = self.longest.max(self.run + position - from);
                self.run = 0;
                from = position + 1;
                self.tags += u64::from(byte == b'<');
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
        let matched = self.doctype.matched
            + self.unique.matched
            + self.string.matched
            + self.prefixed_string.matched
            + self.style.matched;
        matched == 0 && self.reading.is_none()
    }

    fn count_strings(&mut self, byte: u8) {
        // Both are fed, whatever the other one says.
        let found = self.string.feed(byte) | self.prefixed_string.feed(byte);
        self.strings_seen += u64::from(found);
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

    fn fault(&self, limits: &WorkbookLimits) -> Option<String> {
        if self.doctype.found {
            return Some("holds a DOCTYPE".to_owned());
        }
        let texts = limits.shared_texts;
        if self.declared > texts {
            return Some(format!(
                "declares {} texts, more than {texts}",
                self.declared
            ));
        }
        if self.strings_seen > texts {
            return Some(format!("holds more than {texts} texts"));
        }
        if self.parsed && self.longest > limits.run_bytes {
            let most = bytes(limits.run_bytes as u64);
            return Some(format!("holds a tag or text of more than {most}"));
        }
        if self.listing && self.tags > limits.listed {
            return Some(format!("holds more than {} tags", limits.listed));
        }
        let styles = self.styles_seen.saturating_mul(STYLE + self.longest as u64);
        if styles > limits.style_bytes {
            let most = bytes(limits.style_bytes);
            return Some(format!("holds styles that take more than {most}"));
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

pub(super) fn refused(fact: String) -> SourceError {
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
