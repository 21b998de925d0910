//! The reject file: the rows with findings, whole, and why. It is for a spreadsheet program, so a cell that such a program
//! would calculate is made a text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use faq_source::{Finding, SourceRow, SourceSnapshot};
use serde_json::{Map, Value};

use crate::exit::{ExitCode, Failure, usage};
use crate::private_file;
use crate::wire;

/// A file that was named, and its form.
pub(super) struct Target {
    path: PathBuf,
    form: Form,
}

enum Form {
    Csv,
    JsonLines,
}

/// The columns before those of the source.
const REASONS: [&str; 6] = ["sheet", "row", "page", "chunk", "findings", "reasons"];
const FIELDS: [&str; 5] = ["id", "question", "answer", "category", "subcategory"];

/// What every reject file has, and hardly anything else.
const KNOWN_BY: [&str; 3] = ["row", "findings", "reasons"];

/// How far a file is looked into to tell whether it is one of ours: its first line is a header or one row.
const FIRST_LINE: u64 = 16 * 1024 * 1024;

impl Target {
    /// The form follows from the extension.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        let extension = path
            .extension()
            .map(|text| text.to_string_lossy().to_lowercase());
        let form = match extension.as_deref() {
            Some("csv") => Form::Csv,
            Some("jsonl" | "ndjson") => Form::JsonLines,
            Some("xlsx" | "xls" | "xlsm") => {
                return Err(usage(format!(
                    "--reject {path:?}: workbooks are not written; name a .csv file, which spreadsheet programs open"
                )));
            }
            _ => {
                return Err(usage(format!(
                    "--reject {path:?}: name a .csv file, or a .jsonl file for programs"
                )));
            }
        };
        Ok(Self {
            path: path.to_owned(),
            form,
        })
    }

    /// Refuses to write over the source or any other file that is not a reject file already: what is replaced is gone.
    pub(super) fn check(&self, source: Option<&Path>) -> Result<(), Failure> {
        let path = self.path.display();
        if let Some(source) = source.and_then(|source| source.canonicalize().ok()) {
            let target = whole(&self.path);
            if target == source {
                return Err(usage(format!(
                    "--reject {path} is the source itself, which would be replaced by its faulty rows; name another file"
                )));
            }
            if source.is_dir() && target.starts_with(&source) {
                return Err(usage(format!(
                    "--reject {path} lies in the source {}, of which it would be a part the next time; name a file \
                     elsewhere",
                    source.display()
                )));
            }
        }
        match fs::metadata(&self.path) {
            Err(_) => return Ok(()),
            Ok(found) if found.is_file() => {}
            Ok(_) => return Err(usage(format!("--reject {path} is no file; name one"))),
        }
        match self.is_ours() {
            Ok(true) => Ok(()),
            Ok(false) => Err(usage(format!(
                "--reject {path} would replace a file that no lint has written; name another one, or move that one away"
            ))),
            Err(error) => Err(usage(format!(
                "--reject {path}: the file that is there cannot be read, so what it holds is unknown: {error}; name \
                 another one"
            ))),
        }
    }

    /// Whether the file that is there is empty, or begins like a reject file.
    fn is_ours(&self) -> io::Result<bool> {
        let mut line = Vec::new();
        BufReader::new(File::open(&self.path)?.take(FIRST_LINE)).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(true);
        }
        let Ok(line) = String::from_utf8(line) else {
            return Ok(false);
        };
        Ok(match self.form {
            Form::Csv => {
                let line = line.trim_start_matches('\u{feff}').trim_end();
                let names: BTreeSet<&str> = line.split(',').collect();
                let [first, ..] = REASONS;
                line.starts_with(first) && KNOWN_BY.iter().all(|name| names.contains(name))
            }
            Form::JsonLines => serde_json::from_str::<Map<String, Value>>(&line)
                .is_ok_and(|row| KNOWN_BY.iter().all(|name| row.contains_key(*name))),
        })
    }

    /// Writes the file, for its owner only. Without findings it holds no row, so that one of an earlier run does not stay.
    pub(super) fn write(
        &self,
        snapshot: &SourceSnapshot,
        findings: &[Finding],
    ) -> Result<(), Failure> {
        let rows = rows(snapshot, findings);
        let text = match self.form {
            Form::Csv => csv(&rows),
            Form::JsonLines => json_lines(&rows),
        };
        private_file::write(&self.path, text.as_bytes()).map_err(|error| {
            let path = self.path.display();
            Failure::new(
                ExitCode::Failed,
                format!("the reject file {path} cannot be written: {error}"),
            )
        })?;
        tracing::info!(
            "{} rows with findings written to {}",
            rows.len(),
            self.path.display()
        );
        Ok(())
    }
}

/// Where a path leads to, whether there is a file yet or not.
fn whole(path: &Path) -> PathBuf {
    if let Ok(found) = path.canonicalize() {
        return found;
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // Directories that are not there yet are created: the first that is there says where.
    for above in absolute.ancestors().skip(1) {
        if let (Ok(found), Ok(rest)) = (above.canonicalize(), absolute.strip_prefix(above)) {
            return found.join(rest);
        }
    }
    absolute
}

/// One row with all its findings.
struct Rejected<'a> {
    findings: Vec<&'a Finding>,
    /// Which piece of a document it is.
    chunk: Option<u32>,
    /// Its content, where it could be read.
    row: Option<&'a SourceRow>,
}

fn rows<'a>(snapshot: &'a SourceSnapshot, findings: &'a [Finding]) -> Vec<Rejected<'a>> {
    let mut rejected: Vec<Rejected<'a>> = Vec::new();
    let mut places: BTreeMap<_, usize> = BTreeMap::new();
    for finding in findings {
        // A row that was read is one place; of one that was not, its number is known, or nothing at all.
        let locator = &finding.locator;
        let place = (finding.row, locator.row, locator.page, &finding.id);
        let at = *places.entry(place).or_insert_with(|| {
            rejected.push(Rejected {
                findings: Vec::new(),
                chunk: wire::chunk(snapshot, finding),
                row: finding.row.and_then(|at| snapshot.rows.get(at)),
            });
            rejected.len() - 1
        });
        rejected[at].findings.push(finding);
    }
    rejected
}

impl Rejected<'_> {
    fn first(&self) -> &Finding {
        self.findings[0]
    }

    fn joined(&self, words: impl Fn(&Finding) -> String, between: &str) -> String {
        let mut seen = BTreeSet::new();
        let words = self.findings.iter().map(|finding| words(finding));
        let once: Vec<String> = words.filter(|word| seen.insert(word.clone())).collect();
        once.join(between)
    }

    fn reasons(&self) -> [Option<Value>; REASONS.len()] {
        let finding = self.first();
        [
            finding.locator.sheet.clone().map(Value::from),
            finding.locator.row.map(Value::from),
            finding.locator.page.map(Value::from),
            self.chunk.map(Value::from),
            Some(self.joined(|finding| finding.kind.to_string(), ", ").into()),
            Some(self.joined(reason, "; ").into()),
        ]
    }

    fn fields(&self) -> [Option<&str>; FIELDS.len()] {
        let Some(row) = self.row else {
            return [self.first().id.as_deref(), None, None, None, None];
        };
        [
            row.id.as_deref(),
            Some(&*row.question),
            Some(&*row.answer),
            row.category.as_deref(),
            row.subcategory.as_deref(),
        ]
    }
}

fn reason(finding: &Finding) -> String {
    match &finding.column {
        Some(column) => format!("{column}: {}", finding.message),
        None => finding.message.clone(),
    }
}

fn csv(rows: &[Rejected<'_>]) -> String {
    let further: BTreeSet<&str> = rows
        .iter()
        .filter_map(|rejected| rejected.row)
        .flat_map(|row| row.metadata.iter().map(|(column, _)| column))
        .collect();
    let header = REASONS.iter().chain(&FIELDS).chain(&further);
    // The mark at the beginning is how spreadsheet programs know UTF-8.
    let mut text = "\u{feff}".to_owned();
    line(&mut text, header.map(|name| (*name).to_owned()));
    for rejected in rows {
        let reasons = rejected.reasons().map(|value| match value {
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
            None => String::new(),
        });
        let fields = rejected
            .fields()
            .map(|field| field.unwrap_or_default().to_owned());
        let metadata = further.iter().map(|column| {
            let value = rejected.row.and_then(|row| row.metadata.get(column));
            value.map(ToString::to_string).unwrap_or_default()
        });
        line(&mut text, reasons.into_iter().chain(fields).chain(metadata));
    }
    text
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    for (position, cell) in cells.enumerate() {
        if position > 0 {
            text.push(',');
        }
        let cell = harmless(cell);
        if cell.contains([',', ';', '"', '\n', '\r', '\t']) {
            text.push('"');
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(&cell);
        }
    }
    text.push_str("\r\n");
}

/// What begins like a formula begins with an apostrophe: the file comes from somebody else's texts.
fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell
    }
}

fn json_lines(rows: &[Rejected<'_>]) -> String {
    rows.iter()
        .map(|rejected| {
            let mut object = Map::new();
            for (name, value) in REASONS.iter().zip(rejected.reasons()) {
                object.insert((*name).to_owned(), value.into());
            }
            for (name, value) in FIELDS.iter().zip(rejected.fields()) {
                object.insert((*name).to_owned(), value.into());
            }
            let metadata = rejected.row.iter().flat_map(|row| row.metadata.iter());
            let metadata: Map<String, Value> = metadata
                .filter_map(|(column, value)| Some((column.to_owned(), value.to_json()?)))
                .collect();
            object.insert("metadata".to_owned(), metadata.into());
            format!("{}\n", Value::from(object))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_texts_for_a_spreadsheet() {
        for (cell, expected) in [
            ("plain", "plain\r\n"),
            ("=1+1", "'=1+1\r\n"),
            ("+375 29", "'+375 29\r\n"),
            ("-5", "'-5\r\n"),
            ("@SUM(A1)", "'@SUM(A1)\r\n"),
            ("\tx", "\"'\tx\"\r\n"),
            ("a \"b\", c", "\"a \"\"b\"\", c\"\r\n"),
            ("a\nb", "\"a\nb\"\r\n"),
            ("a;b", "\"a;b\"\r\n"),
        ] {
            let mut text = String::new();
            line(&mut text, [cell.to_owned()].into_iter());
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn only_forms_that_are_written_are_taken() {
        for (name, words) in [
            ("a.xlsx", "workbooks are not written"),
            ("a", "name a .csv"),
            ("a.txt", "name a .csv"),
        ] {
            let failure = Target::of(Path::new(name)).err().unwrap();
            assert!(failure.message.contains(words), "{}", failure.message);
            assert_eq!(failure.code, ExitCode::Usage);
        }
        assert!(Target::of(Path::new("a.CSV")).is_ok());
        assert!(Target::of(Path::new("a.jsonl")).is_ok());
    }
}
