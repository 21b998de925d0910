//! A PostgreSQL server, looked at step by step.

use storage_core::{StoreError, StoreErrorKind};
use storage_postgres::{PostgresOptions, Server, Step, examine};

use super::postgres::options;
use super::{PGVECTOR_VERSION, ServerStep};
use crate::settings::PostgresPlace;

/// Gets to the server and says how far.
pub(crate) async fn look(place: &PostgresPlace) -> Vec<ServerStep> {
    let looked = match options(place) {
        Ok(options) => examine(&options).await.map(|server| (options, server)),
        Err(error) => Err(error),
    };
    let failed = looked
        .as_ref()
        .err()
        .map(|error| Step::of(error).unwrap_or(Step::Server));
    let mut steps: Vec<ServerStep> = STEPS
        .iter()
        .map(|(step, name)| ServerStep {
            name,
            outcome: match (&looked, failed) {
                (Ok((options, server)), _) => Some(Ok(fact(*step, options, server))),
                (Err(_), Some(failed)) if *step < failed => Some(Ok("as it should be".to_owned())),
                _ => None,
            },
        })
        .collect();
    match looked {
        Ok((_, server)) => steps.extend(extension(server)),
        Err(error) => {
            let at = STEPS.iter().position(|(step, _)| failed == Some(*step));
            // One that fits no step is about the server.
            steps[at.unwrap_or(2)].outcome = Some(Err(error.into()));
            steps.extend([PGVECTOR, PGVECTOR_VERSION].map(|name| ServerStep {
                name,
                outcome: None,
            }));
        }
    }
    steps
}

const PGVECTOR: &str = "pgvector";

/// The steps until the server answers questions.
const STEPS: [(Step, &str); 6] = [
    (Step::Settings, "server_settings"),
    (Step::Name, "server_name"),
    (Step::Server, "server"),
    (Step::Tls, "server_tls"),
    (Step::Login, "server_login"),
    (Step::Database, "server_database"),
];

/// What there is to say of a step that was passed.
fn fact(step: Step, options: &PostgresOptions, server: &Server) -> String {
    match step {
        Step::Settings => options.describe(),
        Step::Server if server.standby => format!(
            "PostgreSQL {}, a standby: it takes no writes",
            server.version
        ),
        Step::Server => format!("PostgreSQL {}", server.version),
        Step::Tls => match &server.tls {
            Some(version) => format!("the connection is encrypted by {version}"),
            None => "the connection is not encrypted, and none is asked for".to_owned(),
        },
        _ => "as it should be".to_owned(),
    }
}

fn extension(server: Server) -> [ServerStep; 2] {
    let (pgvector, version) = match server.extension {
        Err(error) => (Err(error.into()), None),
        Ok(None) => (
            Ok("not in the database yet; `smart-support schema migrate` creates it".to_owned()),
            None,
        ),
        Ok(Some(extension)) => (
            Ok(format!("in schema {}", extension.schema)),
            Some(match extension.warnings.as_slice() {
                [] => Ok(extension.version),
                warnings => {
                    Err(
                        StoreError::new(StoreErrorKind::Unsupported, "look", warnings.join(". "))
                            .into(),
                    )
                }
            }),
        ),
    };
    [
        ServerStep {
            name: PGVECTOR,
            outcome: Some(pgvector),
        },
        ServerStep {
            name: PGVECTOR_VERSION,
            outcome: version,
        },
    ]
}
