//! Files that are built to hurt, and files that broke on the way.

use std::io::{Cursor, Write};
use std::time::Instant;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

#[test]
fn two_cells_a_million_rows_apart_cost_two_cells() {
    for (row, column) in [(1_048_575, 16_383), (100_000, 2_000)] {
        let bytes = book(|book| {
            let sheet = book.add_worksheet();
            rows(sheet, 0, &[&["Вопрос"], &["q"]]);
            sheet.write_string(row, column, "far").unwrap();
        });
        let begun = Instant::now();
        let snapshot = read("f.xlsx", bytes, &SourceOptions::default()).unwrap();
        assert!(begun.elapsed().as_millis() < 500);
        assert_eq!(lines(&snapshot), ["2 - | q"]);
        assert!(
            snapshot.notices[0].contains("without a header"),
            "{:?}",
            snapshot.notices
        );
    }
    let bytes = book(|book| {
        let sheet = book.add_worksheet();
        sheet.write_string(0, 0, "x").unwrap();
        sheet.write_string(1_048_575, 16_383, "far").unwrap();
    });
    assert_eq!(
        read("f.xlsx", bytes, &SourceOptions::default())
            .unwrap_err()
            .kind(),
        SourceErrorKind::Columns
    );
}

#[test]
fn limits_hold_while_reading() {
    let bytes = one_sheet(&[&["Вопрос", "a", "b"], &["q", "1", "2"], &["r", "1", "2"]]);
    let defaults = SourceLimits::default();
    for (limits, message) in [
        (
            SourceLimits {
                rows: 1,
                ..defaults
            },
            "more than 1 rows",
        ),
        (
            SourceLimits {
                cells: 5,
                ..defaults
            },
            "more than 5 cells",
        ),
        (
            SourceLimits {
                columns: 2,
                ..defaults
            },
            "more than 2 columns",
        ),
        (
            SourceLimits {
                file_bytes: 100,
                ..defaults
            },
            "larger than 100 B",
        ),
    ] {
        let error = crate::open_bytes("f.xlsx", bytes.clone(), &SourceOptions::default())
            .unwrap()
            .read(&limits)
            .unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Limit);
        assert!(error.to_string().contains(message), "{error}");
    }
    let short = SourceLimits {
        text_chars: 3,
        ..defaults
    };
    let bytes = one_sheet(&[&["Вопрос"], &["ждём"], &["жду"]]);
    let snapshot = crate::open_bytes("f.xlsx", bytes, &SourceOptions::default())
        .unwrap()
        .read(&short)
        .unwrap();
    assert_eq!(
        lines(&snapshot),
        [
            "3 - | жду",
            "! 2 TooLong A: the text has 4 characters, more than 3"
        ]
    );
}

/// Puts other content into parts of a workbook.
fn replaced(bytes: &[u8], change: impl Fn(&str, Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    packed(bytes, SimpleFileOptions::default(), change)
}

/// The same without compression: what is even must not be refused for how well it packs.
fn stored(bytes: &[u8], change: impl Fn(&str, Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let method = zip::CompressionMethod::Stored;
    packed(
        bytes,
        SimpleFileOptions::default().compression_method(method),
        change,
    )
}

fn packed(
    bytes: &[u8],
    options: SimpleFileOptions,
    change: impl Fn(&str, Vec<u8>) -> Vec<u8>,
) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let name = entry.name().unwrap().to_string();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        writer.start_file(name.as_str(), options).unwrap();
        writer.write_all(&change(&name, content)).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub(super) fn edited(bytes: &[u8], part: &str, from: &str, to: &str) -> Vec<u8> {
    replaced(bytes, |name, content| {
        if !name.ends_with(part) {
            return content;
        }
        let text = String::from_utf8(content).unwrap();
        assert!(text.contains(from), "{text}");
        text.replacen(from, to, 1).into_bytes()
    })
}

#[test]
fn hostile_containers_are_refused() {
    let bytes = one_sheet(&[&["Вопрос"], &["q"]]);
    let long = "x".repeat(2 << 20);
    let bomb = format!("<sheetData>{}", "<row/>".repeat(8 << 20));
    for (part, from, to, expected) in [
        (
            "sheet1.xml",
            "<worksheet",
            "<!DOCTYPE x><worksheet",
            "holds a DOCTYPE",
        ),
        (
            "sharedStrings.xml",
            "uniqueCount=\"2\"",
            "uniqueCount = '999999999999'",
            "declares 999999999999 texts",
        ),
        (
            "sharedStrings.xml",
            "<si><t>q",
            &format!("<si><t>{long}"),
            "more than 1 MiB",
        ),
        (
            "sheet1.xml",
            "<sheetData>",
            &bomb,
            "inflates more than 200 times",
        ),
    ] {
        let error = read(
            "f.xlsx",
            edited(&bytes, part, from, to),
            &SourceOptions::default(),
        )
        .unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Limit, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = read(
        "f.xlsx",
        edited(&bytes, "sheet1.xml", "r=\"2\"", "r=\"0\""),
        &SourceOptions::default(),
    )
    .unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Format);
    let swapped = edited(
        &edited(&bytes, "sheet1.xml", "r=\"A1\"", "r=\"A9\""),
        "sheet1.xml",
        "r=\"1\"",
        "r=\"9\"",
    );
    let error = read("f.xlsx", swapped, &SourceOptions::default()).unwrap_err();
    assert!(error.to_string().contains("out of order"), "{error}");
}

#[test]
fn other_documents_are_called_by_their_name() {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive
        .start_file("a.txt", SimpleFileOptions::default())
        .unwrap();
    let archive = archive.finish().unwrap().into_inner();
    let compound = |stream: &str| {
        let mut bytes = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
        bytes.resize(1024, 0);
        bytes.extend(stream.encode_utf16().flat_map(u16::to_le_bytes));
        bytes
    };
    for (bytes, expected) in [
        (archive, "a zip archive but no workbook"),
        (
            compound("EncryptedPackage"),
            "the workbook is protected by a password; open it, remove the password under File > Info, save, and run again",
        ),
        (compound("Workbook"), "Excel 97-2003"),
        (compound(""), "old Office document"),
        (b"<html><table>".to_vec(), "a web page"),
        (b"PK\x03\x04".to_vec(), "damaged or not complete"),
        (vec![1, 0, 2, 0], "no workbook"),
    ] {
        let error = read("f.xlsx", bytes, &SourceOptions::default()).unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Format);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// Bytes of the container, and, as checksums let few of those through, bytes of the parts.
#[test]
fn damaged_workbooks_never_panic() {
    let bytes = book(|book| {
        let date = Format::new().set_num_format("yyyy-mm-dd");
        let sheet = book.add_worksheet();
        rows(
            sheet,
            0,
            &[
                &["id", "Вопрос", "Ответ", "n"],
                &["a", "q & <r>", "s"],
                &["b", "q", "t"],
            ],
        );
        sheet.write_number(1, 3, 1.5).unwrap();
        sheet.write_number_with_format(2, 3, 45_000, &date).unwrap();
        sheet.write_boolean(3, 3, true).unwrap();
        sheet
            .write_formula(4, 3, Formula::new("=NA()").set_result("#N/A"))
            .unwrap();
        rows(book.add_worksheet(), 0, &[&["x"]]);
    });
    let mut seed = 42_u64;
    let mut random = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    let mut sound = 0;
    for round in 0..500 {
        let mut mutated = bytes.clone();
        match round % 4 {
            0 => mutated.truncate(random() % bytes.len()),
            1 => {
                for _ in 0..=random() % 8 {
                    let position = random() % mutated.len();
                    mutated[position] = random() as u8;
                }
            }
            _ => {
                let victim = [
                    "sheet1.xml",
                    "sharedStrings.xml",
                    "styles.xml",
                    "workbook.xml",
                    ".rels",
                ][random() % 5];
                let picks = (0..=random() % 6)
                    .map(|_| (random(), random()))
                    .collect::<Vec<_>>();
                mutated = replaced(&bytes, |name, mut content| {
                    if name.ends_with(victim) {
                        for (position, byte) in &picks {
                            let position = position % content.len();
                            // Half of them stay what XML may hold, digits above all.
                            content[position] = if byte % 2 == 0 {
                                b'0' + (byte % 10) as u8
                            } else {
                                *byte as u8
                            };
                        }
                    }
                    content
                });
            }
        }
        // A panic inside the parser comes back as the error "damaged"; one of ours would end the test.
        sound += usize::from(read("f.xlsx", mutated, &SourceOptions::default()).is_ok());
    }
    assert!(
        sound > 50,
        "only {sound} of 500 could be read: the mutations are too coarse to test anything"
    );
}

/// A workbook with one sheet whose rows are this XML, and these shared texts.
fn sheet_of(rows: &str, shared: &str) -> Vec<u8> {
    let bytes = one_sheet(&[&["Вопрос"], &["q"]]);
    stored(&bytes, |name, content| match name {
        "xl/worksheets/sheet1.xml" => {
            let begin = "<?xml version=\"1.0\"?><worksheet><sheetData>";
            format!("{begin}{rows}</sheetData></worksheet>").into_bytes()
        }
        "xl/sharedStrings.xml" => format!("<sst>{shared}</sst>").into_bytes(),
        _ => content,
    })
}

fn refusal(bytes: Vec<u8>) -> String {
    let error = read("f.xlsx", bytes, &SourceOptions::default()).unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Limit, "{error}");
    error.to_string()
}

const HEADER: &str = "<row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>Вопрос</t></is></c></row>";

#[test]
fn one_long_text_in_very_many_cells_is_not_copied_for_each() {
    let cells = |count: usize| "<row><c t=\"s\"><v>0</v></c></row>".repeat(count);
    let run = "x".repeat(900 << 10);
    let rich = format!("<si>{}</si>", format!("<r><t>{run}</t></r>").repeat(8));
    let snapshot = read(
        "f.xlsx",
        sheet_of(&(HEADER.to_owned() + &cells(20_000)), &rich),
        &SourceOptions::default(),
    )
    .unwrap();
    assert_eq!((snapshot.rows.len(), snapshot.issues.len()), (0, 20_000));
    assert_eq!(
        snapshot.issues[0].problem,
        "the text has more than 32767 characters"
    );
    // Short enough to be looked at, too long to be taken.
    let text = format!("<si><t>{}</t></si>", "x".repeat(100_000));
    let refused = refusal(sheet_of(&(HEADER.to_owned() + &cells(20_000)), &text));
    assert!(
        refused.contains("its cells hold more than 256 MiB of text"),
        "{refused}"
    );
}

#[test]
fn a_row_does_not_gather_cells_or_text_without_end() {
    let row = |cells: &str| format!("{HEADER}<row r=\"2\">{cells}</row>");
    let same = "<c r=\"A2\"><v>1</v></c>".repeat(1_000);
    let refused = refusal(sheet_of(&row(&same), ""));
    assert!(refused.contains("row 2 in sheet"), "{refused}");
    assert!(refused.contains("has more than 256 cells"), "{refused}");
    let text = format!("<si><t>{}</t></si>", "x".repeat(100_000));
    let long = "<c t=\"s\"><v>0</v></c>".repeat(20);
    let refused = refusal(sheet_of(&row(&long), &text));
    assert!(
        refused.contains("holds more than 1 MiB of text"),
        "{refused}"
    );
}

#[test]
fn lists_of_sheets_relations_styles_and_texts_are_bounded() {
    let bytes = one_sheet(&[&["Вопрос"], &["q"]]);
    let sheet = "<sheet name=\"x\" sheetId=\"9\" r:id=\"rId1\"/>";
    for (part, before, element, count, expected) in [
        (
            "workbook.xml",
            "</sheets>",
            sheet,
            20_000,
            "more than 10000",
        ),
        (
            "workbook.xml",
            "</sheets>",
            sheet,
            400_000,
            "more than 300000 tags",
        ),
        (
            "workbook.xml.rels",
            "</Relationships>",
            "<Relationship Id=\"x\"/>",
            400_000,
            "more than 300000 tags",
        ),
        (
            "styles.xml",
            "</cellXfs>",
            "<xf/>",
            200_000,
            "styles that take more than 96 MiB",
        ),
        (
            "sharedStrings.xml",
            "</sst>",
            "<si/>",
            1_100_000,
            "more than 1048576 texts",
        ),
    ] {
        let wide = stored(&bytes, |name, content| {
            if !name.ends_with(part) {
                return content;
            }
            let text = String::from_utf8(content).unwrap();
            assert!(text.contains(before), "{text}");
            text.replacen(before, &(element.repeat(count) + before), 1)
                .into_bytes()
        });
        let refused = refusal(wide);
        assert!(refused.contains(expected), "{part}: {refused}");
    }
    let elsewhere = edited(&bytes, "_rels/.rels", "xl/workbook.xml", "xl/styles.xml");
    let refused = refusal(elsewhere);
    assert!(
        refused.contains("names another part as its workbook"),
        "{refused}"
    );
}

#[test]
fn sheets_that_share_a_part_are_not_read_without_end() {
    let bytes = one_sheet(&[&["Тема"], &["q"]]);
    let many = stored(&bytes, |name, content| {
        let text = || String::from_utf8(content.clone()).unwrap();
        match name {
            "xl/workbook.xml" => {
                let sheets = (2..5_000)
                    .map(|n| format!("<sheet name=\"s{n}\" sheetId=\"{n}\" r:id=\"rId1\"/>"));
                let sheets = sheets.collect::<String>() + "</sheets>";
                text().replacen("</sheets>", &sheets, 1).into_bytes()
            }
            "xl/worksheets/sheet1.xml" => {
                let rows = "<row/>".repeat(600_000) + "</sheetData>";
                text().replacen("</sheetData>", &rows, 1).into_bytes()
            }
            _ => content,
        }
    });
    let refused = refusal(many);
    assert!(refused.contains("read more than 2 times over"), "{refused}");
}

/// Found by fuzzing; without the check that the root manifest asks for, the cell would be another one.
#[test]
fn a_cell_reference_that_overflows_is_no_other_cell() {
    for reference in ["AAAAAAAAAAAA2", "A99999999999999"] {
        let cell = format!("<row><c r=\"{reference}\"><v>1</v></c></row>");
        let error = read(
            "f.xlsx",
            sheet_of(&(HEADER.to_owned() + &cell), ""),
            &SourceOptions::default(),
        )
        .unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Format, "{error}");
        assert!(error.to_string().contains("damaged"), "{error}");
    }
}
