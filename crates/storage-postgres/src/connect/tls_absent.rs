//! A build without TLS: what needs it says so.

use storage_core::{StoreError, StoreErrorKind};
use tokio_postgres::NoTls;

use super::Step;
use crate::options::RootCertificates;

pub(super) type Connector = NoTls;

/// Why a handshake failed: here there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "the twin makes them")]
pub(super) enum Refusal {
    Authority,
    Name,
    Time,
    Certificate,
    Protocol,
}

pub(super) fn checked(_: Option<&RootCertificates>, _: bool) -> Result<Connector, StoreError> {
    Err(StoreError::new(
        StoreErrorKind::Unsupported,
        Step::Tls.operation(),
        "this build has no TLS, which a server on another machine needs; build storage-postgres with its feature tls, \
         or say sslmode=disable where nobody can listen in",
    ))
}

#[allow(clippy::unnecessary_wraps, reason = "the twin's shape")]
pub(super) fn unchecked() -> Result<Connector, StoreError> {
    Ok(NoTls)
}

pub(super) fn refusal(_: &(dyn std::error::Error + 'static)) -> Option<Refusal> {
    None
}
