//! A change as somebody asks for it, right or wrong.

use storage_core::testing::fixture;
use storage_core::{ChangeSet, DocumentKey, Generation, Locator, Relocation, Row};

use super::model::Model;
use super::operation::{Change, Entry, Fault, Key, SOURCES, TEXTS};
use super::values::{binding, collection, document, key, text_of, version};

/// A change as it was asked for, with its fault.
pub(super) fn change_set(model: &Model, change: &Change) -> ChangeSet {
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
                    .map(|(version, imported)| binding(*version, entry.text, *imported));
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
                Some((wanted, binding(*version, text, false)))
            })
            .collect(),
        register: change.register.map(|n| version(n).spec),
        complete: change.complete.map(|n| version(n).id),
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
    let row = |entry: &Entry| Row::new(document(of, entry), vec![binding(0, 0, false)]);
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
                .push(Row::new(spoiled, vec![binding(0, 0, false)]));
        }
        Fault::TwoVectorsOfOneVersion => changes.upserts.push(Row::new(
            document(of, &entry),
            vec![binding(0, 0, false), binding(0, 0, true)],
        )),
        Fault::VectorNeverStored => changes.upserts.push(Row::new(
            document(of, &entry),
            vec![binding(0, TEXTS, false)],
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
        Fault::BindOfAnAbsentRow => changes.binds.push((absent, binding(0, 0, false))),
        Fault::VectorOfAnotherSpace => {
            let mut elsewhere = binding(0, 0, false);
            elsewhere.vector = binding(1, 0, false).vector;
            let row = Row::new(document(of, &entry), vec![elsewhere]);
            changes.upserts.push(row);
        }
        Fault::SpaceNeverRegistered => {
            changes.register = Some(fixture::version("never registered").spec);
        }
        Fault::VersionNeverRegistered => {
            changes.activate = Some(fixture::version("never registered").id);
        }
        Fault::CompletedButNeverRegistered => {
            changes.complete = Some(fixture::version("never registered").id);
        }
    }
}
