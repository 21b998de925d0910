//! What becomes of each record: decided one by one, in one pass. No vector is held longer than its batch; rows that move
//! are held until the transaction, without their vectors.

use std::collections::{BTreeSet, HashMap};

use storage_core::{
    Binding, ContentHash, Document, DocumentKey, ImportFault, Imported, ImportedRecord, InputHash,
    RecordHash, Relocation, Row, StoredVector, VectorKey, check_document, normalise,
};

use super::aim::Aim;
use super::{ImportOptions, ImportReport};
use crate::{SyncError, SyncErrorKind};

/// What the store must hold afterwards of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) record: RecordHash,
    pub(super) vector: ContentHash,
}

/// Rows to write, once all vectors are stored.
#[derive(Debug, Default)]
pub(super) struct Moving {
    pub(super) upserts: Vec<Row>,
    /// Rows of other sources whose documents are taken over: a document has one owner.
    pub(super) deletes: BTreeSet<DocumentKey>,
    pub(super) relocations: Vec<Relocation>,
}

/// Sorts records into those that move, those that are there, and those that cannot.
pub(super) struct Sorter<'a> {
    options: &'a ImportOptions,
    aim: &'a Aim,
    moving: Moving,
    expected: HashMap<DocumentKey, Expected>,
    faults: Vec<ImportFault>,
    seen: u64,
    added: u64,
    replaced: u64,
    unchanged: u64,
    duplicates: u64,
    conflicts: u64,
    without_text: u64,
}

impl<'a> Sorter<'a> {
    pub(super) fn new(options: &'a ImportOptions, aim: &'a Aim, total: u64) -> Self {
        Self {
            options,
            aim,
            moving: Moving::default(),
            // Growing would hold the map twice for a moment; what a source says of its size is believed within reason.
            expected: HashMap::with_capacity(usize::try_from(total.min(1 << 20)).unwrap_or(0)),
            faults: Vec::new(),
            seen: 0,
            added: 0,
            replaced: 0,
            unchanged: 0,
            duplicates: 0,
            conflicts: 0,
            without_text: 0,
        }
    }

    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    pub(super) fn moving(&self) -> u64 {
        self.added + self.replaced
    }

    pub(super) fn faulty(&self) -> u64 {
        self.faults.len() as u64
    }

    /// What the store must hold afterwards.
    pub(super) fn expected(&self) -> &HashMap<DocumentKey, Expected> {
        &self.expected
    }

    /// Decides about a batch, and gives the vectors that are to be stored for it.
    ///
    /// # Errors
    /// `Model` when the collection's recipe gives another text for a record than the source embedded.
    pub(super) fn take(&mut self, batch: Vec<Imported>) -> Result<Vec<StoredVector>, SyncError> {
        let mut vectors = Vec::with_capacity(batch.len());
        for item in batch {
            self.seen += 1;
            match item {
                Imported::Fault(fault) => {
                    self.duplicates += u64::from(self.is_there(&fault));
                    self.faults.push(fault);
                }
                Imported::Record(record) => vectors.extend(self.decide(*record)?),
            }
        }
        Ok(vectors)
    }

    /// Whether a record of that id came by already: then the fault is one of a second record.
    fn is_there(&self, fault: &ImportFault) -> bool {
        fault.id.as_ref().is_some_and(|id| {
            self.expected.contains_key(&DocumentKey {
                collection: self.options.collection.clone(),
                document: id.clone(),
                chunk: 0,
            })
        })
    }

    fn decide(&mut self, mut record: ImportedRecord) -> Result<Option<StoredVector>, SyncError> {
        let width = self.aim.space.model.dimensions.get();
        let found = record.embedding.dimensions();
        if found != width {
            let reason = format!("its vector has {found} numbers, the others have {width}");
            return Ok(self.fault(&record.document, record.locator.row, reason));
        }
        let row = record.locator.row;
        let textless = record.text.is_none();
        let document =
            self.options
                .fields
                .document(&mut record, &self.options.collection, &self.aim.source);
        if let Err(error) = check_document(&document) {
            return Ok(self.fault(&document.key.document, row, error.to_string()));
        }
        if self.expected.contains_key(&document.key) {
            self.duplicates += 1;
            let reason = "this id stands in the source twice; the first one is taken".to_owned();
            return Ok(self.fault(&document.key.document, row, reason));
        }
        let rendered = self.aim.embed_text.render(&document);
        // The text is the row's answer, unless that was mapped to something else.
        let embedded = record.text.as_deref().unwrap_or(&document.body);
        if !textless && rendered != *embedded && rendered != normalise(embedded) {
            return Err(self.other_text(&document));
        }
        if textless && !rendered.is_empty() {
            let reason = format!(
                "it has no text, and the recipe {:?} gives it one that its vector is not of",
                self.aim.embed_text.as_str()
            );
            return Ok(self.fault(&document.key.document, row, reason));
        }
        let vector = StoredVector {
            key: VectorKey {
                space: self.aim.space.id.clone(),
                input: InputHash::of(&rendered),
                variant: Some(ContentHash::of(&record.embedding.to_le_bytes())),
            },
            embedding: record.embedding,
        };
        Ok(self.place(document, vector, textless))
    }

    fn place(
        &mut self,
        document: Document,
        vector: StoredVector,
        textless: bool,
    ) -> Option<StoredVector> {
        let record = RecordHash::of(&document);
        let expected = Expected {
            record,
            vector: vector.key.variant?,
        };
        let known = self.aim.known(&document.key);
        let there = self.aim.rows_of(&document.key.document);
        let own = there
            .first()
            .is_none_or(|row| row.source == self.aim.source && self.aim.same_place);
        let same = known.is_some_and(|known| {
            known.record == record && known.vector.as_ref() == Some(&vector.key)
        });
        if same && (own || !self.options.overwrite) {
            self.unchanged += 1;
            self.without_text += u64::from(textless);
            if own && known.is_some_and(|known| known.locator != document.locator) {
                self.moving.relocations.push(Relocation {
                    key: document.key.clone(),
                    locator: document.locator.clone(),
                });
            }
            self.expected.insert(document.key, expected);
            return None;
        }
        if !own {
            self.conflicts += u64::from(!same);
            if !self.options.overwrite {
                let reason = format!(
                    "collection {} has another document of this id, from {}{}; it stays, --force writes over it",
                    self.options.collection,
                    there[0].source,
                    self.aim.elsewhere()
                );
                return self.fault(&document.key.document, document.locator.row, reason);
            }
            let keys = there.iter().map(|row| row.key.clone());
            self.moving.deletes.extend(keys);
        }
        if known.is_some() {
            self.replaced += 1;
        } else {
            self.added += 1;
        }
        self.without_text += u64::from(textless);
        self.expected.insert(document.key.clone(), expected);
        if self.options.dry_run {
            return None;
        }
        let binding = Binding {
            version: self.aim.version_id.clone(),
            vector: vector.key.clone(),
        };
        self.moving.upserts.push(Row::new(document, vec![binding]));
        Some(vector)
    }

    fn fault(&mut self, id: &str, row: Option<u64>, reason: String) -> Option<StoredVector> {
        self.faults.push(ImportFault {
            id: Some(id.to_owned()),
            row,
            reason,
        });
        None
    }

    /// One text under the name of another would be found by content for ever after.
    fn other_text(&self, document: &Document) -> SyncError {
        SyncError::new(
            SyncErrorKind::Model,
            format!(
                "the recipe {:?} gives another text for {:?} than the one that was embedded; import into a collection of its \
                 own with --collection NAME, or say with --embed-text and --map how the text comes about",
                self.aim.embed_text.as_str(),
                document.key.document
            ),
        )
    }

    /// Writes the counts into the report, and hands over the rows.
    pub(super) fn count(&mut self, report: &mut ImportReport) -> Moving {
        report.seen = self.seen;
        report.added = self.added;
        report.replaced = self.replaced;
        report.unchanged = self.unchanged;
        report.duplicates = self.duplicates;
        report.conflicts = self.conflicts;
        report.without_text = self.without_text;
        report.faults = std::mem::take(&mut self.faults);
        let own = self.aim.fingerprints.iter();
        report.gone = own
            .filter(|known| known.source == self.aim.source)
            .filter(|known| !self.expected.contains_key(&known.key))
            .count() as u64;
        std::mem::take(&mut self.moving)
    }
}
