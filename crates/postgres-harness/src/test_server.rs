//! What tests are told about the server they may use: the variables that `cargo xtask test` sets, in one place for who
//! writes them and who reads them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::{BouncerProgram, Certificates, Programs, skip};

const URL: &str = "TEST_DATABASE_URL";
const TLS: &str = "TEST_PG_TLS";
const AUTHORITY: &str = "TEST_PG_CA";
const UNRELATED_AUTHORITY: &str = "TEST_PG_BAD_CA";
const VERSION: &str = "TEST_PG_VERSION";
const PGVECTOR_VERSION: &str = "TEST_PGVECTOR_VERSION";
const TEMPLATE: &str = "TEST_PG_TEMPLATE";
const SOCKETS: &str = "TEST_PG_SOCKETS";
const PROGRAMS: &str = "TEST_PG_BIN";
const LIBRARIES: &str = "TEST_PG_LIB";
const PGBOUNCER: &str = "TEST_PGBOUNCER";
const PGBOUNCER_LIBRARIES: &str = "TEST_PGBOUNCER_LIB";
const NO_PGBOUNCER: &str = "TEST_PGBOUNCER_ABSENT";

/// A server that tests may use. They create databases of their own in it and touch no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestServer {
    /// How a role that may create databases gets in, without TLS.
    pub url: String,
    /// `15.20`
    pub version: String,
    /// `0.8.0`
    pub pgvector_version: String,
    /// Where the server speaks TLS: who signed its certificate, and who did not.
    pub certificates: Option<Certificates>,
    /// A database with pgvector in it, to copy new ones from.
    pub template: Option<String>,
    /// Directory of its Unix sockets.
    pub sockets: Option<PathBuf>,
    /// Programs to start further servers from.
    pub programs: Option<Programs>,
    /// pgbouncer, or why this machine cannot have it.
    pub pgbouncer: Result<BouncerProgram, String>,
}

impl TestServer {
    /// The server of this run of tests; without one, skips loudly.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        let server = Self::named();
        if server.is_none() {
            skip(&format!(
                "{URL} names no server; cargo xtask test starts one"
            ));
        }
        server
    }

    /// Its programs; without any, skips loudly.
    #[must_use]
    pub fn programs(&self) -> Option<&Programs> {
        if self.programs.is_none() {
            skip(&format!(
                "{PROGRAMS} names no server programs; cargo xtask test --pg debian or wheel has some"
            ));
        }
        self.programs.as_ref()
    }

    /// pgbouncer; without it, skips loudly. Where the machine cannot have it that is no failure, skips forbidden or not.
    #[must_use]
    #[allow(clippy::print_stderr, reason = "a skip is loud")]
    pub fn pgbouncer(&self) -> Option<&BouncerProgram> {
        match &self.pgbouncer {
            Ok(program) => return Some(program),
            Err(why) if why.is_empty() => skip(&format!(
                "{PGBOUNCER} names no pgbouncer; cargo xtask test finds or fetches one"
            )),
            Err(why) => eprintln!("SKIPPED: there is no pgbouncer for this machine: {why}"),
        }
        None
    }

    /// The server that the variables name, if they do.
    #[must_use]
    pub fn named() -> Option<Self> {
        Self::read(&|name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    /// How its role reaches this database.
    #[must_use]
    pub fn database_url(&self, database: &str) -> String {
        with_database(&self.url, database)
    }

    /// How another role reaches this database. Roles of test servers share one password.
    #[must_use]
    pub fn database_url_as(&self, role: &str, database: &str) -> String {
        with_role(&with_database(&self.url, database), role)
    }

    fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<Self> {
        let text = |name| Some(variable(name)?.to_string_lossy().into_owned());
        let authority = variable(AUTHORITY).map(PathBuf::from);
        let certificates = authority
            .as_deref()
            .and_then(Path::parent)
            .map(Certificates::new);
        Some(Self {
            url: text(URL)?,
            version: text(VERSION).unwrap_or_default(),
            pgvector_version: text(PGVECTOR_VERSION).unwrap_or_default(),
            certificates: certificates.filter(|_| text(TLS).as_deref() == Some("1")),
            template: text(TEMPLATE),
            sockets: variable(SOCKETS).map(PathBuf::from),
            programs: variable(PROGRAMS)
                .map(|bin| Programs::new(Path::new(&bin), variable(LIBRARIES))),
            pgbouncer: match variable(PGBOUNCER) {
                Some(path) => Ok(BouncerProgram {
                    path: path.into(),
                    libraries: variable(PGBOUNCER_LIBRARIES),
                }),
                None => Err(text(NO_PGBOUNCER).unwrap_or_default()),
            },
        })
    }

    /// The same as variables. What is not known is empty, so that nothing of an outer run is inherited.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, OsString)> {
        let path = |path: Option<PathBuf>| path.map(OsString::from).unwrap_or_default();
        let certificates = self.certificates.as_ref();
        let programs = self.programs.as_ref();
        let pgbouncer = self.pgbouncer.as_ref().ok();
        vec![
            (
                PGBOUNCER,
                path(pgbouncer.map(|program| program.path.clone())),
            ),
            (
                PGBOUNCER_LIBRARIES,
                pgbouncer
                    .and_then(|program| program.libraries.clone())
                    .unwrap_or_default(),
            ),
            (
                NO_PGBOUNCER,
                self.pgbouncer
                    .as_ref()
                    .err()
                    .cloned()
                    .unwrap_or_default()
                    .into(),
            ),
            (URL, (&self.url).into()),
            (VERSION, (&self.version).into()),
            (PGVECTOR_VERSION, (&self.pgvector_version).into()),
            (TLS, if certificates.is_some() { "1" } else { "0" }.into()),
            (AUTHORITY, path(certificates.map(Certificates::authority))),
            (
                UNRELATED_AUTHORITY,
                path(certificates.map(Certificates::unrelated_authority)),
            ),
            (TEMPLATE, self.template.clone().unwrap_or_default().into()),
            (SOCKETS, path(self.sockets.clone())),
            (
                PROGRAMS,
                path(programs.map(|programs| programs.bin.clone())),
            ),
            (
                LIBRARIES,
                programs
                    .and_then(|programs| programs.libraries.clone())
                    .unwrap_or_default(),
            ),
        ]
    }
}

/// Replaces the database of a URL, and keeps its options.
fn with_database(url: &str, database: &str) -> String {
    let (base, options) = url
        .split_once('?')
        .map_or((url, None), |(base, options)| (base, Some(options)));
    let authority = base.find("://").map_or(0, |at| at + 3);
    let end = base[authority..]
        .find('/')
        .map_or(base.len(), |at| authority + at);
    let options = options
        .map(|options| format!("?{options}"))
        .unwrap_or_default();
    format!("{}/{database}{options}", &base[..end])
}

/// Replaces the role of a URL, and keeps its password.
fn with_role(url: &str, role: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (credentials, place) = match rest[..end].rfind('@') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => ("", rest),
    };
    let password = credentials
        .split_once(':')
        .map(|(_, password)| format!(":{password}"));
    format!("{scheme}://{role}{}@{place}", password.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_what_is_not_replaced() {
        let cases = [
            ("postgres://a:b@h:5/x", "postgres://r:b@h:5/d"),
            ("postgres://a:b@h:5", "postgres://r:b@h:5/d"),
            (
                "postgresql://a:p@h,i:6/x?sslmode=disable",
                "postgresql://r:p@h,i:6/d?sslmode=disable",
            ),
            ("postgres:///x?host=/s", "postgres://r@/d?host=/s"),
        ];
        for (url, expected) in cases {
            assert_eq!(with_role(&with_database(url, "d"), "r"), expected, "{url}");
        }
    }

    fn round_trip(server: &TestServer) -> Option<TestServer> {
        let variables = server.variables();
        TestServer::read(&|wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found
                .map(|(_, value)| value.clone())
                .filter(|value| !value.is_empty())
        })
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bare = TestServer {
            url: "postgres://a:b@127.0.0.1:5/postgres".into(),
            version: "18.6".into(),
            pgvector_version: "0.8.6".into(),
            certificates: None,
            template: None,
            sockets: None,
            programs: None,
            pgbouncer: Err("no such package".into()),
        };
        assert_eq!(round_trip(&bare).as_ref(), Some(&bare));
        let full = TestServer {
            certificates: Some(Certificates::new(Path::new("/c"))),
            template: Some("t".into()),
            sockets: Some("/s".into()),
            programs: Some(Programs {
                bin: "/bin".into(),
                libraries: Some("/l".into()),
            }),
            pgbouncer: Ok(BouncerProgram {
                path: "/bin/pgbouncer".into(),
                libraries: Some("/m".into()),
            }),
            ..bare
        };
        assert_eq!(round_trip(&full).as_ref(), Some(&full));
        assert_eq!(TestServer::read(&|_| None), None);
    }
}
