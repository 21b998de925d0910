//! Owns `cargo xtask test`: what tests need around them, which runner runs them, and what is known to have passed.
//!
//! With several servers, the first leg runs everything and each further one only what speaks to PostgreSQL: the rest
//! would come out the same.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, bail};

use crate::environment::{self, Environment, feature_args};
use crate::workspace::{Build, Workspace};
use crate::{pg, process};

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
pub(crate) fn command(
    workspace: &Workspace,
    choice: &pg::Choice,
    update: bool,
    args: &[OsString],
) -> Result<ExitCode> {
    let outcome = run(workspace, choice, update, args)?;
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

/// Runs the tests, once with each server that was chosen. `Err` only when they could not be started.
pub(crate) fn run(
    workspace: &Workspace,
    choice: &pg::Choice,
    update: bool,
    args: &[OsString],
) -> Result<Outcome> {
    // A server that cannot be had is said before anything is compiled, let alone run.
    let servers = pg::prepare(choice)?;
    let mut services = Services::default();
    services
        .variables
        .push(("INSTA_UPDATE", if update { "always" } else { "no" }.into()));
    services.variables.extend(binaries(workspace)?);
    if servers.is_empty() {
        eprintln!("xtask: no PostgreSQL server; what needs one skips itself");
        // Whatever the shell names.
        services.variables.push((pg::URL_VARIABLE, "".into()));
        return leg(workspace, &services, Share::Everything, args);
    }
    let mut outcome = Outcome::NO_TESTS;
    for (at, prepared) in servers.iter().enumerate() {
        let share = if at == 0 {
            Share::Everything
        } else {
            Share::Postgres
        };
        println!("test: {} on {}", share.name(), prepared.name());
        let server = prepared.start(workspace)?;
        let mut services = services.clone();
        services.variables.extend(server.variables());
        if server.has_programs() {
            services.variables.push((FORBID_SKIPS_VARIABLE, "1".into()));
        } else {
            eprintln!(
                "xtask: no server programs beside this server; tests that start their own skip themselves"
            );
        }
        let of_leg = leg(workspace, &services, share, args)?;
        if !of_leg.ok {
            server.keep_log(workspace);
        }
        outcome = outcome.and(of_leg);
        drop(server);
        if pg::interrupted() {
            bail!("interrupted");
        }
    }
    Ok(outcome)
}

/// Which tests a leg has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    Everything,
    /// What may come out differently with another server: the backend's own tests, and every test with `postgres` in
    /// its name, in that of its module or in that of its program.
    Postgres,
}

impl Share {
    fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Postgres => "what speaks to PostgreSQL",
        }
    }

    /// For nextest.
    fn filter(self) -> &'static [&'static str] {
        match self {
            Self::Everything => &[],
            Self::Postgres => &[
                "--filterset",
                "package(storage-postgres) | binary(/postgres/) | test(postgres)",
                // Arguments may leave nothing of it.
                "--no-tests",
                "pass",
            ],
        }
    }
}

fn leg(
    workspace: &Workspace,
    services: &Services,
    share: Share,
    args: &[OsString],
) -> Result<Outcome> {
    if has_nextest(workspace) {
        // Doc tests first: the last lines of a run are then those of the runner that ran nearly everything.
        let docs = if args.is_empty() && share == Share::Everything {
            doc_tests(workspace, services)?
        } else {
            Outcome::NO_TESTS
        };
        return Ok(docs.and(nextest(workspace, services, share, args)?));
    }
    eprintln!("xtask: cargo-nextest is not installed; using cargo test");
    let fail_fast = args.is_empty().then_some("--no-fail-fast");
    let runs: &[&[&str]] = match share {
        Share::Everything => &[&["--workspace"]],
        Share::Postgres => &[
            &["-p", "storage-postgres"],
            &["--workspace", "--exclude", "storage-postgres", "postgres"],
        ],
    };
    let mut outcome = Outcome::NO_TESTS;
    for run in runs {
        let mut cargo = workspace.cargo();
        cargo.arg("test").args(fail_fast).args(*run).args(args);
        outcome = outcome.and(libtest(services.apply(&mut cargo))?);
    }
    Ok(outcome)
}

/// What tests find around them.
#[derive(Debug, Clone, Default)]
struct Services {
    variables: Vec<(&'static str, OsString)>,
}

impl Services {
    fn apply<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }
}

/// Builds the two binaries that integration tests drive: with what developers have, and with SQLite only.
fn binaries(workspace: &Workspace) -> Result<[(&'static str, OsString); 2]> {
    let usual = Environment::load(workspace, environment::DEFAULT)?.build(workspace, false)?;
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

fn nextest(
    workspace: &Workspace,
    services: &Services,
    share: Share,
    args: &[OsString],
) -> Result<Outcome> {
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
        .args(share.filter())
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
