//! The product and a server that fails it: many at once, killed in the middle, starved of disk, and cut off.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use integration_tests::postgres::{
    Client, Options, Pace, PrivateServer, Proxy, Shutdown, TEMPLATE, TestDatabase, Then, When,
};
use integration_tests::seed::{Random, of_run};
use integration_tests::{Entry, Faq, Outcome, Place, Reply, StubApi};
use storage_core::InputHash;

/// Numbers a vector has.
const DIMENSIONS: usize = 64;

/// Nothing takes longer, on the busiest machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// A provider that remembers what it was paid for.
struct Provider {
    api: StubApi,
    paid: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    fn new() -> Self {
        let paid: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&paid);
        let api = StubApi::scripted(DIMENSIONS, Duration::from_millis(5), move |_, texts| {
            heard.lock().unwrap().extend_from_slice(texts);
            Reply::Vectors
        });
        Self { api, paid }
    }

    fn paid(&self) -> Vec<String> {
        self.paid.lock().unwrap().clone()
    }
}

/// A place whose store is in that database.
fn place(provider: &Provider, url: &str) -> Place {
    let mut place = Place::stub(&provider.api);
    at(&mut place, url);
    place
}

fn at(place: &mut Place, url: &str) {
    place.set("DATABASE_URL", url);
    place.set("STORAGE_BACKEND", "postgres");
    place.unset("POSTGRES_PASSWORD");
}

fn edited(faq: &Faq) -> Faq {
    faq.edited(|entries| {
        entries.truncate(90);
        for entry in &mut entries[60..] {
            entry.question.push_str(" Это бесплатно?");
        }
        entries.extend((200..230).map(|number| Entry {
            id: Some(format!("n{number}")),
            ..Entry::number(number)
        }));
    })
}

fn start(place: &Place, args: &[&str]) -> Child {
    place
        .command(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn end(child: Child, shown: &str) -> Outcome {
    Outcome::new(shown, child.wait_with_output().unwrap())
}

/// A share of a time.
fn some(whole: Duration, dice: &mut Random) -> Duration {
    let microseconds = u64::try_from(whole.as_micros()).unwrap();
    Duration::from_micros(dice.below(microseconds.max(1)))
}

/// Hashes of the texts whose vectors are stored.
fn stored(client: &Client) -> BTreeSet<String> {
    let rows = client.rows("select encode(input_hash, 'hex') from embedding_vectors");
    rows.into_iter()
        .filter_map(|mut row| row.remove(0))
        .collect()
}

fn is_in(stored: &BTreeSet<String>, text: &str) -> bool {
    stored.contains(&InputHash::of(text).to_hex())
}

/// Waits until the server has noticed that its clients are dead.
fn wait_for_sessions_to_end(client: &Client) {
    let until = Instant::now() + DEADLINE;
    let others = "select count(*) from pg_stat_activity \
                  where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
    while client.scalar(others) != "0" {
        assert!(Instant::now() < until, "sessions of the dead are left");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const SYNC: &[&str] = &[
    "sync",
    "--faq-path",
    "faq.csv",
    "--batch-size",
    "10",
    "--concurrency",
    "4",
    "--json",
];

#[test]
fn writers_of_one_postgres_store_take_turns_and_readers_do_not_notice() {
    let Some(database) = TestDatabase::create() else {
        return;
    };
    let provider = Provider::new();
    let place = place(&provider, &database.url());
    let faq = Faq::with_ids(100);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let text = faq.0[7].text();
    let search = ["search", &text, "-k", "3", "--json"];
    let before = place.json(&["status"])["generation"].as_u64().unwrap();
    place.save("faq.csv", &edited(&faq));
    let paid = provider.paid().len();
    let patient: Vec<&str> = [SYNC, &["--wait", "60s"]].concat();
    let hasty: Vec<&str> = [SYNC, &["--wait", "0s"]].concat();
    let mut writers = Vec::new();
    for number in 0..8 {
        let args = if number % 2 == 0 { &patient } else { &hasty };
        writers.push((number % 2 == 0, start(&place, args)));
    }
    while writers
        .iter_mut()
        .any(|(_, child)| child.try_wait().unwrap().is_none())
    {
        let found = place.run(&search).ok().json();
        let generation = found["generation"].as_u64().unwrap();
        assert!(
            (before..=before + 1).contains(&generation),
            "a search sees generation {generation}"
        );
        assert_eq!(found["hits"][0]["id"], faq.0[7].id.as_deref().unwrap());
    }
    for (patient, child) in writers {
        let outcome = end(child, "sync");
        if patient || outcome.code == 0 {
            outcome.ok();
        } else {
            let refused = outcome.expect(75);
            let error = refused.error();
            assert!(error.contains("the store is busy: held by"), "{error}");
            assert!(error.contains("pid "), "{error}");
        }
    }
    let sent = provider.paid().split_off(paid);
    let distinct: BTreeSet<_> = sent.iter().filter(|sent| **sent != text).collect();
    let synced = sent.iter().filter(|sent| **sent != text).count();
    assert_eq!(
        (synced, distinct.len()),
        (60, 60),
        "a text is paid for twice"
    );
    assert_eq!(place.json(&["status"])["generation"], before + 1);
    assert_eq!(place.json(&["validate"])["ok"], true);
}

#[test]
fn eight_processes_migrate_an_empty_postgres_database_once() {
    let Some(database) = TestDatabase::create() else {
        return;
    };
    let provider = Provider::new();
    let place = place(&provider, &database.url());
    let applied = "select count(*) || ' ' || count(distinct version) from smart_support_migrations";
    for schema in ["public", "another"] {
        let args = ["schema", "migrate", "--postgres-schema", schema];
        let all: Vec<_> = (0..8).map(|_| start(&place, &args)).collect();
        for child in all {
            end(child, "schema migrate").ok();
        }
        let client = database.client();
        client.run(&format!("set search_path = {schema}"));
        let counts = client.scalar(applied);
        let (rows, versions) = counts.split_once(' ').unwrap();
        assert_eq!(rows, versions);
    }
}

#[test]
fn a_postgres_database_holds_two_stores_in_two_schemas() {
    let Some(database) = TestDatabase::create() else {
        return;
    };
    let provider = Provider::new();
    let place = place(&provider, &database.url());
    place.save("faq.csv", &Faq::with_ids(5));
    place.migrate("faq.csv", &[]);
    let beside = ["--postgres-schema", "beside"];
    place.migrate("faq.csv", &beside);
    for more in [&[][..], &beside] {
        let status = place.json(&[&["status"], more].concat());
        assert_eq!(status["generation"], 1);
    }
}

#[test]
fn a_migration_of_a_postgres_schema_that_is_killed_leaves_the_old_schema_or_the_new_one() {
    let Some(database) = TestDatabase::create() else {
        return;
    };
    let provider = Provider::new();
    let place = place(&provider, &database.url());
    let mut dice = Random::new(of_run("a migration that is killed"));
    let whole = Instant::now();
    place
        .run(&["schema", "migrate", "--postgres-schema", "whole"])
        .ok();
    let usual = whole.elapsed();
    let client = database.client();
    let tables = |schema: &str| {
        client.scalar(&format!(
            "select count(*) from pg_tables where schemaname = '{schema}'"
        ))
    };
    let all = tables("whole");
    for round in 0..10 {
        let schema = format!("killed_{round}");
        let args = ["schema", "migrate", "--postgres-schema", &schema];
        let mut child = start(&place, &args);
        std::thread::sleep(some(usual, &mut dice));
        child.kill().unwrap();
        child.wait().unwrap();
        place.run(&args).ok();
        assert_eq!(tables(&schema), all);
        let counts = client.scalar(&format!(
            "select count(*) = count(distinct version) from {schema}.smart_support_migrations"
        ));
        assert_eq!(counts, "t");
    }
}

#[test]
fn a_postgres_server_that_does_not_come_back_ends_a_sync_with_75_and_what_to_do() {
    let Some(mut server) = PrivateServer::start() else {
        return;
    };
    let url = server.create_database("faults");
    let (proxy, through) = Proxy::before(&url).unwrap();
    let provider = Provider::new();
    let mut place = place(&provider, &url);
    let faq = Faq::with_ids(100);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let before = place.json(&["status"]);
    place.save("faq.csv", &edited(&faq));
    let paid = provider.paid().len();
    at(&mut place, &through);
    proxy.fault(When::SaidAndBytes(b"FROM STDIN", 9_000), Then::Stall);
    let child = start(&place, SYNC);
    proxy.wait_until_struck().unwrap();
    server.stop(Shutdown::Immediate);
    proxy.heal();
    let refused = end(child, "sync").expect(75);
    let error = refused.error();
    assert!(error.contains(&proxy.port().to_string()), "{error}");
    assert!(
        error.contains("again") || error.contains("pg_isready"),
        "{error}"
    );
    // Without a server at all: at once.
    let refused = place.run(SYNC).expect(75);
    let error = refused.error();
    assert!(error.contains("pg_isready"), "{error}");
    server.start_again();
    at(&mut place, &url);
    assert_eq!(place.json(&["status"])["generation"], before["generation"]);
    place.run(SYNC).ok();
    assert_eq!(place.json(&["validate"])["ok"], true);
    let sent = provider.paid().split_off(paid);
    let distinct: BTreeSet<_> = sent.iter().collect();
    assert_eq!(distinct.len(), 60);
    // What was on its way when the server went may be paid for twice: not more than what is in flight at once.
    assert!(sent.len() - distinct.len() <= 40, "{} sent", sent.len());
}

#[test]
fn a_sync_goes_on_when_the_postgres_server_is_restarted_and_searches_do_not_notice() {
    let Some(mut server) = PrivateServer::start() else {
        return;
    };
    let url = server.create_database("faults");
    let (proxy, through) = Proxy::before(&url).unwrap();
    let provider = Provider::new();
    let mut place = place(&provider, &url);
    let faq = Faq::with_ids(100);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    place.save("faq.csv", &edited(&faq));
    at(&mut place, &through);
    proxy.fault(When::SaidAndBytes(b"FROM STDIN", 6_000), Then::Stall);
    let child = start(&place, SYNC);
    proxy.wait_until_struck().unwrap();
    server.kill9();
    proxy.heal();
    server.start_again();
    end(child, "sync").ok();
    assert_eq!(place.json(&["validate"])["ok"], true);
    assert_eq!(place.json(&["status"])["generation"], 2);
    let paid = provider.paid();
    assert_eq!(paid.len(), 160, "something is paid for twice");
}

#[test]
fn a_silent_network_to_postgres_ends_a_sync_with_75() {
    let Some(database) = TestDatabase::create() else {
        return;
    };
    let (proxy, through) = Proxy::before(&database.url()).unwrap();
    let provider = Provider::new();
    let place = place(&provider, &through);
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    proxy.pace(Pace::Never);
    let started = Instant::now();
    let mut patient = place.command(&["status"]);
    patient.env("POSTGRES_CONNECT_TIMEOUT", "1");
    let child = patient
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let refused = end(child, "status").expect(75);
    assert!(started.elapsed() < DEADLINE);
    assert!(
        refused.error().contains("connect_timeout"),
        "{}",
        refused.error()
    );
}

/// Thirty times, at random moments: the state before or the state after, and nothing stored is paid for again.
#[test]
fn a_sync_into_postgres_that_is_killed_loses_nothing_it_paid_for() {
    let Some(template) = TestDatabase::create() else {
        return;
    };
    let provider = Provider::new();
    let faq = Faq::with_ids(100);
    let before = place(&provider, &template.url());
    before.save("faq.csv", &faq);
    before.migrate("faq.csv", &[]);
    drop(before);
    let mut dice = Random::new(of_run("a sync into postgres that is killed"));
    let mut usual = Duration::ZERO;
    let (mut struck, mut in_flight) = (0, 0);
    for round in 0..31 {
        let database = TestDatabase::like(&template);
        let provider = Provider::new();
        let place = place(&provider, &database.url());
        place.save("faq.csv", &edited(&faq));
        let started = Instant::now();
        let mut child = place
            .command(SYNC)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The first is left alone: it tells how long one takes.
        if round > 0 {
            std::thread::sleep(some(usual, &mut dice));
            child.kill().unwrap();
        }
        let killed = child.wait().unwrap().code().is_none();
        usual = if killed {
            usual.mul_f64(1.1)
        } else {
            started.elapsed()
        };
        if killed {
            struck += 1;
        } else if round == 0 {
            continue;
        }
        let generation = place.json(&["status"])["generation"].clone();
        assert!(
            generation == 1 || generation == 2,
            "round {round}: {generation}"
        );
        assert_eq!(place.json(&["validate"])["ok"], true, "round {round}");
        // Whoever is dead may still be writing, in the eyes of the server.
        let client = database.client();
        wait_for_sessions_to_end(&client);
        let sent = provider.paid();
        let stored = stored(&client);
        let again: Vec<&str> = [SYNC, &["--wait", "60s"]].concat();
        place.run(&again).ok();
        assert_eq!(place.json(&["status"])["generation"], 2, "round {round}");
        let resent = provider.paid().split_off(sent.len());
        for text in &resent {
            assert!(
                !is_in(&stored, text),
                "round {round}: {text:?} was stored and is paid for again"
            );
        }
        let twice = resent.iter().filter(|text| sent.contains(text)).count();
        assert!(twice <= 40, "round {round}: {twice} paid for twice");
        in_flight += twice;
    }
    println!("{struck} of 30 kills met a sync; {in_flight} texts in flight were paid for twice");
    assert!(struck >= 8, "only {struck} kills met a sync");
}

/// A tablespace of a few megabytes, where such a file system may be mounted.
#[test]
fn a_full_disk_of_the_postgres_server_is_named_and_loses_nothing() {
    let disk = tempfile_directory();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs"])
        .arg(&disk)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        let _ = std::fs::remove_dir(&disk);
        integration_tests::skip("a small file system cannot be mounted here");
        return;
    }
    let _unmount = Mounted(disk.clone());
    let Some(server) = PrivateServer::with(&Options::default()) else {
        return;
    };
    let admin = server.client("postgres");
    let data = disk.join("space");
    std::fs::create_dir(&data).unwrap();
    let owner = std::fs::metadata(server.cluster().data()).unwrap();
    std::os::unix::fs::chown(&data, Some(owner.uid()), Some(owner.gid())).unwrap();
    admin.run(&format!(
        "create tablespace small location '{}'",
        data.display()
    ));
    admin.run(&format!(
        "create database faults template {TEMPLATE} tablespace small"
    ));
    let url = server.url("faults");
    let provider = Provider::new();
    let place = place(&provider, &url);
    let faq = Faq::with_ids(100);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let before = place.json(&["status"])["generation"].clone();
    // All but a little of it is somebody else's.
    let hog = disk.join("hog");
    let mut size: usize = 32 << 20;
    while size > 1 << 12 {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&hog)
            .unwrap();
        if file.write_all(&vec![1; size]).is_err() {
            size /= 2;
        }
    }
    place.save(
        "faq.csv",
        &faq.edited(|entries| {
            entries.extend((1_000..4_000).map(|number| Entry {
                id: Some(format!("n{number}")),
                ..Entry::number(number)
            }));
        }),
    );
    let refused = place.run(SYNC).expect(1);
    let error = refused.error();
    assert!(error.contains("the server's disk is full"), "{error}");
    assert_eq!(place.json(&["status"])["generation"], before);
    let stored = stored(&server.client("faults"));
    let sent = provider.paid().len();
    std::fs::remove_file(&hog).unwrap();
    place.run(SYNC).ok();
    for text in provider.paid().split_off(sent) {
        assert!(!is_in(&stored, &text), "{text:?} is paid for again");
    }
    assert_eq!(place.json(&["validate"])["ok"], true);
}

fn tempfile_directory() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("smart-support-disk-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// A file system that goes with its test.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("--lazy")
            .arg(&self.0)
            .status();
        let _ = std::fs::remove_dir(&self.0);
    }
}
