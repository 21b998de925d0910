//! FAQs to feed the product: entries that can be edited, in every format.

use serde::Deserialize;

use crate::sheet;

/// One template, as the columns of a FAQ hold it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its id, where the source has ids.
    #[serde(skip)]
    pub id: Option<String>,
    /// "Основная категория".
    #[serde(skip)]
    pub category: String,
    /// "Подкатегория".
    pub subcategory: String,
    /// "Пример вопроса".
    pub question: String,
    /// "Приоритет".
    pub priority: String,
    /// "Целевая аудитория".
    pub audience: String,
    /// "Шаблонный ответ".
    pub answer: String,
}

impl Entry {
    pub(crate) fn cells(&self) -> [&str; 6] {
        [
            &self.category,
            &self.subcategory,
            &self.question,
            &self.priority,
            &self.audience,
            &self.answer,
        ]
    }

    /// An entry of that number, unlike every other one.
    #[must_use]
    pub fn number(number: usize) -> Self {
        const ACTIONS: [&str; 16] = [
            "оформить",
            "закрыть",
            "заблокировать",
            "продлить",
            "пополнить",
            "проверить",
            "обменять",
            "перенести",
            "подключить",
            "отключить",
            "восстановить",
            "оплатить",
            "застраховать",
            "отменить",
            "подарить",
            "вернуть",
        ];
        const THINGS: [&str; 15] = [
            "карту",
            "вклад",
            "кредит",
            "ипотеку",
            "счёт",
            "перевод",
            "лимит",
            "рассрочку",
            "полис",
            "сейф",
            "кошелёк",
            "терминал",
            "рассылку",
            "овердрафт",
            "облигацию",
        ];
        const CATEGORIES: [&str; 6] = [
            "Карты",
            "Вклады",
            "Кредиты",
            "Счета",
            "Онлайн-сервисы",
            "Валюта",
        ];
        let (thing, action) = (THINGS[number % 15], ACTIONS[number / 15 % 16]);
        let round = number / 240;
        let again = if round == 0 {
            String::new()
        } else {
            format!(" в {round}-й раз")
        };
        Self {
            id: None,
            category: CATEGORIES[number % 15 % 6].to_owned(),
            subcategory: format!("Про {thing}"),
            question: format!("Как {action} {thing}{again}?"),
            priority: ["высокий", "средний", "низкий"][number % 3].to_owned(),
            audience: "физические лица".to_owned(),
            answer: format!("Чтобы {action} {thing}{again}, откройте пункт {number} приложения."),
        }
    }

    /// The text that is embedded by default.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}", self.question, self.answer)
    }
}

/// The entries of a source, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faq(
    /// The entries.
    pub Vec<Entry>,
);

impl Faq {
    /// So many entries without ids, all different.
    #[must_use]
    pub fn of(count: usize) -> Self {
        Self((0..count).map(Entry::number).collect())
    }

    /// So many entries with the ids `t0`, `t1`, ….
    #[must_use]
    pub fn with_ids(count: usize) -> Self {
        let mut faq = Self::of(count);
        for (number, entry) in faq.0.iter_mut().enumerate() {
            entry.id = Some(format!("t{number}"));
        }
        faq
    }

    /// The same after an edit.
    #[must_use]
    pub fn edited(&self, edit: impl FnOnce(&mut Vec<Entry>)) -> Self {
        let mut edited = self.clone();
        edit(&mut edited.0);
        edited
    }

    /// The source in the format that the file's name says: `.xlsx`, `.csv` or `.jsonl`.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        match name.rsplit('.').next() {
            Some("csv") => self.csv().into_bytes(),
            Some("jsonl") => self.jsonl().into_bytes(),
            _ => sheet::workbook(&self.0),
        }
    }

    fn csv(&self) -> String {
        let with_ids = self.0.iter().any(|entry| entry.id.is_some());
        let mut lines = Vec::new();
        let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
        let mut line = |id: &str, cells: [&str; 6]| {
            let id = with_ids.then(|| quoted(id));
            let cells = cells.into_iter().map(quoted);
            lines.push(id.into_iter().chain(cells).collect::<Vec<_>>().join(","));
        };
        line("ID", sheet::HEADERS);
        for entry in &self.0 {
            line(entry.id.as_deref().unwrap_or_default(), entry.cells());
        }
        lines.join("\r\n") + "\r\n"
    }

    fn jsonl(&self) -> String {
        let lines = self.0.iter().map(|entry| {
            let mut object = serde_json::Map::new();
            if let Some(id) = &entry.id {
                object.insert("id".to_owned(), id.as_str().into());
            }
            for (header, cell) in sheet::HEADERS.iter().zip(entry.cells()) {
                object.insert((*header).to_owned(), cell.into());
            }
            serde_json::Value::Object(object).to_string() + "\n"
        });
        lines.collect()
    }
}
