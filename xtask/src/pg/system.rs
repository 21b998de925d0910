//! The provider `system`: programs that are installed, with pgvector beside them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use postgres_harness::Programs;

use crate::process;

/// Directories of versions, and where their programs are below.
const INSTALLED: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
];

/// The newest with pgvector; the one that `pg_config` on the PATH belongs to before all others.
pub(super) fn programs() -> Result<Programs> {
    let mut reasons = Vec::new();
    for bin in candidates() {
        let programs = Programs {
            bin,
            libraries: None,
        };
        match programs.facts() {
            Ok(_) => return Ok(programs),
            Err(error) => reasons.push(format!("{error:#}")),
        }
    }
    if reasons.is_empty() {
        bail!("no PostgreSQL server is installed");
    }
    bail!("{}", reasons.join("; "))
}

fn candidates() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut ask = Command::new("pg_config");
    ask.arg("--bindir").stderr(std::process::Stdio::null());
    if let Ok(path) = process::output(&mut ask) {
        found.push(PathBuf::from(path.trim()));
    }
    for (parent, below) in INSTALLED {
        let Ok(entries) = std::fs::read_dir(parent) else {
            continue;
        };
        let mut versions: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| version(path).is_some())
            .collect();
        versions.sort_by_key(|path| std::cmp::Reverse(version(path)));
        found.extend(versions.into_iter().map(|path| path.join(below)));
    }
    found.retain(|bin| bin.join("postgres").is_file());
    let mut seen = Vec::new();
    found.retain(|bin| {
        let new = !seen.contains(bin);
        seen.push(bin.clone());
        new
    });
    found
}

/// Reads the number at the end of `15`, `pgsql-17` and `postgresql@18`.
fn version(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let number = ["pgsql-", "postgresql@", ""]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_recognised_by_their_directory() {
        let cases = [
            ("/usr/lib/postgresql/15", Some(15)),
            ("/usr/pgsql-17", Some(17)),
            ("/opt/homebrew/opt/postgresql@18", Some(18)),
            ("/usr/bin", None),
            ("/usr/local/opt/postgresql", None),
        ];
        for (path, expected) in cases {
            assert_eq!(version(Path::new(path)), expected, "{path}");
        }
    }
}
