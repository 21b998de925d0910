//! Connections that read: a pool a server, of the replicas where there are some, of the primary where not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool};
use storage_core::{Generation, ReadFrom, StoreErrorKind};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::connect;
use crate::error::{Failure, Outcome};
use crate::open::patience;
use crate::options::PostgresOptions;
use crate::rows::{count, get};
use crate::schema::{self, Seen};
use crate::sql;
use crate::tx::{Tx, Work, within};
use crate::writer::vector_type;

/// Between two attempts to reach a server that went away.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a server that was there is looked for before a read gives up.
const COMES_BACK: Duration = Duration::from_secs(10);

/// How long a server that failed is the last to be asked: one that says nothing at all costs a connect timeout.
const RESTS: Duration = Duration::from_secs(10);

/// How long the primary may take to say how far it is: whoever asks wants to know about the replica.
const SOON: Duration = Duration::from_secs(3);

/// One server and its connections.
struct Server {
    options: PostgresOptions,
    pool: Pool,
    /// Where it is written, as far as anybody said.
    primary: bool,
    /// Since when it is not asked first.
    failed: Mutex<Option<Instant>>,
}

/// The reading side of a store.
pub(crate) struct Readers {
    servers: Vec<Arc<Server>>,
    begin: String,
    vector: Type,
    patience: Duration,
}

/// A connection inside a transaction. Dropped before it is ended, it is closed: the next one in the pool must not find
/// itself in somebody else's.
pub(crate) struct Reading {
    connection: Option<Object>,
    server: Arc<Server>,
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
    /// Looks at the first server that answers: is there a store of today's schema? A replica that has none, or not yet,
    /// is passed over.
    pub(crate) async fn open(options: &PostgresOptions) -> Outcome<Self> {
        let mut servers = Vec::new();
        for replica in &options.read_urls {
            servers.push(Arc::new(Server::new(replica.clone(), false)?));
        }
        // Last: where no replica answers, the primary does.
        servers.push(Arc::new(Server::new(options.clone(), true)?));
        let mut failed = Failure::Silent;
        for server in &servers {
            let looked = server.look(options.schema()).await.and_then(|seen| {
                schema::require_current(&seen, &server.options.describe())?;
                Ok(seen)
            });
            match looked {
                Ok(seen) => return Self::with(servers, options, &seen),
                Err(failure) if server.primary => {
                    failed = failure;
                }
                Err(Failure::Store(error)) if PASSES_OVER.contains(&error.kind()) => {
                    server.rest(&error.to_string());
                }
                Err(failure) if failure.may_pass() => server.rest(&failure.fact()),
                Err(failure) => return Err(failure),
            }
        }
        Err(failed)
    }

    /// Reads where it is written: nothing that this store wrote may be missing from what it reads.
    pub(crate) fn beside_writer(options: &PostgresOptions, seen: &Seen) -> Outcome<Self> {
        let primary = Arc::new(Server::new(options.clone(), true)?);
        Self::with(vec![primary], options, seen)
    }

    fn with(servers: Vec<Arc<Server>>, options: &PostgresOptions, seen: &Seen) -> Outcome<Self> {
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
        let mut again = Again::new();
        loop {
            match self.attempt(work).await {
                Ok(output) => return Ok(output),
                Err(failure) => again.after(failure, W::NAME).await?,
            }
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
                if failure.may_pass() {
                    // Replaying what was written may have been in the way, too: another server has not got that.
                    reading.server.rest(&failure.fact());
                }
                if !failure.is_lost() {
                    reading.end().await;
                }
                Err(failure)
            }
        }
    }

    /// Begins a transaction on the first server that can be reached; those that failed just now are asked last.
    pub(crate) async fn begin(&self) -> Outcome<Reading> {
        let (rested, resting): (Vec<_>, Vec<_>) =
            self.servers.iter().partition(|server| !server.rests());
        let mut failed = Failure::Silent;
        for server in rested.into_iter().chain(resting) {
            match self.begin_on(server).await {
                Ok(reading) => return Ok(reading),
                Err(failure) if failure.may_pass() => {
                    server.rest(&failure.fact());
                    failed = failure;
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(failed)
    }

    async fn begin_on(&self, server: &Arc<Server>) -> Outcome<Reading> {
        let reading = Reading {
            connection: Some(server.connection().await?),
            server: Arc::clone(server),
            patience: self.patience,
            vector: self.vector.clone(),
        };
        let begun = reading.tx()?.client.batch_execute(&self.begin);
        within(self.patience, begun).await?;
        Ok(reading)
    }

    /// Where is it read, and how far is that behind where it is written? `None` where it is the same.
    pub(crate) async fn read_from(&self) -> Outcome<Option<ReadFrom>> {
        let reading = self.begin().await?;
        let (own, standby) = state(reading.tx()?.client, self.patience).await?;
        let server = Arc::clone(&reading.server);
        reading.end().await;
        if server.primary && !standby && self.servers.len() == 1 {
            return Ok(None);
        }
        let place = server.options.describe();
        let primary = match self.servers.iter().find(|other| other.primary) {
            Some(primary) if !server.primary => match primary.state(&self.begin).await {
                Ok(state) => Some(state),
                Err(failure) => {
                    tracing::debug!("the primary cannot be asked: {}", failure.fact());
                    None
                }
            },
            // It is the one that was meant; if that is a standby, nobody said where the primary is.
            _ => (!standby).then(|| (own.clone(), false)),
        };
        if let Some((theirs, _)) = &primary
            && theirs.store != own.store
        {
            tracing::warn!("what is read is no replica of the store, but another one: {place}");
        }
        let same = primary.filter(|(theirs, standby)| theirs.store == own.store && !standby);
        Ok(Some(ReadFrom {
            place,
            standby,
            generation: own.generation,
            primary: same.map(|(theirs, _)| theirs.generation),
        }))
    }
}

/// What is said of a store, in few words.
#[derive(Debug, Clone)]
struct State {
    store: String,
    generation: Generation,
}

/// Which store, how far, and whether the server is a standby.
async fn state(client: &Client, patience: Duration) -> Outcome<(State, bool)> {
    let rows = within(patience, client.query_typed(sql::READ_FROM, &[])).await?;
    let row = rows
        .first()
        .ok_or_else(|| Failure::corrupt("read_from", "the store has lost its own row"))?;
    let state = State {
        store: get(row, 0)?,
        generation: Generation(count(row, 1)?),
    };
    Ok((state, get(row, 2)?))
}

/// What makes a replica one to pass over: silence, and that it has not replayed yet how the store was made.
const PASSES_OVER: [StoreErrorKind; 3] = [
    StoreErrorKind::Unavailable,
    StoreErrorKind::NotFound,
    StoreErrorKind::SchemaOld,
];

/// Patience with a server that went away and may come back.
pub(crate) struct Again {
    since: Instant,
    pause: Duration,
}

impl Again {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            pause: PAUSE,
        }
    }

    /// Waits until it is time for the next attempt; gives the failure back where none will help, or it took too long.
    pub(crate) async fn after(&mut self, failure: Failure, work: &'static str) -> Outcome<()> {
        if !failure.may_pass() || self.since.elapsed() >= COMES_BACK {
            return Err(failure);
        }
        tracing::debug!(work, "again: {}", failure.fact());
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

impl Server {
    fn new(options: PostgresOptions, primary: bool) -> Outcome<Self> {
        let pool = connect::pool(&options)?;
        Ok(Self {
            options,
            pool,
            primary,
            failed: Mutex::new(None),
        })
    }

    /// Is asked last for a while.
    fn rest(&self, why: &str) {
        let failed = self.failed_at().replace(Instant::now());
        match (self.primary, failed) {
            (false, None) => {
                tracing::warn!("a replica cannot be read, going on with the next: {why}")
            }
            _ => tracing::debug!(place = self.options.describe(), "not read: {why}"),
        }
    }

    fn rests(&self) -> bool {
        self.failed_at()
            .is_some_and(|since| since.elapsed() < RESTS)
    }

    fn failed_at(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self) -> Outcome<Object> {
        match tokio::time::timeout(self.limit(), self.pool.get()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(Failure::Store(connect::pool_failure(&self.options, error))),
            Err(_) => {
                // Each idle connection is looked at in turn, and each of a network that fell silent takes its time.
                self.pool.retain(|_, _| false);
                Err(Failure::Silent)
            }
        }
    }

    /// How long a connection may take: the wait for a free one, a look at one that was idle, and a new one on any of the
    /// servers, which may have two addresses each.
    fn limit(&self) -> Duration {
        let options = &self.options;
        let wait = options.connect_timeout.max(options.wait);
        let attempts = u32::try_from(2 * options.endpoints.len()).unwrap_or(u32::MAX);
        wait.saturating_add(options.connect_timeout.saturating_mul(attempts + 1))
    }

    async fn look(&self, schema: &str) -> Outcome<Seen> {
        let connection = self.connection().await?;
        let seen = schema::look(&connection, schema, patience(&self.options)).await?;
        if seen.extension.is_none() && seen.applied.is_some() {
            connect::check_extension(&connection, &self.options).await?;
        }
        Ok(seen)
    }

    /// The state of the store there, if it says so soon.
    async fn state(&self, begin: &str) -> Outcome<(State, bool)> {
        let asked = async {
            // Out of the pool at once: whenever this is given up, the connection is of no use to anybody else, in the
            // middle of a transaction as it is.
            let connection = Object::take(self.connection().await?);
            within(SOON, connection.batch_execute(begin)).await?;
            state(&connection, SOON).await
        };
        match tokio::time::timeout(SOON, asked).await {
            Ok(state) => state,
            Err(_) => Err(Failure::Silent),
        }
    }
}
