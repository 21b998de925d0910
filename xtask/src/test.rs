//! Owns `cargo xtask test`: what tests need around them, which runner runs them, and what is known to have passed.
//!
//! Everything that a test finds in its environment comes from [`services`]; a Postgres server will be one more entry
//! there, with a guard that removes it again.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, bail};

use crate::environment::feature_args;
use crate::process;
use crate::workspace::{Build, Workspace};

/// Where integration tests find the product, and the product built with SQLite only.
pub(crate) const BINARY_VARIABLE: &str = "SMART_SUPPORT_BIN";
const SLIM_BINARY_VARIABLE: &str = "SMART_SUPPORT_SLIM_BIN";
/// Makes a test that would skip itself fail.
const FORBID_SKIPS_VARIABLE: &str = "SMART_SUPPORT_FORBID_SKIPS";

/// Tests that ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ok: bool,
    /// None when no tests were meant to run, or a runner ended without saying.
    pub(crate) counts: Option<Counts>,
}

/// Runs the tests, then says what is known.
pub(crate) fn command(workspace: &Workspace, update: bool, args: &[OsString]) -> Result<ExitCode> {
    let outcome = run(workspace, update, args)?;
    print_counts(outcome.counts);
    Ok(if outcome.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints the closing line, if its numbers are known.
pub(crate) fn print_counts(counts: Option<Counts>) {
    if let Some(Counts { passed, failed }) = counts {
        println!("{passed} passed, {failed} failed");
    }
}

/// Runs the tests. `Err` only when they could not be started.
pub(crate) fn run(workspace: &Workspace, update: bool, args: &[OsString]) -> Result<Outcome> {
    let services = services(workspace, update)?;
    let outcome = if has_nextest(workspace) {
        // Doc tests first: the last lines of a run are then those of the runner that ran nearly everything.
        let docs = if args.is_empty() {
            doc_tests(workspace, &services)?
        } else {
            Outcome::NO_TESTS
        };
        docs.and(nextest(workspace, &services, args)?)
    } else {
        eprintln!("xtask: cargo-nextest is not installed; using cargo test");
        let fail_fast = args.is_empty().then_some("--no-fail-fast");
        let mut cargo = workspace.cargo();
        cargo
            .args(["test", "--workspace"])
            .args(fail_fast)
            .args(args);
        libtest(services.apply(&mut cargo))?
    };
    Ok(outcome)
}

/// What tests find around them, for as long as this value lives.
#[derive(Debug, Default)]
struct Services {
    variables: Vec<(&'static str, OsString)>,
}

impl Services {
    fn apply<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }
}

fn services(workspace: &Workspace, update: bool) -> Result<Services> {
    let mut services = Services::default();
    services.variables.push((FORBID_SKIPS_VARIABLE, "1".into()));
    services
        .variables
        .push(("INSTA_UPDATE", if update { "always" } else { "no" }.into()));
    services.variables.extend(binaries(workspace)?);
    Ok(services)
}

/// Builds the two binaries that integration tests drive.
fn binaries(workspace: &Workspace) -> Result<[(&'static str, OsString); 2]> {
    let usual = workspace.build(&Build::default())?;
    let slim = workspace.build(&Build {
        release: false,
        feature_args: feature_args(false, &["sqlite".to_owned()]),
        target_dir: Some(workspace.metadata()?.target_directory.join("slim")),
    })?;
    Ok([
        (BINARY_VARIABLE, usual.into()),
        (SLIM_BINARY_VARIABLE, slim.into()),
    ])
}

fn has_nextest(workspace: &Workspace) -> bool {
    let mut cargo = workspace.cargo();
    cargo
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    cargo.status().is_ok_and(|status| status.success())
}

fn nextest(workspace: &Workspace, services: &Services, args: &[OsString]) -> Result<Outcome> {
    // Nextest keeps its reports there, wherever cargo's target directory is.
    let report = workspace.path("target/nextest/default/junit.xml");
    // A report of an earlier run must not speak for this one.
    if report.exists() && std::fs::remove_file(&report).is_err() {
        bail!("cannot remove {}", report.display());
    }
    let mut cargo = workspace.cargo();
    cargo.args(["nextest", "run", "--workspace", "--tool-config-file"]);
    cargo.arg(tool_config(&workspace.path("xtask/nextest.toml")));
    cargo
        .args(args.is_empty().then_some("--no-fail-fast"))
        .args(args);
    let ok = services.apply(&mut cargo).status()?.success();
    let counts = std::fs::read_to_string(report)
        .ok()
        .and_then(|xml| junit_counts(&xml));
    Ok(Outcome { ok, counts })
}

fn tool_config(path: &Path) -> OsString {
    let mut value = OsString::from("xtask:");
    value.push(path);
    value
}

fn doc_tests(workspace: &Workspace, services: &Services) -> Result<Outcome> {
    libtest(
        services.apply(
            workspace
                .cargo()
                .args(["test", "--workspace", "--doc", "--no-fail-fast"]),
        ),
    )
}

/// Runs a `cargo test` and adds up its result lines.
fn libtest(command: &mut Command) -> Result<Outcome> {
    let mut counts = None;
    let ok = process::tee(command, |line| counts = sum(counts, libtest_counts(line)))?;
    Ok(Outcome { ok, counts })
}

impl Outcome {
    /// Something other than tests succeeded.
    pub(crate) const DONE: Self = Self {
        ok: true,
        counts: None,
    };

    const NO_TESTS: Self = Self {
        ok: true,
        counts: Some(Counts {
            passed: 0,
            failed: 0,
        }),
    };

    /// Both runs together: known only if both are.
    fn and(self, other: Self) -> Self {
        let counts = self
            .counts
            .and_then(|mine| sum(Some(mine), Some(other.counts?)));
        Self {
            ok: self.ok && other.ok,
            counts,
        }
    }
}

fn sum(a: Option<Counts>, b: Option<Counts>) -> Option<Counts> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Counts {
            passed: a.passed + b.passed,
            failed: a.failed + b.failed,
        }),
        (a, b) => a.or(b),
    }
}

/// Reads `test result: ok. 3 passed; 1 failed; …`.
fn libtest_counts(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |word: &str| {
        numbers
            .split(';')
            .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
    };
    Some(Counts {
        passed: number(" passed")?,
        failed: number(" failed")?,
    })
}

/// Reads the totals on the root element of nextest's JUnit report.
fn junit_counts(xml: &str) -> Option<Counts> {
    let (_, rest) = xml.split_once("<testsuites ")?;
    let (attributes, _) = rest.split_once('>')?;
    let number = |name: &str| -> Option<u64> {
        let (_, value) = attributes.split_once(&format!("{name}=\""))?;
        value.split_once('"')?.0.parse().ok()
    };
    let failed = number("failures")? + number("errors")?;
    Some(Counts {
        passed: number("tests")?
            .checked_sub(failed)?
            .saturating_sub(number("skipped").unwrap_or(0)),
        failed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read() {
        let cases = [
            (
                "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.20s",
                Some((3, 0)),
            ),
            (
                "test result: FAILED. 0 passed; 1 failed; 0 ignored",
                Some((0, 1)),
            ),
            ("test a ... ok", None),
            ("running 3 tests", None),
        ];
        for (line, expected) in cases {
            let counts = libtest_counts(line).map(|counts| (counts.passed, counts.failed));
            assert_eq!(counts, expected, "{line}");
        }
    }

    #[test]
    fn the_report_is_read() {
        let xml = r#"<?xml version="1.0"?>
            <testsuites name="nextest-run" tests="5" skipped="0" failures="1" errors="1" uuid="x">
                <testsuite name="a" tests="9" failures="9" errors="9">"#;
        assert_eq!(
            junit_counts(xml),
            Some(Counts {
                passed: 3,
                failed: 2
            })
        );
        assert_eq!(junit_counts("<html>"), None);
    }

    #[test]
    fn what_one_runner_does_not_say_is_not_known() {
        let known = Outcome {
            ok: true,
            counts: Some(Counts {
                passed: 2,
                failed: 0,
            }),
        };
        let unknown = Outcome {
            ok: false,
            counts: None,
        };
        let both = known.and(unknown);
        assert!(!both.ok);
        assert_eq!(both.counts, None);
    }
}
