//! Legacy stores, opened the way `import` opens them: everything is read, and nothing is written.

use std::fs;
use std::path::Path;

use futures_util::StreamExt as _;
use importers::faiss::{self, FaissOptions};
use importers::vectors;
use storage_core::{ImportError, ImportSource, Imported};

/// Three vectors of two numbers, as FAISS writes them: what pickles and rows are put beside.
const INDEX: &[u8] = b"IxF2\x02\0\0\0\x03\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x10\0\0\0\0\0\x01\x01\0\0\0\x06\0\0\0\0\0\0\0\
\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40";

/// Takes the bytes for the files of a Chroma index: dimensions in one byte, the header, then elements.
pub fn hnsw(data: &[u8]) {
    importers::fuzzing::hnsw::run(data);
}

/// Takes the bytes for an index with nothing beside it.
pub fn faiss(data: &[u8]) {
    indexes(&[("index.faiss", data)]);
}

/// Takes the bytes for a pickle, and for that of a LangChain folder.
pub fn pickle(data: &[u8]) {
    importers::fuzzing::pickle::run(data);
    indexes(&[("index.faiss", INDEX), ("index.pkl", data)]);
}

/// Takes the bytes for the rows beside an index.
pub fn metadata(data: &[u8]) {
    indexes(&[("index.faiss", INDEX), ("metadata.json", data)]);
}

/// Takes the bytes for a matrix and the records beside it: the first two are the length of the matrix. The records are
/// also read on their own, and the matrix as raw numbers.
pub fn npy(data: &[u8]) {
    let Some((length, rest)) = data.split_at_checked(2) else {
        return;
    };
    let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
    let (matrix, items) = rest.split_at(length.min(rest.len()));
    let files = [("items.jsonl", items), ("v.npy", matrix), ("v.f32", matrix)];
    within(&files, |directory| {
        let items = directory.join("items.jsonl");
        look(vectors::open(&items, Some(&directory.join("v.npy")), None));
        look(vectors::open(
            &items,
            Some(&directory.join("v.f32")),
            std::num::NonZeroU32::new(3),
        ));
        look(vectors::open(&items, None, None));
    });
}

fn indexes(files: &[(&str, &[u8])]) {
    within(files, |directory| {
        for salvage in [false, true] {
            let options = FaissOptions {
                allow_lossy: true,
                salvage,
                model: None,
            };
            look(faiss::open(directory, None, &options));
        }
    });
}

/// Writes files, runs something on their directory, and looks whether they are as they were.
fn within(files: &[(&str, &[u8])], run: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().expect("there is room for a temporary file");
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes)
            .expect("the temporary directory can be written to");
    }
    run(directory.path());
    for (name, bytes) in files {
        let now = fs::read(directory.path().join(name)).expect("the file is still there");
        assert!(now == *bytes, "reading {name} changed it");
    }
}

/// Reads a source to its end: the counts are right, the vectors of one length, and people are told in one line.
fn look(opened: Result<Box<dyn ImportSource>, ImportError>) {
    let source = match opened {
        Ok(source) => source,
        Err(error) => return crate::source::one_line(&error.to_string()),
    };
    let collection = source.collection();
    for text in collection.notes.iter().chain(&collection.lossy) {
        crate::source::one_line(text);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime needs nothing from outside");
    let mut count = 0;
    let mut failed = false;
    runtime.block_on(async {
        let mut batches = source.read();
        while let Some(batch) = batches.next().await {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    failed = true;
                    crate::source::one_line(&error.to_string());
                    continue;
                }
            };
            count += batch.len() as u64;
            for entry in batch {
                match entry {
                    Imported::Record(record) => {
                        let dimensions = collection.dimensions.map(std::num::NonZeroU32::get);
                        assert_eq!(Some(record.embedding.dimensions()), dimensions);
                        assert!(!record.document.is_empty() && !record.document.contains('\0'));
                    }
                    Imported::Fault(fault) => crate::source::one_line(&fault.reason),
                }
            }
        }
    });
    assert!(
        failed || count == collection.total,
        "{count} of {} were read",
        collection.total
    );
}
