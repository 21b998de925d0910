//! One change set in one transaction: the caller commits when this returns, and only then does a reader see any of it.
//!
//! A server is a round trip away, so nothing is asked row by row: what is stored is looked up for all rows at once, the
//! change is worked out here, and written by one statement a kind. New rows go by COPY straight into the tables: their
//! numbers were drawn before, so nothing has to be staged to learn them.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;
use storage_core::{
    Applied, Binding, ChangeSet, DocumentKey, SourceId, SpaceId, StoreErrorKind, VersionId,
    VersionState,
};
use tokio_postgres::types::Type;

mod bindings;
mod counts;
mod records;
mod undo;

use super::ledger::run_number;
use super::vectors::{self, StoredKey};
use super::versions::{space, unknown_space};
use crate::error::{Failure, Outcome};
use crate::rows::{self, StoredVersion, count32, get};
use crate::sql;
use crate::tx::{Tx, Work};

pub(crate) struct Apply<'a>(pub(crate) &'a ChangeSet);

#[async_trait]
impl Work for Apply<'_> {
    type Output = Applied;
    const NAME: &'static str = "apply";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Applied> {
        let changes = self.0;
        // One change at a time, in the whole store: generations count up without a gap.
        tx.rows(sql::LOCK_STORE, &[]).await?;
        let name = changes.collection.as_str();
        tx.execute(sql::CREATE_COLLECTION, &[(&name, Type::TEXT)])
            .await?;
        let collection = rows::collection(tx, &changes.collection)
            .await?
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
        let mut apply = Applying {
            tx,
            changes,
            collection: collection.id,
            was_empty: collection.records == 0,
            run: run_number(tx, &changes.run).await?,
            active: collection.active,
            previous: collection.previous,
            versions: BTreeMap::new(),
            bound: BTreeMap::new(),
            sources: BTreeMap::new(),
            known: HashMap::new(),
            records: 0,
            categories: BTreeMap::new(),
            undone: HashMap::new(),
        };
        apply.describe_source().await?;
        apply.name_versions(collection.versions).await?;
        apply.look_up().await?;
        apply.prepare_undo().await?;
        let documents = apply.documents_before().await?;
        // Deletes come first, so that one change can hand a document from one source to another.
        apply.delete().await?;
        let flips = apply.activate().await?;
        apply.check_owners().await?;
        apply.check_served()?;
        let vectors = apply.vectors().await?;
        let written = apply.upsert().await?;
        apply.keep_created().await?;
        apply.relocate().await?;
        apply.bind(&vectors, &written).await?;
        apply.write_categories().await?;
        apply.write_bound().await?;
        let applied = apply.finish(documents).await?;
        if let Some(complete) = &changes.complete {
            apply.complete(complete).await?;
        }
        if flips {
            apply.serve().await?;
        }
        Ok(applied)
    }
}

/// What is known of a stored row before it is changed.
struct Record {
    id: i64,
    category: Option<String>,
    source: i64,
    /// Run, creation, last change: what a checksum covers besides the row's place. `None` for a row that was written by
    /// SQL and has no checksum yet.
    stamp: [i64; 3],
    adopted: bool,
}

/// The space that the vectors of a version lie in.
#[derive(Clone)]
struct Target {
    number: i64,
    id: SpaceId,
}

struct Applying<'a> {
    tx: &'a Tx<'a>,
    changes: &'a ChangeSet,
    collection: i64,
    was_empty: bool,
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
    /// The rows that the change names and that are stored.
    known: HashMap<&'a DocumentKey, Record>,
    /// By how much the recorded counts change.
    records: i64,
    categories: BTreeMap<Option<String>, i64>,
    undone: undo::Undone,
}

impl<'a> Applying<'a> {
    async fn describe_source(&mut self) -> Outcome<()> {
        let changes = self.changes;
        if let Some(source) = &changes.source {
            let number = self.source(&source.id).await?;
            self.tx
                .execute(
                    sql::DESCRIBE_SOURCE,
                    &[
                        (&number, Type::INT8),
                        (&source.kind, Type::TEXT),
                        (&source.location, Type::TEXT),
                    ],
                )
                .await?;
        }
        for row in &changes.upserts {
            self.source(&row.document().source).await?;
        }
        Ok(())
    }

    async fn source(&mut self, id: &SourceId) -> Outcome<i64> {
        if let Some(number) = self.sources.get(id) {
            return Ok(*number);
        }
        let row = self
            .tx
            .one(
                sql::NAME_SOURCE,
                &[(&self.collection, Type::INT8), (&id.as_str(), Type::TEXT)],
            )
            .await?;
        let number = get(&row, 0)?;
        self.sources.insert(id.clone(), number);
        Ok(number)
    }

    /// The number of a source that [`describe_source`](Self::describe_source) has named.
    fn source_number(&self, id: &SourceId) -> i64 {
        self.sources.get(id).copied().unwrap_or_default()
    }

    /// Registers the version that is to be, and learns the numbers of all.
    async fn name_versions(&mut self, known: Vec<StoredVersion>) -> Outcome<()> {
        let mut known = known;
        if let Some(spec) = &self.changes.register {
            let space = space(self.tx, &spec.space)
                .await?
                .ok_or_else(|| unknown_space("apply", &spec.space))?;
            let registered = known.iter().any(|found| found.version.id == spec.id());
            if !registered {
                self.tx
                    .execute(
                        sql::REGISTER_VERSION,
                        &[
                            (&self.collection, Type::INT8),
                            (&space.number, Type::INT8),
                            (&spec.embed_text.as_str(), Type::TEXT),
                            (&self.changes.applied_at.0, Type::INT8),
                        ],
                    )
                    .await?;
                known = rows::versions(self.tx, self.collection).await?;
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

    /// What is stored of the rows that the change names.
    async fn look_up(&mut self) -> Outcome<()> {
        if self.was_empty {
            return Ok(());
        }
        let changes = self.changes;
        let mut named: HashMap<(&'a str, u32), &'a DocumentKey> = HashMap::new();
        let keys = changes
            .upserts
            .iter()
            .map(|row| &row.document().key)
            .chain(&changes.deletes)
            .chain(changes.relocations.iter().map(|relocation| &relocation.key))
            .chain(changes.binds.iter().map(|(key, _)| key));
        for key in keys {
            named.insert((&key.document, key.chunk), key);
        }
        let documents: Vec<&str> = named.values().map(|key| &*key.document).collect();
        let chunks: Vec<i64> = named.values().map(|key| i64::from(key.chunk)).collect();
        let rows = self
            .tx
            .rows(
                sql::RECORDS,
                &[
                    (&self.collection, Type::INT8),
                    (&documents, Type::TEXT_ARRAY),
                    (&chunks, Type::INT8_ARRAY),
                ],
            )
            .await?;
        for row in &rows {
            let place = (get::<&str>(row, 1)?, count32(row, 2)?);
            if let Some(key) = named.get(&place) {
                self.known.insert(
                    key,
                    Record {
                        id: get(row, 0)?,
                        category: get(row, 3)?,
                        source: get(row, 4)?,
                        stamp: [get(row, 5)?, get(row, 6)?, get(row, 7)?],
                        adopted: get(row, 8)?,
                    },
                );
            }
        }
        Ok(())
    }

    fn existing(&self, key: &DocumentKey) -> Outcome<&Record> {
        self.known.get(key).ok_or_else(|| {
            invalid(format!(
                "a change names a row that does not exist: {}",
                place(key)
            ))
        })
    }

    /// Moves the pointer, and says whether it moved.
    async fn activate(&mut self) -> Outcome<bool> {
        let Some(id) = &self.changes.activate else {
            return Ok(false);
        };
        let number = self.version(id)?.0;
        let moved = self
            .tx
            .execute(
                sql::ACTIVATE,
                &[(&self.collection, Type::INT8), (&number, Type::INT8)],
            )
            .await?;
        self.active = Some(number);
        Ok(moved > 0)
    }

    async fn check_owners(&self) -> Outcome<()> {
        if self.was_empty || self.changes.upserts.is_empty() {
            return Ok(());
        }
        let owners: BTreeMap<&str, i64> = self
            .changes
            .upserts
            .iter()
            .map(|row| {
                let document = row.document();
                (
                    &*document.key.document,
                    self.source_number(&document.source),
                )
            })
            .collect();
        let (documents, sources): (Vec<&str>, Vec<i64>) = owners.into_iter().unzip();
        let other = self
            .tx
            .first(
                sql::OTHER_OWNER,
                &[
                    (&self.collection, Type::INT8),
                    (&documents, Type::TEXT_ARRAY),
                    (&sources, Type::INT8_ARRAY),
                ],
            )
            .await?;
        match other {
            None => Ok(()),
            Some(row) => Err(invalid(format!(
                "a document belongs to another source: {:?} to {}",
                get::<&str>(&row, 0)?,
                get::<&str>(&row, 1)?
            ))),
        }
    }

    /// Every row that is written has a vector of the version that is active afterwards.
    fn check_served(&self) -> Outcome<()> {
        let served_later: HashSet<&DocumentKey> = self
            .changes
            .binds
            .iter()
            .filter(|(_, binding)| self.is_active(binding))
            .map(|(key, _)| key)
            .collect();
        for row in &self.changes.upserts {
            let key = &row.document().key;
            let served = row.vectors().iter().any(|binding| self.is_active(binding));
            if !served && !served_later.contains(key) {
                return Err(unserved(&place(key)));
            }
        }
        Ok(())
    }

    fn is_active(&self, binding: &Binding) -> bool {
        self.versions
            .get(&binding.version)
            .is_some_and(|(number, _)| Some(*number) == self.active)
    }

    /// The numbers of every vector that the change refers to.
    async fn vectors(&self) -> Outcome<HashMap<StoredKey, i64>> {
        let mut wanted = HashSet::new();
        let upserted = self.changes.upserts.iter().flat_map(|row| {
            row.vectors()
                .iter()
                .map(|binding| (&row.document().key, binding))
        });
        let bound = self
            .changes
            .binds
            .iter()
            .map(|(key, binding)| (key, binding));
        for (key, binding) in upserted.chain(bound) {
            wanted.insert(self.stored_key(key, binding)?);
        }
        vectors::numbers(self.tx, &wanted).await
    }

    fn stored_key(&self, key: &DocumentKey, binding: &Binding) -> Outcome<StoredKey> {
        let (_, space) = self.version(&binding.version)?;
        if space.id != binding.vector.space {
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
        Ok((space.number, binding.vector.input, binding.vector.variant))
    }

    /// Makes a version ready, whose every row has a vector.
    async fn complete(&self, id: &VersionId) -> Outcome<()> {
        let number = self.version(id)?.0;
        let row = self
            .tx
            .one(sql::VERSION_IS_COMPLETE, &[(&number, Type::INT8)])
            .await?;
        if !get::<bool>(&row, 0)? {
            let row = self
                .tx
                .first(
                    sql::FIRST_UNSERVED,
                    &[(&self.collection, Type::INT8), (&number, Type::INT8)],
                )
                .await?;
            let named = row.map_or(Ok("a row".to_owned()), |row| {
                Outcome::Ok(format!(
                    "{:?} chunk {}",
                    get::<&str>(&row, 0)?,
                    count32(&row, 1)?
                ))
            })?;
            return Err(unserved(&named));
        }
        self.tx
            .execute(
                sql::SET_STATE,
                &[
                    (&number, Type::INT8),
                    (&VersionState::Ready.as_str(), Type::TEXT),
                ],
            )
            .await?;
        Ok(())
    }

    /// Settles who is who after the pointer has moved.
    async fn serve(&self) -> Outcome<()> {
        if let Some(id) = &self.changes.activate {
            self.complete(id).await?;
        }
        if let Some(previous) = self.previous {
            self.tx
                .execute(
                    sql::RETIRE,
                    &[(&previous, Type::INT8), (&self.collection, Type::INT8)],
                )
                .await?;
        }
        Ok(())
    }
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
