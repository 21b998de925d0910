//! Files that are cut short, and files with flipped bits.

use std::fs;
use std::path::Path;

use importers::faiss::open;
use storage_core::ImportErrorKind;

use super::{case, lossy, salvage};
use crate::harness::{Yield, once};

/// One of each kind of file.
const CASES: &[&str] = &[
    "flat_l2_old",
    "idmap_flat_old",
    "idmap2_flat_old",
    "idmap_hnsw_old",
    "ivf_flat_old",
    "ivf_flat_sparse_old",
    "pq",
    "pretransform_norm",
    "sq_4bit",
    "sq_8bit",
    "sq_fp16",
    "ivf_pq",
    "langchain_old",
    "hybrid_gaps",
    "hybrid_object",
];

/// Numbers out of a seed, the same ones everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mixed = mixed ^ (mixed >> 31);
        usize::try_from(mixed % u64::try_from(end).unwrap()).unwrap()
    }
}

/// Reads what can be read. Whatever comes of it, the counts are right and the files as they were.
fn attempt(directory: &Path) -> Option<Yield> {
    let mut found = None;
    for options in [lossy(), salvage()] {
        let Ok(source) = open(directory, None, &options) else {
            continue;
        };
        let yielded = once(&*source);
        if yielded.error.is_none() {
            let count = yielded.records.len() + yielded.faults.len();
            assert_eq!(count as u64, source.collection().total);
        }
        for record in &yielded.records {
            let dimensions = source.collection().dimensions.unwrap().get();
            assert_eq!(record.embedding.dimensions(), dimensions);
        }
        found.get_or_insert(yielded);
    }
    found
}

fn copy(name: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for file in ["index.faiss", "index.pkl", "metadata.json"] {
        let from = case(name).join(file);
        if from.exists() {
            fs::copy(from, place.path().join(file)).unwrap();
        }
    }
    place
}

#[test]
fn no_cut_goes_unnoticed() {
    for name in CASES {
        let place = copy(name);
        for entry in fs::read_dir(place.path()).unwrap() {
            let path = entry.unwrap().path();
            let whole = fs::read(&path).unwrap();
            for length in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
                fs::write(&path, &whole[..length]).unwrap();
                let error = open(place.path(), None, &lossy()).unwrap_err();
                let refused = [ImportErrorKind::Damaged, ImportErrorKind::Unsupported];
                assert!(
                    refused.contains(&error.kind()),
                    "{name}, {length} bytes: {error}"
                );
                attempt(place.path());
            }
            fs::write(&path, &whole).unwrap();
        }
    }
}

#[test]
fn flipped_bits_are_refused_or_reported() {
    let seed = std::env::var("SEED").map_or(20_261_121, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut random = Random(seed);
    for name in CASES {
        let place = copy(name);
        for entry in fs::read_dir(place.path()).unwrap() {
            let path = entry.unwrap().path();
            let whole = fs::read(&path).unwrap();
            for round in 0..300 {
                let mut bytes = whole.clone();
                for _ in 0..=random.below(3) {
                    // Heads of objects are where the meaning is.
                    let most = if round % 2 == 0 {
                        bytes.len()
                    } else {
                        bytes.len().min(200)
                    };
                    bytes[random.below(most)] ^= 1 << random.below(8);
                }
                fs::write(&path, &bytes).unwrap();
                attempt(place.path());
                assert_eq!(fs::read(&path).unwrap(), bytes);
            }
            fs::write(&path, &whole).unwrap();
        }
    }
}

#[test]
fn a_count_beyond_the_file_allocates_nothing() {
    let place = copy("flat_l2_old");
    let path = place.path().join("index.faiss");
    let whole = fs::read(&path).unwrap();
    // The dimensions, the number of vectors, the length of the codes.
    for (at, bytes) in [
        (4, &i32::MAX.to_le_bytes()[..]),
        (4, &(-1_i32).to_le_bytes()),
        (8, &i64::MAX.to_le_bytes()),
        (8, &5_000_001_i64.to_le_bytes()),
        (8, &(-1_i64).to_le_bytes()),
        (37, &u64::MAX.to_le_bytes()),
    ] {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&path, changed).unwrap();
        let error = open(&path, None, &salvage()).unwrap_err();
        assert_eq!(error.kind(), ImportErrorKind::Damaged, "{error}");
    }
}

#[test]
fn indexes_nested_without_end_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index.faiss");
    let head = &fs::read(case("idmap_flat_old/index.faiss")).unwrap()[..37];
    fs::write(&path, head.repeat(100_000)).unwrap();
    let error = open(&path, None, &lossy()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("more than 8 indexes within each other")
    );
}

/// What a file that is cut short still proves: the vectors before its end, and nothing more.
#[test]
fn a_salvage_takes_what_is_there_and_names_the_rest() {
    for (name, keep) in [
        ("flat_l2_old", 1_000),
        ("sq_fp16", 2_000),
        ("idmap_hnsw_old", 5_100),
        ("hybrid_gaps", 2_000),
    ] {
        let place = copy(name);
        let whole = once(&*open(place.path(), None, &lossy()).unwrap());
        let path = place.path().join("index.faiss");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..keep]).unwrap();
        assert_eq!(
            open(place.path(), None, &lossy()).unwrap_err().kind(),
            ImportErrorKind::Damaged
        );
        let source = open(place.path(), None, &salvage()).unwrap();
        assert!(
            source
                .collection()
                .notes
                .iter()
                .any(|note| note.contains("the file ends after"))
        );
        let found = once(&*source);
        let count = found.records.len();
        assert!(count > 0 && count < whole.records.len(), "{name}: {count}");
        assert_eq!(
            (count + found.faults.len()) as u64,
            source.collection().total
        );
        for record in &found.records {
            assert!(whole.records.contains(record), "{name}");
        }
    }
}

#[test]
fn a_salvage_of_lists_takes_those_that_are_whole() {
    let place = copy("ivf_flat_old");
    let path = place.path().join("index.faiss");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let source = open(place.path(), None, &salvage()).unwrap();
    let found = once(&*source);
    assert!(!found.records.is_empty() && !found.faults.is_empty());
    assert_eq!(found.records.len() + found.faults.len(), 40);
    assert!(found.faults.iter().all(|fault| fault.id.is_none()));
}

#[test]
fn a_salvage_without_ids_is_refused() {
    let place = copy("idmap_flat_old");
    let path = place.path().join("index.faiss");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..1_000]).unwrap();
    let error = open(&path, None, &salvage()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the ids, which follow the vectors, are gone")
    );
}
