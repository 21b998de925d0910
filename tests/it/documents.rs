//! Documents as sources: chunks with pages, what a change costs, and files that were built to hurt.

use std::path::Path;

use integration_tests::documents::{assemble, docx, pdf, stream, zip};
use integration_tests::seed::{self, Random};
use integration_tests::{Backend, Place, documents_path, made_documents, on_every_store};

fn copy_fixtures(place: &Place) {
    for entry in std::fs::read_dir(documents_path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        place.write(&format!("docs/{name}"), std::fs::read(&path).unwrap());
    }
}

#[test]
fn the_fixtures_are_what_the_generator_makes() {
    for (name, bytes) in made_documents() {
        let there = std::fs::read(documents_path().join(name)).unwrap();
        assert!(
            there == bytes,
            "{name} is out of date; run: cargo run -p integration-tests --bin make-fixtures"
        );
    }
}

on_every_store! {
    a_directory_of_documents_is_searched_by_page,
    only_chunks_that_changed_are_embedded,
    a_document_that_cannot_be_read_keeps_its_rows,
}

fn a_directory_of_documents_is_searched_by_page(backend: Backend) {
    let place = backend.hash();
    copy_fixtures(&place);
    let report = place.migrate("docs", &[]);
    assert_eq!(
        report["failed"]
            .as_array()
            .map(Vec::len)
            .unwrap_or_default(),
        0
    );
    let found = place.json(&[
        "search",
        "Снять наличные можно на сумму до 3 000 рублей в сутки. Лимит меняют в приложении",
        "--top-k",
        "1",
    ]);
    let hit = &found["hits"][0];
    assert_eq!(hit["document"], "card.pdf");
    assert_eq!(hit["page"], 2);
    assert_eq!(hit["question"], "Памятка держателя карты");
    assert_eq!(hit["metadata"]["document_kind"], "pdf");
    let found = place.json(&[
        "search",
        "При досрочном закрытии проценты пересчитывают по ставке 0,1 %",
        "--top-k",
        "1",
    ]);
    assert_eq!(found["hits"][0]["question"], "Вклады > Досрочное закрытие");
    let again = place.migrate("docs", &[]);
    assert_eq!(again["embedded"], 0);
    assert_eq!(again["new"], 0);
    assert_eq!(again["modified"], 0);
    let pages = "select count(*) from embedding_records where locator_page is not null";
    assert_eq!(place.scalar(pages), 3);
    place.run(&["validate", "--faq-path", "docs"]).ok();
}

fn paragraphs(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| {
            format!(
                "Правило номер {number}. {}",
                "Слова этого правила не повторяются. ".repeat(5)
            )
        })
        .collect()
}

fn only_chunks_that_changed_are_embedded(backend: Backend) {
    let place = backend.hash();
    let mut text = paragraphs(200);
    place.write("docs/rules.txt", text.join("\n\n"));
    place.write("docs/other.md", "# Другое\n\nДокумент.\n");
    let first = place.migrate("docs", &["--chunk-size", "500", "--chunk-overlap", "50"]);
    let chunks = first["new"].as_u64().unwrap();
    assert!(chunks > 100, "{chunks}");
    text.insert(100, "Новое правило посередине.".to_owned());
    place.write("docs/rules.txt", text.join("\n\n"));
    let sync = [
        "sync",
        "--faq-path",
        "docs",
        "--chunk-size",
        "500",
        "--chunk-overlap",
        "50",
        "--allow-delete",
        "100%",
    ];
    let second = place.json(&sync);
    let embedded = second["embedded"].as_u64().unwrap();
    assert!((1..=8).contains(&embedded), "{embedded} of {chunks}");
    std::fs::remove_file(place.path("docs/other.md")).unwrap();
    let third = place.json(&sync);
    assert_eq!(third["deleted"], 1);
    assert_eq!(third["embedded"], 0);
}

fn a_document_that_cannot_be_read_keeps_its_rows(backend: Backend) {
    let place = backend.hash();
    copy_fixtures(&place);
    let before = place.migrate("docs", &[])["total"].clone();
    place.write("docs/card.pdf", "%PDF-1.7 and nothing more");
    place
        .run(&["sync", "--faq-path", "docs"])
        .expect(3)
        .says(&["card.pdf cannot be read", "(left out)"]);
    let rows = place.scalar("select count(*) from embedding_records");
    assert_eq!(Some(rows), before.as_i64());
}

#[test]
fn a_single_document_and_a_pattern_are_sources_too() {
    let place = Place::hash();
    copy_fixtures(&place);
    assert_eq!(place.migrate("docs/card.pdf", &[])["new"], 3);
    let report = place.json(&[
        "sync",
        "--faq-path",
        "docs/*.{md,html}",
        "--collection",
        "web",
    ]);
    assert!(report["new"].as_u64() > Some(3), "{report}");
    // What spreadsheet programs export as text is a table.
    place.write("faq.txt", "Вопрос\tОтвет\nКак?\tТак.\n");
    let report = place.json(&["sync", "--faq-path", "faq.txt", "--collection", "table"]);
    assert_eq!(report["new"], 1);
    place
        .run(&["sync", "--faq-path", "docs", "--sheet", "FAQ"])
        .expect(2)
        .says(&["--sheet is for tables"]);
    place
        .run(&[
            "sync",
            "--faq-path",
            "docs",
            "--chunk-size",
            "100",
            "--chunk-overlap",
            "80",
        ])
        .expect(2)
        .says(&["half their size", "--chunk-overlap"]);
    let tokens = [
        "--chunk-by",
        "tokens",
        "--chunk-size",
        "20",
        "--collection",
        "tokens",
    ];
    let report = place.json(&[&["sync", "--faq-path", "docs"][..], &tokens].concat());
    assert!(report["new"].as_u64() > Some(15), "{report}");
}

#[test]
fn scanned_pages_are_named() {
    let place = Place::hash();
    let line = |text: &str| vec![text.to_owned()];
    place.write(
        "docs/half.pdf",
        pdf("", &[line("Текст первой страницы."), vec![], vec![]]),
    );
    place.write("docs/scan.pdf", pdf("", &[vec![], vec![]]));
    place
        .run(&["migrate", "--faq-path", "docs"])
        .expect(3)
        .says(&[
            "half.pdf: no text layer on pages 2-3",
            "scan.pdf cannot be read: no text layer on pages 1-2",
            "ocrmypdf",
        ]);
}

/// Deflated as PDF wants it: stored blocks would be no bomb, so a repeated block of one match is written by hand.
fn bomb() -> Vec<u8> {
    let text = "BT ".repeat(30 << 20);
    zip(&[("word/document.xml", text)])
}

fn hostile(place: &Place) {
    place.write("docs/good.txt", "Хороший документ.");
    place.write("docs/bomb.docx", bomb());
    place.write("docs/old.docx", [0xd0, 0xcf, 0x11, 0xe0, 0, 0]);
    place.write("docs/short.docx", &docx("", &[])[..100]);
    let catalogue = "<< /Type /Catalog /Pages 2 0 R >>".to_owned();
    let deep = format!(
        "<< /Type /Pages /Count 1 /Kids {}{} >>",
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    place.write("docs/deep.pdf", assemble(&[catalogue.clone(), deep], ""));
    let circle = "<< /Type /Pages /Count 99999999 /Kids [2 0 R 2 0 R] /Parent 2 0 R >>".to_owned();
    place.write(
        "docs/circle.pdf",
        assemble(&[catalogue.clone(), circle], ""),
    );
    let mut again = assemble(
        &[
            catalogue.clone(),
            "<< /Type /Pages /Count 0 /Kids [] >>".to_owned(),
        ],
        "",
    );
    let table = again
        .windows(4)
        .position(|window| window == b"xref")
        .unwrap();
    let trailer =
        format!("trailer << /Size 3 /Root 1 0 R /Prev {table} >>\nstartxref\n{table}\n%%EOF\n");
    let at = again
        .windows(7)
        .position(|window| window == b"trailer")
        .unwrap();
    again.truncate(at);
    again.extend_from_slice(trailer.as_bytes());
    place.write("docs/xref.pdf", again);
    let form = stream(
        "/Type /XObject /Subtype /Form /Resources << /XObject << /X 4 0 R >> >>",
        &"/X Do ".repeat(1000),
    );
    let page =
        "<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /XObject << /X 4 0 R >> >> >>"
            .to_owned();
    let pages = "<< /Type /Pages /Count 1 /Kids [3 0 R] >>".to_owned();
    place.write(
        "docs/forms.pdf",
        assemble(&[catalogue, pages, page, form], ""),
    );
}

#[test]
fn documents_that_were_built_to_hurt_are_refused_and_the_others_go_on() {
    let place = Place::hash();
    hostile(&place);
    let outcome = place.run(&["migrate", "--faq-path", "docs"]).expect(3).says(&[
        "bomb.docx cannot be read: the docx is refused",
        "old.docx cannot be read: it is protected by a password, or has the format of Word 97-2003",
        "short.docx cannot be read",
        "deep.pdf cannot be read",
        "circle.pdf cannot be read",
        "xref.pdf cannot be read",
        "forms.pdf cannot be read",
    ]);
    drop(outcome);
    assert_eq!(place.scalar("select count(*) from embedding_records"), 1);
}

#[test]
fn two_hundred_mutated_documents_bring_nothing_down() {
    let place = Place::hash();
    let mut random = Random::new(seed::of_run("mutated documents"));
    place.write("docs/good.txt", "Хороший документ.");
    let made = made_documents();
    for copy in 0..200 {
        let (name, bytes) = &made[copy % made.len()];
        let mut bytes = bytes.clone();
        for _ in 0..=random.draw() % 6 {
            let at = usize::try_from(random.draw() % bytes.len() as u64).unwrap();
            match random.draw() % 4 {
                0 => bytes.truncate(at.max(1)),
                1 => drop(bytes.drain(at..(at + 9).min(bytes.len()))),
                2 => bytes.insert(at, b'9'),
                _ => bytes[at] = random.draw().to_le_bytes()[0],
            }
            if bytes.is_empty() {
                bytes.push(b'%');
            }
        }
        let extension = Path::new(name).extension().unwrap().to_str().unwrap();
        place.write(&format!("docs/{copy}.{extension}"), bytes);
    }
    let output = place
        .command(&["migrate", "--faq-path", "docs"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn the_process_that_reads_documents_is_for_us_alone() {
    let place = Place::hash();
    place
        .run(&["extract-document"])
        .expect(2)
        .says(&["extract-document is for smart-support itself"]);
    assert!(
        !place
            .run(&["--help"])
            .ok()
            .stdout
            .contains("extract-document")
    );
}

#[test]
fn a_text_file_is_a_table_where_it_is_said_so_or_shows_both_columns() {
    let place = Place::hash();
    // The first line is the name of a column too; what follows is prose all the same.
    place.write(
        "notes.txt",
        "Текст\nПравила пользования картой.\nЛимит меняют в приложении.\n",
    );
    let sync = |file: &str, name: &str, flags: &[&str]| {
        let args = ["sync", "--faq-path", file, "--collection", name];
        place.run(&[&args[..], flags].concat())
    };
    let run = place.migrate("notes.txt", &["--collection", "notes"]);
    assert_eq!(run["new"], 1, "one document: {run}");
    place.write("named.txt", "Тема\tРешение\nКак?\tТак.\nГде?\tТут.\n");
    let map = ["--map", "question=Тема", "--map", "answer=Решение"];
    sync("named.txt", "named", &map).ok();
    let rows = "select count(*) from embedding_records join collections using (collection_id) where name = 'named'";
    assert_eq!(place.scalar(rows), 2);
    sync("named.txt", "other", &["--map", "question=Темы"])
        .expect(2)
        .says(&["no column \"Темы\"", "did you mean"]);
    place.write("prices.txt", "год\tзначение\n2023\t1\n2024\t2\n");
    let run = place.json(&["sync", "--input", "prices.txt", "--collection", "prices"]);
    assert_eq!(run["new"], 2, "two rows of data: {run}");
}

#[test]
fn the_command_for_a_stale_plan_cuts_documents_as_the_plan_did() {
    let place = Place::hash();
    place.write("rules.md", paragraphs(20).join("\n\n"));
    place.migrate("rules.md", &[]);
    let cut = "--chunk-size 200 --chunk-overlap 20 --chunk-by tokens";
    let mut plan = vec!["sync", "--faq-path", "rules.md", "--plan-out", "plan.json"];
    plan.extend(cut.split(' '));
    place.json(&plan);
    place.write("rules.md", paragraphs(21).join("\n\n"));
    place.run(&["apply", "plan.json"]).expect(6).says(&[cut]);
}

#[test]
fn a_finding_in_a_document_has_its_page() {
    let place = Place::hash();
    let page = |text: &str| vec![text.to_owned()];
    let pages = [
        page("Памятка держателя карты."),
        page("Лимит <b>меняют</b> в приложении."),
    ];
    place.write("docs/guide.pdf", pdf("Памятка", &pages));
    place
        .run(&["lint", "docs", "--reject", "reject.csv"])
        .expect(4)
        .prints(&["guide.pdf, page 2  html"]);
    let report = place.run(&["lint", "docs", "--json"]).expect(4).json();
    let found = &report["findings"][0];
    assert_eq!(found["page"], 2, "{report}");
    assert_eq!(found["chunk"], 1, "{report}");
    let rejected = std::fs::read_to_string(place.path("reject.csv")).unwrap();
    assert!(rejected.contains(",,2,1,html,"), "{rejected}");
}
