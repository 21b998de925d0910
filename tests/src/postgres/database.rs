//! A database of a test's own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use postgres_harness::TestServer;

use super::{Client, server};

/// A database with pgvector in it, dropped with this value. No other database is touched.
#[derive(Debug)]
pub struct TestDatabase {
    server: TestServer,
    name: String,
}

impl TestDatabase {
    /// A new one on the server of this run; without a server, skips loudly.
    #[must_use]
    pub fn create() -> Option<Self> {
        server().map(Self::on)
    }

    /// A new one on this server.
    #[must_use]
    pub fn on(server: TestServer) -> Self {
        let database = Self {
            name: unused_name(),
            server,
        };
        let admin = Client::connect(&database.server.url);
        let Self { server, name } = &database;
        match &server.template {
            Some(template) => admin.run(&format!("create database {name} template {template}")),
            None => {
                admin.run(&format!("create database {name}"));
                database.client().run("create extension vector");
            }
        }
        database
    }

    /// A copy of another one, which nobody may be connected to.
    #[must_use]
    pub fn like(other: &Self) -> Self {
        Self::on(TestServer {
            template: Some(other.name.clone()),
            ..other.server.clone()
        })
    }

    /// An empty one, without pgvector, on the server of this run.
    #[must_use]
    pub fn without_pgvector() -> Option<Self> {
        let server = TestServer {
            template: Some("template0".to_owned()),
            ..server()?
        };
        Some(Self::on(server))
    }

    /// How the product reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.database_url(&self.name)
    }

    /// The same as another role: [`super::PLAIN_ROLE`] or [`super::TLS_ROLE`].
    #[must_use]
    pub fn url_as(&self, role: &str) -> String {
        self.server.database_url_as(role, &self.name)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server that it is on.
    #[must_use]
    pub fn server(&self) -> &TestServer {
        &self.server
    }

    /// A connection to it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::connect(&self.url())
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A test that took its server down has none to clean up.
        if let Ok(admin) = Client::try_connect(&self.server.url) {
            let dropped = admin.try_run(&format!("drop database {} with (force)", self.name));
            if !std::thread::panicking() {
                dropped.unwrap();
            }
        }
    }
}

/// Unlike any of another run, and any of this one.
fn unused_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "smart_support_t_{}_{:x}_{count}",
        std::process::id(),
        now.as_nanos() & 0xffff_ffff
    )
}
