//! The questions that are asked after every fault.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration_tests::Place;

use super::found::{Found, search};
use super::process::{self, Ended};
use super::scenario::{BATCH, CONCURRENCY, Provider, Scenario};
use super::state::{self, Digest};

/// What a fault left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Before,
    After,
}

/// A round whose answers were all right.
#[derive(Debug)]
pub(crate) struct Survived {
    /// Whether the fault met the run before its end.
    pub(crate) struck: bool,
    pub(crate) left: State,
    pub(crate) stored_paid_twice: usize,
    pub(crate) in_flight_paid_twice: usize,
    /// The most that one fault made in vain.
    pub(crate) in_flight_paid_twice_most: usize,
}

/// A place of its own, and what was sent from it.
pub(crate) struct Round<'a> {
    scenario: &'a Scenario,
    provider: &'a Provider,
    pub(crate) place: Place,
    store: PathBuf,
    sent: Vec<String>,
    /// Hashes of what was stored at the last look, before anything more was sent.
    stored: BTreeSet<Vec<u8>>,
    stored_paid_twice: usize,
    /// For each fault so far: how much had been sent by then, and what of it was in flight and is lost.
    wasted: Vec<(usize, BTreeSet<Vec<u8>>)>,
    /// Texts that one fault may waste.
    allowed: usize,
}

impl<'a> Round<'a> {
    pub(crate) fn new(scenario: &'a Scenario, provider: &'a Provider) -> Result<Self> {
        let mut place = scenario.place(provider)?;
        place.keep(true);
        provider.is_asked_from(place.path(""));
        let store = place.store();
        provider.take();
        Ok(Self {
            scenario,
            provider,
            stored: state::stored(&store)?,
            place,
            store,
            sent: Vec::new(),
            stored_paid_twice: 0,
            wasted: Vec::new(),
            allowed: BATCH * CONCURRENCY,
        })
    }

    /// The round is over and nothing is wrong: its files go.
    pub(crate) fn done(&mut self) {
        self.place.keep(false);
    }

    /// After a run that a fault ended, or may have: what it said is stored is stored, and as [`look`](Self::look).
    pub(crate) fn look_after(&mut self, ended: &Ended) -> Result<State> {
        let had = self.stored.len();
        let left = self.look()?;
        let (said, more) = (said_stored(&ended.stderr), self.stored.len() - had);
        ensure!(
            more >= said,
            "{said} vectors were said to be stored, and {more} are: {ended}"
        );
        ensure!(
            ended.code != Some(0) || left == State::After,
            "it says that it is done, and is not: {ended}"
        );
        Ok(left)
    }

    /// The faults were none that waste anything: whatever was in flight was waited for.
    pub(crate) fn was_clean(&mut self) {
        self.allowed = 0;
    }

    /// After a fault: the store is whole, shows the state before or the state after, and answers so.
    pub(crate) fn look(&mut self) -> Result<State> {
        let from = self.sent.len();
        self.account();
        let validate = self.place.command(&["validate", "--quiet"]);
        let ended = process::run(validate, self.scenario.deadline())?;
        ensure!(ended.code == Some(0), "validate finds faults: {ended}");
        let state = self.state()?;
        let found = Found::of(&process::run(
            search(&self.place),
            self.scenario.deadline(),
        )?)?;
        ensure!(
            self.scenario.answers(state, &found),
            "a search answers what the store does not hold: {found:?}"
        );
        let stored = state::stored(&self.store)?;
        let lost = self.stored.difference(&stored).count();
        ensure!(lost == 0, "{lost} vectors that were stored are gone");
        let sent = self.sent[from..].iter().map(|text| state::hash(text));
        let in_flight = sent.filter(|hash| !stored.contains(hash)).collect();
        self.wasted.push((self.sent.len(), in_flight));
        self.stored = stored;
        Ok(state)
    }

    /// Which state the store shows.
    pub(crate) fn state(&self) -> Result<State> {
        let digest = Digest::of(&self.store).context("what is left cannot be read")?;
        let state = self.scenario.state(&digest);
        state.context("what is left is neither the state before nor the state after")
    }

    /// Counts what was sent since the last look against what was stored then.
    fn account(&mut self) {
        let sent = self.provider.take();
        let again = sent
            .iter()
            .filter(|text| self.stored.contains(&state::hash(text)));
        self.stored_paid_twice += again.count();
        self.sent.extend(sent);
    }

    /// Runs the command to its end, undisturbed, and closes the books.
    pub(crate) fn finish(mut self, struck: bool, left: State) -> Result<Survived> {
        if left == State::Before || !self.scenario.is_done_once() {
            let ended = self.scenario.run(&self.place)?;
            ensure!(ended.code == Some(0), "the next run fails: {ended}");
        }
        self.account();
        ensure!(
            self.state()? == State::After,
            "the next run does not lead to the state after"
        );
        let distinct: BTreeSet<_> = self.sent.iter().collect();
        ensure!(
            distinct.len() == self.scenario.texts,
            "{} texts were sent, {} changed",
            distinct.len(),
            self.scenario.texts
        );
        let twice = self.sent.len() - distinct.len();
        ensure!(
            self.stored_paid_twice == 0,
            "{} texts were stored and paid for again",
            self.stored_paid_twice
        );
        let most = self.wasted.iter().map(|(by_then, in_flight)| {
            let later: BTreeSet<_> = self.sent[*by_then..]
                .iter()
                .map(|text| state::hash(text))
                .collect();
            later.intersection(in_flight).count()
        });
        let most = most.max().unwrap_or(0);
        ensure!(
            most <= self.allowed,
            "{most} texts were paid for twice by one fault, {} may be",
            self.allowed
        );
        self.done();
        Ok(Survived {
            struck,
            left,
            stored_paid_twice: self.stored_paid_twice,
            in_flight_paid_twice: twice,
            in_flight_paid_twice_most: most,
        })
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.scenario.deadline()
    }
}

/// A run that an error of the system met: it says so, names the store, and stops in order.
pub(crate) fn stopped_in_order(ended: &Ended, place: &Place) -> Result<()> {
    let store = place.store();
    let name = store
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    ensure!(
        ended.code == Some(1),
        "an error of the system is exit code 1, not {ended}"
    );
    let error = ended
        .stderr
        .lines()
        .find(|line| line.starts_with("error: "));
    let error = error.with_context(|| format!("it says no error: {}", ended.stderr))?;
    ensure!(error.contains(&name), "it does not name the store: {error}");
    ensure!(ended.stdout.is_empty(), "it prints a result all the same");
    Ok(())
}

/// It tells the cause: a disk that is full, or one that fails.
pub(crate) fn tells_cause(ended: &Ended, full: bool) -> Result<()> {
    let causes: &[&str] = if full {
        &["full", "No space left"]
    } else {
        &["I/O error", "Input/output error", "failing"]
    };
    ensure!(
        causes.iter().any(|cause| ended.stderr.contains(cause)),
        "it names none of {causes:?}: {ended}"
    );
    Ok(())
}

/// Vectors that the run said are stored, the last time it did.
pub(crate) fn said_stored(log: &str) -> usize {
    let mut counts = log.lines().filter_map(|line| {
        let (_, rest) = line.split_once("Storing embeddings: ")?;
        // The last line of a killed run may be cut off in the middle of a number.
        rest.split_once('/')?.0.parse().ok()
    });
    counts.next_back().unwrap_or(0)
}
