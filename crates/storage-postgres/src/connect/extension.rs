//! The last step of connecting: is pgvector there, may it be used, is it one that is known to be broken?

use std::fmt;

use storage_core::{StoreError, StoreErrorKind};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::Step;
use super::session::quoted;
use crate::options::PostgresOptions;

/// Before this, `halfvec` and filters with iterative scans are missing.
const OLDEST: [u32; 3] = [0, 8, 0];

/// pgvector as this database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Such as `0.8.6`.
    pub version: String,
    /// The schema its types and operators are in.
    pub schema: String,
    /// What is known to be wrong with this version, one line each.
    pub warnings: Vec<String>,
}

/// Whether there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExtensionState {
    /// It is there.
    Installed(Extension),
    /// It is not, and this role may create it.
    Creatable {
        /// The version it would be.
        version: String,
    },
}

/// Finds out; what cannot be mended by us is an error that says who can.
pub(crate) async fn extension_state(
    client: &Client,
    options: &PostgresOptions,
) -> Result<ExtensionState, StoreError> {
    let question = client.simple_query(include_str!("../queries/extension.sql"));
    let answer = super::answered(options, question).await?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |column: &str| {
        row.and_then(|row| row.try_get(column).ok().flatten())
            .map(ToOwned::to_owned)
    };
    let found = Found {
        version: text("version"),
        schema: text("schema"),
        available: text("available"),
        creatable: text("creatable").as_deref() == Some("t"),
        listed: text("listed"),
        usable: text("usable").as_deref() != Some("f"),
        role: text("role").unwrap_or_default(),
        database: text("database").unwrap_or_default(),
        server: text("server").unwrap_or_default(),
    };
    judge(found, &options.describe())
}

/// The same where it has to be there already.
pub(crate) async fn check_extension(
    client: &Client,
    options: &PostgresOptions,
) -> Result<Extension, StoreError> {
    match extension_state(client, options).await? {
        ExtensionState::Installed(extension) => Ok(extension),
        ExtensionState::Creatable { .. } => Err(unsupported(
            "the database has no extension vector yet",
            &options.describe(),
            "`smart-support schema migrate` creates it",
        )),
    }
}

/// What the database says.
#[derive(Debug, Default, Clone)]
struct Found {
    version: Option<String>,
    schema: Option<String>,
    available: Option<String>,
    creatable: bool,
    listed: Option<String>,
    usable: bool,
    role: String,
    database: String,
    server: String,
}

fn judge(found: Found, place: &str) -> Result<ExtensionState, StoreError> {
    let Found { role, database, .. } = &found;
    if let (Some(version), Some(schema)) = (&found.version, &found.schema) {
        if !found.usable {
            return Err(unsupported(
                format!("user {role:?} must not use the extension vector"),
                place,
                format!(
                    "let an administrator run `GRANT USAGE ON SCHEMA {} TO {}` in database {database:?}",
                    quoted(schema),
                    quoted(role)
                ),
            ));
        }
        if numbers(version) < OLDEST {
            return Err(unsupported(
                format!("pgvector {version} is too old, 0.8.0 is needed"),
                place,
                format!(
                    "install a newer package on the server and run `ALTER EXTENSION vector UPDATE` in database \
                     {database:?}"
                ),
            ));
        }
        return Ok(ExtensionState::Installed(Extension {
            warnings: warnings(version),
            version: version.clone(),
            schema: schema.clone(),
        }));
    }
    let on_list = |list: &String| {
        list.split(',').any(|name| {
            matches!(
                name.trim().to_ascii_lowercase().as_str(),
                "vector" | "*" | "all"
            )
        })
    };
    if found.listed.as_ref().is_some_and(|list| !on_list(list)) {
        return Err(unsupported(
            "the server does not allow the extension vector",
            place,
            "add it to the allowed extensions in the provider's console (rds.allowed_extensions, azure.extensions), then \
             run `smart-support schema migrate`",
        ));
    }
    let Some(version) = found.available.clone() else {
        let major = found.server.split(['.', ' ']).next().unwrap_or_default();
        return Err(unsupported(
            "the server has no pgvector installed",
            place,
            format!(
                "install it there, for example `apt-get install postgresql-{major}-pgvector`, then run `smart-support \
                 schema migrate`"
            ),
        ));
    };
    if !found.creatable {
        return Err(unsupported(
            format!("the database has no extension vector, and user {role:?} must not create it"),
            place,
            format!("let an administrator run `CREATE EXTENSION vector` in database {database:?}"),
        ));
    }
    Ok(ExtensionState::Creatable { version })
}

/// What is known to be wrong with a version.
fn warnings(version: &str) -> Vec<String> {
    let numbers = numbers(version);
    let mut warnings = Vec::new();
    if numbers < [0, 8, 2] {
        warnings.push(format!(
            "pgvector {version} writes past a buffer when it builds an HNSW index in parallel (CVE-2026-3172); upgrade \
             to 0.8.4, until then indexes are built by one worker"
        ));
    }
    if numbers < [0, 8, 4] {
        warnings.push(format!(
            "pgvector {version} can damage an HNSW index that is written to during VACUUM; upgrade to 0.8.4 and rebuild \
             the index"
        ));
    }
    warnings
}

fn numbers(version: &str) -> [u32; 3] {
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(version.split('.')) {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        *number = digits.parse().unwrap_or(0);
    }
    numbers
}

fn unsupported(fact: impl fmt::Display, place: &str, advice: impl fmt::Display) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unsupported,
        Step::Extension.operation(),
        format!("{fact} (extension): {place}; {advice}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        Found {
            usable: true,
            role: "faq".into(),
            database: "shop".into(),
            server: "15.20 (Debian)".into(),
            ..Found::default()
        }
    }

    #[test]
    fn each_way_to_lack_the_extension_has_its_own_remedy() {
        let refused = |found| judge(found, "postgres://h/shop").unwrap_err().to_string();
        assert!(refused(found()).contains("postgresql-15-pgvector"));
        let available = Some("0.8.6".to_owned());
        let admin = refused(Found {
            available: available.clone(),
            ..found()
        });
        assert!(
            admin.contains("CREATE EXTENSION vector` in database \"shop\""),
            "{admin}"
        );
        let listed = Some("pg_trgm,hstore".to_owned());
        let console = refused(Found {
            available: available.clone(),
            listed,
            creatable: true,
            ..found()
        });
        assert!(console.contains("azure.extensions"), "{console}");
        let state = judge(
            Found {
                available,
                creatable: true,
                ..found()
            },
            "p",
        )
        .unwrap();
        assert_eq!(
            state,
            ExtensionState::Creatable {
                version: "0.8.6".into()
            }
        );
    }

    #[test]
    fn versions_that_are_known_to_be_broken_are_named() {
        for (version, expected) in [
            ("0.8.0", 2),
            ("0.8.1", 2),
            ("0.8.3", 1),
            ("0.8.4", 0),
            ("0.10.0", 0),
            ("1.0", 0),
        ] {
            assert_eq!(warnings(version).len(), expected, "{version}");
        }
        let old = Found {
            version: Some("0.7.4".into()),
            schema: Some("public".into()),
            ..found()
        };
        assert!(
            judge(old, "p")
                .unwrap_err()
                .to_string()
                .contains("ALTER EXTENSION")
        );
    }
}
