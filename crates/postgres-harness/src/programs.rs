//! The server's programs: where they are, how they are run, and what they are able to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A directory of server programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// Where `postgres`, `initdb` and the others are.
    pub bin: PathBuf,
    /// What they need in `LD_LIBRARY_PATH`, where they are not installed in the system.
    pub libraries: Option<OsString>,
}

/// What a set of programs is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `15.20`
    pub postgres: String,
    /// Version of pgvector that `create extension vector` would take.
    pub pgvector: String,
    /// Whether it was built with OpenSSL.
    pub tls: bool,
}

impl Programs {
    /// One of them, free of what the environment says about other servers.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("PG") {
                command.env_remove(variable);
            }
        }
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// Asks the programs what they are.
    ///
    /// # Errors
    ///
    /// If one of them does not run, or pgvector is not installed beside them.
    pub fn facts(&self) -> Result<Facts> {
        let version = self.ask("postgres", &["--version"])?;
        let share = PathBuf::from(self.ask("pg_config", &["--sharedir"])?.trim());
        let control = share.join("extension/vector.control");
        let text = std::fs::read_to_string(&control)
            .with_context(|| format!("there is no pgvector: no {}", control.display()))?;
        Ok(Facts {
            postgres: server_version(&version)
                .with_context(|| format!("postgres has no version: {version}"))?,
            pgvector: default_version(&text)
                .with_context(|| format!("{} names no version", control.display()))?,
            tls: has_openssl(&self.ask("pg_config", &["--configure"])?),
        })
    }

    /// `psql` of the same version, if it is there and runs.
    #[must_use]
    pub fn psql(&self) -> Option<Command> {
        self.ask("psql", &["--version"]).ok()?;
        Some(self.command("psql"))
    }

    fn ask(&self, program: &str, args: &[&str]) -> Result<String> {
        let path = self.bin.join(program);
        let output = self
            .command(program)
            .args(args)
            .current_dir("/")
            .output()
            .with_context(|| format!("cannot run {}", path.display()))?;
        if !output.status.success() {
            bail!(
                "{} failed: {}",
                path.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The variables' `TEST_PG_BIN` and `TEST_PG_LIB`.
    pub(crate) fn new(bin: &Path, libraries: Option<OsString>) -> Self {
        Self {
            bin: bin.to_owned(),
            libraries,
        }
    }
}

/// Reads `postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`.
fn server_version(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("(PostgreSQL) ")?;
    rest.split_whitespace().next().map(str::to_owned)
}

/// Reads `default_version = '0.8.0'` of an extension's control file.
fn default_version(control: &str) -> Option<String> {
    control.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "default_version").then(|| value.trim().trim_matches('\'').to_owned())
    })
}

/// Whether `pg_config --configure` says that the server speaks TLS.
#[must_use]
pub fn has_openssl(configure: &str) -> bool {
    configure.contains("--with-openssl")
        || configure.contains("--with-ssl=openssl")
        || configure.contains("-Dssl=openssl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let cases = [
            ("postgres (PostgreSQL) 18.6\n", Some("18.6")),
            (
                "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)",
                Some("15.20"),
            ),
            ("postgres (PostgreSQL) 19beta1", Some("19beta1")),
            ("something else", None),
        ];
        for (line, expected) in cases {
            assert_eq!(server_version(line).as_deref(), expected, "{line}");
        }
        let control = "comment = 'vectors'\ndefault_version = '0.8.0'\nrelocatable = true";
        assert_eq!(default_version(control).as_deref(), Some("0.8.0"));
        assert_eq!(default_version("comment = 'x'"), None);
    }

    #[test]
    fn tls_is_what_the_server_was_built_with() {
        let cases = [
            (" '--with-openssl' '--with-lz4'", true),
            ("'--with-ssl=openssl'", true),
            ("-Dssl=openssl", true),
            ("'--without-readline' '--without-icu'", false),
            ("", false),
        ];
        for (configure, expected) in cases {
            assert_eq!(has_openssl(configure), expected, "{configure}");
        }
    }
}
