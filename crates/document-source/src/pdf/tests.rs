use lopdf::{Document, Object, ObjectId, Stream, dictionary};

use super::lines::{Lines, Run, paragraphs};
use super::ranges;
use crate::{DocumentKind, DocumentLimits, Extracted, Extraction, InProcess};

fn run(text: &str, x: f32, y: f32) -> Run {
    #[allow(clippy::cast_precision_loss, reason = "a short line")]
    let width = text.chars().count() as f32 * 5.0;
    Run {
        text: text.to_owned(),
        start: (x, y),
        end: (x + width, y),
        size: 10.0,
    }
}

fn check(runs: Vec<Run>, expected: &[&str]) {
    let mut lines = Lines::default();
    runs.into_iter().for_each(|run| lines.push(run));
    assert_eq!(paragraphs(lines.finish()), expected);
}

#[test]
fn strings_are_words_and_lines_by_where_they_are_drawn() {
    check(
        vec![run("при", 0.0, 0.0), run("вет", 15.0, 0.0)],
        &["привет"],
    );
    check(
        vec![run("один", 0.0, 0.0), run("два", 24.0, 0.0)],
        &["один два"],
    );
    check(
        vec![
            run("первая", 0.0, 100.0),
            run("вторая", 0.0, 88.0),
            run("новый", 0.0, 60.0),
        ],
        &["первая вторая", "новый"],
    );
    // The second column begins above the end of the first.
    check(
        vec![run("левая", 0.0, 10.0), run("правая", 300.0, 100.0)],
        &["левая", "правая"],
    );
}

#[test]
fn a_word_that_was_cut_at_a_line_s_end_is_whole_again() {
    check(
        vec![run("блоки-", 0.0, 100.0), run("ровка", 30.0, 88.0)],
        &["блокировка"],
    );
    check(
        vec![run("кто-", 0.0, 100.0), run("То", 0.0, 88.0)],
        &["кто- То"],
    );
}

#[test]
fn dots_that_lead_to_a_page_s_number_are_one_sign() {
    check(
        vec![run("4.1 Глава . . . . . . . 15", 0.0, 0.0)],
        &["4.1 Глава … 15"],
    );
    check(vec![run("Да... Нет.", 0.0, 0.0)], &["Да... Нет."]);
}

#[test]
fn pages_are_named_by_their_ranges() {
    assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1-3, 7, 9-10");
}

/// A page that draws the words, of whose drawing the test makes something else.
fn drawing(words: &str) -> Stream {
    let lines = format!("BT /F1 12 Tf 72 700 Td ({words}) Tj ET\n").repeat(20);
    let mut stream = Stream::new(dictionary! {}, lines.into_bytes());
    stream.compress().unwrap();
    assert!(stream.filters().is_ok(), "it is packed");
    stream
}

/// What is read of a document whose pages draw that.
fn read(contents: impl Fn(&mut Document) -> Vec<ObjectId>, limits: &DocumentLimits) -> Extracted {
    let mut document = Document::with_version("1.7");
    let font = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica", "Encoding" => "WinAnsiEncoding",
    });
    let tree = document.new_object_id();
    let contents = contents(&mut document);
    let pages = contents
        .iter()
        .map(|contents| {
            let form = contents;
            let resources = dictionary! {
                "Font" => dictionary! { "F1" => font },
                "XObject" => dictionary! { "X1" => *form },
            };
            let page = dictionary! {
                "Type" => "Page", "Parent" => tree, "Contents" => *contents, "Resources" => resources,
            };
            Object::from(document.add_object(page))
        })
        .collect::<Vec<_>>();
    let count = i64::try_from(pages.len()).unwrap();
    document.set_object(
        tree,
        dictionary! { "Type" => "Pages", "Kids" => pages, "Count" => count },
    );
    let catalogue = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalogue);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    InProcess
        .extract(DocumentKind::Pdf, &bytes, limits)
        .unwrap()
}

fn failed(read: &Extracted) -> Vec<u32> {
    read.failed.iter().map(|page| page.page).collect()
}

#[test]
fn damage_inside_of_a_page_is_a_page_that_failed() {
    let read = read(
        |document| {
            let cut = |length: fn(usize) -> usize| {
                let mut stream = drawing("broken");
                let mut content = stream.content.clone();
                content.truncate(length(content.len()));
                stream.set_content(content);
                stream
            };
            let mut wrong = drawing("wrong");
            let last = wrong.content.len() - 1;
            wrong.content[last] ^= 1;
            let mut noise = drawing("noise");
            noise.set_content(b"no packed data at all".to_vec());
            vec![
                document.add_object(drawing("whole")),
                document.add_object(cut(|length| length / 2)),
                document.new_object_id(),
                document.add_object(wrong),
                document.add_object(noise),
                // Only the checksum is missing: nothing is lost.
                document.add_object(cut(|length| length - 4)),
            ]
        },
        &DocumentLimits::default(),
    );
    assert_eq!(failed(&read), [2, 3, 4, 5], "{read:?}");
    let pages = read.pieces.iter().filter_map(|piece| piece.page);
    assert_eq!(pages.collect::<Vec<_>>(), [1, 6]);
    assert!(read.text.starts_with("whole"), "{}", read.text);
}

#[test]
fn drawings_beyond_the_budget_are_a_page_that_failed() {
    let limits = DocumentLimits {
        part_bytes: 1 << 20,
        ..DocumentLimits::default()
    };
    let read = read(
        |document| {
            // The page is a drawing within itself too, and calls for it over and over.
            let calls =
                "BT /F1 12 Tf 72 700 Td (before) Tj ET /X1 Do ".to_owned() + &"/X1 Do ".repeat(100);
            let form = dictionary! { "Type" => "XObject", "Subtype" => "Form" };
            vec![
                document.add_object(drawing("sound")),
                document.add_object(Stream::new(form, calls.into_bytes())),
            ]
        },
        &limits,
    );
    assert_eq!(failed(&read), [2], "{read:?}");
    assert!(
        read.failed[0].problem.contains("more than 1 MiB"),
        "{}",
        read.failed[0].problem
    );
}
