//! Owns `cargo xtask fuzz`: builds the targets of `fuzz/` with coverage feedback on the stable compiler, runs them, and
//! says what they found.
//!
//! The flags are plain code generation flags, so neither a nightly compiler nor cargo-fuzz is needed. What a run learns
//! stays under `target/`; `fuzz/corpus` and `fuzz/regressions` are committed by hand, and replayed by ordinary tests.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::workspace::Workspace;

const PACKAGE: &str = "fuzz";
const TARGETS: [&str; 10] = [
    "xlsx",
    "csv",
    "jsonl",
    "settings",
    "sqlite_open",
    "hnsw",
    "faiss",
    "pickle",
    "metadata",
    "npy",
];

/// What libFuzzer needs compiled in: counters for edges, a table of places, and the operands of comparisons.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // Each unit registers its own counters; fewer units are fewer registrations.
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

/// An input that takes longer, or more memory, is a finding: ten times the 2 s, and four times the 256 MiB, that the
/// product is allowed, since instrumented code is slow and remembers its corpus.
const LIMITS: [&str; 3] = ["-timeout=20", "-rss_limit_mb=1024", "-max_len=131072"];

/// How one target ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    executions: u64,
    coverage: u64,
    /// Files with inputs that ended it.
    crashes: Vec<PathBuf>,
}

/// Builds the targets and runs one or all of them for so many seconds each.
pub(crate) fn command(
    workspace: &Workspace,
    target: Option<&str>,
    seconds: u32,
    args: &[OsString],
) -> Result<ExitCode> {
    let targets = match target {
        None => TARGETS.to_vec(),
        Some(name) => match TARGETS.iter().find(|known| **known == name) {
            Some(known) => vec![*known],
            None => bail!("no fuzz target {name:?} (targets: {})", TARGETS.join(", ")),
        },
    };
    let place = workspace.metadata()?.target_directory.join("fuzz");
    let binaries = build(workspace, &place)?;
    let mut lines = Vec::new();
    let mut crashed = false;
    for name in targets {
        let found = run(workspace, &place, &binaries.join(name), name, seconds, args)?;
        crashed |= !found.crashes.is_empty();
        lines.push(summary(name, &found));
    }
    println!("\n{}", lines.join("\n"));
    Ok(if crashed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Builds every target; yields the directory of the binaries. With `--target`, the flags leave build scripts alone.
fn build(workspace: &Workspace, place: &Path) -> Result<PathBuf> {
    let host = host()?;
    let mut cargo = workspace.cargo();
    cargo
        .args(["build", "--package", PACKAGE, "--bins", "--profile", "fuzz"])
        .args(["--features", "libfuzzer,libfuzzer-sys/link_libfuzzer"])
        .args(["--target", &host, "--target-dir"])
        .arg(place)
        .env("RUSTFLAGS", FLAGS.join(" "))
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::run(&mut cargo)?;
    Ok(place.join(host).join("fuzz"))
}

fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = process::output(Command::new(rustc).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

fn run(
    workspace: &Workspace,
    place: &Path,
    binary: &Path,
    name: &str,
    seconds: u32,
    args: &[OsString],
) -> Result<Found> {
    let (learnt, crashes) = (
        place.join("corpus").join(name),
        place.join("crashes").join(name),
    );
    for directory in [&learnt, &crashes] {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let before = files(&crashes)?;
    let mut prefix = OsString::from("-artifact_prefix=");
    prefix.push(&crashes);
    prefix.push("/");
    let mut command = Command::new(binary);
    // The first directory takes what is new; the others are read.
    command.arg(&learnt);
    let committed = ["corpus", "regressions"];
    let committed = committed.map(|kind| workspace.path(&format!("fuzz/{kind}/{name}")));
    command.args(committed.iter().filter(|directory| directory.is_dir()));
    command
        .arg(format!("-max_total_time={seconds}"))
        .args(["-print_final_stats=1"])
        .args(LIMITS)
        .arg(prefix)
        .args(args)
        .stderr(Stdio::piped());
    println!("fuzz: {name}, {seconds} s");
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let mut found = Found::default();
    let stderr = child.stderr.take().context("the target has no stderr")?;
    for line in BufReader::new(stderr).split(b'\n') {
        let line = line.with_context(|| format!("cannot read what {name} writes"))?;
        let line = String::from_utf8_lossy(&line);
        note(&line, &mut found);
        eprintln!("{line}");
    }
    let status = child
        .wait()
        .with_context(|| format!("cannot wait for {name}"))?;
    found.crashes = files(&crashes)?;
    found.crashes.retain(|path| !before.contains(path));
    if !status.success() && found.crashes.is_empty() {
        bail!("{name} ended with {status} and left no input; its own words are above");
    }
    Ok(found)
}

/// Takes the figures out of what libFuzzer writes.
fn note(line: &str, found: &mut Found) {
    if let Some(executions) = line.strip_prefix("stat::number_of_executed_units:") {
        found.executions = executions.trim().parse().unwrap_or(found.executions);
    }
    let mut words = line.split_whitespace();
    if line.starts_with('#') && words.any(|word| word == "cov:") {
        let coverage = words.next().and_then(|word| word.parse().ok());
        found.coverage = coverage.unwrap_or(found.coverage);
    }
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn summary(name: &str, found: &Found) -> String {
    let Found {
        executions,
        coverage,
        crashes,
    } = found;
    let mut text = format!(
        "{name:12} {executions:>10} executions  {coverage:>6} edges  {} crashes",
        crashes.len()
    );
    for path in crashes {
        text.push_str(&format!("\n  {}", path.display()));
    }
    if !crashes.is_empty() {
        text.push_str(&format!(
            "\n  fix it, copy the file to fuzz/regressions/{name}/, and name a test after what was wrong"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_out_of_what_libfuzzer_writes() {
        let mut found = Found::default();
        for line in [
            "INFO: seed corpus: files: 8 min: 5b max: 9000b",
            "#8\tINITED cov: 1200 ft: 3000 corp: 8/20Kb exec/s: 0 rss: 60Mb",
            "#4096\tpulse  cov: 1311 ft: 3400 corp: 9/21Kb exec/s: 900 rss: 70Mb",
            "stat::number_of_executed_units: 54321",
            "stat::peak_rss_mb:              90",
        ] {
            note(line, &mut found);
        }
        assert_eq!((found.executions, found.coverage), (54_321, 1311));
        assert_eq!(
            summary("csv", &found),
            "csv               54321 executions    1311 edges  0 crashes"
        );
        found.crashes.push("target/fuzz/crashes/csv/crash-1".into());
        assert!(summary("csv", &found).contains("fuzz/regressions/csv/"));
    }
}
