//! Versions: built, served and taken back while somebody kills whoever does it. Readers see the version that was served,
//! then the other one, and nothing between.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::Torture;
use super::kills::{RECOVERY, strike, strike_within};
use super::report::Tally;
use super::round::{Round, State};
use super::scenario::{Scenario, Versions};

/// The share of each command.
const ROUNDS: usize = 20;

pub(crate) fn versions(torture: &Torture) -> Result<Vec<Tally>> {
    let Versions {
        build,
        promote,
        behind,
        rollback,
    } = Versions::prepare()?;
    let commands = [
        ("model build", &build),
        ("model promote", &promote),
        (
            "model promote of a version that a sync left behind",
            &behind,
        ),
        ("model rollback", &rollback),
    ];
    let tally = |(command, scenario): (&str, &Scenario)| {
        let fault = format!("kill -9, one to three times, in {command}");
        killed(torture, scenario).must_strike().with_fault(fault)
    };
    Ok(commands.map(tally).into())
}

fn killed(torture: &Torture, scenario: &Scenario) -> Tally {
    torture.run("versions", torture.rounds(ROUNDS), |provider, dice| {
        let mut round = Round::new(scenario, provider)?;
        let (mut struck, mut left) = (false, State::Before);
        for kill in 0..1 + dice.below(3) {
            // What led elsewhere is not done a second time.
            if left == State::After && scenario.is_done_once() {
                break;
            }
            // Half of the later ones come early, while what the last one left is being recovered.
            let ended = if kill > 0 && dice.below(2) == 0 {
                strike_within(scenario, &round, dice, Signal::KILL, RECOVERY)?
            } else {
                strike(scenario, &round, dice, Signal::KILL)?
            };
            struck |= ended.code.is_none();
            let now = round.look_after(&ended)?;
            ensure!(
                left == State::Before || now == State::After,
                "the state after was there and is gone"
            );
            left = now;
        }
        round.finish(struck, left)
    })
}
