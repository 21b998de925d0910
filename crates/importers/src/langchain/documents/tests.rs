use super::*;

/// Writes a pickle of protocol 4, one value at a time.
fn text(value: &str) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap();
    [b"X", &length.to_le_bytes()[..], value.as_bytes()].concat()
}

fn int(value: i32) -> Vec<u8> {
    [b"J", &value.to_le_bytes()[..]].concat()
}

fn bytes(value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    [&[b'C', length][..], value].concat()
}

fn dict(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut written = b"}(".to_vec();
    for (key, value) in entries {
        written.extend_from_slice(key);
        written.extend_from_slice(value);
    }
    written.push(b'u');
    written
}

fn class(module: &str, name: &str) -> Vec<u8> {
    [text(module), text(name), vec![0x93]].concat()
}

/// `NEWOBJ` without arguments, then `BUILD`.
fn instance(module: &str, name: &str, state: &[u8]) -> Vec<u8> {
    [&class(module, name)[..], b")\x81", state, b"b"].concat()
}

/// `REDUCE`: what Python would call.
fn call(module: &str, name: &str, arguments: &[Vec<u8>]) -> Vec<u8> {
    let tuple = [b")", b"\x85", b"\x86", b"\x87"][arguments.len()];
    [&class(module, name)[..], &arguments.concat(), tuple, b"R"].concat()
}

fn document_of(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let state = dict(&[(text("__dict__"), dict(fields))]);
    instance("langchain_core.documents.base", "Document", &state)
}

fn document_with(metadata: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    document_of(&[
        (text("page_content"), text("Вопрос")),
        (text("metadata"), dict(metadata)),
    ])
}

fn pair(docstore: &[u8], map: &[u8]) -> Vec<u8> {
    [b"\x80\x04", docstore, map, b"\x86."].concat()
}

fn folder_of(documents: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let state = dict(&[(text("_dict"), dict(documents))]);
    let docstore = instance(
        "langchain_community.docstore.in_memory",
        "InMemoryDocstore",
        &state,
    );
    pair(&docstore, &dict(&[(int(0), text("a"))]))
}

fn one(document: Vec<u8>) -> Result<Document, String> {
    let mut folder = read(&folder_of(&[(text("a"), document)])).unwrap();
    folder.documents.remove("a").unwrap()
}

#[test]
fn the_state_may_stand_without_its_dict() {
    let state = dict(&[
        (text("page_content"), text("t")),
        (text("metadata"), b"N".to_vec()),
    ]);
    for module in [
        "langchain.schema",
        "langchain.schema.document",
        "langchain.docstore.document",
    ] {
        let found = one(instance(module, "Document", &state)).unwrap();
        assert_eq!(found.text, "t");
        assert!(found.metadata.is_empty());
    }
}

#[test]
fn times_become_texts_and_nothing_is_called() {
    let zone = |seconds: i32, days: i32| {
        let delta = call("datetime", "timedelta", &[int(days), int(seconds), int(0)]);
        call("datetime", "timezone", &[delta])
    };
    let stamp = |micros: [u8; 3]| bytes(&[&[7, 0xe9, 12, 21, 10, 30, 0][..], &micros].concat());
    let found = one(document_with(&[
        (
            text("day"),
            call("datetime", "date", &[bytes(&[7, 0xe9, 1, 2])]),
        ),
        (
            text("naive"),
            call("datetime", "datetime", &[stamp([0; 3])]),
        ),
        (
            text("utc"),
            call("datetime", "datetime", &[stamp([0; 3]), zone(0, 0)]),
        ),
        (
            text("west"),
            call(
                "datetime",
                "datetime",
                &[stamp([1, 0xe2, 0x40]), zone(73_800, -1)],
            ),
        ),
        (text("source"), text("faq.md")),
    ]))
    .unwrap();
    let text = |text: &str| MetadataValue::String(text.to_owned());
    assert_eq!(found.metadata["day"], text("2025-01-02"));
    assert_eq!(found.metadata["naive"], text("2025-12-21T10:30:00"));
    assert_eq!(found.metadata["utc"], text("2025-12-21T10:30:00+00:00"));
    assert_eq!(
        found.metadata["west"],
        text("2025-12-21T10:30:00.123456-03:30")
    );
    assert_eq!(found.metadata["source"], text("faq.md"));
}

#[test]
fn values_without_a_place_are_left_out_with_a_note() {
    let odd = [
        (text("raw"), bytes(b"\0")),
        (
            text("delta"),
            call("datetime", "timedelta", &[int(1), int(0), int(0)]),
        ),
        (text("nothing"), b"N".to_vec()),
        (text("kept"), int(1)),
    ];
    let folder = read(&folder_of(&[
        (text("a"), document_with(&odd)),
        (text("b"), document_with(&odd)),
    ]))
    .unwrap();
    let document = folder.documents["a"].as_ref().unwrap();
    assert_eq!(document.metadata.len(), 1);
    assert_eq!(document.metadata["kept"], MetadataValue::I64(1));
    let expected = [
        "2 values under the key \"raw\" of the metadata are bytes and are left out",
        "2 values under the key \"delta\" of the metadata are objects of a class and are left out",
        "2 values of the metadata are None and are left out",
    ];
    assert_eq!(folder.notes, expected);
}

#[test]
fn numbers_keep_their_types() {
    let big = [&[0x8a, 9][..], &[0, 0, 0, 0, 0, 0, 0, 0, 0x40]].concat();
    let negative = [&[0x8a, 9][..], &[0, 0, 0, 0, 0, 0, 0, 0, 0xc0]].concat();
    let float = |number: f64| [b"G", &number.to_be_bytes()[..]].concat();
    let found = one(document_with(&[
        (text("big"), big),
        (text("negative"), negative),
        (text("float"), float(3.0)),
        (text("nan"), float(f64::NAN)),
        (text("yes"), vec![0x88]),
        (int(7), int(-7)),
    ]))
    .unwrap();
    let text = |text: &str| MetadataValue::String(text.to_owned());
    assert_eq!(found.metadata["big"], text("1180591620717411303424"));
    assert_eq!(found.metadata["negative"], text("-1180591620717411303424"));
    assert_eq!(found.metadata["float"], MetadataValue::F64(3.0));
    assert_eq!(found.metadata["nan"], text("NaN"));
    assert_eq!(found.metadata["yes"], MetadataValue::Bool(true));
    assert_eq!(found.metadata["7"], MetadataValue::I64(-7));
}

#[test]
fn a_document_that_cannot_be_read_leaves_the_others() {
    let cases = [
        (int(5), "its entry in the docstore is no document"),
        (document_of(&[]), "its document has no `page_content`"),
        (
            document_of(&[(text("page_content"), int(5))]),
            "its document has no `page_content`",
        ),
        (
            document_of(&[
                (text("page_content"), text("t")),
                (text("metadata"), int(5)),
            ]),
            "its metadata is no dict",
        ),
        (
            instance("langchain.schema", "Document", &int(5)),
            "its document has no fields",
        ),
    ];
    for (document, expected) in cases {
        assert_eq!(one(document).unwrap_err(), expected);
    }
}

#[test]
fn a_pickle_that_asks_for_a_call_is_refused_by_name() {
    for (module, name) in [
        ("os", "system"),
        ("builtins", "eval"),
        ("langchain.schema", "AIMessage"),
    ] {
        let document = call(module, name, &[text("touch owned")]);
        let pickle = folder_of(&[(text("a"), document)]);
        let Err(Refusal::Unsupported(message)) = read(&pickle) else {
            panic!("{module}.{name} is taken");
        };
        assert!(
            message.contains(module) && message.contains(name),
            "{message}"
        );
        assert!(message.contains("import vectors"), "{message}");
    }
}

#[test]
fn what_is_no_folder_is_refused() {
    let docstore =
        |state: &[u8]| instance("langchain.docstore.in_memory", "InMemoryDocstore", state);
    let empty = docstore(&dict(&[(text("_dict"), dict(&[]))]));
    let cases = [
        (
            [b"\x80\x04".as_slice(), &int(5), b"."].concat(),
            "it is no pair",
        ),
        (pair(&int(5), &dict(&[])), "its first part is no docstore"),
        (
            pair(&docstore(&dict(&[])), &dict(&[])),
            "no dict of documents",
        ),
        (pair(&empty, &int(5)), "no map of positions"),
        (
            pair(&empty, &dict(&[(text("0"), text("a"))])),
            "not from numbers to texts",
        ),
        (
            pair(&empty, &dict(&[(int(-1), text("a"))])),
            "a position below 0",
        ),
        (
            pair(
                &docstore(&dict(&[(text("_dict"), dict(&[(int(1), int(1))]))])),
                &dict(&[]),
            ),
            "an id of its docstore is no text",
        ),
    ];
    for (pickle, expected) in cases {
        match read(&pickle) {
            Err(Refusal::Unsupported(message)) => assert!(message.contains(expected), "{message}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
    assert!(matches!(read(b""), Err(Refusal::Damaged(_))));
}

/// Every document with the same list of a thousand lists: a small file that would fill the memory when it is walked.
#[test]
fn a_list_that_is_used_a_thousand_times_is_refused() {
    let shared = [b"](", &int(7).repeat(1_000)[..], b"e\x94"].concat();
    let mut documents = vec![(text("a"), document_with(&[(text("k"), shared)]))];
    for number in 0..2_000 {
        let again = document_with(&[(text("k"), b"h\0".to_vec())]);
        documents.push((text(&number.to_string()), again));
    }
    let pickle = folder_of(&documents);
    assert!(pickle.len() < 1 << 20);
    let Err(Refusal::TooLarge(message)) = read(&pickle) else {
        panic!("it is read");
    };
    assert!(message.contains("80 MiB"), "{message}");
}
