//! What the tests of every reader share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use storage_core::{ImportError, ImportFault, ImportSource, Imported, ImportedRecord};
use tokio::runtime::{Builder, Runtime};

/// Everything a source yields.
#[derive(Debug, Default)]
pub(crate) struct Yield {
    pub(crate) records: Vec<ImportedRecord>,
    pub(crate) faults: Vec<ImportFault>,
    pub(crate) error: Option<ImportError>,
}

/// Reads a source twice: what it yields is the same each time, and as much as it said.
pub(crate) fn read(source: &dyn ImportSource) -> Yield {
    let (first, second) = (once(source), once(source));
    assert_eq!(first.records, second.records);
    assert_eq!(first.faults, second.faults);
    assert_eq!(
        first.error.as_ref().map(ToString::to_string),
        second.error.as_ref().map(ToString::to_string)
    );
    if first.error.is_none() {
        let yielded = first.records.len() + first.faults.len();
        assert_eq!(yielded as u64, source.collection().total);
    }
    first
}

/// Reads a source.
pub(crate) fn once(source: &dyn ImportSource) -> Yield {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
    }
    let mut found = Yield::default();
    let reading = async {
        let mut batches = source.read();
        while let Some(batch) = batches.next().await {
            match batch {
                Ok(batch) => {
                    assert!(!batch.is_empty());
                    for entry in batch {
                        match entry {
                            Imported::Record(record) => found.records.push(*record),
                            Imported::Fault(fault) => found.faults.push(fault),
                        }
                    }
                }
                Err(error) => {
                    assert!(found.error.is_none(), "something follows an error");
                    found.error = Some(error);
                }
            }
        }
    };
    RUNTIME.with(|runtime| runtime.block_on(reading));
    found
}

/// Every file below a directory with its bytes: a source is the same before and after.
pub(crate) fn bytes_of(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(bytes_of(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}
