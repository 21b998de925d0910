//! `import`: moving 100,000 vectors in, beside plain SQL that writes the same rows, and beside Chroma's own client that
//! reads the same directory.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rusqlite::Connection;
use serde_json::Value;

use crate::bench::data::{Template, templates};
use crate::bench::figure::Figure;
use crate::bench::measure::{Memory, median, watch};
use crate::bench::product::{Product, Provider, number};

const BENCH: &str = "import";
const ROWS: usize = 100_000;
const DIMENSIONS: usize = 1_024;
/// Words of a text: a row has about 250 bytes of it.
const WORDS: usize = 12;
const ROUNDS: usize = 3;
const MIB: f64 = 1024.0 * 1024.0;
const CLIENT: &str = include_str!("chroma_client.py");
/// Names a Python that has chromadb.
const PYTHON_VARIABLE: &str = "SMART_SUPPORT_BENCH_CHROMADB";
/// Names the directory that its client writes, which takes it many minutes, or has written before.
const DIRECTORY_VARIABLE: &str = "SMART_SUPPORT_BENCH_CHROMA_DIR";

pub(crate) fn run(product: &Product) -> Result<Vec<Figure>> {
    let mut figures = vectors(product)?;
    figures.extend(chroma(product)?);
    Ok(figures)
}

/// A run of the product, watched.
struct Import {
    wall: f64,
    memory: Memory,
    report: Value,
}

fn import(product: &Product, directory: &Path, args: &[&str]) -> Result<Import> {
    let store = directory.join("imported.db");
    let answer = directory.join("answer.json");
    let errors = directory.join("errors.txt");
    for suffix in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(
            directory.join(format!("imported.db{suffix}")),
        ));
    }
    let mut command = product.command(&store, &Provider::Hash, args);
    command
        .stdout(Stdio::from(File::create(&answer)?))
        .stderr(Stdio::from(File::create(&errors)?));
    let started = Instant::now();
    let (status, memory) = watch(&mut command)?;
    let wall = started.elapsed().as_secs_f64();
    if !status.success() {
        let said = std::fs::read_to_string(&errors)?;
        bail!("{command:?} ended with {status}: {}", said.trim());
    }
    let report: Value = serde_json::from_slice(&std::fs::read(&answer)?)?;
    let imported = number(&report, "/imported")?;
    #[allow(clippy::cast_precision_loss, reason = "100,000 is exact")]
    if imported != ROWS as f64 {
        bail!("{imported} of {ROWS} rows were imported");
    }
    Ok(Import {
        wall,
        memory,
        report,
    })
}

#[allow(clippy::cast_precision_loss, reason = "100,000 is exact")]
fn speed(seconds: f64) -> f64 {
    ROWS as f64 / seconds
}

fn vectors(product: &Product) -> Result<Vec<Figure>> {
    let directory = tempfile::tempdir()?;
    let (items, matrix) = (
        directory.path().join("items.jsonl"),
        directory.path().join("items.f32"),
    );
    eprintln!("bench: import: writing a matrix of {ROWS} x {DIMENSIONS}");
    let rows = templates(ROWS, WORDS);
    write_items(&items, &rows)?;
    write_matrix(&matrix, ROWS)?;
    let (items_name, matrix_name) = (items.display().to_string(), matrix.display().to_string());
    let dimensions = DIMENSIONS.to_string();
    let args = [
        "import",
        "vectors",
        "--items",
        &items_name,
        "--vectors",
        &matrix_name,
        "--dimensions",
        &dimensions,
        "--model",
        "bench",
        "--offline",
    ];
    let unverified = [&args[..], &["--no-verify"]].concat();
    let (mut ours, mut trusting, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    let mut memory = Memory::default();
    let mut verifying = Vec::new();
    for round in 0..ROUNDS {
        eprintln!("bench: import: vectors, round {} of {ROUNDS}", round + 1);
        let run = import(product, directory.path(), &args)?;
        ours.push(run.wall);
        memory.private = memory.private.max(run.memory.private);
        memory.resident = memory.resident.max(run.memory.resident);
        verifying.push(number(&run.report, "/collections/0/seconds/verify")?);
        trusting.push(import(product, directory.path(), &unverified)?.wall);
        plain.push(plain_sql(
            &directory.path().join("plain.db"),
            &rows,
            &matrix,
        )?);
    }
    let plain = speed(median(plain));
    let what = "100,000 x 1024 from a matrix";
    let beside = "the same rows by plain SQLite statements in one transaction";
    Ok(vec![
        Figure::new(
            BENCH,
            format!("{what}, read back and compared"),
            "rows/s",
            speed(median(ours)),
        )
        .beside(beside, plain)
        .ratio_at_least(0.5),
        Figure::new(
            BENCH,
            "the same with --no-verify",
            "rows/s",
            speed(median(trusting)),
        )
        .beside(beside, plain),
        Figure::new(
            BENCH,
            "reading back and comparing, as reported",
            "s",
            median(verifying),
        ),
        Figure::new(
            BENCH,
            "the same: peak private memory",
            "MiB",
            memory.private / MIB,
        ),
    ])
}

pub(crate) fn write_items(path: &Path, rows: &[Template]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for (number, row) in rows.iter().enumerate() {
        let line =
            serde_json::json!({"id": id(number), "text": row.answer, "metadata": {"n": number}});
        writeln!(file, "{line}")?;
    }
    file.flush()?;
    Ok(())
}

fn id(number: usize) -> String {
    format!("entry-{number:06}")
}

/// Rows of numbers without a pattern that a disk or a cache could gain from.
pub(crate) fn write_matrix(path: &Path, rows: usize) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..rows * DIMENSIONS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bytes = state.to_le_bytes();
        let number = f32::from(i16::from_le_bytes([bytes[4], bytes[5]])) / 32_768.0 + 1e-4;
        file.write_all(&number.to_le_bytes())?;
    }
    file.flush()?;
    Ok(())
}

/// The rows in one table, in one transaction, as durable as ours; from memory, so that reading costs the peer nothing.
fn plain_sql(path: &Path, rows: &[Template], matrix: &Path) -> Result<f64> {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        drop(std::fs::remove_file(file));
    }
    let numbers = std::fs::read(matrix)?;
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.execute_batch(
        "CREATE TABLE rows (id TEXT PRIMARY KEY, text TEXT NOT NULL, metadata TEXT NOT NULL, embedding BLOB NOT NULL)",
    )?;
    let started = Instant::now();
    connection.execute_batch("BEGIN")?;
    let mut insert = connection
        .prepare("INSERT INTO rows (id, text, metadata, embedding) VALUES (?1, ?2, ?3, ?4)")?;
    for (number, (row, vector)) in rows.iter().zip(numbers.chunks(4 * DIMENSIONS)).enumerate() {
        let metadata = format!("{{\"n\":{number}}}");
        insert.execute((id(number), &row.answer, metadata, vector))?;
    }
    drop(insert);
    connection.execute_batch("COMMIT")?;
    let seconds = started.elapsed().as_secs_f64();
    connection.close().map_err(|(_, error)| error)?;
    Ok(seconds)
}

fn chroma(product: &Product) -> Result<Vec<Figure>> {
    let what = "a Chroma directory of 100,000 x 384";
    let Some(python) = std::env::var_os(PYTHON_VARIABLE) else {
        let why = format!("{PYTHON_VARIABLE} names no Python that has chromadb");
        return Ok(vec![Figure::skipped(BENCH, what, why)]);
    };
    let place = tempfile::tempdir()?;
    let script = place.path().join("chroma_client.py");
    std::fs::write(&script, CLIENT)?;
    let legacy = std::env::var_os(DIRECTORY_VARIABLE)
        .map_or_else(|| place.path().join("legacy"), PathBuf::from);
    let client = |args: &[&str]| -> Result<(f64, String)> {
        let mut command = Command::new(&python);
        command.arg(&script).args(args);
        let started = Instant::now();
        let output = command.output().context("cannot start Python")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{command:?} ended with {}: {}", output.status, said.trim());
        }
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((started.elapsed().as_secs_f64(), said))
    };
    let directory = legacy.display().to_string();
    if !legacy.join("chroma.sqlite3").is_file() {
        eprintln!("bench: import: Chroma's client writes {ROWS} rows, many minutes");
        client(&["write", &directory, &ROWS.to_string()])?;
    }
    let args = [
        "import",
        "chroma",
        &directory,
        "--model",
        "bench",
        "--offline",
    ];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut memory = Memory::default();
    for round in 0..ROUNDS {
        eprintln!("bench: import: Chroma, round {} of {ROUNDS}", round + 1);
        let run = import(product, place.path(), &args)?;
        ours.push(run.wall);
        memory.private = memory.private.max(run.memory.private);
        memory.resident = memory.resident.max(run.memory.resident);
        let (seconds, read) = client(&["read", &directory])?;
        if read != ROWS.to_string() {
            bail!("Chroma's client read {read} of {ROWS} rows");
        }
        theirs.push(seconds);
    }
    Ok(vec![
        Figure::new(
            BENCH,
            format!("{what}: moved, read back and compared, wall"),
            "s",
            median(ours),
        )
        .beside("Chroma's own client, which only reads it", median(theirs))
        .ratio_at_most(0.2),
        Figure::new(
            BENCH,
            "the same: peak private memory",
            "MiB",
            memory.private / MIB,
        )
        .at_most(200.0),
        Figure::new(
            BENCH,
            "the same: peak resident memory, mapped pages too",
            "MiB",
            memory.resident / MIB,
        ),
    ])
}
