use super::*;

fn read(line: &str) -> Result<Item, String> {
    let mut item = Item::default();
    parse(line.as_bytes(), true, &mut item).map(|()| item)
}

#[test]
fn keys_of_other_tools_are_known() {
    for key in ["text", "document", "page_content"] {
        let item = read(&format!(r#"{{"id":"a","{key}":"Вопрос","x":1.5}}"#)).unwrap();
        assert_eq!(item.text.as_deref(), Some("Вопрос"));
        assert_eq!(item.metadata["x"], MetadataValue::F64(1.5));
    }
    for key in ["embedding", "vector", "values"] {
        let item = read(&format!(r#"{{"id":17,"{key}":[0.1,-2]}}"#)).unwrap();
        assert_eq!(item.vector.unwrap().1, [0.1, -2.0]);
        assert_eq!(item.id.as_deref(), Some("17"));
        assert_eq!(item.text, None);
    }
}

/// Halfway between two singles: rounded by way of a double it would come out as the lower one.
#[test]
fn numbers_are_rounded_once() {
    let item = read(r#"{"id":"a","embedding":[1.00000005960464477540]}"#).unwrap();
    assert_eq!(item.vector.unwrap().1, [1.000_000_1]);
}

#[test]
fn faults_name_what_is_wrong() {
    let cases = [
        ("", "the line is empty"),
        ("[1]", "expected a JSON object"),
        ("{\"id\":\"a\"", "the line is no JSON object: EOF"),
        (r#"{"id":"a"} x"#, "trailing characters at column 12"),
        (r#"{"id":1.5}"#, "`id` is neither a text nor a whole number"),
        (r#"{"id":"a","id":"b"}"#, "`id` stands twice in the line"),
        (
            r#"{"text":"a","document":"b"}"#,
            "`text` and `document` stand in one line",
        ),
        (
            r#"{"vector":[1],"values":[1]}"#,
            "`vector` and `values` stand in one line",
        ),
        (r#"{"text":7}"#, "`text` is no text"),
        (r#"{"metadata":[]}"#, "`metadata` is no object"),
        (
            r#"{"x":1,"metadata":{"x":2}}"#,
            "the key \"x\" stands twice in the line, with two values",
        ),
        (
            r#"{"embedding":[1,"2"]}"#,
            "`embedding` is no list of numbers",
        ),
        (r#"{"embedding":[1e999]}"#, "number out of range"),
    ];
    for (line, expected) in cases {
        let problem = read(line).unwrap_err();
        assert!(problem.contains(expected), "{line}: {problem}");
        assert!(!problem.contains("line 1"), "{line}: {problem}");
    }
    let mut item = Item::default();
    assert!(parse(b"{\"id\":\"\xff\"}", true, &mut item).is_err());
}

#[test]
fn the_id_of_a_faulty_line_is_known() {
    let mut item = Item::default();
    parse(br#"{"id":"a","text":7}"#, true, &mut item).unwrap_err();
    assert_eq!(item.id.as_deref(), Some("a"));
}

#[test]
fn lines_are_counted_up_to_the_last_that_is_not_blank() {
    let cases: &[(&[u8], u64)] = &[
        (b"", 0),
        (b"\n\n \n", 0),
        (b"a", 1),
        (b"a\n", 1),
        (b"a\r\n\r\nb\r\n\r\n \n", 3),
    ];
    for (bytes, lines) in cases {
        assert_eq!(count(&mut &**bytes).unwrap(), *lines);
        for capacity in 1..5 {
            let mut reader = io::BufReader::with_capacity(capacity, *bytes);
            assert_eq!(count(&mut reader).unwrap(), *lines);
        }
    }
}

#[test]
fn a_line_may_be_as_long_as_a_record() {
    for (end, length, expected) in [
        ("\n", LONGEST_LINE, Read::Line),
        ("\r\n", LONGEST_LINE, Read::Line),
        ("", LONGEST_LINE, Read::Line),
        ("\n", LONGEST_LINE + 1, Read::TooLong),
        ("\r\n", LONGEST_LINE + 1, Read::TooLong),
        ("", LONGEST_LINE + 1, Read::TooLong),
        ("\n", 3 * LONGEST_LINE, Read::TooLong),
    ] {
        let next: &[u8] = if end.is_empty() { b"" } else { b"{}" };
        let bytes = [&vec![b'x'; length], end.as_bytes(), next].concat();
        let (mut reader, mut buffer) = (bytes.as_slice(), Vec::new());
        assert_eq!(line(&mut reader, &mut buffer).unwrap(), expected);
        if !end.is_empty() {
            assert_eq!(line(&mut reader, &mut buffer).unwrap(), Read::Line);
            assert_eq!(buffer, b"{}");
        }
    }
}
