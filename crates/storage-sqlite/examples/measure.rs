//! Prints what the backend costs: `cargo run --release -p storage-sqlite --example measure [ROWS...]`.
//!
//! With `write PATH ROWS`, `read PATH TIMES`, `fingerprints PATH TIMES` or `edit PATH` one part runs alone, for a
//! profiler. CPU time is the process's own, so a loaded machine changes little.

use std::path::Path;
use std::time::Instant;

use futures_util::TryStreamExt;
use storage_core::testing::fixture;
use storage_core::{
    Document, Embedding, EmbeddingStore, Filter, Generation, MetadataValue, StoredVector, Timestamp,
};
use storage_sqlite::{SqliteOptions, create_or_open, open_read_only};

const DIMENSIONS: u32 = 1_024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", path, rows] => runtime.block_on(write(Path::new(path), rows.parse()?)),
        ["read", path, times] => runtime.block_on(read(Path::new(path), times.parse()?)),
        ["fingerprints", path, times] => {
            runtime.block_on(fingerprints(Path::new(path), times.parse()?))
        }
        ["edit", path] => runtime.block_on(edit(Path::new(path))),
        sizes => {
            let default = ["201", "10000", "100000"];
            for rows in if sizes.is_empty() {
                &default[..]
            } else {
                sizes
            } {
                let rows: usize = rows.parse()?;
                let times = (20_000 / rows).clamp(3, 100);
                let directory = tempfile::tempdir()?;
                let path = directory.path().join("store.db");
                runtime.block_on(write(&path, rows))?;
                runtime.block_on(read(&path, times))?;
                runtime.block_on(fingerprints(&path, times))?;
                runtime.block_on(edit(&path))?;
            }
            Ok(())
        }
    }
}

type Done = Result<(), Box<dyn std::error::Error>>;

fn version() -> fixture::Made {
    fixture::version_of(fixture::model("m", DIMENSIONS), "")
}

async fn write(path: &Path, count: usize) -> Done {
    let options = SqliteOptions::file(path).with_dimensions(Some(DIMENSIONS));
    let version = version();
    let documents: Vec<Document> = (0..count).map(document).collect();
    say(&format!("{count} rows of {DIMENSIONS} dimensions"));
    let clock = Clock::start();
    let store = create_or_open(&options)?;
    clock.stop("create and open", 1);
    store.register_space(&version.space).await?;
    let mut numbers = fixture::embedding("seed", DIMENSIONS).as_slice().to_vec();
    let clock = Clock::start();
    for batch in documents.chunks(512) {
        let vectors = batch.iter().map(|document| {
            // Cheap and different: what is measured is the store.
            numbers.rotate_left(1);
            numbers[0] += 1e-3;
            Ok(StoredVector {
                key: fixture::vector_key(&version, document),
                embedding: Embedding::new(numbers.clone())?,
            })
        });
        let vectors = vectors.collect::<Result<Vec<_>, storage_core::EmbeddingError>>()?;
        let at = Timestamp(2);
        store
            .put_embeddings(&vectors, &fixture::unpaid("r"), at)
            .await?;
    }
    clock.stop("put, in batches of 512", 1);
    say(&format!("  peak memory {} MiB", peak_memory()));
    let mut changes = fixture::change(Generation(0));
    changes.upserts = documents
        .iter()
        .map(|document| fixture::row(document, &[&version]))
        .collect();
    changes.register = Some(version.spec.clone());
    changes.activate = Some(version.id.clone());
    say(&format!("  memory {} MiB before apply", memory("VmRSS:")));
    let clock = Clock::start();
    store.apply(changes.clone()).await?;
    clock.stop("apply", 1);
    say(&format!("  peak memory {} MiB", peak_memory()));
    let clock = Clock::start();
    drop(store);
    clock.stop("close", 1);

    let raw = count as f64 * f64::from(DIMENSIONS) * 4.0;
    let file = std::fs::metadata(path)?.len() as f64;
    let text = open_read_only(&options)?.bytes().await?.text as f64;
    say(&format!(
        "  file {:.1} MB = {:.3} x vectors, {:.3} x without the text; a row costs {:.0} bytes beside vector and text",
        file / 1e6,
        file / raw,
        (file - text) / raw,
        (file - text - raw) / count as f64
    ));
    Ok(())
}

async fn read(path: &Path, times: usize) -> Done {
    let options = SqliteOptions::file(path);
    let clock = Clock::start();
    let mut records = 0;
    for _ in 0..times {
        let store = open_read_only(&options)?;
        records = store.status().await?.collections[0].records;
    }
    clock.stop(
        &format!("open read-only and status ({records} rows)"),
        times,
    );
    let clock = Clock::start();
    for _ in 0..times {
        let store = open_read_only(&options)?;
        let mut scan = store.scan(&fixture::faq(), None, Filter::default());
        let mut found = 0;
        while let Some(record) = scan.try_next().await? {
            found += u64::from(record.embedding.dimensions() == DIMENSIONS);
        }
        assert_eq!(found, records);
    }
    clock.stop("open read-only and scan", times);
    let clock = Clock::start();
    for _ in 0..times {
        let store = open_read_only(&options)?;
        let scan = store.scan(&fixture::faq(), None, Filter::default());
        let all: Vec<_> = scan.try_collect().await?;
        assert_eq!(all.len() as u64, records);
    }
    clock.stop("the same, all rows kept", times);
    say(&format!("  peak memory {} MiB", peak_memory()));
    Ok(())
}

async fn fingerprints(path: &Path, times: usize) -> Done {
    let store = open_read_only(&SqliteOptions::file(path))?;
    let clock = Clock::start();
    for _ in 0..times {
        store.fingerprints(&fixture::faq()).await?;
    }
    clock.stop("fingerprints", times);
    Ok(())
}

async fn edit(path: &Path) -> Done {
    let store = storage_sqlite::open(&SqliteOptions::file(path))?;
    let (generation, fingerprints) = store.fingerprints(&fixture::faq()).await?;
    let count = fingerprints.len();
    let version = version();
    let inputs = fingerprints.iter().filter_map(|row| row.input()).collect();
    let clock = Clock::start();
    store.stored_vectors(&version.space.id, &inputs).await?;
    clock.stop("stored_vectors of every row", 1);
    let mut changes = fixture::change(generation);
    changes.upserts = (0..count / 100)
        .map(|n| fixture::row(&document(n), &[&version]))
        .collect();
    let clock = Clock::start();
    store.apply(changes.clone()).await?;
    clock.stop("apply of 1 %", 1);
    let clock = Clock::start();
    assert!(store.check().await?.is_ok());
    clock.stop("check", 1);
    Ok(())
}

fn document(n: usize) -> Document {
    let mut document = fixture::document(
        &format!("kak-otkryt-schet-v-otdelenii-{n}"),
        &format!("Как открыть счёт номер {n} в отделении банка?"),
        &"Придите с паспортом в ближайшее отделение, сотрудник откроет счёт. ".repeat(3),
    );
    document.locator.row = Some(n as u64 + 2);
    document.category = Some(format!("Категория {}", n % 20));
    document
        .metadata
        .insert("n".to_owned(), MetadataValue::I64(n as i64));
    document
}

struct Clock {
    wall: Instant,
    cpu: f64,
}

impl Clock {
    fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: cpu_ms(),
        }
    }

    fn stop(&self, what: &str, times: usize) {
        let wall = self.wall.elapsed().as_secs_f64() * 1e3 / times as f64;
        let cpu = (cpu_ms() - self.cpu) / times as f64;
        say(&format!("  {cpu:9.2} ms CPU {wall:9.2} ms wall  {what}"));
    }
}

/// CPU time of every thread, ended ones included. Its grain is 10 ms, so short things are measured many at a time.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command's name is in parentheses and may hold anything; the fields behind it are numbers.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks * 10.0
}

fn peak_memory() -> u64 {
    memory("VmHWM:")
}

fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|text| text.trim().split(' ').next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1_024)
}

#[allow(clippy::print_stdout, reason = "printing is what this program is for")]
fn say(line: &str) {
    println!("{line}");
}
