//! Several at once: writers take turns, readers never notice.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use integration_tests::Place;
use serde_json::Value;

use super::process::{Ended, Running};
use super::report::Tally;
use super::round::{Round, State, Survived};
use super::scenario::{DIMENSIONS, Provider};
use super::{Dice, Torture};

/// What a search finds, of one state.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    generation: u64,
    hits: Vec<(String, String)>,
}

impl Found {
    fn of(ended: &Ended) -> Result<Self> {
        let answer: Value =
            serde_json::from_str(&ended.stdout).with_context(|| format!("no answer: {ended}"))?;
        let hits = answer["hits"].as_array().context("no hits")?;
        Ok(Self {
            generation: answer["generation"].as_u64().context("no generation")?,
            hits: hits
                .iter()
                .map(|hit| (hit["id"].to_string(), hit["score"].to_string()))
                .collect(),
        })
    }
}

fn search(place: &Place) -> Command {
    place.command(&[
        "search",
        "--query-vector",
        "question.f32",
        "-k",
        "20",
        "--json",
    ])
}

fn question(place: &Place) -> PathBuf {
    let mut dice = Dice::new(7, "question", 0);
    let numbers = (0..DIMENSIONS).flat_map(|_| {
        #[allow(clippy::cast_possible_truncation, reason = "any number will do")]
        let number = dice.share() as f32 - 0.5;
        number.to_le_bytes()
    });
    place.write("question.f32", numbers.collect::<Vec<u8>>())
}

/// What a search finds before and after.
fn expected(torture: &Torture) -> Result<[Found; 2]> {
    let provider = Provider::new();
    let place = torture.scenario.place(&provider)?;
    question(&place);
    let ask = || -> Result<Found> {
        Found::of(&Running::start(search(&place))?.end(torture.scenario.deadline())?)
    };
    let before = ask()?;
    torture.scenario.run(&place)?;
    let after = ask()?;
    ensure!(before != after, "the run changes what is found");
    Ok([before, after])
}

enum Role {
    Writer { patient: bool },
    Search,
    Other(&'static str),
}

pub(crate) fn together(torture: &Torture) -> Result<Vec<Tally>> {
    let expected = expected(torture)?;
    let tally = torture.run("together", torture.rounds(30), |provider, dice| {
        let round = Round::new(&torture.scenario, provider)?;
        question(&round.place);
        let mut running = Vec::new();
        let mut start = |role: Role, number: usize| -> Result<()> {
            let command = match &role {
                Role::Writer { patient } => {
                    let mut command = torture.scenario.sync(&round.place);
                    command.args(["--wait", if *patient { "60s" } else { "0s" }]);
                    command
                }
                Role::Search => search(&round.place),
                Role::Other("backup") => {
                    let name = format!("backup-{number}.db");
                    round.place.command(&["backup", &name, "--quiet"])
                }
                Role::Other(name) => round.place.command(&[name, "--json"]),
            };
            running.push((role, Running::start(command)?));
            Ok(())
        };
        start(Role::Writer { patient: true }, 0)?;
        for number in 1..2 + dice.below(7) {
            std::thread::sleep(torture.scenario.usual.mul_f64(dice.share() / 4.0));
            let role = match dice.below(5) {
                0 => Role::Writer { patient: true },
                1 => Role::Writer { patient: false },
                2 => Role::Other(["validate", "status", "backup"][dice.below(3)]),
                _ => Role::Search,
            };
            start(role, number)?;
        }
        let mut busy = 0;
        for (role, running) in running {
            let ended = running.end(round.deadline())?;
            match role {
                Role::Writer { patient: false } if ended.code == Some(75) => {
                    ensure!(
                        ended.stderr.contains("busy: held by pid"),
                        "it does not say who works: {ended}"
                    );
                    busy += 1;
                }
                Role::Writer { .. } => ensure!(ended.code == Some(0), "a writer: {ended}"),
                Role::Search => {
                    ensure!(ended.code == Some(0), "a search: {ended}");
                    let found = Found::of(&ended)?;
                    ensure!(
                        expected.contains(&found),
                        "a search sees neither state: {found:?}"
                    );
                }
                Role::Other(name) => ensure!(ended.code == Some(0), "{name}: {ended}"),
            }
        }
        finish(torture, round, provider, busy > 0)
    });
    Ok(vec![tally.with_fault("2 to 8 commands on one store")])
}

/// Everybody is done: the state after, and every text paid for once.
fn finish(
    torture: &Torture,
    round: Round<'_>,
    provider: &Provider,
    struck: bool,
) -> Result<Survived> {
    ensure!(round.state()? == State::After, "not the state after");
    for number in 1..9 {
        let backup = round.place.path(format!("backup-{number}.db"));
        if backup.exists() {
            let store = format!("sqlite:{}", backup.display());
            let checked = round
                .place
                .command(&["validate", "--quiet", "--store", &store]);
            let ended = Running::start(checked)?.end(round.deadline())?;
            ensure!(ended.code == Some(0), "a backup is damaged: {ended}");
        }
    }
    let sent = provider.take();
    let distinct: BTreeSet<_> = sent.iter().collect();
    ensure!(
        sent.len() == torture.scenario.texts && distinct.len() == sent.len(),
        "{} texts were sent, {} of them different, {} changed",
        sent.len(),
        distinct.len(),
        torture.scenario.texts
    );
    Ok(Survived {
        struck,
        left: State::After,
        stored_paid_twice: 0,
        in_flight_paid_twice: 0,
    })
}
