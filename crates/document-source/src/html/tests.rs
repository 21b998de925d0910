use faq_source::SourceErrorKind;

use crate::{DocumentKind, DocumentLimits, Extracted, Extraction, InProcess};

fn read(html: impl AsRef<[u8]>) -> Extracted {
    InProcess
        .extract(
            DocumentKind::Html,
            html.as_ref(),
            &DocumentLimits::default(),
        )
        .unwrap()
}

#[test]
fn a_page_becomes_headings_paragraphs_lists_and_tables() {
    let page = read(
        "<!doctype html><title>Справка &amp; помощь</title><style>p{}</style><body><nav>Меню</nav>\
         <h1>Карты</h1><p>Первый\n <b>аб</b>зац.<p>Второй<br>абзац.<script>alert('<p>нет</p>')</script>\
         <h2>Блокировка</h2><ul><li>Позвоните.<li>Подождите.</ul>\
         <table><tr><th>Срок<th>Цена<tr><td>5&nbsp;дней<td>0&lt;1</table><pre>a\n  b</pre>",
    );
    assert_eq!(page.title.as_deref(), Some("Справка & помощь"));
    assert_eq!(
        page.text,
        "Первый абзац.\n\nВторой абзац.\n\n- Позвоните.\n- Подождите.\nСрок | Цена\n5 дней | 0<1\n\na\n  b"
    );
    let headings = page
        .pieces
        .iter()
        .map(|piece| &*piece.heading)
        .collect::<Vec<_>>();
    assert_eq!(headings, ["Карты", "Карты > Блокировка"]);
}

#[test]
fn the_encoding_is_what_the_page_says() {
    let mut page = b"<html><meta charset=\"windows-1251\"><p>".to_vec();
    page.extend(encoding_rs::WINDOWS_1251.encode("Привет, мир").0.iter());
    assert_eq!(read(page).text, "Привет, мир");
}

#[test]
fn a_million_open_tags_cost_no_more_than_their_bytes() {
    let page = format!("<html>{}глубоко", "<div><b>".repeat(500_000));
    assert_eq!(read(page).text, "глубоко");
}

#[test]
fn an_element_that_is_never_closed_is_a_page_that_cannot_be_read() {
    let error = InProcess
        .extract(
            DocumentKind::Html,
            "<html><p>Текст<nav>Меню<p>Ещё".as_bytes(),
            &DocumentLimits::default(),
        )
        .unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Format);
    assert!(error.to_string().contains("<nav> is not closed"), "{error}");
}

#[test]
fn the_questions_of_an_accordion_are_on_its_buttons() {
    let page = read(
        "<html><h2><button>Как закрыть <b>карту</b>?</button></h2><p>Позвоните.\
         <object data=a.svg>Рисунок карты</object><div><button>Где банкомат?</button><p>Рядом.</div>",
    );
    assert_eq!(
        page.text,
        "Позвоните.Рисунок карты\n\nГде банкомат?\n\nРядом."
    );
    assert_eq!(page.pieces[0].heading, "Как закрыть карту?");
}

#[test]
fn a_row_of_a_million_empty_cells_costs_no_more_than_its_bytes() {
    let page = format!(
        "<html><table><tr>{}<td>слово<td>два",
        "<i><td>".repeat(500_000)
    );
    assert_eq!(read(page).text, "слово | два");
}
