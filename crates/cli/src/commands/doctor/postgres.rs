//! A PostgreSQL server, step by step: settings, name, server, TLS, login, database, extension. The first step that
//! fails is the finding, and those after it were not reached.

use super::finding::Finding;
use crate::parts::{self, ServerStep};
use crate::settings::PostgresPlace;

/// Every step, and whether a store can be looked for in the database.
pub(super) async fn look(place: &PostgresPlace) -> (Vec<Finding>, bool) {
    let mut findings = Vec::new();
    let mut reached = true;
    for ServerStep { name, outcome } in parts::look_at_server(place).await {
        findings.push(match outcome {
            Some(Ok(fact)) => Finding::fine(name, fact),
            Some(Err(failure)) => {
                // A version with known faults is one to upgrade; a store can be in it all the same.
                reached &= name == parts::PGVECTOR_VERSION;
                Finding::failure(name, &failure, "see `smart-support status`")
            }
            None => Finding::skipped(name, "an earlier step failed"),
        });
    }
    (findings, reached)
}
