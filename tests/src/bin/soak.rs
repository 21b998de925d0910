//! Serves for minutes while rows change and questions are asked, and fails when anything grows: descriptors, memory, the
//! write-ahead log, pages of the store. `cargo xtask soak [--minutes 5] [--every 5]`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a test program: it prints its figures, fails by panicking, and counts far below 2^52"
)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use integration_tests::http::request;
use integration_tests::{Faq, Place, Service};
use serde_json::json;

const ROWS: usize = 2000;
/// One row in a hundred changes each time.
const CHANGED: usize = ROWS / 100;
/// Wordings that a changed row takes in turn: all of them are known after the first half.
const WORDINGS: usize = 2;
/// Questions that differ: their kept vectors take their memory within the first half.
const QUESTIONS: usize = 300;
const USAGE: &str = "usage: cargo xtask soak [--minutes N] [--every SECONDS]";

/// What is watched: its name, and what may come and go without meaning anything.
const WATCHED: [(&str, f64); 4] = [
    ("descriptors", 4.0),
    ("resident KiB", 8192.0),
    ("-wal KiB", 4200.0),
    ("store KiB", 2048.0),
];

struct Sample {
    at: f64,
    values: [f64; WATCHED.len()],
}

fn main() -> ExitCode {
    let (mut minutes, mut every) = (5, 5);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number = arguments.next().and_then(|number| number.parse().ok());
        match (argument.as_str(), number) {
            ("--minutes", Some(number)) => minutes = number,
            ("--every", Some(number)) => every = number,
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    run(
        Duration::from_secs(60 * minutes),
        Duration::from_secs(every),
    )
}

fn run(time: Duration, every: Duration) -> ExitCode {
    let place = Place::hash();
    let mut faq = Faq::with_ids(ROWS);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let service = Service::start(&place, &[]);
    let (started, over, searches) = (Instant::now(), AtomicBool::new(false), AtomicUsize::new(0));
    let mut samples = Vec::new();
    let mut syncs = 0;
    std::thread::scope(|scope| {
        for asker in 0..4 {
            let (service, over, searches) = (&service, &over, &searches);
            scope.spawn(move || {
                let mut turn = asker;
                while !over.load(Ordering::SeqCst) {
                    // Connections come and go as well.
                    let mut connection = service.connect();
                    for _ in 0..100 {
                        let body =
                            json!({"text": format!("карту {}", turn % QUESTIONS), "top_k": 5})
                                .to_string();
                        let asked = request("POST", "/search", &[], Some(body.as_bytes()));
                        let answer = connection.ask(&asked).unwrap();
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        searches.fetch_add(1, Ordering::SeqCst);
                        turn += 1;
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            });
        }
        let mut next = every;
        while started.elapsed() < time {
            std::thread::sleep(Duration::from_millis(500));
            samples.push(sample(&place, &service, started));
            if started.elapsed() >= next {
                next = started.elapsed() + every;
                change(&mut faq, syncs);
                place.save("faq.csv", &faq);
                let report = place.json(&["sync", "--faq-path", "faq.csv"]);
                assert_eq!(
                    report["counts"]["total"].as_u64().unwrap_or(ROWS as u64),
                    ROWS as u64
                );
                syncs += 1;
            }
        }
        over.store(true, Ordering::SeqCst);
    });
    service.stop();
    println!(
        "{} s, {syncs} syncs of {CHANGED} changed rows in {ROWS}, {} searches, {} samples",
        time.as_secs(),
        searches.load(Ordering::SeqCst),
        samples.len()
    );
    if judge(&samples) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Gives some rows their next wording.
fn change(faq: &mut Faq, turn: usize) {
    // The same rows again and again, in ten groups.
    let first = turn % 10 * CHANGED;
    let wording = turn / 10 % WORDINGS;
    for entry in &mut faq.0[first..first + CHANGED] {
        let stem = entry.answer.split(" Издание").next().unwrap_or_default();
        entry.answer = format!("{stem} Издание {wording}.");
    }
}

fn sample(place: &Place, service: &Service, started: Instant) -> Sample {
    let process = format!("/proc/{}", service.process());
    let descriptors = std::fs::read_dir(format!("{process}/fd")).unwrap().count();
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    let kib = |path: std::path::PathBuf| {
        std::fs::metadata(path).map_or(0.0, |file| file.len() as f64 / 1024.0)
    };
    let wal = place.store().with_extension("db-wal");
    Sample {
        at: started.elapsed().as_secs_f64(),
        values: [
            descriptors as f64,
            resident.unwrap(),
            kib(wal),
            kib(place.store()),
        ],
    }
}

/// Whether nothing grew over the last half by more than it varies.
fn judge(samples: &[Sample]) -> bool {
    let half = &samples[samples.len() / 2..];
    let mut holds = true;
    println!(
        "| watched | at first | half-way | at last | growth over the last half | noise | ok |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (number, (name, floor)) in WATCHED.iter().enumerate() {
        let points: Vec<(f64, f64)> = half
            .iter()
            .map(|sample| (sample.at, sample.values[number]))
            .collect();
        let (growth, deviation) = line(&points);
        let noise = (2.0 * deviation).max(*floor);
        let ok = growth <= noise;
        holds &= ok;
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} | {growth:.1} | {noise:.1} | {} |",
            samples[0].values[number],
            half[0].values[number],
            half[half.len() - 1].values[number],
            if ok { "yes" } else { "NO" }
        );
    }
    holds
}

/// What the straight line through the points rises by from the first to the last, and how far they lie from it.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let (mean_x, mean_y) = (
        points.iter().map(|point| point.0).sum::<f64>() / count,
        points.iter().map(|point| point.1).sum::<f64>() / count,
    );
    let covariance: f64 = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope = covariance / variance;
    let residual = points
        .iter()
        .map(|(x, y)| (y - mean_y - slope * (x - mean_x)).powi(2))
        .sum::<f64>();
    let span = points[points.len() - 1].0 - points[0].0;
    (slope * span, (residual / count).sqrt())
}
