//! Mutations that get further than flipped bytes do: a workbook's parts are changed and packed again with the right
//! checksums, and everything comes out of one seed.

use std::io::{Cursor, Read as _, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// A part of a workbook: its name and its content.
pub type Part = (String, Vec<u8>);

/// More than this is not unpacked: inputs are small, and what inflates without end is no material for a mutation.
const LARGEST: u64 = 1 << 20;

/// The parts of a workbook; `None` for what is no zip container.
#[must_use]
pub fn unpack(bytes: &[u8]) -> Option<Vec<Part>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut parts = Vec::new();
    for index in 0..archive.len().min(100) {
        let entry = archive.by_index(index).ok()?;
        let name = entry.name().ok()?.into_owned();
        let mut content = Vec::new();
        entry.take(LARGEST).read_to_end(&mut content).ok()?;
        parts.push((name, content));
    }
    Some(parts)
}

/// A container of these parts, with right sizes and checksums. `None` where two have one name.
#[must_use]
pub fn pack(parts: &[Part]) -> Option<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    // Uncompressed: the next mutation of the raw bytes then meets XML.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in parts {
        writer.start_file(name.as_str(), options).ok()?;
        writer.write_all(content).ok()?;
    }
    Some(writer.finish().ok()?.into_inner())
}

/// Numbers out of a seed, the same ones everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Begins anew.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % (end.max(1) as u64)).unwrap_or_default()
    }

    /// One of some values.
    pub fn pick<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }
}

/// Changes bytes in one to eight places: flips, overwrites, removes, repeats, moves, cuts off, and puts in words of
/// the format. `other` is a second input, of which a piece may be taken.
pub fn bytes(data: &mut Vec<u8>, other: &[u8], words: &[&[u8]], random: &mut Random) {
    for _ in 0..=random.below(8) {
        if data.is_empty() {
            data.extend_from_slice(other);
        }
        let at = random.below(data.len());
        let length = 1 + random.below(64.min(data.len() - at));
        match random.below(10) {
            0 => data[at] ^= 1 << random.below(8),
            1 => data[at] = random.number().to_le_bytes()[0],
            2 => data[at] = b'0' + random.number().to_le_bytes()[0] % 10,
            3 => drop(data.drain(at..at + length)),
            4 => {
                let piece = data[at..at + length].to_vec();
                let times = 1 + random.below(20);
                data.splice(at..at, piece.repeat(times));
            }
            5 => {
                let from = random.below(other.len());
                let to = other.len().min(from + length);
                data.splice(at..at, other[from..to].iter().copied());
            }
            6 => {
                let piece = data.drain(at..at + length).collect::<Vec<_>>();
                let target = random.below(data.len());
                data.splice(target..target, piece);
            }
            7 if random.below(4) == 0 => data.truncate(at),
            _ => {
                let word = *random.pick(words);
                let replaced = if random.below(2) == 0 { 0 } else { length };
                data.splice(at..at + replaced, word.iter().copied());
            }
        }
    }
}

/// Words that mean something in a workbook, whichever part they end up in.
pub const WORKBOOK_WORDS: &[&[u8]] = &[
    b"<row r=\"1048576\">",
    b"<c r=\"XFD1048576\" t=\"s\"><v>99999999999</v></c>",
    b"<c t=\"inlineStr\"><is><t>x</t></is></c>",
    b"<c t=\"e\"><v>#N/A</v></c>",
    b"<c t=\"d\"><v>2025-13-45</v></c>",
    b"<c t=\"b\"><v>2</v></c>",
    b"<v>1e999</v>",
    b"<v>-0</v>",
    b"<!DOCTYPE a [<!ENTITY b \"c\">]>",
    b"&b;",
    b"&#0;",
    b"&#x110000;",
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b"<mergeCell ref=\"A1:XFD1048576\"/>",
    b"<sheet name=\"s\" sheetId=\"1\" r:id=\"rId1\"/>",
    b" state=\"veryHidden\"",
    b" uniqueCount=\"18446744073709551615\"",
    b" s=\"4294967295\"",
    b"date1904=\"1\"",
    b"../../",
    b"/",
    b"\xff\xfe",
    b"\0",
    b"'",
    b"\"",
    b"<",
    b">",
];

/// Words of tables and records.
pub const TEXT_WORDS: &[&[u8]] = &[
    b"\"",
    b"\"\"",
    b",",
    b";",
    b"\t",
    b"\r",
    b"\r\n",
    b"\n",
    b"\0",
    b"sep=;\r\n",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\xd8\x00",
    b"\xcf\xf0\xe8\xe2\xe5\xf2",
    "вопрос".as_bytes(),
    "ответ".as_bytes(),
    b"question",
    b"variants",
    b"metadata",
    b"{\"a\":",
    b"[[[[[[[[",
    b"}",
    b"]",
    b":",
    b"\\ud800",
    b"\\u0000",
    b"1e999",
    b"-0.0",
    b"123456789012345678901234567890",
    b"NaN",
    b"null",
];

/// Words of settings.
pub const SETTINGS_WORDS: &[&[u8]] = &[
    b"=",
    b"\n",
    b"$A",
    b"${A}",
    b"'",
    b"\"",
    b"\"\"\"",
    b"#",
    b"\\",
    b"\\u001b",
    b"[a.b]",
    b"[[a]]",
    b"{a = 1}",
    b"{question}",
    b"{",
    b"}",
    b"export ",
    b"A",
    b"9999999999999999999",
    b"1979-05-27T07:32:00Z",
    b"inf",
    b"nan",
    b"\0",
    b"\xef\xbb\xbf",
];

/// Words of indexes: letters, lengths and counts.
pub const INDEX_WORDS: &[&[u8]] = &[
    b"IxF2",
    b"IxFI",
    b"IxMp",
    b"IxM2",
    b"IHNf",
    b"IwFl",
    b"IxSQ",
    b"IxPq",
    b"IxPT",
    b"VNrm",
    b"ilar",
    b"full",
    b"sprs",
    b"il00",
    b"null",
    b"\0\0\0\0\0\0\0\0",
    b"\x01\0\0\0\0\0\0\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\xc0\x7f",
];

/// Words of pickles: opcodes, and names that matter.
pub const PICKLE_WORDS: &[&[u8]] = &[
    b"\x80\x04",
    b"\x93",
    b"\x81",
    b"R",
    b"b",
    b"(",
    b"u",
    b"}",
    b"]",
    b")",
    b"\x85",
    b"\x86",
    b"h\x00",
    b"\x94",
    b"N",
    b"\x8c\x08datetime",
    b"\x8c\x0cpage_content",
    b"\x8c\x08metadata",
    b"\x8c\x08__dict__",
    b"\x8c\x05_dict",
    b"J\xff\xff\xff\xff",
    b".",
];

/// Words of rows and of matrices with records.
pub const ROW_WORDS: &[&[u8]] = &[
    b"\"document_id\":1,",
    b"\"chunk_index\":4294967296,",
    b"\"faiss_index\":-1,",
    b"\"text\":\"\",",
    b"\"embedding_model\":\"\\u001b\",",
    b"\"chunks\":[",
    b"\"id\":\"a\",",
    b"\"embedding\":[1,2],",
    b"\"0\":{",
    b"'descr': '<f8'",
    b"'shape': (99999, 3)",
    b"(1, 1)",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\n",
    b"null",
    b"1e39",
    b"9223372036854775808",
    b"\\u0000",
];

/// What PDF is made of.
pub const PDF_WORDS: &[&[u8]] = &[
    b"obj",
    b"endobj",
    b"stream",
    b"endstream",
    b"xref",
    b"trailer",
    b"startxref",
    b"/Kids [2 0 R]",
    b"/Prev 0",
    b"/Length 999999999",
    b"/Filter [/FlateDecode /FlateDecode]",
    b"/Count -1",
    b"4 0 R",
    b"<<",
    b">>",
    b"[[[[[[[[",
    b"((((",
    b"BT",
    b"ET",
    b"Tj",
    b"TJ",
    b"Do",
    b"q ",
    b"1e38 0 0 1e38 0 0 Tm",
    b"99999999999999999999",
    b"/ToUnicode",
    b"beginbfrange",
    b"<0000> <FFFFFFFF> <0000>",
];

/// What HTML and Markdown are made of.
pub const MARKUP_WORDS: &[&[u8]] = &[
    b"<",
    b">",
    b"<h1>",
    b"</h1>",
    b"<table><tr><td>",
    b"</tr>",
    b"<script>",
    b"<title>",
    b"<pre>",
    b"<!--",
    b"&#0;",
    b"&#x110000;",
    b"&amp;",
    b"<li>",
    b"<svg>",
    b"\n# ",
    b"\n## ",
    b"\n```\n",
    b"\n---\n",
    b"\n> ",
    b"\n- ",
    b"[a](b)",
    b"| a | b |\n| - | - |\n",
    b"**",
    b"`",
    b"\xff\xfe",
    b"\0",
    b"\x1b[31m",
    b"\xc2\x85",
    b"    ",
];
