//! Checks row after row and gathers the snapshot: ids, repeated questions, limits. The readers only say which value
//! stands under which column; what is wrong with it is decided here, the same way for every format.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use storage_core::{ContentHash, Locator, MetadataValue, normalise};

use crate::columns::Field;
use crate::data_set;
use crate::input::SourceFile;
use crate::suggest::shorten;
use crate::{
    Identity, IssueKind, RowIssue, SourceError, SourceErrorKind, SourceLimits, SourceRow,
    SourceSnapshot, limits,
};

mod size;

/// A cell's value, in the type its format gave it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Whole(i64),
    Real(f64),
    Bool(bool),
    List(Vec<MetadataValue>),
    /// What the reader could make no value of: an error of the spreadsheet, bytes that do not decode.
    Fault(IssueKind, String),
}

impl Value {
    /// The value as text; `None` for what has none.
    pub(crate) fn into_text(self) -> Option<String> {
        Some(match self {
            Self::Text(text) => text,
            Self::Whole(number) => number.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::List(_) | Self::Fault(..) => return None,
        })
    }

    /// Whether there is nothing to see in the cell.
    pub(crate) fn is_blank(&self) -> bool {
        matches!(self, Self::Text(text) if trim(text).is_empty())
    }
}

/// What a column is to the system.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    Field(Field),
    Metadata {
        key: Arc<str>,
        /// The embed-text recipe names it, so an error cell in it makes the text wrong.
        required: bool,
    },
}

/// One row under construction.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    row: SourceRow,
    issues: Vec<(IssueKind, Option<String>, String)>,
    /// Further wordings of the question.
    pub(crate) variants: Vec<String>,
    /// Error cells in columns that nothing depends on.
    passed_over: Vec<(String, String)>,
    filled: bool,
}

impl Draft {
    /// Puts a value under its column. `label` names the column in an issue.
    pub(crate) fn put(
        &mut self,
        target: &Target,
        label: &str,
        value: Value,
        limits: &SourceLimits,
    ) {
        if value.is_blank() {
            return;
        }
        self.filled = true;
        let value = match value {
            Value::Text(text) => match checked(text, limits) {
                Ok(text) => Value::Text(text),
                Err((kind, problem)) => return self.issue(kind, Some(label), problem),
            },
            Value::Fault(kind, problem) => match target {
                Target::Metadata {
                    key,
                    required: false,
                } if kind == IssueKind::ErrorCell => {
                    self.passed_over.push((key.to_string(), problem));
                    return;
                }
                _ => return self.issue(kind, Some(label), problem),
            },
            other => other,
        };
        match target {
            Target::Metadata { key, .. } => {
                if let Some(value) = metadata(value) {
                    self.row.metadata.push(Arc::clone(key), value);
                }
            }
            Target::Field(field) => match value.into_text() {
                Some(text) => self.set(*field, text),
                None => {
                    let problem = format!("the {} is a list, not a text", field.name());
                    self.issue(IssueKind::Malformed, Some(label), problem);
                }
            },
        }
    }

    /// Puts a value of a data set under its column: it joins the row's text, as it is written, and its metadata, with its
    /// type. With `spelled`, a text is the value it spells.
    pub(crate) fn put_data(
        &mut self,
        target: &Target,
        key: &Arc<str>,
        label: &str,
        value: Value,
        spelled: bool,
        limits: &SourceLimits,
    ) {
        let value = match value {
            Value::Text(text) => match checked(text, limits) {
                Ok(text) => Value::Text(text),
                Err((kind, problem)) => {
                    self.filled = true;
                    return self.issue(kind, Some(label), problem);
                }
            },
            // What is wrong with a cell is the same in every table.
            Value::Fault(..) => return self.put(target, label, value, limits),
            other => other,
        };
        if value.is_blank() {
            return;
        }
        let value = match value {
            Value::Text(text) if spelled => {
                self.write_data(target, key, &text, limits);
                data_set::typed(&text)
            }
            other => {
                let Some(value) = metadata(other) else { return };
                self.write_data(target, key, &value.to_string(), limits);
                value
            }
        };
        self.row.metadata.push(Arc::clone(key), value);
    }

    fn write_data(&mut self, target: &Target, key: &str, text: &str, limits: &SourceLimits) {
        self.filled = true;
        let row = &mut self.row.answer;
        // Too long already, whatever follows; and long names of columns come again with every row.
        if row.len() > limits.text_chars.saturating_mul(4) {
            return;
        }
        if !row.is_empty() {
            row.push(' ');
        }
        row.push_str(key);
        row.push('=');
        row.push_str(text);
        if let Target::Field(field) = target {
            self.set(*field, text.to_owned());
        }
    }

    /// Notes a fault of the row.
    pub(crate) fn issue(&mut self, kind: IssueKind, column: Option<&str>, problem: String) {
        self.filled = true;
        self.issues.push((kind, column.map(str::to_owned), problem));
    }

    fn set(&mut self, field: Field, text: String) {
        match field {
            Field::Id => self.row.id = Some(text),
            Field::Question => self.row.question = text,
            Field::Answer => self.row.answer = text,
            Field::Category => self.row.category = Some(text),
            Field::Subcategory => self.row.subcategory = Some(text),
        }
    }
}

/// Trims a text and refuses what no backend stores.
pub(crate) fn checked(text: String, limits: &SourceLimits) -> Result<String, (IssueKind, String)> {
    let trimmed = trim(&text);
    if trimmed.contains('\0') {
        return Err((
            IssueKind::BadText,
            "the text holds the character NUL".to_owned(),
        ));
    }
    // A character takes at least a byte, so most texts need no counting.
    if trimmed.len() > limits.text_chars {
        let chars = trimmed.chars().count();
        if chars > limits.text_chars {
            return Err((
                IssueKind::TooLong,
                format!(
                    "the text has {chars} characters, more than {}",
                    limits.text_chars
                ),
            ));
        }
    }
    Ok(if trimmed.len() == text.len() {
        text
    } else {
        trimmed.to_owned()
    })
}

/// White space at both ends, and the invisible marks that editors and translators leave there.
fn trim(text: &str) -> &str {
    text.trim_matches(|char: char| {
        char.is_whitespace() || matches!(char, '\u{feff}' | '\u{200b}' | '\u{2060}')
    })
}

fn metadata(value: Value) -> Option<MetadataValue> {
    Some(match value {
        Value::Text(text) => MetadataValue::String(text),
        Value::Whole(number) => MetadataValue::I64(number),
        Value::Real(number) if number.is_finite() => MetadataValue::F64(number),
        Value::Real(number) => MetadataValue::String(number.to_string()),
        Value::Bool(value) => MetadataValue::Bool(value),
        Value::List(values) => MetadataValue::List(values),
        Value::Fault(..) => return None,
    })
}

/// Half a content hash: enough to tell a million texts apart.
type Digest = [u8; 16];

fn digest(text: &str) -> Digest {
    let mut half = Digest::default();
    for (half, whole) in half
        .iter_mut()
        .zip(ContentHash::of(text.as_bytes()).as_bytes())
    {
        *half = *whole;
    }
    half
}

/// Gathers the rows of one source.
#[derive(Debug)]
pub(crate) struct Collector {
    limits: SourceLimits,
    snapshot: SourceSnapshot,
    /// Rows of data so far, whatever became of them.
    taken: u64,
    /// The row of each id. The texts themselves are held once, in the rows.
    ids: HashMap<Digest, u64>,
    /// The row of each question, as it is compared, and a second number that tells the entries apart.
    questions: HashMap<Digest, (u32, u32)>,
    passed_over: BTreeMap<String, (u64, u64, String)>,
    /// Bytes that are held already.
    held: u64,
}

impl Collector {
    pub(crate) fn new(kind: &str, file: &SourceFile, limits: &SourceLimits) -> Self {
        let mut collector = Self::named(kind, &file.location, &file.name, limits);
        collector.snapshot.notices.clone_from(&file.notices);
        collector
    }

    /// For rows that come from no file.
    pub(crate) fn named(kind: &str, location: &str, name: &str, limits: &SourceLimits) -> Self {
        Self {
            limits: *limits,
            snapshot: SourceSnapshot {
                kind: kind.to_owned(),
                location: location.to_owned(),
                name: name.to_owned(),
                ..SourceSnapshot::default()
            },
            taken: 0,
            ids: HashMap::new(),
            questions: HashMap::new(),
            passed_over: BTreeMap::new(),
            held: 0,
        }
    }

    /// Counts what stays in memory. A short file may ask for very much of it: a long header comes with every row, an
    /// answer with every further wording.
    pub(crate) fn hold(&mut self, bytes: u64) -> Result<(), SourceError> {
        self.held = self.held.saturating_add(bytes);
        if self.held > self.limits.memory_bytes {
            return Err(SourceError::new(
                SourceErrorKind::Limit,
                format!(
                    "reading the source takes more than {} of memory; split it, or leave columns out",
                    limits::bytes(self.limits.memory_bytes)
                ),
            ));
        }
        Ok(())
    }

    /// From here on, rows are those of a data set.
    pub(crate) fn is_data_set(&mut self) {
        data_set::KIND.clone_into(&mut self.snapshot.kind);
    }

    /// Adds a line for a person.
    pub(crate) fn notice(&mut self, notice: String) {
        self.snapshot.notices.push(notice);
    }

    /// Takes a row, or the issues that keep it out. A row with nothing in it is no row.
    pub(crate) fn push(&mut self, mut draft: Draft, locator: Locator) -> Result<(), SourceError> {
        let number = locator.row.unwrap_or_default();
        for (key, problem) in draft.passed_over {
            let entry = self.passed_over.entry(key).or_insert((0, number, problem));
            entry.0 += 1;
        }
        if !draft.filled {
            return Ok(());
        }
        self.taken += 1;
        if self.taken > self.limits.rows {
            return Err(SourceError::new(
                SourceErrorKind::Limit,
                format!(
                    "the source has more than {} rows; split it",
                    self.limits.rows
                ),
            ));
        }
        let entry = self.taken;
        if draft.issues.is_empty()
            && draft.row.question.is_empty()
            && draft.row.answer.is_empty()
            && draft.variants.is_empty()
        {
            let problem = "neither question nor answer".to_owned();
            draft.issues.push((IssueKind::Empty, None, problem));
        }
        if self.snapshot.is_data_set() && draft.row.answer.len() > self.limits.text_chars {
            let chars = draft.row.answer.chars().count();
            if chars > self.limits.text_chars {
                let problem = format!(
                    "the row as a text has {chars} characters, more than {}; leave columns out",
                    self.limits.text_chars
                );
                draft.issues.push((IssueKind::TooLong, None, problem));
            }
        }
        if let Some(id) = &draft.row.id {
            match self.ids.entry(digest(id)) {
                Entry::Occupied(first) => {
                    let (id, first) = (shorten(id), first.get());
                    let problem = format!("the id {id:?} stands in row {first} already");
                    draft.issues.push((IssueKind::DuplicateId, None, problem));
                }
                Entry::Vacant(free) => {
                    free.insert(number);
                }
            }
        } else if !draft.variants.is_empty() {
            let problem = "further wordings (variants) need an id".to_owned();
            draft.issues.push((IssueKind::Malformed, None, problem));
        }
        draft.row.locator = locator;
        draft.row.metadata.settle();
        let rejected = draft.issues.iter().any(|(kind, ..)| kind.rejects());
        for (kind, column, problem) in draft.issues {
            self.issue(kind, &draft.row, column, problem);
        }
        if rejected {
            return self.hold(0);
        }
        let wordings = std::mem::take(&mut draft.variants);
        let cost = size::row(&draft.row);
        self.hold(cost)?;
        let first = self.snapshot.rows.len();
        self.compare(&draft.row, number, entry);
        self.snapshot.rows.push(draft.row);
        for (question, chunk) in wordings.into_iter().zip(1..) {
            // Each is a copy of the row, so it is counted before it is made.
            self.hold(cost)?;
            let row = SourceRow {
                question,
                chunk,
                ..self.snapshot.rows[first].clone()
            };
            self.compare(&row, number, entry);
            self.snapshot.rows.push(row);
        }
        Ok(())
    }

    /// Warns of a question that another entry asks already.
    fn compare(&mut self, row: &SourceRow, number: u64, entry: u64) {
        if row.question.is_empty() {
            return;
        }
        let question = normalise(&row.question).to_lowercase();
        // No file within the limits has as many lines or entries as that.
        let place = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let entry = place(entry);
        let (first, other) = *self
            .questions
            .entry(digest(&question))
            .or_insert((place(number), entry));
        if other != entry {
            let problem = format!("the question stands in row {first} already; both rows are kept");
            self.issue(IssueKind::DuplicateQuestion, row, None, problem);
        }
    }

    fn issue(&mut self, kind: IssueKind, row: &SourceRow, column: Option<String>, problem: String) {
        let issue = RowIssue {
            kind,
            id: row.id.clone(),
            locator: row.locator.clone(),
            column,
            problem,
        };
        self.held = self.held.saturating_add(size::issue(&issue));
        self.snapshot.issues.push(issue);
    }

    /// Settles whether the source names its rows. `id_column` is the column or key of the ids, where there is one.
    pub(crate) fn finish(mut self, id_column: Option<&str>) -> SourceSnapshot {
        for (key, (count, row, problem)) in std::mem::take(&mut self.passed_over) {
            self.notice(format!(
                "column {key:?} is left out of {count} rows (row {row}: {problem})"
            ));
        }
        if self.ids.is_empty() {
            if let Some(column) = id_column
                && self.taken > 0
            {
                self.notice(format!(
                    "column {column:?} is empty: rows are told apart by their content"
                ));
            }
            return self.snapshot;
        }
        self.snapshot.identity = Identity::Given;
        // In place: of a large source, a second copy of the rows would be the moment with the most memory.
        let nameless: Vec<SourceRow> = self
            .snapshot
            .rows
            .extract_if(.., |row| row.id.is_none())
            .collect();
        for row in nameless {
            let problem = "the row has no id, while others have one".to_owned();
            self.issue(IssueKind::MissingId, &row, None, problem);
        }
        // Faults that show only at the end take their place among those noticed on the way.
        self.snapshot.issues.sort_by_key(|issue| issue.locator.row);
        self.snapshot
    }
}

#[cfg(test)]
mod tests;
