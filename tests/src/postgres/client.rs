//! A look into a database that the product did not take itself.

use tokio::runtime::Runtime;
use tokio_postgres::{Error, NoTls, SimpleQueryMessage};

/// A connection without TLS, for tests that wait for every answer.
#[derive(Debug)]
pub struct Client {
    // Before the runtime that drives it.
    client: tokio_postgres::Client,
    runtime: Runtime,
}

impl Client {
    /// Connects; fails with what the server said.
    ///
    /// # Errors
    ///
    /// If nobody answers, or the server refuses.
    pub fn try_connect(url: &str) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            // Its errors reach whoever waits for an answer.
            tokio::spawn(connection);
            Ok::<_, Error>(client)
        })?;
        Ok(Self { client, runtime })
    }

    /// Connects.
    #[track_caller]
    #[must_use]
    pub fn connect(url: &str) -> Self {
        match Self::try_connect(url) {
            Ok(client) => client,
            Err(error) => panic!("cannot connect: {}", told(&error)),
        }
    }

    /// Runs statements, several if they are separated by semicolons.
    ///
    /// # Errors
    ///
    /// With the first that fails.
    pub fn try_run(&self, sql: &str) -> Result<(), Error> {
        self.runtime.block_on(self.client.batch_execute(sql))
    }

    /// Runs statements, which must succeed.
    #[track_caller]
    pub fn run(&self, sql: &str) {
        if let Err(error) = self.try_run(sql) {
            panic!("{sql}: {}", told(&error));
        }
    }

    /// Rows as text, none for null.
    #[track_caller]
    #[must_use]
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let messages = match self.runtime.block_on(self.client.simple_query(sql)) {
            Ok(messages) => messages,
            Err(error) => panic!("{sql}: {}", told(&error)),
        };
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|at| row.get(at).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        });
        rows.collect()
    }

    /// The first value of the first row.
    #[track_caller]
    #[must_use]
    pub fn scalar(&self, sql: &str) -> String {
        let rows = self.rows(sql);
        match rows.first().and_then(|row| row.first()) {
            Some(Some(value)) => value.clone(),
            other => panic!("{sql}: no value but {other:?}"),
        }
    }
}

/// The server's own words rather than "db error".
fn told(error: &Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => error.to_string(),
    }
}
