//! What a change replaces is kept, where it says so; what an undo restores gets back who wrote it, and when.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use storage_core::{
    Binding, DocumentKey, KeptRow, RecordHash, Row, RunId, Timestamp, UndoPolicy, VectorKey,
};
use tokio_postgres::types::Type;

use super::{Applying, Record, place};
use crate::error::{Failure, Outcome};
use crate::ops::adopt::Adopt;
use crate::ops::ledger::run_number;
use crate::ops::undo;
use crate::rows::{self, DOCUMENT_COLUMNS, Names, get};
use crate::sql;
use crate::tx::Work;

/// Rows that are read and kept at once: their texts are in memory together.
const BATCH: usize = 1_000;

/// What was kept under the run that is undone: the row's hash, and who wrote it and when.
pub(super) type Undone = HashMap<DocumentKey, (RecordHash, [i64; 3])>;

/// Columns of rows to keep.
#[derive(Default)]
struct Kept<'a> {
    documents: Vec<&'a str>,
    chunks: Vec<i64>,
    replaced: Vec<String>,
}

impl<'a> Kept<'a> {
    fn push(&mut self, key: &'a DocumentKey, kept: &KeptRow) -> Outcome<()> {
        self.documents.push(&key.document);
        self.chunks.push(i64::from(key.chunk));
        self.replaced.push(kept.to_json()?);
        Ok(())
    }
}

impl<'a> Applying<'a> {
    /// Does what the change says of undoing, before anything is replaced.
    pub(super) async fn prepare_undo(&mut self) -> Outcome<()> {
        match &self.changes.undo {
            UndoPolicy::Forget => Ok(()),
            UndoPolicy::Keep => self.keep().await,
            UndoPolicy::Of(run) => self.take_kept(run).await,
        }
    }

    async fn take_kept(&mut self, run: &RunId) -> Outcome<()> {
        let run = run_number(self.tx, run).await?;
        let of = [(&run as _, Type::INT8), (&self.collection as _, Type::INT8)];
        let mut numbers: HashMap<RunId, i64> = HashMap::new();
        for row in self.tx.rows(sql::KEPT_OF_RUN, &of).await? {
            let key = undo::key(&self.changes.collection, &row)?;
            let Some(kept) = undo::kept(&key, &row)? else {
                continue;
            };
            let number = match numbers.get(&kept.run) {
                Some(number) => *number,
                None => run_number(self.tx, &kept.run).await?,
            };
            let stamp = [number, kept.created_at.0, kept.updated_at.0];
            self.undone.insert(key, (kept.row.record(), stamp));
            numbers.insert(kept.run, number);
        }
        self.tx.execute(sql::FORGET_KEPT, &of).await?;
        Ok(())
    }

    /// Run, creation and last change of a row that is written: its old ones, if it is restored as it was.
    pub(super) fn stamp(&self, row: &Row, created: Option<i64>) -> [i64; 3] {
        match self.undone.get(&row.document().key) {
            Some((record, stamp)) if *record == row.record() => *stamp,
            _ => {
                let now = self.changes.applied_at.0;
                [self.run, created.unwrap_or(now), now]
            }
        }
    }

    /// The stored rows that the change replaces or deletes, and whether nothing takes their place.
    fn replaced(&self) -> BTreeMap<&'a DocumentKey, bool> {
        let changes = self.changes;
        let deleted = changes.deletes.iter().map(|key| (key, true));
        let written = changes
            .upserts
            .iter()
            .map(|row| (&row.document().key, false));
        deleted
            .chain(written)
            .filter(|(key, _)| self.known.contains_key(key))
            .collect()
    }

    /// Keeps the rows that are replaced or deleted: the first one a run, and never one that the run wrote itself.
    async fn keep(&mut self) -> Outcome<()> {
        let mut replaced = self.replaced();
        if replaced.is_empty() {
            return Ok(());
        }
        if replaced.keys().any(|key| !self.known[key].adopted) {
            // Written by SQL: only now does it get a hash, and do its vectors get names.
            Adopt.run(self.tx).await?;
            self.known.clear();
            self.look_up().await?;
            replaced = self.replaced();
        }
        let names = Names::read(self.tx, &self.changes.collection, self.collection).await?;
        let all: Vec<(&'a DocumentKey, bool)> = replaced.into_iter().collect();
        for batch in all.chunks(BATCH) {
            let before = self.kept_before(batch).await?;
            let new: Vec<_> = batch
                .iter()
                .copied()
                .filter(|(key, _)| !before.contains(key) && self.known[key].stamp[0] != self.run)
                .collect();
            self.keep_new(&names, &new).await?;
        }
        Ok(())
    }

    /// The rows that are kept already, and whether nothing takes their place brought up to date.
    async fn kept_before(
        &self,
        batch: &[(&'a DocumentKey, bool)],
    ) -> Outcome<BTreeSet<&'a DocumentKey>> {
        let named: HashMap<(&str, u32), (&'a DocumentKey, bool)> = batch
            .iter()
            .map(|(key, deleted)| ((&*key.document, key.chunk), (*key, *deleted)))
            .collect();
        let documents: Vec<&str> = batch.iter().map(|(key, _)| &*key.document).collect();
        let chunks: Vec<i64> = batch.iter().map(|(key, _)| i64::from(key.chunk)).collect();
        let found = self
            .tx
            .rows(
                sql::KEPT_BEFORE,
                &[
                    (&self.run, Type::INT8),
                    (&self.collection, Type::INT8),
                    (&documents, Type::TEXT_ARRAY),
                    (&chunks, Type::INT8_ARRAY),
                ],
            )
            .await?;
        let mut before = BTreeSet::new();
        let mut changed = Kept::default();
        for row in &found {
            let Some((key, deleted)) = named.get(&(get(row, 0)?, rows::count32(row, 1)?)) else {
                continue;
            };
            // Without a row it says that the run created this one: what somebody has written over it since is kept.
            let Some(mut kept) = undo::kept(key, row)? else {
                continue;
            };
            before.insert(*key);
            if kept.deleted != *deleted {
                kept.deleted = *deleted;
                changed.push(key, &kept)?;
            }
        }
        self.write_kept(sql::CHANGE_KEPT, &changed).await?;
        Ok(before)
    }

    /// Remembers which rows the run created, once they are written.
    pub(super) async fn keep_created(&self) -> Outcome<()> {
        if self.changes.undo == UndoPolicy::Keep {
            let of = [
                (&self.run as _, Type::INT8),
                (&self.collection as _, Type::INT8),
            ];
            self.tx.execute(sql::KEEP_CREATED, &of).await?;
        }
        Ok(())
    }

    async fn keep_new(&self, names: &Names, batch: &[(&'a DocumentKey, bool)]) -> Outcome<()> {
        let records: Vec<i64> = batch.iter().map(|(key, _)| self.known[key].id).collect();
        let runs: BTreeSet<i64> = batch
            .iter()
            .map(|(key, _)| self.known[key].stamp[0])
            .collect();
        let runs = self.run_names(runs.into_iter().collect()).await?;
        let mut vectors = self.vectors_of(&records).await?;
        let rows = self
            .tx
            .rows(sql::WHOLE_RECORDS, &[(&records, Type::INT8_ARRAY)])
            .await?;
        let mut whole = HashMap::with_capacity(rows.len());
        for row in &rows {
            let hash = rows::record_hash(row, DOCUMENT_COLUMNS)?;
            whole.insert(
                get::<i64>(row, DOCUMENT_COLUMNS + 1)?,
                (names.document(row)?, hash),
            );
        }
        let mut new = Kept::default();
        for (key, deleted) in batch {
            let Record { id, stamp, .. } = &self.known[key];
            let (document, hash) = whole.remove(id).ok_or_else(|| damaged(key))?;
            let row = Row::new(document, vectors.remove(id).unwrap_or_default());
            // Restored, it would be hashed anew, and the damage would look whole.
            if hash.is_some_and(|hash| hash != row.record()) || row.document().key != **key {
                return Err(damaged(key));
            }
            let [run, created, updated] = *stamp;
            let kept = KeptRow {
                row,
                run: runs.get(&run).cloned().ok_or_else(|| damaged(key))?,
                created_at: Timestamp(created),
                updated_at: Timestamp(updated),
                deleted: *deleted,
            };
            new.push(key, &kept)?;
        }
        self.write_kept(sql::KEEP_ROWS, &new).await
    }

    async fn run_names(&self, numbers: Vec<i64>) -> Outcome<HashMap<i64, RunId>> {
        let rows = self
            .tx
            .rows(sql::RUN_NAMES, &[(&numbers, Type::INT8_ARRAY)])
            .await?;
        let name = |row| {
            let name = RunId::new(get::<String>(row, 1)?);
            let name = name.map_err(|error| Failure::corrupt("apply", error.to_string()))?;
            Ok((get(row, 0)?, name))
        };
        rows.iter().map(name).collect()
    }

    /// The names of the vectors that rows have, in every version.
    async fn vectors_of(&self, records: &[i64]) -> Outcome<HashMap<i64, Vec<Binding>>> {
        let versions: HashMap<i64, _> = self
            .versions
            .iter()
            .map(|(id, (number, space))| (*number, (id, &space.id)))
            .collect();
        let mut vectors: HashMap<i64, Vec<Binding>> = HashMap::new();
        let rows = self
            .tx
            .rows(sql::BINDINGS_OF, &[(&records, Type::INT8_ARRAY)])
            .await?;
        for row in &rows {
            let unknown = || Failure::corrupt("apply", "a row has a vector of no version");
            let (version, space) = versions.get(&get(row, 1)?).ok_or_else(unknown)?;
            vectors.entry(get(row, 0)?).or_default().push(Binding {
                version: (*version).clone(),
                vector: VectorKey {
                    space: (*space).clone(),
                    input: rows::input_hash(row, 2)?.ok_or_else(unknown)?,
                    variant: rows::variant(row, 3)?,
                },
            });
        }
        for vectors in vectors.values_mut() {
            vectors.sort_by(|left, right| left.version.cmp(&right.version));
        }
        Ok(vectors)
    }

    async fn write_kept(&self, sql: &str, kept: &Kept<'_>) -> Outcome<()> {
        if kept.documents.is_empty() {
            return Ok(());
        }
        self.tx
            .execute(
                sql,
                &[
                    (&self.run, Type::INT8),
                    (&self.collection, Type::INT8),
                    (&kept.documents, Type::TEXT_ARRAY),
                    (&kept.chunks, Type::INT8_ARRAY),
                    (&kept.replaced, Type::TEXT_ARRAY),
                ],
            )
            .await?;
        Ok(())
    }
}

fn damaged(key: &DocumentKey) -> Failure {
    Failure::corrupt(
        "apply",
        format!(
            "a row that would be replaced is damaged, and cannot be kept; run `smart-support validate` to see what \
             else is: {}",
            place(key)
        ),
    )
}
