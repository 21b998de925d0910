//! One change set in one transaction: the caller commits when this returns, and only then does a reader see any of it.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};
use storage_core::{
    Applied, Binding, ChangeSet, Document, DocumentKey, Locator, Row, SourceId, SpaceId,
    StoreErrorKind, VersionId, VersionState, metadata_to_json,
};

mod counts;
mod undo;

use super::ledger::run_number;
use super::vectors::vector;
use super::versions::{space, unknown_space};
use crate::error::{Failure, Outcome};
use crate::rows::{self, StoredVersion};
use crate::sql;
use storage_core::guard::{place_guard, sealed};

pub(crate) fn apply(conn: &Connection, changes: &ChangeSet) -> Outcome<Applied> {
    conn.prepare_cached(sql::CREATE_COLLECTION)?
        .execute([changes.collection.as_str()])?;
    let collection = rows::collection(conn, &changes.collection)?
        .ok_or_else(|| Failure::corrupt("apply", "a collection vanished"))?;
    if collection.generation != changes.base {
        return Err(Failure::new(
            StoreErrorKind::Conflict,
            "apply",
            format!(
                "the collection is at generation {}, the change was planned on {}",
                collection.generation.0, changes.base.0
            ),
        ));
    }
    let mut work = Work {
        conn,
        changes,
        collection: collection.id,
        run: run_number(conn, &changes.run)?,
        active: collection.active,
        previous: collection.previous,
        versions: BTreeMap::new(),
        bound: BTreeMap::new(),
        sources: BTreeMap::new(),
        records: 0,
        documents: 0,
        categories: BTreeMap::new(),
        undo: undo::Undo::default(),
    };
    work.describe_source()?;
    work.name_versions(collection.versions)?;
    work.prepare_undo()?;
    // Deletes come first, so that one change can hand a document from one source to another.
    for key in &changes.deletes {
        work.delete(key)?;
    }
    let flips = work.activate()?;
    work.check_owners()?;
    // In key order, whatever order they were planned in: rows then lie in the file as scans read them, and the index
    // grows at one end.
    let mut upserts: Vec<&Row> = changes.upserts.iter().collect();
    upserts.sort_by_key(|row| &row.document().key);
    for row in upserts {
        work.upsert(row)?;
    }
    work.keep_created()?;
    for relocation in &changes.relocations {
        work.relocate(&relocation.key, &relocation.locator)?;
    }
    for (key, binding) in &changes.binds {
        let record = work.existing(key)?;
        work.bind(record.id, key, binding, false)?;
    }
    work.write_categories()?;
    work.write_bound()?;
    let applied = work.finish()?;
    if let Some(complete) = &changes.complete {
        work.complete(complete)?;
    }
    if flips {
        work.serve()?;
    }
    Ok(applied)
}

/// What is known of a stored row before it is changed.
struct Record {
    id: i64,
    category: Option<String>,
    source: i64,
    /// Run, creation, last change: what a checksum covers besides the row's place.
    stamp: [i64; 3],
}

/// The space that the vectors of a version lie in.
#[derive(Clone)]
struct Target {
    number: i64,
    id: SpaceId,
}

struct Work<'a> {
    conn: &'a Connection,
    changes: &'a ChangeSet,
    collection: i64,
    run: i64,
    /// The version that is active afterwards.
    active: Option<i64>,
    /// The one that a rollback would have served before.
    previous: Option<i64>,
    /// Number and space of each version of the collection.
    versions: BTreeMap<VersionId, (i64, Target)>,
    /// By how much the counts of the versions change.
    bound: BTreeMap<i64, i64>,
    sources: BTreeMap<SourceId, i64>,
    /// By how much the recorded counts change.
    records: i64,
    documents: i64,
    categories: BTreeMap<Option<String>, i64>,
    undo: undo::Undo,
}

impl Work<'_> {
    fn describe_source(&mut self) -> Outcome<()> {
        if let Some(source) = &self.changes.source {
            let number = self.source(&source.id)?;
            self.conn.prepare_cached(sql::DESCRIBE_SOURCE)?.execute((
                number,
                &source.kind,
                &source.location,
            ))?;
        }
        Ok(())
    }

    fn source(&mut self, id: &SourceId) -> Outcome<i64> {
        if let Some(number) = self.sources.get(id) {
            return Ok(*number);
        }
        let named = (self.collection, id.as_str());
        self.conn.prepare_cached(sql::NAME_SOURCE)?.execute(named)?;
        let number = self
            .conn
            .prepare_cached(sql::SOURCE)?
            .query_row(named, |row| row.get(0))?;
        self.sources.insert(id.clone(), number);
        Ok(number)
    }

    /// Registers the version that is to be, and learns the numbers of all.
    fn name_versions(&mut self, known: Vec<StoredVersion>) -> Outcome<()> {
        let mut known = known;
        if let Some(spec) = &self.changes.register {
            let space = space(self.conn, &spec.space)?
                .ok_or_else(|| unknown_space("apply", &spec.space))?;
            let added = self.conn.prepare_cached(sql::REGISTER_VERSION)?.execute((
                self.collection,
                space.number,
                spec.embed_text.as_str(),
                self.changes.applied_at.0,
            ))?;
            if added > 0 {
                known = rows::versions(self.conn, self.collection)?;
            }
        }
        for found in known {
            let target = Target {
                number: found.space,
                id: found.version.space,
            };
            self.versions
                .insert(found.version.id, (found.number, target));
        }
        Ok(())
    }

    fn version(&self, id: &VersionId) -> Outcome<&(i64, Target)> {
        self.versions.get(id).ok_or_else(|| {
            Failure::new(
                StoreErrorKind::Model,
                "apply",
                format!("the version is not registered: {id}"),
            )
        })
    }

    /// Moves the pointer, and says whether it moved.
    fn activate(&mut self) -> Outcome<bool> {
        let Some(id) = &self.changes.activate else {
            return Ok(false);
        };
        let number = self.version(id)?.0;
        let moved = self
            .conn
            .prepare_cached(sql::ACTIVATE)?
            .execute((self.collection, number))?;
        self.active = Some(number);
        Ok(moved > 0)
    }

    fn check_owners(&mut self) -> Outcome<()> {
        let mut owners: BTreeMap<&str, &SourceId> = BTreeMap::new();
        for row in &self.changes.upserts {
            let document = row.document();
            owners.insert(&document.key.document, &document.source);
        }
        for (document, source) in owners {
            let number = self.source(source)?;
            let other: Option<String> = self
                .conn
                .prepare_cached(sql::OTHER_OWNER)?
                .query_row((self.collection, document, number), |row| row.get(0))
                .optional()?;
            if let Some(other) = other {
                return Err(invalid(format!(
                    "a document belongs to another source: {document:?} to {other}"
                )));
            }
        }
        Ok(())
    }

    fn record(&self, key: &DocumentKey) -> Outcome<Option<Record>> {
        let found = self
            .conn
            .prepare_cached(sql::RECORD)?
            .query_row((self.collection, &key.document, key.chunk), |row| {
                Ok(Record {
                    id: row.get(0)?,
                    category: row.get(1)?,
                    source: row.get(2)?,
                    stamp: [row.get(3)?, row.get(4)?, row.get(5)?],
                })
            })
            .optional()?;
        Ok(found)
    }

    fn existing(&self, key: &DocumentKey) -> Outcome<Record> {
        self.record(key)?.ok_or_else(|| {
            invalid(format!(
                "a change names a row that does not exist: {}",
                place(key)
            ))
        })
    }

    fn has_document(&self, document: &str) -> Outcome<bool> {
        let found = self
            .conn
            .prepare_cached(sql::HAS_DOCUMENT)?
            .query_row((self.collection, document), |row| row.get(0))?;
        Ok(found)
    }

    fn delete(&mut self, key: &DocumentKey) -> Outcome<()> {
        let Some(record) = self.record(key)? else {
            return Ok(());
        };
        self.keep_deleted(key, &record)?;
        self.unbind(record.id)?;
        self.conn
            .prepare_cached(sql::DELETE_RECORD)?
            .execute([record.id])?;
        self.records -= 1;
        *self.categories.entry(record.category).or_default() -= 1;
        if !self.has_document(&key.document)? {
            self.documents -= 1;
        }
        Ok(())
    }

    fn upsert(&mut self, row: &Row) -> Outcome<()> {
        let document = row.document();
        let record = match self.record(&document.key)? {
            Some(record) => {
                self.keep(&document.key, &record, false)?;
                self.update(&record, row)?;
                *self.categories.entry(record.category).or_default() -= 1;
                self.unbind(record.id)?;
                record.id
            }
            None => self.insert(row)?,
        };
        *self
            .categories
            .entry(document.category.clone())
            .or_default() += 1;
        let mut served = false;
        for binding in row.vectors() {
            let version = self.bind(record, &document.key, binding, true)?;
            served |= Some(version) == self.active;
        }
        if served {
            return Ok(());
        }
        // A bind of this very change may still serve the row.
        let active = self.active;
        for (key, binding) in &self.changes.binds {
            if *key == document.key && Some(self.version(&binding.version)?.0) == active {
                return Ok(());
            }
        }
        Err(unserved(&place(&document.key)))
    }

    fn insert(&mut self, row: &Row) -> Outcome<i64> {
        let document = row.document();
        if !self.has_document(&document.key.document)? {
            self.documents += 1;
        }
        self.records += 1;
        let source = self.source(&document.source)?;
        let (start, end) = document.locator.span.unzip();
        let stamp = self.stamp(row, None);
        let [run, created, updated] = stamp;
        self.conn
            .prepare_cached(sql::INSERT_RECORD)?
            .execute(rusqlite::params![
                self.collection,
                document.key.document,
                document.key.chunk,
                source,
                run,
                created,
                updated,
                row.record().as_bytes().as_slice(),
                self.guard(&document.key, source, &document.locator, &stamp),
                document.locator.sheet,
                document.locator.row,
                document.locator.page,
                start,
                end,
                document.category,
                document.subcategory,
                document.title,
                document.body,
                metadata(document)?,
            ])?;
        Ok(self.conn.last_insert_rowid())
    }

    fn update(&mut self, record: &Record, row: &Row) -> Outcome<()> {
        let document = row.document();
        let source = self.source(&document.source)?;
        let (start, end) = document.locator.span.unzip();
        let stamp = self.stamp(row, Some(record.stamp[1]));
        let [run, created, updated] = stamp;
        self.conn
            .prepare_cached(sql::UPDATE_RECORD)?
            .execute(rusqlite::params![
                record.id,
                source,
                run,
                updated,
                row.record().as_bytes().as_slice(),
                &document.locator.sheet,
                document.locator.row,
                document.locator.page,
                start,
                end,
                &document.category,
                &document.subcategory,
                &document.title,
                &document.body,
                metadata(document)?,
                self.guard(&document.key, source, &document.locator, &stamp),
                created,
            ])?;
        Ok(())
    }

    fn relocate(&self, key: &DocumentKey, locator: &Locator) -> Outcome<()> {
        let record = self.existing(key)?;
        let (start, end) = locator.span.unzip();
        self.conn.prepare_cached(sql::RELOCATE_RECORD)?.execute((
            record.id,
            &locator.sheet,
            locator.row,
            locator.page,
            start,
            end,
            self.guard(key, record.source, locator, &record.stamp),
        ))?;
        Ok(())
    }

    fn guard(&self, key: &DocumentKey, source: i64, locator: &Locator, stamp: &[i64; 3]) -> i64 {
        let place = place_guard(self.collection, &key.document, key.chunk, source, locator);
        sealed(place, stamp)
    }

    /// Takes a row's vectors of all versions away: they may be of an older text.
    fn unbind(&mut self, record: i64) -> Outcome<()> {
        let mut statement = self.conn.prepare_cached(sql::BOUND_VERSIONS)?;
        let mut rows = statement.query([record])?;
        while let Some(row) = rows.next()? {
            *self.bound.entry(row.get(0)?).or_default() -= 1;
        }
        self.conn
            .prepare_cached(sql::DROP_INPUTS)?
            .execute([record])?;
        Ok(())
    }

    /// Refers a row to a stored vector, and says of which version. A row that is known to have none is not asked.
    fn bind(
        &mut self,
        record: i64,
        key: &DocumentKey,
        binding: &Binding,
        unbound: bool,
    ) -> Outcome<i64> {
        let (version, space) = self.version(&binding.version)?.clone();
        let target = &binding.vector;
        if space.id != target.space {
            return Err(Failure::new(
                StoreErrorKind::Model,
                "apply",
                format!(
                    "a vector lies in another space than version {}: {}",
                    binding.version.short(),
                    place(key)
                ),
            ));
        }
        let stored = vector(self.conn, space.number, target)?.ok_or_else(|| {
            Failure::new(
                StoreErrorKind::Model,
                "apply",
                format!(
                    "a row refers to a vector that is not stored: {}",
                    place(key)
                ),
            )
        })?;
        let known = !unbound
            && self
                .conn
                .prepare_cached(sql::IS_BOUND)?
                .exists((record, version))?;
        if !known {
            *self.bound.entry(version).or_default() += 1;
        }
        // A statement that may find the row bound keeps copies of the pages it writes, and takes twice as long.
        let bind = if unbound { sql::BIND_FIRST } else { sql::BIND };
        self.conn.prepare_cached(bind)?.execute((
            record,
            version,
            space.number,
            stored,
            target.input.as_bytes(),
            rows::variant_bytes(target.variant.as_ref()),
        ))?;
        Ok(version)
    }

    /// Makes a version ready, whose every row has a vector.
    fn complete(&self, id: &VersionId) -> Outcome<()> {
        let number = self.version(id)?.0;
        let complete: bool = self
            .conn
            .prepare_cached(sql::VERSION_IS_COMPLETE)?
            .query_row([number], |row| row.get(0))?;
        if !complete {
            let row: Option<(String, u32)> = self
                .conn
                .prepare_cached(sql::FIRST_UNSERVED)?
                .query_row((self.collection, number), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            let (document, chunk) = row.unwrap_or_default();
            return Err(unserved(&format!("{document:?} chunk {chunk}")));
        }
        self.conn
            .prepare_cached(sql::SET_STATE)?
            .execute((number, VersionState::Ready.as_str()))?;
        Ok(())
    }

    /// Settles who is who after the pointer has moved.
    fn serve(&self) -> Outcome<()> {
        if let Some(id) = &self.changes.activate {
            self.complete(id)?;
        }
        if let Some(previous) = self.previous {
            self.conn
                .prepare_cached(sql::RETIRE)?
                .execute((previous, self.collection))?;
        }
        Ok(())
    }
}

fn metadata(document: &Document) -> Outcome<String> {
    Ok(metadata_to_json(&document.metadata)?)
}

fn place(key: &DocumentKey) -> String {
    format!("{:?} chunk {}", key.document, key.chunk)
}

fn invalid(message: String) -> Failure {
    Failure::new(StoreErrorKind::Invalid, "apply", message)
}

fn unserved(row: &str) -> Failure {
    Failure::new(
        StoreErrorKind::Model,
        "apply",
        format!("a row would be left without a vector of a version that is complete: {row}"),
    )
}
