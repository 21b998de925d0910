use super::*;

fn row(number: u64, question: &str, answer: &str) -> SourceRow {
    SourceRow {
        question: question.to_owned(),
        answer: answer.to_owned(),
        locator: Locator {
            row: Some(number),
            ..Locator::default()
        },
        ..SourceRow::default()
    }
}

fn snapshot(rows: impl IntoIterator<Item = SourceRow>) -> SourceSnapshot {
    SourceSnapshot {
        kind: "csv".to_owned(),
        rows: rows.into_iter().collect(),
        ..SourceSnapshot::default()
    }
}

/// `row kind column: message` of each finding.
fn found(snapshot: &SourceSnapshot) -> Vec<String> {
    lint(snapshot, &LintOptions::default())
        .into_iter()
        .map(|finding| {
            let column = finding.column.as_deref().unwrap_or("-");
            let row = finding.locator.row.unwrap();
            format!("{row} {} {column}: {}", finding.kind, finding.message)
        })
        .collect()
}

#[test]
fn names_are_told_apart_and_read_back() {
    for kind in FindingKind::ALL {
        assert_eq!(FindingKind::parse(kind.as_str()), Some(kind));
    }
    assert_eq!(FindingKind::parse("nothing"), None);
}

#[test]
fn questions_that_are_asked_twice() {
    let rows = [
        row(2, "Как закрыть вклад?", "В отделении."),
        row(3, "как  закрыть вклад", "В отделении."),
        row(4, "Как закрыть вклад?", "Никак."),
        row(5, "Как открыть вклад?", "Онлайн."),
        row(6, "Как можно закрыть вклады?", "По телефону."),
        row(7, "Как мне закрыть вклад", "В отделении."),
    ];
    assert_eq!(
        found(&snapshot(rows)),
        [
            "3 duplicate-question question: question and answer stand in row 2 too",
            "4 conflicting-answers question: row 2 asks the same and answers otherwise",
            "6 near-duplicate question: asks nearly what row 2 asks (\"Как закрыть вклад?\"), and answers otherwise",
        ]
    );
}

#[test]
fn wordings_of_one_entry_are_no_duplicates() {
    let wording = |chunk, question| SourceRow {
        id: Some("a".to_owned()),
        chunk,
        ..row(2, question, "Да.")
    };
    let rows = [
        wording(0, "Как закрыть вклад?"),
        wording(1, "Как закрыть вклад?"),
        wording(2, "Закрыть вклад как?"),
    ];
    assert_eq!(found(&snapshot(rows)), [""; 0]);
}

#[test]
fn nearly_the_same_is_told_from_another_question() {
    for (left, right) in [
        ("Как заблокировать карту?", "Как заблокирвать карту?"),
        ("Как заблокировать карту?", "Карту заблокировать как"),
        (
            "Сколько стоит обслуживание карты",
            "Сколько стоит обслуживание карт?",
        ),
        ("How do I block my card?", "How can I block cards"),
    ] {
        assert!(questions::would_be_alike(left, right), "{left} / {right}");
    }
    for (left, right) in [
        ("Как открыть вклад?", "Как закрыть вклад?"),
        (
            "Вклад на 30 дней под процент",
            "Вклад на 60 дней под процент",
        ),
        ("Можно ли снять вклад", "Можно ли не снять вклад"),
        ("Что такое СМС банк", "Что такое ЕРИП банк"),
        ("Кредит онлайн заявка", "Кредит онлайн заявка отказ"),
        ("Карта", "Карты"),
        ("Лимит на карте Visa", "Лимит на карте Мир"),
        ("Перевод из Минска в Гродно", "Перевод до Минска в Гродно"),
    ] {
        assert!(!questions::would_be_alike(left, right), "{left} / {right}");
    }
}

#[test]
fn halves_are_missed_only_where_others_have_them() {
    let rows = [
        row(2, "Вопрос?", "Ответ."),
        row(3, "", "Ответ"),
        row(4, "Другой вопрос?", ""),
    ];
    assert_eq!(
        found(&snapshot(rows)),
        [
            "3 empty-question question: the question is empty",
            "4 empty-answer answer: the answer is empty"
        ]
    );
    let answers = [row(2, "", "Первый ответ"), row(3, "", "Второй ответ")];
    assert_eq!(found(&snapshot(answers)), [""; 0]);
}

#[test]
fn texts_are_looked_through() {
    for (text, expected) in [
        // A Latin K.
        (
            "Kарта",
            Some(r#"mixed-script question: "Kарта" has the Latin "K"; "Карта" is meant"#),
        ),
        // A Cyrillic а.
        (
            "cаrd",
            Some(r#"mixed-script question: "cаrd" has the Cyrillic "а"; "card" is meant"#),
        ),
        (
            "Zкарта",
            Some(r#"mixed-script question: "Zкарта" has the Latin "Z""#),
        ),
        ("USB-кабель, iPhone-ом, e-mail'ом, 4G и №5", None),
        (
            "В <b>банке</b>",
            Some(r#"html question: the text holds "<b>", and 1 more"#),
        ),
        (
            "строка<br/>",
            Some(r#"html question: the text holds "<br/>""#),
        ),
        (
            "5&nbsp;%",
            Some(r#"html question: the text holds "&nbsp;""#),
        ),
        (
            "A &#171; B",
            Some(r#"html question: the text holds "&#171;""#),
        ),
        ("Если a < b и <имя> или <name>, R&D; AT&T", None),
        ("<b", None),
        ("x <b or y", None),
        (
            "мяг\u{ad}кий",
            Some("invisible question: the text holds the invisible character U+00AD"),
        ),
        (
            "a\u{200b}b\u{200b}c",
            Some("invisible question: the text holds the invisible character U+200B, and 1 more"),
        ),
        ("👨\u{200d}👩 строка\nвторая\tстрока 5\u{a0}%", None),
    ] {
        let expected: Vec<String> = expected
            .map(|line| format!("2 {line}"))
            .into_iter()
            .collect();
        assert_eq!(found(&snapshot([row(2, text, "Ответ")])), expected);
    }
}

#[test]
fn a_rare_category_that_is_nearly_a_frequent_one() {
    let of = |number: u64, category: &str| SourceRow {
        category: Some(category.to_owned()),
        ..row(number, &format!("{number}"), &format!("{number}"))
    };
    let mut rows: Vec<SourceRow> = (2..8).map(|number| of(number, "Вклады")).collect();
    rows.extend((8..12).map(|number| of(number, "Тариф 1")));
    rows.extend([
        of(12, "Вклаты"),
        of(13, "вклады"),
        of(14, "Кредиты"),
        of(15, "Тариф 2"),
    ]);
    assert_eq!(
        found(&snapshot(rows)),
        [
            "12 category-typo category: \"Вклаты\" is nearly \"Вклады\", which 6 rows have",
            "13 category-typo category: \"вклады\" is nearly \"Вклады\", which 6 rows have",
        ]
    );
}

#[test]
fn what_the_model_would_not_read_is_found() {
    let tokens = |row: &SourceRow| row.answer.len() as u64;
    let options = LintOptions {
        length: Some(Length {
            limit: 4,
            model: "m",
            tokens: &tokens,
        }),
    };
    let found = lint(
        &snapshot([row(2, "a", "1234"), row(3, "b", "12345")]),
        &options,
    );
    let lines: Vec<_> = found.iter().map(|f| (f.row, f.kind, &*f.message)).collect();
    assert_eq!(
        lines,
        [(
            Some(1),
            FindingKind::OverLong,
            "about 5 tokens; m reads the first 4"
        )]
    );
}

#[test]
fn what_the_reader_noticed_is_among_the_findings() {
    let mut snapshot = snapshot([row(2, "Вопрос?", "Ответ.")]);
    snapshot.issues = vec![
        RowIssue {
            kind: IssueKind::DuplicateId,
            id: Some("a".to_owned()),
            locator: row(9, "", "").locator,
            column: None,
            problem: "the id \"a\" stands in row 2 already".to_owned(),
        },
        RowIssue {
            kind: IssueKind::DuplicateQuestion,
            id: None,
            locator: row(5, "", "").locator,
            column: None,
            problem: "said otherwise here".to_owned(),
        },
    ];
    assert_eq!(
        found(&snapshot),
        ["9 duplicate-id -: the id \"a\" stands in row 2 already"]
    );
}

#[test]
fn rows_of_a_data_set_may_repeat() {
    let data = SourceSnapshot {
        kind: crate::data_set::KIND.to_owned(),
        ..snapshot([
            row(2, "", "a=1 b=2"),
            row(3, "", "a=1 b=2"),
            row(4, "", "a=<br>"),
        ])
    };
    assert_eq!(found(&data), ["4 html answer: the text holds \"<br>\""]);
}

/// Ten thousand rows of one pattern: compared all with all, this would take minutes.
#[test]
fn many_rows_of_one_pattern_are_compared_in_bounded_time() {
    let many = snapshot((0..10_000).map(|number| {
        row(
            number,
            &format!("Как оформить карту номер {} сегодня", number % 5_000),
            &format!("{number}"),
        )
    }));
    let started = std::time::Instant::now();
    let findings = lint(&many, &LintOptions::default());
    assert_eq!(counts(&findings)[&FindingKind::ConflictingAnswers], 5_000);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
