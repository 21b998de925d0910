//! `cargo xtask pg` from outside: what is left when it is killed, and what it says when no provider has a server.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use postgres_harness::{TestServer, is_server_of};

/// Ten times what the slowest step takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// xtask with nothing of this run's server, unless the test says so.
fn xtask() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// xtask whose system has the programs of this run's server.
fn xtask_with_programs() -> Option<Command> {
    let server = TestServer::from_environment()?;
    let programs = server.programs()?;
    let mut command = xtask();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::iter::once(programs.bin.clone()).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(directories).unwrap());
    if let Some(libraries) = &programs.libraries {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    Some(command)
}

fn postmaster(data: &Path) -> u32 {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

fn ends(pid: u32, data: &Path) -> bool {
    let deadline = Instant::now() + DEADLINE;
    while is_server_of(pid, data) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// xtask with a server and a command that waits, and where the server's directory is.
struct Running {
    child: Child,
    directory: PathBuf,
    temporary: PathBuf,
    _home: tempfile::TempDir,
}

impl Running {
    fn start() -> Option<Self> {
        let mut command = xtask_with_programs()?;
        let home = tempfile::tempdir().unwrap();
        let temporary = open_directory(home.path(), "tmp");
        let mut child = command
            .args(["pg", "run", "--pg", "system", "--"])
            .args(["sh", "-c", "echo $TEST_PG_SOCKETS; exec cat"])
            .env("TMPDIR", &temporary)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let directory = PathBuf::from(line.trim());
        assert!(directory.starts_with(&temporary), "{line}");
        Some(Self {
            child,
            directory,
            temporary,
            _home: home,
        })
    }

    fn left(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.temporary).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

#[test]
fn a_killed_xtask_leaves_no_postgres_server() {
    let Some(mut running) = Running::start() else {
        return;
    };
    let data = running.directory.join("data");
    let pid = postmaster(&data);
    assert!(is_server_of(pid, &data));
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    assert!(ends(pid, &data), "the server outlives its owner");

    // The directory is left, until the next server starts.
    assert!(running.directory.exists());
    let next = xtask_with_programs()
        .unwrap()
        .args(["pg", "run", "--pg", "system", "--", "true"])
        .env("TMPDIR", &running.temporary)
        .status()
        .unwrap();
    assert!(next.success());
    assert_eq!(running.left(), Vec::<PathBuf>::new());
}

#[test]
fn ctrl_c_stops_the_postgres_server_and_leaves_nothing() {
    let Some(mut running) = Running::start() else {
        return;
    };
    let data = running.directory.join("data");
    let pid = postmaster(&data);
    // As the terminal does it: to the whole group.
    let group = format!("-{}", running.child.id());
    let sent = Command::new("kill")
        .args(["-s", "INT", "--", &group])
        .status();
    assert!(sent.unwrap().success());
    let status = running.child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(!is_server_of(pid, &data));
    assert_eq!(running.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_command_with_a_postgres_server_keeps_its_exit_code() {
    let Some(mut command) = xtask_with_programs() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let status = command
        .args(["pg", "run", "--pg", "system", "--", "sh", "-c", "exit 7"])
        .env("TMPDIR", open_directory(home.path(), "tmp"))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(7));
}

#[test]
fn without_any_postgres_server_each_provider_says_why() {
    let home = tempfile::tempdir().unwrap();
    let output = xtask()
        .args(["pg", "run", "--pg", "url,debian,wheel,docker", "--", "true"])
        .env("PATH", "")
        .env("SMART_SUPPORT_PG_CACHE", home.path().join("cache"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    for expected in [
        "\n  url: TEST_DATABASE_URL is not set",
        "\n  debian: ",
        "\n  wheel: needs python3 with pip",
        "\n  docker: there is no container engine",
        "--pg none",
    ] {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
}

/// A directory that the server's account can enter too.
fn open_directory(parent: &Path, name: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = parent.join(name);
    std::fs::create_dir(&path).unwrap();
    for path in [parent, &path] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    path
}
