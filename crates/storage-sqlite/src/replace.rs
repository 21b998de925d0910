//! Puts a finished file in the place of a store. The caller holds the writer's lock.
//!
//! What must never happen is that a log of the old store lies beside the new one: SQLite would replay it. So the order
//! is: first the old log is copied into the old store, which changes nothing that a reader sees; then the log, empty
//! now, goes; then one rename decides. Whoever is cut off in between leaves the old store, whole, or the new one. Only
//! an old store that SQLite cannot open, or whose log is damaged, is left without its log for a moment: SQLite would
//! throw away what it does not understand, so such a log is kept first, with the old store.
//!
//! Readers that have the old file open keep reading the old file.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use storage_core::{StoreErrorKind, Timestamp};

use crate::connection;
use crate::copy::free_name;
use crate::descriptors::Shared;
use crate::error::{Failure, Outcome};
use crate::header;
use crate::log;
use crate::partial::{PARTIAL, Partial, SIDECARS, remove, same_file, sync_directory, unwritable};

const OPERATION: &str = "replace";

/// The old store's second name while it is replaced.
pub(crate) const HELD: &str = ".replaced";

/// The place a store's path leads to: a link stays a link, and what it points at is replaced.
pub(crate) fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Replaces the store at `path`, and keeps the old one beside it under a name with `word` and the time in it.
pub(crate) fn replace(
    path: &Path,
    new: Partial,
    word: &str,
    at: Timestamp,
    timeout: Duration,
) -> Outcome<Option<PathBuf>> {
    let failed = |error| unwritable(error, OPERATION, path);
    let stamp = stamp(at);
    let held = header::beside(path, HELD);
    finish_earlier(path, &held, word, &stamp)?;
    let old = match std::fs::metadata(path) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    if let Some(old) = &old {
        new.resemble(old);
    }
    new.sync(OPERATION)?;
    quiet(path, &held, old.as_ref(), timeout)?;
    new.publish(path, OPERATION)?;
    if std::fs::symlink_metadata(&held).is_err() && !has_sidecar(&held) {
        return Ok(None);
    }
    let kept = free_name(path, word, &stamp);
    rename_all(&held, &kept).map_err(failed)?;
    sync_directory(path).map_err(failed)?;
    Ok(Some(kept))
}

/// Empties and removes what lies beside the old store, and holds the store itself by a second name, so that it
/// outlives the rename.
fn quiet(path: &Path, held: &Path, old: Option<&Metadata>, timeout: Duration) -> Outcome<()> {
    const TRIES: usize = 20;
    let failed = |error| unwritable(error, OPERATION, path);
    for _ in 0..TRIES {
        if old.is_some_and(|old| old.len() > 0)
            && header::read(path).is_ok()
            && log::require_whole(path).is_ok()
        {
            match empty_log(path, timeout) {
                Ok(()) => {}
                Err(failure) if is_unreadable(&failure) => {}
                Err(failure) => return Err(failure),
            }
        }
        // A log with something in it belongs to a store that SQLite cannot read, or to none: it is kept.
        for suffix in SIDECARS {
            let sidecar = header::beside(path, suffix);
            if suffix != "-shm" && std::fs::metadata(&sidecar).is_ok_and(|found| found.len() > 0) {
                copy_durably(&sidecar, &header::beside(held, suffix)).map_err(failed)?;
            }
        }
        if old.is_some() && !same_file(path, held) {
            remove(held).map_err(failed)?;
            std::fs::hard_link(path, held)
                .or_else(|_| copy_durably(path, held))
                .map_err(failed)?;
        }
        sync_directory(path).map_err(failed)?;
        for suffix in SIDECARS {
            remove(&header::beside(path, suffix)).map_err(failed)?;
        }
        sync_directory(path).map_err(failed)?;
        if !has_sidecar(path) {
            return Ok(());
        }
    }
    Err(Failure::new(
        StoreErrorKind::Busy,
        OPERATION,
        format!(
            "another program keeps opening the store; close it and run the command again: {}",
            path.display()
        ),
    ))
}

/// Copies the log into the store, and waits for the readers it is needed by. Closing the last connection removes it.
fn empty_log(path: &Path, timeout: Duration) -> Outcome<()> {
    if !has_sidecar(path) {
        return Ok(());
    }
    let conn = connection::writer(path, timeout)?;
    let checkpoint = conn.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE);
    // Only a read makes SQLite look at a journal that was left by a crash.
    let looked = conn.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()));
    conn.close().map_err(|(_, error)| error)?;
    checkpoint?;
    looked?;
    Ok(())
}

fn is_unreadable(failure: &Failure) -> bool {
    failure.is_corrupt()
        || matches!(failure, Failure::Database(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase))
}

fn has_sidecar(path: &Path) -> bool {
    SIDECARS
        .iter()
        .any(|suffix| std::fs::symlink_metadata(header::beside(path, suffix)).is_ok())
}

/// Whether a replacement was cut off and nobody has tidied up since.
pub(crate) fn was_cut_off(path: &Path) -> bool {
    let held = header::beside(path, HELD);
    std::fs::symlink_metadata(&held).is_ok()
        || has_sidecar(&held)
        || std::fs::symlink_metadata(header::beside(path, PARTIAL)).is_ok()
}

/// Tidies up behind a replacement that was cut off; says where it kept the old store.
pub(crate) fn finish(path: &Path, word: &str, at: Timestamp) -> Outcome<Option<PathBuf>> {
    drop(Partial::beside(path, OPERATION)?);
    finish_earlier(path, &header::beside(path, HELD), word, &stamp(at))
}

/// What a replacement left that was cut off: before its rename a second name of the store, after it the old store.
fn finish_earlier(path: &Path, held: &Path, word: &str, stamp: &str) -> Outcome<Option<PathBuf>> {
    let failed = |error| unwritable(error, OPERATION, held);
    if std::fs::symlink_metadata(held).is_err() && !has_sidecar(held) {
        return Ok(None);
    }
    let kept = if same_file(path, held) {
        // Cut off before its rename: a log that was put aside is still this store's, and may hold what was committed
        // last.
        for suffix in SIDECARS {
            let (aside, own) = (header::beside(held, suffix), header::beside(path, suffix));
            if suffix != "-shm" && aside.exists() && !own.exists() {
                std::fs::rename(aside, own).map_err(failed)?;
            }
        }
        sync_directory(path).map_err(failed)?;
        remove(held).map_err(failed)?;
        for suffix in SIDECARS {
            remove(&header::beside(held, suffix)).map_err(failed)?;
        }
        None
    } else {
        let kept = free_name(path, word, &format!("{stamp}-earlier"));
        rename_all(held, &kept).map_err(failed)?;
        Some(kept)
    };
    sync_directory(held).map_err(failed)?;
    Ok(kept)
}

fn rename_all(from: &Path, to: &Path) -> io::Result<()> {
    for suffix in SIDECARS {
        let sidecar = header::beside(from, suffix);
        if std::fs::symlink_metadata(&sidecar).is_ok() {
            std::fs::rename(sidecar, header::beside(to, suffix))?;
        }
    }
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn copy_durably(from: &Path, to: &Path) -> io::Result<()> {
    remove(to)?;
    let mut original = Shared::open(from)?;
    let mut copy = File::create_new(to)?;
    copy.set_permissions(original.metadata()?.permissions())?;
    io::copy(&mut original, &mut copy)?;
    copy.sync_all()
}

/// An instant as part of a file name: `20261121T083005Z`.
fn stamp(at: Timestamp) -> String {
    let seconds = at.0.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date of the Gregorian calendar, years beginning in March so that leap days come last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + 400 * era + i64::from(month <= 2);
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_become_names() {
        for (at, expected) in [
            (0, "19700101T000000Z"),
            (951_782_400_000, "20000229T000000Z"),
            (1_795_249_805_999, "20261121T083005Z"),
            (2_147_483_648_000, "20380119T031408Z"),
        ] {
            assert_eq!(stamp(Timestamp(at)), expected);
        }
    }
}
