//! One reading: one transaction that may not write, one cursor, row after row.

use std::future::Future;
use std::time::Duration;

use faq_source::{
    Cell, IssueKind, Rows, RowsOrigin, SourceError, SourceErrorKind, SourceLimits, SourceSnapshot,
    list, nearest,
};
use futures_util::{StreamExt, pin_mut};
use storage_core::MetadataValue;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, IsolationLevel, Row, Transaction};

use crate::Relation;
use crate::failure::Asked;
use crate::source::{CatalogOptions, KIND};
use crate::values::Shape;

/// A little longer than the server lets a statement run: then it is not the statement.
const PATIENCE: Duration = Duration::from_secs(310);

/// Rows that are fetched at a time.
const FETCHED: usize = 500;

/// Reads everything.
pub(crate) async fn read(
    options: &CatalogOptions,
    limits: &SourceLimits,
) -> Result<SourceSnapshot, SourceError> {
    let place = options.connect.describe();
    let asked = Asked {
        place: &place,
        relation: &options.relation,
    };
    let mut connected = options.connect.connect().await?;
    let transaction = within(
        asked,
        connected
            .client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start(),
    )
    .await?;
    within(
        asked,
        transaction.batch_execute(include_str!("queries/settings.sql")),
    )
    .await?;
    let query = options.relation.query();
    let described = match tokio::time::timeout(PATIENCE, transaction.prepare(&query)).await {
        Err(_) => return Err(asked.silent()),
        Ok(Ok(statement)) => statement,
        Ok(Err(error)) => {
            let missing = error.code() == Some(&SqlState::UNDEFINED_TABLE);
            let failed = asked.failed(&error);
            drop(transaction);
            return Err(match missing {
                true => meant(&connected.client, asked).await.unwrap_or(failed),
                false => failed,
            });
        }
    };
    let columns: Vec<Column> = described.columns().iter().map(Column::of).collect();
    let plan = Plan::new(options, &columns)?;
    let mut rows = plan.rows(options, limits)?;
    let cursor = declare(&query, &columns, limits);
    within(asked, transaction.execute_typed(&cursor, &[])).await?;
    let mut counts = Counts::default();
    while fetch(&transaction, asked, &plan, limits, &mut rows, &mut counts).await? {}
    // Nothing was written: this only spares the server's log a client that leaves in the middle.
    within(asked, transaction.rollback()).await?;
    plan.notices(&mut rows, &counts);
    rows.finish()
}

/// Waits for an answer as long as one may take.
async fn within<T>(
    asked: Asked<'_>,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, SourceError> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(|error| asked.failed(&error)),
        Err(_) => Err(asked.silent()),
    }
}

/// A column of the query.
#[derive(Debug)]
struct Column {
    name: String,
    kind: String,
    shape: Option<Shape>,
}

impl Column {
    fn of(column: &tokio_postgres::Column) -> Self {
        Self {
            name: column.name().to_owned(),
            kind: column.type_().name().to_owned(),
            shape: Shape::of(column.type_()),
        }
    }
}

/// The cursor. The query stands on lines of its own: it may end with a comment. Columns are named anew, as a query may
/// have two of one name.
fn declare(query: &str, columns: &[Column], limits: &SourceLimits) -> String {
    let wanted: Vec<String> = columns
        .iter()
        .enumerate()
        .filter_map(|(at, column)| Some(column.shape?.expression(&format!("q.c{at}"), limits)))
        .collect();
    let names: Vec<String> = (0..columns.len()).map(|at| format!("c{at}")).collect();
    format!(
        "DECLARE smart_support_rows NO SCROLL CURSOR FOR SELECT {}\nFROM (\n{query}\n) AS q ({})",
        wanted.join(", "),
        names.join(", ")
    )
}

/// Which column is what.
#[derive(Debug)]
struct Plan {
    /// Columns that are read: position among those that are shown, and shape.
    read: Vec<(Option<usize>, Shape)>,
    /// The names of those that are shown.
    shown: Vec<String>,
    mapping: Vec<(String, String)>,
    left_out: Vec<String>,
    /// The name of the column that says whether a row counts.
    active: Option<String>,
}

/// Rows that were seen.
#[derive(Debug, Default)]
struct Counts {
    seen: u64,
    inactive: u64,
}

impl Plan {
    fn new(options: &CatalogOptions, columns: &[Column]) -> Result<Self, SourceError> {
        let names = || columns.iter().map(|column| column.name.as_str());
        let place = place(&options.relation);
        if columns.is_empty() {
            return Err(SourceError::new(
                SourceErrorKind::Columns,
                format!(
                    "{} gives no columns; name them: SELECT id, name, description FROM …",
                    options.relation
                ),
            ));
        }
        let has = |wanted: &str| names().find(|name| name.eq_ignore_ascii_case(wanted));
        let mut mapping = options.mapping.clone();
        let given = |mapping: &[(String, String)], field: &str| {
            mapping
                .iter()
                .position(|(given, _)| given.trim().eq_ignore_ascii_case(field))
        };
        let active = match given(&mapping, "active") {
            None => has("active").map(str::to_owned),
            Some(at) => {
                let (_, column) = mapping.remove(at);
                if given(&mapping, "active").is_some() {
                    return Err(SourceError::new(
                        SourceErrorKind::Columns,
                        "--map names the field active twice",
                    ));
                }
                let column = column.trim();
                let found = has(column);
                if found.is_none() && !column.is_empty() {
                    return Err(no_column(
                        "active",
                        column,
                        &place,
                        &names().collect::<Vec<_>>(),
                    ));
                }
                found.map(str::to_owned)
            }
        };
        // What a catalogue calls them, the surest name first.
        for (field, known) in [
            ("id", ["id", "id"]),
            ("question", ["name", "title"]),
            ("answer", ["description", "description"]),
        ] {
            let found = known.into_iter().find_map(has);
            if let (None, Some(column)) = (given(&mapping, field), found) {
                mapping.push((field.to_owned(), column.to_owned()));
            }
        }
        let id = given(&mapping, "id").map(|at| mapping[at].1.as_str());
        if id.is_none_or(|column| column.trim().is_empty()) {
            return Err(SourceError::new(
                SourceErrorKind::Columns,
                format!(
                    "no id column {place} (columns: {}); rows of a table are told apart by their ids: select one, or name \
                     it with --map id=COLUMN",
                    list(names())
                ),
            ));
        }
        let mut plan = Self {
            read: Vec::new(),
            shown: Vec::new(),
            mapping,
            left_out: Vec::new(),
            active,
        };
        for column in columns {
            let is_active = plan.active.as_deref() == Some(column.name.as_str());
            let says_yes_or_no =
                matches!(column.shape, Some(Shape::Bool | Shape::Whole | Shape::Text));
            match column.shape {
                _ if is_active && !says_yes_or_no => {
                    return Err(SourceError::new(
                        SourceErrorKind::Columns,
                        format!(
                            "column {:?} {place} is of type {}, which says neither yes nor no; leave it aside with \
                             --map active=",
                            column.name, column.kind
                        ),
                    ));
                }
                None => plan
                    .left_out
                    .push(format!("{} ({})", column.name, column.kind)),
                Some(shape) if is_active => plan.read.push((None, shape)),
                Some(shape) => {
                    plan.read.push((Some(plan.shown.len()), shape));
                    plan.shown.push(column.name.clone());
                }
            }
        }
        Ok(plan)
    }

    fn rows(&self, options: &CatalogOptions, limits: &SourceLimits) -> Result<Rows, SourceError> {
        let origin = RowsOrigin {
            kind: KIND.to_owned(),
            location: options.location(),
            name: options.relation.name(),
            place: place(&options.relation),
        };
        let columns = options.columns(self.mapping.clone());
        Rows::new(origin, &self.shown, &columns, limits)
    }

    fn notices(&self, rows: &mut Rows, counts: &Counts) {
        if !self.left_out.is_empty() {
            let names = self.left_out.iter().map(String::as_str);
            rows.notice(format!(
                "columns whose type is no metadata are left out: {}",
                list(names)
            ));
        }
        if let (Some(active), true) = (&self.active, counts.inactive > 0) {
            rows.notice(format!(
                "{} of {} rows are left out: column {active:?} says they are not active",
                counts.inactive, counts.seen
            ));
        }
    }

    /// Takes one row, or leaves it out.
    fn take(
        &self,
        row: &Row,
        asked: Asked<'_>,
        limits: &SourceLimits,
        rows: &mut Rows,
        counts: &mut Counts,
    ) -> Result<(), SourceError> {
        counts.seen += 1;
        let mut cells = Vec::with_capacity(self.read.len());
        let mut bytes = 0;
        for (at, (shown, shape)) in self.read.iter().enumerate() {
            let value = shape
                .value(row, at, limits)
                .map_err(|error| asked.failed(&error))?;
            match (shown, value) {
                (Some(shown), Some((cell, size))) => {
                    bytes += size;
                    cells.push((*shown, cell));
                }
                (Some(_), None) => {}
                (None, value) => match is_active(value.map(|(cell, _)| cell)) {
                    Ok(true) => {}
                    Ok(false) => {
                        counts.inactive += 1;
                        return Ok(());
                    }
                    Err(fault) => {
                        // It belongs to the row, and shows there: under the first column.
                        cells.push((0, fault));
                    }
                },
            }
        }
        if bytes > limits.record_bytes {
            return Err(SourceError::new(
                SourceErrorKind::Limit,
                format!(
                    "row {} {} holds more than {} bytes; select fewer columns",
                    counts.seen,
                    place(asked.relation),
                    limits.record_bytes
                ),
            ));
        }
        rows.push(counts.seen, cells)
    }
}

/// Takes the next rows; whether there may be more.
async fn fetch(
    transaction: &Transaction<'_>,
    asked: Asked<'_>,
    plan: &Plan,
    limits: &SourceLimits,
    rows: &mut Rows,
    counts: &mut Counts,
) -> Result<bool, SourceError> {
    let before = counts.seen;
    let fetched = async {
        let statement = format!("FETCH FORWARD {FETCHED} FROM smart_support_rows");
        let none: [(&str, tokio_postgres::types::Type); 0] = [];
        let stream = transaction
            .query_typed_raw(&statement, none)
            .await
            .map_err(|error| asked.failed(&error))?;
        pin_mut!(stream);
        while let Some(row) = stream.next().await {
            let row = row.map_err(|error| asked.failed(&error))?;
            plan.take(&row, asked, limits, rows, counts)?;
        }
        Ok(())
    };
    match tokio::time::timeout(PATIENCE, fetched).await {
        Ok(outcome) => outcome?,
        Err(_) => return Err(asked.silent()),
    }
    Ok(counts.seen - before == FETCHED as u64)
}

/// Whether a row counts: NULL is no.
fn is_active(value: Option<Cell>) -> Result<bool, Cell> {
    const YES: [&str; 8] = ["true", "t", "yes", "y", "on", "1", "active", "да"];
    const NO: [&str; 9] = ["false", "f", "no", "n", "off", "0", "inactive", "нет", ""];
    let text = match value {
        None => return Ok(false),
        Some(Cell::Value(MetadataValue::Bool(value))) => return Ok(value),
        Some(Cell::Value(MetadataValue::I64(number))) => return Ok(number != 0),
        Some(Cell::Value(other)) => other.to_string(),
        Some(fault) => return Err(fault),
    };
    let folded = text.trim().to_lowercase();
    match (
        YES.contains(&folded.as_str()),
        NO.contains(&folded.as_str()),
    ) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(Cell::Fault(
            IssueKind::Malformed,
            format!("whether it is active is {text:?}, which is neither yes nor no"),
        )),
    }
}

fn place(relation: &Relation) -> String {
    format!("in {relation}")
}

fn no_column(field: &str, column: &str, place: &str, names: &[&str]) -> SourceError {
    let hint = nearest(column, names.iter().copied()).map_or_else(String::new, |near| {
        format!("; did you mean --map {field}={near:?}")
    });
    SourceError::new(
        SourceErrorKind::Columns,
        format!(
            "no column {column:?} {place} (columns: {}){hint}",
            list(names.iter().copied())
        ),
    )
}

/// A table that is not there: the nearest one that is.
async fn meant(client: &Client, asked: Asked<'_>) -> Option<SourceError> {
    let (schema, table) = asked.relation.table()?;
    let found = client.query_typed(include_str!("queries/tables.sql"), &[]);
    let found = tokio::time::timeout(PATIENCE, found).await.ok()?.ok()?;
    let names: Vec<String> = found
        .iter()
        .filter_map(|row| {
            let (of, name): (&str, &str) = (row.try_get(0).ok()?, row.try_get(1).ok()?);
            let visible: bool = row.try_get(2).ok()?;
            Some(if visible && schema.is_none() {
                name.to_owned()
            } else {
                format!("{of}.{name}")
            })
        })
        .collect();
    let typed = asked.relation.name();
    let known = || names.iter().map(String::as_str);
    // The right table in another schema is nearer than any other name.
    let elsewhere = known().find(|name| name.rsplit('.').next() == Some(table));
    let hint = match (
        elsewhere.or_else(|| nearest(&typed, known())),
        names.is_empty(),
    ) {
        (Some(near), _) => format!("did you mean {near:?}"),
        (None, true) => "the database has no tables that can be seen".to_owned(),
        (None, false) => format!("there are {}", list(known())),
    };
    Some(SourceError::new(
        SourceErrorKind::Unreadable,
        format!("no table {typed:?} in {}; {hint}", asked.place),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_counts_unless_it_says_otherwise_or_nothing() {
        let text = |text: &str| Some(Cell::Value(MetadataValue::String(text.to_owned())));
        assert_eq!(is_active(None), Ok(false));
        assert_eq!(is_active(text(" Yes ")), Ok(true));
        assert_eq!(is_active(text("нет")), Ok(false));
        assert_eq!(
            is_active(Some(Cell::Value(MetadataValue::I64(2)))),
            Ok(true)
        );
        assert!(is_active(text("sold out")).is_err());
    }
}
