use super::*;

fn mapping(pairs: &[(&str, &str)], required: &[&str]) -> Result<Mapping, SourceError> {
    Mapping::new(&SourceOptions {
        mapping: pairs
            .iter()
            .map(|(field, column)| ((*field).to_owned(), (*column).to_owned()))
            .collect(),
        required_columns: required.iter().map(|name| (*name).to_owned()).collect(),
        ..SourceOptions::default()
    })
}

/// Headers in brackets are metadata: `[Приоритет]`.
fn fields(pairs: &[(&str, &str)], headers: &[&str]) -> Vec<&'static str> {
    let assignment = mapping(pairs, &[]).unwrap().assign(headers);
    (0..headers.len())
        .map(|position| assignment.field(position).map_or("-", Field::name))
        .collect()
}

#[test]
fn headers_are_known_in_both_languages() {
    let cases: &[(&[&str], &[&str])] = &[
        (
            &[
                "Основная категория",
                "Подкатегория",
                "Пример вопроса",
                "Приоритет",
                "Целевая аудитория",
                "Шаблонный ответ",
            ],
            &["category", "subcategory", "question", "-", "-", "answer"],
        ),
        (
            &["№", "ВОПРОС:", " ответ ", "Категория"],
            &["-", "question", "answer", "category"],
        ),
        (
            &[
                "FAQ_ID",
                "Example question",
                "Template  Answer",
                "Main-Category",
                "sub category",
            ],
            &["id", "question", "answer", "category", "subcategory"],
        ),
        (&["id", "title", "body"], &["id", "question", "answer"]),
        (
            &["Title", "Question", "Text", "Answer"],
            &["-", "question", "-", "answer"],
        ),
        (
            &["Категория", "Основная категория", "Вопрос клиента"],
            &["-", "category", "question"],
        ),
        (&["Вопрос", "Вопрос"], &["question", "-"]),
        (&["Код", "Типовой ответ"], &["id", "answer"]),
        (&["Учёт", ""], &["-", "-"]),
    ];
    for (headers, expected) in cases {
        assert_eq!(fields(&[], headers), *expected, "{headers:?}");
    }
}

#[test]
fn what_is_mapped_beats_what_is_known() {
    assert_eq!(
        fields(&[("question", "расчет")], &["Вопрос", "Расчёт"]),
        ["-", "question"]
    );
    assert_eq!(fields(&[("ID", "")], &["Код", "Вопрос"]), ["-", "question"]);
    // A column that serves as one field is not another one as well.
    assert_eq!(
        fields(&[("category", "Text")], &["Text", "Вопрос"]),
        ["category", "question"]
    );
}

#[test]
fn what_cannot_be_found_is_named_with_a_suggestion() {
    let headers = ["Вопрос", "Ответ", "Приоритет"];
    for (pairs, required, expected) in [
        (
            vec![("question", "Вапрос")],
            vec![],
            r#"no column "Вапрос" here (columns: "Вопрос", "Ответ", "Приоритет"); did you mean --map question="Вопрос""#,
        ),
        (
            vec![],
            vec!["Приоритeт"],
            "the embed-text recipe names {Приоритeт}, which is no further column here; did you mean {Приоритет}",
        ),
        (
            vec![],
            vec!["Ответ"],
            "the embed-text recipe names {Ответ}, which is no further column here; it is the answer; write {answer}",
        ),
    ] {
        let error = mapping(&pairs, &required)
            .unwrap()
            .check(&headers, "here")
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (SourceErrorKind::Columns, expected)
        );
    }
    assert!(
        mapping(&[], &["Приоритет"])
            .unwrap()
            .check(&headers, "here")
            .is_ok()
    );
    let error = mapping(&[("qestion", "A")], &[]).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with(r#"did you mean --map question="A""#),
        "{error}"
    );
    assert!(mapping(&[("id", "A"), ("id", "B")], &[]).is_err());
    let error = Mapping::default().no_question(&["Тема", "Вопросы клиентов"], "here");
    assert!(
        error
            .to_string()
            .ends_with(r#"did you mean --map question="Вопросы клиентов""#),
        "{error}"
    );
}
