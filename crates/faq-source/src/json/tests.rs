use super::*;
use crate::Identity;
use crate::testing::{lines, mapped, read, shown};

fn check(text: &str, expected: &[&str]) {
    assert_eq!(
        shown("f.jsonl", text, &SourceOptions::default()),
        expected,
        "{text}"
    );
}

#[test]
fn objects_become_rows() {
    check(
        r#"{"id": "a", "question": " Вопрос? ", "answer": "Ответ", "category": "К", "subcategory": "П", "lang": "ru", "n": 5, "x": 1.5, "ok": true, "tags": ["a", 1], "none": null}"#,
        &[
            r#"1 a | Вопрос? | Ответ | К | П | lang=String("ru") | n=I64(5) | ok=Bool(true) | tags=List([String("a"), I64(1)]) | x=F64(1.5)"#,
        ],
    );
    // A passage without a question, with the mark that the translators left in front of it.
    check(
        "{\"id\": 7, \"question\": \"\", \"text\": \"\u{feff}Текст\"}",
        &["1 7 |  | Текст"],
    );
    // A title is the question where there is no other.
    check(r#"{"title": "q", "body": "a"}"#, &["1 - | q | a"]);
    check(
        r#"{"title": "t", "question": "q"}"#,
        &[r#"1 - | q |  |  |  | title=String("t")"#],
    );
    check(
        r#"{"question": "q", "meta": {"topic": "t", "deep": {"n": 1}}, "metadata": {"k": "v", "question": "other"}}"#,
        &[
            r#"1 - | q |  |  |  | k=String("v") | meta.deep.n=I64(1) | meta.topic=String("t") | question=String("other")"#,
        ],
    );
}

#[test]
fn variants_are_chunks_of_their_entry() {
    check(
        "{\"id\": \"a\", \"question\": \"one\", \"variants\": [\"two\", \" \", \"three\"], \"answer\": \"x\"}\n{\"id\": \"b\", \"question\": \"q\", \"variants\": []}",
        &[
            "1 a | one | x",
            "1 a#1 | two | x",
            "1 a#2 | three | x",
            "2 b | q",
        ],
    );
    check(
        "{\"question\": \"one\", \"variants\": [\"two\"]}\n{\"question\": \"q\", \"variants\": 5}",
        &[
            "! 1 Malformed: further wordings (variants) need an id",
            "! 2 Malformed variants: variants is no list of texts",
        ],
    );
    // The same wording under two ids is worth a warning; under one id it is not.
    check(
        "{\"id\": \"a\", \"question\": \"One\", \"variants\": [\"one\"]}\n{\"id\": \"b\", \"question\": \"x\", \"variants\": [\" ONE\"]}",
        &[
            "1 a | One",
            "1 a#1 | one",
            "2 b | x",
            "2 b#1 | ONE",
            "! 2 DuplicateQuestion: the question stands in row 1 already; both rows are kept",
        ],
    );
}

#[test]
fn faults_keep_single_rows_out() {
    check(
        "{\"id\": \"a\", \"question\": \"q\"}\nnonsense\n\n[1]\n{\"id\": \"a\", \"question\": \"r\"}\n{\"question\": \"s\"}\n{\"id\": \"c\", \"lang\": \"ru\"}\n{\"id\": \"d\", \"question\": [\"x\"]}\n{\"id\": \"e\", \"question\": \"a\\u0000b\"}\r\n{}\n{\"id\": \"f\", \"question\": [{}]}",
        &[
            "1 a | q",
            "! 2 Malformed: the record is no JSON: expected ident at line 1 column 2",
            "! 4 Malformed: the record is no JSON object",
            "! 5 DuplicateId: the id \"a\" stands in row 1 already",
            "! 6 MissingId: the row has no id, while others have one",
            "! 7 Empty: neither question nor answer",
            "! 8 Malformed question: the question is a list, not a text",
            "! 9 BadText question: the text holds the character NUL",
            "! 11 Malformed question: a list of objects is no text",
        ],
    );
    let long = format!(
        "{{\"question\": \"{}\"}}\n{{\"question\": \"{}\"}}",
        "ж".repeat(32_767),
        "ж".repeat(32_768)
    );
    let snapshot = read("f.jsonl", long, &SourceOptions::default()).unwrap();
    assert_eq!(snapshot.rows.len(), 1);
    assert_eq!(snapshot.issues[0].kind, IssueKind::TooLong);
    let record = format!(
        "{{\"question\": \"q\"}}\n{{\"question\": \"{}\"}}",
        "x".repeat(2 << 20)
    );
    assert_eq!(
        read("f.jsonl", record, &SourceOptions::default())
            .unwrap()
            .issues[0]
            .kind,
        IssueKind::TooLong
    );
    let mut broken = b"{\"question\": \"q\"}\n{\"question\": \"".to_vec();
    broken.extend(b"\xff\"}");
    assert_eq!(
        read("f.jsonl", broken, &SourceOptions::default())
            .unwrap()
            .issues[0]
            .kind,
        IssueKind::BadText
    );
}

#[test]
fn identity_is_given_when_any_record_has_an_id() {
    let derived = read(
        "f.jsonl",
        "{\"question\": \"q\"}",
        &SourceOptions::default(),
    )
    .unwrap();
    assert_eq!(derived.identity, Identity::Derived);
    let given = read(
        "f.jsonl",
        "{\"question\": \"q\"}\n{\"id\": 1, \"question\": \"r\"}",
        &SourceOptions::default(),
    )
    .unwrap();
    assert_eq!(given.identity, Identity::Given);
    assert_eq!(
        lines(&given),
        [
            "2 1 | r",
            "! 1 MissingId: the row has no id, while others have one"
        ]
    );
}

#[test]
fn an_array_of_objects_is_read_too() {
    for text in [
        "[{\"q\": \"x\"},\n {\"question\": \"a, ]\\\"}\"},\n\n{\"question\": \"b\"}\n]\n",
        "\u{feff}[{\"question\":\"a, ]\\\"}\"},{\"question\":\"b\"}]",
    ] {
        let snapshot = read("f.json", text, &SourceOptions::default()).unwrap();
        let questions = snapshot
            .rows
            .iter()
            .map(|row| row.question.as_str())
            .collect::<Vec<_>>();
        assert_eq!(questions, ["a, ]\"}", "b"], "{text}");
    }
    for (text, expected) in [
        (
            "[{\"question\": \"a\"},",
            "Format: f.json: the array is never closed (line 1); is the file complete",
        ),
        (
            "[{\"question\": \"a\"}, {]",
            "Format: f.json: the array is never closed (line 1); is the file complete",
        ),
        (
            "[{\"question\": \"a\"},]",
            "Format: f.json: an element is missing (line 1); is the file complete",
        ),
        (
            "[{\"question\": \"a\"}] x",
            "Format: f.json: something follows the array (line 1); is the file complete",
        ),
        ("[]", "Empty: f.json: there is no record in the file"),
    ] {
        assert_eq!(shown("f.json", text, &SourceOptions::default()), [expected]);
    }
}

#[test]
fn columns_are_mapped_and_missed_as_in_a_table() {
    assert_eq!(
        shown(
            "f.jsonl",
            r#"{"q": "x", "meta": {"a": "y"}}"#,
            &mapped(&["question=q", "answer=meta.a"])
        ),
        ["1 - | x | y"]
    );
    for (text, pairs, expected) in [
        (
            r#"{"q": "x"}"#,
            vec![],
            r#"Columns: f.jsonl: no question column in the records (columns: "q"); name it with --map question=COLUMN; a table without questions is read as a data set with --input FILE"#,
        ),
        (
            r#"{"question": "x"}"#,
            vec!["answer=anwser"],
            r#"Columns: f.jsonl: no column "anwser" in the records (columns: "question")"#,
        ),
        (
            "{\n \"question\": \"x\"\n}",
            vec![],
            "Format: f.jsonl: not one line is a JSON object (line 1: the record is no JSON: EOF while parsing an object at line 1 column 1); write one object a line, or a .json array of objects",
        ),
    ] {
        assert_eq!(shown("f.jsonl", text, &mapped(&pairs)), [expected]);
    }
    let keys = (0..300)
        .map(|n| format!("\"k{n}\": 1"))
        .collect::<Vec<_>>()
        .join(",");
    let error = read("f.jsonl", format!("{{{keys}}}"), &SourceOptions::default()).unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Limit);
}

#[test]
fn what_metadata_cannot_hold_is_noticed() {
    let snapshot = read(
        "f.jsonl",
        r#"{"question": "q", "links": [{"url": "u"}]}"#,
        &SourceOptions::default(),
    )
    .unwrap();
    assert_eq!(
        snapshot.notices,
        [r#"lists of objects are left out: "links""#]
    );
}

#[test]
fn a_long_key_is_not_copied_for_everything_nested_in_it() {
    let inner = (0..20_000).map(|number| format!("\"{number}\":1"));
    let inner = inner.collect::<Vec<_>>().join(",");
    let line = format!("{{\"q\":\"x\",\"{}\":{{{inner}}}}}\n", "k".repeat(500_000));
    let good = "{\"question\":\"q\"}\n";
    assert_eq!(
        shown(
            "f.jsonl",
            format!("{line}{good}"),
            &SourceOptions::default()
        ),
        [
            "2 - | q",
            "! 1 TooLong: the keys of the record take more than 1 MiB with those they are nested in"
        ]
    );
}

#[test]
fn an_answer_is_not_copied_for_very_many_wordings() {
    let variants = vec!["\"v\""; 200_000].join(",");
    let line = format!(
        "{{\"id\":\"a\",\"question\":\"q\",\"answer\":\"{}\",\"variants\":[{variants}]}}\n",
        "a".repeat(30_000)
    );
    assert_eq!(
        shown("f.jsonl", line, &SourceOptions::default()),
        [
            "Limit: f.jsonl: reading the source takes more than 208 MiB of memory; split it, or leave columns out"
        ]
    );
}

#[test]
fn records_without_questions_are_a_data_set_when_that_is_asked_for() {
    let options = SourceOptions {
        data_set: true,
        ..SourceOptions::default()
    };
    let records = r#"{"year": 2023, "indicator": "CPI", "value": 121.0, "tags": ["a", "b"], "none": null}
{"year": "2022", "more": {"deep": true}, "variants": ["x"]}
"#;
    assert_eq!(
        shown("d.jsonl", records, &options),
        [
            r#"1 - |  | indicator=CPI tags=a, b value=121.0 year=2023 |  |  | indicator=String("CPI") | tags=List([String("a"), String("b")]) | value=F64(121.0) | year=I64(2023)"#,
            r#"2 - |  | more.deep=true variants=x year=2022 |  |  | more.deep=Bool(true) | variants=List([String("x")]) | year=String("2022")"#,
        ]
    );
    let faq = r#"{"year": 2023}
{"question": "q", "answer": "a"}
"#;
    let expected = shown("f.jsonl", faq, &SourceOptions::default());
    assert_eq!(shown("f.jsonl", faq, &options), expected);
}
