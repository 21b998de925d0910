//! Tables of text.

use super::{Range, case};

#[test]
fn tables_beyond_all_measure_are_refused() {
    let open = || format!("question,answer\nq,\"{}", "x\n".repeat(30 << 20));
    let mib = "x".repeat(1 << 20);
    let header = format!(
        "question,{}\n{}",
        "h".repeat(500_000),
        "q,1\n".repeat(2_000)
    );
    Range::new().refuses_all(vec![
        case(
            "open-quote.csv",
            open(),
            &["row 2 (line 2) is longer than 1 MiB; is a quote missing there"],
        ),
        case(
            "open-quote-100.csv",
            open().repeat(2),
            &["larger than 64 MiB"],
        ),
        case(
            "field.csv",
            format!("question,answer\nq,{mib}\n"),
            &["row 2 (line 2) is longer than 1 MiB"],
        ),
        case(
            "columns.csv",
            format!("question{}\nq\n", ",h".repeat(100_000)),
            &["past column 16384"],
        ),
        case(
            "columns-257.csv",
            format!("question{}\nq\n", ",h".repeat(257)),
            &["more than 256 columns in use"],
        ),
        case("header.csv", header, &["more than 208 MiB of memory"]),
        case(
            "rows.csv",
            format!("question\n{}", "q\n".repeat(1_100_000)),
            &["more than 208 MiB of memory"],
        ),
        case("nul.csv", vec![0; 1 << 20], &["no text"]),
        case(
            "short-quote.csv",
            "question,answer\nq,\"never closed\n",
            &["the quote opened in row 2 (line 2) is never closed"],
        ),
    ]);
}

#[test]
fn rows_that_do_not_decode_are_left_out_alone() {
    let range = Range::new();
    let utf8 = "вопрос,ответ\n".repeat(10) + "вопрос про вклад,ответ\n";
    let mixed = [utf8.as_bytes(), b"\xea\xf0\xe5\xe4\xe8\xf2,\xe4\xe0\n"].concat();
    let mut odd = b"\xff\xfe".to_vec();
    odd.extend(
        "question,answer\nq,a\nr,b"
            .encode_utf16()
            .flat_map(u16::to_le_bytes),
    );
    odd.push(0x41);
    let mut pairs = b"\xff\xfe".to_vec();
    pairs.extend(
        "question,answer\nq,a\nr,"
            .encode_utf16()
            .flat_map(u16::to_le_bytes),
    );
    pairs.extend([0x00, 0xd8, b'\n', 0]);
    for (file, bytes, says) in [
        (
            "nul.csv",
            b"question,answer\nq,a\nr,b\0c\n".to_vec(),
            &["row 3", "NUL"][..],
        ),
        (
            "mixed.csv",
            mixed,
            &["row 12", "not valid in the file's encoding"],
        ),
        (
            "odd.csv",
            odd,
            &["row 3", "not valid in the file's encoding"],
        ),
        (
            "pairs.csv",
            pairs,
            &["row 3", "not valid in the file's encoding"],
        ),
        (
            "wide.csv",
            b"question,answer\nq,a\nr,b,c,d\n".to_vec(),
            &["row 3", "has 4 fields"],
        ),
        // A second mark is a character that nobody sees, and is taken off.
        (
            "marks.csv",
            "\u{feff}\u{feff}question,answer\n\u{feff}q,a\n".into(),
            &[],
        ),
    ] {
        range.takes(case(file, bytes, says));
    }
}
