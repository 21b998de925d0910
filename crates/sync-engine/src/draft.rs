//! From what is stored and what a source says to a plan. Pure: no I/O, no clock.
//!
//! In two steps, because fingerprints carry no texts: [`Draft::new`] matches what hashes can match and names the
//! stored rows whose texts it still needs ([`Draft::needs`]), few or none on an ordinary day; [`Draft::finish`] takes
//! them and decides.

mod decide;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use faq_source::{Identity, IssueKind, SourceRow, SourceSnapshot};
use storage_core::{
    CollectionName, Document, DocumentKey, EmbedText, Fingerprint, Generation, IMPORT_KINDS,
    RecordHash, Source, SourceId, mint_document_id,
};

use crate::plan::SyncPlan;
use crate::{
    FailedRow, SyncError, SyncErrorKind, SyncMode, SyncPolicy, Target, UPLOAD, pairing,
    source_identity,
};

/// What a store remembers of a collection.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The collection.
    pub collection: CollectionName,
    /// Its generation.
    pub generation: Generation,
    /// Its rows.
    pub fingerprints: Vec<Fingerprint>,
    /// Its sources.
    pub sources: Vec<Source>,
    /// Its recipe; `None` for a collection without rows.
    pub embed_text: Option<EmbedText>,
    /// Whether it serves a version.
    pub has_active: bool,
}

/// A plan in the making.
#[derive(Debug)]
pub struct Draft {
    stored: Stored,
    policy: SyncPolicy,
    target: Target,
    source: Source,
    incoming: Vec<Incoming>,
    derived: bool,
    failed: Vec<FailedRow>,
    protected: BTreeSet<String>,
    partial: bool,
    embed_text: EmbedText,
    embed_text_changed: bool,
    /// Sources that an import left behind.
    imported: BTreeSet<SourceId>,
    /// Documents of theirs that this source brings.
    taken_over: BTreeSet<String>,
}

#[derive(Debug)]
struct Incoming {
    document: Box<Document>,
    record: RecordHash,
    /// Position of the stored row that this one continues.
    stored: Option<usize>,
}

impl Draft {
    /// Matches rows by id and by hash.
    ///
    /// # Errors
    /// `Selection` when a recompute is restricted to some rows; `SourceConflict` when ids of the source belong to rows of another source; `Model` when the recipe differs from
    /// the collection's and the policy does not recompute.
    pub fn new(
        stored: Stored,
        snapshot: SourceSnapshot,
        target: Target,
        policy: SyncPolicy,
    ) -> Result<Self, SyncError> {
        if policy.force_recompute && !policy.selection.is_everything() {
            return Err(SyncError::new(
                SyncErrorKind::Selection,
                "a forced recompute works on the whole collection; leave --only, --category, --missing and --stale out",
            ));
        }
        let own = stored.embed_text.clone();
        let embed_text = policy
            .embed_text
            .clone()
            .or_else(|| own.clone())
            .or_else(|| policy.first_embed_text.clone())
            .unwrap_or_default();
        let embed_text_changed = own.as_ref().is_some_and(|own| *own != embed_text);
        if embed_text_changed && !policy.force_recompute {
            return Err(SyncError::new(
                SyncErrorKind::Model,
                format!(
                    "collection {} is embedded by the recipe {:?}, not {:?}; leave --embed-text out to keep it, or \
                     build a version by the other one beside it with `smart-support model build --embed-text RECIPE`, or \
                     embed everything anew with `smart-support migrate --force-recompute`",
                    stored.collection,
                    own.as_ref().map_or("", EmbedText::as_str),
                    embed_text.as_str()
                ),
            ));
        }
        let failed = snapshot.rejected().map(FailedRow::from).collect();
        // A row without an id that cannot be read may be any of the stored ones, so none of them may go for missing.
        let partial = snapshot
            .rejected()
            .any(|issue| issue.id.is_none() && issue.kind != IssueKind::MissingId);
        let protected = snapshot
            .rejected()
            .filter_map(|issue| issue.id.clone())
            .collect();
        let derived = snapshot.identity == Identity::Derived;
        let mut torn: BTreeSet<String> = snapshot
            .rejected()
            .filter(|issue| issue.locator.page.is_some())
            .filter_map(|issue| issue.id.clone())
            .collect();

        let SourceSnapshot {
            kind,
            location,
            name,
            rows,
            ..
        } = snapshot;
        let placeholder = source_identity::source_id_of(&kind, &name);
        let mut incoming: Vec<Incoming> = rows
            .into_iter()
            .map(|row| {
                let document = Box::new(document(row, &stored.collection, &placeholder));
                Incoming {
                    record: RecordHash::of(&document),
                    document,
                    stored: None,
                }
            })
            .collect();
        let imported: BTreeSet<SourceId> = stored
            .sources
            .iter()
            .filter(|source| IMPORT_KINDS.contains(&source.kind.as_str()))
            .map(|source| source.id.clone())
            .collect();
        let records = incoming.iter().map(|row| row.record);
        let sent: BTreeSet<&SourceId> = stored
            .sources
            .iter()
            .filter(|source| source.kind == UPLOAD)
            .map(|source| &source.id)
            .collect();
        // What an import brought belongs to nobody who could be continued: it is taken over, row by row. What was sent is
        // no file that got another name, and continues none.
        let others = stored
            .fingerprints
            .iter()
            .filter(|row| kind != UPLOAD && !sent.contains(&row.source))
            .filter(|row| !imported.contains(&row.source));
        let id = source_identity::resolve(placeholder, records, &stored.sources, others);
        // Chunks are counted through, so those behind a page that failed stand where others are stored: they would
        // replace those, and themselves stay doubled. What is stored of such a document stays whole until it is read whole.
        let held: BTreeSet<&str> = stored
            .fingerprints
            .iter()
            .filter(|row| row.source == id || imported.contains(&row.source))
            .map(|row| row.key.document.as_str())
            .collect();
        torn.retain(|document| held.contains(document.as_str()));
        incoming.retain(|row| !torn.contains(&row.document.key.document));
        for row in &mut incoming {
            row.document.source = id.clone();
        }
        let source = Source {
            id,
            collection: stored.collection.clone(),
            kind,
            location,
        };
        let mut draft = Self {
            stored,
            policy,
            target,
            source,
            incoming,
            derived,
            failed,
            protected,
            partial,
            embed_text,
            embed_text_changed,
            imported,
            taken_over: BTreeSet::new(),
        };
        if !derived {
            draft.match_ids()?;
        }
        draft.match_records(&torn);
        Ok(draft)
    }

    /// Keys of the stored rows whose texts [`Draft::finish`] needs.
    #[must_use]
    pub fn needs(&self) -> Vec<DocumentKey> {
        let matched = self.matched();
        let unpaired = self.derived && self.incoming.iter().any(|row| row.stored.is_none());
        let rebinds = self.policy.force_recompute;
        let rows = self.stored.fingerprints.iter().enumerate();
        rows.filter(|(position, _)| !matched[*position])
            .filter(|(_, row)| rebinds || (unpaired && row.source == self.source.id))
            .map(|(_, row)| row.key.clone())
            .collect()
    }

    /// Decides, given the rows that [`Draft::needs`] named.
    ///
    /// # Errors
    /// `DeleteGuard` when more rows would go than the policy allows.
    pub fn finish(mut self, documents: Vec<Document>) -> Result<SyncPlan, SyncError> {
        if self.derived {
            self.pair(&documents);
            self.mint();
        }
        let mode = self.mode();
        let selection = self.policy.selection.clone();
        let matched = self.matched();
        let own: Vec<bool> = self
            .stored
            .fingerprints
            .iter()
            .map(|row| self.owns(row))
            .collect();
        let mut plan = SyncPlan {
            collection: self.stored.collection.clone(),
            base: self.stored.generation,
            source: self.source.clone(),
            activate: false,
            target: self.target,
            embed_text_changed: self.embed_text_changed,
            mode,
            total: 0,
            rows: Vec::new(),
            deletes: Vec::new(),
            withheld: 0,
            relocations: Vec::new(),
            unchanged: 0,
            failed: self.failed,
            embed_text: self.embed_text,
            companions: Vec::new(),
            taken_over: BTreeSet::new(),
        };
        // A document that is there still may be cut otherwise, or be shorter: none of its rows is missed.
        let there: HashSet<String> = if source_identity::is_cut(&self.source.kind) {
            let rows = self.incoming.iter();
            rows.map(|row| row.document.key.document.clone()).collect()
        } else {
            HashSet::new()
        };
        for row in self.incoming {
            let known = row
                .stored
                .map(|position| &self.stored.fingerprints[position]);
            if !selection.takes(&row.document) || !selection.wants(decide::state(&row, known)) {
                continue;
            }
            plan.total += 1;
            plan.take(row, known, self.policy.force_recompute);
        }
        let gone: Vec<&Fingerprint> = self
            .stored
            .fingerprints
            .iter()
            .enumerate()
            .filter(|(position, _)| own[*position] && !matched[*position])
            .map(|(_, row)| row)
            .collect();
        if selection.is_everything() || selection.whole {
            let (kept, deleted): (Vec<_>, Vec<_>) = gone
                .into_iter()
                .partition(|row| self.partial || self.protected.contains(&row.key.document));
            plan.withheld = kept.len();
            plan.deletes = deleted.into_iter().map(|row| row.key.clone()).collect();
            let own = own.iter().filter(|own| **own).count();
            let missed: Vec<&DocumentKey> = plan
                .deletes
                .iter()
                .filter(|key| !there.contains(&key.document))
                .collect();
            if !self.policy.deletes.permits(missed.len(), own, plan.total) {
                return Err(decide::guard(&plan, &missed, own));
            }
        } else {
            // A document has one owner: what else an import brought of one that changes hands goes, selected or not.
            let documents: BTreeSet<&str> = plan
                .taken_over
                .iter()
                .map(|key| key.document.as_str())
                .collect();
            plan.deletes = gone
                .into_iter()
                .filter(|row| row.source != self.source.id)
                .filter(|row| documents.contains(row.key.document.as_str()))
                .map(|row| row.key.clone())
                .collect();
        }
        if self.policy.force_recompute {
            plan.rebind(documents, &self.stored.fingerprints)?;
        }
        plan.activate =
            !plan.rows.is_empty() && (self.policy.force_recompute || !self.stored.has_active);
        Ok(plan)
    }

    /// Which stored rows an incoming one continues, by position.
    fn matched(&self) -> Vec<bool> {
        let mut matched = vec![false; self.stored.fingerprints.len()];
        for position in self.incoming.iter().filter_map(|row| row.stored) {
            matched[position] = true;
        }
        matched
    }

    fn mode(&self) -> SyncMode {
        let known = self.stored.fingerprints.iter().any(|row| self.owns(row));
        match (self.policy.force_recompute, known) {
            (true, true) => SyncMode::Forced,
            (_, false) => SyncMode::Initial,
            (false, true) => SyncMode::Incremental,
        }
    }

    /// Whether a stored row is this source's, or becomes so: all of a document has one owner.
    fn owns(&self, row: &Fingerprint) -> bool {
        let own = row.source == self.source.id
            || self.taken_over.contains(&row.key.document) && self.imported.contains(&row.source);
        own && self.policy.selection.spans(&row.key.document)
    }

    /// Given ids are identity, within the source. What an import brought under the same id is taken over: a vector that
    /// is paid for belongs to the text, not to the road it came by.
    fn match_ids(&mut self) -> Result<(), SyncError> {
        let by_key: HashMap<(&str, u32), usize> = self
            .stored
            .fingerprints
            .iter()
            .enumerate()
            .map(|(position, row)| ((row.key.document.as_str(), row.key.chunk), position))
            .collect();
        let mut foreign = Vec::new();
        if self.policy.selection.whole {
            // All rows of a document are spoken of, not only those of which there is still one.
            let ids = &self.policy.selection.ids;
            let stored = self.stored.fingerprints.iter();
            for row in stored.filter(|row| ids.contains(&row.key.document)) {
                if self.imported.contains(&row.source) {
                    self.taken_over.insert(row.key.document.clone());
                } else if row.source != self.source.id {
                    foreign.push((row.key.document.clone(), row.source.clone()));
                }
            }
        }
        for row in &mut self.incoming {
            let key = (row.document.key.document.as_str(), row.document.key.chunk);
            let Some(&position) = by_key.get(&key) else {
                continue;
            };
            let stored = &self.stored.fingerprints[position];
            if stored.source == self.source.id {
                row.stored = Some(position);
            } else if self.imported.contains(&stored.source) {
                row.stored = Some(position);
                self.taken_over.insert(stored.key.document.clone());
            } else {
                foreign.push((stored.key.document.clone(), stored.source.clone()));
            }
        }
        let Some((id, owner)) = foreign.first() else {
            return Ok(());
        };
        if self.policy.selection.whole {
            return Err(SyncError::new(
                SyncErrorKind::SourceConflict,
                format!(
                    "document {id:?} of collection {} belongs to {owner}, and is what that says: send it under another id, \
                     or into another collection",
                    self.stored.collection
                ),
            ));
        }
        Err(SyncError::new(
            SyncErrorKind::SourceConflict,
            format!(
                "{} ids of {} belong to rows of another source of collection {} (such as {id:?} of {owner}); \
                 put this source into a collection of its own with --collection NAME",
                foreign.len(),
                self.source.location,
                self.stored.collection,
            ),
        ))
    }

    /// Rows that are equal but for their id: unchanged ones where the source has no ids, renamed ones where it has.
    /// Equal rows are interchangeable, so they pair in order, however many there are.
    ///
    /// A row that could not be read this time is there under its id still: an equal one beside it is another row. Where
    /// that id is unknown too, it may be any.
    fn match_records(&mut self, torn: &BTreeSet<String>) {
        if self.partial && !self.derived {
            return;
        }
        let taken = self.matched();
        let mut open: HashMap<RecordHash, Vec<usize>> = HashMap::new();
        for (position, row) in self.stored.fingerprints.iter().enumerate().rev() {
            // Documents may hold equal texts: one that is sent must not take a row out of another.
            let spans = self.policy.selection.spans(&row.key.document);
            let document = &row.key.document;
            let unread = self.protected.contains(document) || torn.contains(document);
            if row.source == self.source.id && spans && !unread && !taken[position] {
                open.entry(row.record).or_default().push(position);
            }
        }
        for row in self.incoming.iter_mut().filter(|row| row.stored.is_none()) {
            row.stored = open.get_mut(&row.record).and_then(Vec::pop);
        }
    }

    fn pair(&mut self, documents: &[Document]) {
        let positions: BTreeMap<&DocumentKey, usize> = self
            .stored
            .fingerprints
            .iter()
            .enumerate()
            .map(|(position, row)| (&row.key, position))
            .collect();
        let candidates: Vec<&Document> = documents
            .iter()
            .filter(|document| document.source == self.source.id)
            .collect();
        let open: Vec<usize> = (0..self.incoming.len())
            .filter(|row| self.incoming[*row].stored.is_none())
            .collect();
        let left: Vec<&Document> = open
            .iter()
            .map(|row| &*self.incoming[*row].document)
            .collect();
        let pairs = pairing::pair(&left, &candidates);
        for (row, candidate) in pairs {
            self.incoming[open[row]].stored = positions.get(&candidates[candidate].key).copied();
        }
    }

    /// Rows that continue a stored one keep its id; the others get a new one.
    fn mint(&mut self) {
        let mut taken: HashSet<String> = self
            .stored
            .fingerprints
            .iter()
            .map(|row| row.key.document.clone())
            .collect();
        for row in &mut self.incoming {
            let id = match row.stored {
                Some(position) => self.stored.fingerprints[position].key.document.clone(),
                None => {
                    let text = if row.document.title.is_empty() {
                        &row.document.body
                    } else {
                        &row.document.title
                    };
                    let id = mint_document_id(text, |id| taken.contains(id));
                    taken.insert(id.clone());
                    id
                }
            };
            row.document.key.document = id;
        }
    }
}

fn document(row: SourceRow, collection: &CollectionName, source: &SourceId) -> Document {
    Document {
        key: DocumentKey {
            collection: collection.clone(),
            document: row.id.unwrap_or_default(),
            chunk: row.chunk,
        },
        source: source.clone(),
        title: row.question,
        body: row.answer,
        category: row.category,
        subcategory: row.subcategory,
        metadata: row.metadata.into(),
        locator: row.locator,
    }
}
