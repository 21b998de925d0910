//! A network that can be as bad as real ones are: a proxy on loopback, between a client and a server of tests.
//!
//! What it passes on it reads only so far as to find a word of the client's in it. TLS would hide that: clients connect
//! with `sslmode=disable`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// How often a silent connection is looked at.
const TICK: Duration = Duration::from_millis(5);

/// The message that ends a transaction well, as drivers send it.
pub const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// What the client says.
    ToServer,
    /// What the server answers.
    ToClient,
}

/// The moment of a fault, counted from when it was set, over all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So many bytes went that way; not one more does.
    Bytes(Way, u64),
    /// The client said this. It is passed on.
    Said(&'static [u8]),
    /// So many bytes after the client said this; not one more is passed on.
    SaidAndBytes(&'static [u8], u64),
    /// The client said this, and it is not passed on.
    BeforeSaying(&'static [u8]),
}

/// What a fault does to the connection that it meets. It strikes once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Both sides are told that it ended.
    Close,
    /// Both sides are told that it broke.
    Reset,
    /// As [`Then::Reset`], and whoever comes after it is sent away, as by [`Pace::Away`].
    Leave,
    /// Nothing is passed on any more, and nobody is told.
    Stall,
    /// The server's next answer comes as far as the proxy; then the client is told that it broke.
    LoseAnswer,
    /// The server's next answer comes as far as the proxy, and no further until the fault is taken back; then the client
    /// is told that it broke.
    KeepAnswer,
}

/// How everything is passed on that no fault has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    AtOnce,
    /// Not at all: 0 bytes a second, both ways.
    Never,
    /// One byte each time.
    Byte(Duration),
    /// After this long.
    Late(Duration),
    /// Whoever connects is sent away, and whoever is connected is cut off.
    Away,
}

/// A proxy of a test's own; it is gone with this value.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    server: u16,
    plan: Mutex<Plan>,
    struck: AtomicBool,
    /// The fault is taken back.
    healed: AtomicBool,
    ended: AtomicBool,
    /// Our own ports on the server, of the connections at present.
    open: Mutex<Vec<u16>>,
    made: AtomicU64,
    bytes: [AtomicU64; 2],
}

#[derive(Debug)]
struct Plan {
    pace: Pace,
    fault: Option<(When, Then)>,
    /// Bytes of each way since the fault was set.
    passed: [u64; 2],
    /// Bytes of the client since it said what the fault waits for.
    since_said: Option<u64>,
}

/// What happened to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    Met(Then),
    Over,
}

/// One connection through the proxy.
#[derive(Debug)]
struct Line {
    client: TcpStream,
    server: TcpStream,
    state: Mutex<State>,
}

/// What to do with bytes that came.
struct Verdict {
    pass: usize,
    met: Option<Then>,
}

impl Proxy {
    /// Starts one in front of a server on loopback.
    ///
    /// # Errors
    ///
    /// Where no port is free.
    pub fn to(server: u16) -> Result<Self> {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).context("no port for a proxy can be had")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            server,
            plan: Mutex::new(Plan {
                pace: Pace::AtOnce,
                fault: None,
                passed: [0; 2],
                since_said: None,
            }),
            struck: AtomicBool::new(false),
            healed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            open: Mutex::default(),
            made: AtomicU64::new(0),
            bytes: [AtomicU64::new(0), AtomicU64::new(0)],
        });
        let listening = Arc::clone(&shared);
        let thread = std::thread::spawn(move || listen(&listener, &listening));
        Ok(Self {
            port,
            shared,
            listener: Some(thread),
        })
    }

    /// Starts one in front of the server that a URL names, and gives the URL that leads through it.
    ///
    /// # Errors
    ///
    /// Where the URL names no port, or none is free.
    pub fn before(url: &str) -> Result<(Self, String)> {
        let (start, place) = url.rsplit_once('@').context("the URL names no user")?;
        let (host, rest) = place.split_once('/').context("the URL names no database")?;
        let (_, port) = host.rsplit_once(':').context("the URL names no port")?;
        let proxy = Self::to(port.parse().context("the URL's port is no number")?)?;
        let (database, _) = rest.split_once('?').unwrap_or((rest, ""));
        let url = format!(
            "{start}@127.0.0.1:{}/{database}?sslmode=disable",
            proxy.port
        );
        Ok((proxy, url))
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Passes everything on so, from now on.
    pub fn pace(&self, pace: Pace) {
        self.shared.plan().pace = pace;
    }

    /// Does this to the first connection that comes to it.
    pub fn fault(&self, when: When, then: Then) {
        let mut plan = self.shared.plan();
        plan.fault = Some((when, then));
        plan.passed = [0; 2];
        plan.since_said = None;
        self.shared.struck.store(false, Ordering::SeqCst);
        self.shared.healed.store(false, Ordering::SeqCst);
    }

    /// Does no more harm: what waited goes on, and what a fault has met is cut off.
    pub fn heal(&self) {
        let mut plan = self.shared.plan();
        plan.pace = Pace::AtOnce;
        plan.fault = None;
        self.shared.healed.store(true, Ordering::SeqCst);
    }

    /// Whether the fault that was set last met a connection.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        self.shared.struck.load(Ordering::SeqCst)
    }

    /// Waits until the fault that was set last has met a connection.
    ///
    /// # Errors
    ///
    /// After a minute.
    pub fn wait_until_struck(&self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        while !self.has_struck() {
            ensure!(Instant::now() < until, "the fault meets nobody");
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// Bytes that went that way so far.
    #[must_use]
    pub fn bytes(&self, way: Way) -> u64 {
        self.shared.bytes[way.index()].load(Ordering::SeqCst)
    }

    /// Connections at present.
    #[must_use]
    pub fn open(&self) -> usize {
        self.ports().len()
    }

    /// What the server takes for the clients' ports, of the connections at present.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        self.shared.open().clone()
    }

    /// Connections so far.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.shared.made.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Way {
    fn index(self) -> usize {
        match self {
            Self::ToServer => 0,
            Self::ToClient => 1,
        }
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, Vec<u16>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace_now(&self) -> Pace {
        match self.ended.load(Ordering::SeqCst) {
            true => Pace::Away,
            false => self.plan().pace,
        }
    }

    /// Looks whether the fault comes in these bytes.
    fn judge(&self, way: Way, bytes: &[u8]) -> Verdict {
        let mut plan = self.plan();
        let met = plan.meets(way, bytes);
        let pass = met.map_or(bytes.len(), |(pass, _)| pass);
        plan.passed[way.index()] += pass as u64;
        if let Some((_, then)) = met {
            plan.fault = None;
            if then == Then::Leave {
                plan.pace = Pace::Away;
            }
            self.struck.store(true, Ordering::SeqCst);
        }
        Verdict {
            pass,
            met: met.map(|(_, then)| then),
        }
    }
}

impl Plan {
    /// How many of the bytes still pass, and what comes then.
    fn meets(&mut self, way: Way, bytes: &[u8]) -> Option<(usize, Then)> {
        let (when, then) = self.fault?;
        let length = bytes.len() as u64;
        let find = |word: &[u8]| {
            let mut windows = bytes.windows(word.len());
            windows.position(|window| window == word)
        };
        let cut = |left: u64| usize::try_from(left).unwrap_or(usize::MAX);
        match when {
            When::Bytes(counted, limit) if counted == way => {
                let left = limit.saturating_sub(self.passed[way.index()]);
                (left < length).then(|| (cut(left), then))
            }
            When::Said(word) if way == Way::ToServer => find(word).map(|_| (bytes.len(), then)),
            When::BeforeSaying(word) if way == Way::ToServer => find(word).map(|at| (at, then)),
            When::SaidAndBytes(word, limit) if way == Way::ToServer => {
                let (skipped, before) = match self.since_said {
                    Some(before) => (0, before),
                    None => (find(word)? as u64, 0),
                };
                let counted = length - skipped;
                if before + counted > limit {
                    return Some((cut(skipped + limit - before), then));
                }
                self.since_said = Some(before + counted);
                None
            }
            _ => None,
        }
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.ended.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((client, _)) => {
                if shared.pace_now() == Pace::Away {
                    continue;
                }
                shared.made.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(shared);
                // Each connection has two threads of its own: one that waits must not keep the others.
                std::thread::spawn(move || {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", shared.server)) {
                        serve(client, server, &shared);
                    }
                });
            }
            Err(_) => std::thread::sleep(TICK),
        }
    }
}

fn serve(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) {
    for stream in [&client, &server] {
        let _ = stream.set_nonblocking(false);
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(TICK));
        let _ = stream.set_write_timeout(Some(TICK));
    }
    let port = server.local_addr().map_or(0, |address| address.port());
    shared.open().push(port);
    let line = Line {
        client,
        server,
        state: Mutex::new(State::Whole),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| line.pump(Way::ToServer, shared));
        line.pump(Way::ToClient, shared);
    });
    drop(line);
    shared.open().retain(|open| *open != port);
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes bytes on one way until the connection is over.
    fn pump(&self, way: Way, shared: &Shared) {
        let (mut from, to) = match way {
            Way::ToServer => (&self.client, &self.server),
            Way::ToClient => (&self.server, &self.client),
        };
        let mut buffer = [0; 16 * 1024];
        while *self.state() != State::Over {
            let (state, pace) = (*self.state(), shared.pace_now());
            let healed = shared.healed.load(Ordering::SeqCst);
            match (state, pace) {
                (_, Pace::Away) => {
                    self.end(false);
                    break;
                }
                (State::Met(Then::Stall), _) if healed => {
                    self.end(true);
                    break;
                }
                (State::Met(Then::Stall), _) | (State::Whole, Pace::Never) => {
                    std::thread::sleep(TICK);
                    continue;
                }
                _ => {}
            }
            let room = match pace {
                Pace::Byte(_) => 1,
                _ => buffer.len(),
            };
            let came = match from.read(&mut buffer[..room]) {
                Ok(0) => {
                    self.end(false);
                    break;
                }
                Ok(came) => came,
                Err(error) if is_silence(&error) => continue,
                Err(_) => {
                    self.end(true);
                    break;
                }
            };
            // An answer that the client is never to see.
            let state = *self.state();
            if let State::Met(then) = state {
                if way == Way::ToClient {
                    while then == Then::KeepAnswer
                        && !shared.healed.load(Ordering::SeqCst)
                        && shared.pace_now() != Pace::Away
                    {
                        std::thread::sleep(TICK);
                    }
                    self.end(true);
                }
                continue;
            }
            match pace {
                Pace::Byte(pause) | Pace::Late(pause) => self.rest(pause),
                _ => {}
            }
            let verdict = shared.judge(way, &buffer[..came]);
            if matches!(verdict.met, Some(Then::LoseAnswer | Then::KeepAnswer)) {
                // Before the server can answer.
                *self.state() = State::Met(verdict.met.unwrap_or(Then::LoseAnswer));
            }
            shared.bytes[way.index()].fetch_add(verdict.pass as u64, Ordering::SeqCst);
            if !self.write(to, &buffer[..verdict.pass]) {
                break;
            }
            match verdict.met {
                Some(Then::Close) => self.end(false),
                Some(Then::Reset | Then::Leave) => self.end(true),
                Some(Then::Stall) => *self.state() = State::Met(Then::Stall),
                _ => {}
            }
        }
    }

    fn write(&self, mut to: &TcpStream, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if *self.state() == State::Over {
                return false;
            }
            match to.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if is_silence(&error) => {}
                Err(_) => {
                    self.end(true);
                    return false;
                }
            }
        }
        true
    }

    /// Waits, unless the connection ends meanwhile.
    fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && *self.state() != State::Over {
            std::thread::sleep(TICK.min(pause));
        }
    }

    fn end(&self, broken: bool) {
        *self.state() = State::Over;
        for stream in [&self.client, &self.server] {
            if broken {
                // Closed without lingering, a socket says that it broke.
                let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
            } else {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

fn is_silence(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
