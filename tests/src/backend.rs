//! Both kinds of store, for tests whose words are true of either.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::place::{KEY, Place, Snapshot};
use crate::postgres::{Client, TestDatabase, TestRole, server};
use crate::store::{StoredRow, StoredTexts};
use crate::{MARK, StubApi};

/// Which kind of store a test is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file in the place.
    Sqlite,
    /// A database of the test's own, of a role that can do nothing else.
    Postgres,
}

impl Backend {
    /// Whether it can be had here; if not, skips loudly.
    #[must_use]
    pub fn is_there(self) -> bool {
        self == Self::Sqlite || server().is_some()
    }

    /// A place that keeps its store there, without any embedder configured.
    #[must_use]
    pub fn place(self) -> Place {
        self.keeping(Place::new())
    }

    /// A place with the provider `hash`.
    #[must_use]
    pub fn hash(self) -> Place {
        self.keeping(Place::hash())
    }

    /// A place that embeds with a stub of the API.
    #[must_use]
    pub fn stub(self, api: &StubApi) -> Place {
        self.keeping(Place::stub(api))
    }

    fn keeping(self, mut place: Place) -> Place {
        if self == Self::Postgres {
            place.keep_in(PostgresStore::create());
        }
        place
    }
}

/// Makes a test of each of these functions for each kind of store: in the modules `on_sqlite` and `on_postgres`.
#[macro_export]
macro_rules! on_every_store {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[test]
                fn $test() {
                    super::$test($crate::Backend::Sqlite);
                }
            )+
        }

        mod on_postgres {
            $(
                #[test]
                fn $test() {
                    if $crate::Backend::Postgres.is_there() {
                        super::$test($crate::Backend::Postgres);
                    }
                }
            )+
        }
    };
}

/// A database with an owner that is no superuser.
#[derive(Debug)]
pub struct PostgresStore {
    // Before the role that owns it.
    database: TestDatabase,
    owner: TestRole,
}

impl PostgresStore {
    /// A new one on the server of this run, which must be there.
    #[must_use]
    pub fn create() -> Self {
        let database = TestDatabase::create().unwrap();
        let owner = TestRole::create(&database, "owner", KEY);
        database.client().run(&format!(
            "alter database {} owner to {}",
            database.name(),
            owner.name()
        ));
        Self { database, owner }
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// The role that owns it.
    #[must_use]
    pub fn owner(&self) -> &TestRole {
        &self.owner
    }

    /// How its owner reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        self.owner.url(&self.database)
    }

    /// A connection of the superuser.
    #[must_use]
    pub fn client(&self) -> Client {
        self.database.client()
    }

    /// Every row of every table, as text.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let client = self.client();
        let tables = client.rows(
            "select format('%I.%I', schemaname, tablename) from pg_tables
             where schemaname not in ('pg_catalog', 'information_schema')",
        );
        let tables = tables.into_iter().flatten().flatten();
        tables
            .map(|table| {
                let rows = client.rows(&format!("select t::text from {table} t order by 1"));
                let rows: Vec<String> = rows.into_iter().flatten().flatten().collect();
                (
                    PathBuf::from("postgres").join(table),
                    rows.join("\n").into_bytes(),
                )
            })
            .collect()
    }

    /// Tables with a secret in them.
    #[must_use]
    pub fn tables_with_secrets(&self) -> Vec<PathBuf> {
        let holds = |bytes: &[u8]| {
            bytes
                .windows(MARK.len())
                .any(|part| part == MARK.as_bytes())
        };
        let tables = self.snapshot().into_iter();
        tables
            .filter(|(_, rows)| holds(rows))
            .map(|(table, _)| table)
            .collect()
    }

    /// The rows that readers of a collection see.
    #[must_use]
    pub fn rows(&self, collection: &str) -> StoredTexts {
        let rows = self.client().rows(&format!(
            "SELECT CASE WHEN r.chunk = 0 THEN r.document ELSE r.document || '#' || r.chunk END,
                    r.title, r.body, r.category, r.locator_row, encode(v.checksum, 'hex')
             FROM collections c
             JOIN embedding_records r ON r.collection_id = c.collection_id
             JOIN record_inputs i ON i.record_id = r.record_id AND i.version_id = c.active_version_id
             JOIN embedding_vectors v ON v.vector_id = i.vector_id
             WHERE c.name = '{collection}'"
        ));
        let rows = rows.into_iter().map(|row| {
            let [id, question, answer, category, at, checksum] =
                <[Option<String>; 6]>::try_from(row).unwrap();
            let stored = StoredRow {
                question: question.unwrap(),
                answer: answer.unwrap(),
                category,
                row: at.map(|at| at.parse().unwrap()),
                vector: bytes(&checksum.unwrap_or_default()),
            };
            (id.unwrap(), stored)
        });
        rows.collect::<BTreeMap<_, _>>()
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
