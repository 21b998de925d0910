//! The providers `url` and `docker`: servers whose programs are not ours to run.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use postgres_harness::{TestServer, random};

use super::cache::quietly;
use crate::process;
use crate::workspace::Workspace;

/// Where developers and CI name a server of their own.
pub(crate) const URL_VARIABLE: &str = "TEST_DATABASE_URL";
const IMAGE: &str = "pgvector/pgvector:pg17";
/// Of containers; the number of the process that started it follows.
const CONTAINER: &str = "smart-support-pg-";
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The server of the variable, after a look at it.
pub(super) fn url(workspace: &Workspace) -> Result<TestServer> {
    let url = std::env::var(URL_VARIABLE)
        .ok()
        .filter(|url| !url.is_empty())
        .with_context(|| format!("{URL_VARIABLE} is not set"))?;
    look(workspace, url)
}

/// Asks a server whether tests can use it. It is a program of the tests that knows how to speak to one.
fn look(workspace: &Workspace, url: String) -> Result<TestServer> {
    let mut cargo = workspace.cargo();
    cargo
        .args([
            "run",
            "--quiet",
            "-p",
            "integration-tests",
            "--bin",
            "look-at-server",
        ])
        .env(URL_VARIABLE, &url);
    let said = process::output(&mut cargo).context("the server cannot be used")?;
    let mut lines = said.lines().map(str::to_owned);
    let known = TestServer {
        url,
        version: lines.next().unwrap_or_default(),
        pgvector_version: lines.next().unwrap_or_default(),
        certificates: None,
        template: None,
        sockets: None,
        programs: None,
        pgbouncer: Err(String::new()),
    };
    // Whoever named a server of `cargo xtask pg up` has said the rest as well.
    let said_already = TestServer::named().filter(|server| server.url == known.url);
    Ok(said_already.map_or(known.clone(), |server| TestServer {
        version: known.version,
        pgvector_version: known.pgvector_version,
        ..server
    }))
}

/// A container that is removed with this value.
#[derive(Debug)]
pub(super) struct Container {
    name: String,
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = quietly(Command::new("docker").args(["rm", "--force", &self.name]));
    }
}

/// Whether there is an engine.
pub(super) fn docker_works() -> Result<()> {
    quietly(Command::new("docker").arg("info")).context("there is no container engine")
}

/// Starts a container and waits until its server answers.
pub(super) fn docker(workspace: &Workspace) -> Result<(TestServer, Container)> {
    docker_works()?;
    remove_left_containers();
    let name = format!("{CONTAINER}{}", std::process::id());
    let password = random(16)?;
    let started = Command::new("docker")
        .args(["run", "--detach", "--rm", "--name", &name])
        .args(["--env", &format!("POSTGRES_PASSWORD={password}")])
        .args(["--publish", "127.0.0.1::5432", "--shm-size", "1g", IMAGE])
        .output();
    let started = started.context("cannot start docker")?;
    // Whatever comes next, a container that was made goes.
    let container = Container { name };
    if !started.status.success() {
        bail!(
            "docker run failed: {}",
            String::from_utf8_lossy(&started.stderr).trim()
        );
    }
    let ports =
        process::output(Command::new("docker").args(["port", &container.name, "5432/tcp"]))?;
    let address = ports.lines().next().context("docker port says nothing")?;
    let url = format!("postgres://postgres:{password}@{address}/postgres");
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        match look(workspace, url.clone()) {
            Ok(server) => return Ok((server, container)),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(500)),
        }
    }
}

/// Containers of runs that were killed.
fn remove_left_containers() {
    let mut list = Command::new("docker");
    list.args(["ps", "--all", "--format", "{{.Names}}"]);
    let Ok(names) = process::output(&mut list) else {
        return;
    };
    for name in names.lines() {
        let Some(owner) = name.strip_prefix(CONTAINER) else {
            continue;
        };
        let alive = Command::new("ps").args(["-p", owner]).output();
        if alive.is_ok_and(|output| !output.status.success()) {
            drop(Container {
                name: name.to_owned(),
            });
        }
    }
}
