use crate::{DocumentKind, DocumentLimits, Extraction, InProcess};

#[test]
fn headings_lists_tables_and_code_are_kept_and_front_matter_is_not() {
    let text = "---\ntitle: x\nsecret: y\n---\n\n# Карты\n\nПервый\nабзац с `кодом`.\n\n## Пусто\n\n## Лимиты\n\n- раз\n- два\n  строки\n\n\
                | Срок | Цена |\n| --- | --- |\n| 5 дней | 0 |\n\n```sh\nls -l\n  cd\n```\n\nSetext\n======\n\nКонец.\n";
    let read = InProcess
        .extract(
            DocumentKind::Markdown,
            text.as_bytes(),
            &DocumentLimits::default(),
        )
        .unwrap();
    assert_eq!(
        read.text,
        "Первый абзац с кодом.\n\nПусто\n\n- раз\n- два строки\nСрок | Цена\n5 дней | 0\n\nls -l\n  cd\n\nКонец."
    );
    assert_eq!(read.title.as_deref(), Some("Карты"));
    let headings = read
        .pieces
        .iter()
        .map(|piece| &*piece.heading)
        .collect::<Vec<_>>();
    assert_eq!(headings, ["Карты", "Карты > Лимиты", "Setext"]);
}

#[test]
fn quotes_within_quotes_and_open_brackets_cost_no_more_than_their_bytes() {
    for hostile in [
        "> ".repeat(20_000),
        "[".repeat(50_000),
        "*a_ ".repeat(50_000),
        "- ".repeat(20_000),
    ] {
        let read = InProcess.extract(
            DocumentKind::Markdown,
            format!("{hostile}x").as_bytes(),
            &DocumentLimits::default(),
        );
        assert!(read.is_ok());
    }
}

#[test]
fn what_is_written_as_html_is_read_as_html() {
    let read = InProcess
        .extract(
            DocumentKind::Markdown,
            "# Карты\n\n<details><summary>Как закрыть карту?</summary>\n\nПозвоните **нам**.\n\n</details>\n\n\
             <p align=center>Посередине</p>\n\n<!-- тайно -->\n\n- раз\n\n<table><tr><td>Срок<td>5 дней</table>\n\n\
             <script>\nalert('нет')\n</script>\n\n<nav>Меню\n\nКонец.\n"
                .as_bytes(),
            &DocumentLimits::default(),
        )
        .unwrap();
    assert_eq!(
        read.text,
        "Как закрыть карту?\n\nПозвоните нам.\n\nПосередине\n- раз\nСрок | 5 дней\n\nКонец."
    );
    assert!(read.notices[0].contains("<nav> is not closed"));
}
