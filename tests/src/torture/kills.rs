//! Kills without warning, at any moment; several in a row; and the polite kind.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::process::{Ended, Running};
use super::report::Tally;
use super::round::{Round, State};
use super::scenario::Scenario;
use super::{Dice, Torture};

/// The share of a run in which the log of a killed one is recovered.
pub(crate) const RECOVERY: f64 = 0.25;

/// Starts the run and sends it a signal at a random moment of the time it usually takes.
pub(crate) fn strike(
    scenario: &Scenario,
    round: &Round<'_>,
    dice: &mut Dice,
    signal: Signal,
) -> Result<Ended> {
    let ended = strike_within(scenario, round, dice, signal, 1.0)?;
    scenario.learn(&ended);
    Ok(ended)
}

/// The same, in that share of the time.
pub(crate) fn strike_within(
    scenario: &Scenario,
    round: &Round<'_>,
    dice: &mut Dice,
    signal: Signal,
    share: f64,
) -> Result<Ended> {
    let running = Running::start(scenario.command(&round.place))?;
    let moment = scenario.pace().mul_f64(dice.share() * share);
    std::thread::sleep(moment.max(Duration::from_micros(100)));
    // One that has ended already is not there any more, which is no fault.
    let _ = kill_process(Pid::from_child(&running.child), signal);
    running.end(round.deadline())
}

/// `kill -9` at random moments.
pub(crate) fn kill(torture: &Torture) -> Result<Vec<Tally>> {
    let tally = torture.run("kill", torture.rounds(100), |provider, dice| {
        let mut round = Round::new(&torture.scenario, provider)?;
        let ended = strike(&torture.scenario, &round, dice, Signal::KILL)?;
        let struck = ended.code.is_none();
        let left = round.look_after(&ended)?;
        round.finish(struck, left)
    });
    Ok(vec![
        tally.must_strike().with_fault("kill -9 at a random moment"),
    ])
}

/// Killed, killed in the run after, and killed in the one after that.
pub(crate) fn compound(torture: &Torture) -> Result<Vec<Tally>> {
    let tally = torture.run("compound", torture.rounds(30), |provider, dice| {
        let mut round = Round::new(&torture.scenario, provider)?;
        let (mut struck, mut left) = (false, State::Before);
        for kill in 0..3 {
            // Half of the later ones come early, while what the last one left is being recovered.
            let ended = match kill {
                0 => strike(&torture.scenario, &round, dice, Signal::KILL)?,
                _ => {
                    let share = if dice.below(2) == 0 { RECOVERY } else { 1.0 };
                    strike_within(&torture.scenario, &round, dice, Signal::KILL, share)?
                }
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
    });
    Ok(vec![
        tally
            .must_strike()
            .with_fault("killed three times in a row"),
    ])
}

/// Ctrl-C and SIGTERM: it stops in order and says how to go on.
pub(crate) fn signal(torture: &Torture) -> Result<Vec<Tally>> {
    let mut tallies = Vec::new();
    for (name, signal, code) in [("SIGINT", Signal::INT, 130), ("SIGTERM", Signal::TERM, 143)] {
        let tally = torture.run("signal", torture.rounds(20), |provider, dice| {
            let mut round = Round::new(&torture.scenario, provider)?;
            let ended = strike(&torture.scenario, &round, dice, signal)?;
            let struck = ended.code != Some(0);
            match ended.code {
                // In the first milliseconds nobody listens yet, and nothing is begun.
                Some(0) => {}
                None => ensure!(!provider.was_asked(), "it is killed in the middle: {ended}"),
                Some(other) => {
                    ensure!(other == code, "it ends with {ended}");
                    let error = ended
                        .stderr
                        .lines()
                        .find(|line| line.starts_with("error: "));
                    let error = error.context("it says no error")?;
                    ensure!(
                        error.contains("run the same command again") || error.contains("validate"),
                        "it does not say how to go on: {error}"
                    );
                }
            }
            let left = round.look_after(&ended)?;
            // Of a run that had not begun nothing is lost either.
            round.was_clean();
            round.finish(struck, left)
        });
        tallies.push(tally.must_strike().with_fault(name));
    }
    Ok(tallies)
}
