//! Owns `cargo xtask bench`, `soak` and `fixtures`: programs of the integration tests, built and run with what they need.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::environment::{self, Environment};
use crate::migrate;
use crate::process;
use crate::test::BINARY_VARIABLE;
use crate::workspace::Workspace;

const PACKAGE: &str = "integration-tests";

/// Runs the benchmark program on a release build of the product. Paths in its arguments count from the current directory.
pub(crate) fn bench(workspace: &Workspace, args: &[OsString]) -> Result<ExitCode> {
    let binary = migrate::build(workspace, environment::DEFAULT)?;
    let mut cargo = workspace.cargo();
    cargo.current_dir(std::env::current_dir().context("cannot find the current directory")?);
    cargo
        .args(["run", "--release", "--manifest-path"])
        .arg(workspace.path("Cargo.toml"));
    cargo
        .args(["-p", PACKAGE, "--bin", "bench", "--"])
        .args(args);
    cargo.env(BINARY_VARIABLE, binary);
    process::become_program(cargo)
}

/// Runs the program that serves for minutes and watches what grows.
pub(crate) fn soak(workspace: &Workspace, args: &[OsString]) -> Result<ExitCode> {
    let binary = Environment::load(workspace, environment::DEFAULT)?.build(workspace, false)?;
    let mut cargo = workspace.cargo();
    cargo
        .args(["run", "--quiet", "-p", PACKAGE, "--bin", "soak", "--"])
        .args(args)
        .env(BINARY_VARIABLE, binary);
    process::become_program(cargo)
}

/// Runs the program that writes the fixture workbooks.
pub(crate) fn fixtures(workspace: &Workspace, args: &[OsString]) -> Result<ExitCode> {
    let mut cargo = workspace.cargo();
    cargo
        .args(["run", "-p", PACKAGE, "--bin", "make-fixtures", "--"])
        .args(args);
    process::become_program(cargo)
}
