use super::*;
use crate::testing::{lines, mapped, read, shown};

const TABLE: [[&str; 4]; 4] = [
    ["Категория", "Вопрос", "Ответ", "Приоритет"],
    [
        "Карты",
        "Как заблокировать карту?",
        "В приложении, кнопкой «Заблокировать»",
        "высокий",
    ],
    ["", "", "", ""],
    [
        "Вклады",
        "Что с \"процентами\"; а?",
        "Первая строка\nвторая|\tстрока",
        "",
    ],
];
const EXPECTED: [&str; 2] = [
    r#"2 - | Как заблокировать карту? | В приложении, кнопкой «Заблокировать» | Карты |  | Приоритет=String("высокий")"#,
    "4 - | Что с \"процентами\"; а? | Первая строка\nвторая|\tстрока | Вклады",
];

fn table(delimiter: char, line_break: &str) -> String {
    let quoted = |field: &str| {
        if field.contains(['"', '\n', delimiter]) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.to_owned()
        }
    };
    TABLE
        .iter()
        .map(|row| row.map(quoted).join(&delimiter.to_string()) + line_break)
        .collect()
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

#[test]
fn encodings_and_delimiters_are_found_out() {
    for delimiter in [',', ';', '\t', '|'] {
        for line_break in ["\n", "\r\n"] {
            let text = table(delimiter, line_break);
            let marked = format!("\u{feff}{text}");
            let (cyrillic, _, unmappable) = encoding_rs::WINDOWS_1251.encode(&text);
            assert!(!unmappable);
            for (name, bytes) in [
                ("utf-8", text.clone().into_bytes()),
                ("utf-8 with mark", marked.clone().into_bytes()),
                ("windows-1251", cyrillic.into_owned()),
                ("utf-16le with mark", utf16(&marked, u16::to_le_bytes)),
                ("utf-16be with mark", utf16(&marked, u16::to_be_bytes)),
                ("utf-16le", utf16(&text, u16::to_le_bytes)),
                ("utf-16be", utf16(&text, u16::to_be_bytes)),
            ] {
                let snapshot = read("f.csv", bytes, &SourceOptions::default()).unwrap();
                assert_eq!(
                    lines(&snapshot),
                    EXPECTED,
                    "{name} {delimiter:?} {line_break:?}"
                );
                let told = snapshot
                    .notices
                    .iter()
                    .any(|notice| notice.starts_with(&format!("read as {name} ")));
                assert_eq!(
                    told,
                    matches!(name, "windows-1251" | "utf-16le" | "utf-16be"),
                    "{name}: {:?}",
                    snapshot.notices
                );
            }
        }
    }
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(
        shown("f.csv", text, &SourceOptions::default()),
        expected,
        "{text:?}"
    );
}

#[test]
fn rows_are_counted_as_the_spreadsheet_counts_them() {
    check(
        "question,answer\na,b\n\n\nc,d",
        &["2 - | a | b", "5 - | c | d"],
    );
    check(
        "\n\nquestion,answer\r\n\"a\nx\ny\",b\r\n\r\nc,d\r\n",
        &["4 - | a\nx\ny | b", "6 - | c | d"],
    );
    check(
        "question,answer\ra,b\r\rc,d",
        &["2 - | a | b", "4 - | c | d"],
    );
    check("FAQ of the bank\n;;\nВопрос;Ответ\na;b", &["4 - | a | b"]);
    check("sep=;\nquestion;answer\na,x;b", &["2 - | a,x | b"]);
    // Enough rows that the parser's buffer runs ahead of the records.
    let many = (0..5000)
        .map(|n| format!("\"q\n{n}\",answer {n}\n\n"))
        .collect::<String>();
    let snapshot = read(
        "f.csv",
        format!("question,answer\n{many}"),
        &SourceOptions::default(),
    )
    .unwrap();
    assert!(
        snapshot
            .rows
            .iter()
            .zip(0..)
            .all(|(row, n)| row.locator.row == Some(2 + 2 * n)
                && row.answer == format!("answer {n}"))
    );
    assert_eq!(snapshot.rows.len(), 5000);
}

#[test]
fn single_rows_are_refused_with_a_reason() {
    check(
        "id;question;answer;note\n1;a;b\n2;a;c;;;\n3;x;y;z;more\n;q;r\n1;u;v\n4;;;n\n5;a\0b;c\n;;;\n6;d\n",
        &[
            "2 1 | a | b",
            "3 2 | a | c",
            "10 6 | d",
            "! 3 DuplicateQuestion: the question stands in row 2 already; both rows are kept",
            "! 4 Malformed: the row has 5 fields, the header 4; put quotes around a field that holds the delimiter",
            "! 5 MissingId: the row has no id, while others have one",
            "! 6 DuplicateId: the id \"1\" stands in row 2 already",
            "! 7 Empty: neither question nor answer",
            "! 8 BadText question: the text holds the character NUL",
        ],
    );
    let mut bytes = "question,answer\nвопрос,ответ\nслово,"
        .to_owned()
        .into_bytes();
    bytes.extend(b"\xd0\n");
    let snapshot = read("f.csv", bytes, &SourceOptions::default()).unwrap();
    assert_eq!(
        lines(&snapshot),
        [
            "2 - | вопрос | ответ",
            "! 3 BadText answer: the text is not valid in the file's encoding"
        ]
    );
    let mut wide = utf16("\u{feff}question,answer\na,b\nc,", u16::to_le_bytes);
    wide.extend([0x00, 0xd8, 0x0a, 0x00]);
    assert_eq!(
        read("f.csv", wide, &SourceOptions::default())
            .unwrap()
            .issues[0]
            .kind,
        IssueKind::BadText
    );
}

#[test]
fn sources_that_cannot_be_read_say_why() {
    let wide_header = (0..300)
        .map(|n| format!("c{n}"))
        .collect::<Vec<_>>()
        .join(",");
    for (text, expected) in [
        (
            "question,answer\na,\"b\nc,d\n".to_owned(),
            "Format: f.csv: the quote opened in row 2 (line 2) is never closed; close or double it",
        ),
        (
            format!("question,answer\na,\"{}", "x".repeat(2 << 20)),
            "Limit: f.csv: row 2 (line 2) is longer than 1 MiB; is a quote missing there",
        ),
        (
            "a,b\nc,d\n".to_owned(),
            r#"Columns: f.csv: no question column in the table (columns: "a", "b"); name it with --map question=COLUMN"#,
        ),
        (
            "Тема;Вопросы клиентов\nc;d\n".to_owned(),
            r#"Columns: f.csv: no question column in the table (columns: "Тема", "Вопросы клиентов"); did you mean --map question="Вопросы клиентов""#,
        ),
        (
            "\n\n;;\n".to_owned(),
            "Empty: f.csv: there is no row in the file",
        ),
        ("  \n".to_owned(), "Empty: f.csv: the file is empty"),
        (
            format!("question,{wide_header}\na,b"),
            "Limit: f.csv: the table has more than 256 columns in use; delete what is no FAQ",
        ),
    ] {
        assert_eq!(shown("f.csv", text, &SourceOptions::default()), [expected]);
    }
    assert_eq!(
        shown("f.bin", [7, 0, 0, 1].repeat(99), &SourceOptions::default()),
        ["Format: f.bin: the file is no text; save the table as .xlsx or .csv"]
    );
}

#[test]
fn a_header_alone_is_an_empty_table() {
    let snapshot = read("f.csv", "question,answer\n", &SourceOptions::default()).unwrap();
    assert!(snapshot.rows.is_empty() && snapshot.issues.is_empty());
    // An id column that nobody filled in names no rows.
    let snapshot = read("f.csv", "id,question\n,a\n,b\n", &SourceOptions::default()).unwrap();
    assert_eq!(lines(&snapshot), ["2 - | a", "3 - | b"]);
    assert_eq!(
        snapshot.notices,
        [r#"column "id" is empty: rows are told apart by their content"#]
    );
}

#[test]
fn headers_repeat_are_missing_and_are_mapped() {
    check(
        "question,question,note,note,,answer\na,b,c,d,e,f",
        &[
            r#"2 - | a | f |  |  | note=String("c") | note (2)=String("d") | question (2)=String("b")"#,
        ],
    );
    assert_eq!(
        shown(
            "f.csv",
            "Тема,Текст письма\nx,y",
            &mapped(&["question=текст  ПИСЬМА", "category=тема"])
        ),
        ["2 - | y |  | x"]
    );
    assert_eq!(
        shown(
            "f.csv",
            "only answers\nx\n",
            &mapped(&["answer=only answers"])
        ),
        ["2 - |  | x"]
    );
    let options = SourceOptions {
        header_row: Some(3),
        ..mapped(&["question=c"])
    };
    assert_eq!(
        shown("f.csv", "question,x\na,b\nc,d\ne,f", &options),
        [r#"4 - | e |  |  |  | d=String("f")"#]
    );
    let options = SourceOptions {
        header_row: Some(9),
        ..SourceOptions::default()
    };
    assert_eq!(
        shown("f.csv", "question\na", &options),
        ["Columns: f.csv: row 9 holds no headers"]
    );
}

#[test]
fn the_content_decides_where_the_name_lies() {
    let snapshot = read("f.xlsx", "question,answer\na,b", &SourceOptions::default()).unwrap();
    assert_eq!(snapshot.kind, "csv");
    assert_eq!(snapshot.notices, ["read as CSV: the content is no .xlsx"]);
    assert_eq!(
        read("f", "{\"question\": \"a\"}", &SourceOptions::default())
            .unwrap()
            .kind,
        "jsonl"
    );
    assert_eq!(
        read("f.txt", "[x],question\n1,2", &SourceOptions::default())
            .unwrap()
            .kind,
        "csv"
    );
}

#[test]
fn damaged_tables_never_panic() {
    let mut seed = 7_u64;
    let mut random = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for text in [
        table(';', "\r\n").into_bytes(),
        utf16(&format!("\u{feff}{}", table(',', "\n")), u16::to_le_bytes),
    ] {
        for _ in 0..500 {
            let mut bytes = text.clone();
            for _ in 0..=random() % 8 {
                let position = random() % bytes.len();
                bytes[position] = random() as u8;
            }
            bytes.truncate(bytes.len() - random() % 16);
            let _ = read("f.csv", bytes, &SourceOptions::default());
        }
    }
}

#[test]
fn a_long_header_is_not_copied_for_every_row_without_end() {
    let table = format!(
        "question,{}\n{}",
        "h".repeat(500_000),
        "q,1\n".repeat(2_000)
    );
    assert_eq!(
        shown("f.csv", table, &SourceOptions::default()),
        [
            "Limit: f.csv: reading the source takes more than 208 MiB of memory; split it, or leave columns out"
        ]
    );
}

#[test]
fn a_page_for_a_header_is_not_compared_letter_by_letter() {
    let header = vec!["х".repeat(20_000); 20].join(",");
    let options = mapped(&["question=Вопрос"]);
    let begun = std::time::Instant::now();
    let lines = shown("f.csv", format!("{header}\na,b\n"), &options);
    assert!(
        lines[0].starts_with("Columns: f.csv: no column"),
        "{lines:?}"
    );
    // One comparison of a page with each known name would be some gigabytes; ten times what it takes without.
    assert!(begun.elapsed().as_secs() < 5);
}
