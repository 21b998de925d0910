//! `index`: a collection in memory, as the service holds it: how soon it is ready, what it takes, how fast it answers.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use futures_util::TryStreamExt;
use retriever::{SearchIndex, SearchOptions};
use serde_json::{Value, json};
use storage_core::testing::fixture;
use storage_core::{Embedding, EmbeddingStore, Filter};
use storage_sqlite::SqliteOptions;

use crate::bench::data::template;
use crate::bench::figure::Figure;
use crate::bench::measure::median;
use crate::bench::product::Product;

/// The mode in which this program loads an index, asks it and ends: memory is counted by process.
pub(crate) const CHILD_MODE: &str = "__index";

const DIMENSIONS: u32 = 1024;
/// Words of an answer: a row has about 250 bytes of text.
const WORDS: usize = 12;
const ROUNDS: usize = 15;
/// Questions that are answered together.
const TOGETHER: [usize; 5] = [1, 2, 4, 8, 16];
/// Two categories, with every hundredth and every fifth row.
const HUNDREDTH: &str = "every hundredth";
const FIFTH: &str = "every fifth";

pub(crate) fn run(_: &Product) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for rows in [10_000, 100_000] {
        eprintln!("bench: index: writing {rows} rows");
        let directory = tempfile::tempdir()?;
        let store = directory.path().join("s.db");
        runtime()?.block_on(write(&store, rows))?;
        let output = Command::new(std::env::current_exe()?)
            .args([CHILD_MODE.as_ref(), store.as_os_str()])
            .output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        figures.extend(figures_of(rows, &serde_json::from_slice(&output.stdout)?)?);
    }
    Ok(figures)
}

fn figures_of(rows: usize, measured: &Value) -> Result<Vec<Figure>> {
    let number = |name: &str| {
        let found = measured[name].as_f64();
        found.with_context(|| format!("the child did not tell {name}"))
    };
    let figure = |name: &str, unit, value| {
        Figure::new(
            "index",
            format!("{rows} x {DIMENSIONS}: {name}"),
            unit,
            value,
        )
    };
    let pass = number("pass")?;
    let mut figures = vec![
        figure("ready, wall", "ms", number("load_wall")?)
            .beside("reading the rows and dropping them", number("scan_wall")?)
            .at_most(1_500.0),
        figure("ready, CPU", "ms", number("load_cpu")?)
            .beside("reading the rows and dropping them", number("scan_cpu")?)
            .ratio_at_most(2.5),
        figure("private memory of the process", "MiB", number("private")?)
            .beside("the vectors alone", number("vectors")?)
            .ratio_at_most(1.15),
        figure("one question", "us", number("alone")?)
            .beside("reading all vectors once", pass)
            .ratio_at_most(1.5),
    ];
    for together in TOGETHER {
        figures.push(
            figure(
                &format!("{together} questions together, each"),
                "us",
                number(&format!("together_{together}"))?,
            )
            .beside("one question alone", number("alone")?),
        );
    }
    for (name, part, bound) in [("1 %", "hundredth", 0.05), ("20 %", "fifth", 0.4)] {
        figures.push(
            figure(&format!("one question, filter {name}"), "us", number(part)?)
                .beside("one question without a filter", number("alone")?)
                .ratio_at_most(bound),
        );
    }
    Ok(figures)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().build()?)
}

async fn write(path: &Path, rows: usize) -> Result<()> {
    let options = SqliteOptions::file(path).with_dimensions(Some(DIMENSIONS));
    let store = storage_sqlite::create_or_open(&options)?;
    let version = fixture::version_of(fixture::model("bench", DIMENSIONS), "");
    let documents: Vec<_> = (0..rows)
        .map(|number| {
            let template = template(number, WORDS);
            let id = format!("t{number:06}");
            let mut document = fixture::document(&id, &template.question, &template.answer);
            document.category = Some(match number % 100 {
                0 => HUNDREDTH.to_owned(),
                n if n % 5 == 1 => FIFTH.to_owned(),
                _ => template.category,
            });
            document
        })
        .collect();
    for batch in documents.chunks(1_000) {
        fixture::put(&store, &version, batch).await;
    }
    fixture::fill(&store, &version, &documents).await;
    Ok(())
}

/// Loads, asks, and prints what it took.
pub(crate) fn child(path: &Path) -> Result<()> {
    let measured = runtime()?.block_on(measure(path))?;
    println!("{measured}");
    Ok(())
}

async fn measure(path: &Path) -> Result<Value> {
    let store = storage_sqlite::open_read_only(&SqliteOptions::file(path))?;
    let faq = fixture::faq();
    let (cpu, started) = (own_cpu_ms()?, Instant::now());
    let mut rows = store.scan(&faq, None, Filter::default());
    while rows.try_next().await?.is_some() {}
    drop(rows);
    let (scan_wall, scan_cpu) = (ms(started), own_cpu_ms()? - cpu);
    let (cpu, started) = (own_cpu_ms()?, Instant::now());
    let index = SearchIndex::load(&store, &faq, None).await?;
    let (load_wall, load_cpu) = (ms(started), own_cpu_ms()? - cpu);
    let options = |category: Option<&str>| SearchOptions {
        top_k: 10,
        threshold: None,
        filter: Filter {
            category: category.map(str::to_owned),
            ..Filter::default()
        },
    };
    let questions: Vec<Embedding> = (0..TOGETHER[TOGETHER.len() - 1])
        .map(|number| fixture::embedding(&format!("question {number}"), DIMENSIONS))
        .collect();
    let ask = |category: Option<&str>| {
        let options = options(category);
        us(|| index.search(&questions[0], &options).map(drop))
    };
    let mut measured = json!({
        "scan_wall": scan_wall,
        "scan_cpu": scan_cpu,
        "load_wall": load_wall,
        "load_cpu": load_cpu,
        "vectors": mib(size_of_val(index.vectors().as_slice().unwrap_or_default()) as f64),
        "pass": us(|| {
            std::hint::black_box(pass(index.vectors().as_slice().unwrap_or_default()));
            Ok(())
        })?,
        "alone": ask(None)?,
        "hundredth": ask(Some(HUNDREDTH))?,
        "fifth": ask(Some(FIFTH))?,
    });
    for together in TOGETHER {
        let batch: Vec<_> = questions[..together]
            .iter()
            .map(|question| (question.clone(), options(None)))
            .collect();
        let whole = us(|| {
            index
                .search_many(&batch)
                .into_iter()
                .try_for_each(|found| found.map(drop))
        })?;
        measured[format!("together_{together}")] = (whole / together as f64).into();
    }
    measured["private"] = mib(private_bytes()?).into();
    Ok(measured)
}

/// Reads every number once, by eight a cache line and more at a time.
fn pass(numbers: &[f32]) -> u32 {
    let words: &[u32] = bytemuck::cast_slice(numbers);
    let mut sums = [0u32; 64];
    for block in words.as_chunks::<64>().0 {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum ^= word;
        }
    }
    sums.iter().fold(0, |sum, word| sum ^ word)
}

fn us(mut run: impl FnMut() -> storage_core::Result<()>) -> Result<f64> {
    let mut values = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        run()?;
        values.push(ms(started) * 1e3);
    }
    Ok(median(values))
}

fn ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}

fn mib(bytes: f64) -> f64 {
    bytes / 1024.0 / 1024.0
}

/// Processor time of this process's one thread, in ms: the kernel counts nanoseconds here.
fn own_cpu_ms() -> Result<f64> {
    let told = std::fs::read_to_string("/proc/self/schedstat")?;
    let first = told.split_whitespace().next().context("no time")?;
    Ok(first.parse::<f64>()? / 1e6)
}

fn private_bytes() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().split(' ').next());
    Ok(kib.context("no RssAnon")?.parse::<f64>()? * 1024.0)
}
