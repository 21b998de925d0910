//! Owns `cargo xtask torture`: builds the product and the program that tortures it, and sees to the tool it needs.

use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, bail};

use crate::environment::{self, Environment};
use crate::process;
use crate::test::{BINARY_VARIABLE, Outcome};
use crate::workspace::{Build, Workspace};

const PACKAGE: &str = "integration-tests";

/// Kills of a release run; CI has a tenth.
const RELEASE_ROUNDS: &str = "1000";

/// How systems install a package, the first that is there.
const INSTALLERS: [&[&str]; 4] = [
    &["apt-get", "install", "--yes", "--no-install-recommends"],
    &["dnf", "install", "--assumeyes"],
    &["apk", "add"],
    &["pacman", "--sync", "--noconfirm"],
];

/// Tortures a build of the product, and passes the program's exit code on.
pub(crate) fn command(workspace: &Workspace, release: bool, args: &[OsString]) -> Result<ExitCode> {
    process::become_program(prepare(workspace, release, args)?)
}

/// The share of CI.
pub(crate) fn share(workspace: &Workspace) -> Result<Outcome> {
    let status = prepare(workspace, false, &[])?.status()?;
    if !status.success() {
        bail!("something was lost, mixed, or paid for twice: see the table above");
    }
    Ok(Outcome::DONE)
}

fn prepare(workspace: &Workspace, release: bool, args: &[OsString]) -> Result<Command> {
    let environment = Environment::load(workspace, environment::DEFAULT)?;
    let binary = workspace.build(&Build {
        release,
        feature_args: environment.cargo_args(),
        target_dir: None,
    })?;
    install_strace();
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--quiet", "-p", PACKAGE, "--bin", "torture", "--"]);
    if release && !args.iter().any(|arg| arg == "--rounds") {
        cargo.args(["--rounds", RELEASE_ROUNDS]);
    }
    cargo.args(args).env(BINARY_VARIABLE, binary);
    Ok(cargo)
}

/// Installs strace where it is missing and may be installed; where not, the program counts what it cannot do.
fn install_strace() {
    if succeeds(&["strace", "--version"]) {
        return;
    }
    for installer in INSTALLERS {
        if !succeeds(&[installer[0], "--version"]) {
            continue;
        }
        eprintln!("xtask: installing strace with {}", installer[0]);
        let install = || succeeds(&[installer, &["strace"]].concat());
        // The lists of a fresh system are empty, or old.
        if install() || (succeeds(&[installer[0], "update"]) && install()) {
            return;
        }
    }
    eprintln!(
        "xtask: strace is missing and cannot be installed; what needs it is skipped and counted"
    );
}

fn succeeds(words: &[&str]) -> bool {
    let status = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
