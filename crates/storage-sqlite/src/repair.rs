//! Repair: a damaged store is never written to. A new one is built beside it from what the old one still proves,
//! checked, and put in its place; the old one is kept.

use std::path::Path;

use rusqlite::Connection;
use storage_core::{
    Check, IntegrityReport, RepairReport, Result, StoreError, StoreErrorKind, Timestamp,
    check_names,
};

use crate::copy::file;
use crate::error::{Failure, Outcome};
use crate::header::{self, Stamp};
use crate::ops::check;
use crate::options::SqliteOptions;
use crate::partial::Partial;
use crate::reader::Reader;
use crate::salvage::pages::Pages;
use crate::salvage::{Salvage, rebuild};
use crate::{connection, lock, replace, schema};

const OPERATION: &str = "repair";

/// How a repair goes about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct RepairOptions {
    /// Find out and report, write nothing anywhere but to a temporary file of the system.
    pub dry_run: bool,
    /// Leave rows out whose vector is lost, so that search works at once; the next sync writes them anew. Without it
    /// they are kept, and search waits for the sync.
    pub drop_unembedded: bool,
}

/// Puts right what a check finds, without paying for anything: keeps every row and every vector whose checksums hold,
/// works out again what follows from them, and says what is lost and what must be embedded again. The damaged store is
/// kept under a name with `at` in it.
///
/// A store of an older schema whose database is damaged is taken as it is, and is of today's schema afterwards. A store
/// that is sound is left alone. A process that is cut off leaves the old store or the new one.
///
/// # Errors
/// `NotFound` and `Io` as `open`; `Foreign` for a file in which nothing of a store is left; `SchemaOld` and
/// `SchemaNew` with the remedy; `Busy` while another process writes.
pub fn repair(options: &SqliteOptions, how: RepairOptions, at: Timestamp) -> Result<RepairReport> {
    let path = file(options, OPERATION)?;
    repair_file(&replace::real(path), options, how, at)
        .map_err(|failure| failure.at(OPERATION, &options.place))
}

fn repair_file(
    path: &Path,
    options: &SqliteOptions,
    how: RepairOptions,
    at: Timestamp,
) -> Outcome<RepairReport> {
    let stamp = Stamp::of(path).map_err(|error| header::unreadable(error, path))?;
    if path.is_dir() {
        header::read(path)?;
    }
    // A sound store, and a file that was never ours, get no lock beside them.
    let found = look(path, options)?;
    if found.is_ok() {
        let mut report = RepairReport {
            found,
            ..RepairReport::default()
        };
        if !how.dry_run && replace::was_cut_off(path) {
            let _lock = lock::wanted(path, options.writer.as_deref(), options.busy_timeout)?;
            report.kept = replace::finish(path, "damaged", at)?;
        }
        return Ok(report);
    }
    let _lock = if how.dry_run {
        None
    } else {
        if header::read(path).is_err() {
            require_ours(path)?;
        }
        lock::wanted(path, options.writer.as_deref(), options.busy_timeout)?
    };
    // Whoever had the lock before may have changed what was found.
    let found = look(path, options)?;
    let mut report = RepairReport {
        found,
        ..RepairReport::default()
    };
    if report.found.is_ok() {
        return Ok(report);
    }
    let pages = Pages::open(path)?.ok_or_else(|| nothing_left(path))?;
    if how.dry_run {
        // A private file of SQLite's, gone when it is closed.
        let mut conn = Connection::open("")?;
        fill(&pages, &mut conn, options, how, &mut report, path)?;
        if Stamp::of(path).ok() != Some(stamp) {
            return Err(crate::reader::changing());
        }
        return Ok(report);
    }
    let new = Partial::beside(path, OPERATION)?;
    let mut conn = connection::writer(new.path(), options.busy_timeout)?;
    conn.pragma_update(None, "page_size", pages.size())?;
    // Nobody sees this file until it is complete, and it is made durable as a whole.
    conn.pragma_update(None, "journal_mode", "MEMORY")?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    fill(&pages, &mut conn, options, how, &mut report, path)?;
    let after = check::check(&conn)?;
    connection::use_log(&conn)?;
    conn.close().map_err(|(_, error)| error)?;
    if let Some(fault) = unexpected(&after) {
        return Err(Failure::new(
            StoreErrorKind::Internal,
            OPERATION,
            format!(
                "the repaired store fails its own check and is thrown away: {}: {}",
                fault.name, fault.detail
            ),
        ));
    }
    // Rows that wait for their vectors are no damage: repairing them again changes nothing.
    let improved = !faults(&after).eq(faults(&report.found));
    report.validation = Some(after);
    if improved {
        report.kept = replace::replace(path, new, "damaged", at, options.busy_timeout)?;
        report.written = true;
    }
    Ok(report)
}

/// What a check says; a store that cannot be opened for being damaged is one finding.
fn look(path: &Path, options: &SqliteOptions) -> Outcome<IntegrityReport> {
    let looked = Reader::open(path, options.busy_timeout)
        .and_then(|mut reader| reader.read(&|conn| check::check(conn)));
    let fact = match looked {
        Ok(found) => return Ok(found),
        Err(failure) if failure.is_corrupt() => failure.fact(),
        Err(Failure::Store(error)) if error.kind() == StoreErrorKind::Foreign && !path.is_dir() => {
            error.to_string()
        }
        Err(Failure::Database(error))
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) =>
        {
            error.to_string()
        }
        // A store of an older schema is upgraded first, unless it is too damaged for that.
        Err(Failure::Store(error)) if error.kind() == StoreErrorKind::SchemaOld => {
            match damage_of_old(path, options)? {
                Some(damage) => damage,
                None => return Err(error.into()),
            }
        }
        Err(failure) => return Err(failure),
    };
    Ok(IntegrityReport {
        checks: vec![Check::compare(
            check_names::CONNECTION,
            "unreadable",
            "readable",
            format!("the store cannot be opened: {fact}"),
        )],
    })
}

/// What keeps a store of an older schema from being upgraded: its history is lost, or the database is damaged.
fn damage_of_old(path: &Path, options: &SqliteOptions) -> Outcome<Option<String>> {
    let Some(mut reader) = Reader::open_any(path, options.busy_timeout)? else {
        return Ok(None);
    };
    let status = reader.read(&|conn| schema::status(conn, &options.place))?;
    if status.current > 0 {
        let whole = reader.read(&|conn| {
            Ok(conn.pragma_query_value(None, "integrity_check", |row| row.get::<_, String>(0))?)
        });
        return match whole {
            Ok(found) => Ok((found != "ok").then_some(found)),
            Err(failure) if failure.is_corrupt() => Ok(Some(failure.fact())),
            Err(failure) => Err(failure),
        };
    }
    // A store that holds something and says that it was never migrated has lost its history.
    let pages = Pages::open(path)?;
    let is_ours = pages.is_some_and(|pages| Salvage::of(&pages).is_ours());
    Ok(is_ours.then(|| format!("it says that it was never migrated: {}", path.display())))
}

/// Refuses a file in which nothing of a store is left, before anything is created beside it.
fn require_ours(path: &Path) -> Outcome<()> {
    let pages = Pages::open(path)?.ok_or_else(|| nothing_left(path))?;
    if Salvage::of(&pages).is_ours() {
        Ok(())
    } else {
        Err(nothing_left(path))
    }
}

fn fill(
    pages: &Pages,
    conn: &mut Connection,
    options: &SqliteOptions,
    how: RepairOptions,
    report: &mut RepairReport,
    path: &Path,
) -> Outcome<()> {
    schema::migrate(conn, &options.place)?;
    let salvage = Salvage::of(pages);
    if !salvage.is_ours() {
        return Err(nothing_left(path));
    }
    rebuild(&salvage, conn, how.drop_unembedded, report)?;
    let again: Vec<_> = faults(&report.found)
        .filter_map(|check| worked_out(check.name))
        .collect();
    report
        .recomputed
        .splice(0..0, again.into_iter().map(str::to_owned));
    Ok(())
}

/// What a finding makes a repair work out again.
fn worked_out(check: &str) -> Option<&'static str> {
    Some(match check {
        check_names::CONNECTION => "pages and indices",
        check_names::SCHEMA_VERSION => "the schema",
        check_names::EMBEDDING_VERSION => "the state of the versions that are served",
        check_names::TEMPLATES => "row counts",
        check_names::CONTENT_HASHES => "row and document counts",
        check_names::CATEGORIES => "categories and their counts",
        check_names::ORPHANS | check_names::FOREIGN_KEYS => "references from rows to vectors",
        check_names::GENERATION => "the store's generation",
        _ => return None,
    })
}

/// A fault that a repaired store must not have: rows may lack their vectors, and nothing else.
fn unexpected(after: &IntegrityReport) -> Option<&Check> {
    faults(after).find(|check| check.name != check_names::TEMPLATES)
}

fn faults(report: &IntegrityReport) -> impl Iterator<Item = &Check> {
    report.checks.iter().filter(|check| !check.ok)
}

fn nothing_left(path: &Path) -> Failure {
    Failure::Store(StoreError::new(
        StoreErrorKind::Foreign,
        OPERATION,
        format!(
            "nothing of a Smart Support store is left in this file; put a backup in its place with `smart-support \
             restore FILE --force`: {}",
            path.display()
        ),
    ))
}
