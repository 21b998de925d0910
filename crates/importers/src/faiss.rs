//! FAISS indexes, as `write_index` leaves them: alone, as a LangChain folder, or beside a `metadata.json`.
//!
//! An index is a file of vectors and, at most, numbers for ids. What the vectors are of stands beside it.

mod coding;
mod find;
mod layout;
mod lists;
mod scanner;
mod walk;

use std::path::Path;

use futures_util::stream::BoxStream;
use storage_core::{
    ImportError, ImportErrorKind, ImportFault, ImportSource, Imported, ImportedCollection,
    ImportedRecord, Locator,
};

use crate::reading::{Outlet, SourceFile, Stop, stream};
use crate::{hybrid, langchain};

use find::Beside;
use layout::Layout;
pub(crate) use walk::Step;

/// The ids of some indexes are held to find duplicates, and so are places of vectors in lists: 30 bytes each.
const MOST_VECTORS: u64 = 5_000_000;

/// What to do with an index that is not read here.
const WAY_OUT: &str = "write its vectors with `np.save(\"vectors.npy\", index.reconstruct_n(0, index.ntotal))` and import them with `smart-support import vectors`";

/// How to read an index.
#[derive(Debug, Clone, Default)]
pub struct FaissOptions {
    /// Takes vectors that are approximations of those that were added.
    pub allow_lossy: bool,
    /// Takes what a file that is cut short still proves; the rest is reported.
    pub salvage: bool,
    /// Where the rows of a `metadata.json` name several models: the one whose vectors are meant.
    pub model: Option<String>,
}

/// Opens an index, or a directory that holds one, with what stands beside it: an `index.pkl` of LangChain or a
/// `metadata.json`, found by itself where only one of them is there.
///
/// # Errors
/// [`ImportErrorKind`] says what to do: a type that is not read, quantised vectors, a file that is cut short, two files
/// of metadata and none of them named.
pub fn open(
    index: &Path,
    metadata: Option<&Path>,
    options: &FaissOptions,
) -> Result<Box<dyn ImportSource>, ImportError> {
    let found = find::find(index, metadata)?;
    let index = Index::open(found.index, found.name, options)?;
    match found.beside {
        Some(Beside::Pickle(pickle)) => langchain::open(index, pickle),
        Some(Beside::Json(json)) => hybrid::open(index, &json, options.model.as_deref()),
        None => Ok(Box::new(Alone { index })),
    }
}

/// An index of which everything is known but the vectors themselves.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    file: SourceFile,
    layout: Layout,
    collection: ImportedCollection,
}

impl Index {
    fn open(file: SourceFile, name: String, options: &FaissOptions) -> Result<Self, ImportError> {
        let layout = Layout::read(&file, options.salvage)?;
        let lossy = layout.lossy();
        if let Some(lossy) = &lossy
            && !options.allow_lossy
        {
            return Err(ImportError::new(
                ImportErrorKind::Lossy,
                format!(
                    "the index does not hold the vectors that were added ({lossy}), add `--allow-lossy` to import what it has: {}",
                    file.name()
                ),
            ));
        }
        let collection = ImportedCollection {
            kind: "faiss",
            name,
            location: file.name(),
            total: layout.total,
            dimensions: Some(layout.dimensions),
            metric: layout.metric,
            model: None,
            lossy,
            notes: layout.missing.clone().into_iter().collect(),
        };
        Ok(Self {
            file,
            layout,
            collection,
        })
    }

    pub(crate) fn collection(&self) -> &ImportedCollection {
        &self.collection
    }

    pub(crate) fn collection_mut(&mut self) -> &mut ImportedCollection {
        &mut self.collection
    }

    /// Vectors by the index's own count.
    pub(crate) fn total(&self) -> u64 {
        self.layout.total
    }

    /// Every id once, in the order of [`Self::walk`], and whether it came before.
    pub(crate) fn ids(&self, each: &mut dyn FnMut(Option<i64>, bool)) -> Result<(), ImportError> {
        walk::ids(&self.layout, &self.file, each)
    }

    /// Every vector once, in an order that is the same each time.
    pub(crate) fn walk(&self, each: &mut dyn FnMut(Step) -> Result<(), Stop>) -> Result<(), Stop> {
        walk::walk(&self.layout, &self.file, each)?;
        self.file.unchanged()?;
        Ok(())
    }
}

/// An index with nothing beside it: vectors and numbers.
#[derive(Debug)]
struct Alone {
    index: Index,
}

impl ImportSource for Alone {
    fn collection(&self) -> &ImportedCollection {
        self.index.collection()
    }

    fn read(&self) -> BoxStream<'static, Result<Vec<Imported>, ImportError>> {
        let index = self.index.clone();
        stream(move |outlet| alone(&index, outlet))
    }
}

fn alone(index: &Index, outlet: &mut Outlet<'_>) -> Result<(), Stop> {
    index.walk(&mut |step| {
        let id = step.id.map(|id| id.to_string());
        // A repeated id is one even if the vector is another: which of them is meant nobody knows.
        let problem = if step.repeated {
            Err("an earlier vector has the same id".to_owned())
        } else {
            step.vector
        };
        match (id, problem) {
            (Some(id), Ok(embedding)) => outlet.record(ImportedRecord {
                document: id,
                chunk: 0,
                text: None,
                category: None,
                metadata: std::collections::BTreeMap::new(),
                embedding,
                locator: Locator {
                    row: Some(step.position),
                    ..Locator::default()
                },
            }),
            (id, problem) => outlet.fault(ImportFault {
                id,
                row: Some(step.position),
                reason: problem
                    .err()
                    .unwrap_or_else(|| "the file ends before its id".to_owned()),
            }),
        }
    })
}
