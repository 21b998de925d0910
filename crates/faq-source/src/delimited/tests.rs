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
            r#"Columns: f.csv: no question column in the table (columns: "a", "b"); name it with --map question=COLUMN; a table without questions is read as a data set with --input FILE"#,
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

fn data_set(text: &str) -> Vec<String> {
    let options = SourceOptions {
        data_set: true,
        ..SourceOptions::default()
    };
    shown("data.csv", text, &options)
}

#[test]
fn a_table_without_questions_is_a_data_set_when_that_is_asked_for() {
    let table = "year,indicator,value,note\n2023,CPI,121.0,\n2022,\"GDP, nominal\",1791.4,a = b\n2023,CPI,121.0,\n,,,\n00,x,,\n";
    assert_eq!(
        data_set(table),
        [
            r#"2 - |  | year=2023 indicator=CPI value=121.0 |  |  | indicator=String("CPI") | value=F64(121.0) | year=I64(2023)"#,
            r#"3 - |  | year=2022 indicator=GDP, nominal value=1791.4 note=a = b |  |  | indicator=String("GDP, nominal") | note=String("a = b") | value=F64(1791.4) | year=I64(2022)"#,
            r#"4 - |  | year=2023 indicator=CPI value=121.0 |  |  | indicator=String("CPI") | value=F64(121.0) | year=I64(2023)"#,
            r#"6 - |  | year=00 indicator=x |  |  | indicator=String("x") | year=String("00")"#,
        ]
    );
    assert_eq!(
        shown("data.csv", table, &SourceOptions::default()),
        [
            r#"Columns: data.csv: no question column in the table (columns: "year", "indicator", "value", "note"); name it with --map question=COLUMN; a table without questions is read as a data set with --input FILE"#
        ]
    );
}

#[test]
fn a_faq_stays_one_where_a_data_set_would_do() {
    for text in [
        "question,answer\nq1,a1\n",
        "Список,,\n,,\nid,Вопрос,Ответ\n7,q1,a1\n",
        "a,b,c,d\n1,2,3,4\nquestion,answer\nq1,a1\n",
        "answer,x\na1,1\n",
    ] {
        let expected = shown("data.csv", text, &SourceOptions::default());
        assert_eq!(data_set(text), expected, "{text}");
        assert!(expected[0].contains("a1"), "{expected:?}");
    }
}

#[test]
fn the_header_of_a_data_set_is_found() {
    for (text, expected) in [
        // A word that heads questions elsewhere is a value here.
        ("kind,n\nquestion,1\ntitle,2\n", "kind=question n=1"),
        (
            "Table 5: prices\n\nyear,n\n2020,1\n2021,\n",
            "year=2020 n=1",
        ),
        // The index that a data frame writes has no name.
        (",year,n\n0,2020,1\n1,2021,2\n", "year=2020 n=1"),
        ("n\n1\n", "n=1"),
        ("a;b\n1;2\n", "a=1 b=2"),
        ("a,b\n1,\n2,\n3,\n", "a=1"),
    ] {
        let found = data_set(text);
        assert!(
            found[0].contains(&format!("|  | {expected} |  |")),
            "{found:?}"
        );
    }
    assert_eq!(
        data_set("1,2\n3,4\n"),
        [
            r#"Columns: data.csv: no names of columns in the table (found: "1", "2"); write them into the first row, or say where they are with --header-row N"#
        ]
    );
    let given = SourceOptions {
        data_set: true,
        header_row: Some(2),
        ..SourceOptions::default()
    };
    let found = shown("data.csv", "x,y,z\na,b\n1,2\n", &given);
    assert!(found[0].starts_with("3 - |  | a=1 b=2 |"), "{found:?}");
}

#[test]
fn rows_of_a_data_set_have_the_ids_that_a_column_gives() {
    let found = data_set("ID,code,category,n\n7,MY,Prices,1\n8,MY,Trade,2\n");
    assert_eq!(
        found,
        [
            r#"2 7 |  | ID=7 code=MY category=Prices n=1 | Prices |  | ID=I64(7) | category=String("Prices") | code=String("MY") | n=I64(1)"#,
            r#"3 8 |  | ID=8 code=MY category=Trade n=2 | Trade |  | ID=I64(8) | category=String("Trade") | code=String("MY") | n=I64(2)"#,
        ]
    );
    let given = SourceOptions {
        data_set: true,
        ..mapped(&["id=code"])
    };
    let found = shown("data.csv", "id,code\n1,a\n2,b\n", &given);
    assert!(
        found[0].starts_with("2 a |") && found[1].starts_with("3 b |"),
        "{found:?}"
    );
    let twice = data_set("id,n\n1,1\n1,2\n");
    assert_eq!(
        twice[1],
        r#"! 3 DuplicateId: the id "1" stands in row 2 already"#
    );
}

#[test]
fn a_row_of_a_data_set_is_no_longer_than_a_text() {
    let wide = "x".repeat(20_000);
    let found = data_set(&format!("a,b\n{wide},{wide}\n1,2\n"));
    assert!(found[0].starts_with("3 - |  | a=1 b=2 |"), "{found:?}");
    assert_eq!(
        found[1],
        "! 2 TooLong: the row as a text has 40005 characters, more than 32767; leave columns out"
    );
}
