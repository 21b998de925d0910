//! What becomes of one row, and whether so much may go.

use std::collections::HashSet;

use storage_core::{Document, DocumentKey, Fingerprint, InputHash, Relocation};

use super::Incoming;
use crate::plan::{Change, PlannedRow, SyncPlan};
use crate::policy::RowState;
use crate::{FailedRow, SyncError, SyncErrorKind};

/// What the store has of a row, before anything is rendered.
pub(super) fn state(row: &Incoming, known: Option<&Fingerprint>) -> RowState {
    match known {
        None => RowState::Missing,
        Some(known) if known.vector.is_none() => RowState::Missing,
        Some(known)
            if known.record == row.record
                && known.key == row.document.key
                && known.source == row.document.source =>
        {
            RowState::Current
        }
        Some(_) => RowState::Stale,
    }
}

impl SyncPlan {
    /// Decides about one row of the source.
    pub(super) fn take(&mut self, row: Incoming, known: Option<&Fingerprint>, recompute: bool) {
        let moved = known.is_some_and(|known| known.key != row.document.key);
        let taken_over = known.is_some_and(|known| known.source != row.document.source);
        let same = !taken_over && known.is_some_and(|known| known.record == row.record);
        if let (Some(known), true, false, false) = (known, same, moved, recompute) {
            // The recipe is the collection's own here, so an equal row has an equal input: no need to render it.
            if known.vector.is_some() {
                self.unchanged += 1;
                self.relocate(known, &row.document);
                return;
            }
        }
        let text = self.embed_text.render(&row.document);
        if text.is_empty() {
            self.failed.push(FailedRow {
                id: Some(row.document.key.document.clone()),
                locator: row.document.locator.clone(),
                column: None,
                reason: format!(
                    "the recipe {:?} gives no text for this row",
                    self.embed_text.as_str()
                ),
            });
            return;
        }
        let input = InputHash::of(&text);
        let same_input = known.is_some_and(|known| known.input() == Some(input));
        let change = match known {
            None => Change::Added,
            Some(known) if moved => Change::Renamed {
                from: Box::new(known.key.clone()),
            },
            Some(known) if same => {
                self.unchanged += 1;
                self.relocate(known, &row.document);
                Change::Rebound
            }
            Some(_) if same_input => Change::Relabelled,
            Some(_) => Change::Modified,
        };
        let vector = known
            .filter(|_| same_input && !recompute)
            .and_then(|known| known.vector.clone())
            .filter(|vector| Some(&vector.space) == self.target.id())
            .map(Box::new);
        if taken_over {
            self.taken_over.insert(row.document.key.clone());
        }
        self.rows.push(PlannedRow {
            document: row.document,
            input,
            vector,
            change,
        });
    }

    fn relocate(&mut self, known: &Fingerprint, document: &Document) {
        if known.locator != document.locator {
            self.relocations.push(Relocation {
                key: known.key.clone(),
                locator: document.locator.clone(),
            });
        }
    }

    /// Rows that this source does not speak of must follow the collection into the new version.
    ///
    /// # Errors
    /// `Model` when some of them have no text: they were imported without one, and stay in the version they are in.
    pub(super) fn rebind(
        &mut self,
        documents: Vec<Document>,
        fingerprints: &[Fingerprint],
    ) -> Result<(), SyncError> {
        let spoken_of: HashSet<&DocumentKey> = self
            .rows
            .iter()
            .map(|row| match &row.change {
                Change::Renamed { from } => &**from,
                _ => &row.document.key,
            })
            .chain(&self.deletes)
            .collect();
        let stored: HashSet<&DocumentKey> = fingerprints.iter().map(|row| &row.key).collect();
        let mut rest = Vec::new();
        let mut textless = Vec::new();
        for document in documents {
            if !stored.contains(&document.key) || spoken_of.contains(&document.key) {
                continue;
            }
            let text = self.embed_text.render(&document);
            if text.is_empty() {
                textless.push(document.key.document);
                continue;
            }
            rest.push(PlannedRow {
                document: Box::new(document),
                input: InputHash::of(&text),
                vector: None,
                change: Change::Rebound,
            });
        }
        if let Some(first) = textless.first() {
            return Err(SyncError::new(
                SyncErrorKind::Model,
                format!(
                    "{} rows of collection {} have no text that could be embedded anew ({first}, …): they were imported \
                     without one. Undo that import with `smart-support import rollback RUN`, or sync into another \
                     collection with --collection NAME",
                    textless.len(),
                    self.collection
                ),
            ));
        }
        self.rows.extend(rest);
        Ok(())
    }
}

/// What is said when so many rows are missed in the source, of those that are stored.
pub(super) fn guard(plan: &SyncPlan, missed: &[&DocumentKey], stored: usize) -> SyncError {
    let deleted = missed.len();
    let why = if plan.total == 0 {
        "the source is empty"
    } else {
        "more than the delete guard lets pass"
    };
    let mut names: Vec<&str> = missed
        .iter()
        .take(3)
        .map(|key| key.document.as_str())
        .collect();
    if deleted > names.len() {
        names.push("…");
    }
    SyncError::new(
        SyncErrorKind::DeleteGuard,
        format!(
            "{deleted} of {stored} rows of {} would be deleted ({}): {why}; nothing was changed. If that is what you \
             want, run again with --allow-delete {deleted}",
            plan.source.location,
            names.join(", ")
        ),
    )
}
