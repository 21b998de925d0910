//! Measures the local model: cold start, questions one at a time, batches of 32; wall and processor time.
//!
//! `cargo run --release -p local-model --example throughput -- MODEL WEIGHTS [TEXTS, one a line]`
#![allow(clippy::print_stdout, clippy::print_stderr)] // a program, whose output is its purpose

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use local_model::{KnownModel, LocalModel, ModelError};

fn main() -> ExitCode {
    let started = Instant::now();
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().unwrap_or_default();
    let known = KnownModel::find(&name.to_string_lossy());
    let (Some(known), Some(weights)) = (known, arguments.next()) else {
        eprintln!("usage: throughput MODEL WEIGHTS [TEXTS, one a line]");
        return ExitCode::from(2);
    };
    match measure(
        started,
        known,
        weights.as_ref(),
        arguments.next().as_deref().map(Path::new),
    ) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(
    started: Instant,
    known: &'static KnownModel,
    weights: &Path,
    texts: Option<&Path>,
) -> Result<(), ModelError> {
    let prefix = known.query_prefix;
    let model = LocalModel::open(known, weights)?;
    let opened = started.elapsed();
    model.embed(&[format!("{prefix}hello")])?;
    let first = started.elapsed();
    println!("open            {:8.1} ms", millis(opened));
    println!(
        "first vector    {:8.1} ms after the start of main, {:.1} ms processor",
        millis(first),
        millis(cpu_time())
    );

    let texts: Vec<String> = match texts.and_then(|path| std::fs::read_to_string(path).ok()) {
        Some(lines) => lines
            .lines()
            .take(320)
            .map(|line| format!("{prefix}{line}"))
            .collect(),
        None => (0..320)
            .map(|n| {
                format!(
                    "{prefix}I lost card {n}, can I still get cash from the machine at the bank?"
                )
            })
            .collect(),
    };
    let tokens: usize = texts.iter().map(|text| model.token_count(text) + 2).sum();
    println!(
        "texts           {:8} of {:.1} tokens",
        texts.len(),
        tokens as f64 / texts.len() as f64
    );
    for (name, size) in [
        ("one at a time", 1),
        ("batches of 32", 32),
        ("all at once", texts.len()),
    ] {
        let (wall, cpu) = (Instant::now(), cpu_time());
        for batch in texts.chunks(size) {
            model.embed(batch)?;
        }
        let (wall, cpu) = (wall.elapsed(), cpu_time().saturating_sub(cpu));
        let count = texts.len() as f64;
        println!(
            "{name}   {:8.1} texts/s, {:.2} ms each, {:.2} ms processor each",
            count / wall.as_secs_f64(),
            millis(wall) / count,
            millis(cpu) / count
        );
    }
    Ok(())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Processor time of this process so far: user and system ticks out of `/proc/self/stat`, 10 ms fine; 0 elsewhere.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = |field: usize| {
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name
            .split_whitespace()
            .nth(field)
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
    };
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}
