//! Owns `cargo xtask tidy`: rules that the compiler does not know, each a pure function in a module of its own.
//!
//! This file reads the checkout, hands texts to the checks and prints what they find. The checks touch no file.

mod feature_gates;
mod file_size;
mod manifests;
pub(crate) mod migrations;
mod texts;

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;
use crate::{layers, reference};

/// What `tidy` was asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Record checksums of migrations that have none.
    pub(crate) bless: bool,
    /// Leave out the generated docs.
    pub(crate) no_reference: bool,
}

/// One fault, with the place to go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    pub(crate) fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Prints every finding; any is a failure.
pub(crate) fn command(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    run(workspace, options)?;
    Ok(ExitCode::SUCCESS)
}

/// The same, for `ci`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.bless {
        bless(workspace)?;
    }
    let mut findings = check_sources(workspace)?;
    if !options.no_reference {
        findings.extend(reference::check(workspace).context("cannot compare docs/reference")?);
    }
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy found {} fault(s)", findings.len());
    }
    Ok(())
}

/// Every check that needs nothing built.
fn check_sources(workspace: &Workspace) -> Result<Vec<Finding>> {
    let files = read_all(workspace)?;
    let mut findings = layers::check(&workspace.metadata()?.members);
    findings.extend(manifests::check(&files)?);
    findings.extend(migrations::check(&files));
    for (path, bytes) in &files {
        // What is not text has no lines to speak of.
        let Ok(text) = str::from_utf8(bytes) else {
            continue;
        };
        findings.extend(texts::check(path, text));
        findings.extend(file_size::check(path, text));
        if path.ends_with(".rs") {
            findings.extend(feature_gates::check(path, text));
        }
    }
    findings.extend(file_size::check_exceptions(&files));
    Ok(findings)
}

/// The checkout's files by path.
type Files = BTreeMap<String, Vec<u8>>;

fn read_all(workspace: &Workspace) -> Result<Files> {
    let read = |path: String| {
        let bytes =
            std::fs::read(workspace.path(&path)).with_context(|| format!("cannot read {path}"))?;
        Ok((path, bytes))
    };
    workspace.files()?.into_iter().map(read).collect()
}

fn bless(workspace: &Workspace) -> Result<()> {
    for (path, text) in migrations::blessed(&read_all(workspace)?) {
        std::fs::write(workspace.path(&path), text)
            .with_context(|| format!("cannot write {path}"))?;
        println!("{path}: recorded");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_is_tidy() {
        let found = check_sources(&Workspace::locate().unwrap()).unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(
            found.is_empty(),
            "{} fault(s):\n{}",
            found.len(),
            found.join("\n")
        );
    }
}
