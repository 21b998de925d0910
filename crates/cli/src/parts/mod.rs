//! Composition: each optional part as twin files with the same functions, one for a build that has it and one that
//! says how to get it. The only place where features are looked at.

mod embedder;
mod stored_model;

#[cfg(feature = "import-chroma")]
mod chroma;
#[cfg(not(feature = "import-chroma"))]
#[path = "chroma_absent.rs"]
mod chroma;

#[cfg(feature = "import-faiss")]
mod faiss;
#[cfg(not(feature = "import-faiss"))]
#[path = "faiss_absent.rs"]
mod faiss;

#[cfg(feature = "import-vectors")]
mod vectors;
#[cfg(not(feature = "import-vectors"))]
#[path = "vectors_absent.rs"]
mod vectors;

#[cfg(feature = "catalog")]
mod catalogue;
#[cfg(not(feature = "catalog"))]
#[path = "catalogue_absent.rs"]
mod catalogue;

#[cfg(feature = "documents")]
mod documents;
#[cfg(not(feature = "documents"))]
#[path = "documents_absent.rs"]
mod documents;

#[cfg(feature = "local-model")]
mod local;
#[cfg(not(feature = "local-model"))]
#[path = "local_absent.rs"]
mod local;

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(not(feature = "postgres"))]
#[path = "postgres_absent.rs"]
mod postgres;

#[cfg(feature = "postgres")]
mod server;
#[cfg(not(feature = "postgres"))]
#[path = "server_absent.rs"]
mod server;

#[cfg(feature = "server")]
mod service;
#[cfg(not(feature = "server"))]
#[path = "service_absent.rs"]
mod service;

#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(not(feature = "sqlite"))]
#[path = "sqlite_absent.rs"]
mod sqlite;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use storage_core::{
    CopyReport, EmbeddingStore, Generation, MemoryStore, RepairReport, SchemaStatus, StoreError,
    StoreErrorKind, Timestamp,
};

use crate::exit::Failure;
use crate::settings::StoreLocation;

pub(crate) use chroma::open as open_chroma;

pub(crate) use catalogue::{EMBED_TEXT as CATALOGUE_EMBED_TEXT, open as catalogue};
#[allow(unused_imports, reason = "only the service is sent documents")]
pub(crate) use documents::{AVAILABLE as DOCUMENTS, read_document};
pub(crate) use documents::{extract as extract_document, open as documents};
pub(crate) use embedder::{build as embedder, token_limit};
pub(crate) use faiss::open as open_faiss;
pub(crate) use local::{
    AVAILABLE as LOCAL_MODEL, at_hand as weights_at_hand, fetch as fetch_model,
    workshop as fetch_workshop,
};
pub(crate) use server::look as look_at_server;
pub(crate) use service::{Question, ask, hash_key, serve};
pub(crate) use stored_model::StoredModel;
pub(crate) use vectors::open as open_vectors;

/// What a command wants of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Look, write nothing anywhere.
    Read,
    /// Look for as long as the process lives, while it and others write.
    #[allow(dead_code, reason = "only the service stays")]
    Stay,
    /// Change a store that is there and has today's schema.
    Write,
    /// The same over hours, letting other writers in between.
    Turns,
    /// Create the store where there is none, and bring its schema up to date.
    Create,
}

/// What was asked of a store, as one value: every backend takes the same.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "a build without any backend opens nothing")]
pub(crate) struct Opening {
    pub(crate) access: Access,
    /// Numbers per vector, where they are known: a new file is laid out for them.
    pub(crate) dimensions: Option<u32>,
    /// How long to wait while another process holds the store.
    pub(crate) wait: Duration,
    /// What other writers are told meanwhile: who, where, since when, doing what.
    pub(crate) writer: String,
}

/// The local model's weights, as `model fetch` found or left them.
#[derive(Debug)]
#[allow(dead_code, reason = "a build without the local model never makes one")]
pub(crate) struct Weights {
    pub(crate) model: &'static str,
    pub(crate) path: String,
    pub(crate) downloaded: bool,
}

/// One step of getting to a database server: what was found, or why it went no further; `None` where it was not reached.
#[derive(Debug)]
#[allow(dead_code, reason = "a build without PostgreSQL makes few")]
pub(crate) struct ServerStep {
    pub(crate) name: &'static str,
    pub(crate) outcome: Option<Result<String, Failure>>,
}

/// The last of these steps: what is known of the version that is there.
pub(crate) const PGVECTOR_VERSION: &str = "pgvector_version";

/// Opens the store that was named.
pub(crate) async fn open(
    location: &StoreLocation,
    opening: Opening,
) -> Result<Arc<dyn EmbeddingStore>, StoreError> {
    match location {
        StoreLocation::Sqlite(path, origin) => {
            sqlite::open(path, opening).map_err(|error| explain(error, path, origin))
        }
        StoreLocation::SqliteMemory => sqlite::open_in_memory(opening),
        StoreLocation::Postgres(place) => postgres::open(place, opening).await,
    }
}

/// The store's generations as they come to be.
#[allow(dead_code, reason = "a build without the service follows nothing")]
pub(crate) fn watch(location: &StoreLocation, every: Duration) -> BoxStream<'static, Generation> {
    match location {
        StoreLocation::Sqlite(path, _) => sqlite::watch(path, every),
        StoreLocation::SqliteMemory => stream::pending().boxed(),
        StoreLocation::Postgres(place) => postgres::watch(place, every),
    }
}

/// What the store says of its schema.
pub(crate) async fn schema_status(location: &StoreLocation) -> Result<SchemaStatus, StoreError> {
    match location {
        StoreLocation::Sqlite(path, origin) => {
            sqlite::schema_status(path).map_err(|error| explain(error, path, origin))
        }
        StoreLocation::SqliteMemory => sqlite::fresh_schema(),
        StoreLocation::Postgres(place) => postgres::schema_status(place).await,
    }
}

/// Who changes the store at this moment, in their own words.
pub(crate) async fn writer(location: &StoreLocation) -> Option<String> {
    match location {
        StoreLocation::Sqlite(path, _) => sqlite::writer(path),
        StoreLocation::SqliteMemory => None,
        StoreLocation::Postgres(place) => postgres::writer(place).await,
    }
}

/// The version of the SQLite that is linked, if it is one that keeps stores whole.
pub(crate) fn sqlite_version() -> Result<&'static str, StoreError> {
    sqlite::version()
}

/// Copies the store into a file.
pub(crate) fn backup(
    location: &StoreLocation,
    opening: &Opening,
    target: &Path,
    verify: bool,
    overwrite: bool,
) -> Result<CopyReport, StoreError> {
    match location {
        StoreLocation::Sqlite(path, origin) => {
            sqlite::backup(path, opening, target, verify, overwrite)
                .map_err(|error| explain(error, path, origin))
        }
        StoreLocation::SqliteMemory => Err(nothing_on_disk("backup")),
        StoreLocation::Postgres(_) => Err(postgres_tool(
            "backup",
            "pg_dump --format=custom --file=FILE DATABASE",
        )),
    }
}

/// Puts a backup in the store's place.
pub(crate) fn restore(
    location: &StoreLocation,
    opening: &Opening,
    backup: &Path,
    overwrite: bool,
    at: Timestamp,
) -> Result<CopyReport, StoreError> {
    match location {
        StoreLocation::Sqlite(path, _) => sqlite::restore(path, opening, backup, overwrite, at),
        StoreLocation::SqliteMemory => Err(nothing_on_disk("restore")),
        StoreLocation::Postgres(_) => Err(postgres_tool(
            "restore",
            "pg_restore --clean --if-exists --single-transaction --dbname=DATABASE FILE",
        )),
    }
}

/// Puts right what a check finds.
pub(crate) fn repair(
    location: &StoreLocation,
    opening: &Opening,
    dry_run: bool,
    drop_unembedded: bool,
    at: Timestamp,
) -> Result<RepairReport, StoreError> {
    match location {
        StoreLocation::Sqlite(path, origin) => {
            sqlite::repair(path, opening, dry_run, drop_unembedded, at)
                .map_err(|error| explain(error, path, origin))
        }
        StoreLocation::SqliteMemory => Err(nothing_on_disk("repair")),
        StoreLocation::Postgres(_) => Err(StoreError::new(
            StoreErrorKind::Unsupported,
            "repair",
            "PostgreSQL repairs its own files: restore a backup with pg_restore, then `smart-support sync` embeds what \
             is missing; see what is wrong with `smart-support validate`",
        )),
    }
}

/// How a store is put right that a check found faults in.
pub(crate) fn remedy(location: &StoreLocation) -> &'static str {
    match location {
        StoreLocation::Sqlite(..) | StoreLocation::SqliteMemory => {
            "put the store right with `smart-support repair`"
        }
        StoreLocation::Postgres(_) => {
            "rows that were written by SQL are taken in by the next `smart-support sync`; for anything else restore a \
             backup with pg_restore, or copy a sound store with `smart-support copy`"
        }
    }
}

/// The store as a user writes it; never holds a secret.
pub(crate) fn describe(location: &StoreLocation) -> String {
    match location {
        StoreLocation::Sqlite(path, _) => format!("sqlite:{}", path.display()),
        StoreLocation::SqliteMemory => "sqlite::memory:".to_owned(),
        StoreLocation::Postgres(place) => postgres::describe(place),
    }
}

/// Bytes of the store on disk, indices or a write-ahead log included. A file is measured when the store has been closed
/// and has moved its log into it.
pub(crate) async fn bytes_on_disk(location: &StoreLocation, store: Arc<dyn EmbeddingStore>) -> u64 {
    let path = match location {
        StoreLocation::Sqlite(path, _) => path,
        StoreLocation::SqliteMemory => return 0,
        StoreLocation::Postgres(_) => return store.bytes().await.map_or(0, |bytes| bytes.file),
    };
    drop(store);
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    size(path) + size(Path::new(&log))
}

/// Where it was said which store it is.
pub(crate) fn origin(location: &StoreLocation) -> String {
    match location {
        StoreLocation::Sqlite(_, origin) => origin.clone(),
        StoreLocation::SqliteMemory => String::new(),
        StoreLocation::Postgres(place) => place.origin(),
    }
}

/// A store that forgets: the fallback of `--on-store-error memory`, and the empty place a dry run plans against.
pub(crate) fn memory() -> Arc<dyn EmbeddingStore> {
    Arc::new(MemoryStore::new())
}

/// A path that is wrong was typed, or came from somewhere: say from where.
fn explain(error: StoreError, path: &Path, origin: &str) -> StoreError {
    if error.kind() != StoreErrorKind::NotFound {
        return error;
    }
    let shown = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    StoreError::new(
        StoreErrorKind::NotFound,
        "open",
        format!(
            "there is no store at {} (path from: {origin}); create it with `smart-support migrate --faq-path FILE`",
            shown.display()
        ),
    )
}

fn nothing_on_disk(operation: &'static str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unsupported,
        operation,
        "a store in memory is gone with the command; name a file with --store sqlite:PATH",
    )
}

/// A database server has tools of its own, which know what else is in the database.
fn postgres_tool(operation: &'static str, command: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unsupported,
        operation,
        format!("this command copies SQLite stores; for PostgreSQL use: {command}"),
    )
}
