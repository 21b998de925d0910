use super::*;

const CLASSES: &[(&str, &str)] = &[("some.module", "Thing")];

fn read_it(bytes: &[u8]) -> Result<Pickle<'_>, PickleError> {
    read(bytes, CLASSES, Limits::for_length(bytes.len() as u64))
}

fn why(bytes: &[u8]) -> String {
    read_it(bytes).unwrap_err().to_string()
}

#[test]
fn plain_values_come_with_their_types() {
    // {"a": [None, True, False, -1, 2**40, 1.5], "b": ("é", b"\0", 2**70)}, protocol 4.
    let bytes = b"\x80\x04}(\x8c\x01a](N\x88\x89J\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01G\x3f\xf8\0\0\0\0\0\0e\
                  \x8c\x01b\x8c\x02\xc3\xa9C\x01\0\x8a\x09\0\0\0\0\0\0\0\0\x40\x87u.";
    let pickle = read_it(bytes).unwrap();
    let list: Vec<_> = pickle
        .root()
        .get("a")
        .unwrap()
        .items()
        .unwrap()
        .map(Node::value)
        .collect();
    assert_eq!(
        list,
        [
            Value::None,
            Value::Bool(true),
            Value::Bool(false),
            Value::Int(-1),
            Value::Int(1 << 40),
            Value::Float(1.5)
        ]
    );
    let tuple: Vec<_> = pickle
        .root()
        .get("b")
        .unwrap()
        .items()
        .unwrap()
        .map(Node::value)
        .collect();
    assert_eq!(
        tuple,
        [
            Value::Text("é"),
            Value::Bytes(b"\0"),
            Value::Big(b"\0\0\0\0\0\0\0\0\x40")
        ]
    );
}

#[test]
fn an_instance_is_its_class_its_arguments_and_its_state() {
    let bytes = b"\x80\x04\x8c\x0bsome.module\x8c\x05Thing\x93)\x81}\x8c\x01kK\x07sb.";
    let pickle = read_it(bytes).unwrap();
    assert_eq!(pickle.root().class(), Some(("some.module", "Thing")));
    assert_eq!(pickle.root().arguments().unwrap().items().unwrap().len(), 0);
    assert_eq!(
        pickle.root().state().unwrap().get("k").unwrap().int(),
        Some(7)
    );
    // The older spelling, and a call: both are data.
    let bytes = b"\x80\x02csome.module\nThing\nK\x01\x85R.";
    let pickle = read_it(bytes).unwrap();
    assert_eq!(
        pickle
            .root()
            .arguments()
            .unwrap()
            .items()
            .unwrap()
            .next()
            .unwrap()
            .int(),
        Some(1)
    );
}

#[test]
fn shared_parts_stay_shared_and_are_filled_later() {
    // x = []; [x, x]; x.append(1) after it was kept.
    let bytes = b"\x80\x04](]\x94K\x01ah\x00e.";
    let pickle = read_it(bytes).unwrap();
    for item in pickle.root().items().unwrap() {
        assert_eq!(item.items().unwrap().next().unwrap().int(), Some(1));
    }
}

#[test]
fn half_of_a_surrogate_pair_is_told_from_text() {
    let pickle = read_it(b"\x80\x04\x8c\x03\xed\xa0\x80.").unwrap();
    assert_eq!(pickle.root().value(), Value::NotText(b"\xed\xa0\x80"));
}

#[test]
fn calls_are_refused_by_name() {
    for (bytes, name) in [
        (
            &b"\x80\x02cos\nsystem\nX\x02\0\0\0id\x85R."[..],
            "os.system",
        ),
        (
            b"\x80\x04\x8c\x02nt\x8c\x06system\x93\x8c\x02id\x85R.",
            "nt.system",
        ),
        (b"\x80\x02(X\x02\0\0\0idios\nsystem\n.", "os.system"),
        (b"\x80\x04)\x8c\x01x\x93.", "no text"),
        (b"\x80\x02K\x01K\x02\x85R.", "no class"),
        (b"\x80\x02csome.module\nThing\n}b.", "no instance"),
        (b"\x80\x04csome.module\nThing\n)}\x92.", "NEWOBJ_EX"),
        (b"\x80\x02(csome.module\nThing\no.", "OBJ"),
        (b"\x80\x02\x82\x01.", "EXT"),
        (b"\x80\x02K\x01Q.", "PERSID"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        // What hangs on a listed class is not listed.
        (
            b"\x80\x04\x8c\x0bsome.module\x8c\x14Thing.__init__.__glo\x93.",
            "Thing.__init__",
        ),
    ] {
        let error = read_it(bytes).unwrap_err();
        assert!(matches!(error.reason, Reason::Refused(_)), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn lists_of_shared_lists_do_not_unfold_to_more_than_any_memory() {
    // A billion laughs: each list holds the one before ten times.
    let mut bytes = b"\x80\x04](K\x01K\x02e\x94".to_vec();
    for level in 0..40_u8 {
        bytes.extend(b"](");
        for _ in 0..10 {
            bytes.extend([b'h', level]);
        }
        bytes.extend(b"e\x94");
    }
    // All but the last are still on the stack: gather them.
    bytes.splice(2..2, *b"(");
    bytes.extend(b"t.");
    assert!(why(&bytes).contains("unfold to too much"));
    // One long text, many times.
    let mut bytes = b"\x80\x04](\x8d".to_vec();
    bytes.extend(100_000_u64.to_le_bytes());
    bytes.extend([b'x'; 100_000]);
    bytes.push(0x94);
    for _ in 0..100_000 {
        bytes.extend(b"h\0");
    }
    bytes.extend(b"e.");
    assert!(why(&bytes).contains("unfold to too much"));
}

#[test]
fn nesting_costs_no_stack_of_ours() {
    let mut deep = b"\x80\x04".to_vec();
    deep.extend([b']'; 200_000]);
    deep.extend([b'a'; 199_999]);
    deep.push(b'.');
    assert!(why(&deep).contains("nests too deep"));
    let mut tuples = b"\x80\x04N".to_vec();
    tuples.extend([0x85; 200_000]);
    tuples.push(b'.');
    assert!(why(&tuples).contains("nests too deep"));
    assert!(why(b"\x80\x04]\x94h\0a.").contains("holds itself"));
}

#[test]
fn a_far_place_in_the_memory_of_a_pickle_is_not_made() {
    assert!(why(b"\x80\x02Nr\xff\xff\xff\xff.").contains("too much memory"));
}

#[test]
fn every_cut_and_every_changed_byte_ends_in_an_answer() {
    let whole = b"\x80\x04\x95\x24\0\0\0\0\0\0\0\x8c\x0bsome.module\x94\x8c\x05Thing\x94\x93)\x81\x94}(\x8c\x01kK\x07\
                  \x8c\x01lh\x01ub.";
    assert!(read_it(whole).is_ok(), "{:?}", read_it(whole));
    for end in 0..whole.len() {
        assert!(read_it(&whole[..end]).is_err(), "cut at {end}");
    }
    for position in 0..whole.len() {
        for byte in 0..=255 {
            let mut changed = whole.to_vec();
            changed[position] = byte;
            let _ = read_it(&changed);
        }
    }
}

#[test]
fn what_is_no_pickle_says_so() {
    assert!(why(b"").contains("ends too early"));
    assert!(why(b"(dp0\n.").contains("does not begin"));
    assert!(why(b"\x80\x06N.").contains("protocol"));
    assert!(why(b"\x80\x04N.N").contains("bytes follow"));
    assert!(why(b"\x80\x04NN.").contains("left over"));
}
