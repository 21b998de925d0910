//! Zip containers byte for byte, with whatever lies a test wants in them, and workbooks in such containers.

use std::io::Write as _;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const TYPE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

/// An entry of a container.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) deflated: bool,
    pub(super) crc: u32,
    /// The size when inflated, as declared.
    pub(super) size: u32,
    pub(super) data: Vec<u8>,
}

impl Entry {
    pub(super) fn new(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            deflated: false,
            crc: crc(content),
            size: content.len() as u32,
            data: content.to_vec(),
        }
    }

    /// The same, compressed.
    pub(super) fn deflated(name: &str, content: &[u8]) -> Self {
        let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        writer
            .start_file("x", SimpleFileOptions::default())
            .unwrap();
        writer.write_all(content).unwrap();
        let zip = writer.finish().unwrap().into_inner();
        // The local header of "x" is 31 bytes; the directory says how long the data is.
        let directory = find(&zip, b"PK\x01\x02");
        let packed = u32::from_le_bytes(zip[directory + 20..directory + 24].try_into().unwrap());
        Self {
            name: name.to_owned(),
            deflated: true,
            crc: u32::from_le_bytes(zip[directory + 16..directory + 20].try_into().unwrap()),
            size: content.len() as u32,
            data: zip[31..31 + packed as usize].to_vec(),
        }
    }

    fn header(&self, directory: bool, offset: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |values: &[u16]| {
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        };
        let wide = |value: u32| [value as u16, (value >> 16) as u16];
        put(if directory {
            &[0x4b50, 0x0201, 20]
        } else {
            &[0x4b50, 0x0403]
        });
        put(&[20, 0, if self.deflated { 8 } else { 0 }, 0, 0x21]);
        put(&wide(self.crc));
        put(&wide(self.data.len() as u32));
        put(&wide(self.size));
        put(&[self.name.len() as u16, 0]);
        if directory {
            put(&[0, 0, 0, 0, 0]);
            put(&wide(offset));
        }
        bytes.extend(self.name.as_bytes());
        bytes
    }
}

/// A container of these entries.
pub(super) fn zip(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        directory.extend(entry.header(true, bytes.len() as u32));
        bytes.extend(entry.header(false, 0));
        bytes.extend(&entry.data);
    }
    closed(bytes, &directory, entries.len() as u16)
}

/// Puts the directory behind the entries, and the end behind the directory.
pub(super) fn closed(mut bytes: Vec<u8>, directory: &[u8], entries: u16) -> Vec<u8> {
    let at = bytes.len() as u32;
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([entries.to_le_bytes(), entries.to_le_bytes()].concat());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(at.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// A container whose directory names one entry again and again.
pub(super) fn overlapping(entries: &[Entry], again: &Entry, times: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for entry in entries.iter().chain([again]) {
        directory.extend(entry.header(true, bytes.len() as u32));
        bytes.extend(entry.header(false, 0));
        bytes.extend(&entry.data);
    }
    let at = bytes.len() - again.data.len() - again.header(false, 0).len();
    for time in 0..times {
        let mut copy = again.clone();
        // As long as the other one: the data begins behind the name.
        let name = format!("{time:04}{}", &again.name[4..]);
        copy.name = name;
        directory.extend(copy.header(true, at as u32));
    }
    closed(bytes, &directory, entries.len() as u16 + 1 + times)
}

pub(super) fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    let mut windows = bytes.windows(wanted.len());
    windows.rposition(|window| window == wanted).unwrap()
}

fn crc(content: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256)
        .map(|byte| {
            (0..8).fold(byte, |value: u32, _| {
                (value >> 1) ^ (0xedb8_8320 & (value & 1).wrapping_neg())
            })
        })
        .collect();
    !content.iter().fold(!0, |value: u32, byte| {
        (value >> 8) ^ table[usize::from(value as u8 ^ byte)]
    })
}

/// A workbook, part by part.
pub(super) struct Book(pub(super) Vec<(String, Vec<u8>)>);

impl Book {
    /// One sheet with these rows, shared texts and styles.
    pub(super) fn new(rows: &str, shared: &str) -> Self {
        let relation = |kind: &str, target: &str| {
            format!(
                "<Relationships><Relationship Id=\"rId1\" Type=\"{TYPE}/{kind}\" Target=\"{target}\"/></Relationships>"
            )
        };
        let parts = [
            ("[Content_Types].xml", "<Types/>".to_owned()),
            ("_rels/.rels", relation("officeDocument", "xl/workbook.xml")),
            (
                "xl/_rels/workbook.xml.rels",
                relation("worksheet", "worksheets/sheet1.xml"),
            ),
            (
                "xl/workbook.xml",
                "<workbook><sheets><sheet name=\"FAQ\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>"
                    .to_owned(),
            ),
            ("xl/styles.xml", "<styleSheet></styleSheet>".to_owned()),
            ("xl/sharedStrings.xml", format!("<sst>{shared}</sst>")),
            (
                "xl/worksheets/sheet1.xml",
                format!("<worksheet><sheetData>{rows}</sheetData></worksheet>"),
            ),
        ];
        Self(
            parts
                .into_iter()
                .map(|(name, content)| (name.to_owned(), content.into_bytes()))
                .collect(),
        )
    }

    /// A sheet with one good row.
    pub(super) fn good() -> Self {
        Self::new(&(header() + &row("q")), "")
    }

    pub(super) fn with(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = content,
            None => self.0.push((name.to_owned(), content)),
        }
        self
    }

    pub(super) fn replaced(mut self, name: &str, from: &str, to: &str) -> Self {
        let (_, content) = self.0.iter_mut().find(|(known, _)| known == name).unwrap();
        let text = String::from_utf8(std::mem::take(content)).unwrap();
        assert!(text.contains(from), "{text}");
        *content = text.replacen(from, to, 1).into_bytes();
        self
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let parts = self.0.iter();
        parts
            .map(|(name, content)| Entry::deflated(name, content))
            .collect()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        zip(&self.entries())
    }

    /// Not compressed: for what would be refused for how well it packs.
    pub(super) fn stored(&self) -> Vec<u8> {
        let parts = self.0.iter();
        let entries = parts.map(|(name, content)| Entry::new(name, content));
        zip(&entries.collect::<Vec<_>>())
    }
}

/// A row of one text.
pub(super) fn row(text: &str) -> String {
    format!("<row><c t=\"inlineStr\"><is><t>{text}</t></is></c></row>")
}

pub(super) fn header() -> String {
    row("Вопрос")
}
