//! Kills and errors at the n-th system call on the store's files, by `strace -e inject`. The store's changes all come
//! from one thread, so a count by thread is a place in the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use integration_tests::Place;

use super::Torture;
use super::process;
use super::report::Tally;
use super::round::{Round, stopped_in_order, tells_cause};
use super::scenario::Provider;

/// Calls that change a file, or what it is called.
const WRITES: [&str; 5] = ["pwrite64", "fdatasync", "fsync", "ftruncate", "unlink"];

/// Calls that are made to fail.
const FAILING: [&str; 5] = ["pwrite64", "fsync", "fdatasync", "ftruncate", "openat"];

/// Places a call, that are tried in CI, of each kind of fault.
const PLACES: usize = 6;

/// Whether strace is there and may trace.
pub(crate) fn unavailable() -> Option<String> {
    let tried = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "true"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match tried {
        Ok(status) if status.success() => None,
        Ok(_) => Some("strace may not trace here".to_owned()),
        Err(_) => Some("strace is not installed, and could not be".to_owned()),
    }
}

/// The files of a store, as the system names them.
fn files(store: &Path) -> Result<[PathBuf; 4]> {
    let directory = store.parent().context("a store lies in a directory")?;
    let store = directory.canonicalize()?.join("embeddings.db");
    let beside = |suffix: &str| {
        let mut name = store.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    Ok([beside(""), beside("-wal"), beside("-shm"), beside(".lock")])
}

/// The run under strace, which writes what it sees to `trace`.
pub(crate) fn traced(
    torture: &Torture,
    place: &Place,
    options: &[&str],
    trace: &Path,
) -> Result<Command> {
    let plain = torture.scenario.command(place);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(trace);
    for file in files(&place.store())? {
        command.arg("-P").arg(file);
    }
    command.args(options).arg("--").arg(plain.get_program());
    command.args(plain.get_args());
    place.prepare(&mut command);
    Ok(command)
}

/// How often the busiest thread makes each call in an undisturbed run.
fn count(torture: &Torture, calls: &[&str]) -> Result<BTreeMap<String, usize>> {
    let provider = Provider::new();
    let round = Round::new(&torture.scenario, &provider)?;
    let trace = tempfile::NamedTempFile::new()?;
    let set = format!("trace={}", calls.join(","));
    let command = traced(torture, &round.place, &["-e", &set], trace.path())?;
    let ended = process::run(command, round.deadline())?;
    ensure!(ended.code == Some(0), "the traced run fails: {ended}");
    let mut by_thread: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in std::fs::read_to_string(trace.path())?.lines() {
        let mut words = line.split_whitespace();
        let (Some(thread), Some(call)) = (words.next(), words.next()) else {
            continue;
        };
        if let Some((name, _)) = call.split_once('(') {
            *by_thread
                .entry((thread.to_owned(), name.to_owned()))
                .or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, name), count) in by_thread {
        let entry = most.entry(name).or_insert(0);
        *entry = count.max(*entry);
    }
    Ok(most)
}

/// Places from 1 to `most`, spread evenly; all of them when there are enough rounds.
fn places(most: usize, wanted: usize) -> Vec<usize> {
    let wanted = wanted.clamp(1, most.max(1));
    (0..wanted)
        .map(|number| 1 + number * most / wanted)
        .collect()
}

/// Every call that writes, killed in.
pub(crate) fn kill(torture: &Torture) -> Result<Vec<Tally>> {
    if let Some(why) = unavailable() {
        return Ok(vec![Tally::skipped("call-kill", why)]);
    }
    let counts = count(torture, &WRITES)?;
    let mut tallies = Vec::new();
    for (call, most) in counts {
        let places = places(most, torture.rounds(2 * PLACES));
        let tally = torture.run("call-kill", places.len(), |provider, dice| {
            let at = places[dice.number];
            let mut round = Round::new(&torture.scenario, provider)?;
            let fault = format!("inject={call}:signal=KILL:when={at}");
            let set = format!("trace={call}");
            let command = traced(
                torture,
                &round.place,
                &["-e", &set, "-e", &fault],
                Path::new("/dev/null"),
            )?;
            let ended = process::run(command, round.deadline())?;
            let struck = ended.code != Some(0);
            let left = round.look_after(&ended).with_context(|| fault.clone())?;
            round.finish(struck, left).with_context(|| fault)
        });
        tallies.push(tally.must_strike().with_fault(format!(
            "killed in {call}, {} of {most} places",
            places.len()
        )));
    }
    Ok(tallies)
}

/// Calls that fail once, and calls that fail from then on.
pub(crate) fn error(torture: &Torture) -> Result<Vec<Tally>> {
    if let Some(why) = unavailable() {
        return Ok(vec![Tally::skipped("call-error", why)]);
    }
    let counts = count(torture, &FAILING)?;
    let mut tallies = Vec::new();
    for (call, most) in counts {
        for error in ["EIO", "ENOSPC"] {
            for (how, suffix) in [("once", ""), ("from then on", "+")] {
                let places = places(most, torture.rounds(PLACES));
                let tally = torture.run("call-error", places.len(), |provider, dice| {
                    let at = places[dice.number];
                    let mut round = Round::new(&torture.scenario, provider)?;
                    let fault = format!("inject={call}:error={error}:when={at}{suffix}");
                    let set = format!("trace={call}");
                    let command = traced(
                        torture,
                        &round.place,
                        &["-e", &set, "-e", &fault],
                        Path::new("/dev/null"),
                    )?;
                    let ended = process::run(command, round.deadline());
                    let ended = ended.with_context(|| fault.clone())?;
                    let struck = ended.code != Some(0);
                    if struck {
                        stopped_in_order(&ended, &round.place)
                            .and_then(|()| tells_cause(&ended, error == "ENOSPC"))
                            .with_context(|| fault.clone())?;
                    }
                    let left = round.look_after(&ended).with_context(|| fault.clone())?;
                    round.finish(struck, left).with_context(|| fault)
                });
                tallies.push(tally.with_fault(format!(
                    "{call}: {error} {how}, {} of {most} places",
                    places.len()
                )));
            }
        }
    }
    Ok(tallies)
}
