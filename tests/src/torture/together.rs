//! Several at once: writers take turns, readers never notice.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Result, ensure};

use super::Torture;
use super::found::{Found, search};
use super::process::Running;
use super::report::Tally;
use super::round::{Round, State, Survived};
use super::scenario::Provider;

enum Role {
    Writer { patient: bool },
    Search,
    Other(&'static str),
}

pub(crate) fn together(torture: &Torture) -> Result<Vec<Tally>> {
    let mut others = vec!["validate", "status"];
    if has_command("backup")? {
        others.push("backup");
    }
    let tally = torture.run("together", torture.rounds(30), |provider, dice| {
        let round = Round::new(&torture.scenario, provider)?;
        let mut running = Vec::new();
        let mut start = |role: Role, number: usize| -> Result<()> {
            let command = match &role {
                Role::Writer { patient } => {
                    let mut command = torture.scenario.command(&round.place);
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
                2 => Role::Other(others[dice.below(others.len())]),
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
                        torture.scenario.found.contains(&found),
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

/// Whether the product has such a command: some come later than others.
fn has_command(name: &str) -> Result<bool> {
    let help = Command::new(integration_tests::binary())
        .arg("--help")
        .output()?;
    Ok(String::from_utf8_lossy(&help.stdout)
        .lines()
        .any(|line| line.split_whitespace().next() == Some(name)))
}

/// Everybody is done: the state after, and every text paid for once.
fn finish(
    torture: &Torture,
    mut round: Round<'_>,
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
    round.done();
    Ok(Survived {
        struck,
        left: State::After,
        stored_paid_twice: 0,
        in_flight_paid_twice: 0,
        in_flight_paid_twice_most: 0,
    })
}
