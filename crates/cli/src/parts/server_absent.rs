//! A build without PostgreSQL: nothing of a server can be said.

use super::ServerStep;
use crate::settings::PostgresPlace;

#[allow(clippy::unused_async, reason = "the twin's shape")]
pub(crate) async fn look(_: &PostgresPlace) -> Vec<ServerStep> {
    Vec::new()
}
