//! Owns `cargo xtask features`: every environment, and every feature of every member alone, one package at a time.
//!
//! A build of the whole workspace unifies features and hides a missing one; so does checking two packages at once.
//! Warnings are faults here too, since code that only some feature uses is dead without it; hence clippy, not check.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::environment::{Environment, feature_args};
use crate::metadata::Member;
use crate::process;
use crate::workspace::{PRODUCT_PACKAGE, Workspace};

/// One thing to compile.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    label: String,
    package: String,
    feature_args: Vec<String>,
    /// Crates that must not be in its tree.
    forbidden: BTreeSet<String>,
}

/// Checks all of them and names every one that fails.
pub(crate) fn command(workspace: &Workspace) -> Result<ExitCode> {
    run(workspace)?;
    Ok(ExitCode::SUCCESS)
}

/// The same, for `ci`.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let checks = checks(
        &workspace.metadata()?.members,
        &Environment::load_all(workspace)?,
    );
    let mut failed = Vec::new();
    for check in &checks {
        let start = Instant::now();
        let result = perform(workspace, check);
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => eprintln!("features: {} ok ({seconds:.1} s)", check.label),
            Err(error) => {
                eprintln!(
                    "features: {} FAILED ({seconds:.1} s): {error:#}",
                    check.label
                );
                failed.push(check.label.as_str());
            }
        }
    }
    if !failed.is_empty() {
        bail!(
            "{} of {} feature checks failed: {}",
            failed.len(),
            checks.len(),
            failed.join("; ")
        );
    }
    Ok(())
}

/// What there is to check: environments first, then each member bare and with each feature alone.
fn checks(members: &[Member], environments: &[Environment]) -> Vec<Check> {
    let of_environment = environments.iter().map(|environment| Check {
        label: format!("environment {}", environment.name),
        package: PRODUCT_PACKAGE.to_owned(),
        feature_args: environment.cargo_args(),
        forbidden: environment.forbidden.clone(),
    });
    let of_members = members.iter().flat_map(|member| {
        let alone = member
            .features
            .keys()
            .filter(|feature| *feature != "default");
        let sets = std::iter::once(Vec::new()).chain(alone.map(|feature| vec![feature.clone()]));
        sets.map(|features| Check {
            label: match features.as_slice() {
                [] => format!("{} without features", member.name),
                features => format!("{} with {} alone", member.name, features.join(",")),
            },
            package: member.name.clone(),
            feature_args: feature_args(false, &features),
            forbidden: BTreeSet::new(),
        })
    });
    of_environment.chain(of_members).collect()
}

fn perform(workspace: &Workspace, check: &Check) -> Result<()> {
    let mut clippy = workspace.cargo();
    clippy
        .args(["clippy", "--quiet", "-p", &check.package])
        .args(&check.feature_args);
    process::run(clippy.args(["--", "-D", "warnings"]))?;
    if check.forbidden.is_empty() {
        return Ok(());
    }
    let mut tree = workspace.cargo();
    tree.args([
        "tree",
        "-p",
        &check.package,
        "-e",
        "normal,build",
        "--prefix",
        "none",
    ])
    .args(&check.feature_args);
    let found = forbidden_in(&process::output(&mut tree)?, &check.forbidden);
    if !found.is_empty() {
        bail!(
            "it contains {}; `cargo tree -p {} -e normal,build {} -i CRATE` shows why",
            found.join(", "),
            check.package,
            check.feature_args.join(" ")
        );
    }
    Ok(())
}

/// Which forbidden crates a tree printed with `--prefix none` contains.
fn forbidden_in<'f>(tree: &str, forbidden: &'f BTreeSet<String>) -> Vec<&'f str> {
    let present: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    forbidden
        .iter()
        .map(String::as_str)
        .filter(|name| present.contains(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_checked_alone_and_none_at_all() {
        let features = ["default", "a", "b"].map(|name| (name.to_owned(), Vec::new()));
        let member = |name: &str, features| Member {
            name: name.to_owned(),
            manifest: format!("crates/{name}/Cargo.toml"),
            features,
            edges: Vec::new(),
        };
        let members = [member("x", features.into()), member("y", [].into())];
        let text =
            "description = 'd'\ndefault-features = false\nfeatures = ['q']\nforbidden = ['z']";
        let environments = [Environment::parse("slim", text).unwrap()];
        let lines: Vec<String> = checks(&members, &environments)
            .iter()
            .map(|check| {
                format!(
                    "{}: {} {}",
                    check.label,
                    check.package,
                    check.feature_args.join(" ")
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                "environment slim: cli --no-default-features --features q",
                "x without features: x --no-default-features",
                "x with a alone: x --no-default-features --features a",
                "x with b alone: x --no-default-features --features b",
                "y without features: y --no-default-features",
            ]
        );
    }

    #[test]
    fn forbidden_crates_are_found_by_their_whole_name() {
        let tree =
            "cli v0.0.0 (/x/crates/cli)\nring v0.17.1\nhyper-util v0.1.0\nring v0.17.1 (*)\n";
        let forbidden = ["ring", "hyper", "cli-x"].map(str::to_owned).into();
        assert_eq!(forbidden_in(tree, &forbidden), ["ring"]);
    }
}
