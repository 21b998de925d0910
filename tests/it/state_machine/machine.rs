//! One operation on a store and on the model.

use std::collections::BTreeSet;
use std::fmt::Debug;

use retriever::SearchOptions;
use storage_core::testing::fixture;
use storage_core::{
    Canary, ChangeSet, EmbeddingSpace, Row, RunRecord, Spend, StoreErrorKind, StoredVector,
    Timestamp, VersionId, VersionNote,
};

use super::change::change_set;
use super::compare::{Asked, compare, same, search};
use super::model::{self, Model, Refused};
use super::operation::{Entry, Operation, SOURCES, SPACES, THRESHOLDS, VERSIONS};
use super::subject::Subject;
use super::values::{
    binding, canary, collection, document, filter, run, space, text_of, vector, version,
};

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
        Operation::RegisterSpace(n) => register(subject, model, &space(*n)).await?,
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
                let length = SPACES[VERSIONS[*version].0].1 + 1;
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
        Operation::Build {
            collection,
            version,
            rows,
            complete,
            at,
        } => {
            build(
                subject,
                model,
                (*collection, *version),
                (*rows, *complete),
                *at,
            )
            .await?
        }
        Operation::Promote {
            collection: of,
            version: version_of,
        } => point(subject, model, *of, version(*version_of).id).await?,
        Operation::RollBack { collection: of } => {
            let found = model.collections.get(&collection(*of));
            if let Some(previous) = found.and_then(|found| found.previous.clone()) {
                point(subject, model, *of, previous).await?;
            }
        }
        Operation::DeleteVersion {
            collection: of,
            version: version_of,
            abandoned,
        } => {
            let (name, id) = (collection(*of), version(*version_of).id);
            let found = subject.store().delete_version(&name, &id, *abandoned).await;
            let expected = model.delete_version(&name, &id, *abandoned);
            agrees("delete_version", found, expected)?;
        }
        Operation::Note {
            collection: of,
            version: version_of,
            evaluation,
            number,
        } => {
            let (name, id) = (collection(*of), version(*version_of).id);
            let text = format!("{{\"n\":{number}}}");
            let note = if *evaluation {
                VersionNote::Evaluation(&text)
            } else {
                VersionNote::Calibration(&text)
            };
            let found = subject.store().annotate(&name, &id, note).await;
            agrees("annotate", found, model.annotate(&name, &id, note))?;
        }
        Operation::Canaries {
            space: space_of,
            texts,
            spoiled,
            at,
        } => {
            let known = texts.iter().map(|(text, steady)| (*text, *steady));
            let mut new: Vec<_> = known
                .map(|(text, steady)| canary(*space_of, text, steady))
                .collect();
            if let Some(last) = new.last_mut().filter(|_| *spoiled) {
                last.embedding = fixture::embedding("one too many", SPACES[*space_of].1 + 1);
            }
            look(subject, model, *space_of, &new, *at).await?;
        }
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
            collection,
            version,
            question,
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
            let asked = Asked {
                collection: *collection,
                version: *version,
                question: *question,
                wanted,
            };
            return search(subject.store(), model, &asked, &options).await;
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
    space: &EmbeddingSpace,
) -> Result<(), Difference> {
    let found = subject.store().register_space(space).await;
    model.register_space(space);
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
        register: Some(version(version_of).spec),
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
        let bound = binding(version_of, entry.text, false);
        changes.upserts.push(Row::new(row, vec![bound]));
    }
    for row in &present {
        if seen.contains(&row.key) {
            continue;
        }
        if row.source == owner {
            changes.deletes.push(row.key.clone());
        } else {
            texts.insert(text_of(row));
            let bound = binding(version_of, text_of(row), false);
            changes.binds.push((row.key.clone(), bound));
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
            .map(|row| (row.key.clone(), binding(version_of, text_of(row), false)))
            .collect(),
        register: Some(version(version_of).spec),
        activate: Some(version(version_of).id),
        applied_at: Timestamp(at),
        ..fixture::change(model.base(&name))
    };
    apply(subject, model, changes).await
}

/// Some of the rows that a version lacks; it is complete with the last of them.
async fn build<S: Subject>(
    subject: &S,
    model: &mut Model,
    (of, version_of): (usize, usize),
    (rows, complete): (usize, bool),
    at: i64,
) -> Result<(), Difference> {
    let name = collection(of);
    let id = version(version_of).id;
    let (base, lacking) = model.unbound(&name, &id);
    let mut documents = model.documents(&name);
    documents.retain(|document| lacking.contains(&document.key));
    documents.truncate(rows);
    let texts: BTreeSet<usize> = documents.iter().map(text_of).collect();
    pay(subject, model, version_of, &texts, at).await?;
    let space_of = VERSIONS[version_of].0;
    let known = texts.iter().map(|text| canary(space_of, *text, true));
    look(subject, model, space_of, &known.collect::<Vec<_>>(), at).await?;
    let changes = ChangeSet {
        collection: name,
        source: None,
        binds: documents
            .iter()
            .map(|row| (row.key.clone(), binding(version_of, text_of(row), false)))
            .collect(),
        register: Some(version(version_of).spec),
        complete: (complete && documents.len() == lacking.len()).then_some(id),
        applied_at: Timestamp(at),
        ..fixture::change(base)
    };
    apply(subject, model, changes).await
}

/// What the provider of a space said is noted.
async fn look<S: Subject>(
    subject: &S,
    model: &mut Model,
    space_of: usize,
    known: &[Canary],
    at: i64,
) -> Result<(), Difference> {
    let (id, at) = (space(space_of).id, Timestamp(at));
    let found = subject.store().record_canaries(&id, known, at).await;
    let expected = model.record_canaries(&id, known, at);
    agrees("record_canaries", found, expected)
}

async fn point<S: Subject>(
    subject: &S,
    model: &mut Model,
    of: usize,
    version: VersionId,
) -> Result<(), Difference> {
    let name = collection(of);
    let changes = ChangeSet {
        source: None,
        activate: Some(version),
        ..fixture::change(model.base(&name))
    };
    let changes = ChangeSet {
        collection: name,
        ..changes
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
    register(subject, model, &version(version_of).space).await?;
    let batch = texts.iter().map(|text| vector(version_of, *text, false));
    put(subject, model, batch.collect(), 0, at).await
}
