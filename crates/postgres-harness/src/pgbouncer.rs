//! Owns a pgbouncer of a test's own, in front of one server.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::account::Account;
use crate::process::{Process, Shutdown, Started, Tie};
use crate::run_directory::RunDirectory;

const PORTS_TO_TRY: usize = 5;

/// The program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BouncerProgram {
    /// Where it is.
    pub path: PathBuf,
    /// What it needs in `LD_LIBRARY_PATH`, where that is not installed in the system.
    pub libraries: Option<OsString>,
}

impl BouncerProgram {
    /// The program, ready for arguments.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }
}

/// The server behind it.
#[derive(Debug, Clone)]
pub struct Behind {
    /// Its port on loopback.
    pub port: u16,
    /// Whom it lets in.
    pub user: String,
    /// With this password.
    pub password: String,
}

/// A pgbouncer that runs, until this is dropped.
#[derive(Debug)]
pub struct Bouncer {
    process: Process,
    directory: RunDirectory,
    behind: Behind,
    port: u16,
}

impl Bouncer {
    /// Starts one on a free port; the settings are lines of its section `[pgbouncer]`, such as `pool_mode`.
    ///
    /// # Errors
    ///
    /// With what it said, if it does not start.
    pub fn start(
        program: &BouncerProgram,
        behind: &Behind,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let directory = RunDirectory::temporary()?;
        let account = Account::for_servers()?;
        let own = |path: &std::path::Path| account.map_or(Ok(()), |account| account.own(path));
        own(directory.path())?;
        let write = |name: &str, text: &str| -> Result<PathBuf> {
            let path = directory.path().join(name);
            std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .with_context(|| format!("cannot write {}", path.display()))?;
            own(&path)?;
            Ok(path)
        };
        let users = write(
            "users",
            &format!("\"{}\" \"{}\"\n", behind.user, behind.password),
        )?;
        for _ in 0..PORTS_TO_TRY {
            // Let go before it takes it: somebody else may be faster.
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .context("cannot find a free port on loopback")?;
            let port = listener
                .local_addr()
                .context("a port has no number")?
                .port();
            drop(listener);
            let mut text = format!(
                "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\nadmin_users = {}\n",
                behind.port,
                users.display(),
                behind.user
            );
            for (name, value) in settings {
                text.push_str(&format!("{name} = {value}\n"));
            }
            let configuration = write("pgbouncer.ini", &text)?;
            let log = directory.path().join("log");
            let file = std::fs::File::create(&log)
                .with_context(|| format!("cannot write {}", log.display()))?;
            let mut command = program.command();
            command
                .arg(configuration)
                .current_dir("/")
                .stdin(Stdio::null())
                .stdout(file.try_clone().context("cannot share the log")?)
                .stderr(file);
            if let Some(account) = account {
                account.apply(&mut command);
            }
            let ready = |_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
            match Process::start_until(command, Tie::Tied, &ready)? {
                Started::Ready(process) => {
                    return Ok(Self {
                        process,
                        directory,
                        behind: behind.clone(),
                        port,
                    });
                }
                Started::Ended(status) => {
                    let said = std::fs::read_to_string(&log).unwrap_or_default();
                    if !said.contains("in use") {
                        bail!("pgbouncer ended with {status}: {}", said.trim());
                    }
                }
            }
        }
        bail!("no port stayed free for pgbouncer");
    }

    /// How a database of the server is reached through it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let Behind { user, password, .. } = &self.behind;
        format!(
            "postgres://{user}:{password}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// What it wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        // The directory is removed next: nothing of it is needed any more.
        let _ = self.process.stop(Shutdown::Immediate);
    }
}
