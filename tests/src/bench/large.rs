//! `large`: what 100,000 rows cost on disk, in memory and in time.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::bench::data::{templates, write_jsonl};
use crate::bench::figure::Figure;
use crate::bench::measure::{children_cpu_ms, watch};
use crate::bench::product::{Product, Provider, disk_bytes, number};

const ROWS: u32 = 100_000;
const DIMENSIONS: u32 = 1024;
/// Words of an answer: a row has about 250 bytes of text.
const WORDS: usize = 12;
const MIB: f64 = 1024.0 * 1024.0;

pub(crate) fn run(product: &Product) -> Result<Vec<Figure>> {
    let directory = tempfile::tempdir()?;
    let (source, store) = (
        directory.path().join("faq.jsonl"),
        directory.path().join("s.db"),
    );
    eprintln!("bench: large: writing a source of {ROWS} rows");
    let text = write_source(&source)?;
    // `sync` creates no store; an empty one first, so that what is watched is the daily command.
    product.run(&store, &Provider::Hash, ["migrate", "--migrate-schema"])?;

    eprintln!("bench: large: embedding and storing them, about a minute");
    let answer = directory.path().join("answer.json");
    let errors = directory.path().join("errors.txt");
    let args = ["sync".as_ref(), "--faq-path".as_ref(), source.as_os_str()];
    let mut command = product.command(&store, &Provider::Hash, args);
    command
        .stdout(Stdio::from(File::create(&answer)?))
        .stderr(Stdio::from(File::create(&errors)?));
    let (cpu, started) = (children_cpu_ms()?, Instant::now());
    let (status, memory) = watch(&mut command)?;
    let (cpu, wall) = (
        (children_cpu_ms()? - cpu) / 1e3,
        started.elapsed().as_secs_f64(),
    );
    if !status.success() {
        bail!(
            "sync ended with {status}: {}",
            std::fs::read_to_string(&errors)?.trim()
        );
    }
    let answer: Value = serde_json::from_slice(&std::fs::read(&answer)?)?;
    let file = disk_bytes(&store)?;
    let raw = f64::from(ROWS) * f64::from(DIMENSIONS) * 4.0;
    let rows = f64::from(ROWS);

    eprintln!("bench: large: writing as many bytes to a plain file");
    let plain = plain_write(&directory.path().join("plain"), raw)?;
    let allowed = 64.0 * MIB + 2.0 * text;
    Ok(vec![
        Figure::new(
            "large",
            "100,000 x 1024: file less the text",
            "MB",
            (file - text) / 1e6,
        )
        .beside("raw vectors", raw / 1e6)
        .ratio_at_most(1.15),
        Figure::new(
            "large",
            "first sync: peak private memory",
            "MiB",
            memory.private / MIB,
        )
        .beside("64 MiB + 2 x the text", allowed / MIB)
        .ratio_at_most(1.0),
        Figure::new(
            "large",
            "first sync: peak resident memory, mapped pages too",
            "MiB",
            memory.resident / MIB,
        ),
        Figure::new(
            "large",
            "first sync, embedding by hash included: wall",
            "s",
            wall,
        ),
        Figure::new("large", "the same: CPU", "s", cpu),
        Figure::new(
            "large",
            "the same: embedding, as reported",
            "s",
            number(&answer, "/seconds/embed")?,
        ),
        Figure::new(
            "large",
            "the same: storing, as reported",
            "s",
            number(&answer, "/seconds/store")?,
        )
        .beside("the vectors' bytes to a plain file with fsync", plain),
        Figure::new(
            "large",
            "the same: vectors per CPU second",
            "/s",
            rows / cpu,
        ),
    ])
}

/// Writes the source; yields the bytes of its texts.
fn write_source(path: &Path) -> Result<f64> {
    let rows = templates(ROWS as usize, WORDS);
    write_jsonl(path, &rows)?;
    let bytes: usize = rows.iter().map(crate::bench::data::Template::bytes).sum();
    u32::try_from(bytes).map(f64::from).context("too much text")
}

/// Seconds to write so many bytes in pieces of a megabyte, and to have them on the disk.
fn plain_write(path: &Path, bytes: f64) -> Result<f64> {
    let piece: Vec<u8> = (0..1_048_576u32)
        .map(|number| number.to_le_bytes()[1])
        .collect();
    let started = Instant::now();
    let mut file = File::create(path)?;
    let mut written = 0.0;
    while written < bytes {
        file.write_all(&piece)?;
        written += MIB;
    }
    file.sync_all()?;
    Ok(started.elapsed().as_secs_f64())
}
