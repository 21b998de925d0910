//! CSV as spreadsheet programs write it: the delimiter, the encoding and the quoting are found out, rows are counted
//! as the program counts them.

mod encoding;
mod scan;

use csv::ByteRecord;

use crate::collect::{Collector, Value};
use crate::columns::{Field, Mapping};
use crate::input::SourceFile;
use crate::table::{Finished, Flow, RawRow, Shape, TableReader};
use crate::{
    FaqSource, IssueKind, SourceError, SourceErrorKind, SourceLimits, SourceOptions,
    SourceSnapshot, limits,
};

use encoding::Text;
use scan::Scanned;

/// Prepares the reader; nothing is read yet.
pub(crate) fn open(
    file: SourceFile,
    options: SourceOptions,
) -> Result<Box<dyn FaqSource>, SourceError> {
    Ok(Box::new(Delimited {
        mapping: Mapping::new(&options)?,
        file,
        options,
    }))
}

#[derive(Debug)]
struct Delimited {
    file: SourceFile,
    options: SourceOptions,
    mapping: Mapping,
}

impl FaqSource for Delimited {
    fn describe(&self) -> String {
        format!("table {}", self.file.location)
    }

    fn read(&mut self, limits: &SourceLimits) -> Result<SourceSnapshot, SourceError> {
        let bytes = self.file.load(limits)?;
        self.read_bytes(&bytes, limits)
            .map_err(|error| error.located(&self.file.location))
    }
}

const PLACE: &str = "in the table";

impl Delimited {
    fn read_bytes(
        &self,
        bytes: &[u8],
        limits: &SourceLimits,
    ) -> Result<SourceSnapshot, SourceError> {
        let mut text = encoding::sniff(bytes)?;
        let delimiter = match text.take_separator_line() {
            Some(delimiter) => delimiter,
            None => self.sniff_delimiter(&text),
        };
        let mut collector = Collector::new("csv", &self.file, limits);
        collector.hold(bytes.len() as u64)?;
        if let Some(notice) = text.notice() {
            collector.notice(notice);
        }
        let shape = Shape {
            place: PLACE.to_owned(),
            sheet: None,
            header_row: self.options.header_row.map(u64::from),
            choosy: false,
            letters: false,
            strict_width: true,
            untyped: true,
        };
        let mut table = TableReader::new(shape, &self.mapping, collector, limits);
        let mut reader = reader(
            Scanned::new(text.reader(), delimiter, limits.record_bytes),
            delimiter,
        );
        let mut record = ByteRecord::new();
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(failed(&reader, error, limits)),
            }
            let number = reader.get_mut().next_row();
            let row = RawRow {
                number,
                cells: cells(&record, &text),
            };
            if !row.cells.is_empty() && table.row(row)? == Flow::NoHeader {
                break;
            }
        }
        if let Some((row, line)) = reader.get_ref().unclosed() {
            // Everything behind the quote was taken for text: going on would look like rows that were deleted.
            return Err(SourceError::new(
                SourceErrorKind::Format,
                format!(
                    "the quote opened in row {row} (line {line}) is never closed; close or double it"
                ),
            ));
        }
        match table.finish()? {
            Finished::Read(snapshot) => Ok(*snapshot),
            Finished::NoHeader {
                headers: Some(headers),
                ..
            } => {
                self.mapping.check(&headers, PLACE)?;
                Err(self.mapping.no_faq(&headers, PLACE))
            }
            Finished::NoHeader { headers: None, .. } => Err(match self.options.header_row {
                Some(row) => SourceError::new(
                    SourceErrorKind::Columns,
                    format!("row {row} holds no headers"),
                ),
                None => SourceError::new(SourceErrorKind::Empty, "there is no row in the file"),
            }),
        }
    }

    /// Tries each delimiter on the first records: the one that shows known headers wins, then the one that gives
    /// every record the same number of fields.
    fn sniff_delimiter(&self, text: &Text<'_>) -> u8 {
        const RECORDS: usize = 20;
        let head = text.head();
        let mut best = ((0, 0, 0), b',');
        for delimiter in *b",;\t|" {
            let mut reader = reader(&head[..], delimiter);
            let records = reader
                .byte_records()
                .map_while(Result::ok)
                .take(RECORDS)
                .map(|record| {
                    let fields = record
                        .iter()
                        .map(|field| String::from_utf8_lossy(field).into_owned());
                    fields.collect::<Vec<_>>()
                })
                .collect::<Vec<_>>();
            let known = records
                .iter()
                .map(|record| {
                    let assignment = self.mapping.assign(record);
                    let fields = Field::ALL.into_iter();
                    fields
                        .filter(|field| assignment.position(*field).is_some())
                        .count()
                })
                .max()
                .unwrap_or_default();
            let width = records.first().map_or(0, Vec::len);
            let even = if width > 1 {
                records
                    .iter()
                    .filter(|record| record.len() == width)
                    .count()
            } else {
                0
            };
            let score = (known, even, width);
            if score > best.0 {
                best = (score, delimiter);
            }
        }
        best.1
    }
}

fn reader<R: std::io::Read>(input: R, delimiter: u8) -> csv::Reader<R> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(input)
}

fn cells(record: &ByteRecord, text: &Text<'_>) -> Vec<(usize, Value)> {
    let mut cells = Vec::with_capacity(record.len());
    for (position, field) in record.iter().enumerate() {
        let value = match std::str::from_utf8(field) {
            Ok(field) if text.marks_errors() && field.contains('\u{fffd}') => undecodable(),
            Ok(field) => Value::Text(field.to_owned()),
            Err(_) => undecodable(),
        };
        if !value.is_blank() {
            cells.push((position, value));
        }
    }
    cells
}

fn undecodable() -> Value {
    let problem = "the text is not valid in the file's encoding".to_owned();
    Value::Fault(IssueKind::BadText, problem)
}

fn failed<R: std::io::Read>(
    reader: &csv::Reader<Scanned<R>>,
    error: csv::Error,
    limits: &SourceLimits,
) -> SourceError {
    match reader.get_ref().too_long() {
        Some((row, line)) => SourceError::new(
            SourceErrorKind::Limit,
            format!(
                "row {row} (line {line}) is longer than {}; is a quote missing there",
                limits::bytes(limits.record_bytes as u64)
            ),
        ),
        None => {
            SourceError::new(SourceErrorKind::Format, "the table cannot be read").with_source(error)
        }
    }
}

#[cfg(test)]
mod tests;
