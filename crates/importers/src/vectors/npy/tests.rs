use super::*;

fn file(version: u8, literal: &str) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend(u16::try_from(literal.len()).unwrap().to_le_bytes()),
        _ => bytes.extend(u32::try_from(literal.len()).unwrap().to_le_bytes()),
    }
    bytes.extend(literal.as_bytes());
    bytes
}

fn refused(literal: &str) -> String {
    match header(&mut file(1, literal).as_slice()) {
        Err(Refusal::Damaged(message) | Refusal::Unsupported(message)) => message,
        other => panic!("{literal}: {other:?}"),
    }
}

#[test]
fn what_numpy_writes_is_read() {
    let literal = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }          \n";
    let expected = Header {
        numbers: Numbers::F32,
        rows: 3,
        columns: 4,
        offset: 10 + literal.len() as u64,
    };
    let found = header(&mut file(1, literal).as_slice()).unwrap();
    assert_eq!(found, expected);
    for version in [2, 3] {
        let found = header(&mut file(version, literal).as_slice()).unwrap();
        assert_eq!(found.offset, 12 + literal.len() as u64);
    }
    let other = "{\"shape\":(3L,4L),\"fortran_order\":False,\"descr\":\"<f8\"}";
    let found = header(&mut file(1, other).as_slice()).unwrap();
    assert_eq!(
        (found.numbers, found.rows, found.columns),
        (Numbers::F64, 3, 4)
    );
}

#[test]
fn the_order_of_one_row_or_column_means_nothing() {
    let literal = "{'descr': '<f2', 'fortran_order': True, 'shape': (1, 4), }";
    assert!(header(&mut file(1, literal).as_slice()).is_ok());
}

#[test]
fn refusals_say_what_to_save_instead() {
    let cases = [
        (
            "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
            "np.stack",
        ),
        (
            "{'descr': '>f4', 'fortran_order': False, 'shape': (3, 4), }",
            "astype(\"<f4\")",
        ),
        (
            "{'descr': '<i8', 'fortran_order': False, 'shape': (3, 4), }",
            "`<i8`",
        ),
        (
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }",
            "records",
        ),
        (
            "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }",
            "ascontiguousarray",
        ),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (12,), }",
            "reshape",
        ),
    ];
    for (literal, advice) in cases {
        let message = refused(literal);
        assert!(message.contains(advice), "{message}");
    }
}

#[test]
fn what_numpy_does_not_write_is_refused() {
    for literal in [
        "",
        "{",
        "{}",
        "{'descr': '<f4'}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } import os",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, -4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 4), }",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (3, 4), }",
        "{'descr': <f4, 'fortran_order': False, 'shape': (3, 4), }",
        "{'é': 1}",
    ] {
        assert!(refused(literal).contains("numpy"), "{literal}");
    }
    let cut = &file(
        1,
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }",
    )[..30];
    assert!(matches!(header(&mut &*cut), Err(Refusal::Damaged(_))));
    let long = [&MAGIC[..], &[2, 0], &u32::MAX.to_le_bytes()].concat();
    assert!(matches!(
        header(&mut long.as_slice()),
        Err(Refusal::Damaged(_))
    ));
}
