//! The FAQ of the quickstart: TOML that people edit, and the workbook that `make-fixtures` writes from it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

use crate::documents::{self, Block};
use crate::{Entry, workspace};

/// How many templates the FAQ has.
pub const TEMPLATES: usize = 201;

/// The files, in the workbook's order.
const FILES: [&str; 6] = [
    "cards", "loans", "deposits", "accounts", "online", "currency",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    category: String,
    template: Vec<Entry>,
}

/// The workbook's path.
#[must_use]
pub fn fixture_path() -> PathBuf {
    workspace().join("fixtures/smart_support_vtb_belarus_faq_final.xlsx")
}

/// The documents of `fixtures/documents` that are made: their names and bytes.
#[must_use]
pub fn made_documents() -> Vec<(&'static str, Vec<u8>)> {
    let page = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    let pdf = documents::pdf(
        "Памятка держателя карты",
        &[
            page(&[
                "Памятка держателя карты",
                "",
                "Чтобы заблокировать карту, откройте приложение, выберите карту и нажмите",
                "«Заблокировать». Карта перестаёт работать сразу. Новую карту выпус-",
                "кают за пять рабочих дней.",
            ]),
            page(&[
                "Лимиты на снятие наличных",
                "",
                "Снять наличные можно на сумму до 3 000 рублей в сутки. Лимит",
                "меняют в приложении или по телефону 240.",
            ]),
            page(&[
                "Payments abroad",
                "",
                "Tell us before you travel: payments in countries you have never been to",
                "are declined until you confirm the trip in the application.",
            ]),
        ],
    );
    let docx = documents::docx(
        "Вклады",
        &[
            Block::Heading(1, "Вклады"),
            Block::Text("Вклад открывают в приложении за две минуты; деньги поступают сразу."),
            Block::Heading(2, "Ставки"),
            Block::Table(&[
                &["Срок", "Ставка"],
                &["3 месяца", "9 %"],
                &["1 год", "11 %"],
            ]),
            Block::Heading(2, "Досрочное закрытие"),
            Block::Text("При досрочном закрытии проценты пересчитывают по ставке 0,1 %."),
            Block::Point("Деньги возвращают на карту в тот же день."),
            Block::Point("Отменить закрытие нельзя."),
        ],
    );
    vec![("card.pdf", pdf), ("deposits.docx", docx)]
}

/// Where the documents are.
#[must_use]
pub fn documents_path() -> PathBuf {
    workspace().join("fixtures/documents")
}

/// Reads the templates out of `fixtures/faq`.
///
/// # Errors
/// When a file cannot be read, a field is empty, two templates ask the same, or there are not [`TEMPLATES`] of them.
pub fn templates() -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for name in FILES {
        let path = workspace().join(format!("fixtures/faq/{name}.toml"));
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| fault(&error))?;
        let file: File = toml::from_str(&text).map_err(|error| fault(&error))?;
        for mut entry in file.template {
            entry.category.clone_from(&file.category);
            if let Some(cell) = entry.cells().iter().find(|cell| cell.trim() != **cell) {
                return Err(fault(&format!("white space around {cell:?}")));
            }
            if entry.cells().iter().any(|cell| cell.is_empty()) {
                return Err(fault(&format!("an empty field in {:?}", entry.question)));
            }
            entries.push(entry);
        }
    }
    let mut questions = BTreeSet::new();
    if let Some(twice) = entries
        .iter()
        .find(|entry| !questions.insert(entry.question.to_lowercase()))
    {
        return Err(format!("{:?} is asked twice", twice.question));
    }
    if entries.len() != TEMPLATES {
        return Err(format!(
            "there are {} templates in fixtures/faq, expected {TEMPLATES}",
            entries.len()
        ));
    }
    Ok(entries)
}
