//! Owns `docs/reference/`: pages that the product writes about itself with its hidden subcommand `__reference DIR`.
//!
//! `cargo xtask docs` writes them; `cargo xtask tidy` compares.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::environment::{self, Environment};
use crate::process;
use crate::tidy::Finding;
use crate::workspace::{Workspace, forget_cargo_run};

const FOLDER: &str = "docs/reference";
/// The pages; nothing else may lie in the folder.
const PAGES: [&str; 2] = ["cli.md", "environment.md"];

/// Writes the pages.
pub(crate) fn write(workspace: &Workspace) -> Result<ExitCode> {
    std::fs::create_dir_all(workspace.path(FOLDER))
        .with_context(|| format!("cannot create {FOLDER}"))?;
    for (name, text) in generate(workspace)? {
        let file = format!("{FOLDER}/{name}");
        std::fs::write(workspace.path(&file), text)
            .with_context(|| format!("cannot write {file}"))?;
        println!("{file}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares the committed pages with what the product would write now.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let generated = generate(workspace)?;
    let committed = if workspace.path(FOLDER).is_dir() {
        pages(&workspace.path(FOLDER))?
    } else {
        BTreeMap::new()
    };
    Ok(compare(&committed, &generated))
}

fn generate(workspace: &Workspace) -> Result<BTreeMap<String, String>> {
    // The build that tests drive, so that neither undoes the other's.
    let binary = Environment::load(workspace, environment::DEFAULT)?.build(workspace, false)?;
    let dir = workspace
        .metadata()?
        .target_directory
        .join("xtask/reference");
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut command = Command::new(binary);
    command
        .current_dir(workspace.root())
        .arg("__reference")
        .arg(&dir);
    forget_cargo_run(&mut command);
    process::run(&mut command)?;
    let pages = pages(&dir)?;
    if let Some(missing) = PAGES.iter().find(|page| !pages.contains_key(**page)) {
        bail!("`smart-support __reference` did not write {missing}");
    }
    Ok(pages)
}

fn pages(dir: &Path) -> Result<BTreeMap<String, String>> {
    let mut pages = BTreeMap::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry
            .with_context(|| format!("cannot list {}", dir.display()))?
            .path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".md") {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            pages.insert(name, text);
        }
    }
    Ok(pages)
}

fn compare(
    committed: &BTreeMap<String, String>,
    generated: &BTreeMap<String, String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, fresh) in generated {
        let path = format!("{FOLDER}/{name}");
        match committed.get(name) {
            None => findings.push(Finding::new(
                path,
                1,
                "generated page is missing: run `cargo xtask docs`",
            )),
            Some(old) if old != fresh => {
                let line = first_difference(old, fresh);
                findings.push(Finding::new(
                    path,
                    line,
                    "generated page is out of date: run `cargo xtask docs`",
                ));
            }
            Some(_) => {}
        }
    }
    for name in committed
        .keys()
        .filter(|name| !generated.contains_key(*name))
    {
        findings.push(Finding::new(
            format!("{FOLDER}/{name}"),
            1,
            "nothing generates this page: move it or delete it",
        ));
    }
    findings
}

/// Number of the first line in which two texts differ.
fn first_difference(a: &str, b: &str) -> usize {
    a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_compared() {
        let of = |pages: &[(&str, &str)]| -> BTreeMap<String, String> {
            pages
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect()
        };
        let fresh = of(&[("cli.md", "a\nb\n"), ("environment.md", "x\n")]);
        assert!(compare(&fresh, &fresh).is_empty());
        let old = of(&[("cli.md", "a\nc\n"), ("stray.md", "")]);
        let found: Vec<String> = compare(&old, &fresh)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            found,
            [
                "docs/reference/cli.md:2: generated page is out of date: run `cargo xtask docs`",
                "docs/reference/environment.md:1: generated page is missing: run `cargo xtask docs`",
                "docs/reference/stray.md:1: nothing generates this page: move it or delete it",
            ]
        );
    }
}
