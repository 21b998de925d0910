//! What a server's refusal means for whoever wants to read.

use faq_source::{SourceError, SourceErrorKind};
use tokio_postgres::error::{DbError, SqlState};

use crate::Relation;

/// What is being read, and where, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) place: &'a str,
    pub(crate) relation: &'a Relation,
}

impl Asked<'_> {
    /// The server took too long, or fell silent.
    pub(crate) fn silent(self) -> SourceError {
        SourceError::new(
            SourceErrorKind::Unavailable,
            format!(
                "the server does not answer any more; run the command again later: {}",
                self.place
            ),
        )
    }

    /// Without the driver's error behind it: that one prints the server's detail, which may repeat a row.
    pub(crate) fn failed(self, error: &tokio_postgres::Error) -> SourceError {
        let Self { place, relation } = self;
        let said = said(error);
        let (kind, message) = match error.code() {
            None => (
                SourceErrorKind::Unavailable,
                format!("the connection to the server broke ({said}); run the same command again"),
            ),
            Some(code) if is_passing(code) => (
                SourceErrorKind::Unavailable,
                format!("the server cannot now ({said}); run the same command again later"),
            ),
            Some(code) if *code == SqlState::QUERY_CANCELED => (
                SourceErrorKind::Unavailable,
                format!(
                    "reading took longer than it may ({said}); run the command again, or read less"
                ),
            ),
            Some(code) if *code == SqlState::READ_ONLY_SQL_TRANSACTION => (
                SourceErrorKind::Unreadable,
                format!(
                    "the query writes, and a source is only read ({said}); leave out what changes rows"
                ),
            ),
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => (
                SourceErrorKind::Unreadable,
                format!(
                    "the role may not read {relation} ({said}); let its owner run GRANT SELECT ON TABLE … TO the role"
                ),
            ),
            Some(code)
                if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME =>
            {
                (
                    SourceErrorKind::Unreadable,
                    format!("there is no such table ({said}); name another with --source-sql"),
                )
            }
            Some(_) => (
                SourceErrorKind::Unreadable,
                format!("PostgreSQL cannot read {relation} ({said}); mend what --source-sql says"),
            ),
        };
        SourceError::new(kind, format!("{message}: {place}"))
    }
}

/// What the server said. Its detail and context are left out: they may repeat a row.
fn said(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{}: {}", error.code().code(), DbError::message(error));
    }
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// Whether the same question may be answered another time.
fn is_passing(code: &SqlState) -> bool {
    [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::OUT_OF_MEMORY,
    ]
    .contains(code)
        || code.code().starts_with("08")
}
