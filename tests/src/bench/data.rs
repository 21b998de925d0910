//! Sources of any size, the same on every run: templates of made-up Russian sentences.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Result;
use serde_json::json;

const WORDS: [&str; 40] = [
    "карта",
    "счёт",
    "вклад",
    "перевод",
    "кредит",
    "платёж",
    "банк",
    "отделение",
    "приложение",
    "лимит",
    "валюта",
    "курс",
    "процент",
    "договор",
    "заявка",
    "паспорт",
    "пароль",
    "телефон",
    "выписка",
    "комиссия",
    "срок",
    "сумма",
    "клиент",
    "оператор",
    "заблокировать",
    "открыть",
    "закрыть",
    "получить",
    "изменить",
    "проверить",
    "оплатить",
    "пополнить",
    "подключить",
    "бесплатно",
    "сегодня",
    "онлайн",
    "быстро",
    "снова",
    "сразу",
    "завтра",
];
/// Words of a question.
const QUESTION: usize = 6;

/// One FAQ entry.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) id: String,
    pub(crate) category: String,
    pub(crate) question: String,
    pub(crate) answer: String,
}

impl Template {
    /// Bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        self.id.len() + self.category.len() + self.question.len() + self.answer.len()
    }
}

/// Numbers that are the same everywhere: SplitMix64.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn sentence(&mut self, words: usize) -> String {
        let words: Vec<&str> = (0..words)
            .map(|_| {
                let place = usize::try_from(self.next() % WORDS.len() as u64);
                WORDS[place.unwrap_or_default()]
            })
            .collect();
        words.join(" ")
    }
}

/// The template of that number; `words` is the length of its answer.
pub(crate) fn template(number: usize, words: usize) -> Template {
    let mut random = Random(number as u64);
    Template {
        id: format!("t{number}"),
        category: format!("Категория {}", number % 6),
        question: format!("{} {number}?", random.sentence(QUESTION)),
        answer: format!("{}.", random.sentence(words)),
    }
}

/// Templates 0 to `count`.
pub(crate) fn templates(count: usize, words: usize) -> Vec<Template> {
    (0..count).map(|number| template(number, words)).collect()
}

/// Writes JSON lines.
pub(crate) fn write_jsonl<'a>(
    path: &Path,
    templates: impl IntoIterator<Item = &'a Template>,
) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for template in templates {
        let line = json!({
            "id": template.id,
            "category": template.category,
            "question": template.question,
            "answer": template.answer,
        });
        writeln!(file, "{line}")?;
    }
    Ok(file.flush()?)
}

/// Writes CSV. The sentences hold no comma and no quote.
pub(crate) fn write_csv(path: &Path, templates: &[Template]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "id,category,question,answer")?;
    for template in templates {
        let Template {
            id,
            category,
            question,
            answer,
        } = template;
        writeln!(file, "{id},{category},{question},{answer}")?;
    }
    Ok(file.flush()?)
}

/// Writes a vector to ask with, as raw f32.
pub(crate) fn write_query(path: &Path, dimensions: usize) -> Result<()> {
    let mut random = Random(7);
    let mut bytes = Vec::with_capacity(dimensions * 4);
    for _ in 0..dimensions {
        let high = u16::try_from(random.next() >> 48).unwrap_or_default();
        let number = f32::from(high) / 32_768.0 - 1.0;
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    Ok(std::fs::write(path, bytes)?)
}
