//! What runs that were killed left lying about: half-fetched weights, half-written reports.

use std::path::{Path, PathBuf};

use super::finding::Finding;
use super::place;
use crate::app::App;
use crate::parts;
use crate::private_file::PREFIX;
use crate::settings::StoreLocation;

const LEFTOVERS: &str = "leftovers";

pub(super) fn look(app: &App) -> Finding {
    let mut directories: Vec<(PathBuf, &str)> = Vec::new();
    if let Ok(settings) = app.settings.embedder()
        && let Some((directory, prefix)) = parts::fetch_workshop(&settings)
    {
        directories.push((directory, prefix));
    }
    if let Ok(here) = std::env::current_dir() {
        directories.push((here, PREFIX));
    }
    if let StoreLocation::Sqlite(path, _) = &app.settings.store
        && let Some(directory) = place::standing_directory(path)
    {
        directories.push((directory, PREFIX));
    }
    let mut found: Vec<PathBuf> = directories
        .iter()
        .flat_map(|(directory, prefix)| abandoned(directory, prefix))
        .collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Finding::fine(LEFTOVERS, "nothing was left by a run that was killed");
    }
    let names: Vec<String> = found.iter().map(|path| place::quoted(path)).collect();
    Finding::fault(
        LEFTOVERS,
        format!("{} left by runs that were killed", names.join(", ")),
        format!("rm -r {}", names.join(" ")),
    )
}

/// Entries of a directory with that prefix and the number of a process that is gone.
fn abandoned(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let Some(rest) = name.strip_prefix(prefix) else {
                return false;
            };
            let digits = rest.split(|char: char| !char.is_ascii_digit()).next();
            digits
                .is_some_and(|digits| !digits.is_empty() && place::is_alive(digits) == Some(false))
        })
        .map(|entry| entry.path())
        .collect()
}
