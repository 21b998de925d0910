mod hostile;

use rust_xlsxwriter::{ExcelDateTime as Moment, Format, Formula, Workbook as Writer, Worksheet};
use storage_core::MetadataValue;

use super::*;
use crate::Identity;
use crate::testing::{lines, mapped, read, shown};

fn book(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    fill(&mut writer);
    writer.save_to_buffer().unwrap()
}

fn rows(sheet: &mut Worksheet, first: u32, rows: &[&[&str]]) {
    for (row, cells) in rows.iter().enumerate() {
        for (column, cell) in cells.iter().enumerate() {
            if !cell.is_empty() {
                sheet
                    .write_string(first + row as u32, column as u16, *cell)
                    .unwrap();
            }
        }
    }
}

fn one_sheet(table: &[&[&str]]) -> Vec<u8> {
    book(|book| rows(book.add_worksheet().set_name("FAQ").unwrap(), 0, table))
}

fn with_sheet(sheet: &str) -> SourceOptions {
    SourceOptions {
        sheet: Some(sheet.to_owned()),
        ..SourceOptions::default()
    }
}

#[test]
fn a_workbook_as_banks_write_it() {
    let bytes = one_sheet(&[
        &[
            "Основная категория",
            "Подкатегория",
            "Пример вопроса",
            "Приоритет",
            "Целевая аудитория",
            "Шаблонный ответ",
        ],
        &[
            "Карты",
            "Блокировка",
            " Как заблокировать карту? ",
            "высокий",
            "все клиенты",
            "В приложении.\nИли по телефону.",
        ],
        &[],
        &["Карты", "", "Где ПИН?", "", "", "В конверте"],
        &["", "", "", "низкий"],
    ]);
    let snapshot = read("faq.xlsx", bytes, &SourceOptions::default()).unwrap();
    assert_eq!(snapshot.kind, "xlsx");
    assert_eq!(snapshot.identity, Identity::Derived);
    assert_eq!(snapshot.rows[0].locator.sheet.as_deref(), Some("FAQ"));
    assert_eq!(
        lines(&snapshot),
        [
            r#"2 - | Как заблокировать карту? | В приложении.
Или по телефону. | Карты | Блокировка | Приоритет=String("высокий") | Целевая аудитория=String("все клиенты")"#,
            "4 - | Где ПИН? | В конверте | Карты",
            "! 5 Empty: neither question nor answer",
        ]
    );
    assert_eq!(snapshot.categories(), 1);
}

#[test]
fn cells_keep_their_types() {
    let bytes = book(|book| {
        let date = Format::new().set_num_format("yyyy-mm-dd");
        let moment = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
        let time = Format::new().set_num_format("hh:mm");
        let duration = Format::new().set_num_format("[h]:mm:ss");
        let sheet = book.add_worksheet();
        rows(
            sheet,
            0,
            &[&[
                "id", "question", "answer", "n", "x", "ok", "date", "moment", "time", "duration",
                "formula",
            ]],
        );
        sheet.write_number(1, 0, 7).unwrap();
        sheet.write_number(1, 1, 5).unwrap();
        sheet.write_number(1, 2, 0.25).unwrap();
        sheet.write_number(1, 3, 12).unwrap();
        sheet.write_number(1, 4, 1.5).unwrap();
        sheet.write_boolean(1, 5, true).unwrap();
        sheet
            .write_with_format(1, 6, Moment::from_ymd(2025, 10, 13).unwrap(), &date)
            .unwrap();
        sheet
            .write_with_format(
                1,
                7,
                Moment::from_ymd(2025, 10, 13)
                    .unwrap()
                    .and_hms(12, 59, 2)
                    .unwrap(),
                &moment,
            )
            .unwrap();
        sheet
            .write_with_format(1, 8, Moment::from_hms(9, 5, 0).unwrap(), &time)
            .unwrap();
        sheet
            .write_number_with_format(1, 9, 1.25, &duration)
            .unwrap();
        sheet
            .write_formula(1, 10, Formula::new("=1+1").set_result("2"))
            .unwrap();
        rows(sheet, 2, &[&["007", "q"]]);
    });
    let snapshot = read("f.xlsx", bytes, &SourceOptions::default()).unwrap();
    assert_eq!(snapshot.identity, Identity::Given);
    assert_eq!(
        lines(&snapshot),
        [
            r#"2 7 | 5 | 0.25 |  |  | date=String("2025-10-13") | duration=String("30:00:00") | formula=I64(2) | moment=String("2025-10-13T12:59:02") | n=I64(12) | ok=Bool(true) | time=String("09:05:00") | x=F64(1.5)"#,
            "3 007 | q",
        ]
    );
}

#[test]
fn error_cells_reject_the_row_where_they_matter() {
    let bytes = book(|book| {
        let sheet = book.add_worksheet();
        rows(
            sheet,
            0,
            &[
                &["id", "Вопрос", "Ответ", "Заметка"],
                &["a", "q"],
                &["b", "r", "s"],
                &["c"],
            ],
        );
        let error = |text| Formula::new("=NA()").set_result(text);
        sheet.write_formula(1, 2, error("#N/A")).unwrap();
        sheet.write_formula(2, 3, error("#DIV/0!")).unwrap();
        sheet.write_formula(3, 1, error("#REF!")).unwrap();
    });
    let snapshot = read("f.xlsx", bytes.clone(), &SourceOptions::default()).unwrap();
    assert_eq!(
        lines(&snapshot),
        [
            "3 b | r | s",
            "! 2 ErrorCell C: the cell holds the error #N/A",
            "! 4 ErrorCell B: the cell holds the error #REF!",
        ]
    );
    assert_eq!(snapshot.issues[0].id.as_deref(), Some("a"));
    assert_eq!(snapshot.issues[0].locator.sheet.as_deref(), Some("Sheet1"));
    assert!(
        snapshot
            .notices
            .iter()
            .any(|notice| notice.contains("(row 3: the cell holds the error #DIV/0!)")),
        "{:?}",
        snapshot.notices
    );
    let options = SourceOptions {
        required_columns: vec!["Заметка".to_owned()],
        ..SourceOptions::default()
    };
    assert_eq!(read("f.xlsx", bytes, &options).unwrap().rows.len(), 0);
}

#[test]
fn the_header_may_stand_below_a_title() {
    let table: &[&[&str]] = &[
        &["База знаний"],
        &["обновлено", "сегодня"],
        &["Вопрос", "Ответ"],
        &["a", "b"],
    ];
    assert_eq!(
        shown("f.xlsx", one_sheet(table), &SourceOptions::default()),
        ["4 - | a | b"]
    );
    let far = (0..25)
        .map(|_| &["x"][..])
        .chain(table.iter().copied())
        .collect::<Vec<_>>();
    assert_eq!(
        shown("f.xlsx", one_sheet(&far), &SourceOptions::default()),
        [
            r#"Columns: f.xlsx: no question column in sheet "FAQ" (columns: "x"); name it with --map question=COLUMN; a table without questions is read as a data set with --input FILE"#
        ]
    );
    let given = SourceOptions {
        header_row: Some(28),
        ..SourceOptions::default()
    };
    assert_eq!(shown("f.xlsx", one_sheet(&far), &given), ["29 - | a | b"]);
    assert_eq!(
        shown(
            "f.xlsx",
            one_sheet(&[&["№", "Ответ"], &["1", "x"]]),
            &SourceOptions::default()
        ),
        [r#"2 - |  | x |  |  | №=String("1")"#]
    );
}

#[test]
fn the_sheet_is_chosen_or_named() {
    let bytes = book(|book| {
        rows(
            book.add_worksheet().set_name("О файле").unwrap(),
            0,
            &[&["Автор", "Отдел"]],
        );
        let hidden = book.add_worksheet().set_name("Черновик").unwrap();
        hidden.set_hidden(true);
        rows(hidden, 0, &[&["Вопрос"], &["скрыто"]]);
        rows(
            book.add_worksheet().set_name("FAQ").unwrap(),
            0,
            &[&["Вопрос"], &["видно"]],
        );
        rows(
            book.add_worksheet().set_name("Архив").unwrap(),
            0,
            &[&["Вопрос"], &["старое"]],
        );
    });
    let snapshot = read("f.xlsx", bytes.clone(), &SourceOptions::default()).unwrap();
    assert_eq!(lines(&snapshot), ["2 - | видно"]);
    assert_eq!(
        snapshot.notices,
        [
            r#"hidden sheets left out: "Черновик" (read one with --sheet NAME)"#,
            r#"sheet "FAQ" was read; not read: "О файле", "Архив" (choose one with --sheet NAME)"#,
        ]
    );
    for (sheet, expected) in [
        ("Архив", "2 - | старое"),
        ("архив ", "2 - | старое"),
        ("2", "2 - | скрыто"),
        ("4", "2 - | старое"),
        (
            "Архиф",
            r#"Columns: f.xlsx: no sheet "Архиф" (sheets: "О файле", "Черновик", "FAQ", "Архив"); did you mean --sheet "Архив""#,
        ),
        (
            "О файле",
            r#"Columns: f.xlsx: no question column in sheet "О файле" (columns: "Автор", "Отдел"); name it with --map question=COLUMN; a table without questions is read as a data set with --input FILE"#,
        ),
    ] {
        assert_eq!(
            shown("f.xlsx", bytes.clone(), &with_sheet(sheet)),
            [expected],
            "{sheet}"
        );
    }
    let source = crate::open_bytes("f.xlsx", bytes, &with_sheet("FAQ")).unwrap();
    assert_eq!(source.describe(), r#"workbook f.xlsx, sheet "FAQ""#);
}

#[test]
fn mapping_names_the_columns() {
    let bytes = one_sheet(&[
        &["Тема", "Текст обращения", "Код"],
        &["t", "q", "5"],
        &["t", "r", "5"],
    ]);
    assert_eq!(
        shown(
            "f.xlsx",
            bytes.clone(),
            &mapped(&["question=текст обращения", "category=Тема", "id="])
        ),
        [
            r#"2 - | q |  | t |  | Код=String("5")"#,
            r#"3 - | r |  | t |  | Код=String("5")"#
        ]
    );
    assert_eq!(
        shown("f.xlsx", bytes, &mapped(&["question=Тест обращения"])),
        [
            r#"Columns: f.xlsx: no column "Тест обращения" in sheet "FAQ" (columns: "Тема", "Текст обращения", "Код"); did you mean --map question="Текст обращения""#
        ]
    );
}

#[test]
fn empty_workbooks_and_headers_alone() {
    assert_eq!(
        shown("f.xlsx", one_sheet(&[]), &SourceOptions::default()),
        [r#"Empty: f.xlsx: there is nothing in sheet "FAQ"; name another with --sheet NAME"#]
    );
    assert_eq!(
        shown(
            "f.xlsx",
            one_sheet(&[&["Вопрос", "Ответ"]]),
            &SourceOptions::default()
        ),
        [""; 0]
    );
}

#[test]
fn numbers_are_whole_only_when_exact() {
    for (number, expected) in [
        (5.0, Some(5)),
        (-0.0, Some(0)),
        (0.5, None),
        (1e300, None),
        (f64::NAN, None),
        (f64::INFINITY, None),
    ] {
        assert_eq!(whole(number), expected, "{number}");
    }
    assert_eq!(crate::table::letter(0), "A");
    assert_eq!(crate::table::letter(701), "ZZ");
    assert_eq!(crate::table::letter(16_383), "XFD");
}

#[test]
fn a_number_that_is_none_is_kept_as_text() {
    let bytes = book(|book| {
        let sheet = book.add_worksheet();
        rows(sheet, 0, &[&["Вопрос", "n"], &["q"]]);
        sheet.write_number(1, 1, 0.5).unwrap();
    });
    let bytes = hostile::edited(&bytes, "sheet1.xml", "<v>0.5</v>", "<v>inf</v>");
    let snapshot = read("f.xlsx", bytes, &SourceOptions::default()).unwrap();
    assert_eq!(
        snapshot.rows[0].metadata["n"],
        MetadataValue::String("inf".to_owned())
    );
}

#[test]
fn a_workbook_without_questions_is_a_data_set_when_that_is_asked_for() {
    let bytes = book(|book| {
        let about = book.add_worksheet().set_name("О файле").unwrap();
        rows(about, 0, &[&["Цены, 2020-2024"]]);
        let sheet = book.add_worksheet().set_name("Цены").unwrap();
        rows(
            sheet,
            0,
            &[&["год", "показатель", "значение"], &["", "CPI"]],
        );
        sheet.write_number(1, 0, 2023.0).unwrap();
        sheet.write_number(1, 2, 121.5).unwrap();
    });
    let options = SourceOptions {
        data_set: true,
        ..with_sheet("Цены")
    };
    let snapshot = read("f.xlsx", bytes, &options).unwrap();
    assert!(snapshot.is_data_set());
    assert_eq!(
        lines(&snapshot),
        [
            r#"2 - |  | год=2023 показатель=CPI значение=121.5 |  |  | год=I64(2023) | значение=F64(121.5) | показатель=String("CPI")"#
        ]
    );
}

#[test]
fn a_cover_sheet_is_not_read_for_the_data_set_behind_it() {
    let bytes = book(|book| {
        let about = book.add_worksheet().set_name("О файле").unwrap();
        rows(about, 0, &[&["Цены, 2020-2024"], &["Источник: статистика"]]);
        let sheet = book.add_worksheet().set_name("Цены").unwrap();
        rows(
            sheet,
            0,
            &[&["год", "показатель"], &["2023", "CPI"], &["2024", "PPI"]],
        );
        let other = book.add_worksheet().set_name("Курсы").unwrap();
        rows(other, 0, &[&["год", "курс"], &["2023", "3.2"]]);
    });
    let options = SourceOptions {
        data_set: true,
        ..SourceOptions::default()
    };
    let snapshot = read("f.xlsx", bytes.clone(), &options).unwrap();
    assert_eq!(snapshot.rows.len(), 2);
    assert_eq!(snapshot.rows[0].locator.sheet.as_deref(), Some("Цены"));
    assert_eq!(
        snapshot.notices,
        [
            "sheet \"Цены\" was read; not read: \"О файле\", \"Курсы\" (choose one with --sheet NAME)"
        ]
    );
    let given = SourceOptions {
        header_row: Some(1),
        ..options
    };
    let snapshot = read("f.xlsx", bytes, &given).unwrap();
    assert_eq!(snapshot.rows[0].locator.sheet.as_deref(), Some("Цены"));
}
