//! The store: whether it is there, ours, open to us and closed to others, whole, filled, free, and fast.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use futures_util::TryStreamExt;
use storage_core::{
    EmbeddingStore, Filter, RunState, SchemaStatus, StoreError, StoreErrorKind, StoreStatus,
    check_names,
};

use super::finding::Finding;
use super::{place, postgres, remedy, settings};
use crate::app::App;
use crate::args::DoctorArgs;
use crate::commands::status::size;
use crate::parts::{self, Access};
use crate::settings::StoreLocation;
use crate::wire;

pub(super) const STORE: &str = "store";
const WRITABLE: &str = "store_writable";
const PRIVATE: &str = "store_private";
const FILE_SYSTEM: &str = "file_system";
const DISK_SPACE: &str = "disk_space";
const SQLITE: &str = "sqlite_version";
const WRITER: &str = "writer";
const LOG: &str = "write_ahead_log";
pub(super) const SCHEMA: &str = "schema";
pub(super) const OPENING: &str = "opening_time";
pub(super) const INTEGRITY: &str = "integrity";
pub(super) const ENTRIES: &str = "entries";
pub(super) const LAST_RUN: &str = "last_run";
pub(super) const UNREFERENCED: &str = "unreferenced_vectors";

/// Beyond this, checking every vector is no quick look any more.
const QUICK_BYTES: u64 = 256 << 20;
/// The log is moved into the store every 4 MiB: far more means that something keeps it from being so.
const LARGE_LOG: u64 = 64 << 20;
/// What any sync may need beside the vectors: log, rows, a report.
const HEADROOM: u64 = 16 << 20;
/// The smallest command that writes, and so takes a log in.
const TAKE_IN: &str = "cache prune --older-than 3650d";
/// A reader is promised to start within this, and a second more for every 100 MB of vectors.
const SLOW_SECONDS: f64 = 2.0;
/// Fewer bytes are not worth anybody's time.
const WORTH_PRUNING: u64 = 1 << 20;

/// A store that could be opened, and what it says of itself.
pub(super) struct Opened {
    pub(super) store: Arc<dyn EmbeddingStore>,
    pub(super) status: StoreStatus,
}

/// Looks at the store from outside, then from inside where it can be opened.
pub(super) async fn look(app: &App, args: &DoctorArgs) -> (Vec<Finding>, Option<Opened>) {
    let path = match &app.settings.store {
        StoreLocation::Sqlite(path, _) => path,
        StoreLocation::SqliteMemory => {
            let fine = Finding::fine(STORE, "in memory: nothing is kept, nothing can be wrong");
            return (vec![fine], None);
        }
        StoreLocation::Postgres(place) => return postgres::look(app, args, place).await,
    };
    let mut findings = Vec::new();
    let schema = parts::schema_status(&app.settings.store).await;
    findings.push(match &schema {
        Ok(_) => Finding::fine(STORE, format!("{} is there and ours", path.display())),
        Err(error) => unusable(error, path, args, app),
    });
    findings.extend(outside(app, path).await);
    let (more, opened) = from_inside(app, args, schema).await;
    findings.extend(more);
    (findings, opened)
}

/// The schema, and what is in a store that has today's.
pub(super) async fn from_inside(
    app: &App,
    args: &DoctorArgs,
    schema: Result<SchemaStatus, StoreError>,
) -> (Vec<Finding>, Option<Opened>) {
    let mut findings = Vec::new();
    let opened = match schema {
        Ok(schema) => {
            let (finding, current) = schema_is_current(app, &schema);
            findings.push(finding);
            if current {
                Some(inside(app, args).await)
            } else {
                None
            }
        }
        Err(error) if error.kind() == StoreErrorKind::SchemaNew => {
            findings.push(Finding::failure(
                SCHEMA,
                &error.into(),
                "upgrade smart-support",
            ));
            None
        }
        Err(_) => {
            findings.push(Finding::skipped(SCHEMA, "the store cannot be read"));
            None
        }
    };
    match opened {
        Some((found, opened)) => {
            findings.extend(found);
            (findings, opened)
        }
        None => {
            for name in [OPENING, INTEGRITY, ENTRIES, LAST_RUN, UNREFERENCED] {
                findings.push(Finding::skipped(
                    name,
                    "the store cannot be opened as it is",
                ));
            }
            (findings, None)
        }
    }
}

fn unusable(error: &StoreError, path: &Path, args: &DoctorArgs, app: &App) -> Finding {
    let shown = place::quoted(path);
    let mut detail = std::iter::successors(std::error::Error::source(error), |error| {
        std::error::Error::source(*error)
    })
    .fold(
        error
            .to_string()
            .split("; ")
            .next()
            .unwrap_or_default()
            .to_owned(),
        |text, cause| format!("{text}: {cause}"),
    );
    if !detail.contains(&path.display().to_string()) {
        detail.push_str(&format!(": {}", path.display()));
    }
    let remedy = match error.kind() {
        StoreErrorKind::NotFound => format!(
            "{}, or name the store that is meant with --store sqlite:PATH",
            remedy::with_source(app, args, "migrate")
        ),
        StoreErrorKind::Foreign => {
            "name another path: --store sqlite:PATH or SQLITE_DB_PATH".to_owned()
        }
        StoreErrorKind::SchemaNew => "upgrade smart-support; the store stays as it is".to_owned(),
        StoreErrorKind::Busy => {
            "wait for the other process, then run `smart-support doctor` again".to_owned()
        }
        StoreErrorKind::Corrupt => damaged(args, app),
        StoreErrorKind::Io => format!("chmod u+rw {shown}, as the owner of the file"),
        _ => "see `smart-support status`".to_owned(),
    };
    Finding::fault(STORE, detail, remedy)
}

/// From what is already paid for first; what that cannot save, the source can.
fn damaged(args: &DoctorArgs, app: &App) -> String {
    format!(
        "{}, then {}; or bring back a backup: {}",
        remedy::command(app, "repair"),
        remedy::with_source(app, args, "sync"),
        remedy::command(app, "restore FILE")
    )
}

/// The name of a file beside the store.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn schema_is_current(app: &App, schema: &SchemaStatus) -> (Finding, bool) {
    if schema.pending.is_empty() {
        return (
            Finding::fine(SCHEMA, format!("version {}", schema.current)),
            true,
        );
    }
    let fault = Finding::fault(
        SCHEMA,
        format!(
            "the schema is version {}, this build needs {}",
            schema.current, schema.latest
        ),
        remedy::command(app, "schema migrate"),
    );
    (fault, false)
}

/// What can be said of a store without opening it.
async fn outside(app: &App, path: &Path) -> Vec<Finding> {
    let files: Vec<PathBuf> = ["", "-wal", "-shm", ".lock"]
        .into_iter()
        .map(|suffix| beside(path, suffix))
        .filter(|file| file.is_file())
        .collect();
    let private = settings::open_to_others(PRIVATE, &files).unwrap_or_else(|| {
        Finding::fine(
            PRIVATE,
            match files.len() {
                0 => "there is no file yet",
                _ => "the store is for its owner only",
            },
        )
    });
    let Some(directory) = place::standing_directory(path) else {
        return vec![Finding::skipped(
            WRITABLE,
            "no directory above the store can be seen",
        )];
    };
    vec![
        writable(&directory, &files),
        private,
        file_system(&directory),
        disk_space(app, &directory).await,
        match parts::sqlite_version() {
            Ok(version) => Finding::fine(SQLITE, format!("SQLite {version}")),
            Err(error) => Finding::failure(SQLITE, &error.into(), "build with feature `bundled`"),
        },
        writer(app, &beside(path, "-shm")).await,
        log(app, &beside(path, "-wal")).await,
    ]
}

fn writable(directory: &Path, files: &[PathBuf]) -> Finding {
    let closed: Vec<&Path> = std::iter::once(directory)
        .chain(files.iter().map(PathBuf::as_path))
        .filter(|path| place::may_write(path) == Some(false))
        .collect();
    let names: Vec<String> = closed.iter().map(|path| place::quoted(path)).collect();
    match closed.first() {
        Some(path) => Finding::fault(
            WRITABLE,
            format!(
                "{} may not be written to: searches work, a sync will not",
                path.display()
            ),
            format!(
                "chmod u+w {}, as the owner; in a container, run as the user who owns the mounted directory (not chmod \
                 666: that lets everybody write)",
                names.join(" ")
            ),
        ),
        None if place::may_write(directory).is_none() => {
            Finding::skipped(WRITABLE, "this system does not tell")
        }
        None => Finding::fine(
            WRITABLE,
            format!("{} may be written to", directory.display()),
        ),
    }
}

fn file_system(directory: &Path) -> Finding {
    match place::file_system(directory) {
        None => Finding::skipped(FILE_SYSTEM, "this system does not tell what it is"),
        Some(kind) if place::is_shared(&kind) => Finding::fault(
            FILE_SYSTEM,
            format!(
                "{} is on a network file system ({kind}): locks between machines cannot be relied on",
                directory.display()
            ),
            "keep the store on a local disk: --store sqlite:PATH or SQLITE_DB_PATH",
        ),
        Some(kind) => Finding::fine(FILE_SYSTEM, format!("{kind}, on this machine")),
    }
}

/// Room for every vector a second time, in the log and in the file: what embedding anew takes.
async fn disk_space(app: &App, directory: &Path) -> Finding {
    let Some(free) = place::free_bytes(directory) else {
        return Finding::skipped(DISK_SPACE, "this system does not tell");
    };
    let vectors = match app.open(Access::Read, None).await {
        Ok(store) => store.bytes().await.map_or(0, |bytes| bytes.vectors),
        Err(_) => 0,
    };
    let need = HEADROOM + 2 * vectors;
    let detail = format!(
        "{} free in {}, embedding everything anew takes up to {}",
        size(free),
        directory.display(),
        size(need)
    );
    if free < need {
        let remedy = format!(
            "free {} there, or keep the store elsewhere with --store sqlite:PATH",
            size(need - free)
        );
        return Finding::fault(DISK_SPACE, detail, remedy);
    }
    Finding::fine(DISK_SPACE, detail)
}

async fn writer(app: &App, shared_memory: &Path) -> Finding {
    if let Some(holder) = parts::writer(&app.settings.store).await {
        return Finding::fault(
            WRITER,
            format!("another process is writing: {holder}"),
            "wait for it: add --wait 60s to the command that finds the store busy; searches are not held up",
        );
    }
    match place::database_writer(shared_memory) {
        Some(process) => Finding::fault(
            WRITER,
            format!("another program holds a transaction open: {process}"),
            "end that transaction (COMMIT or ROLLBACK) or that program; searches are not held up",
        ),
        None => Finding::fine(WRITER, "nobody is writing"),
    }
}

async fn log(app: &App, path: &Path) -> Finding {
    let bytes = std::fs::metadata(path).map_or(0, |log| log.len());
    let busy = parts::writer(&app.settings.store).await.is_some();
    if bytes == 0 {
        Finding::fine(LOG, "empty")
    } else if bytes > LARGE_LOG {
        Finding::fault(
            LOG,
            format!(
                "the log holds {}: something that reads for very long keeps it from being taken in",
                size(bytes)
            ),
            format!(
                "end long-running readers of the store, then: {}",
                remedy::command(app, TAKE_IN)
            ),
        )
    } else if busy {
        Finding::fine(LOG, format!("{}, in use", size(bytes)))
    } else {
        Finding::fault(
            LOG,
            format!(
                "{} were left by a process that was cut off; nothing is lost, and the next command that writes takes \
                 them in",
                size(bytes)
            ),
            format!("{}, or any sync", remedy::command(app, TAKE_IN)),
        )
    }
}

/// What only an open store can say.
async fn inside(app: &App, args: &DoctorArgs) -> (Vec<Finding>, Option<Opened>) {
    let started = Instant::now();
    let store = match app.open(Access::Read, None).await {
        Ok(store) => store,
        Err(failure) => {
            let finding = Finding::failure(OPENING, &failure, "see `smart-support status`");
            return (vec![finding], None);
        }
    };
    let status = match store.status().await {
        Ok(status) => status,
        Err(error) => {
            let finding = Finding::failure(INTEGRITY, &error.into(), "smart-support validate");
            return (vec![finding], None);
        }
    };
    let findings = vec![
        opening_time(app, &*store, started).await,
        integrity(app, args, &*store).await,
        entries(app, args, &status),
        last_run(app, args, &*store).await,
        unreferenced(app, &*store).await,
    ];
    (findings, Some(Opened { store, status }))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "bytes of a store are below 2^52"
)]
async fn opening_time(app: &App, store: &dyn EmbeddingStore, started: Instant) -> Finding {
    let mut rows = store.scan(app.collection(), None, Filter::default());
    let (mut count, mut bytes) = (0u64, 0u64);
    loop {
        match rows.try_next().await {
            Ok(Some(row)) => {
                count += 1;
                bytes += 4 * u64::from(row.embedding.dimensions());
            }
            Ok(None) => break,
            Err(error) => return Finding::skipped(OPENING, error),
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let detail = format!("opened, and {count} entries read, in {seconds:.2} s");
    if seconds > SLOW_SECONDS + bytes as f64 / 1e8 {
        return Finding::fault(
            OPENING,
            detail,
            "keep the store on a local disk; see whether the machine is short of memory or another program reads the \
             same disk",
        );
    }
    Finding::fine(OPENING, detail)
}

async fn integrity(app: &App, args: &DoctorArgs, store: &dyn EmbeddingStore) -> Finding {
    let bytes = store.bytes().await.map_or(0, |bytes| bytes.vectors);
    if bytes > QUICK_BYTES {
        let why = format!(
            "{} of vectors take a while; `smart-support validate` checks them all",
            size(bytes)
        );
        return Finding::skipped(INTEGRITY, why);
    }
    match store.check().await {
        Ok(report) => match report.checks.iter().find(|check| !check.ok) {
            Some(check) => Finding::fault(
                INTEGRITY,
                format!(
                    "{}: {} (found {}, expected {})",
                    check.name, check.detail, check.found, check.expected
                ),
                match check.name {
                    // Every row is there and one lost its vector: that is what a sync finds out by itself.
                    check_names::TEMPLATES => remedy::with_source(app, args, "sync"),
                    _ => damaged(args, app),
                },
            ),
            None => Finding::fine(INTEGRITY, "every row, vector and reference holds"),
        },
        Err(error) => Finding::failure(INTEGRITY, &error.into(), &damaged(args, app)),
    }
}

fn entries(app: &App, args: &DoctorArgs, status: &StoreStatus) -> Finding {
    let name = app.collection();
    let found = status.collection(name);
    let records = found.map_or(0, |found| found.records);
    let others: Vec<&str> = status
        .collections
        .iter()
        .filter(|other| other.name != *name && other.records > 0)
        .map(|other| other.name.as_str())
        .collect();
    if records > 0 {
        let missing = found.map_or(0, |found| found.missing);
        return if missing > 0 {
            Finding::fault(
                ENTRIES,
                format!("{missing} of {records} entries have no vector: no search finds them"),
                remedy::with_source(app, args, "sync"),
            )
        } else {
            Finding::fine(ENTRIES, format!("{records} entries in collection {name}"))
        };
    }
    if others.is_empty() {
        return Finding::fault(
            ENTRIES,
            "the store is empty: every search finds nothing",
            remedy::with_source(app, args, "migrate"),
        );
    }
    Finding::fault(
        ENTRIES,
        format!(
            "collection {name} is empty; there are {}",
            others.join(", ")
        ),
        format!("name the one that is meant: --collection {}", others[0]),
    )
}

async fn last_run(app: &App, args: &DoctorArgs, store: &dyn EmbeddingStore) -> Finding {
    let runs = match store.runs(app.collection(), 1).await {
        Ok(runs) => runs,
        Err(error) => return Finding::skipped(LAST_RUN, error),
    };
    let Some(run) = runs.first() else {
        return Finding::fine(LAST_RUN, "no run is recorded");
    };
    let when = wire::time(run.started_at);
    let what = match run.state {
        RunState::Finished => {
            return Finding::fine(
                LAST_RUN,
                format!("the {} of {when} finished", run.kind.as_str()),
            );
        }
        RunState::Started if parts::writer(&app.settings.store).await.is_some() => {
            return Finding::fine(
                LAST_RUN,
                format!("the {} of {when} is under way", run.kind.as_str()),
            );
        }
        RunState::Started => "was cut off",
        RunState::Failed => "stopped before its end",
    };
    Finding::fault(
        LAST_RUN,
        format!(
            "the {} of {when} {what}; {} texts are paid for and kept, readers see the state before it",
            run.kind.as_str(),
            run.texts
        ),
        format!(
            "run the same command again, which pays for the rest only: {}",
            remedy::with_source(app, args, "sync")
        ),
    )
}

async fn unreferenced(app: &App, store: &dyn EmbeddingStore) -> Finding {
    let stats = match store.cache_stats().await {
        Ok(stats) => stats,
        Err(error) => return Finding::skipped(UNREFERENCED, error),
    };
    let detail = format!(
        "{} of {} vectors ({}) belong to no entry",
        stats.unreferenced,
        stats.vectors,
        size(stats.unreferenced_bytes)
    );
    if stats.unreferenced_bytes >= WORTH_PRUNING && 2 * stats.unreferenced >= stats.vectors {
        return Finding::fault(
            UNREFERENCED,
            detail,
            format!(
                "{}; texts that come back are paid for again then",
                remedy::command(app, "cache prune")
            ),
        );
    }
    Finding::fine(UNREFERENCED, detail)
}
