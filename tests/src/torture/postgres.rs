//! The same run with its store in PostgreSQL: the tool is killed, its network is cut, its server is killed.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use integration_tests::postgres::{
    COMMIT, Client, PrivateServer, Proxy, TestDatabase, TestServer, Then, Way, When,
};
use integration_tests::{Faq, Place};
use rustix::process::{Pid, Signal, kill_process};

use super::process::{Ended, Running};
use super::report::Tally;
use super::round::{State, Survived};
use super::scenario::{BATCH, BATCHES, CONCURRENCY, Provider, sources};
use super::{Dice, Torture, state};

const PART: &str = "postgres";

/// The shares of each fault.
const KILLS: usize = 30;
const CUTS: usize = 20;
const CRASHES: usize = 10;

/// Texts that the run pays for.
const TEXTS: usize = 90;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// What a reader can see, but for what the database numbers as it likes.
const ROWS: &str = "\
SELECT md5(coalesce(string_agg(line, chr(10) ORDER BY line COLLATE \"C\"), '')) FROM (
    SELECT row(c.name, r.document, r.chunk, r.title, r.body, r.category, r.subcategory, r.metadata::text,
        r.locator_row, r.record_hash, i.input_hash, v.embedding::text)::text AS line
    FROM embedding_records AS r
    JOIN collections AS c ON c.collection_id = r.collection_id
    JOIN record_inputs AS i ON i.record_id = r.record_id AND i.version_id = c.active_version_id
    JOIN embedding_vectors AS v ON v.vector_id = i.vector_id) AS lines";

const GENERATION: &str = "SELECT generation FROM store_state";

const STORED: &str = "SELECT encode(input_hash, 'hex') FROM embedding_vectors";

const OTHERS: &str = "\
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";

type Digest = (String, String);

/// The state before, in a database that each round has a copy of.
struct Scenario {
    template: TestDatabase,
    source: Faq,
    states: [Digest; 2],
    pace: Mutex<Duration>,
    /// What a run sends each way.
    bytes: [u64; 2],
}

pub(crate) fn postgres(torture: &Torture) -> Result<Vec<Tally>> {
    let Some(server) = TestServer::named() else {
        let why = "no server; cargo xtask torture starts one where it can";
        return Ok(vec![Tally::skipped(PART, why)]);
    };
    let scenario = Scenario::prepare(&server)?;
    let mut tallies = vec![
        torture
            .run(PART, torture.rounds(KILLS), |provider, dice| {
                scenario.killed(provider, dice)
            })
            .must_strike()
            .with_fault("kill -9, one to three times"),
        torture
            .run(PART, torture.rounds(CUTS), |provider, dice| {
                scenario.cut(provider, dice)
            })
            .must_strike()
            .with_fault("the connection is cut at any byte, or at COMMIT"),
    ];
    tallies.push(match server.programs {
        None => Tally::skipped(PART, "no programs of a server, to kill one"),
        Some(_) => crashes(torture)?,
    });
    Ok(tallies)
}

/// The server itself, which all of these rounds share: they take turns.
fn crashes(torture: &Torture) -> Result<Tally> {
    let server = PrivateServer::start().context("no server to kill")?;
    let scenario = Scenario::prepare(&server.as_test_server())?;
    let server = Mutex::new(server);
    let tally = torture.run(PART, torture.rounds(CRASHES), |provider, dice| {
        let mut server = super::lock(&server);
        scenario.crash(&mut server, provider, dice)
    });
    Ok(tally.must_strike().with_fault("the server is killed"))
}

impl Scenario {
    fn prepare(server: &TestServer) -> Result<Self> {
        let template = TestDatabase::on(server.clone());
        let provider = Provider::new();
        let (base, source) = sources();
        let place = place(&provider, &template.url());
        place.save("faq.csv", &base);
        place.migrate("faq.csv", &[]);
        let before = digest(&template.client());
        let mut scenario = Self {
            states: [before.clone(), before],
            template,
            source,
            pace: Mutex::default(),
            bytes: [0; 2],
        };
        let round = Round::new(&scenario, &provider)?;
        let (proxy, through) = Proxy::before(&round.database.url())?;
        let ended = super::process::run(round.command(&through), DEADLINE)?;
        ensure!(ended.code == Some(0), "an undisturbed run fails: {ended}");
        let after = digest(&round.client);
        let bytes = [Way::ToServer, Way::ToClient].map(|way| proxy.bytes(way));
        drop(round);
        ensure!(scenario.states[0] != after, "the run changes something");
        scenario.states[1] = after;
        scenario.bytes = bytes;
        *super::lock(&scenario.pace) = ended.took;
        Ok(scenario)
    }

    /// A moment of a run, at the pace of late.
    fn moment(&self, dice: &mut Dice) -> Duration {
        super::lock(&self.pace).mul_f64(dice.share())
    }

    fn learn(&self, ended: &Ended) {
        let mut pace = super::lock(&self.pace);
        *pace = match ended.code {
            Some(0) => ended.took,
            _ => pace.mul_f64(1.05),
        };
    }

    fn killed(&self, provider: &Provider, dice: &mut Dice) -> Result<Survived> {
        let mut round = Round::new(self, provider)?;
        let (mut struck, mut left) = (false, State::Before);
        for _ in 0..1 + dice.below(3) {
            let running = Running::start(round.command(&round.database.url()))?;
            std::thread::sleep(self.moment(dice));
            // One that has ended already is not there any more, which is no fault.
            let _ = kill_process(Pid::from_child(&running.child), Signal::KILL);
            let ended = running.end(DEADLINE)?;
            self.learn(&ended);
            struck |= ended.code.is_none();
            left = round.look_after(&ended, left)?;
        }
        round.finish(struck, left)
    }

    fn cut(&self, provider: &Provider, dice: &mut Dice) -> Result<Survived> {
        let mut round = Round::new(self, provider)?;
        let (proxy, through) = Proxy::before(&round.database.url())?;
        let way = [Way::ToServer, Way::ToClient][dice.below(2)];
        let bytes = usize::try_from(self.bytes[usize::from(way == Way::ToClient)])?;
        let offset = When::Bytes(way, dice.below(bytes.max(1)) as u64);
        let (when, then) = match dice.below(6) {
            0 => (When::Said(COMMIT), Then::LoseAnswer),
            1 => (When::BeforeSaying(COMMIT), Then::Reset),
            2 => (offset, Then::Leave),
            3 => (offset, Then::Close),
            _ => (offset, Then::Reset),
        };
        proxy.fault(when, then);
        let ended = super::process::run(round.command(&through), DEADLINE)?;
        let struck = proxy.has_struck();
        let fault = format!("{when:?}, {then:?}");
        drop(proxy);
        told(&ended).context(fault.clone())?;
        let left = round.look_after(&ended, State::Before).context(fault)?;
        round.finish(struck, left)
    }

    fn crash(
        &self,
        server: &mut PrivateServer,
        provider: &Provider,
        dice: &mut Dice,
    ) -> Result<Survived> {
        let mut round = Round::new(self, provider)?;
        let running = Running::start(round.command(&round.database.url()))?;
        std::thread::sleep(self.moment(dice));
        server.kill9();
        server.start_again();
        let ended = running.end(DEADLINE)?;
        let struck = ended.took > *super::lock(&self.pace);
        told(&ended)?;
        round.client = round.database.client();
        let left = round.look_after(&ended, State::Before)?;
        round.finish(struck, left)
    }
}

/// It ended well, or says what to do.
fn told(ended: &Ended) -> Result<()> {
    let error = ended
        .stderr
        .lines()
        .find(|line| line.starts_with("error: "));
    match ended.code {
        Some(0) => Ok(()),
        Some(1 | 75) => {
            let error = error.with_context(|| format!("it says no error: {ended}"))?;
            let told = ["again", "pg_isready", "smart-support status"];
            ensure!(
                told.iter().any(|words| error.contains(words)),
                "it does not say how to go on: {error}"
            );
            Ok(())
        }
        _ => anyhow::bail!("it ends with {ended}"),
    }
}

fn place(provider: &Provider, url: &str) -> Place {
    let mut place = Place::stub(&provider.api);
    place.set("DATABASE_URL", url);
    place.set("STORAGE_BACKEND", "postgres");
    place.unset("POSTGRES_PASSWORD");
    place
}

fn digest(client: &Client) -> Digest {
    (client.scalar(ROWS), client.scalar(GENERATION))
}

/// A database of its own, and what was sent from it.
struct Round<'a> {
    scenario: &'a Scenario,
    provider: &'a Provider,
    database: TestDatabase,
    client: Client,
    place: Place,
    sent: Vec<String>,
    /// Hashes of what was stored at the last look, before anything more was sent.
    stored: BTreeSet<String>,
    /// For each fault: how much had been sent by then, and what of it was in flight and is lost.
    wasted: Vec<(usize, BTreeSet<String>)>,
}

impl<'a> Round<'a> {
    fn new(scenario: &'a Scenario, provider: &'a Provider) -> Result<Self> {
        let database = TestDatabase::like(&scenario.template);
        let client = database.client();
        let place = place(provider, &database.url());
        place.save("faq.csv", &scenario.source);
        provider.is_asked_from(place.path(""));
        provider.take();
        let mut round = Self {
            scenario,
            provider,
            stored: BTreeSet::new(),
            database,
            client,
            place,
            sent: Vec::new(),
            wasted: Vec::new(),
        };
        round.stored = round.stored_now();
        Ok(round)
    }

    fn command(&self, url: &str) -> std::process::Command {
        let sync = ["sync", "--faq-path", "faq.csv", "--json"];
        let mut command = self.place.command(&[&sync, BATCHES].concat());
        command.env("DATABASE_URL", url);
        command
    }

    fn stored_now(&self) -> BTreeSet<String> {
        let rows = self.client.rows(STORED);
        let hashes = rows.into_iter().filter_map(|mut row| row.pop().flatten());
        hashes.collect()
    }

    /// What is sent after a look, and was stored then, is paid for again.
    fn account(&mut self) -> Result<()> {
        let sent = self.provider.take();
        let again = sent.iter().filter(|text| self.stored.contains(&hash(text)));
        let again = again.count();
        ensure!(again == 0, "{again} texts were stored and paid for again");
        self.sent.extend(sent);
        Ok(())
    }

    /// After a fault: the state before or the state after, whole; what was said to be stored is.
    fn look_after(&mut self, ended: &Ended, was: State) -> Result<State> {
        let until = Instant::now() + DEADLINE;
        while self.client.scalar(OTHERS) != "0" {
            ensure!(Instant::now() < until, "sessions of the dead are left");
            std::thread::sleep(Duration::from_millis(5));
        }
        let from = self.sent.len();
        self.account()?;
        let state = self.state()?;
        ensure!(
            was == State::Before || state == State::After,
            "the state after was there and is gone"
        );
        ensure!(
            ended.code != Some(0) || state == State::After,
            "it says that it is done, and is not: {ended}"
        );
        let validate = self.place.command(&["validate", "--quiet"]);
        let checked = super::process::run(validate, DEADLINE)?;
        ensure!(checked.code == Some(0), "validate finds faults: {checked}");
        let stored = self.stored_now();
        let lost = self.stored.difference(&stored).count();
        ensure!(lost == 0, "{lost} vectors that were stored are gone");
        let said = super::round::said_stored(&ended.stderr);
        let more = stored.len() - self.stored.len();
        ensure!(
            more >= said,
            "{said} vectors were said to be stored, and {more} are: {ended}"
        );
        let sent = self.sent[from..].iter().map(|text| hash(text));
        let in_flight = sent.filter(|hash| !stored.contains(hash)).collect();
        self.wasted.push((self.sent.len(), in_flight));
        self.stored = stored;
        Ok(state)
    }

    fn state(&self) -> Result<State> {
        let now = digest(&self.client);
        let states = self
            .scenario
            .states
            .iter()
            .zip([State::Before, State::After]);
        let mut found = states.filter(|(known, _)| **known == now);
        let state = found.next().map(|(_, state)| state);
        state.context("what is left is neither the state before nor the state after")
    }

    fn finish(mut self, struck: bool, left: State) -> Result<Survived> {
        let ended = super::process::run(self.command(&self.database.url()), DEADLINE)?;
        ensure!(ended.code == Some(0), "the next run fails: {ended}");
        self.account()?;
        ensure!(
            self.state()? == State::After,
            "the next run does not lead to the state after"
        );
        let distinct: BTreeSet<_> = self.sent.iter().collect();
        ensure!(
            distinct.len() == TEXTS,
            "{} texts were sent, {TEXTS} changed",
            distinct.len()
        );
        let most = self.wasted.iter().map(|(by_then, in_flight)| {
            let later: BTreeSet<_> = self.sent[*by_then..]
                .iter()
                .map(|text| hash(text))
                .collect();
            later.intersection(in_flight).count()
        });
        let most = most.max().unwrap_or(0);
        ensure!(
            most <= BATCH * CONCURRENCY,
            "{most} texts were paid for twice by one fault"
        );
        Ok(Survived {
            struck,
            left,
            stored_paid_twice: 0,
            in_flight_paid_twice: self.sent.len() - distinct.len(),
            in_flight_paid_twice_most: most,
        })
    }
}

fn hash(text: &str) -> String {
    let bytes = state::hash(text);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
