//! Owns one cluster: made, started, stopped, started again on the same port, gone with its directory.

mod standby;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::account::Account;
use crate::process::{Process, Shutdown, Started, Tie, postmaster};
use crate::run_directory::{RunDirectory, random};
use crate::{Certificates, Programs};

/// Who made the cluster: gets in with and without TLS.
pub const SUPERUSER: &str = "postgres";
/// Gets in without TLS only. Its password is the superuser's.
pub const PLAIN_ROLE: &str = "plain";
/// Gets in with TLS only. Its password is the superuser's.
pub const TLS_ROLE: &str = "tls";
/// A database with pgvector in it, whose schema `public` both roles may use; new ones are copied from it.
pub const TEMPLATE: &str = "smart_support_template";

/// The most that a Unix socket's path may have, the name of the socket itself taken off.
const SOCKET_DIRECTORY_LIMIT: usize = 107 - "/.s.PGSQL.65535".len();
/// A server that was killed keeps its memory until the last of its processes has noticed.
const CRASH_NOTICED_WITHIN: Duration = Duration::from_secs(30);
const PORTS_TO_TRY: usize = 5;

/// What survives a crash of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing need, and everything is faster for it.
    #[default]
    None,
    /// As a server is usually run.
    Full,
}

/// How a cluster is to be.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What survives a crash of the machine.
    pub durability: Durability,
    /// With these it speaks TLS, without them it does not.
    pub certificates: Option<Certificates>,
    /// Lines of `postgresql.conf`: name and value. The last of a name counts.
    pub settings: Vec<(String, String)>,
    /// Whether it ends with whoever started it.
    pub tie: Tie,
}

/// A cluster, and its server where that runs.
#[derive(Debug)]
pub struct Cluster {
    // Before the directory: fields are dropped in order.
    process: Option<Process>,
    directory: RunDirectory,
    programs: Programs,
    account: Option<Account>,
    password: String,
    port: u16,
    tie: Tie,
}

impl Cluster {
    /// Makes a cluster in a temporary directory and starts it on a free port.
    ///
    /// # Errors
    ///
    /// With what the programs said, if one of them fails.
    pub fn start(programs: &Programs, options: &Options) -> Result<Self> {
        let mut cluster = Self::create(programs, options, RunDirectory::temporary()?)?;
        cluster.start_anywhere()?;
        Ok(cluster)
    }

    /// Makes a cluster in this directory, which must be empty.
    ///
    /// # Errors
    ///
    /// With what the programs said, if one of them fails.
    pub fn create(programs: &Programs, options: &Options, directory: RunDirectory) -> Result<Self> {
        let cluster = Self {
            process: None,
            programs: programs.clone(),
            account: Account::for_servers()?,
            password: random(16)?,
            port: 0,
            tie: options.tie,
            directory,
        };
        cluster.own(cluster.directory.path())?;
        cluster.write("password", &cluster.password, 0o600)?;
        cluster.initialise()?;
        cluster.configure(options)?;
        cluster.populate()?;
        Ok(cluster)
    }

    /// A cluster that [`Self::create`] made in a lasting directory.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn open(programs: &Programs, directory: RunDirectory, tie: Tie) -> Result<Self> {
        let file = directory.path().join("password");
        let password = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let port = std::fs::read_to_string(directory.path().join("port"))
            .ok()
            .and_then(|text| text.parse().ok());
        Ok(Self {
            process: None,
            programs: programs.clone(),
            account: Account::for_servers()?,
            password,
            port: port.unwrap_or(0),
            tie,
            directory,
        })
    }

    /// Starts it on a port that is free.
    ///
    /// # Errors
    ///
    /// With the end of its log, if it does not start.
    pub fn start_anywhere(&mut self) -> Result<()> {
        let mut tried = 0;
        loop {
            // Let go before the server takes it: somebody else may be faster.
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .context("cannot find a free port on loopback")?;
            self.port = listener
                .local_addr()
                .context("a port has no number")?
                .port();
            drop(listener);
            tried += 1;
            match self.launch()? {
                Started::Ready(process) => return self.started(process),
                Started::Ended(_) if tried < PORTS_TO_TRY && self.port_was_taken() => {}
                Started::Ended(status) => {
                    bail!("postgres ended with {status}: {}", self.last_words())
                }
            }
        }
    }

    /// Starts it on the port it had when it last ran, or another one if that is taken by now.
    ///
    /// # Errors
    ///
    /// With the end of its log, if it does not start.
    pub fn start_as_before(&mut self) -> Result<()> {
        if self.port != 0
            && let Started::Ready(process) = self.launch()?
        {
            return self.started(process);
        }
        self.start_anywhere()
    }

    /// Starts it again on the port it had, after it was stopped or killed.
    ///
    /// # Errors
    ///
    /// With the end of its log, if it does not start.
    pub fn start_again(&mut self) -> Result<()> {
        let deadline = Instant::now() + CRASH_NOTICED_WITHIN;
        loop {
            match self.launch()? {
                Started::Ready(process) => return self.started(process),
                Started::Ended(status) if Instant::now() > deadline => {
                    bail!("postgres ended with {status}: {}", self.last_words());
                }
                Started::Ended(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Stops it and starts it again on the same port.
    ///
    /// # Errors
    ///
    /// If either fails.
    pub fn restart(&mut self, shutdown: Shutdown) -> Result<()> {
        self.stop(shutdown)?;
        self.start_again()
    }

    /// Stops it, if it runs.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub fn stop(&mut self, shutdown: Shutdown) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.stop(shutdown),
            None => Ok(()),
        }
    }

    /// Kills it as a crash would; nothing is written, nobody is told.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Stops it as soon as somebody else started it: the other half of [`Self::open`].
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub fn stop_running(&self) -> Result<()> {
        match self.running() {
            Some(pid) => crate::process::stop_foreign(pid, &self.data()),
            None => Ok(()),
        }
    }

    /// The number of its server's process, whoever started it.
    #[must_use]
    pub fn running(&self) -> Option<u32> {
        if let Some(process) = &self.process {
            return Some(process.id());
        }
        postmaster(&self.data()).filter(|pid| crate::is_server_of(*pid, &self.data()))
    }

    /// How this role reaches this database over TCP.
    #[must_use]
    pub fn url(&self, role: &str, database: &str) -> String {
        let Self { password, port, .. } = self;
        format!("postgres://{role}:{password}@127.0.0.1:{port}/{database}")
    }

    /// Where it listens on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Everybody's password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Its programs.
    #[must_use]
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Directory of its Unix sockets; none where the path would be too long for one.
    #[must_use]
    pub fn sockets(&self) -> Option<PathBuf> {
        let path = self.directory.path();
        (path.as_os_str().len() <= SOCKET_DIRECTORY_LIMIT).then(|| path.to_owned())
    }

    /// What the server wrote.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Its files.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Runs statements, one a line, in a server without connections; it must be stopped. Returns what they said.
    ///
    /// # Errors
    ///
    /// With what the server said, at the first that fails.
    pub fn run_statements(&self, database: &str, statements: &str) -> Result<String> {
        let mut command = self.command("postgres");
        command.args(["--single", "-D"]).arg(self.data()).args([
            "-c",
            "exit_on_error=on",
            "-c",
            "fsync=off",
            "-c",
            "log_checkpoints=off",
            database,
        ]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start postgres --single")?;
        let mut input = child.stdin.take().context("a child has no stdin")?;
        // It may end before it has read all; its status says so.
        let _ = input.write_all(statements.as_bytes());
        drop(input);
        let output = child
            .wait_with_output()
            .context("cannot wait for postgres")?;
        if !output.status.success() {
            bail!(
                "statements failed in {database}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn initialise(&self) -> Result<()> {
        let mut command = self.command("initdb");
        command.arg("-D").arg(self.data());
        command.args(["-U", SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8"]);
        command.args(["--no-locale", "--no-sync"]).arg(format!(
            "--pwfile={}",
            self.directory.path().join("password").display()
        ));
        let output = command.output().context("cannot start initdb")?;
        if !output.status.success() {
            bail!(
                "initdb failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    fn configure(&self, options: &Options) -> Result<()> {
        let certificates = options.certificates.as_ref();
        if let Some(certificates) = certificates {
            for (name, from) in [
                ("server.pem", certificates.server()),
                ("server.key", certificates.server_key()),
            ] {
                let text = std::fs::read_to_string(&from)
                    .with_context(|| format!("cannot read {}", from.display()))?;
                self.write(name, &text, 0o600)?;
            }
        }
        let access = self.data().join("pg_hba.conf");
        std::fs::write(&access, access_rules(certificates.is_some()))
            .with_context(|| format!("cannot write {}", access.display()))?;
        let mut text = String::from("\n");
        for (name, value) in self.settings(options) {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        self.append_settings(&text)
    }

    /// Lines of `postgresql.conf`: the last of a name counts.
    fn append_settings(&self, text: &str) -> Result<()> {
        let file = self.data().join("postgresql.conf");
        OpenOptions::new()
            .append(true)
            .open(&file)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    fn settings(&self, options: &Options) -> Vec<(String, String)> {
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let usual = [
            ("listen_addresses", "127.0.0.1"),
            // Compiling a plan costs more than every query of a test.
            ("jit", "off"),
            ("shared_buffers", "256MB"),
            ("maintenance_work_mem", "256MB"),
            ("max_connections", "200"),
            ("dynamic_shared_memory_type", shared_memory()),
            ("log_min_error_statement", "error"),
            ("log_line_prefix", "%m [%p] %q%u@%d "),
        ];
        let careless = [
            ("fsync", "off"),
            ("synchronous_commit", "off"),
            ("full_page_writes", "off"),
        ];
        let mut settings: Vec<_> = usual.into_iter().map(pair).collect();
        if options.durability == Durability::None {
            settings.extend(careless.into_iter().map(pair));
        }
        let sockets = self.sockets().unwrap_or_default();
        let path = |path: &Path| path.to_string_lossy().into_owned();
        settings.push(("unix_socket_directories".to_owned(), path(&sockets)));
        if options.certificates.is_some() {
            let file = |name: &str| path(&self.directory.path().join(name));
            settings.push(pair(("ssl", "on")));
            settings.push(("ssl_cert_file".to_owned(), file("server.pem")));
            settings.push(("ssl_key_file".to_owned(), file("server.key")));
        }
        settings.extend(options.settings.iter().cloned());
        settings
    }

    /// Roles, and the database that others are copied from. Nobody may connect to that one, or copying it would fail.
    fn populate(&self) -> Result<()> {
        let Self { password, .. } = self;
        self.run_statements(
            "postgres",
            &format!(
                "create role {PLAIN_ROLE} login password '{password}';\n\
                 create role {TLS_ROLE} login password '{password}';\n\
                 create database {TEMPLATE} is_template true;\n"
            ),
        )?;
        self.run_statements(
            TEMPLATE,
            &format!(
                "create extension vector;\n\
                 grant all on schema public to {PLAIN_ROLE}, {TLS_ROLE};\n"
            ),
        )?;
        self.run_statements(
            "postgres",
            &format!("alter database {TEMPLATE} allow_connections false;\n"),
        )?;
        Ok(())
    }

    fn started(&mut self, process: Process) -> Result<()> {
        self.process = Some(process);
        self.write("port", &self.port.to_string(), 0o600)
    }

    fn launch(&self) -> Result<Started> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.log())
            .with_context(|| format!("cannot write {}", self.log().display()))?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data());
        command.args(["-p", &self.port.to_string()]);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the log")?)
            .stderr(log);
        Process::start(command, &self.data(), self.tie)
    }

    /// A program as the server's account, from a place where that account may be.
    fn command(&self, program: &str) -> Command {
        let mut command = self.programs.command(program);
        command.current_dir("/").env("HOME", self.directory.path());
        if let Some(account) = self.account {
            account.apply(&mut command);
        }
        command
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<()> {
        let path = self.directory.path().join(name);
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        self.own(&path)
    }

    fn own(&self, path: &Path) -> Result<()> {
        self.account.map_or(Ok(()), |account| account.own(path))
    }

    fn port_was_taken(&self) -> bool {
        self.last_words().contains("could not bind")
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("; ")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.tie == Tie::Tied {
            // The directory is removed next: nothing of it is needed any more.
            let _ = self.stop(Shutdown::Immediate);
        }
    }
}

/// Who may come in, and how.
fn access_rules(tls: bool) -> String {
    let rows: &[[&str; 3]] = if tls {
        &[
            ["hostssl", TLS_ROLE, "scram-sha-256"],
            ["hostnossl", TLS_ROLE, "reject"],
            ["hostnossl", PLAIN_ROLE, "scram-sha-256"],
            ["hostssl", PLAIN_ROLE, "reject"],
            ["host", "all", "scram-sha-256"],
        ]
    } else {
        &[
            ["host", TLS_ROLE, "reject"],
            ["host", "all", "scram-sha-256"],
        ]
    };
    let mut text =
        String::from("local all all scram-sha-256\nlocal replication all scram-sha-256\n");
    for [kind, role, how] in rows {
        for database in ["all", "replication"] {
            text.push_str(&format!("{kind} {database} {role} 127.0.0.1/32 {how}\n"));
        }
    }
    text
}

/// Parallel index builds share memory: in the place meant for it, unless that is as small as containers make it.
fn shared_memory() -> &'static str {
    const ENOUGH: u64 = 1 << 30;
    let room = rustix::fs::statvfs("/dev/shm").map(|at| at.f_bavail.saturating_mul(at.f_frsize));
    if room.is_ok_and(|room| room < ENOUGH) {
        "mmap"
    } else {
        "posix"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_with_tls_lets_its_role_in() {
        let with = access_rules(true);
        assert!(with.contains("hostssl all tls 127.0.0.1/32 scram-sha-256"));
        assert!(with.contains("hostnossl all tls 127.0.0.1/32 reject"));
        assert!(with.contains("hostnossl all plain 127.0.0.1/32 scram-sha-256"));
        let without = access_rules(false);
        assert!(without.contains("host all tls 127.0.0.1/32 reject"));
        assert!(!without.contains("hostssl") && !without.contains("hostnossl"));
    }
}
