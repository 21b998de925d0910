//! `unchanged`: a sync that finds nothing to do costs little more than reading its source.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use faq_source::{SourceLimits, SourceOptions};

use crate::bench::data::{templates, write_csv, write_jsonl};
use crate::bench::figure::Figure;
use crate::bench::measure::{interleaved, mean_cpu_ms};
use crate::bench::product::{Product, Provider};

/// The mode in which this program only reads a source and ends.
pub(crate) const READ_MODE: &str = "__read";

const ROWS: usize = 10_000;
/// Words of an answer: a row has about 220 characters of text, as those that the peers were measured with.
const WORDS: usize = 22;
const ROUNDS: u32 = 7;
const RUNS: u32 = 10;

pub(crate) fn run(product: &Product) -> Result<Vec<Figure>> {
    let rows = templates(ROWS, WORDS);
    let mut figures = Vec::new();
    for format in ["csv", "jsonl"] {
        let directory = tempfile::tempdir()?;
        let source = directory.path().join(format!("faq.{format}"));
        let store = directory.path().join("s.db");
        match format {
            "csv" => write_csv(&source, &rows)?,
            _ => write_jsonl(&source, &rows)?,
        }
        let arguments =
            |command: &'static str| [command.as_ref(), "--faq-path".as_ref(), source.as_os_str()];
        product.run(&store, &Provider::Hash, arguments("migrate"))?;
        let again = product.run(&store, &Provider::Hash, arguments("sync"))?;
        let unchanged = again.number("/unchanged")?;
        if (unchanged - 1e4).abs() > 0.5 {
            bail!("{unchanged} rows are unchanged, not {ROWS}");
        }
        let mut ours = || {
            mean_cpu_ms(RUNS, || {
                product
                    .run(&store, &Provider::Hash, arguments("sync"))
                    .map(drop)
            })
        };
        let mut reading = || mean_cpu_ms(RUNS, || read_in_child(&source));
        let [ours, reading] = interleaved(ROUNDS, [&mut ours, &mut reading])?;
        let name = format!("10,000 rows of {format}, nothing changed");
        figures.push(
            Figure::new("unchanged", format!("{name}: CPU"), "ms", ours)
                .beside("reading the source alone", reading),
        );
        figures.push(
            Figure::new(
                "unchanged",
                format!("{name}: CPU above reading"),
                "ms",
                ours - reading,
            )
            .at_most(20.0),
        );
    }
    Ok(figures)
}

/// Reads a source with the product's own reader and ends.
pub(crate) fn read_only(path: &Path) -> Result<()> {
    let snapshot =
        faq_source::open(path, &SourceOptions::default())?.read(&SourceLimits::default())?;
    if snapshot.rows.is_empty() {
        bail!("no rows in {}", path.display());
    }
    // As the product does: it leaves without taking the rows apart.
    std::process::exit(0)
}

fn read_in_child(source: &Path) -> Result<()> {
    let program = std::env::current_exe().context("where is this program?")?;
    let mut command = Command::new(program);
    command.arg(READ_MODE).arg(source).stdout(Stdio::null());
    let status = command
        .status()
        .context("cannot start this program again")?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
