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
fn an_element_that_is_never_closed_is_told_of() {
    let page = read("<html><p>Текст<nav>Меню<p>Ещё");
    assert_eq!(page.text, "Текст");
    assert!(page.notices[0].contains("<nav> is not closed"));
}
