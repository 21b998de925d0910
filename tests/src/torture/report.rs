//! What came of it: one line a part.

use anyhow::Result;
use serde::Serialize;

use super::round::{State, Survived};

/// Failures that are told in full; more of the same kind help nobody.
const TOLD: usize = 5;

/// Rounds of which most may be missed by chance.
const FEW: usize = 4;

/// The sum of a part's rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Tally {
    pub(crate) part: &'static str,
    /// What was done to it, where a part does several things.
    pub(crate) fault: String,
    pub(crate) rounds: usize,
    /// Rounds in which the fault met the run before its end.
    pub(crate) struck: usize,
    /// Rounds that left the state before.
    pub(crate) before: usize,
    /// Rounds that left the state after.
    pub(crate) after: usize,
    /// Texts that were stored, and paid for again.
    pub(crate) stored_paid_twice: usize,
    /// Texts that were in flight and paid for again: the most of one fault, and all.
    pub(crate) in_flight_paid_twice_most: usize,
    pub(crate) in_flight_paid_twice: usize,
    pub(crate) failures: Vec<String>,
    pub(crate) skipped: Option<String>,
    pub(crate) seconds: f64,
}

impl Tally {
    pub(crate) fn new(part: &'static str) -> Self {
        Self {
            part,
            fault: String::new(),
            rounds: 0,
            struck: 0,
            before: 0,
            after: 0,
            stored_paid_twice: 0,
            in_flight_paid_twice_most: 0,
            in_flight_paid_twice: 0,
            failures: Vec::new(),
            skipped: None,
            seconds: 0.0,
        }
    }

    /// A part that cannot run here.
    pub(crate) fn skipped(part: &'static str, why: impl Into<String>) -> Self {
        Self {
            skipped: Some(why.into()),
            ..Self::new(part)
        }
    }

    /// The same, of one of several faults.
    pub(crate) fn with_fault(mut self, fault: impl Into<String>) -> Self {
        self.fault = fault.into();
        self
    }

    /// Rounds that a fault misses prove nothing: when most are, that is a failure too.
    pub(crate) fn must_strike(mut self) -> Self {
        if self.rounds >= FEW && self.struck * 4 < self.rounds && self.failures.is_empty() {
            self.failures.push(format!(
                "{}: only {} of {} rounds met a fault, which proves nothing",
                self.part, self.struck, self.rounds
            ));
        }
        self
    }

    pub(crate) fn add(&mut self, outcome: Result<Survived>) {
        self.rounds += 1;
        match outcome {
            Ok(survived) => {
                self.struck += usize::from(survived.struck);
                match survived.left {
                    State::Before => self.before += 1,
                    State::After => self.after += 1,
                }
                self.stored_paid_twice += survived.stored_paid_twice;
                self.in_flight_paid_twice += survived.in_flight_paid_twice;
                self.in_flight_paid_twice_most = self
                    .in_flight_paid_twice_most
                    .max(survived.in_flight_paid_twice_most);
            }
            Err(error) => self.failures.push(format!("{error:#}")),
        }
    }
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) tallies: Vec<Tally>,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    ok: bool,
    seed: u64,
    rounds: usize,
    seconds: f64,
    skipped: usize,
    parts: &'a [Tally],
}

const HEAD: [&str; 9] = [
    "part",
    "fault",
    "rounds",
    "struck",
    "left before / after",
    "stored, paid twice",
    "in flight, paid twice (most)",
    "failed",
    "seconds",
];

impl Report {
    pub(crate) fn holds(&self) -> bool {
        self.tallies.iter().all(|tally| tally.failures.is_empty())
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = &String> {
        self.tallies
            .iter()
            .flat_map(|tally| tally.failures.iter().take(TOLD))
    }

    /// The flags that repeat what failed.
    pub(crate) fn only_failed(&self) -> String {
        let mut failed: Vec<_> = self
            .tallies
            .iter()
            .filter(|tally| !tally.failures.is_empty())
            .map(|tally| format!(" --only {}", tally.part))
            .collect();
        failed.dedup();
        failed.concat()
    }

    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(&Document {
            schema: 1,
            ok: self.holds(),
            seed: self.seed,
            rounds: self.rounds,
            seconds: self.seconds,
            skipped: self.skipped(),
            parts: &self.tallies,
        })?)
    }

    fn skipped(&self) -> usize {
        self.tallies
            .iter()
            .filter(|tally| tally.skipped.is_some())
            .count()
    }

    pub(crate) fn table(&self) -> String {
        let mut rows = vec![HEAD.map(str::to_owned)];
        for tally in &self.tallies {
            let mut row = [
                tally.part.to_owned(),
                tally.fault.clone(),
                tally.rounds.to_string(),
                tally.struck.to_string(),
                format!("{} / {}", tally.before, tally.after),
                tally.stored_paid_twice.to_string(),
                format!(
                    "{} ({})",
                    tally.in_flight_paid_twice, tally.in_flight_paid_twice_most
                ),
                tally.failures.len().to_string(),
                format!("{:.1}", tally.seconds),
            ];
            if let Some(why) = &tally.skipped {
                row[1] = format!("SKIPPED: {why}");
            }
            rows.push(row);
        }
        let mut widths = [0; HEAD.len()];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut table = String::new();
        for (number, row) in rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(widths) {
                table.push_str(&format!("| {cell:width$} "));
            }
            table.push_str("|\n");
            if number == 0 {
                for width in widths {
                    table.push_str(&format!("| {} ", "-".repeat(width)));
                }
                table.push_str("|\n");
            }
        }
        let sum = |count: fn(&Tally) -> usize| self.tallies.iter().map(count).sum::<usize>();
        table.push_str(&format!(
            "{} rounds, {} faults that struck, {} failures, {} parts skipped, seed {}, {:.0} s\n",
            sum(|tally| tally.rounds),
            sum(|tally| tally.struck),
            sum(|tally| tally.failures.len()),
            self.skipped(),
            self.seed,
            self.seconds
        ));
        table
    }
}
