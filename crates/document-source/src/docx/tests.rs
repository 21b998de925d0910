use std::io::{Cursor, Write as _};

use faq_source::SourceErrorKind;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::{DocumentKind, DocumentLimits, Extracted, Extraction, InProcess};

fn read(parts: &[(&str, String)]) -> Result<Extracted, faq_source::SourceError> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        archive
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    }
    let bytes = archive.finish().unwrap().into_inner();
    InProcess.extract(DocumentKind::Docx, &bytes, &DocumentLimits::default())
}

fn document(body: &str) -> (&'static str, String) {
    (
        "word/document.xml",
        format!("<w:document><w:body>{body}</w:body></w:document>"),
    )
}

#[test]
fn paragraphs_headings_points_and_tables_are_read_and_what_was_deleted_is_not() {
    let text = read(&[
        document(
            "<w:p><w:pPr><w:pStyle w:val=\"a1\"/></w:pPr><w:r><w:t>Карты</w:t></w:r></w:p>\
             <w:p><w:r><w:t>Срок </w:t><w:tab/><w:t>5 &lt; 6 &#1103;</w:t></w:r><w:del><w:r><w:t>нет</w:t></w:r></w:del></w:p>\
             <w:p><w:pPr><w:outlineLvl w:val=\"1\"/></w:pPr><w:r><w:t>Лимиты</w:t></w:r></w:p>\
             <w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>раз</w:t></w:r></w:p>\
             <w:tbl><w:tr><w:tc><w:p><w:r><w:t>а</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>б</w:t></w:r></w:p></w:tc></w:tr></w:tbl>\
             <mc:AlternateContent><mc:Choice><w:p><w:r><w:t>Рамка</w:t></w:r></w:p></mc:Choice>\
             <mc:Fallback><w:p><w:r><w:t>Рамка</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>",
        ),
        (
            "word/styles.xml",
            "<w:styles><w:style w:styleId=\"a1\"><w:name w:val=\"Heading 1\"/></w:style></w:styles>".to_owned(),
        ),
    ])
    .unwrap();
    assert_eq!(text.text, "Срок 5 < 6 я\n\n- раз\nа | б\n\nРамка");
    let headings = text
        .pieces
        .iter()
        .map(|piece| &*piece.heading)
        .collect::<Vec<_>>();
    assert_eq!(headings, ["Карты", "Карты > Лимиты"]);
}

#[test]
fn a_document_that_is_called_otherwise_is_found_by_its_relation() {
    let text = read(&[
        ("_rels/.rels", "<Relationships><Relationship Type=\"x/officeDocument\" Target=\"/word/document2.xml\"/></Relationships>".to_owned()),
        ("word/document2.xml", "<w:document><w:p><w:r><w:t>Текст</w:t></w:r></w:p></w:document>".to_owned()),
    ]);
    assert_eq!(text.unwrap().text, "Текст");
}

#[test]
fn hostile_containers_are_refused_and_say_why() {
    let check = |parts: &[(&str, String)], kind: SourceErrorKind, message: &str| {
        let error = read(parts).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    };
    check(
        &[document(&" ".repeat(20 << 20))],
        SourceErrorKind::Limit,
        "inflates more than 200 times",
    );
    check(
        &[(
            "word/document.xml",
            "<!DOCTYPE x [<!ENTITY a \"b\">]><w:t>&a;</w:t>".to_owned(),
        )],
        SourceErrorKind::Limit,
        "DOCTYPE",
    );
    check(
        &[document("<w:p><w:r><w:t>a</w:p>")],
        SourceErrorKind::Format,
        "no XML",
    );
    check(
        &[("a.txt", "x".to_owned())],
        SourceErrorKind::Format,
        "no word/document.xml",
    );
    let deep = format!("{}{}", "<a>".repeat(300_000), "</a>".repeat(300_000));
    assert_eq!(
        read(&[document(&deep)])
            .map(|read| read.text)
            .unwrap_or_default(),
        ""
    );
}
