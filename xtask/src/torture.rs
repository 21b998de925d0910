//! Owns `cargo xtask torture`: builds the product and the program that tortures it, and sees to the tool it needs.

use std::ffi::OsString;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Result, bail};

use crate::environment::{self, Environment};
use crate::pg;
use crate::test::{BINARY_VARIABLE, Outcome};
use crate::workspace::Workspace;

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

/// The part that needs a server.
const NEEDS_SERVER: &str = "postgres";

/// Tortures a build of the product, and passes the program's exit code on.
pub(crate) fn command(workspace: &Workspace, release: bool, args: &[OsString]) -> Result<ExitCode> {
    let status = run(workspace, release, args)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// The share of CI.
pub(crate) fn share(workspace: &Workspace) -> Result<Outcome> {
    let status = run(workspace, false, &[])?;
    if !status.success() {
        bail!("something was lost, mixed, or paid for twice: see the table above");
    }
    Ok(Outcome::DONE)
}

/// Runs the program with a server beside it, where one can be had and is needed.
fn run(workspace: &Workspace, release: bool, args: &[OsString]) -> Result<ExitStatus> {
    let chosen = args.iter().any(|arg| arg == "--only");
    let server = match !chosen || args.iter().any(|arg| arg == NEEDS_SERVER) {
        false => None,
        true => server(workspace),
    };
    let mut program = prepare(workspace, release, args)?;
    match &server {
        Some(server) => program.envs(server.variables()),
        // Whatever the shell names.
        None => program.env(pg::URL_VARIABLE, ""),
    };
    Ok(program.status()?)
}

fn server(workspace: &Workspace) -> Option<pg::Server> {
    let servers = pg::prepare(&pg::Choice::Auto).and_then(|servers| {
        let first = servers.first().map(|prepared| prepared.start(workspace));
        first.transpose()
    });
    servers.unwrap_or_else(|error| {
        eprintln!("xtask: no PostgreSQL server; what needs one is skipped and counted: {error:#}");
        None
    })
}

fn prepare(workspace: &Workspace, release: bool, args: &[OsString]) -> Result<Command> {
    let binary = Environment::load(workspace, environment::DEFAULT)?.build(workspace, release)?;
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
