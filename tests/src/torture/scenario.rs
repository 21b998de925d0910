//! The run that is tortured: a store of 240 rows and a source of 290, of which 200 are as they were, 30 are edited, 60
//! are new, and 10 stored ones are gone. Ninety texts are to be paid for, in nine calls, four in flight.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use integration_tests::{Entry, Faq, Place, Reply, StubApi};
use tempfile::TempDir;

use super::found::{self, Found};
use super::process::{self, Ended};
use super::state::Digest;

pub(crate) const BATCH: usize = 10;
pub(crate) const CONCURRENCY: usize = 4;

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

/// The state before, the source that leads to the state after, and both states' digests.
pub(crate) struct Scenario {
    _directory: TempDir,
    store: PathBuf,
    source: Vec<u8>,
    pub(crate) before: Digest,
    pub(crate) after: Digest,
    /// What a search finds before and after.
    pub(crate) found: [Found; 2],
    /// Texts that the run pays for.
    pub(crate) texts: usize,
    /// What an undisturbed run takes: the median of five.
    pub(crate) usual: Duration,
}

impl Scenario {
    pub(crate) fn prepare() -> Result<Self> {
        let base = Faq::with_ids(240);
        let edited = base.edited(|entries| {
            entries.truncate(230);
            for entry in &mut entries[200..] {
                entry.answer.push_str(" Это бесплатно.");
            }
            entries.extend((300..360).map(|number| Entry {
                id: Some(format!("t{number}")),
                ..Entry::number(number)
            }));
        });
        let provider = Provider::new();
        let place = Place::stub(&provider.api);
        place.save("faq.csv", &base);
        place.migrate("faq.csv", &[]);
        let directory = tempfile::tempdir()?;
        let store = directory.path().join("embeddings.db");
        std::fs::copy(place.store(), &store)?;
        let before = Digest::of(&store)?;
        found::question(&place);
        let found = Found::of(&process::run(
            found::search(&place),
            Duration::from_secs(60),
        )?)?;
        let mut scenario = Self {
            _directory: directory,
            store,
            source: edited.bytes("faq.csv"),
            after: before.clone(),
            before,
            found: [found.clone(), found],
            texts: 90,
            usual: Duration::from_secs(1),
        };
        let mut times = Vec::new();
        for _ in 0..5 {
            let place = scenario.place(&provider)?;
            provider.take();
            let started = Instant::now();
            let ended = process::run(scenario.sync(&place), Duration::from_secs(60))?;
            times.push(started.elapsed());
            ensure!(ended.code == Some(0), "an undisturbed run fails: {ended}");
            ensure!(
                provider.take().len() == scenario.texts,
                "an undisturbed run pays for the texts that changed"
            );
            scenario.after = Digest::of(&place.store())?;
            let found = process::run(found::search(&place), scenario.deadline())?;
            scenario.found[1] = Found::of(&found)?;
        }
        times.sort_unstable();
        scenario.usual = times[2];
        ensure!(
            scenario.before != scenario.after && scenario.found[0] != scenario.found[1],
            "the run changes something"
        );
        Ok(scenario)
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
    pub(crate) fn sync(&self, place: &Place) -> Command {
        place.command(&[
            "sync",
            "--faq-path",
            "faq.csv",
            "--batch-size",
            &BATCH.to_string(),
            "--concurrency",
            &CONCURRENCY.to_string(),
            "--json",
        ])
    }

    /// How long a run may take before it counts as hanging: ten times the usual, and room for a machine that is busy
    /// with something else.
    pub(crate) fn deadline(&self) -> Duration {
        self.usual * 10 + Duration::from_secs(30)
    }

    /// Runs it undisturbed.
    pub(crate) fn run(&self, place: &Place) -> Result<Ended> {
        process::run(self.sync(place), self.deadline())
    }
}
