//! What a change replaces is kept, where it says so; what an undo restores gets back who wrote it, and when.

use std::collections::{BTreeSet, HashMap};

use rusqlite::OptionalExtension;
use storage_core::{
    Binding, DocumentKey, KeptRow, RecordHash, Row, RunId, Timestamp, UndoPolicy, VectorKey,
};

use super::{Record, Work, place};
use crate::error::{Failure, Outcome};
use crate::ops::ledger::run_number;
use crate::ops::undo;
use crate::rows::{self, DOCUMENT_COLUMNS, Names};
use crate::sql;

/// What a change needs for the undoing of runs: its own, or the one it undoes.
#[derive(Default)]
pub(super) struct Undo {
    /// Rows that the change writes, and so does not only delete.
    written: BTreeSet<DocumentKey>,
    /// Read for the first row that is kept.
    names: Option<Names>,
    /// Names of runs by number.
    runs: HashMap<i64, RunId>,
    /// What was kept under the run that is undone.
    undone: HashMap<DocumentKey, (RecordHash, [i64; 3])>,
}

impl Work<'_> {
    /// Prepares for what the change says of undoing.
    pub(super) fn prepare_undo(&mut self) -> Outcome<()> {
        match &self.changes.undo {
            UndoPolicy::Forget => Ok(()),
            UndoPolicy::Keep => {
                if !self.changes.deletes.is_empty() {
                    let upserts = self.changes.upserts.iter();
                    self.undo.written = upserts.map(|row| row.document().key.clone()).collect();
                }
                Ok(())
            }
            UndoPolicy::Of(run) => self.take_kept(run),
        }
    }

    fn take_kept(&mut self, run: &RunId) -> Outcome<()> {
        let of = (run_number(self.conn, run)?, self.collection);
        let mut statement = self.conn.prepare_cached(sql::KEPT_OF_RUN)?;
        let mut rows = statement.query(of)?;
        let mut numbers: HashMap<RunId, i64> = HashMap::new();
        while let Some(row) = rows.next()? {
            let key = undo::key(&self.changes.collection, row)?;
            let Some(kept) = undo::kept(&key, row)? else {
                continue;
            };
            let number = match numbers.get(&kept.run) {
                Some(number) => *number,
                None => run_number(self.conn, &kept.run)?,
            };
            let stamp = [number, kept.created_at.0, kept.updated_at.0];
            self.undo.undone.insert(key, (kept.row.record(), stamp));
            numbers.insert(kept.run, number);
        }
        self.conn.prepare_cached(sql::FORGET_KEPT)?.execute(of)?;
        Ok(())
    }

    /// Run, creation and last change of a row that is written: its old ones, if it is restored as it was.
    pub(super) fn stamp(&self, row: &Row, created: Option<i64>) -> [i64; 3] {
        match self.undo.undone.get(&row.document().key) {
            Some((record, stamp)) if *record == row.record() => *stamp,
            _ => {
                let now = self.changes.applied_at.0;
                [self.run, created.unwrap_or(now), now]
            }
        }
    }

    /// Keeps a row before it is deleted.
    pub(super) fn keep_deleted(&mut self, key: &DocumentKey, record: &Record) -> Outcome<()> {
        let deleted = !self.undo.written.contains(key);
        self.keep(key, record, deleted)
    }

    /// Keeps a row before it is replaced or deleted: the first one a run, and never one that the run wrote itself.
    pub(super) fn keep(
        &mut self,
        key: &DocumentKey,
        record: &Record,
        deleted: bool,
    ) -> Outcome<()> {
        if self.changes.undo != UndoPolicy::Keep {
            return Ok(());
        }
        let at = (self.run, self.collection, &*key.document, key.chunk);
        let before: Option<Option<String>> = self
            .conn
            .prepare_cached(sql::KEPT_ROW)?
            .query_row(at, |row| row.get(0))
            .optional()?;
        match before {
            Some(Some(text)) => {
                let mut kept = KeptRow::from_json(key.clone(), &text)?;
                if kept.deleted != deleted {
                    kept.deleted = deleted;
                    self.conn.prepare_cached(sql::CHANGE_KEPT)?.execute((
                        at.0,
                        at.1,
                        at.2,
                        at.3,
                        kept.to_json()?,
                    ))?;
                }
            }
            Some(None) | None if record.stamp[0] != self.run => {
                let kept = self.as_it_is(key, record, deleted)?;
                self.conn.prepare_cached(sql::KEEP_ROW)?.execute((
                    at.0,
                    at.1,
                    at.2,
                    at.3,
                    kept.to_json()?,
                ))?;
            }
            Some(None) | None => {}
        }
        Ok(())
    }

    /// Remembers which rows the run created, once they are written.
    pub(super) fn keep_created(&self) -> Outcome<()> {
        if self.changes.undo == UndoPolicy::Keep {
            self.conn
                .prepare_cached(sql::KEEP_CREATED)?
                .execute((self.run, self.collection))?;
        }
        Ok(())
    }

    fn as_it_is(&mut self, key: &DocumentKey, record: &Record, deleted: bool) -> Outcome<KeptRow> {
        let (conn, collection) = (self.conn, self.collection);
        let [run, created, updated] = record.stamp;
        let names = match self.undo.names.take() {
            Some(names) => names,
            None => Names::read(conn, &self.changes.collection, collection)?,
        };
        let mut statement = conn.prepare_cached(sql::WHOLE_RECORD)?;
        let mut rows = statement.query([record.id])?;
        let row = rows.next()?.ok_or_else(|| damaged(key))?;
        let document = names.document(row)?;
        let hash = rows::record_hash(row, DOCUMENT_COLUMNS)?;
        self.undo.names = Some(names);
        let row = Row::new(document, self.vectors_of(key, record)?);
        // Restored, it would be hashed anew, and the damage would look whole.
        if row.record() != hash || row.document().key != *key {
            return Err(damaged(key));
        }
        Ok(KeptRow {
            row,
            run: self.run_name(run)?,
            created_at: Timestamp(created),
            updated_at: Timestamp(updated),
            deleted,
        })
    }

    fn vectors_of(&self, key: &DocumentKey, record: &Record) -> Outcome<Vec<Binding>> {
        let mut statement = self.conn.prepare_cached(sql::BINDINGS_OF)?;
        let mut rows = statement.query([record.id])?;
        let mut vectors = Vec::new();
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
            let mut versions = self.versions.iter();
            let (version, (_, space)) = versions
                .find(|(_, (found, _))| *found == number)
                .ok_or_else(|| damaged(key))?;
            vectors.push(Binding {
                version: version.clone(),
                vector: VectorKey {
                    space: space.id.clone(),
                    input: rows::input_hash(row, 1)?.ok_or_else(|| damaged(key))?,
                    variant: rows::variant(row, 2)?,
                },
            });
        }
        vectors.sort_by(|left, right| left.version.cmp(&right.version));
        Ok(vectors)
    }

    fn run_name(&mut self, number: i64) -> Outcome<RunId> {
        if let Some(name) = self.undo.runs.get(&number) {
            return Ok(name.clone());
        }
        let name: String = self
            .conn
            .prepare_cached(sql::RUN_NAME)?
            .query_row([number], |row| row.get(0))?;
        let name =
            RunId::new(name).map_err(|error| Failure::corrupt("apply", error.to_string()))?;
        self.undo.runs.insert(number, name.clone());
        Ok(name)
    }
}

fn damaged(key: &DocumentKey) -> Failure {
    Failure::corrupt(
        "apply",
        format!(
            "a row that would be replaced is damaged, and cannot be kept; run `smart-support repair`, then \
             `smart-support sync`: {}",
            place(key)
        ),
    )
}
