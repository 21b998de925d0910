use super::*;

fn read(text: &str) -> Metadata {
    parse(text.as_bytes(), Limits::default()).unwrap()
}

fn refused(text: &str) -> (MetadataErrorKind, String) {
    let error = parse(text.as_bytes(), Limits::default()).unwrap_err();
    (error.kind(), error.to_string())
}

fn reason(row: &str) -> String {
    let found = read(&format!("[{row}]"));
    assert!(found.rows.is_empty(), "{row}");
    found.faults[0].reason.clone()
}

const ROW: &str = r#""document_id":1,"chunk_index":2,"text":"Вопрос","embedding_model":"m","chunk_length":6,"created_at":"2025-12-21T10:30:00""#;

#[test]
fn all_three_forms_say_the_same() {
    let list = read(&format!("[{{{ROW},\"faiss_index\":7}}]"));
    let row = &list.rows[0];
    assert_eq!(row.id(), "1:2");
    assert_eq!((row.faiss_index, row.row), (7, 1));
    assert_eq!(row.text, "Вопрос");
    assert_eq!(row.embedding_model.as_deref(), Some("m"));
    assert_eq!(row.created_at(), Some("2025-12-21T10:30:00"));
    assert_eq!(row.chunk_length(), Some(6));
    assert_eq!(row.metadata.len(), 2);
    let keyed = read(&format!("{{\"7\":{{{ROW}}}}}"));
    assert_eq!(keyed, list);
    let without_model = ROW.replace("\"embedding_model\":\"m\",", "");
    let object = read(&format!(
        "{{\"version\":1,\"chunks\":[{{{without_model},\"faiss_index\":7}}],\"embedding_model\":\"m\",\"dimension\":384,\"metric\":\"l2\"}}"
    ));
    assert_eq!(object.rows, list.rows);
    assert_eq!(
        (object.dimension, object.metric.as_deref()),
        (Some(384), Some("l2"))
    );
    assert_eq!(object.models().into_iter().collect::<Vec<_>>(), ["m"]);
}

#[test]
fn only_three_fields_are_needed() {
    let found = read(r#"[{"document_id":"a","text":"","faiss_index":0,"chunk_index":null}]"#);
    assert_eq!(found.rows[0].id(), "a:0");
    assert_eq!(found.rows[0].embedding_model, None);
    assert_eq!(read("[]"), Metadata::default());
    assert_eq!(read("\u{feff}[]"), Metadata::default());
    assert_eq!(read("{}"), Metadata::default());
}

#[test]
fn a_faulty_row_is_named_and_the_others_stand() {
    let cases = [
        ("7", "the row is no object"),
        (
            r#"{"text":"t","faiss_index":0}"#,
            "the row has no `document_id`",
        ),
        (
            r#"{"document_id":1.5}"#,
            "`document_id` is neither a text nor a whole number",
        ),
        (r#"{"document_id":""}"#, "`document_id` is empty"),
        (
            r#"{"document_id":1,"chunk_index":-1}"#,
            "`chunk_index` is no whole number from 0 to 4294967295",
        ),
        (
            r#"{"document_id":1,"faiss_index":"0"}"#,
            "`faiss_index` is no whole number",
        ),
        (
            r#"{"document_id":1,"text":"t"}"#,
            "the row has no `faiss_index`",
        ),
        (
            r#"{"document_id":1,"faiss_index":0}"#,
            "the row has no `text`",
        ),
        (
            r#"{"document_id":1,"faiss_index":0,"text":[]}"#,
            "`text` is no text",
        ),
        (
            r#"{"document_id":1,"faiss_index":0,"text":"t","embedding_model":5}"#,
            "`embedding_model` is no text",
        ),
    ];
    for (row, expected) in cases {
        assert_eq!(reason(row), expected, "{row}");
    }
    let found = read(
        r#"[{"document_id":1,"text":"t","faiss_index":0},{"document_id":2,"faiss_index":1},{"document_id":3,"text":"t","faiss_index":2}]"#,
    );
    assert_eq!(found.rows.len(), 2);
    let fault = &found.faults[0];
    assert_eq!(
        (fault.row, fault.id.as_deref(), fault.faiss_index),
        (2, Some("2:0"), Some(1))
    );
}

#[test]
fn a_row_under_another_place_is_left_out() {
    let found = read(r#"{"3":{"document_id":1,"text":"t","faiss_index":4}}"#);
    assert_eq!(
        found.faults[0].reason,
        "the row stands under 3, and its `faiss_index` is 4"
    );
}

#[test]
fn rows_of_one_chunk_are_all_left_out() {
    let found = read(
        r#"[{"document_id":1,"text":"a","faiss_index":0},{"document_id":2,"text":"b","faiss_index":0},
            {"document_id":"1","text":"c","faiss_index":1},{"document_id":"1","chunk_index":0,"text":"d","faiss_index":2}]"#,
    );
    assert_eq!(found.rows.len(), 1);
    assert_eq!(found.rows[0].document_id, "2");
    let faults = found
        .faults
        .iter()
        .map(|fault| (fault.row, fault.reason.as_str()))
        .collect::<Vec<_>>();
    let expected = [
        (1, "row 3 is of the same chunk of the same document"),
        (3, "row 1 is of the same chunk of the same document"),
        (4, "row 1 is of the same chunk of the same document"),
    ];
    assert_eq!(faults, expected);
}

#[test]
fn what_is_none_of_the_three_forms_is_refused() {
    for text in ["7", "\"rows\"", "null", "true"] {
        let (kind, message) = refused(text);
        assert_eq!(kind, MetadataErrorKind::Form);
        assert!(message.contains("a list of rows"), "{message}");
    }
    for (text, expected) in [
        (r#"{"chunks":{}}"#, "a list of rows"),
        (r#"{"chunks":[],"chunks":[]}"#, "`chunks` stands twice"),
        (r#"{"chunks":[],"0":{}}"#, "under `chunks` and under places"),
        (r#"{"dimension":"384"}"#, "`dimension` is no whole number"),
        (r#"{"embedding_model":[]}"#, "`embedding_model` is no text"),
    ] {
        let (kind, message) = refused(text);
        assert_eq!(kind, MetadataErrorKind::Form, "{text}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_file_that_ends_too_early_names_the_row() {
    let whole = format!("[{{{ROW},\"faiss_index\":7}},{{{ROW},\"faiss_index\":8}}]");
    for length in 0..whole.len() {
        let cut = &whole.as_bytes()[..length];
        let error = parse(cut, Limits::default()).unwrap_err();
        assert_eq!(error.kind(), MetadataErrorKind::Damaged, "{length} bytes");
    }
    let (_, message) = refused(&whole[..whole.len() - 5]);
    assert!(message.contains("after row 2"), "{message}");
    let (_, message) = refused(&format!("{whole} x"));
    assert!(message.contains("trailing characters"), "{message}");
}

#[test]
fn limits_end_the_reading() {
    let limits = Limits {
        rows: 3,
        row_bytes: 1 << 10,
        memory_bytes: 2 << 10,
    };
    let message = |text: &str| {
        let error = parse(text.as_bytes(), limits).unwrap_err();
        assert_eq!(error.kind(), MetadataErrorKind::TooLarge);
        error.to_string()
    };
    let row = |length: usize| {
        format!(
            r#"{{"document_id":1,"faiss_index":0,"text":"{}"}}"#,
            "x".repeat(length)
        )
    };
    assert_eq!(
        message(&format!("[{}]", ["1"; 4].join(","))),
        "more than 3 rows"
    );
    assert_eq!(
        message(&format!("[{},{}]", row(100), row(1100))),
        "row 2, or what follows it, is longer than 1 KiB"
    );
    assert_eq!(
        message(&format!("{{\"0\":{}}}", row(1100))),
        "row 1, or what follows it, is longer than 1 KiB"
    );
    let filled = format!("[{}]", [row(900), row(900), row(900)].join(","));
    assert_eq!(message(&filled), "the rows take more than 0 MiB");
    let unknown = format!("{{\"note\":\"{}\"}}", "x".repeat(1100));
    assert_eq!(
        message(&unknown),
        "what stands before the first row is longer than 1 KiB"
    );
}

#[test]
fn a_row_nested_without_end_is_refused() {
    let deep = format!("[{}", "[".repeat(10_000));
    let (kind, message) = refused(&deep);
    assert_eq!(kind, MetadataErrorKind::Damaged);
    assert!(message.contains("recursion limit"), "{message}");
}
