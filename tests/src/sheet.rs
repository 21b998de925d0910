//! Writes workbooks: the fixture's, and those of tests.

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, FormatAlign, Workbook};

use crate::Entry;

/// The fixture's columns, in order. Workbooks with ids have a column `ID` before them.
pub const HEADERS: [&str; 6] = [
    "Основная категория",
    "Подкатегория",
    "Пример вопроса",
    "Приоритет",
    "Целевая аудитория",
    "Шаблонный ответ",
];

const WIDTHS: [f64; 6] = [22.0, 26.0, 48.0, 12.0, 22.0, 90.0];

/// A table of texts for one worksheet.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    /// Its name.
    pub name: String,
    /// Its rows, headers among them.
    pub rows: Vec<Vec<String>>,
}

/// A workbook of entries in the sheet "FAQ". The same entries always give the same bytes.
#[must_use]
pub fn workbook(entries: &[Entry]) -> Vec<u8> {
    let mut headers: Vec<&str> = HEADERS.to_vec();
    let mut widths = WIDTHS.to_vec();
    let with_ids = entries.iter().any(|entry| entry.id.is_some());
    if with_ids {
        headers.insert(0, "ID");
        widths.insert(0, 14.0);
    }
    let mut rows = vec![headers.into_iter().map(str::to_owned).collect()];
    rows.extend(entries.iter().map(|entry| {
        let mut row = entry.cells().map(str::to_owned).to_vec();
        if with_ids {
            row.insert(0, entry.id.clone().unwrap_or_default());
        }
        row
    }));
    let sheet = Sheet {
        name: "FAQ".to_owned(),
        rows,
    };
    sheet.write(&widths)
}

impl Sheet {
    /// A workbook with this sheet alone.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.write(&[])
    }

    fn write(&self, widths: &[f64]) -> Vec<u8> {
        let mut book = Workbook::new();
        // A fixed date: else every run would give other bytes.
        let created = ExcelDateTime::from_ymd(2025, 1, 1).unwrap();
        book.set_properties(&DocProperties::new().set_creation_datetime(&created));
        let header = Format::new().set_bold();
        let body = Format::new().set_align(FormatAlign::Top);
        let wrapped = body.clone().set_text_wrap();
        let sheet = book.add_worksheet();
        sheet.set_name(&self.name).unwrap();
        for (column, width) in (0u16..).zip(widths) {
            sheet.set_column_width(column, *width).unwrap();
        }
        let last = self.rows.first().map_or(0, Vec::len).saturating_sub(1);
        for (row, cells) in (0u32..).zip(&self.rows) {
            for (column, text) in (0u16..).zip(cells) {
                let format = match (row, usize::from(column) == last) {
                    (0, _) => &header,
                    (_, true) => &wrapped,
                    (_, false) => &body,
                };
                sheet
                    .write_string_with_format(row, column, text, format)
                    .unwrap();
            }
        }
        if !self.rows.is_empty() {
            sheet.set_freeze_panes(1, 0).unwrap();
        }
        book.save_to_buffer().unwrap()
    }
}
