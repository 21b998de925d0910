//! The product as a service: started in a place, asked over HTTP, and told to end.

use std::io::Read as _;
use std::net::SocketAddr;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::http::{Answer, Connection, request};
use crate::{MARK, Place};

/// Nothing takes longer, on the busiest machine.
const DEADLINE: Duration = Duration::from_secs(120);
const PORT_FILE: &str = "service.port";

/// A service that runs. Killed with this value unless it was stopped.
#[derive(Debug)]
pub struct Service {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
    listening: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts it and waits until it can answer questions.
    #[track_caller]
    #[must_use]
    pub fn start(place: &Place, more: &[&str]) -> Self {
        let service = Self::begin(place, more);
        service.wait_until("ready", |ready| ready.status == 200);
        service
    }

    /// Starts it and waits until it listens: its store may not be there.
    #[track_caller]
    #[must_use]
    pub fn begin(place: &Place, more: &[&str]) -> Self {
        let port_file = place.path(PORT_FILE);
        drop(std::fs::remove_file(&port_file));
        let args = ["serve", "--listen", "127.0.0.1:0", "--port-file", PORT_FILE];
        let mut command = place.command(&[&args, more].concat());
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<String>> = Arc::default();
        let (mut stderr, heard) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let listening = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                heard.lock().unwrap().push_str(&text);
            }
        });
        let until = Instant::now() + DEADLINE;
        let address = loop {
            let written = std::fs::read_to_string(&port_file).unwrap_or_default();
            if let Ok(address) = written.trim().parse() {
                break address;
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the service ended, {status}:\n{}", log.lock().unwrap());
            }
            if Instant::now() > until {
                drop(child.kill());
                panic!("the service does not listen:\n{}", log.lock().unwrap());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Self {
            child,
            address,
            log,
            listening: Some(listening),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// A connection of its own.
    #[track_caller]
    #[must_use]
    pub fn connect(&self) -> Connection {
        match Connection::to(self.address) {
            Ok(connection) => connection,
            Err(error) => panic!("nobody takes a connection: {error}\n{}", self.log()),
        }
    }

    /// Asks on a connection of its own.
    #[track_caller]
    #[must_use]
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let asked = self.connect().ask(&request(method, path, headers, body));
        asked.unwrap_or_else(|error| {
            panic!("{method} {path} has no answer: {error}\n{}", self.log())
        })
    }

    /// Looks at an address.
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], None)
    }

    /// Sends a document.
    #[track_caller]
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, &[], Some(body.to_string().as_bytes()))
    }

    /// Searches, which must succeed.
    #[track_caller]
    #[must_use]
    pub fn search(&self, body: &Value) -> Value {
        self.post("/search", body).expect(200).json()
    }

    /// Waits until `/readyz` is as it should be.
    #[track_caller]
    pub fn wait_until(&self, what: &str, mut is: impl FnMut(&Answer) -> bool) -> Answer {
        let until = Instant::now() + DEADLINE;
        loop {
            let ready = self.get("/readyz");
            if is(&ready) {
                return ready;
            }
            assert!(
                Instant::now() < until,
                "not {what}: {}\n{}",
                ready.text(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until what it serves comes of a later generation than this.
    #[track_caller]
    pub fn wait_for_more_than(&self, generation: u64) -> u64 {
        let ready = self.wait_until("a new generation", |ready| {
            ready.status == 200 && ready.json()["generation"].as_u64() > Some(generation)
        });
        ready.json()["generation"].as_u64().unwrap()
    }

    /// Tells it to end.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Tells it to end and checks that it does so well: exit code 0, no panic and no secret in the log, which it yields.
    #[track_caller]
    pub fn stop(self) -> String {
        self.terminate();
        self.ended()
    }

    /// Waits until it has ended, and checks that it did so well.
    #[track_caller]
    pub fn ended(mut self) -> String {
        let status = self.wait();
        let log = self.log();
        assert_eq!(status.code(), Some(0), "{status}\n{log}");
        log
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        };
        if let Some(listening) = self.listening.take() {
            listening.join().unwrap();
        }
        let log = self.log();
        assert!(
            !log.to_lowercase().contains(&MARK.to_lowercase()),
            "a secret is in the log:\n{log}"
        );
        assert!(!log.contains("panicked"), "{log}");
        status
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
