use storage_core::{CollectionName, DocumentKey, Locator, MetadataValue, SourceId};

use super::*;

fn row(source: &str, id: &str, title: &str, body: &str, locator: Locator) -> Document {
    Document {
        key: DocumentKey {
            collection: CollectionName::new("faq").unwrap(),
            document: id.to_owned(),
            chunk: 0,
        },
        source: SourceId::new(source).unwrap(),
        title: title.to_owned(),
        body: body.to_owned(),
        category: None,
        subcategory: None,
        metadata: std::collections::BTreeMap::new(),
        locator,
    }
}

fn at_row(row: u64) -> Locator {
    Locator {
        row: Some(row),
        ..Locator::default()
    }
}

fn data(source: &str, number: u64, body: &str) -> Document {
    let mut document = row(source, &format!("r{number}"), "", body, at_row(number));
    for column in ["year", "indicator", "value"] {
        let value = MetadataValue::String("x".to_owned());
        document.metadata.insert(column.to_owned(), value);
    }
    document
}

fn hit(score: f32, document: Document) -> Hit {
    Hit { score, document }
}

#[track_caller]
fn check(hits: &[Hit], threshold: Option<f32>, answer: &str, failure: Option<&str>) -> Prediction {
    let prediction = predict(hits, threshold);
    assert_eq!(prediction.answer, answer);
    let found = prediction.failure_mode.map(FailureMode::as_str);
    assert_eq!(found, failure);
    assert_eq!(prediction.answer.is_empty(), failure.is_some());
    assert!((0.0..=1.0).contains(&prediction.confidence));
    assert_eq!(prediction.citations.len(), hits.len());
    prediction
}

#[test]
fn a_template_is_the_answer_as_it_is() {
    let template = "Здравствуйте!\nПозвоните по номеру 250.";
    let entry = row("file:faq.xlsx", "q1", "Как позвонить?", template, at_row(2));
    let found = check(&[hit(0.81, entry)], Some(0.6), template, None);
    assert_eq!(found.citations[0].source, "faq.xlsx");
    assert_eq!(found.citations[0].page_or_row, Some(0));
    assert_eq!(
        found.citations[0].snippet,
        "Здравствуйте! Позвоните по номеру 250."
    );
    assert!((found.confidence - 0.81).abs() < 1e-6);

    let bare = row("file:faq.xlsx", "q2", "Часы работы: 9-18", " ", at_row(3));
    check(&[hit(0.7, bare)], None, "Часы работы: 9-18", None);
}

#[test]
fn what_fails_has_a_name_and_no_answer() {
    let entry = || row("file:faq.xlsx", "q1", "Q", "A", at_row(2));
    check(&[], Some(0.6), "", Some("no_match"));
    let low = check(&[hit(0.59, entry())], Some(0.6), "", Some("low_confidence"));
    assert_eq!(low.citations[0].snippet, "A");
    check(&[hit(0.6, entry())], Some(0.6), "A", None);
    check(&[hit(0.1, entry())], None, "A", None);
    let negative = check(&[hit(-0.3, entry())], None, "A", None);
    assert_eq!(negative.confidence.to_bits(), 0.0_f32.to_bits());
    let above = check(&[hit(1.000_001, entry())], Some(0.6), "A", None);
    assert_eq!(above.confidence.to_bits(), 1.0_f32.to_bits());
    for threshold in [None, Some(0.6), Some(-1.0)] {
        check(
            &[hit(f32::NAN, entry())],
            threshold,
            "",
            Some("low_confidence"),
        );
    }
}

#[test]
fn rows_of_a_data_set_are_told_with_their_numbers() {
    let name = "dataset:dosm_dataset.csv";
    let cpi = |number: u64| data(name, number, "year=2023 indicator=CPI value=121.0");
    let one = check(
        &[hit(0.64, cpi(2))],
        Some(0.6),
        "Grounded answer (row 0): year=2023, indicator=CPI, value=121.0",
        None,
    );
    assert_eq!(
        one.citations,
        [Citation {
            source: "dosm_dataset".to_owned(),
            snippet: "year=2023 indicator=CPI value=121.0".to_owned(),
            page_or_row: Some(0),
        }]
    );
    let five: Vec<Hit> = [4, 2, 6, 3, 5].map(|number| hit(0.7, cpi(number))).into();
    check(
        &five,
        Some(0.6),
        "Grounded answer (rows 0–4): year=2023, indicator=CPI, value=121.0",
        None,
    );
    let other = data(name, 9, "year=2022 indicator=GDP, nominal value=1 = 1");
    let mixed = [
        hit(0.9, other),
        hit(0.8, cpi(2)),
        hit(0.7, row("file:faq.xlsx", "q", "Q", "A", at_row(4))),
        hit(0.65, cpi(3)),
        hit(0.3, cpi(4)),
    ];
    check(
        &mixed,
        Some(0.6),
        "Grounded answer (rows 0–1, 7): year=2022, indicator=GDP, nominal, value=1 = 1; \
         year=2023, indicator=CPI, value=121.0",
        None,
    );
}

#[test]
fn places_are_pages_or_rows_of_data() {
    let passage = |id: &str, page| {
        let locator = Locator {
            page,
            span: Some((10, 20)),
            ..Locator::default()
        };
        row("directory:guides", id, "Chapter", "A passage.", locator)
    };
    for (document, source, place) in [
        (passage("guides/faq.pdf", Some(12)), "faq.pdf", Some(12)),
        (passage("notes/readme.md", None), "readme.md", None),
        (passage("17", Some(1)), "guides", Some(1)),
        (
            row("file:faq.jsonl", "a", "Q", "A", at_row(1)),
            "faq.jsonl",
            Some(0),
        ),
        (
            row("file:FAQ.CSV", "a", "Q", "A", at_row(57)),
            "FAQ.CSV",
            Some(55),
        ),
        (
            row("file:odd.csv", "a", "Q", "A", at_row(1)),
            "odd.csv",
            None,
        ),
        (
            row("table:products", "a", "Q", "A", Locator::default()),
            "products",
            None,
        ),
        (
            row("plain", "a", "Q", "A", Locator::default()),
            "plain",
            None,
        ),
        (data("dataset:d.jsonl", 1, "year=1"), "d", Some(0)),
        (data("dataset:a.b.csv", 2, "year=1"), "a.b", Some(0)),
        (data("dataset:.csv", 2, "year=1"), ".csv", Some(0)),
    ] {
        let found = citation(&document);
        assert_eq!((found.source.as_str(), found.page_or_row), (source, place));
    }
}

#[test]
fn rows_are_told_as_ranges() {
    for (rows, expected) in [
        (&[][..], None),
        (&[3], Some("row 3")),
        (&[3, 3], Some("row 3")),
        (&[4, 0, 2, 1, 3], Some("rows 0–4")),
        (&[7, 0, 1, 2], Some("rows 0–2, 7")),
        (&[1, 3], Some("rows 1, 3")),
        (
            &[u64::MAX, u64::MAX - 1],
            Some("rows 18446744073709551614–18446744073709551615"),
        ),
    ] {
        assert_eq!(ranges(rows.to_vec()).as_deref(), expected);
    }
}

#[test]
fn snippets_end_at_a_sentence_or_a_word() {
    for (text, most, expected) in [
        ("Короткий ответ.", 240, "Короткий ответ."),
        ("  two\n lines ", 240, "two lines"),
        (
            "One sentence here. And another one",
            24,
            "One sentence here. …",
        ),
        (
            "Hi. A much longer sentence follows",
            20,
            "Hi. A much longer…",
        ),
        ("alpha beta gamma delta", 11, "alpha beta…"),
        ("abcdefghijklmnopqrst", 10, "abcdefghi…"),
        ("v1.2.3.4.5.6.7.8.9", 10, "v1.2.3.4.…"),
        ("", 10, ""),
        ("exactly ten", 11, "exactly ten"),
        ("ж🙂ж🙂ж🙂", 3, "ж🙂…"),
    ] {
        let found = snippet(text, most);
        assert_eq!(found, expected);
        assert!(found.chars().count() <= most, "{found}");
    }
    let long = "слово ".repeat(200);
    assert!(snippet(&long, SNIPPET_CHARS).chars().count() <= SNIPPET_CHARS);
}
