//! `serve`: searches over HTTP beside the same search without it, and beside a service of FastAPI and numpy.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use integration_tests::http::{Answer, Connection, request};
use retriever::{SearchIndex, SearchOptions};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use storage_core::{Embedding, EmbeddingStore as _, Filter};
use storage_sqlite::SqliteOptions;

use crate::bench::data::templates;
use crate::bench::figure::Figure;
use crate::bench::import::{write_items, write_matrix};
use crate::bench::measure::{family_cpu, median, process_cpu};
use crate::bench::product::{Product, Provider};

const BENCH: &str = "serve";
const DIMENSIONS: usize = 1024;
const FEW: usize = 10_000;
const MANY: usize = 100_000;
const WORDS: usize = 12;
const TOP_K: usize = 10;
/// What the service embeds with: only whoever serves the model of a collection may change it.
const MODEL: &str = "hash-ngrams";
const ROUNDS: usize = 5;
/// Questions of a round of the comparison with the library.
const QUESTIONS: usize = 400;
/// How long a load lasts.
const LOAD: Duration = Duration::from_secs(5);
/// Questions on their way for the throughput, and connections for the tail.
const ASKERS: usize = 8;
const CONNECTIONS: usize = 64;
const MIB: f64 = 1024.0 * 1024.0;
const APP: &str = include_str!("../../peers/fastapi_numpy/app.py");
/// Names a Python that has what `tests/peers/fastapi_numpy/requirements.txt` lists.
const PYTHON_VARIABLE: &str = "SMART_SUPPORT_BENCH_FASTAPI";

pub(crate) fn run(product: &Product) -> Result<Vec<Figure>> {
    let mut figures = few(product)?;
    figures.extend(many(product)?);
    Ok(figures)
}

/// Rows, and the store that they are imported into.
struct Rows {
    items: PathBuf,
    matrix: PathBuf,
    store: PathBuf,
}

impl Rows {
    fn new(product: &Product, directory: &Path, count: usize) -> Result<Self> {
        eprintln!("bench: serve: importing {count} x {DIMENSIONS}");
        let rows = Self {
            items: directory.join("items.jsonl"),
            matrix: directory.join("items.f32"),
            store: directory.join("served.db"),
        };
        write_items(&rows.items, &templates(count, WORDS))?;
        write_matrix(&rows.matrix, count)?;
        let dimensions = DIMENSIONS.to_string();
        let args = [
            "import".as_ref(),
            "vectors".as_ref(),
            "--items".as_ref(),
            rows.items.as_os_str(),
            "--vectors".as_ref(),
            rows.matrix.as_os_str(),
            "--dimensions".as_ref(),
            dimensions.as_ref(),
            "--model".as_ref(),
            MODEL.as_ref(),
            "--offline".as_ref(),
            "--no-verify".as_ref(),
        ];
        product.run(&rows.store, &Provider::Hash, args)?;
        Ok(rows)
    }
}

/// A service that is asked, ended with this value.
struct Running {
    child: Child,
    address: SocketAddr,
    /// From its start to its first ready answer, in seconds.
    readiness: f64,
}

impl Drop for Running {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a process as one is asked to: workers would outlive a parent that is killed.
fn end(child: &mut Child) {
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
    drop(child.wait());
}

impl Running {
    fn ours(product: &Product, rows: &Rows) -> Result<Self> {
        Self::start(|address| {
            let address = address.to_string();
            let mut command = product.command(
                &rows.store,
                &Provider::Hash,
                ["serve", "--listen", &address],
            );
            // As the peer: no line for each request.
            command.stderr(Stdio::null());
            Ok(command)
        })
    }

    fn theirs(rows: &Rows) -> Result<Option<Self>> {
        let Some(python) = std::env::var_os(PYTHON_VARIABLE) else {
            return Ok(None);
        };
        let directory = rows.store.parent().context("a store in a directory")?;
        std::fs::write(directory.join("app.py"), APP)?;
        let running = Self::start(|address| {
            let mut command = Command::new(&python);
            command
                .args(["-m", "uvicorn", "app:app", "--workers", "2"])
                .args(["--loop", "uvloop", "--http", "httptools"])
                .args(["--no-access-log", "--log-level", "warning"])
                .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
                .current_dir(directory)
                .env("PEER_ITEMS", &rows.items)
                .env("PEER_VECTORS", &rows.matrix)
                .env("PEER_DIMENSIONS", DIMENSIONS.to_string())
                .env("OPENBLAS_NUM_THREADS", "1")
                .env("OMP_NUM_THREADS", "1")
                .stderr(Stdio::from(File::create(directory.join("peer.log"))?));
            Ok(command)
        })?;
        // The second worker may still be loading.
        std::thread::sleep(Duration::from_secs(3));
        Ok(Some(running))
    }

    fn start(command: impl FnOnce(SocketAddr) -> Result<Command>) -> Result<Self> {
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = command(address)?;
        let started = Instant::now();
        let mut child = command.stdout(Stdio::null()).spawn()?;
        let ready = request("GET", "/readyz", &[], None);
        loop {
            let answered = Connection::to(address).and_then(|mut peer| peer.ask(&ready));
            if answered.is_ok_and(|answer| answer.status == 200) {
                break;
            }
            if let Some(status) = child.try_wait()? {
                bail!("{command:?} ended with {status}");
            }
            if started.elapsed() > Duration::from_secs(120) {
                end(&mut child);
                bail!("{command:?} does not get ready");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Self {
            child,
            address,
            readiness: started.elapsed().as_secs_f64(),
        })
    }

    /// Processor time of all its threads and workers so far, in seconds.
    fn cpu(&self) -> Result<f64> {
        family_cpu(self.child.id())
    }

    fn ask(&self, method: &str, path: &str) -> Result<Answer> {
        let mut connection = Connection::to(self.address)?;
        Ok(connection.ask(&request(method, path, &[], None))?)
    }

    /// How many requests it has answered, and how long it took for all of them, by its own figures.
    fn served(&self) -> Result<(f64, f64)> {
        let text = self.ask("GET", "/metrics")?.text();
        let number = |end: &str| -> Result<f64> {
            let line = text.lines().find(|line| {
                line.split(' ').next().is_some_and(|name| {
                    name.ends_with(end) && name.contains("request_duration_seconds")
                })
            });
            let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
            value.with_context(|| format!("/metrics has no request_duration_seconds{end}"))
        };
        Ok((number("_count")?, number("_sum")?))
    }

    /// Lets many ask for a while; the time of every answer in ms.
    fn load(&self, connections: usize, over: impl FnOnce() -> Result<()>) -> Result<Vec<f64>> {
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let askers: Vec<_> = (0..connections)
                .map(|asker| {
                    let ended = &ended;
                    scope.spawn(move || -> Result<Vec<f64>> {
                        let mut connection = Connection::to(self.address)?;
                        let bodies: Vec<Vec<u8>> = (0..16)
                            .map(|turn| body(&question(asker * 16 + turn)))
                            .collect();
                        let mut times = Vec::new();
                        for bytes in bodies.iter().cycle() {
                            if ended.load(Ordering::Relaxed) {
                                break;
                            }
                            let started = Instant::now();
                            let answer = connection.ask(bytes)?;
                            times.push(started.elapsed().as_secs_f64() * 1e3);
                            if answer.status != 200 {
                                bail!("a search was answered {}: {}", answer.status, answer.text());
                            }
                        }
                        Ok(times)
                    })
                })
                .collect();
            let outcome = over();
            ended.store(true, Ordering::Relaxed);
            let mut all = Vec::new();
            for asker in askers {
                all.extend(asker.join().expect("an asker does not panic")?);
            }
            outcome.map(|()| all)
        })
    }
}

/// A made-up vector.
fn question(number: usize) -> Vec<f32> {
    let mut state = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let numbers = (0..DIMENSIONS).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bytes = state.to_le_bytes();
        f32::from(i16::from_le_bytes([bytes[2], bytes[3]])) / 32_768.0 + 1e-4
    });
    numbers.collect()
}

fn body(vector: &[f32]) -> Vec<u8> {
    let body = json!({"vector": vector, "top_k": TOP_K}).to_string();
    request("POST", "/search", &[], Some(body.as_bytes()))
}

/// A share of the times lies below this.
fn share(mut times: Vec<f64>, share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "places in a list of some thousands"
    )]
    let at = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
    times.get(at).copied().unwrap_or(f64::NAN)
}

fn wait() -> Result<()> {
    std::thread::sleep(LOAD);
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn few(product: &Product) -> Result<Vec<Figure>> {
    let directory = tempfile::tempdir()?;
    let rows = Rows::new(product, directory.path(), FEW)?;
    let ours = Running::ours(product, &rows)?;
    let index = library(&rows.store)?;
    let options = SearchOptions {
        top_k: TOP_K,
        threshold: None,
        filter: Filter::default(),
    };
    let (mut over_http, mut direct) = (Vec::new(), Vec::new());
    let (mut cpu_over_http, mut cpu_direct) = (0.0, 0.0);
    for round in 0..ROUNDS {
        let questions: Vec<Vec<f32>> = (0..QUESTIONS)
            .map(|n| question(round * QUESTIONS + n))
            .collect();
        let mut connection = Connection::to(ours.address)?;
        let before = ours.served()?;
        let cpu = ours.cpu()?;
        for question in &questions {
            let answer = connection.ask(&body(question))?;
            if answer.status != 200 {
                bail!("a search was answered {}", answer.status);
            }
        }
        cpu_over_http += ours.cpu()? - cpu;
        let after = ours.served()?;
        // The look at the figures is one of the requests.
        over_http.push((after.1 - before.1) / (after.0 - before.0) * 1e6);
        let (started, cpu) = (Instant::now(), process_cpu("self")?);
        for question in questions {
            let question = Embedding::new(question)?;
            if index.search(&question, &options)?.hits.len() != TOP_K {
                bail!("the library found too little");
            }
        }
        direct.push(started.elapsed().as_secs_f64() / QUESTIONS as f64 * 1e6);
        cpu_direct += process_cpu("self")? - cpu;
    }
    let each = 1e6 / (ROUNDS * QUESTIONS) as f64;
    let (over_http, direct) = (median(over_http), median(direct));
    let mut figures = vec![
        Figure::new(
            BENCH,
            "10,000 x 1024, a ready vector: mean time in the server",
            "us",
            over_http,
        )
        .beside("the same searches by the library", direct)
        .at_most(1.2 * direct + 150.0),
        Figure::new(
            BENCH,
            "the same: CPU of all threads of the server, each",
            "us",
            cpu_over_http * each,
        )
        .beside("the same searches by the library", cpu_direct * each),
    ];
    let times = ours.load(CONNECTIONS, wait)?;
    figures.push(
        Figure::new(
            BENCH,
            "the same from 64 connections: p99",
            "ms",
            share(times.clone(), 0.99),
        )
        .beside("p50", share(times, 0.5))
        .ratio_at_most(5.0),
    );
    figures.extend(throughput(&ours, &rows)?);
    Ok(figures)
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn throughput(ours: &Running, rows: &Rows) -> Result<Vec<Figure>> {
    let what = "10,000 x 1024, 8 connections: answers";
    let Some(theirs) = Running::theirs(rows)? else {
        let why = format!("{PYTHON_VARIABLE} names no Python that has FastAPI");
        return Ok(vec![Figure::skipped(BENCH, what, why)]);
    };
    let (mut our_rates, mut their_rates) = (Vec::new(), Vec::new());
    let (mut our_cpu, mut their_cpu) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        for (running, rates, costs) in [
            (ours, &mut our_rates, &mut our_cpu),
            (&theirs, &mut their_rates, &mut their_cpu),
        ] {
            let (started, cpu) = (Instant::now(), running.cpu()?);
            let answered = running.load(ASKERS, wait)?.len() as f64;
            rates.push(answered / started.elapsed().as_secs_f64());
            costs.push((running.cpu()? - cpu) / answered * 1e6);
        }
    }
    let peer = "FastAPI, uvicorn, numpy; two workers";
    Ok(vec![
        Figure::new(BENCH, what, "1/s", median(our_rates))
            .beside(peer, median(their_rates))
            .ratio_at_least(5.0),
        Figure::new(
            BENCH,
            "the same: CPU of an answer, all threads",
            "us",
            median(our_cpu),
        )
        .beside(peer, median(their_cpu)),
    ])
}

fn library(store: &Path) -> Result<SearchIndex> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let options = SqliteOptions::file(store);
    let store = storage_sqlite::open_read_only(&options)?;
    runtime.block_on(async {
        let status = store.status().await?;
        let collection = status.collections.first().context("a collection")?;
        let active = collection.active.as_ref();
        Ok(SearchIndex::load(&store, &collection.name, active).await?)
    })
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn many(product: &Product) -> Result<Vec<Figure>> {
    let directory = tempfile::tempdir()?;
    let rows = Rows::new(product, directory.path(), MANY)?;
    let mut readiness = Vec::new();
    for _ in 0..ROUNDS {
        readiness.push(Running::ours(product, &rows)?.readiness);
    }
    let running = Running::ours(product, &rows)?;
    drop(running.load(2, wait)?);
    let matrix = (MANY * DIMENSIONS * 4) as f64 / MIB;
    let memory = private(running.child.id())?;
    let quiet = share(
        running.load(2, || {
            // As long as three reloads take.
            std::thread::sleep(LOAD * 3);
            Ok(())
        })?,
        0.99,
    );
    let reloads = running.load(2, || {
        for number in 0..3 {
            let before = generation(&running)?;
            let path = format!("/vectors/document/entry-{number:06}");
            let deleted = running.ask("DELETE", &path)?;
            if deleted.status >= 300 {
                bail!("{path} was not deleted: {}", deleted.text());
            }
            while generation(&running)? == before {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    })?;
    Ok(vec![
        Figure::new(
            BENCH,
            "100,000 x 1024: from the start of the process to ready",
            "s",
            median(readiness),
        )
        .at_most(1.5),
        Figure::new(BENCH, "the same: private memory", "MiB", memory / MIB)
            .beside("the f32 matrix", matrix)
            .ratio_at_most(1.15),
        Figure::new(
            BENCH,
            "the same: p99 of 2 connections while a new generation is read",
            "ms",
            share(reloads, 0.99),
        )
        .beside("p99 without", quiet)
        .ratio_at_most(2.0),
    ])
}

fn generation(running: &Running) -> Result<u64> {
    let ready = running.ask("GET", "/readyz")?.json();
    ready["generation"].as_u64().context("a generation")
}

/// What no other process and no file shares, in bytes: anonymous pages, as `measure` counts them.
fn private(process: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.context("no RssAnon")?.parse::<f64>()? * 1024.0)
}
