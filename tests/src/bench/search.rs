//! `search`: a whole process that opens the store, scores every row and prints the best ten.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::bench::data::{templates, write_jsonl, write_query};
use crate::bench::figure::Figure;
use crate::bench::measure::{interleaved, mean_cpu_ms, median};
use crate::bench::product::{Product, Provider};

const TEMPLATES: usize = 201;
const DIMENSIONS: usize = 1024;
const WORDS: usize = 40;
const ROUNDS: u32 = 7;
/// Runs a round; processor time is read in ticks of 10 ms, and a run takes a fraction of one.
const OURS: u32 = 100;
const PEERS: u32 = 3;
const READER: &str = include_str!("numpy_reader.py");
/// Names a Python that has numpy; `python3` otherwise.
const PYTHON_VARIABLE: &str = "SMART_SUPPORT_BENCH_PYTHON";

pub(crate) fn run(product: &Product) -> Result<Vec<Figure>> {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    let (source, store, query, reader) = (
        path("faq.jsonl"),
        path("s.db"),
        path("q.f32"),
        path("numpy_reader.py"),
    );
    write_jsonl(&source, &templates(TEMPLATES, WORDS))?;
    write_query(&query, DIMENSIONS)?;
    std::fs::write(&reader, READER)?;
    let faq = [
        "migrate".as_ref(),
        "--faq-path".as_ref(),
        source.as_os_str(),
    ];
    product.run(&store, &Provider::Hash, faq)?;

    let args = [
        "search".as_ref(),
        "--top-k".as_ref(),
        "10".as_ref(),
        "--query-vector".as_ref(),
        query.as_os_str(),
    ];
    let mut load = Vec::new();
    for _ in 0..ROUNDS * 3 {
        load.push(
            product
                .run(&store, &Provider::Hash, args)?
                .number("/ms/search")?,
        );
    }
    let mut ours = || {
        mean_cpu_ms(OURS, || {
            quietly(&mut product.command(&store, &Provider::Hash, args))
        })
    };
    let mut bare = || mean_cpu_ms(OURS, || quietly(&mut Command::new("true")));
    let whole = "201 x 1024, whole process with a ready vector: CPU";
    let mut figures = match numpy(&reader, &store, &query) {
        Err(why) => {
            let [ours, bare] = interleaved(ROUNDS, [&mut ours, &mut bare])?;
            vec![
                Figure::new("search", whole, "ms", ours)
                    .beside("process `true`", bare)
                    .at_most(6.0),
                Figure::skipped(
                    "search",
                    "the same, beside Python with numpy",
                    format!("{why:#}"),
                ),
            ]
        }
        Ok(found) => {
            let answer = product.run(&store, &Provider::Hash, args)?.json;
            agree(&answer, &found)?;
            let mut peer = || mean_cpu_ms(PEERS, || quietly(&mut python(&reader, &store, &query)));
            let tasks: [crate::bench::measure::Task<'_>; 3] = [&mut ours, &mut bare, &mut peer];
            let [ours, bare, peer] = interleaved(ROUNDS, tasks)?;
            vec![
                Figure::new("search", whole, "ms", ours)
                    .beside("process `true`", bare)
                    .at_most(6.0),
                Figure::new("search", "the same, beside Python with numpy", "ms", ours)
                    .beside("numpy over the same rows", peer)
                    .ratio_at_most(0.055),
            ]
        }
    };
    figures.push(
        Figure::new(
            "search",
            "201 x 1024: rows loaded and scored, wall",
            "ms",
            median(load),
        )
        .at_most(10.0),
    );
    Ok(figures)
}

/// Runs a command whose output nobody reads.
fn quietly(command: &mut Command) -> Result<()> {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

fn python(reader: &Path, store: &Path, query: &Path) -> Command {
    let python = std::env::var_os(PYTHON_VARIABLE).unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.arg(reader).arg(store).arg(query);
    command
}

/// What the peer finds; an error where there is no Python or no numpy.
fn numpy(reader: &Path, store: &Path, query: &Path) -> Result<Vec<String>> {
    let output = python(reader, store, query)
        .output()
        .context("no python3")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = said.lines().last().unwrap_or("failed").to_owned();
        bail!("python3: {last}");
    }
    let found = String::from_utf8(output.stdout)?;
    Ok(found.lines().map(str::to_owned).collect())
}

/// Speed without the right answer is none: both must find the same rows.
fn agree(answer: &Value, found: &[String]) -> Result<()> {
    let hits = answer["hits"].as_array().context("no hits")?;
    let ours: Vec<&str> = hits.iter().filter_map(|hit| hit["id"].as_str()).collect();
    if ours != found {
        bail!("the product found {ours:?}, numpy {found:?}");
    }
    Ok(())
}
