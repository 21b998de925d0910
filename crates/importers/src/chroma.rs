//! Chroma: persistent directories of versions 0.4 to 1.5, and servers.
//!
//! A directory is read without Chroma: SQLite tables, a pickle and the files of its index. Ids come from the tables,
//! vectors from whatever holds the one that was written last: the log bit for bit where it still has the row, the index
//! otherwise. What holds no vector is reported by its id; nothing is ever made up.

mod catalogue;
mod damage;
mod database;
mod hnsw;
#[cfg(feature = "chroma-http")]
pub mod http;
mod ids;
mod index;
mod metadata;
mod names;
mod place;
mod plan;
mod read;
mod replay;
mod space;

use std::path::Path;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use storage_core::{ImportError, ImportSource, Imported, ImportedCollection};

use catalogue::Entry;
use place::{Files, Stamp};
use plan::Plan;

use crate::outlet;

pub(crate) use hnsw::{Elements, HEADER, Layout, Norms};

/// What is wanted of a Chroma directory.
#[derive(Debug, Clone, Default)]
pub struct ChromaOptions {
    /// Names of collections, also as `database/name`; none means all.
    pub collections: Vec<String>,
    /// Only of this tenant.
    pub tenant: Option<String>,
    /// Only of this database.
    pub database: Option<String>,
    /// Go on with what a damaged directory still proves; what is lost becomes faults.
    pub salvage: bool,
}

/// Opens a persistent directory and finds out where every vector of the wanted collections is. Blocks.
///
/// Nothing in the directory is changed. One that a writer left in the middle of a write is copied to a private place
/// first, and the copy put in order.
///
/// # Errors
/// `NotFound` for a directory or collection that is not there, `Unsupported` for a layout or version that is not read,
/// `Damaged` when vectors are lost and `salvage` is not set, `Changing` when somebody writes meanwhile.
pub fn open(
    path: &Path,
    options: &ChromaOptions,
) -> Result<Vec<Box<dyn ImportSource>>, ImportError> {
    let files = Arc::new(Files::find(path)?);
    let before = files.stamp(&[])?;
    let connection = database::connect(&files)?;
    database::check(&connection, options.salvage)?;
    let wanted = catalogue::wanted(&connection, options, files.directory())?;
    let plans = plan::make(&connection, &files, &wanted, options.salvage)?;
    drop(connection);
    wanted
        .into_iter()
        .zip(plans)
        .map(|(entry, plan)| {
            let source = DirectorySource::new(entry, plan, Arc::clone(&files), &before)?;
            Ok(Box::new(source) as Box<dyn ImportSource>)
        })
        .collect()
}

/// A collection of a directory.
#[derive(Debug)]
struct DirectorySource {
    about: ImportedCollection,
    inner: Arc<Inner>,
}

/// What a reading thread needs.
#[derive(Debug)]
struct Inner {
    entry: Entry,
    plan: Plan,
    files: Arc<Files>,
    stamp: Stamp,
}

impl DirectorySource {
    fn new(
        entry: Entry,
        mut plan: Plan,
        files: Arc<Files>,
        before: &Stamp,
    ) -> Result<Self, ImportError> {
        let mut notes = entry.notes.clone();
        notes.append(&mut plan.notes);
        let about = ImportedCollection {
            kind: "chroma",
            name: entry.title.clone(),
            location: files.directory().display().to_string(),
            total: plan.records.len() as u64,
            dimensions: plan.dimensions,
            metric: entry.metric,
            model: None,
            lossy: None,
            notes,
        };
        // What the plan was made of must still be there.
        let stamp = files.stamp(&entry.index_files())?;
        if stamp != before.with_index(&plan.index_stamp) {
            return Err(damage::changing(files.directory()));
        }
        let inner = Arc::new(Inner {
            entry,
            plan,
            files,
            stamp,
        });
        Ok(Self { about, inner })
    }
}

impl ImportSource for DirectorySource {
    fn collection(&self) -> &ImportedCollection {
        &self.about
    }

    fn read(&self) -> BoxStream<'static, Result<Vec<Imported>, ImportError>> {
        let inner = Arc::clone(&self.inner);
        outlet::stream(move |outlet| read::read(&inner, outlet))
    }
}
