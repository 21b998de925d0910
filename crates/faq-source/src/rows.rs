//! Rows that come from elsewhere than a file, a database for instance: columns with names first, then cell after cell.
//! They go through the same two places as a file's.

use crate::collect::{Collector, Value};
use crate::columns::Mapping;
use crate::table::{RawRow, Shape, TableReader};
use crate::{IssueKind, SourceError, SourceLimits, SourceOptions, SourceSnapshot};
use storage_core::{Locator, MetadataValue};

/// Where rows come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowsOrigin {
    /// The word for a snapshot's kind.
    pub kind: String,
    /// Where it is, as a person writes it; never holds a secret.
    pub location: String,
    /// What makes it the same source the next time.
    pub name: String,
    /// For messages about columns: `in table products`.
    pub place: String,
}

/// A cell's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A value with its type.
    Value(MetadataValue),
    /// What no value could be made of, and why.
    Fault(IssueKind, String),
}

/// Gathers rows into a snapshot.
#[derive(Debug)]
pub struct Rows {
    table: TableReader,
}

impl Rows {
    /// Decides which column is which.
    ///
    /// # Errors
    /// When a column that was named is missing, or none is the question or the answer.
    pub fn new(
        origin: RowsOrigin,
        columns: &[String],
        options: &SourceOptions,
        limits: &SourceLimits,
    ) -> Result<Self, SourceError> {
        let RowsOrigin {
            kind,
            location,
            name,
            place,
        } = origin;
        let collector = Collector::named(&kind, &location, &name, limits);
        let shape = Shape {
            place,
            sheet: None,
            header_row: Some(0),
            choosy: false,
            letters: false,
            strict_width: false,
            untyped: false,
        };
        let mut table = TableReader::new(shape, &Mapping::new(options)?, collector, limits);
        let header = columns.iter().cloned().map(Value::Text);
        table.row(RawRow {
            number: 0,
            cells: header.enumerate().collect(),
        })?;
        Ok(Self { table })
    }

    /// Takes a row, counted from 1: the cells that hold something, by the position of their column.
    ///
    /// # Errors
    /// When a limit is passed.
    pub fn push(
        &mut self,
        number: u64,
        cells: impl IntoIterator<Item = (usize, Cell)>,
    ) -> Result<(), SourceError> {
        let cells = cells
            .into_iter()
            .map(|(position, cell)| (position, Value::from(cell)))
            .collect();
        self.table.row(RawRow { number, cells }).map(|_| ())
    }

    /// Adds a line for a person.
    pub fn notice(&mut self, notice: String) {
        self.table.notice(notice);
    }

    /// After the last row. Rows of a table have no place to cite: without an order of their own, where one stands
    /// differs from day to day. What was wrong with one keeps its number.
    ///
    /// # Errors
    /// When no column was found; [`Rows::new`] refused that already.
    pub fn finish(self) -> Result<SourceSnapshot, SourceError> {
        let mut snapshot = self.table.snapshot()?;
        for row in &mut snapshot.rows {
            row.locator = Locator::default();
        }
        Ok(snapshot)
    }
}

impl From<Cell> for Value {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Value(MetadataValue::String(text)) => Self::Text(text),
            Cell::Value(MetadataValue::I64(number)) => Self::Whole(number),
            Cell::Value(MetadataValue::F64(number)) => Self::Real(number),
            Cell::Value(MetadataValue::Bool(value)) => Self::Bool(value),
            Cell::Value(MetadataValue::List(values)) => Self::List(values),
            Cell::Fault(kind, problem) => Self::Fault(kind, problem),
        }
    }
}
