//! Numbered, append-only schema migrations, and the pure question of which are pending.

use std::fmt;

use crate::ContentHash;

/// One step of a schema's history, embedded at build time.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// 1, 2, 3, … without gaps.
    pub version: u32,
    /// What it does, such as `create_tables`.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

impl Migration {
    /// BLAKE3 of the statements: an edited migration is noticed by every store that ran it. Line ends are folded, so
    /// that a checkout with other line ends has the same history.
    #[must_use]
    pub fn checksum(&self) -> ContentHash {
        ContentHash::of(self.sql.replace("\r\n", "\n").as_bytes())
    }
}

/// What a store says of its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaStatus {
    /// Version of the store; 0 for an empty one.
    pub current: u32,
    /// Version this build writes.
    pub latest: u32,
    /// Names of the migrations between them.
    pub pending: Vec<String>,
}

/// The migrations that a store still needs, oldest first.
#[derive(Debug)]
pub struct PendingMigrations<'a>(pub &'a [Migration]);

/// Why a store's history and this build's do not fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MigrationError {
    /// The store has been written by a newer build.
    Newer {
        /// Version of the store.
        store: u32,
        /// Newest version this build knows.
        known: u32,
    },
    /// The store ran another text under this number.
    Edited {
        /// The migration's number.
        version: u32,
    },
    /// The store's history has a gap.
    Gap {
        /// The first number that is missing.
        version: u32,
    },
}

impl fmt::Display for MigrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { store, known } => {
                write!(
                    f,
                    "the store has schema {store}, this build knows up to {known}; upgrade smart-support"
                )
            }
            Self::Edited { version } => write!(
                f,
                "migration {version} of the store is not the one of this build"
            ),
            Self::Gap { version } => write!(f, "the store's history lacks migration {version}"),
        }
    }
}

impl std::error::Error for MigrationError {}

/// Compares what a store ran, as (number, checksum) in ascending order, with what this build knows.
///
/// # Errors
/// A newer store, an edited migration, or a gap: in each case nothing may be written.
pub fn pending<'a>(
    applied: &[(u32, ContentHash)],
    known: &'a [Migration],
) -> Result<PendingMigrations<'a>, MigrationError> {
    let newest = applied.last().map_or(0, |(version, _)| *version);
    let latest = known.last().map_or(0, |migration| migration.version);
    if newest > latest {
        return Err(MigrationError::Newer {
            store: newest,
            known: latest,
        });
    }
    for (position, (version, checksum)) in applied.iter().enumerate() {
        let Some(migration) = known
            .get(position)
            .filter(|migration| migration.version == *version)
        else {
            return Err(MigrationError::Gap {
                version: u32::try_from(position).unwrap_or(u32::MAX) + 1,
            });
        };
        if migration.checksum() != *checksum {
            return Err(MigrationError::Edited { version: *version });
        }
    }
    Ok(PendingMigrations(&known[applied.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Migration] = &[
        Migration {
            version: 1,
            name: "one",
            sql: "create table a (b);",
        },
        Migration {
            version: 2,
            name: "two",
            sql: "create table c (d);",
        },
    ];

    #[test]
    fn history_decides_what_is_pending() {
        let first = (1, KNOWN[0].checksum());
        let second = (2, KNOWN[1].checksum());
        let versions = |applied: &[_]| {
            pending(applied, KNOWN).map(|pending| {
                pending
                    .0
                    .iter()
                    .map(|step| step.version)
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(versions(&[]), Ok(vec![1, 2]));
        assert_eq!(versions(&[first]), Ok(vec![2]));
        assert_eq!(versions(&[first, second]), Ok(vec![]));
        assert_eq!(
            versions(&[first, second, (3, second.1)]),
            Err(MigrationError::Newer { store: 3, known: 2 })
        );
        assert_eq!(
            versions(&[(1, second.1)]),
            Err(MigrationError::Edited { version: 1 })
        );
        assert_eq!(versions(&[second]), Err(MigrationError::Gap { version: 1 }));
    }
}
