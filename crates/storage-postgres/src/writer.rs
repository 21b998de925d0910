//! The session that writes: it holds the lock, and every change goes through it. When it is lost, so is the lock, and
//! nothing can be written by mistake; the next write connects and takes the lock anew.

use std::time::{Duration, Instant};

use storage_core::{StoreError, StoreErrorKind};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::connect::{self, Session};
use crate::error::{Failure, Outcome};
use crate::lock::{self, Name};
use crate::open::patience;
use crate::options::PostgresOptions;
use crate::own_session;
use crate::readers::Again;
use crate::schema::Seen;
use crate::sql;
use crate::tx::{Tx, Work, within};

/// How long a lost server is looked for before a write gives up.
const COMES_BACK: Duration = Duration::from_secs(10);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often a transaction is repeated that others were in the way of.
const REPEATS: u32 = 8;

/// Whether others may write in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nobody else writes as long as this one lives.
    Only,
    /// The lock is taken for each write.
    InTurns,
}

/// What must hold for a session to write.
struct Terms {
    options: PostgresOptions,
    role: Role,
    settings: String,
    vector: Type,
    patience: Duration,
}

/// The writing side of a store.
pub(crate) struct Writer {
    terms: Terms,
    /// `None` while there is no connection, and while a write is under way: one that is dropped in the middle closes the
    /// connection, and its transaction with it.
    session: tokio::sync::Mutex<Option<Session>>,
}

/// How one attempt ended.
enum Attempt<T> {
    Done(T, Session),
    /// Rolled back; the session is as good as before.
    Refused(Failure, Session),
    /// The connection went before COMMIT was sent: nothing was changed.
    Lost(Failure),
    /// COMMIT was sent, and no answer came.
    Unknown {
        output: T,
        transaction: Transaction,
        failure: Failure,
    },
}

/// Names a transaction for good: its number, on the history that this server writes, as long as it does not crash.
struct Transaction {
    number: String,
    timeline: String,
    /// Since when the server has counted: a crash makes it forget its counts, and numbers that were not written down yet.
    counting_since: Option<String>,
}

/// How a transaction ended that we did not see the end of.
enum End {
    Committed,
    RolledBack,
    Unknown,
}

impl Writer {
    /// Makes a session the writer's.
    pub(crate) async fn begin(
        session: Session,
        options: &PostgresOptions,
        role: Role,
        seen: &Seen,
    ) -> Outcome<Self> {
        let terms = Terms::new(options, role, seen)?;
        terms.require(&session.client, options.wait).await?;
        if role == Role::InTurns {
            // Later, what waits to be written is paid for; at the beginning nobody waits longer than was said.
            let turn = Name::writing(options.schema());
            let (client, patience) = (&session.client, terms.patience);
            lock::take(client, turn, options.wait, patience, &options.describe()).await?;
            lock::let_go(client, turn, patience).await?;
        }
        Ok(Self {
            terms,
            session: tokio::sync::Mutex::new(Some(session)),
        })
    }

    /// Does a piece of work in one transaction, as often as it takes until it is known how it ended.
    pub(crate) async fn run<W: Work>(&self, work: &W) -> Outcome<W::Output> {
        let mut slot = self.session.lock().await;
        let mut repeats = 0;
        let mut lost_since: Option<Instant> = None;
        loop {
            let session = match slot.take() {
                Some(session) if !session.client.is_closed() => session,
                _ => self.terms.reconnect(&mut lost_since).await?,
            };
            match self.terms.attempt(session, work).await {
                Attempt::Done(output, session) => {
                    *slot = Some(session);
                    return Ok(output);
                }
                Attempt::Refused(failure, session) => {
                    *slot = Some(session);
                    if !failure.is_transient() || repeats == REPEATS {
                        return Err(failure);
                    }
                    repeats += 1;
                    tracing::debug!(work = W::NAME, repeats, "others were in the way: again");
                    tokio::time::sleep(PAUSE * repeats).await;
                }
                Attempt::Lost(failure) => {
                    let since = lost_since.get_or_insert_with(Instant::now);
                    repeats += 1;
                    if since.elapsed() >= COMES_BACK || repeats > REPEATS {
                        return Err(failure);
                    }
                    tracing::info!(
                        work = W::NAME,
                        "the connection was lost before the change was made: {}; connecting again",
                        failure.fact()
                    );
                }
                Attempt::Unknown {
                    output,
                    transaction,
                    failure,
                } => {
                    tracing::info!(
                        work = W::NAME,
                        "the answer to COMMIT was lost: {}; looking how it ended",
                        failure.fact()
                    );
                    repeats += 1;
                    match self.terms.find_out(&transaction).await {
                        Ok(End::Committed) => return Ok(output),
                        Ok(End::RolledBack) if repeats <= REPEATS => {}
                        Ok(End::RolledBack) => return Err(failure),
                        Ok(End::Unknown) => {
                            return Err(outcome_unknown(W::NAME, &self.terms.options, failure));
                        }
                        Err(again) => {
                            return Err(outcome_unknown(W::NAME, &self.terms.options, again));
                        }
                    }
                }
            }
        }
    }

    /// Lets the next writer in before the store is gone.
    pub(crate) fn close(self) {
        if let Some(session) = self.session.into_inner()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(session.close());
        }
    }
}

impl Terms {
    fn new(options: &PostgresOptions, role: Role, seen: &Seen) -> Outcome<Self> {
        let (Some(schema), Some(oid)) = (&seen.extension, seen.vector) else {
            return Err(Failure::corrupt("open", "pgvector went away"));
        };
        let settings = connect::local_settings(options, schema);
        Ok(Self {
            options: options.clone(),
            role,
            settings,
            vector: vector_type(oid, schema),
            patience: patience(options),
        })
    }

    fn lock(&self) -> Name {
        match self.role {
            Role::Only => Name::writing(self.options.schema()),
            Role::InTurns => Name::building(self.options.schema()),
        }
    }

    /// Takes the lock of this role, on a server that can be written to, in a session that is ours alone.
    async fn require(&self, client: &Client, wait: Duration) -> Outcome<()> {
        let place = self.options.describe();
        let asked = client.query_typed(sql::WRITABLE, &[]);
        let rows = within(self.patience, asked).await?;
        let row = rows
            .first()
            .ok_or_else(|| Failure::corrupt("open", "the server does not say what it is"))?;
        if row.try_get::<_, bool>(0)? {
            return Err(Failure::new(
                StoreErrorKind::Unavailable,
                "open",
                format!(
                    "this server is a standby, which takes no writes; name the primary: {place}"
                ),
            ));
        }
        // Before the lock: one that was taken through such a proxy stays behind in it.
        own_session::require(client, &self.options).await?;
        lock::take(client, self.lock(), wait, self.patience, &place).await
    }

    /// A new session with the lock. A server that is being restarted is waited for.
    async fn reconnect(&self, lost_since: &mut Option<Instant>) -> Outcome<Session> {
        let since = *lost_since.get_or_insert_with(Instant::now);
        let named = match &self.options.writer {
            Some(words) => self.options.clone().with_application_name(words.clone()),
            None => self.options.clone(),
        };
        let mut pause = PAUSE;
        loop {
            let connected = async {
                let session = connect::connect_once(&named).await?;
                // The server may not have noticed yet that our last session is gone, and keep the lock for it.
                let wait = self.options.wait.max(COMES_BACK);
                self.require(&session.client, wait).await?;
                Outcome::Ok(session)
            };
            match connected.await {
                Ok(session) => {
                    *lost_since = None;
                    return Ok(session);
                }
                Err(failure) if failure.may_pass() && since.elapsed() < COMES_BACK => {
                    tracing::debug!("not back yet: {}", failure.fact());
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn attempt<W: Work>(&self, session: Session, work: &W) -> Attempt<W::Output> {
        let client = &session.client;
        let begun = self.begin(client).await;
        let transaction = match begun {
            Ok(transaction) => transaction,
            Err(failure) => return self.give_up(session, failure).await,
        };
        let tx = Tx {
            client,
            patience: self.patience,
            vector: &self.vector,
        };
        let output = match work.run(&tx).await {
            Ok(output) => output,
            Err(failure) => return self.give_up(session, failure).await,
        };
        match within(self.patience, client.batch_execute("COMMIT")).await {
            Ok(()) => Attempt::Done(output, session),
            Err(failure) if failure.is_lost() => Attempt::Unknown {
                output,
                transaction,
                failure,
            },
            Err(failure) => self.give_up(session, failure).await,
        }
    }

    async fn begin(&self, client: &Client) -> Outcome<Transaction> {
        let settings = &self.settings;
        let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED; {settings}");
        within(self.patience, client.batch_execute(&begin)).await?;
        if self.role == Role::InTurns {
            // As long as it takes: what waits to be written is paid for.
            within(
                self.patience,
                client.batch_execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0"),
            )
            .await?;
            let (class, object) = Name::writing(self.options.schema()).numbers();
            client
                .query_typed(
                    sql::TAKE_TURN,
                    &[(&class, Type::INT4), (&object, Type::INT4)],
                )
                .await?;
            // And the limits once more.
            within(self.patience, client.batch_execute(settings)).await?;
        }
        let (class, object) = self.lock().shown();
        let rows = within(
            self.patience,
            client.query_typed(
                sql::STILL_HELD,
                &[(&class, Type::INT8), (&object, Type::INT8)],
            ),
        )
        .await?;
        let row = rows
            .first()
            .ok_or_else(|| Failure::corrupt("write", "the server does not name the transaction"))?;
        if !row.try_get::<_, bool>(2)? {
            return Err(own_session::pooled(&self.options));
        }
        Ok(Transaction {
            number: row.try_get(0)?,
            timeline: row.try_get(1)?,
            counting_since: row.try_get(3)?,
        })
    }

    async fn give_up<T>(&self, session: Session, failure: Failure) -> Attempt<T> {
        if failure.is_lost() || session.client.is_closed() {
            return Attempt::Lost(failure);
        }
        match within(self.patience, session.client.batch_execute("ROLLBACK")).await {
            Ok(()) => Attempt::Refused(failure, session),
            // The refusal stands; the session does not.
            Err(_) if failure.is_transient() => Attempt::Lost(failure),
            Err(lost) => {
                tracing::debug!("rolling back failed: {}", lost.fact());
                Attempt::Lost(failure)
            }
        }
    }

    /// Asks how a transaction ended, of which the answer to COMMIT was lost; and again, where that answer is lost too.
    /// The lock is not needed for it, which somebody else may have by now.
    async fn find_out(&self, transaction: &Transaction) -> Outcome<End> {
        let mut again = Again::new();
        loop {
            let answer = match connect::connect_once(&self.options).await {
                Ok(session) => self.how_it_ended(&session.client, transaction).await,
                Err(error) => Err(error.into()),
            };
            match answer {
                Ok(end) => return Ok(end),
                Err(failure) => again.after(failure, "commit").await?,
            }
        }
    }

    /// Asks the server how a transaction ended. One that is still under way belongs to a session that the server will
    /// soon find dead.
    async fn how_it_ended(&self, client: &Client, asked: &Transaction) -> Outcome<End> {
        let deadline = Instant::now() + COMES_BACK;
        loop {
            let number = [(&asked.number as _, Type::TEXT)];
            let question = client.query_typed(sql::HOW_IT_ENDED, &number);
            let rows = match within(self.patience, question).await {
                // A number that was never given: the server does not remember what did not come to its log.
                Err(Failure::Database(error))
                    if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) =>
                {
                    return Ok(End::RolledBack);
                }
                rows => rows?,
            };
            let Some(row) = rows.first() else {
                return Ok(End::Unknown);
            };
            // Another history, after a standby took over: the number may be somebody else's there.
            if row.try_get::<_, &str>(1)? != asked.timeline {
                return Ok(End::Unknown);
            }
            match row.try_get::<_, Option<&str>>(0)? {
                Some("committed") => {
                    // After a crash the number may be that of another one.
                    let same = row.try_get::<_, Option<String>>(2)? == asked.counting_since;
                    return Ok(if same { End::Committed } else { End::Unknown });
                }
                Some("aborted") => return Ok(End::RolledBack),
                Some(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                _ => return Ok(End::Unknown),
            }
        }
    }
}

pub(crate) fn vector_type(oid: u32, schema: &str) -> Type {
    use tokio_postgres::types::Kind;
    Type::new("vector".to_owned(), oid, Kind::Simple, schema.to_owned())
}

fn outcome_unknown(
    operation: &'static str,
    options: &PostgresOptions,
    failure: Failure,
) -> Failure {
    Failure::Store(StoreError::new(
        StoreErrorKind::OutcomeUnknown,
        operation,
        format!(
            "the connection broke while the change was being made, and whether it was made could not be found out \
                 ({}); look with `smart-support status`, and run the same command again: {}",
            failure.fact(),
            options.describe()
        ),
    ))
}
