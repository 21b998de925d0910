//! A PostgreSQL server, step by step: settings, name, server, TLS, login, database, extension. The first step that
//! fails is the finding, and those after it were not reached.

use super::finding::Finding;
use super::store::{ENTRIES, INTEGRITY, LAST_RUN, OPENING, SCHEMA, STORE, UNREFERENCED};
use super::{remedy, store};
use crate::app::App;
use crate::args::DoctorArgs;
use crate::exit::Failure;
use crate::parts::{self, ServerStep};
use crate::settings::PostgresPlace;

/// The server, and once it lets us in, the store in its database.
pub(super) async fn look(
    app: &App,
    args: &DoctorArgs,
    place: &PostgresPlace,
) -> (Vec<Finding>, Option<store::Opened>) {
    let (mut findings, reached) = steps(place).await;
    if !reached {
        findings.extend(
            [
                STORE,
                SCHEMA,
                OPENING,
                INTEGRITY,
                ENTRIES,
                LAST_RUN,
                UNREFERENCED,
            ]
            .map(|name| Finding::skipped(name, "the server cannot be used as it is")),
        );
        return (findings, None);
    }
    let schema = parts::schema_status(&app.settings.store).await;
    findings.push(match &schema {
        Ok(_) => Finding::fine(
            STORE,
            format!("{} is there and ours", parts::describe(&app.settings.store)),
        ),
        Err(error) => {
            let failure = Failure::from(error);
            Finding::failure(STORE, &failure, &remedy::with_source(app, args, "migrate"))
        }
    });
    let (more, opened) = store::from_inside(app, args, schema).await;
    findings.extend(more);
    (findings, opened)
}

/// Every step, and whether a store can be looked for in the database.
async fn steps(place: &PostgresPlace) -> (Vec<Finding>, bool) {
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
