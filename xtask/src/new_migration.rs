//! Owns `cargo xtask new-migration`: the next number, the same in every backend, and an empty file for each.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::tidy::migrations::number;
use crate::workspace::Workspace;

/// Writes `crates/storage-*/migrations/NNNN_NAME.sql`.
pub(crate) fn command(workspace: &Workspace, name: &str) -> Result<ExitCode> {
    check_name(name)?;
    let backends = backends(workspace)?;
    if backends.is_empty() {
        bail!("no backend crate yet: no folder crates/storage-*/ besides storage-core");
    }
    let next = next_number(&sql_names(workspace)?)?;
    for backend in backends {
        let file = format!("crates/{backend}/migrations/{next:04}_{name}.sql");
        let path = workspace.path(&file);
        std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        std::fs::write(&path, "-- Say here what this changes and why.\n")
            .with_context(|| format!("cannot write {file}"))?;
        println!("{file}");
    }
    eprintln!(
        "xtask: add it to the backend's list; when it is final, `cargo xtask tidy --bless` records its checksum"
    );
    Ok(ExitCode::SUCCESS)
}

/// Names are `verb_noun`, in lower case.
fn check_name(name: &str) -> Result<()> {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    if !name.split('_').all(word) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        bail!("`{name}` is not a name such as add_locator_column: lower-case words joined by `_`");
    }
    Ok(())
}

/// One past the highest number of any backend, so that equal numbers mean equal things.
fn next_number(names: &[String]) -> Result<u32> {
    let highest = names
        .iter()
        .filter_map(|name| number(name))
        .max()
        .unwrap_or(0);
    if highest >= 9999 {
        bail!("the numbers of migrations are used up");
    }
    Ok(highest + 1)
}

fn backends(workspace: &Workspace) -> Result<Vec<String>> {
    let mut backends = Vec::new();
    for entry in std::fs::read_dir(workspace.path("crates")).context("cannot list crates")? {
        let name = entry
            .context("cannot list crates")?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if name.starts_with("storage-") && name != "storage-core" {
            backends.push(name);
        }
    }
    backends.sort();
    Ok(backends)
}

fn sql_names(workspace: &Workspace) -> Result<Vec<String>> {
    let files = workspace.files()?;
    let sql = files
        .iter()
        .filter(|file| file.contains("/migrations/") && file.ends_with(".sql"));
    Ok(sql
        .filter_map(|file| file.rsplit('/').next())
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(next_number(&names(&[])).unwrap(), 1);
        assert_eq!(
            next_number(&names(&["0001_a.sql", "0003_b.sql", "0002_c.sql"])).unwrap(),
            4
        );
        assert!(next_number(&names(&["9999_z.sql"])).is_err());
    }

    #[test]
    fn names_are_words() {
        for good in ["add_locator", "create_vectors_2"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "Add", "add-locator", "_add", "add__x", "../x", "2_add"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
