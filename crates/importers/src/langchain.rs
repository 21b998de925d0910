//! LangChain's FAISS folders: an index, and a pickle of the documents and of the map from positions to their ids.

mod documents;
mod values;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use storage_core::{
    ImportError, ImportErrorKind, ImportFault, ImportSource, Imported, ImportedCollection,
    ImportedRecord, Locator, MetadataValue,
};

use crate::faiss::{Index, Step};
use crate::reading::{Outlet, SourceFile, Stop, fault_in_texts, stream};

/// A pickle is read whole.
const LARGEST: u64 = 48 << 20;

/// What a document of the docstore says.
#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) metadata: BTreeMap<String, MetadataValue>,
}

/// What the pickle holds.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    /// By docstore id; why one cannot be read, where that is so.
    pub(crate) documents: BTreeMap<String, Result<Document, String>>,
    /// Docstore ids by position.
    pub(crate) map: HashMap<u64, String>,
    /// What was left out, one sentence each.
    pub(crate) notes: Vec<String>,
}

pub(crate) fn open(
    mut index: Index,
    pickle: SourceFile,
) -> Result<Box<dyn ImportSource>, ImportError> {
    let folder = folder(&pickle)?;
    let total = index.total();
    // Ids that no position of the index leads to, with the positions that the map has for them.
    let mut unreached = folder
        .documents
        .keys()
        .map(|id| (id.clone(), None))
        .collect::<BTreeMap<_, _>>();
    for (position, id) in &folder.map {
        if *position >= total {
            unreached.insert(id.clone(), Some(*position));
        }
    }
    for (position, id) in &folder.map {
        if *position < total {
            unreached.remove(id);
        }
    }
    let collection = index.collection_mut();
    collection.kind = "langchain";
    collection.total = total + unreached.len() as u64;
    collection.notes.extend(folder.notes.iter().cloned());
    Ok(Box::new(LangChain {
        index,
        pickle,
        folder: Arc::new(folder),
        unreached: Arc::new(unreached),
    }))
}

fn folder(pickle: &SourceFile) -> Result<Folder, ImportError> {
    if pickle.length() > LARGEST {
        return Err(ImportError::new(
            ImportErrorKind::TooLarge,
            format!(
                "a pickle of more than {} MiB is not read, export its records and import them with `smart-support import vectors`: {}",
                LARGEST >> 20,
                pickle.name()
            ),
        ));
    }
    pickle.unchanged()?;
    let bytes = fs::read(pickle.path()).map_err(|error| pickle.failed(error))?;
    pickle.unchanged()?;
    documents::read(&bytes).map_err(|refusal| match refusal {
        documents::Refusal::Damaged(fact) => pickle.damaged(fact),
        documents::Refusal::Unsupported(fact) => pickle.unsupported(fact),
        documents::Refusal::TooLarge(fact) => ImportError::new(
            ImportErrorKind::TooLarge,
            format!("{fact}: {}", pickle.name()),
        ),
    })
}

#[derive(Debug)]
struct LangChain {
    index: Index,
    pickle: SourceFile,
    folder: Arc<Folder>,
    unreached: Arc<BTreeMap<String, Option<u64>>>,
}

impl ImportSource for LangChain {
    fn collection(&self) -> &ImportedCollection {
        self.index.collection()
    }

    fn read(&self) -> BoxStream<'static, Result<Vec<Imported>, ImportError>> {
        let (index, pickle) = (self.index.clone(), self.pickle.clone());
        let (folder, unreached) = (Arc::clone(&self.folder), Arc::clone(&self.unreached));
        stream(move |outlet| {
            let mut met = BTreeSet::new();
            index.walk(&mut |step| {
                let position = step.position;
                let id = folder.map.get(&position);
                match record(&folder, id, step, &mut met) {
                    Ok(record) => outlet.record(record),
                    Err(reason) => outlet.fault(ImportFault {
                        id: id.cloned(),
                        row: Some(position),
                        reason,
                    }),
                }
            })?;
            unreachable(&unreached, outlet)?;
            pickle.unchanged()?;
            Ok(())
        })
    }
}

fn record<'a>(
    folder: &'a Folder,
    id: Option<&'a String>,
    step: Step,
    met: &mut BTreeSet<&'a str>,
) -> Result<ImportedRecord, String> {
    let id = id.ok_or("the map of the pickle has no id for this position of the index")?;
    if !met.insert(id) {
        return Err("an earlier position has the same id".to_owned());
    }
    let document = folder
        .documents
        .get(id)
        .ok_or("the docstore of the pickle has no document of this id")?
        .as_ref()
        .map_err(String::clone)?;
    let record = ImportedRecord {
        document: id.clone(),
        chunk: 0,
        text: Some(document.text.clone()),
        category: None,
        metadata: document.metadata.clone(),
        embedding: step.vector?,
        locator: Locator {
            row: Some(step.position),
            ..Locator::default()
        },
    };
    match fault_in_texts(&record) {
        Some(reason) => Err(reason),
        None => Ok(record),
    }
}

fn unreachable(
    unreached: &BTreeMap<String, Option<u64>>,
    outlet: &mut Outlet<'_>,
) -> Result<(), Stop> {
    for (id, position) in unreached {
        outlet.fault(ImportFault {
            id: Some(id.clone()),
            row: *position,
            reason: match position {
                Some(_) => "the index ends before this position".to_owned(),
                None => "no position of the index leads to this document".to_owned(),
            },
        })?;
    }
    Ok(())
}
