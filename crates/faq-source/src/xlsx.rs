//! Workbooks, by calamine's streaming reader: cell after cell, so that a sheet whose two cells stand a million rows
//! apart costs two cells. `worksheet_range` builds the whole rectangle and takes the process down with it; it is
//! never called, and `dimensions()` is never believed. `guard` looks at the zip container before calamine does.

mod guard;
mod metered;

use std::cell::Cell;
use std::thread;

use calamine::{DataRef, ExcelDateTime, Reader, SheetType, SheetVisible, Xlsx, XlsxError};

use crate::collect::{Collector, Value};
use crate::columns::Mapping;
use crate::input::SourceFile;
use crate::suggest::{list, nearest};
use crate::table::{Finished, Flow, RawRow, Shape, TableReader};
use crate::{
    FaqSource, IssueKind, SourceError, SourceErrorKind, SourceLimits, SourceOptions,
    SourceSnapshot, limits,
};

use metered::Metered;

/// Prepares the reader; nothing is read yet.
pub(crate) fn open(
    file: SourceFile,
    options: SourceOptions,
) -> Result<Box<dyn FaqSource>, SourceError> {
    Ok(Box::new(Workbook {
        mapping: Mapping::new(&options)?,
        file,
        options,
    }))
}

#[derive(Debug)]
struct Workbook {
    file: SourceFile,
    options: SourceOptions,
    mapping: Mapping,
}

impl FaqSource for Workbook {
    fn describe(&self) -> String {
        let location = &self.file.location;
        match &self.options.sheet {
            Some(sheet) => format!("workbook {location}, sheet {sheet:?}"),
            None => format!("workbook {location}"),
        }
    }

    fn read(&mut self, limits: &SourceLimits) -> Result<SourceSnapshot, SourceError> {
        let bytes = self.file.load(limits)?;
        let read = thread::scope(|scope| {
            let parse = || {
                let texts = guard::check(&bytes, &limits.workbook)?;
                self.read_bytes(&bytes, texts, limits)
            };
            let parser = thread::Builder::new().name(crate::PARSER_THREAD.to_owned());
            match parser.spawn_scoped(scope, parse) {
                // A panic of the parser on a damaged file is a damaged file; it shares nothing with us but these bytes.
                Ok(parser) => parser.join().unwrap_or_else(|_| Err(damaged())),
                Err(error) => Err(SourceError::new(
                    SourceErrorKind::Unreadable,
                    "no thread can be started to read the workbook; end other programs and run again",
                )
                .with_source(error)),
            }
        });
        read.map_err(|error| error.located(&self.file.location))
    }
}

type Book<'a> = Xlsx<Metered<'a>>;

/// What reading one workbook may cost, whatever its sheets say.
struct Budget<'a> {
    limits: &'a SourceLimits,
    /// Bytes of the container that may still be read.
    unread: &'a Cell<u64>,
    /// Bytes of text in cells so far.
    text: Cell<u64>,
    /// Bytes that stay in memory beside the rows.
    held: u64,
}

impl Budget<'_> {
    /// Counts the text of a cell.
    fn text(&self, bytes: usize) -> Result<(), SourceError> {
        self.text.set(self.text.get().saturating_add(bytes as u64));
        let most = self.limits.workbook.text_bytes;
        if self.text.get() > most {
            let most = limits::bytes(most);
            return Err(guard::refused(format!(
                "its cells hold more than {most} of text"
            )));
        }
        Ok(())
    }

    /// The parser's error, or why it was not let read on.
    fn failed(&self, error: XlsxError) -> SourceError {
        if self.unread.get() == 0 {
            return guard::refused(
                "its sheets share parts, and are read more than 2 times over".to_owned(),
            );
        }
        failed(error)
    }
}

impl Workbook {
    fn read_bytes(
        &self,
        bytes: &[u8],
        texts: u64,
        limits: &SourceLimits,
    ) -> Result<SourceSnapshot, SourceError> {
        let unread = metered::allowance(bytes);
        let budget = Budget {
            limits,
            unread: &unread,
            text: Cell::new(0),
            held: bytes.len() as u64 + texts,
        };
        let budget = &budget;
        let mut book =
            Book::new(Metered::new(bytes, &unread)).map_err(|error| budget.failed(error))?;
        let listed = book.sheets_metadata().len();
        if listed > limits.workbook.parts {
            return Err(guard::refused(format!(
                "it lists {listed} sheets, more than {}",
                limits.workbook.parts
            )));
        }
        let sheets = book
            .sheets_metadata()
            .iter()
            .filter(|sheet| sheet.typ == SheetType::WorkSheet)
            .map(|sheet| (sheet.name.clone(), sheet.visible == SheetVisible::Visible))
            .collect::<Vec<_>>();
        if let Some(wanted) = &self.options.sheet {
            let name = find_sheet(wanted, &sheets)?;
            return self.settled(&mut book, name, budget);
        }
        let visible = sheets
            .iter()
            .filter(|(_, visible)| *visible)
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>();
        let notices = |read: &str| {
            let mut notices = notices_about(&sheets);
            if visible.len() > 1 {
                let others = visible.iter().copied().filter(|other| *other != read);
                notices.push(format!(
                    "sheet {read:?} was read; not read: {} (choose one with --sheet NAME)",
                    list(others)
                ));
            }
            notices
        };
        // A data set needs a header and a row of at least two columns; a cover sheet has neither. Where the row of the
        // header is given, no other was kept.
        let needed = if self.options.header_row.is_some() {
            1
        } else {
            2
        };
        let mut first_with_rows = None;
        let mut first_with_a_table = None;
        if let [_, _, ..] = visible[..] {
            for &name in &visible {
                match self.sheet(&mut book, name, true, budget)? {
                    Finished::Read(mut snapshot) => {
                        snapshot.notices.extend(notices(name));
                        return Ok(*snapshot);
                    }
                    Finished::NoHeader { headers, wide } => {
                        if headers.is_some() && first_with_rows.is_none() {
                            first_with_rows = Some(name);
                        }
                        if self.options.data_set && wide >= needed {
                            first_with_a_table = first_with_a_table.or(Some(name));
                        }
                    }
                }
            }
        }
        let chosen = first_with_a_table.or(first_with_rows);
        match chosen.or(visible.first().copied()) {
            Some(name) => {
                let mut snapshot = self.settled(&mut book, name, budget)?;
                snapshot.notices.extend(notices(name));
                Ok(snapshot)
            }
            None => Err(SourceError::new(
                SourceErrorKind::Empty,
                "the workbook has no visible sheet; name a hidden one with --sheet NAME",
            )),
        }
    }

    /// Reads the sheet that it has to be.
    fn settled(
        &self,
        book: &mut Book<'_>,
        name: &str,
        budget: &Budget<'_>,
    ) -> Result<SourceSnapshot, SourceError> {
        match self.sheet(book, name, false, budget)? {
            Finished::Read(snapshot) => Ok(*snapshot),
            Finished::NoHeader {
                headers: Some(headers),
                ..
            } => {
                let place = place(name);
                self.mapping.check(&headers, &place)?;
                Err(self.mapping.no_faq(&headers, &place))
            }
            Finished::NoHeader { headers: None, .. } => Err(match self.options.header_row {
                Some(row) => SourceError::new(
                    SourceErrorKind::Columns,
                    format!("row {row} holds no headers {}", place(name)),
                ),
                None => SourceError::new(
                    SourceErrorKind::Empty,
                    format!(
                        "there is nothing {}; name another with --sheet NAME",
                        place(name)
                    ),
                ),
            }),
        }
    }

    fn sheet(
        &self,
        book: &mut Book<'_>,
        name: &str,
        choosy: bool,
        budget: &Budget<'_>,
    ) -> Result<Finished, SourceError> {
        let limits = budget.limits;
        let shape = Shape {
            place: place(name),
            sheet: Some(name.to_owned()),
            header_row: self.options.header_row.map(u64::from),
            choosy,
            letters: true,
            strict_width: false,
            untyped: false,
        };
        let mut collector = Collector::new("xlsx", &self.file, limits);
        collector.hold(budget.held)?;
        let mut table = TableReader::new(shape, &self.mapping, collector, limits);
        let mut cells = book
            .worksheet_cells_reader(name)
            .map_err(|error| budget.failed(error))?;
        let mut row_text = 0;
        let mut row = RawRow {
            number: 0,
            cells: Vec::new(),
        };
        while let Some(cell) = cells.next_cell().map_err(|error| budget.failed(error))? {
            let (index, column) = cell.get_position();
            let Some(value) = value(cell.get_value(), limits.text_chars) else {
                continue;
            };
            let size = match &value {
                Value::Text(text) => text.len(),
                _ => 0,
            };
            budget.text(size)?;
            let number = u64::from(index) + 1;
            if number != row.number {
                if number < row.number {
                    return Err(SourceError::new(
                        SourceErrorKind::Format,
                        format!(
                            "the rows are out of order {} (row {number} after row {}); open it in a spreadsheet program and save it again",
                            place(name),
                            row.number
                        ),
                    ));
                }
                let width = row.cells.len();
                let finished = std::mem::replace(
                    &mut row,
                    RawRow {
                        number,
                        cells: Vec::with_capacity(width),
                    },
                );
                row_text = 0;
                if !finished.cells.is_empty() && table.row(finished)? == Flow::NoHeader {
                    return table.finish();
                }
            }
            row_text += size;
            if row_text > limits.record_bytes {
                let most = limits::bytes(limits.record_bytes as u64);
                return Err(guard::refused(format!(
                    "row {number} {} holds more than {most} of text",
                    place(name)
                )));
            }
            row.cells.push((column as usize, value));
            if row.cells.len() > limits.columns as usize {
                // The table says what is wrong, or that one column comes again and again.
                table.row(row)?;
                return Err(guard::refused(format!(
                    "row {number} {} has more than {} cells",
                    place(name),
                    limits.columns
                )));
            }
        }
        if !row.cells.is_empty() {
            table.row(row)?;
        }
        table.finish()
    }
}

/// What a cell holds; `None` for nothing. A text that is certainly longer than `longest` characters is not even
/// copied: a million cells may share it.
fn value(cell: &DataRef<'_>, longest: usize) -> Option<Value> {
    let text = match cell {
        DataRef::SharedString(text) => Some(*text),
        DataRef::String(text) => Some(text.as_str()),
        _ => None,
    };
    if text.is_some_and(|text| text.len() > longest.saturating_mul(4)) {
        return Some(Value::Fault(
            IssueKind::TooLong,
            format!("the text has more than {longest} characters"),
        ));
    }
    Some(match cell {
        DataRef::Empty => return None,
        DataRef::SharedString(text) => Value::Text((*text).to_owned()),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            Value::Text(text.clone())
        }
        DataRef::Int(number) => Value::Whole(*number),
        DataRef::Float(number) => whole(*number).map_or(Value::Real(*number), Value::Whole),
        DataRef::Bool(value) => Value::Bool(*value),
        DataRef::DateTime(moment) => Value::Text(iso(moment)),
        DataRef::Error(error) => Value::Fault(
            IssueKind::ErrorCell,
            format!("the cell holds the error {error}"),
        ),
    })
    .filter(|value| !value.is_blank())
}

/// Workbooks have one kind of number; a whole one is meant as a whole one, as far as it is exact.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// A moment as ISO 8601 text: a date, a date with its time, a time of day, or hours beyond a day.
fn iso(moment: &ExcelDateTime) -> String {
    let serial = moment.as_f64();
    if moment.is_duration() {
        let seconds = (serial * 86_400.0).round() as i64;
        let (sign, seconds) = (if seconds < 0 { "-" } else { "" }, seconds.unsigned_abs());
        return format!(
            "{sign}{}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        );
    }
    let (year, month, day, hour, minute, second, milli) = moment.to_ymd_hms_milli();
    let fraction = if milli == 0 {
        String::new()
    } else {
        format!(".{milli:03}")
    };
    let time = format!("{hour:02}:{minute:02}:{second:02}{fraction}");
    if (0.0..1.0).contains(&serial) {
        return time;
    }
    if serial.fract() == 0.0 {
        return format!("{year:04}-{month:02}-{day:02}");
    }
    format!("{year:04}-{month:02}-{day:02}T{time}")
}

fn place(sheet: &str) -> String {
    format!("in sheet {sheet:?}")
}

/// The sheet by its name, else by its number from 1.
fn find_sheet<'a>(wanted: &str, sheets: &'a [(String, bool)]) -> Result<&'a str, SourceError> {
    let folded = wanted.trim().to_lowercase();
    let exact = sheets.iter().find(|(name, _)| name == wanted);
    let found = exact
        .or_else(|| {
            let mut alike = sheets.iter();
            alike.find(|(name, _)| name.trim().to_lowercase() == folded)
        })
        .or_else(|| sheets.get(folded.parse::<usize>().ok()?.checked_sub(1)?));
    if let Some((name, _)) = found {
        return Ok(name);
    }
    let names = || sheets.iter().map(|(name, _)| name.as_str());
    let hint = nearest(wanted, names()).map_or_else(String::new, |near| {
        format!("; did you mean --sheet {near:?}")
    });
    Err(SourceError::new(
        SourceErrorKind::Columns,
        format!("no sheet {wanted:?} (sheets: {}){hint}", list(names())),
    ))
}

fn notices_about(sheets: &[(String, bool)]) -> Vec<String> {
    let hidden = sheets
        .iter()
        .filter(|(_, visible)| !visible)
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>();
    if hidden.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "hidden sheets left out: {} (read one with --sheet NAME)",
        list(hidden)
    )]
}

fn damaged() -> SourceError {
    SourceError::new(
        SourceErrorKind::Format,
        "the workbook is damaged; open it in a spreadsheet program and save it again",
    )
}

fn failed(error: XlsxError) -> SourceError {
    match error {
        XlsxError::Password => SourceError::new(
            SourceErrorKind::Format,
            "the workbook is protected by a password; open it, remove the password under File > Info, save, and run again",
        ),
        // The parser does not say where, and gives up at the first error it has no name for.
        XlsxError::CellError(error) => SourceError::new(
            SourceErrorKind::Format,
            format!("a cell holds the unknown error {error:?}; replace it, save, and run again"),
        ),
        other => damaged().with_source(other),
    }
}

#[cfg(test)]
mod tests;
