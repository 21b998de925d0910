//! One operation on a store and on the model.

use std::collections::BTreeSet;
use std::fmt::Debug;

use retriever::SearchOptions;
use storage_core::testing::fixture;
use storage_core::{
    ChangeSet, DocumentKey, EmbeddingSpace, Generation, Locator, Relocation, Row, RunRecord,
    Spend, StoreErrorKind, StoredVector, Timestamp,
};

use super::compare::{compare, same, search};
use super::model::{self, Model, Refused};
use super::operation::{
    Change, Entry, Fault, Key, Operation, SOURCES, TEXTS, THRESHOLDS, VERSIONS,
};
use super::subject::Subject;
use super::values::{collection, document, filter, key, run, text_of, vector, vector_key, version};

/// What differs, in words.
pub(super) type Difference = String;

/// An operation's outcome against the model's: equal values, or a refusal for one of the model's reasons.
fn agrees<T: Debug + PartialEq>(
    what: &str,
    found: storage_core::Result<T>,
    expected: Result<T, Refused>,
) -> Result<(), Difference> {
    match (found, expected) {
        (Ok(found), Ok(expected)) => same(what, &found, &expected),
        (Err(error), Err(reasons)) if reasons.contains(model::name(error.kind())) => Ok(()),
        (found, expected) => Err(format!(
            "{what}\n   found: {found:?}\nexpected: {expected:?}"
        )),
    }
}

/// Takes one step and compares.
pub(super) async fn step<S: Subject>(
    subject: &mut S,
    model: &mut Model,
    operation: &Operation,
) -> Result<(), Difference> {
    match operation {
        Operation::Register(n) => register(subject, model, &version(*n)).await?,
        Operation::PutVectors {
            version,
            texts,
            spoiled,
            run,
            at,
        } => {
            let mut batch: Vec<_> = texts
                .iter()
                .map(|(text, imported)| vector(*version, *text, *imported))
                .collect();
            if let Some(last) = batch.last_mut().filter(|_| *spoiled) {
                let length = VERSIONS[*version].1 + 1;
                last.embedding = fixture::embedding("one too many", length);
            }
            put(subject, model, batch, *run, *at).await?;
        }
        Operation::Sync {
            collection,
            source,
            version,
            entries,
            at,
        } => {
            sync(
                subject,
                model,
                (*collection, *source, *version),
                entries,
                *at,
            )
            .await?
        }
        Operation::Flip {
            collection,
            version,
            at,
        } => flip(subject, model, *collection, *version, *at).await?,
        Operation::Apply(change) => {
            let changes = change_set(model, change);
            apply(subject, model, changes).await?;
        }
        Operation::Prune { before } => {
            let found = subject.store().prune(Timestamp(*before)).await;
            agrees("prune", found, Ok(model.prune(Timestamp(*before))))?;
        }
        Operation::RecordRun {
            run: id,
            collection: of,
            kind,
            state,
            counts,
            started_at,
        } => {
            let record = RunRecord {
                id: run(*id),
                kind: *kind,
                collection: collection(*of),
                source: (*counts > 4).then(fixture::sheet),
                version: counts.is_multiple_of(2).then(|| version(0).id),
                state: *state,
                requests: *counts,
                texts: counts * 2,
                tokens: counts * 3,
                started_at: Timestamp(*started_at),
                finished_at: (*counts > 2).then_some(Timestamp(started_at + 1)),
            };
            let found = subject.store().record_run(&record).await;
            model.record_run(&record);
            agrees("record_run", found, Ok(()))?;
        }
        Operation::Reopen => subject.reopen(),
        Operation::Compact => subject.compact(),
        Operation::ReadBeside => {}
        Operation::Search {
            collection: of,
            question: asked,
            top_k,
            threshold,
            wanted,
        } => {
            let options = SearchOptions {
                top_k: *top_k,
                threshold: threshold.map(|n| THRESHOLDS[n]),
                filter: filter(wanted),
            };
            // Nothing was asked to change, and the next step looks at everything again.
            return search(subject.store(), model, *of, *asked, &options, wanted).await;
        }
    }
    compare(subject.store(), model, subject.on_disk()).await?;
    let beside = matches!(operation, Operation::ReadBeside | Operation::Reopen);
    if let Some(reader) = subject.beside().filter(|_| beside) {
        compare(&*reader, model, subject.on_disk())
            .await
            .map_err(|difference| format!("beside: {difference}"))?;
    }
    Ok(())
}

async fn register<S: Subject>(
    subject: &S,
    model: &mut Model,
    version: &EmbeddingSpace,
) -> Result<(), Difference> {
    let found = subject.store().register_space(version).await;
    model.register(version);
    agrees("register_space", found, Ok(()))
}

async fn put<S: Subject>(
    subject: &S,
    model: &mut Model,
    batch: Vec<StoredVector>,
    run_of: usize,
    at: i64,
) -> Result<(), Difference> {
    let spend = Spend {
        run: run(run_of),
        requests: 1,
        texts: batch.len() as u64,
        tokens: 3,
    };
    let found = subject
        .store()
        .put_embeddings(&batch, &spend, Timestamp(at))
        .await;
    let expected = model.put(&batch, &spend, Timestamp(at));
    agrees("put_embeddings", found, expected)
}

async fn apply<S: Subject>(
    subject: &S,
    model: &mut Model,
    changes: ChangeSet,
) -> Result<(), Difference> {
    let expected = model.apply(&changes);
    let found = subject.store().apply(changes).await;
    if let (Err(error), Err(reasons)) = (&found, &expected)
        && reasons.len() == 1
        && reasons.contains(model::name(StoreErrorKind::Conflict))
    {
        same("conflict", &error.kind(), &StoreErrorKind::Conflict)?;
    }
    agrees("apply", found, expected)
}

/// A change set that is right by construction: everything it names is paid for and bound.
async fn sync<S: Subject>(
    subject: &S,
    model: &mut Model,
    (of, source, version_of): (usize, usize, usize),
    entries: &[Entry],
    at: i64,
) -> Result<(), Difference> {
    let name = collection(of);
    let owner = fixture::source_id(SOURCES[source]);
    let present = model.documents(&name);
    let mut changes = ChangeSet {
        collection: name.clone(),
        source: Some(fixture::source(&name, SOURCES[source])),
        activate: Some(version(version_of).id),
        applied_at: Timestamp(at),
        ..fixture::change(model.base(&name))
    };
    let (mut texts, mut seen) = (BTreeSet::new(), Vec::new());
    for entry in entries {
        let entry = Entry { source, ..*entry };
        let row = document(of, &entry);
        let foreign = present
            .iter()
            .any(|other| other.key.document == row.key.document && other.source != owner);
        if foreign || seen.contains(&row.key) {
            continue;
        }
        seen.push(row.key.clone());
        texts.insert(entry.text);
        changes.upserts.push(Row::new(
            row,
            vec![vector_key(version_of, entry.text, false)],
        ));
    }
    for row in &present {
        if seen.contains(&row.key) {
            continue;
        }
        if row.source == owner {
            changes.deletes.push(row.key.clone());
        } else {
            texts.insert(text_of(row));
            let vector = vector_key(version_of, text_of(row), false);
            changes.binds.push((row.key.clone(), vector));
        }
    }
    pay(subject, model, version_of, &texts, at).await?;
    apply(subject, model, changes).await
}

/// Every row under another version.
async fn flip<S: Subject>(
    subject: &S,
    model: &mut Model,
    of: usize,
    version_of: usize,
    at: i64,
) -> Result<(), Difference> {
    let name = collection(of);
    let rows = model.documents(&name);
    let texts = rows.iter().map(text_of).collect();
    pay(subject, model, version_of, &texts, at).await?;
    let changes = ChangeSet {
        collection: name.clone(),
        source: None,
        binds: rows
            .iter()
            .map(|row| (row.key.clone(), vector_key(version_of, text_of(row), false)))
            .collect(),
        activate: Some(version(version_of).id),
        applied_at: Timestamp(at),
        ..fixture::change(model.base(&name))
    };
    apply(subject, model, changes).await
}

async fn pay<S: Subject>(
    subject: &S,
    model: &mut Model,
    version_of: usize,
    texts: &BTreeSet<usize>,
    at: i64,
) -> Result<(), Difference> {
    register(subject, model, &version(version_of)).await?;
    let batch = texts.iter().map(|text| vector(version_of, *text, false));
    put(subject, model, batch.collect(), 0, at).await
}

/// A change as it was asked for, with its fault.
fn change_set(model: &Model, change: &Change) -> ChangeSet {
    let of = change.collection;
    let name = collection(of);
    let rows = model.documents(&name);
    let find = |wanted: &DocumentKey| rows.iter().find(|row| row.key == *wanted);
    let mut changes = ChangeSet {
        collection: name.clone(),
        source: change
            .source
            .map(|source| fixture::source(&name, SOURCES[source])),
        upserts: change
            .upserts
            .iter()
            .map(|(entry, vectors)| {
                let vectors = vectors
                    .iter()
                    .map(|(version, imported)| vector_key(*version, entry.text, *imported));
                Row::new(document(of, entry), vectors.collect())
            })
            .collect(),
        deletes: change
            .deletes
            .iter()
            .map(|wanted| key(of, *wanted))
            .collect(),
        relocations: change
            .relocations
            .iter()
            .map(|(wanted, row)| relocation(key(of, *wanted), *row))
            .collect(),
        // A row's own text: a store takes the caller's word for it, and its check would not.
        binds: change
            .binds
            .iter()
            .filter_map(|(wanted, version)| {
                let wanted = key(of, *wanted);
                let upserted = change
                    .upserts
                    .iter()
                    .rev()
                    .find(|(entry, _)| key(of, entry.key) == wanted)
                    .map(|(entry, _)| entry.text);
                let text = upserted.or_else(|| find(&wanted).map(text_of))?;
                Some((wanted, vector_key(*version, text, false)))
            })
            .collect(),
        activate: change.activate.map(|n| version(n).id),
        ..fixture::change(model.base(&name))
    };
    if let Some(fault) = change.fault {
        spoil(&mut changes, of, fault);
    }
    changes
}

fn relocation(key: DocumentKey, row: u64) -> Relocation {
    Relocation {
        key,
        locator: Locator {
            row: Some(row),
            ..Locator::default()
        },
    }
}

fn spoil(changes: &mut ChangeSet, of: usize, fault: Fault) {
    let entry = Entry {
        key: Key {
            document: 0,
            chunk: 0,
        },
        text: 0,
        category: None,
        source: 0,
    };
    let row = |entry: &Entry| Row::new(document(of, entry), vec![vector_key(0, 0, false)]);
    let absent = DocumentKey {
        document: "absent".to_owned(),
        ..key(of, entry.key)
    };
    match fault {
        Fault::StaleBase => changes.base = Generation(changes.base.0.wrapping_sub(1)),
        Fault::FutureBase => changes.base = Generation(changes.base.0 + 1),
        Fault::RowOfAnotherCollection => changes.deletes.push(key(1 - of, entry.key)),
        Fault::SourceOfAnotherCollection => {
            changes.source = Some(fixture::source(&collection(1 - of), SOURCES[0]));
        }
        Fault::RowTwice => changes.upserts.extend([row(&entry), row(&entry)]),
        Fault::NulInAText => {
            let mut spoiled = document(of, &entry);
            spoiled.title.push('\0');
            changes
                .upserts
                .push(Row::new(spoiled, vec![vector_key(0, 0, false)]));
        }
        Fault::TwoVectorsOfOneVersion => changes.upserts.push(Row::new(
            document(of, &entry),
            vec![vector_key(0, 0, false), vector_key(0, 0, true)],
        )),
        Fault::VectorNeverStored => changes.upserts.push(Row::new(
            document(of, &entry),
            vec![vector_key(0, TEXTS, false)],
        )),
        Fault::DocumentOfTwoSources => {
            let second = Entry {
                key: Key {
                    document: 0,
                    chunk: 1,
                },
                source: 1,
                ..entry
            };
            changes.upserts.extend([row(&entry), row(&second)]);
        }
        Fault::MoveOfAnAbsentRow => changes.relocations.push(relocation(absent, 1)),
        Fault::BindOfAnAbsentRow => changes.binds.push((absent, vector_key(0, 0, false))),
        Fault::VersionNeverRegistered => {
            changes.activate = Some(fixture::version("never registered").id);
        }
    }
}
