//! Copies of a whole store: backup and restore. Both copy with SQLite's own means, so that what is still in a log is
//! in the copy, check the copy and not the original, and put it in its place by one rename.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use storage_core::{
    Check, CopyReport, Generation, IntegrityReport, Result, SchemaStatus, StoreErrorKind,
    Timestamp, check_names,
};

use crate::connection;
use crate::error::{Failure, Outcome};
use crate::header;
use crate::lock;
use crate::ops::check;
use crate::options::{Place, SqliteOptions};
use crate::partial::{self, Partial};
use crate::reader::{self, Reader};
use crate::replace;
use crate::{schema, sql};

/// Copies a store, while others read and write it, into one file that needs nothing beside it.
///
/// With `verify`, every page, row and vector of the copy is checked before it gets its name; a copy with faults is
/// reported and thrown away. A file that is there is replaced only with `overwrite`.
///
/// # Errors
/// `Unsupported` in memory, `Invalid` for a target that is the store, a directory, in use, or there already; as
/// `open_read_only` for the store, `Io` for the target.
pub fn backup(
    options: &SqliteOptions,
    target: &Path,
    verify: bool,
    overwrite: bool,
) -> Result<CopyReport> {
    let path = file(options, "backup")?;
    backup_file(path, target, options, verify, overwrite)
        .map_err(|failure| failure.at("backup", &options.place))
}

/// Puts a backup in the place of a store, or where there is none. The backup is checked first, and is read as any
/// store is: one with a log beside it counts with its log. What was there is kept under a name with `at` in it.
///
/// A process that is cut off leaves the old store or the new one. A file in the store's place that is no store is
/// replaced only with `overwrite`; it is kept all the same.
///
/// # Errors
/// As [`backup`], with the parts exchanged; `Busy` while another process writes to the store.
pub fn restore(
    options: &SqliteOptions,
    backup: &Path,
    overwrite: bool,
    at: Timestamp,
) -> Result<CopyReport> {
    let path = file(options, "restore")?;
    restore_file(path, backup, options, overwrite, at)
        .map_err(|failure| failure.at("restore", &options.place))
}

/// The path of a store that is a file.
pub(crate) fn file<'a>(options: &'a SqliteOptions, operation: &'static str) -> Result<&'a Path> {
    match &options.place {
        Place::File(path) => Ok(path),
        Place::Memory => Err(storage_core::StoreError::new(
            StoreErrorKind::Unsupported,
            operation,
            "a store in memory is gone with the process; name a file with --store sqlite:PATH",
        )),
    }
}

fn backup_file(
    path: &Path,
    target: &Path,
    options: &SqliteOptions,
    verify: bool,
    overwrite: bool,
) -> Outcome<CopyReport> {
    // The store first: a mistake in its name leaves no directory behind.
    drop(source(path, options, "store")?);
    check_target(path, target, overwrite)?;
    partial::create_directories(target, "backup")?;
    let copy = Partial::beside(target, "backup")?;
    copy_into(path, &copy, options, "store")?;
    let mut report = describe(&copy, options, verify)?;
    if report
        .validation
        .as_ref()
        .is_none_or(IntegrityReport::is_ok)
    {
        // Somebody may have been quicker.
        check_target(path, target, overwrite)?;
        copy.publish(target, "backup")?;
        report.published = true;
    }
    Ok(report)
}

fn restore_file(
    path: &Path,
    backup: &Path,
    options: &SqliteOptions,
    overwrite: bool,
    at: Timestamp,
) -> Outcome<CopyReport> {
    match source(backup, options, "backup") {
        Ok(reader) => drop(reader),
        Err(failure) if failure.is_corrupt() => return Ok(unreadable(0, &failure)),
        Err(failure) => return Err(failure),
    }
    if partial::same_file(path, backup) {
        return Err(refused(
            "restore",
            "the backup is the store itself; name another file",
            backup,
        ));
    }
    let path = &replace::real(path);
    if !overwrite {
        check_replaceable(path)?;
    } else if path.is_dir() {
        return Err(refused(
            "restore",
            "the store's path is a directory; name a file",
            path,
        ));
    }
    partial::create_directories(path, "restore")?;
    let copy = Partial::beside(path, "restore")?;
    match copy_into(backup, &copy, options, "backup") {
        Err(failure) if failure.is_corrupt() => return Ok(unreadable(0, &failure)),
        copied => copied?,
    }
    let mut report = describe(&copy, options, true)?;
    if report
        .validation
        .as_ref()
        .is_some_and(IntegrityReport::is_ok)
    {
        let _lock = lock::wanted(path, options.writer.as_deref(), options.busy_timeout)?;
        renew(&copy, options)?;
        report.kept = replace::replace(path, copy, "before-restore", at, options.busy_timeout)?;
        report.published = true;
    }
    Ok(report)
}

/// Opens what is to be copied; its schema may be older than this build's.
fn source(path: &Path, options: &SqliteOptions, what: &str) -> Outcome<Reader> {
    let opened = match Reader::open_any(path, options.busy_timeout) {
        Ok(Some(reader)) => reader,
        Ok(None) => {
            return Err(refused(
                "copy",
                &format!("the {what} is an empty file; name another one"),
                path,
            ));
        }
        Err(Failure::Store(error)) if what == "backup" => {
            let message = match error.kind() {
                StoreErrorKind::NotFound => "there is no such backup; name another file".to_owned(),
                StoreErrorKind::Foreign => "not a backup of a Smart Support store".to_owned(),
                kind => return Err(Failure::new(kind, "restore", error.to_string())),
            };
            return Err(Failure::new(
                error.kind(),
                "restore",
                format!("{message}: {}", path.display()),
            ));
        }
        Err(failure) => return Err(failure),
    };
    Ok(opened)
}

/// A target that is, or may be, somebody's store is never written over.
fn check_target(path: &Path, target: &Path, overwrite: bool) -> Outcome<()> {
    let reason = if target.is_dir() || target.file_name().is_none() {
        "the backup's path is a directory; name a file"
    } else if partial::same_file(path, target) || belongs_to(&replace::real(path), target) {
        "the backup's path is the store itself, or a file of the store; name another file"
    } else if partial::SIDECARS
        .iter()
        .any(|suffix| holds_something(&header::beside(target, suffix)))
    {
        "the backup's path is a database in use, its log lies beside it; name another file"
    } else if std::fs::symlink_metadata(target).is_ok() && !overwrite {
        "there is a file already; name another one, or replace it with --force"
    } else {
        return Ok(());
    };
    Err(refused("backup", reason, target))
}

/// Whether the target is one of the files that live beside a store.
fn belongs_to(store: &Path, target: &Path) -> bool {
    let directory = |path: &Path| {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        std::fs::canonicalize(parent.unwrap_or(Path::new("."))).ok()
    };
    let names: Vec<_> = partial::SIDECARS
        .iter()
        .copied()
        .chain([".lock", partial::PARTIAL, replace::HELD])
        .map(|suffix| header::beside(store, suffix))
        .collect();
    let name = |path: &Path| path.file_name().map(OsStr::to_owned);
    directory(store) == directory(target) && names.iter().any(|own| name(own) == name(target))
}

fn holds_something(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.len() > 0)
}

/// A file that is no store of ours is replaced only by somebody who says so: the path may be a slip.
fn check_replaceable(path: &Path) -> Outcome<()> {
    match header::read(path) {
        Ok(_) => Ok(()),
        Err(Failure::Store(error)) => match error.kind() {
            StoreErrorKind::NotFound | StoreErrorKind::SchemaNew => Ok(()),
            StoreErrorKind::Foreign if !path.is_dir() => Err(refused(
                "restore",
                "what is there is no Smart Support store; name another path, or replace it with --force (it is kept \
                 under another name)",
                path,
            )),
            _ => Err(Failure::Store(error)),
        },
        Err(failure) => Err(failure),
    }
}

fn refused(operation: &'static str, reason: &str, path: &Path) -> Failure {
    Failure::new(
        StoreErrorKind::Invalid,
        operation,
        format!("{reason}: {}", path.display()),
    )
}

/// Copies every page as of one moment. Writers go on meanwhile; where they cannot be kept apart, it begins again.
fn copy_into(from: &Path, to: &Partial, options: &SqliteOptions, what: &str) -> Outcome<()> {
    const TRIES: usize = 5;
    for _ in 0..TRIES {
        let reader = source(from, options, what)?;
        let mut copy = connection::writer(to.path(), options.busy_timeout)?;
        let copied = all_pages(reader.connection(), &mut copy);
        copy.close().map_err(|(_, error)| error)?;
        if reader.is_sound() {
            return copied;
        }
    }
    Err(reader::changing())
}

fn all_pages(from: &Connection, to: &mut Connection) -> Outcome<()> {
    let backup = Backup::new(from, to)?;
    match backup.step(-1)? {
        StepResult::Done => Ok(()),
        // One step holds one read transaction, and waits for whoever is in its way as any read does.
        _ => Err(Failure::new(
            StoreErrorKind::Busy,
            "copy",
            "another process is writing to the store; wait for it and run the command again",
        )),
    }
}

/// Looks at a copy through the eyes of a reader.
fn describe(copy: &Partial, options: &SqliteOptions, verify: bool) -> Outcome<CopyReport> {
    copy.sync("copy")?;
    let bytes = std::fs::metadata(copy.path()).map_or(0, |found| found.len());
    let looked = Reader::open_any(copy.path(), options.busy_timeout).and_then(|reader| {
        let Some(mut reader) = reader else {
            return Err(Failure::corrupt("copy", "the copy is empty"));
        };
        reader.read(&|conn| {
            let schema = schema::status(conn, &options.place)?;
            let counts = if schema.current == 0 {
                (0, 0, 0)
            } else {
                conn.query_row(sql::COPY_COUNTS, (), |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?
            };
            let validation = match (verify, schema.pending.is_empty()) {
                (false, _) => None,
                (true, true) => Some(check::check(conn)?),
                // Rows of another schema cannot be judged by today's rules: its pages can.
                (true, false) => Some(check::structure(conn)?),
            };
            Ok((schema, counts, validation))
        })
    });
    match looked {
        Ok((schema, (records, vectors, generation), validation)) => Ok(CopyReport {
            bytes,
            records,
            vectors,
            generation: Generation(generation),
            schema,
            validation,
            published: false,
            kept: None,
        }),
        // So damaged that it cannot even be counted: that is a finding.
        Err(failure) if verify && failure.is_corrupt() => Ok(unreadable(bytes, &failure)),
        Err(failure) => Err(failure),
    }
}

fn unreadable(bytes: u64, failure: &Failure) -> CopyReport {
    CopyReport {
        bytes,
        records: 0,
        vectors: 0,
        generation: Generation(0),
        schema: SchemaStatus {
            current: 0,
            latest: schema::latest(),
            pending: Vec::new(),
        },
        validation: Some(IntegrityReport {
            checks: vec![Check::compare(
                check_names::CONNECTION,
                "unreadable",
                "readable",
                format!("it cannot be read: {}", failure.fact()),
            )],
        }),
        published: false,
        kept: None,
    }
}

/// Gives a copy that becomes a store a name of its own: caches beside the store are bound to the name and a
/// generation, and a restored store will reach generations again that it had before, with other rows.
fn renew(copy: &Partial, options: &SqliteOptions) -> Outcome<()> {
    let conn = connection::writer(copy.path(), options.busy_timeout)?;
    if schema::status(&conn, &options.place)?.current > 0 {
        conn.execute(sql::RENEW_STORE, ())?;
    }
    connection::use_log(&conn)?;
    conn.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// A name for what is kept: beside the store, and never one that is taken.
pub(crate) fn free_name(path: &Path, word: &str, stamp: &str) -> PathBuf {
    (1u32..)
        .map(|count| match count {
            1 => header::beside(path, &format!(".{word}-{stamp}")),
            _ => header::beside(path, &format!(".{word}-{stamp}-{count}")),
        })
        .find(|name| std::fs::symlink_metadata(name).is_err())
        .unwrap_or_else(|| header::beside(path, &format!(".{word}")))
}
