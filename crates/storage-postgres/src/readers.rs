//! Connections that read: a pool a server, of the replicas where there are some, of the primary where not.

use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool};
use storage_core::{StoreError, StoreErrorKind};
use tokio_postgres::types::Type;

use crate::connect;
use crate::error::{Failure, Outcome};
use crate::open::patience;
use crate::options::PostgresOptions;
use crate::schema::{self, Seen};
use crate::tx::{Tx, Work, within};
use crate::writer::vector_type;

/// Between two attempts to reach a server that went away.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a server that was there is looked for before a read gives up.
const COMES_BACK: Duration = Duration::from_secs(10);

/// One server and its connections.
struct Server {
    options: PostgresOptions,
    pool: Pool,
}

/// The reading side of a store.
pub(crate) struct Readers {
    servers: Vec<Server>,
    begin: String,
    vector: Type,
    patience: Duration,
}

/// A connection inside a transaction. Dropped before it is ended, it is closed: the next one in the pool must not find
/// itself in somebody else's.
pub(crate) struct Reading {
    connection: Option<Object>,
    patience: Duration,
    vector: Type,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}

impl Reading {
    /// The transaction.
    pub(crate) fn tx(&self) -> Outcome<Tx<'_>> {
        let connection = self.connection.as_ref().ok_or(Failure::Silent)?;
        Ok(Tx {
            client: connection,
            patience: self.patience,
            vector: &self.vector,
        })
    }

    /// Ends it: the connection goes back to its pool.
    pub(crate) async fn end(mut self) {
        let Some(connection) = &self.connection else {
            return;
        };
        let ended = within(self.patience, connection.batch_execute("ROLLBACK")).await;
        match ended {
            Ok(()) => drop(self.connection.take()),
            Err(failure) => tracing::debug!("a read could not be ended: {}", failure.fact()),
        }
    }
}

impl Readers {
    /// Looks at the first server that answers: is there a store of today's schema?
    pub(crate) async fn open(options: &PostgresOptions) -> Outcome<Self> {
        let mut servers = Vec::new();
        for replica in &options.read_urls {
            servers.push(Server::new(replica.clone())?);
        }
        // Last: where no replica answers, the primary does.
        servers.push(Server::new(options.clone())?);
        let mut failed = None;
        for (position, server) in servers.iter().enumerate() {
            match server.look(options.schema()).await {
                Ok(seen) => {
                    schema::require_current(&seen, &server.options.describe())?;
                    servers.rotate_left(position);
                    return Self::with(servers, options, &seen);
                }
                Err(Failure::Store(error)) if error.kind() == StoreErrorKind::Unavailable => {
                    if position + 1 < servers.len() {
                        tracing::warn!("a replica cannot be read: {error}");
                    }
                    failed.get_or_insert(error);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::Store(failed.unwrap_or_else(|| {
            StoreError::new(StoreErrorKind::Unavailable, "open", "no server is named")
        })))
    }

    /// Reads where it is written: nothing that this store wrote may be missing from what it reads.
    pub(crate) fn beside_writer(options: &PostgresOptions, seen: &Seen) -> Outcome<Self> {
        Self::with(vec![Server::new(options.clone())?], options, seen)
    }

    fn with(servers: Vec<Server>, options: &PostgresOptions, seen: &Seen) -> Outcome<Self> {
        let (Some(schema), Some(oid)) = (&seen.extension, seen.vector) else {
            return Err(Failure::corrupt("open", "pgvector went away"));
        };
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}",
            connect::local_settings(options, schema)
        );
        Ok(Self {
            servers,
            begin,
            vector: vector_type(oid, schema),
            patience: patience(options),
        })
    }

    /// pgvector's type.
    pub(crate) fn vector(&self) -> &Type {
        &self.vector
    }

    /// Does a piece of work in one transaction that sees one moment. A server that goes away meanwhile is waited for,
    /// and the work done anew.
    pub(crate) async fn run<W: Work>(&self, work: &W) -> Outcome<W::Output> {
        let since = Instant::now();
        let mut pause = PAUSE;
        loop {
            let failure = match self.attempt(work).await {
                Ok(output) => return Ok(output),
                Err(failure) => failure,
            };
            if !failure.may_pass() || since.elapsed() >= COMES_BACK {
                return Err(failure);
            }
            tracing::debug!(work = W::NAME, "reading again: {}", failure.fact());
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt<W: Work>(&self, work: &W) -> Outcome<W::Output> {
        let reading = self.begin().await?;
        let output = work.run(&reading.tx()?).await;
        match output {
            Ok(output) => {
                reading.end().await;
                Ok(output)
            }
            Err(failure) => {
                if !failure.is_lost() {
                    reading.end().await;
                }
                Err(failure)
            }
        }
    }

    /// Begins a transaction on the first server that can be reached.
    pub(crate) async fn begin(&self) -> Outcome<Reading> {
        let mut failed = None;
        for server in &self.servers {
            match server.connection().await {
                Ok(connection) => {
                    let reading = Reading {
                        connection: Some(connection),
                        patience: self.patience,
                        vector: self.vector.clone(),
                    };
                    let begun = within(
                        self.patience,
                        reading.tx()?.client.batch_execute(&self.begin),
                    );
                    begun.await?;
                    return Ok(reading);
                }
                Err(failure) if failure.may_pass() => failed = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        Err(failed.unwrap_or(Failure::Silent))
    }
}

impl Server {
    fn new(options: PostgresOptions) -> Outcome<Self> {
        let pool = connect::pool(&options)?;
        Ok(Self { options, pool })
    }

    async fn connection(&self) -> Outcome<Object> {
        let connection = self.pool.get().await;
        connection.map_err(|error| Failure::Store(connect::pool_failure(&self.options, error)))
    }

    async fn look(&self, schema: &str) -> Outcome<Seen> {
        let connection = self.connection().await?;
        let seen = schema::look(&connection, schema, patience(&self.options)).await?;
        if seen.extension.is_none() && seen.applied.is_some() {
            connect::check_extension(&connection, &self.options).await?;
        }
        Ok(seen)
    }
}
