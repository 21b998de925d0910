//! A standby: a copy of a running cluster that replays what the other writes, until it is promoted.

use anyhow::{Context as _, Result, bail};

use super::{Cluster, SUPERUSER};
use crate::process::Tie;
use crate::run_directory::RunDirectory;

impl Cluster {
    /// Copies this cluster, which must be running, and starts the copy as its standby. Returns as soon as that can be
    /// read; it may still be behind.
    ///
    /// # Errors
    ///
    /// With what the programs said, if one of them fails.
    pub fn standby(&self) -> Result<Self> {
        let mut standby = Self {
            process: None,
            programs: self.programs.clone(),
            account: self.account,
            password: self.password.clone(),
            port: 0,
            tie: Tie::Tied,
            directory: RunDirectory::temporary()?,
        };
        standby.own(standby.directory.path())?;
        standby.write("password", &self.password, 0o600)?;
        standby.write("passfile", &format!("*:*:*:*:{}", self.password), 0o600)?;
        standby.copy_from(self)?;
        let certificates = standby.copy_certificates(self)?;
        standby.move_in(certificates)?;
        standby.start_anywhere()?;
        Ok(standby)
    }

    /// Makes a standby a primary, and returns when it takes writes.
    ///
    /// # Errors
    ///
    /// With what `pg_ctl` said, if it is none or does not run.
    pub fn promote(&self) -> Result<()> {
        let mut command = self.command("pg_ctl");
        command.arg("promote").arg("-D").arg(self.data());
        command.args(["--wait", "--timeout", "60"]);
        let output = command.output().context("cannot start pg_ctl")?;
        if !output.status.success() {
            bail!(
                "the standby is not promoted: {}; {}",
                String::from_utf8_lossy(&output.stderr).trim(),
                self.last_words()
            );
        }
        Ok(())
    }

    fn copy_from(&self, primary: &Self) -> Result<()> {
        let passfile = self.directory.path().join("passfile");
        let mut command = self.command("pg_basebackup");
        command.arg("--pgdata").arg(self.data()).args([
            "--checkpoint=fast",
            "--wal-method=stream",
            "--no-sync",
            // Writes `standby.signal`, and where the primary is.
            "--write-recovery-conf",
            "--dbname",
        ]);
        command.arg(format!(
            "host=127.0.0.1 port={} user={SUPERUSER} passfile={} application_name=standby",
            primary.port,
            passfile.display()
        ));
        let output = command.output().context("cannot start pg_basebackup")?;
        if !output.status.success() {
            bail!(
                "pg_basebackup failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    fn copy_certificates(&self, primary: &Self) -> Result<bool> {
        for name in ["server.pem", "server.key"] {
            let from = primary.directory.path().join(name);
            if !from.exists() {
                return Ok(false);
            }
            let text = std::fs::read_to_string(&from)
                .with_context(|| format!("cannot read {}", from.display()))?;
            self.write(name, &text, 0o600)?;
        }
        Ok(true)
    }

    /// The copied settings name the primary's directory.
    fn move_in(&self, certificates: bool) -> Result<()> {
        let sockets = self.sockets().unwrap_or_default();
        let mut settings = vec![("unix_socket_directories", sockets)];
        if certificates {
            let file = |name: &str| self.directory.path().join(name);
            settings.push(("ssl_cert_file", file("server.pem")));
            settings.push(("ssl_key_file", file("server.key")));
        }
        let mut text = String::from("\n");
        for (name, value) in settings {
            let value = value.to_string_lossy().replace('\'', "''");
            text.push_str(&format!("{name} = '{value}'\n"));
        }
        self.append_settings(&text)
    }
}
