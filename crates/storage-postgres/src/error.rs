//! From SQLSTATE codes to what the caller can do about them.

use deadpool_postgres::PoolError;
use storage_core::{StoreError, StoreErrorKind};
use tokio_postgres::error::{DbError, SqlState};

/// What goes wrong inside this crate, before it knows which operation on which server it was.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server's answer, or a connection that broke.
    Database(tokio_postgres::Error),
    /// No connection could be had.
    Pool(PoolError),
    /// The server said nothing for longer than any statement may take.
    Silent,
    Store(StoreError),
}

pub(crate) type Outcome<T> = Result<T, Failure>;

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Database(error),
            other => Self::Pool(other),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// A refusal of our own.
    pub(crate) fn new(
        kind: StoreErrorKind,
        operation: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self::Store(StoreError::new(kind, operation, message))
    }

    /// Stored data that fails its own checks.
    pub(crate) fn corrupt(operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Corrupt, operation, message)
    }

    /// Whether the data, not the call or the place, is at fault.
    pub(crate) fn is_corrupt(&self) -> bool {
        match self {
            Self::Database(error) => kind_of(error) == StoreErrorKind::Corrupt,
            Self::Store(error) => error.kind() == StoreErrorKind::Corrupt,
            Self::Pool(_) | Self::Silent => false,
        }
    }

    /// Whether the session is gone, and with it the transaction that was open in it.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Database(error) => {
                error.is_closed()
                    || error.code().is_none() && !is_conversion(error)
                    || error.code().is_some_and(ends_the_session)
            }
            Self::Silent => true,
            Self::Pool(_) | Self::Store(_) => false,
        }
    }

    /// Whether the same transaction may well succeed when it is run again.
    pub(crate) fn is_transient(&self) -> bool {
        let code = match self {
            Self::Database(error) => error.code(),
            _ => None,
        };
        code.is_some_and(|code| {
            [
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::T_R_DEADLOCK_DETECTED,
                // Two writers stored one vector: the second look finds it.
                SqlState::UNIQUE_VIOLATION,
            ]
            .contains(code)
        })
    }

    /// Whether a later connection may succeed where this one failed.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) => error.kind() == StoreErrorKind::Unavailable,
            Self::Pool(_) => false,
            _ => self.is_lost() || self.is_transient(),
        }
    }

    /// One fact for a person, without the advice.
    pub(crate) fn fact(&self) -> String {
        match self {
            Self::Database(error) => said(error),
            Self::Pool(error) => error.to_string(),
            Self::Silent => "the server does not answer".to_owned(),
            Self::Store(error) => error.to_string(),
        }
    }

    /// The error callers see: names the place and the next command.
    pub(crate) fn at(self, operation: &'static str, place: &str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Silent => StoreError::new(
                StoreErrorKind::Unavailable,
                operation,
                format!("the server does not answer any more; run the command again later: {place}"),
            ),
            Self::Pool(error) => StoreError::new(
                StoreErrorKind::Unavailable,
                operation,
                format!(
                    "no connection was free in time; allow more with POSTGRES_POOL_SIZE, or run the command again \
                     later: {place}"
                ),
            )
            .with_source(error),
            Self::Database(error) => {
                let kind = kind_of(&error);
                let message = advice(kind, &error, place);
                // Without the driver's error behind it: that one prints the server's detail, which may repeat a row.
                StoreError::new(kind, operation, message)
            }
        }
    }
}

fn advice(kind: StoreErrorKind, error: &tokio_postgres::Error, place: &str) -> String {
    let said = said(error);
    match (kind, error.code()) {
        (StoreErrorKind::Busy, _) => format!(
            "another session holds what is needed for longer than this one waits; run the command again later, or wait \
             with --wait 60s ({said}): {place}"
        ),
        (_, Some(code)) if *code == SqlState::DISK_FULL => format!(
            "the server's disk is full ({said}); free space there and run the same command again, nothing paid is lost: {place}"
        ),
        (_, Some(code)) if *code == SqlState::INSUFFICIENT_PRIVILEGE => format!(
            "the role lacks a privilege ({said}); {}: {place}",
            grant(error.as_db_error().map_or("", DbError::message), place)
        ),
        (_, Some(code)) if *code == SqlState::READ_ONLY_SQL_TRANSACTION => format!(
            "this server only reads ({said}): it is a standby, or default_transaction_read_only is on; name the primary \
             (target_session_attrs=read-write with several hosts finds it): {place}"
        ),
        (_, Some(code)) if *code == SqlState::QUERY_CANCELED => format!(
            "a statement took longer than it may and was cancelled ({said}); the server may be overloaded, run the \
             command again later: {place}"
        ),
        (_, Some(code)) if *code == SqlState::T_R_SERIALIZATION_FAILURE => format!(
            "what others wrote was in the way ({said}); run the command again, and if it happens often on a standby, set \
             hot_standby_feedback=on there: {place}"
        ),
        (StoreErrorKind::Unavailable, _) => format!(
            "the connection to the server broke ({said}); run the same command again, nothing paid is lost: {place}"
        ),
        (StoreErrorKind::SchemaOld, _) => {
            format!(
                "the store's tables are not there ({said}); run `smart-support schema migrate`: {place}"
            )
        }
        (StoreErrorKind::Corrupt, _) => format!(
            "the store is damaged ({said}); see what is wrong with `smart-support validate`: {place}"
        ),
        (StoreErrorKind::Invalid, _) => {
            format!("a text or a vector is too large for the store ({said}): {place}")
        }
        (StoreErrorKind::Io, _) => {
            format!("the server could not do it ({said}); look at its log: {place}")
        }
        _ => format!("PostgreSQL refused the operation ({said}): {place}"),
    }
}

/// Who has to give what to whom, as far as the server's words tell: they may be in any language.
fn grant(message: &str, place: &str) -> String {
    let role = place
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('@'))
        .map(|(role, _)| role)
        .filter(|role| {
            role.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
        .unwrap_or("ROLE");
    if let Some(schema) = message.strip_prefix("permission denied for schema ") {
        format!(
            "let its owner run `GRANT USAGE, CREATE ON SCHEMA \"{schema}\" TO {role}`, or choose another with \
             --postgres-schema NAME"
        )
    } else if let Some(database) = message.strip_prefix("permission denied for database ") {
        format!("let its owner run `GRANT CREATE ON DATABASE \"{database}\" TO {role}`")
    } else if let Some(database) =
        message.strip_prefix("permission denied to create temporary tables in database ")
    {
        let database = database.trim_matches('"');
        format!("let its owner run `GRANT TEMPORARY ON DATABASE \"{database}\" TO {role}`")
    } else {
        "connect as the role that made the store, or let it run deploy/postgres/read-only-role.sql for a role that only \
         reads"
            .to_owned()
    }
}

/// What the server said. Its detail and context are left out: they may repeat a row.
pub(crate) fn said(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{}: {}", error.code().code(), error.message());
    }
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn is_conversion(error: &tokio_postgres::Error) -> bool {
    use std::error::Error;
    // The driver keeps its kinds to itself; a value of another type than the schema's has a cause that says so.
    error
        .source()
        .is_some_and(|cause| cause.downcast_ref::<std::io::Error>().is_none())
}

fn ends_the_session(code: &SqlState) -> bool {
    [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ]
    .contains(code)
        || code.code().starts_with("08")
}

fn kind_of(error: &tokio_postgres::Error) -> StoreErrorKind {
    let Some(code) = error.code() else {
        return match is_conversion(error) && !error.is_closed() {
            true => StoreErrorKind::Corrupt,
            false => StoreErrorKind::Unavailable,
        };
    };
    if ends_the_session(code) {
        return StoreErrorKind::Unavailable;
    }
    let is = |codes: &[SqlState]| codes.contains(code);
    if is(&[SqlState::LOCK_NOT_AVAILABLE]) {
        StoreErrorKind::Busy
    } else if is(&[
        SqlState::QUERY_CANCELED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::OUT_OF_MEMORY,
        SqlState::CONFIGURATION_LIMIT_EXCEEDED,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ]) {
        StoreErrorKind::Unavailable
    } else if is(&[SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME]) {
        StoreErrorKind::SchemaOld
    } else if is(&[SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED]) {
        StoreErrorKind::Corrupt
    } else if is(&[SqlState::INSUFFICIENT_PRIVILEGE]) {
        StoreErrorKind::Io
    } else {
        match &code.code()[..2] {
            // Insufficient resources (a full disk), and the server's own system errors.
            "53" | "58" => StoreErrorKind::Io,
            "54" => StoreErrorKind::Invalid,
            _ => StoreErrorKind::Internal,
        }
    }
}
