//! The benches: which there are, in what order they run, and what becomes of their figures.
//!
//! Every figure is taken from whole runs of the product's release binary, beside a peer or a limit of the same run.
//! Bounds are ratios, or absolute values with room to spare, so that a busy machine does not miss them by itself.

mod api;
mod data;
mod evaluation;
mod figure;
mod import;
mod index;
mod large;
mod local;
mod measure;
mod postgres;
mod product;
mod report;
mod search;
mod seed;
mod serve;
mod switch;
mod unchanged;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use figure::Figure;
use product::Product;

/// A bench: measures and yields its figures.
type Bench = fn(&Product) -> Result<Vec<Figure>>;

/// What runs when no name is given.
const BENCHES: [(&str, Bench); 11] = [
    ("api", api::run),
    ("search", search::run),
    ("unchanged", unchanged::run),
    ("large", large::run),
    ("index", index::run),
    ("switch", switch::run),
    ("seed", seed::run),
    ("import", import::run),
    ("serve", serve::run),
    ("postgres", postgres::run),
    ("local", local::run),
];
/// Accuracy instead of speed: runs only when it is named, since it needs data sets and minutes.
const EVALUATION: &str = "eval";
const USAGE: &str = "usage: cargo xtask bench [api|search|unchanged|large|index|switch|seed|import|serve|postgres|local|eval]... [--json FILE] [--data DIR]...";

#[derive(Debug, Default)]
struct Arguments {
    names: Vec<String>,
    json: Option<PathBuf>,
    data: Vec<PathBuf>,
}

/// Runs what was asked for; fails when a bound is missed.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        // A child of `unchanged`: what reading the source alone costs.
        [mode, file] if mode == unchanged::READ_MODE => {
            unchanged::read_only(file.as_ref()).map(|()| true)
        }
        [mode, store] if mode == index::CHILD_MODE => index::child(store.as_ref()).map(|()| true),
        _ => run(arguments),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<bool> {
    let arguments = parse(arguments)?;
    let named = |name: &str| arguments.names.iter().any(|given| given == name);
    let product = Product::find()?;
    let mut figures = Vec::new();
    for (name, bench) in BENCHES {
        if arguments.names.is_empty() || named(name) {
            eprintln!("bench: {name}");
            figures.extend(bench(&product).with_context(|| format!("bench {name}"))?);
        }
    }
    if named(EVALUATION) {
        eprintln!("bench: {EVALUATION}");
        figures.extend(evaluation::run(&product, &arguments.data).context("bench eval")?);
    }
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&figures)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    print!("{}", figure::table(&figures));
    println!("{}", figure::summary(&figures));
    Ok(figures.iter().all(Figure::holds))
}

fn parse(given: Vec<String>) -> Result<Arguments> {
    let mut arguments = Arguments::default();
    let mut given = given.into_iter();
    while let Some(argument) = given.next() {
        let mut value = || {
            given
                .next()
                .with_context(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--json" => arguments.json = Some(value()?.into()),
            "--data" => arguments.data.push(value()?.into()),
            name if name == EVALUATION || BENCHES.iter().any(|(known, _)| *known == name) => {
                arguments.names.push(argument);
            }
            _ => bail!("unknown argument {argument:?}; {USAGE}"),
        }
    }
    Ok(arguments)
}
