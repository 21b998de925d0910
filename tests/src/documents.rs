//! Documents to feed the product, put together byte by byte: the same texts give the same bytes.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// A PDF with one page for each list of lines. The font is named and not embedded; which characters its codes are, the
/// file says itself.
#[must_use]
pub fn pdf(title: &str, pages: &[Vec<String>]) -> Vec<u8> {
    let count = pages.len();
    let kids = (0..count).map(|page| format!("{} 0 R", 6 + page * 2));
    let cmap = "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n\
                /CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n\
                /CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n\
                1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n\
                4 beginbfrange\n<0020> <007E> <0020>\n<00A0> <00FF> <00A0>\n<0400> <04FF> <0400>\n\
                <2010> <2030> <2010>\nendbfrange\nendcmap\n\
                CMapName currentdict /CMap defineresource pop\nend\nend\n";
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!(
            "<< /Type /Pages /Count {count} /Kids [{}] >>",
            kids.collect::<Vec<_>>().join(" ")
        ),
        format!("<< /Title <FEFF{}> >>", codes(title)),
        "<< /Type /Font /Subtype /Type0 /BaseFont /Helvetica /Encoding /Identity-H /ToUnicode 5 0 R \
         /DescendantFonts [<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Helvetica /DW 500 \
         /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>] >>"
            .to_owned(),
        stream("", cmap),
    ];
    for (number, lines) in pages.iter().enumerate() {
        let mut content = "BT /F1 12 Tf 72 760 Td".to_owned();
        for line in lines {
            // An empty line is only a step down.
            if !line.is_empty() {
                write!(content, " <{}> Tj", codes(line)).unwrap();
            }
            content.push_str(" 0 -16 Td");
        }
        content.push_str(" ET");
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {} 0 R \
             /Resources << /Font << /F1 4 0 R >> >> >>",
            7 + number * 2
        ));
        objects.push(stream("", &content));
    }
    assemble(&objects, "/Info 3 0 R")
}

/// A stream object out of text; `entries` go into its dictionary.
#[must_use]
pub fn stream(entries: &str, content: &str) -> String {
    format!(
        "<< /Length {} {entries} >>\nstream\n{content}\nendstream",
        content.len()
    )
}

/// A PDF out of its objects, which are numbered from 1; the first is the catalogue.
#[must_use]
pub fn assemble(objects: &[String], trailer: &str) -> Vec<u8> {
    let mut file = b"%PDF-1.7\n".to_vec();
    let mut places = Vec::new();
    for (object, number) in objects.iter().zip(1..) {
        places.push(file.len());
        write!(file, "{number} 0 obj\n{object}\nendobj\n").unwrap();
    }
    let table = file.len();
    let size = objects.len() + 1;
    write!(file, "xref\n0 {size}\n0000000000 65535 f \n").unwrap();
    for place in places {
        writeln!(file, "{place:010} 00000 n ").unwrap();
    }
    write!(
        file,
        "trailer << /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{table}\n%%EOF\n"
    )
    .unwrap();
    file
}

fn codes(text: &str) -> String {
    text.encode_utf16().fold(String::new(), |mut codes, code| {
        write!(codes, "{code:04X}").unwrap();
        codes
    })
}

/// What a paragraph of a docx is.
#[derive(Debug, Clone, Copy)]
pub enum Block<'a> {
    /// A heading of that level.
    Heading(u8, &'a str),
    /// A paragraph.
    Text(&'a str),
    /// A point of a list.
    Point(&'a str),
    /// A table, row by row.
    Table(&'a [&'a [&'a str]]),
}

/// A docx as word processors write it, as far as its text goes.
#[must_use]
pub fn docx(title: &str, blocks: &[Block<'_>]) -> Vec<u8> {
    const NAMES: &str = "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"";
    let run = |text: &str| {
        format!(
            "<w:r><w:t xml:space=\"preserve\">{}</w:t></w:r>",
            escaped(text)
        )
    };
    let mut body = String::new();
    for block in blocks {
        match block {
            Block::Heading(level, text) => write!(
                body,
                "<w:p><w:pPr><w:pStyle w:val=\"H{level}\"/></w:pPr>{}</w:p>",
                run(text)
            ),
            Block::Text(text) => write!(body, "<w:p>{}</w:p>", run(text)),
            Block::Point(text) => write!(
                body,
                "<w:p><w:pPr><w:numPr><w:ilvl w:val=\"0\"/></w:numPr></w:pPr>{}</w:p>",
                run(text)
            ),
            Block::Table(rows) => {
                let rows = rows.iter().map(|cells| {
                    let cells = cells
                        .iter()
                        .map(|cell| format!("<w:tc><w:p>{}</w:p></w:tc>", run(cell)));
                    format!("<w:tr>{}</w:tr>", cells.collect::<String>())
                });
                write!(body, "<w:tbl>{}</w:tbl>", rows.collect::<String>())
            }
        }
        .unwrap();
    }
    let styles = (1..=3).map(|level| {
        format!("<w:style w:type=\"paragraph\" w:styleId=\"H{level}\"><w:name w:val=\"heading {level}\"/></w:style>")
    });
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>";
    zip(&[
        (
            "[Content_Types].xml",
            format!(
                "{head}<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">\
                 <Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
                 <Default Extension=\"xml\" ContentType=\"application/xml\"/>\
                 <Override PartName=\"/word/document.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml\"/>\
                 <Override PartName=\"/word/styles.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.wordprocessingml.styles+xml\"/>\
                 <Override PartName=\"/docProps/core.xml\" ContentType=\"application/vnd.openxmlformats-package.core-properties+xml\"/></Types>"
            ),
        ),
        (
            "_rels/.rels",
            format!(
                "{head}<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
                 <Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" Target=\"word/document.xml\"/>\
                 <Relationship Id=\"rId2\" Type=\"http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties\" Target=\"docProps/core.xml\"/></Relationships>"
            ),
        ),
        (
            "word/_rels/document.xml.rels",
            format!(
                "{head}<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
                 <Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles\" Target=\"styles.xml\"/></Relationships>"
            ),
        ),
        (
            "docProps/core.xml",
            format!(
                "{head}<cp:coreProperties xmlns:cp=\"http://schemas.openxmlformats.org/package/2006/metadata/core-properties\" \
                 xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:title>{}</dc:title></cp:coreProperties>",
                escaped(title)
            ),
        ),
        (
            "word/styles.xml",
            format!(
                "{head}<w:styles {NAMES}>{}</w:styles>",
                styles.collect::<String>()
            ),
        ),
        (
            "word/document.xml",
            format!("{head}<w:document {NAMES}><w:body>{body}<w:sectPr/></w:body></w:document>"),
        ),
    ])
}

/// A zip archive of these parts.
#[must_use]
pub fn zip(parts: &[(&str, String)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default());
    for (name, content) in parts {
        archive.start_file(*name, options).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
