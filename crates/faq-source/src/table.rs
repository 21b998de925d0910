//! Rows and columns, whichever format they come from: finds the header among the first rows, gives each column its
//! place, and turns the rows below it into drafts. Rows stream through; only those before the header are held.

use std::sync::Arc;

use storage_core::Locator;

use crate::collect::{Collector, Draft, Target, Value};
use crate::columns::{Assignment, Field, Mapping};
use crate::data_set;
use crate::suggest::list;
use crate::{IssueKind, SourceError, SourceErrorKind, SourceLimits, SourceSnapshot};

/// How far a header is looked for: a title, a date and a remark stand above it, not a page.
const HEADER_WITHIN: usize = 20;

/// A row with its number and the cells that hold something.
#[derive(Debug)]
pub(crate) struct RawRow {
    pub(crate) number: u64,
    pub(crate) cells: Vec<(usize, Value)>,
}

/// What a row did to the reading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    /// No header among the first rows: what follows need not be read.
    NoHeader,
}

/// What a reader knows about its table.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// For messages: `in sheet "FAQ"`.
    pub(crate) place: String,
    /// For locators.
    pub(crate) sheet: Option<String>,
    /// The row of the headers, where it was given.
    pub(crate) header_row: Option<u64>,
    /// Accept a header only when it has a question and everything that was mapped: the sheet is one of several.
    pub(crate) choosy: bool,
    /// Columns are named by letter, else by header.
    pub(crate) letters: bool,
    /// A row that is longer than the header is broken (CSV), else has cells beside the table (workbook).
    pub(crate) strict_width: bool,
    /// The format has no types: what a data set's text spells is its value.
    pub(crate) untyped: bool,
}

#[derive(Debug)]
struct Column {
    target: Target,
    /// Its name, which no other column has.
    key: Arc<str>,
    label: String,
}

/// Takes the rows of one table in order.
#[derive(Debug)]
pub(crate) struct TableReader {
    shape: Shape,
    mapping: Mapping,
    limits: SourceLimits,
    collector: Collector,
    waiting: Vec<RawRow>,
    columns: Option<Vec<Option<Column>>>,
    /// The rows are those of a data set.
    data_set: bool,
    id_column: Option<String>,
    cells: u64,
    used: Vec<bool>,
    beside: Option<(usize, u64)>,
}

impl TableReader {
    pub(crate) fn new(
        shape: Shape,
        mapping: &Mapping,
        collector: Collector,
        limits: &SourceLimits,
    ) -> Self {
        Self {
            shape,
            mapping: mapping.clone(),
            limits: *limits,
            collector,
            waiting: Vec::new(),
            columns: None,
            data_set: false,
            id_column: None,
            cells: 0,
            used: Vec::new(),
            beside: None,
        }
    }

    /// Takes the next row that holds anything.
    pub(crate) fn row(&mut self, row: RawRow) -> Result<Flow, SourceError> {
        self.count(&row)?;
        if self.columns.is_some() {
            self.data(row)?;
            return Ok(Flow::Continue);
        }
        match self.shape.header_row {
            Some(header) if row.number < header => return Ok(Flow::Continue),
            Some(header) if row.number > header => return Ok(Flow::NoHeader),
            Some(_) => {
                let fits = self.fits(&self.mapping.assign(&headers(&row)), &row);
                self.waiting.push(row);
                if self.shape.choosy && !fits {
                    return Ok(Flow::NoHeader);
                }
                return self.start(0);
            }
            None => {}
        }
        let found = self.fits(&self.mapping.assign(&headers(&row)), &row);
        self.waiting.push(row);
        if found && !self.mapping.takes_data_sets() {
            return self.start(self.waiting.len() - 1);
        }
        if self.waiting.len() == HEADER_WITHIN {
            return self.settle();
        }
        Ok(Flow::Continue)
    }

    /// After the last row.
    pub(crate) fn finish(mut self) -> Result<Finished, SourceError> {
        if self.columns.is_none() && self.settle()? == Flow::NoHeader {
            let fullest = self.waiting.iter().rev().max_by_key(|row| row.cells.len());
            return Ok(Finished::NoHeader {
                headers: fullest.map(headers),
                wide: self
                    .waiting
                    .iter()
                    .filter(|row| row.cells.len() > 1)
                    .count(),
            });
        }
        if let Some((column, row)) = self.beside {
            self.collector.notice(format!(
                "column {} holds values without a header (first: row {row}); left out",
                letter(column)
            ));
        }
        let snapshot = self.collector.finish(self.id_column.as_deref());
        Ok(Finished::Read(Box::new(snapshot)))
    }

    /// After the last row of a table whose header is known.
    pub(crate) fn snapshot(self) -> Result<SourceSnapshot, SourceError> {
        let place = self.shape.place.clone();
        match self.finish()? {
            Finished::Read(snapshot) => Ok(*snapshot),
            Finished::NoHeader { headers, .. } => {
                let headers = headers.unwrap_or_default();
                let place = &place;
                Err(Mapping::default().no_question(&headers, place))
            }
        }
    }

    /// Adds a line for a person.
    pub(crate) fn notice(&mut self, notice: String) {
        self.collector.notice(notice);
    }

    fn fits(&self, assignment: &Assignment, row: &RawRow) -> bool {
        assignment.position(Field::Question).is_some()
            && (!self.shape.choosy || self.mapping.check(&headers(row), "").is_ok())
    }

    /// No row has a question: an answer will do, unless the sheet is one of several.
    fn settle(&mut self) -> Result<Flow, SourceError> {
        if self.mapping.takes_data_sets() {
            return self.settle_any();
        }
        if self.shape.choosy || self.shape.header_row.is_some() {
            return Ok(Flow::NoHeader);
        }
        let answers = self.waiting.iter().position(|row| {
            let assignment = self.mapping.assign(&headers(row));
            assignment.position(Field::Answer).is_some()
        });
        match answers {
            Some(position) => self.start(position),
            None => Ok(Flow::NoHeader),
        }
    }

    /// As [`settle`](Self::settle), where a data set will do. Among its rows one may hold the word "question" or "text":
    /// below what looks like the header, only a row with both fields is one.
    fn settle_any(&mut self) -> Result<Flow, SourceError> {
        if self.shape.header_row.is_some() {
            return Ok(Flow::NoHeader);
        }
        let Some(header) = data_set::header(&self.waiting) else {
            return Ok(Flow::NoHeader);
        };
        let assigned = |row: &RawRow, field| {
            let assignment = self.mapping.assign(&headers(row));
            assignment.position(field).is_some()
        };
        let faq = self.waiting.iter().enumerate().position(|(at, row)| {
            self.fits(&self.mapping.assign(&headers(row)), row)
                && (at <= header || assigned(row, Field::Answer))
        });
        let faq = faq.or_else(|| {
            let mut rows = self.waiting.iter().take(header + 1);
            rows.position(|row| !self.shape.choosy && assigned(row, Field::Answer))
        });
        match faq {
            Some(position) => self.start(position),
            None if self.shape.choosy => Ok(Flow::NoHeader),
            None => self.start(header),
        }
    }

    fn start(&mut self, position: usize) -> Result<Flow, SourceError> {
        let mut rows = std::mem::take(&mut self.waiting).into_iter().skip(position);
        if let Some(header) = rows.next() {
            self.adopt(headers(&header))?;
        }
        for row in rows {
            self.data(row)?;
        }
        Ok(Flow::Continue)
    }

    fn adopt(&mut self, headers: Vec<String>) -> Result<(), SourceError> {
        let place = &self.shape.place;
        self.mapping.check(&headers, place)?;
        let mut assignment = self.mapping.assign(&headers);
        if assignment
            .position(Field::Question)
            .or(assignment.position(Field::Answer))
            .is_none()
        {
            if !self.mapping.takes_data_sets() {
                return Err(self.mapping.no_question(&headers, place));
            }
            if !data_set::are_names(headers.iter().map(String::as_str)) {
                return Err(SourceError::new(
                    SourceErrorKind::Columns,
                    format!(
                        "no names of columns {place} (found: {}); write them into the first row, or say where they are with \
                         --header-row N",
                        list(headers.iter().map(String::as_str))
                    ),
                ));
            }
            assignment = self.mapping.assign_data_set(&headers);
            self.data_set = true;
            self.collector.is_data_set();
        }
        let mut keys: Vec<String> = Vec::with_capacity(headers.len());
        let mut columns = Vec::with_capacity(headers.len());
        for (position, header) in headers.into_iter().enumerate() {
            if header.is_empty() {
                columns.push(None);
                keys.push(header);
                continue;
            }
            let mut key = header.clone();
            let mut repetition = 1;
            while keys.contains(&key) {
                repetition += 1;
                key = format!("{header} ({repetition})");
            }
            keys.push(key.clone());
            let label = if self.shape.letters {
                letter(position)
            } else {
                key.clone()
            };
            let key: Arc<str> = key.into();
            let target = match assignment.field(position) {
                Some(field) => Target::Field(field),
                None => Target::Metadata {
                    required: self.mapping.requires(&key),
                    key: Arc::clone(&key),
                },
            };
            columns.push(Some(Column { target, label, key }));
        }
        self.id_column = assignment
            .position(Field::Id)
            .and_then(|position| keys.get(position).cloned());
        self.columns = Some(columns);
        Ok(())
    }

    fn data(&mut self, row: RawRow) -> Result<(), SourceError> {
        let columns = self.columns.as_deref().unwrap_or_default();
        let mut draft = Draft::default();
        let mut beside = None;
        let mut width = 0;
        for (position, value) in row.cells {
            if value.is_blank() {
                continue;
            }
            width = position + 1;
            match columns.get(position) {
                Some(Some(column)) if self.data_set => {
                    let typed = self.shape.untyped;
                    draft.put_data(
                        &column.target,
                        &column.key,
                        &column.label,
                        value,
                        typed,
                        &self.limits,
                    );
                }
                Some(Some(column)) => {
                    draft.put(&column.target, &column.label, value, &self.limits);
                }
                _ => beside = beside.or(Some(position)),
            }
        }
        if self.shape.strict_width && width > columns.len() {
            let problem = format!(
                "the row has {width} fields, the header {}; put quotes around a field that holds the delimiter",
                columns.len()
            );
            draft.issue(IssueKind::Malformed, None, problem);
        } else if let Some(position) = beside {
            self.beside = self.beside.or(Some((position, row.number)));
        }
        let locator = Locator {
            sheet: self.shape.sheet.clone(),
            row: Some(row.number),
            ..Locator::default()
        };
        self.collector.push(draft, locator)
    }

    /// Cells and columns in use, as they come: no declared size is believed.
    fn count(&mut self, row: &RawRow) -> Result<(), SourceError> {
        const WIDEST: usize = 16_384;
        let limit = |message: String| Err(SourceError::new(SourceErrorKind::Limit, message));
        self.cells += row.cells.len() as u64;
        if self.cells > self.limits.cells {
            return limit(format!(
                "the table has more than {} cells in use; split it",
                self.limits.cells
            ));
        }
        for (position, _) in &row.cells {
            if *position >= WIDEST {
                return limit(format!(
                    "row {} has a cell past column {WIDEST}",
                    row.number
                ));
            }
            if *position >= self.used.len() {
                self.used.resize(*position + 1, false);
            }
            self.used[*position] = true;
        }
        // Rows are narrower than the limit until proven otherwise, so this is rarely more than a comparison.
        let columns = self.limits.columns as usize;
        if self.used.len() > columns && self.used.iter().filter(|used| **used).count() > columns {
            return limit(format!(
                "the table has more than {columns} columns in use; delete what is no FAQ"
            ));
        }
        Ok(())
    }
}

/// How a table ended.
#[derive(Debug)]
pub(crate) enum Finished {
    Read(Box<SourceSnapshot>),
    /// No row has a question or an answer; the fullest of the first rows, where there is any row.
    NoHeader {
        headers: Option<Vec<String>>,
        /// How many of the first rows have more than one cell: a title and remarks have one each.
        #[allow(dead_code, reason = "only a workbook has sheets to choose from")]
        wide: usize,
    },
}

fn headers(row: &RawRow) -> Vec<String> {
    let width = row.cells.iter().map(|(position, _)| position + 1).max();
    let mut headers = vec![String::new(); width.unwrap_or_default()];
    for (position, value) in &row.cells {
        if let Some(text) = value.clone().into_text() {
            headers[*position] = text
                .trim_matches(|char: char| char.is_whitespace() || char == '\u{feff}')
                .to_owned();
        }
    }
    headers
}

/// The letters of a column, from 0: A, B, …, Z, AA.
pub(crate) fn letter(position: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = position + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    letters.iter().rev().collect()
}
