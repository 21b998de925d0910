//! Mutated inputs from a seed: no panic, bounded time, bounded memory. `SEED=` repeats a run.
//!
//! The allocator of this program counts, which takes `unsafe`; it passes everything on to the system's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a randomised test names its seed")]
#![allow(
    unsafe_code,
    reason = "a global allocator is an unsafe trait; it calls the system's with what it was given"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use fuzz::mutate::{
    self, INDEX_WORDS, MARKUP_WORDS, PDF_WORDS, PICKLE_WORDS, ROW_WORDS, Random, SETTINGS_WORDS,
    TEXT_WORDS, WORKBOOK_WORDS,
};
use fuzz::{Target, inputs};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to `System` with the arguments unchanged; counting touches no memory that it hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One at a time: the allocator counts for the whole process.
static TURN: Mutex<()> = Mutex::new(());
static WATCHED: Once = Once::new();

/// What the product may take for one input.
const MEMORY: usize = 256 << 20;
/// Ten times the 2 s it may take.
const TIME: Duration = Duration::from_secs(20);

fn seed() -> u64 {
    match std::env::var("SEED") {
        Ok(seed) => seed.parse().expect("SEED is a number"),
        Err(_) => 20_250_101,
    }
}

/// Runs a target on so many mutations of its corpus.
fn run(name: &str, count: u64, words: &[&[u8]]) {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    WATCHED.call_once(fuzz::watch_panics);
    let panics = fuzz::own_panics();
    let target = Target::ALL.iter().find(|target| target.name == name);
    let target = target.expect("the target is in the table");
    let corpus = inputs("corpus", name).unwrap();
    let seed = seed();
    println!("SEED={seed}");
    for round in 0..count {
        let mut random = Random::new(seed ^ round.wrapping_mul(0x0100_0000_01b3));
        let (_, first) = random.pick(&corpus);
        let (_, second) = random.pick(&corpus);
        let data = if matches!(name, "xlsx" | "docx") {
            workbook(first, second, words, &mut random)
        } else {
            let mut data = first.clone();
            mutate::bytes(&mut data, second, words, &mut random);
            data
        };
        PEAK.store(HELD.load(Ordering::Relaxed), Ordering::Relaxed);
        let before = HELD.load(Ordering::Relaxed);
        let begun = Instant::now();
        let (run, input) = (target.run, data.clone());
        let ended = std::thread::spawn(move || catch_unwind(|| run(&input)).is_ok());
        // A panic of ours in the parser's thread would come back as a damaged workbook.
        let sound = ended.join().unwrap_or_default() && fuzz::own_panics() == panics;
        let (took, peak) = (begun.elapsed(), PEAK.load(Ordering::Relaxed) - before);
        if !sound || took > TIME || peak > MEMORY {
            let kept = std::env::temp_dir().join(format!("{name}-{seed}-{round}"));
            std::fs::write(&kept, &data).unwrap();
            panic!(
                "SEED={seed}, round {round}: panicked: {}, {took:?}, {} MiB; the input is {}",
                !sound,
                peak >> 20,
                kept.display()
            );
        }
    }
}

/// Every third workbook is changed as bytes, the others in one or two of their parts.
fn workbook(first: &[u8], second: &[u8], words: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let parts = mutate::unpack(first).filter(|_| random.below(3) > 0);
    let Some(mut parts) = parts else {
        let mut data = first.to_vec();
        mutate::bytes(&mut data, second, words, random);
        return data;
    };
    for _ in 0..=random.below(2) {
        let other = parts[random.below(parts.len())].1.clone();
        let chosen = random.below(parts.len());
        mutate::bytes(&mut parts[chosen].1, &other, words, random);
    }
    mutate::pack(&parts).unwrap_or_else(|| first.to_vec())
}

#[test]
fn a_thousand_mutated_workbooks() {
    run("xlsx", 1_000, WORKBOOK_WORDS);
}

#[test]
fn five_hundred_mutated_tables() {
    run("csv", 500, TEXT_WORDS);
}

#[test]
fn five_hundred_mutated_records() {
    run("jsonl", 500, TEXT_WORDS);
}

#[test]
fn five_hundred_mutated_settings() {
    run("settings", 500, SETTINGS_WORDS);
}

#[test]
fn five_hundred_mutated_stores() {
    run(
        "sqlite_open",
        500,
        &[b"\0", b"\xff\xff\xff\xff", b"SELECT", b"sqlite_master"],
    );
}

#[test]
fn five_hundred_mutated_indexes() {
    run("faiss", 500, INDEX_WORDS);
}

#[test]
fn five_hundred_mutated_pickles() {
    run("pickle", 500, PICKLE_WORDS);
}

#[test]
fn five_hundred_mutated_rows_of_indexes() {
    run("metadata", 500, ROW_WORDS);
}

#[test]
fn five_hundred_mutated_matrices() {
    run("npy", 500, ROW_WORDS);
}

/// In process, without the limits of the child that the product reads them in.
#[test]
fn five_hundred_mutated_pdfs() {
    run("pdf", 500, PDF_WORDS);
}

#[test]
fn five_hundred_mutated_docx() {
    run("docx", 500, WORKBOOK_WORDS);
}

#[test]
fn five_hundred_mutated_pages() {
    run("html", 500, MARKUP_WORDS);
}

#[test]
fn five_hundred_mutated_markdowns() {
    run("markdown", 500, MARKUP_WORDS);
}

#[test]
fn five_hundred_mutated_graphs() {
    run("hnsw", 500, INDEX_WORDS);
}
