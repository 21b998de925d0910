//! The runs that are tortured. The first is a sync: a store of 240 rows and a source of 290, of which 200 are as they
//! were, 30 are edited, 60 are new, and 10 stored ones are gone. Ninety texts are to be paid for, in nine calls, four in
//! flight. The others build a second version of the 240 rows, serve it, and go back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use integration_tests::{Entry, Faq, Place, Reply, StubApi};
use tempfile::TempDir;

use super::found::{self, Found};
use super::process::{self, Ended};
use super::round::State;
use super::state::Digest;

pub(crate) const BATCH: usize = 10;
pub(crate) const CONCURRENCY: usize = 4;

/// The same as flags.
pub(crate) const BATCHES: &[&str] = &["--batch-size", "10", "--concurrency", "4"];

/// Numbers per vector.
pub(crate) const DIMENSIONS: usize = 64;

/// What a call takes: long enough that a kill often meets one.
const LATENCY: Duration = Duration::from_millis(8);

/// A provider that writes down what it is asked for.
pub(crate) struct Provider {
    pub(crate) api: StubApi,
    sent: Arc<Mutex<Vec<String>>>,
    /// Where the newest round takes place.
    place: Mutex<PathBuf>,
}

impl Provider {
    pub(crate) fn new() -> Self {
        let sent: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&sent);
        let api = StubApi::scripted(DIMENSIONS, LATENCY, move |_, texts| {
            lock(&heard).extend_from_slice(texts);
            Reply::Vectors
        });
        Self {
            api,
            sent,
            place: Mutex::default(),
        }
    }

    /// Remembers where a round takes place, for whoever looks into its failure.
    pub(crate) fn is_asked_from(&self, place: PathBuf) {
        *lock(&self.place) = place;
    }

    pub(crate) fn place(&self) -> PathBuf {
        lock(&self.place).clone()
    }

    /// Whether anything was sent since the last look.
    pub(crate) fn was_asked(&self) -> bool {
        !lock(&self.sent).is_empty()
    }

    /// Texts since the last look.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.sent))
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// After a run that was met, the next is taken to last a little longer: so the last moments of a run are met as well.
const SLOWER: f64 = 1.05;

/// The recipe of the version that is built beside the first one.
const RECIPE: &str = "{question}";

/// The state before, the command that leads to the state after, and both states' digests.
pub(crate) struct Scenario {
    _directory: TempDir,
    store: PathBuf,
    source: Vec<u8>,
    args: Vec<String>,
    /// Whether the command leads elsewhere when it is given again.
    once: bool,
    pub(crate) before: Digest,
    pub(crate) after: Digest,
    /// What a search finds before and after.
    pub(crate) found: [Found; 2],
    /// Texts that the run pays for.
    pub(crate) texts: usize,
    /// What an undisturbed run takes: the median of five.
    pub(crate) usual: Duration,
    /// The same at present, beside another round.
    pace: Mutex<Duration>,
}

/// The runs that concern versions.
pub(crate) struct Versions {
    /// A second version is built beside the first: 240 texts, and no reader sees any of it.
    pub(crate) build: Scenario,
    /// It is served: the pointer moves.
    pub(crate) promote: Scenario,
    /// It is served after a sync that it has not seen: 90 texts first.
    pub(crate) behind: Scenario,
    /// The first one is served again.
    pub(crate) rollback: Scenario,
}

/// 240 entries, and the same after the edits of a day.
pub(crate) fn sources() -> (Faq, Faq) {
    let base = Faq::with_ids(240);
    let edited = base.edited(|entries| {
        entries.truncate(230);
        for entry in &mut entries[200..] {
            entry.question.push_str(" Это бесплатно?");
        }
        entries.extend((300..360).map(|number| Entry {
            id: Some(format!("t{number}")),
            ..Entry::number(number)
        }));
    });
    (base, edited)
}

impl Versions {
    pub(crate) fn prepare() -> Result<Self> {
        let provider = Provider::new();
        let place = Place::stub(&provider.api);
        let (base, edited) = sources();
        place.save("faq.csv", &base);
        place.migrate("faq.csv", &[]);
        let build = ["model", "build", "--embed-text", RECIPE];
        let build = Scenario::of(&place, &[&build, BATCHES].concat(), 240, false)?;
        ensure!(
            build.found[0].hits == build.found[1].hits,
            "readers notice that a version is built"
        );
        let built = place.json(&["model", "build", "--embed-text", RECIPE]);
        let version = built["version"].as_str().context("no version is built")?;
        let promote = ["model", "promote", version];
        let rollback = ["model", "rollback"];
        let whole = Scenario::of(&place, &promote, 0, false)?;
        place.run(&promote).ok();
        let rollback = Scenario::of(&place, &rollback, 0, true)?;
        place.run(&["model", "rollback"]).ok();
        place.save("faq.csv", &edited);
        place.migrate("faq.csv", &[]);
        let behind = Scenario::of(&place, &[&promote, BATCHES].concat(), 90, false)?;
        Ok(Self {
            build,
            promote: whole,
            behind,
            rollback,
        })
    }
}

impl Scenario {
    pub(crate) fn prepare() -> Result<Self> {
        let provider = Provider::new();
        let place = Place::stub(&provider.api);
        let (base, edited) = sources();
        place.save("faq.csv", &base);
        place.migrate("faq.csv", &[]);
        place.save("faq.csv", &edited);
        let sync = ["sync", "--faq-path", "faq.csv"];
        Self::of(&place, &[&sync, BATCHES].concat(), 90, false)
    }

    /// What a command makes of a place with a source, which stays as it is.
    fn of(place: &Place, args: &[&str], texts: usize, once: bool) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let store = directory.path().join("embeddings.db");
        std::fs::copy(place.store(), &store)?;
        let before = Digest::of(&store)?;
        found::question(place);
        let found = process::run(found::search(place), Duration::from_secs(60))?;
        let found = Found::of(&found)?;
        let args = args.iter().chain(&["--json"]);
        let mut scenario = Self {
            _directory: directory,
            store,
            source: std::fs::read(place.path("faq.csv"))?,
            args: args.map(|arg| (*arg).to_owned()).collect(),
            once,
            after: before.clone(),
            before,
            found: [found.clone(), found],
            texts,
            usual: Duration::from_secs(1),
            pace: Mutex::default(),
        };
        let provider = Provider::new();
        let mut times = Vec::new();
        for _ in 0..5 {
            let place = scenario.place(&provider)?;
            provider.take();
            let started = Instant::now();
            let ended = process::run(scenario.command(&place), Duration::from_secs(60))?;
            times.push(started.elapsed());
            ensure!(ended.code == Some(0), "an undisturbed run fails: {ended}");
            let paid = provider.take().len();
            ensure!(
                paid == texts,
                "an undisturbed run pays for {paid} texts, {texts} changed: {args:?}",
                args = scenario.args
            );
            scenario.after = Digest::of(&place.store())?;
            let found = process::run(found::search(&place), scenario.deadline())?;
            scenario.found[1] = Found::of(&found)?;
        }
        times.sort_unstable();
        scenario.usual = times[2];
        *lock(&scenario.pace) = scenario.usual;
        ensure!(
            scenario.before != scenario.after && scenario.found[0] != scenario.found[1],
            "the run changes something"
        );
        Ok(scenario)
    }

    /// What an undisturbed run takes at present.
    pub(crate) fn pace(&self) -> Duration {
        *lock(&self.pace)
    }

    /// Learns from a run that was to be cut off. A machine is busy with other things at times, and whatever is measured
    /// once is soon wrong: signals would come after the end, or never near it.
    pub(crate) fn learn(&self, ended: &Ended) {
        let mut pace = lock(&self.pace);
        *pace = match ended.code {
            Some(0) => ended.took,
            _ => pace.mul_f64(SLOWER),
        };
    }

    /// Which state a store is in; `None` for one between. A run that readers do not notice may count generations as it
    /// likes: its end is that one more version can be served.
    pub(crate) fn state(&self, digest: &Digest) -> Option<State> {
        if self.is_unseen() {
            let more = digest.ready == self.after.ready;
            let state = if more { State::After } else { State::Before };
            return (digest.rows == self.before.rows).then_some(state);
        }
        let states = [(&self.before, State::Before), (&self.after, State::After)];
        let found = states.into_iter().find(|(known, _)| *known == digest);
        found.map(|(_, state)| state)
    }

    /// Whether a search that found this saw that state.
    pub(crate) fn answers(&self, state: State, found: &Found) -> bool {
        let expected = &self.found[usize::from(state == State::After)];
        found == expected || (self.is_unseen() && found.hits == expected.hits)
    }

    fn is_unseen(&self) -> bool {
        self.before.rows == self.after.rows
    }

    /// Whether the command must not be given again in the state after.
    pub(crate) fn is_done_once(&self) -> bool {
        self.once
    }

    /// A place in the state before, with the source beside it.
    pub(crate) fn place(&self, provider: &Provider) -> Result<Place> {
        let place = Place::stub(&provider.api);
        self.fill(&place.path("data"))?;
        place.write("faq.csv", &self.source);
        found::question(&place);
        Ok(place)
    }

    /// Puts the state before into a directory.
    pub(crate) fn fill(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory)?;
        let store = directory.join("embeddings.db");
        std::fs::copy(&self.store, &store)
            .with_context(|| format!("cannot write {}", store.display()))?;
        Ok(())
    }

    /// The run.
    pub(crate) fn command(&self, place: &Place) -> Command {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        place.command(&args)
    }

    /// How long a run may take before it counts as hanging: ten times the usual, and room for a machine that is busy
    /// with something else.
    pub(crate) fn deadline(&self) -> Duration {
        self.usual * 10 + Duration::from_secs(30)
    }

    /// Runs it undisturbed.
    pub(crate) fn run(&self, place: &Place) -> Result<Ended> {
        process::run(self.command(place), self.deadline())
    }
}
