//! Faults, in numbers: a sync is killed, interrupted, starved of disk and lied to by its system calls, again and again,
//! and after each time the same questions are asked of what is left ([`round`]).
//!
//! Every part prints one line of one table. A part that cannot run on a machine is a line too, with the reason.

mod calls;
mod found;
mod kills;
mod postgres;
mod power;
mod process;
mod report;
mod round;
mod scenario;
mod space;
mod state;
mod together;
mod versions;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use report::Tally;
use scenario::{Provider, Scenario};

const USAGE: &str =
    "usage: cargo xtask torture [--rounds N] [--only PART]... [--seed N] [--round N] [--json]";

/// Kills of a run in CI; everything else is a share of it.
const ROUNDS: usize = 100;

/// Rounds that run side by side: the machines this is for have two processors, and half of each round is waiting.
const THREADS: usize = 2;

/// A part: what it is called, and what runs it.
type Part = fn(&Torture) -> Result<Vec<Tally>>;

const PARTS: [(&str, Part); 11] = [
    ("kill", kills::kill),
    ("compound", kills::compound),
    ("signal", kills::signal),
    ("call-kill", calls::kill),
    ("call-error", calls::error),
    ("disk-full", space::full),
    ("file-limit", space::limit),
    ("power-loss", power::loss),
    ("together", together::together),
    ("versions", versions::versions),
    ("postgres", postgres::postgres),
];

/// What every part works with.
pub(crate) struct Torture {
    pub(crate) scenario: Scenario,
    pub(crate) seed: u64,
    /// Kills; each part takes its share.
    rounds: usize,
    /// The one round to repeat.
    round: Option<usize>,
    /// Rounds of each part so far: one that strikes in several ways counts them all.
    played: Mutex<BTreeMap<&'static str, usize>>,
}

impl Torture {
    /// So many rounds for a part that has `of_hundred` in CI; at least one.
    pub(crate) fn rounds(&self, of_hundred: usize) -> usize {
        (self.rounds * of_hundred).div_ceil(ROUNDS).max(1)
    }

    /// Runs rounds side by side and adds up what they say. Each has dice of its own, so that any can be repeated alone.
    pub(crate) fn run(
        &self,
        part: &'static str,
        rounds: usize,
        round: impl Fn(&Provider, &mut Dice) -> Result<round::Survived> + Sync,
    ) -> Tally {
        let started = Instant::now();
        let tally = Mutex::new(Tally::new(part));
        let first = {
            let mut played = lock(&self.played);
            let count = played.entry(part).or_default();
            std::mem::replace(count, *count + rounds)
        };
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS.min(rounds) {
                scope.spawn(|| {
                    let provider = Provider::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= rounds {
                            break;
                        }
                        let name = first + number;
                        if self.round.is_some_and(|wanted| wanted != name) {
                            continue;
                        }
                        let mut dice = Dice::new(self.seed, part, name);
                        dice.number = number;
                        let outcome = round(&provider, &mut dice).with_context(|| {
                            format!(
                                "{part}, round {name}: its files are in {}; repeat it with cargo xtask torture --seed {} \
                                 --rounds {} --only {part} --round {name}",
                                provider.place().display(),
                                self.seed,
                                self.rounds
                            )
                        });
                        lock(&tally).add(outcome);
                    }
                });
            }
        });
        let mut tally = tally
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        tally.seconds = started.elapsed().as_secs_f64();
        tally
    }
}

pub(crate) fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Random numbers that are the same for the same seed, part and round: SplitMix64.
#[derive(Debug)]
pub(crate) struct Dice {
    state: u64,
    /// The round, counted from 0 among those that strike in the same way.
    pub(crate) number: usize,
}

impl Dice {
    pub(crate) fn new(seed: u64, part: &str, round: usize) -> Self {
        let name = part.bytes().fold(0u64, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        let mut dice = Self {
            state: seed ^ name.rotate_left(17) ^ (round as u64).rotate_left(40),
            number: round,
        };
        dice.next();
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or_default()
    }

    /// A number from 0 to 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are what a float has")]
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[derive(Debug)]
struct Arguments {
    rounds: usize,
    only: Vec<String>,
    seed: u64,
    round: Option<usize>,
    json: bool,
}

/// Runs what was asked for; fails when anything was lost, mixed, or paid for twice.
pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("torture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let arguments = parse(std::env::args().skip(1))?;
    let started = Instant::now();
    let torture = Torture {
        scenario: Scenario::prepare()?,
        seed: arguments.seed,
        rounds: arguments.rounds,
        round: arguments.round,
        played: Mutex::default(),
    };
    let mut tallies = Vec::new();
    for (name, part) in PARTS {
        if arguments.only.is_empty() || arguments.only.iter().any(|only| only == name) {
            eprintln!("torture: {name}");
            tallies.extend(part(&torture).with_context(|| name.to_owned())?);
        }
    }
    let report = report::Report {
        seed: arguments.seed,
        rounds: arguments.rounds,
        seconds: started.elapsed().as_secs_f64(),
        tallies,
    };
    if arguments.json {
        println!("{}", report.json()?);
    } else {
        print!("{}", report.table());
    }
    for failure in report.failures() {
        eprintln!("FAILED: {failure}");
    }
    if !report.holds() {
        eprintln!(
            "torture: repeat it with: cargo xtask torture --seed {} --rounds {}{}",
            arguments.seed,
            arguments.rounds,
            report.only_failed()
        );
    }
    Ok(report.holds())
}

fn parse(given: impl Iterator<Item = String>) -> Result<Arguments> {
    let number = |text: &str| {
        text.parse()
            .with_context(|| format!("{text:?} is no number"))
    };
    let seed = match std::env::var("SEED") {
        Ok(text) => number(&text)?,
        Err(_) => std::process::id().into(),
    };
    let mut arguments = Arguments {
        rounds: ROUNDS,
        only: Vec::new(),
        seed,
        round: None,
        json: false,
    };
    let mut given = given;
    while let Some(argument) = given.next() {
        let mut value = || {
            given
                .next()
                .with_context(|| format!("{argument} needs a value; {USAGE}"))
        };
        match argument.as_str() {
            "--rounds" => arguments.rounds = usize::try_from(number(&value()?)?)?.max(1),
            "--seed" => arguments.seed = number(&value()?)?,
            "--round" => arguments.round = Some(usize::try_from(number(&value()?)?)?),
            "--json" => arguments.json = true,
            "--only" => {
                let name = value()?;
                if !PARTS.iter().any(|(known, _)| *known == name) {
                    let known: Vec<_> = PARTS.iter().map(|(name, _)| *name).collect();
                    bail!("there is no part {name:?}; there are {}", known.join(", "));
                }
                arguments.only.push(name);
            }
            _ => bail!("unknown argument {argument:?}; {USAGE}"),
        }
    }
    Ok(arguments)
}
