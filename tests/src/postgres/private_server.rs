//! A server of a test's own, for tests that kill, starve or copy one.

use postgres_harness::{
    Cluster, Durability, Options, Programs, SUPERUSER, Shutdown, TEMPLATE, TestServer,
};

use super::{Client, server};

/// A cluster that is gone with this value, and its server.
#[derive(Debug)]
pub struct PrivateServer {
    cluster: Cluster,
}

impl PrivateServer {
    /// A server that keeps what it confirmed, without TLS; where there are no programs for one, skips loudly.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::with(&Options {
            durability: Durability::Full,
            ..Options::default()
        })
    }

    /// A server as the options say; where there are no programs for one, skips loudly.
    #[must_use]
    pub fn with(options: &Options) -> Option<Self> {
        let server = server()?;
        let cluster = Cluster::start(server.programs()?, options).unwrap();
        Some(Self { cluster })
    }

    /// A copy that replays what this one writes, and can be read.
    #[must_use]
    pub fn standby(&self) -> Self {
        Self {
            cluster: self.cluster.standby().unwrap(),
        }
    }

    /// Makes a standby one that is written to.
    pub fn promote(&self) {
        self.cluster.promote().unwrap();
    }

    /// Makes a database with pgvector in it and says how to reach it.
    #[must_use]
    pub fn create_database(&self, name: &str) -> String {
        self.client("postgres")
            .run(&format!("create database {name} template {TEMPLATE}"));
        self.url(name)
    }

    /// How the superuser reaches this database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_as(SUPERUSER, database)
    }

    /// How a role reaches this database.
    #[must_use]
    pub fn url_as(&self, role: &str, database: &str) -> String {
        self.cluster.url(role, database)
    }

    /// A connection of the superuser.
    #[must_use]
    pub fn client(&self, database: &str) -> Client {
        Client::connect(&self.url(database))
    }

    /// As a server that databases of tests can be on.
    #[must_use]
    pub fn as_test_server(&self) -> TestServer {
        TestServer {
            url: self.url("postgres"),
            version: String::new(),
            pgvector_version: String::new(),
            certificates: None,
            template: Some(TEMPLATE.to_owned()),
            sockets: None,
            programs: None,
            pgbouncer: Err("a server of a test's own has none".to_owned()),
        }
    }

    /// Kills it as a crash would.
    pub fn kill9(&mut self) {
        self.cluster.kill().unwrap();
    }

    /// Stops it.
    pub fn stop(&mut self, shutdown: Shutdown) {
        self.cluster.stop(shutdown).unwrap();
    }

    /// Starts it again, on the port it had.
    pub fn start_again(&mut self) {
        self.cluster.start_again().unwrap();
    }

    /// Stops it and starts it again, on the port it had.
    pub fn restart(&mut self) {
        self.cluster.restart(Shutdown::Fast).unwrap();
    }

    /// Where it listens on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.cluster.port()
    }

    /// What it wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.cluster.log()).unwrap()
    }

    /// Its programs.
    #[must_use]
    pub fn programs(&self) -> &Programs {
        self.cluster.programs()
    }

    /// The cluster itself.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}
