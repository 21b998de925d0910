//! JSON lines and arrays.

use super::{Range, case};

const GOOD: &str = "{\"question\":\"q\",\"answer\":\"a\"}\n";

#[test]
fn records_beyond_all_measure_are_refused() {
    let variants = vec!["\"v\""; 200_000].join(",");
    let wordings = format!(
        "{{\"id\":\"a\",\"question\":\"q\",\"answer\":\"{}\",\"variants\":[{variants}]}}\n",
        "a".repeat(30_000)
    );
    let keys = (0..300).map(|number| format!("{{\"question\":\"q\",\"k{number}\":1}}\n"));
    let numbers = format!("{{\"question\":\"q\",\"n\":[{}1]}}\n", "1,".repeat(200_000));
    Range::new().refuses_all(vec![
        case(
            "depth.jsonl",
            "{\"a\":".repeat(200_000),
            &["not one line is a JSON object"],
        ),
        case(
            "depth.json",
            format!("[{}", "[".repeat(20 << 20)),
            &["never closed"],
        ),
        case("wordings.jsonl", wordings, &["more than 208 MiB of memory"]),
        case(
            "numbers.jsonl",
            numbers.repeat(40),
            &["more than 208 MiB of memory"],
        ),
        case(
            "keys.jsonl",
            keys.collect::<String>(),
            &["more than 256 different keys"],
        ),
        case(
            "broken.jsonl",
            "{\n".repeat(1_100_000),
            &["more than 208 MiB of memory"],
        ),
        case("open.json", "[{\"question\":\"q\"},", &["never closed"]),
        case("wide.jsonl", b"\xff\xfe{\0\"\0", &["UTF-16"]),
        case("large.jsonl", GOOD.repeat(3 << 20), &["larger than 64 MiB"]),
    ]);
}

#[test]
fn single_records_are_left_out_with_a_reason() {
    let range = Range::new();
    let inner = (0..20_000).map(|number| format!("\"{number}\":1"));
    let nested = format!(
        "{{\"question\":\"x\",\"{}\":{{{}}}}}",
        "k".repeat(500_000),
        inner.collect::<Vec<_>>().join(",")
    );
    let long = format!("{{\"question\":\"{}\"}}", "x".repeat(1 << 20));
    let deep = format!(
        "{{\"question\":{}1{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    for (line, says) in [
        (
            nested.as_str(),
            "the keys of the record take more than 1 MiB",
        ),
        (&long, "the record is longer than 1 MiB"),
        (&deep, "recursion limit exceeded"),
        ("{\"question\":\"\\ud800\"}", "the record is no JSON"),
        ("{\"question\":\"q\",\"n\":NaN}", "the record is no JSON"),
        ("{\"question\":\"q\",\"n\":1e999}", "number out of range"),
        ("{\"question\":\"a\\u0000b\"}", "the character NUL"),
        (
            "{\"question\":[[{\"a\":1}]]}",
            "a list of objects is no text",
        ),
        ("[1,2]", "the record is no JSON object"),
    ] {
        let case = case("faq.jsonl", format!("{GOOD}{line}\n"), &[]);
        let source = range.put(case.file, &case.bytes);
        let run = range.run(&["sync", "--dry-run", "--force", "--faq-path", &source]);
        let run = run.expect(3).says(&["row 2", says]);
        range.untouched(&run.command);
    }
    // The last of two equal keys counts, as everywhere; a number beyond 64 bits is a real one.
    let odd = "{\"question\":\"x\",\"question\":\"y\",\"n\":123456789012345678901234567890}\n";
    range.takes(case("odd.jsonl", odd, &[]));
}
