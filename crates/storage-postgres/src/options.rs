//! Where a PostgreSQL store is, and how to reach it. Reads no environment and no file: whoever calls says it all.

mod broken;
mod passwords;
mod url;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use storage_core::{StoreError, StoreErrorKind};

pub use passwords::PasswordFile;

use crate::connect::Step;

/// The schema of a store when none is named.
pub const DEFAULT_SCHEMA: &str = "public";

/// The port of a server when none is named.
pub const DEFAULT_PORT: u16 = 5432;

/// PostgreSQL cuts longer names off, and two of them would be one.
const LONGEST_NAME: usize = 63;

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS, by a certificate that a known authority has signed, whatever name is on it.
    Require,
    /// The same: the word that says so.
    VerifyCa,
    /// TLS, by a certificate that a known authority has signed for this very host.
    VerifyFull,
}

impl SslMode {
    /// Reads libpq's word. `prefer` and `allow` are refused: what they protect depends on who listens.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "disable" => Ok(Self::Disable),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            "prefer" | "allow" => Err(configuration(format!(
                "sslmode={text} leaves it to whoever answers whether the password travels in the clear; write \
                 sslmode=verify-full for TLS, or sslmode=disable for a connection without"
            ))),
            other => Err(configuration(format!(
                "sslmode={other:?} does not exist; there are disable, require, verify-ca and verify-full"
            ))),
        }
    }
}

/// The authorities that may sign a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCertificates {
    /// Those the machine trusts.
    System,
    /// Those in this PEM file.
    File(PathBuf),
}

/// Which of several servers will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSession {
    /// The first that answers.
    Any,
    /// One where a transaction may write.
    ReadWrite,
    /// One where it may not.
    ReadOnly,
    /// One that is no standby.
    Primary,
    /// A standby.
    Standby,
    /// A standby, and where there is none, any.
    PreferStandby,
}

impl TargetSession {
    /// Reads libpq's word.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "any" => Ok(Self::Any),
            "read-write" => Ok(Self::ReadWrite),
            "read-only" => Ok(Self::ReadOnly),
            "primary" => Ok(Self::Primary),
            "standby" => Ok(Self::Standby),
            "prefer-standby" => Ok(Self::PreferStandby),
            other => Err(configuration(format!(
                "target_session_attrs={other:?} does not exist; there are any, read-write, read-only, primary, \
                 standby and prefer-standby"
            ))),
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::PreferStandby => "prefer-standby",
        }
    }
}

/// Whether a session belongs to one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectMode {
    /// It does: settings are made once, when connecting.
    Direct,
    /// It is anyone's between two transactions, as behind pgbouncer: settings are made in each transaction.
    Pooled,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Tcp(String),
    Unix(PathBuf),
}

/// One of the servers to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: Host,
    /// Said beside the name, so that no look-up is needed.
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
}

impl Endpoint {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        let host = if host.starts_with('/') {
            Host::Unix(PathBuf::from(host))
        } else {
            Host::Tcp(host.to_owned())
        };
        Self {
            host,
            address: None,
            port,
        }
    }

    /// Whether nobody outside this machine can listen in.
    pub(crate) fn is_local(&self) -> bool {
        match (&self.host, self.address) {
            (Host::Unix(_), _) => true,
            (_, Some(address)) => address.is_loopback(),
            (Host::Tcp(name), None) => match name.parse::<IpAddr>() {
                Ok(address) => address.is_loopback(),
                Err(_) => name.eq_ignore_ascii_case("localhost"),
            },
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Tcp(name) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Host::Tcp(name) => write!(f, "{name}:{}", self.port),
            Host::Unix(directory) => {
                write!(f, "{}/.s.PGSQL.{}", directory.display(), self.port)
            }
        }
    }
}

/// Where a store is, who asks, and what to know when opening it. No secret is in its `Debug`.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<SecretString>,
    pub(crate) passwords: PasswordFile,
    pub(crate) database: Option<String>,
    pub(crate) ssl_mode: Option<SslMode>,
    pub(crate) ssl_root_cert: Option<RootCertificates>,
    pub(crate) insecure_tls: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) application_name: String,
    pub(crate) target_session: TargetSession,
    pub(crate) startup_options: Option<String>,
    pub(crate) channel_binding_required: bool,
    pub(crate) mode: ConnectMode,
    pub(crate) schema: String,
    pub(crate) pool_size: usize,
    pub(crate) wait: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) writer: Option<String>,
    pub(crate) dimensions: Option<u32>,
    pub(crate) read_urls: Vec<PostgresOptions>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            endpoints: vec![Endpoint::new("localhost", DEFAULT_PORT)],
            user: None,
            password: None,
            passwords: PasswordFile::default(),
            database: None,
            ssl_mode: None,
            ssl_root_cert: None,
            insecure_tls: false,
            connect_timeout: Duration::from_secs(10),
            application_name: "smart-support".to_owned(),
            target_session: TargetSession::Any,
            startup_options: None,
            channel_binding_required: false,
            mode: ConnectMode::Direct,
            schema: DEFAULT_SCHEMA.to_owned(),
            pool_size: 5,
            wait: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(300),
            writer: None,
            dimensions: None,
            read_urls: Vec::new(),
        }
    }
}

impl PostgresOptions {
    /// The server on this machine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `postgres://…`, `postgresql://…` or `host=… dbname=…`.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        Self::new().with_url(url)
    }

    /// The same, with all that the URL says said over it; what it leaves out stays.
    pub fn with_url(self, url: &str) -> Result<Self, StoreError> {
        url::read(self, url)
    }

    /// The same, with one of libpq's words said over it, such as `sslmode`; what it knows of them a URL knows too.
    pub fn with_parameter(self, word: &str, value: &str) -> Result<Self, StoreError> {
        url::read_words(self, [(word.to_owned(), value.to_owned())])
    }

    /// The same, on these hosts: names, addresses or directories of sockets, by commas. Ports stay where there are as
    /// many.
    #[must_use]
    pub fn with_host(mut self, hosts: &str) -> Self {
        let ports: Vec<u16> = self.endpoints.iter().map(|each| each.port).collect();
        self.endpoints = hosts
            .split(',')
            .enumerate()
            .map(|(at, host)| {
                let host = host.trim();
                let host = if host.is_empty() { "localhost" } else { host };
                let port = ports.get(at).or(ports.first()).copied();
                Endpoint::new(host, port.unwrap_or(DEFAULT_PORT))
            })
            .collect();
        self
    }

    /// The same, on this port of each host.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        for endpoint in &mut self.endpoints {
            endpoint.port = port;
        }
        self
    }

    /// The same, in this database; without one it is the one named like the user.
    #[must_use]
    pub fn with_database(mut self, database: impl Into<String>) -> Self {
        self.database = Some(database.into());
        self
    }

    /// The same, as this role.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The same, with this password on every host.
    #[must_use]
    pub fn with_password(mut self, password: SecretString) -> Self {
        self.password = Some(password);
        self
    }

    /// The same, with a file of passwords to look in where none is given.
    #[must_use]
    pub fn with_password_file(mut self, passwords: PasswordFile) -> Self {
        self.passwords = passwords;
        self
    }

    /// The same, protected so. Without a word it is `verify-full`, on this machine TLS where it is offered.
    #[must_use]
    pub fn with_ssl_mode(mut self, ssl_mode: SslMode) -> Self {
        self.ssl_mode = Some(ssl_mode);
        self
    }

    /// The same, trusting these authorities only.
    #[must_use]
    pub fn with_ssl_root_cert(mut self, roots: RootCertificates) -> Self {
        self.ssl_root_cert = Some(roots);
        self
    }

    /// The same, taking any certificate under `require`: anyone in the way can read and change everything.
    #[must_use]
    pub fn with_insecure_tls(mut self, insecure: bool) -> Self {
        self.insecure_tls = insecure;
        self
    }

    /// The same, with each server given this long to answer.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The same, under this name in `pg_stat_activity`.
    #[must_use]
    pub fn with_application_name(mut self, name: impl Into<String>) -> Self {
        self.application_name = name.into();
        self
    }

    /// The same, on such a server only.
    #[must_use]
    pub fn with_target_session(mut self, target: TargetSession) -> Self {
        self.target_session = target;
        self
    }

    /// The same, where sessions belong to one client or to all.
    #[must_use]
    pub fn with_mode(mut self, mode: ConnectMode) -> Self {
        self.mode = mode;
        self
    }

    /// The same, in this schema.
    pub fn with_schema(mut self, schema: &str) -> Result<Self, StoreError> {
        check_schema(schema)?;
        schema.clone_into(&mut self.schema);
        Ok(self)
    }

    /// The same, with at most this many connections for readers.
    #[must_use]
    pub fn with_pool_size(mut self, size: usize) -> Self {
        self.pool_size = size.max(1);
        self
    }

    /// The same, waiting for other writers as long as this.
    #[must_use]
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The same, with no statement running longer than this.
    #[must_use]
    pub fn with_statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout;
        self
    }

    /// The same, as the only writer, who says so in these words.
    #[must_use]
    pub fn with_writer(mut self, writer: impl Into<String>) -> Self {
        self.writer = Some(crate::holder::session_name(&writer.into()));
        self
    }

    /// The same, with the dimensions of the vectors that will be stored.
    #[must_use]
    pub fn with_dimensions(mut self, dimensions: Option<u32>) -> Self {
        self.dimensions = dimensions;
        self
    }

    /// The same, with replicas to read from.
    #[must_use]
    pub fn with_read_urls(mut self, read_urls: Vec<PostgresOptions>) -> Self {
        self.read_urls = read_urls;
        self
    }

    /// The schema the store is in.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The place as it is shown to people: never a password.
    #[must_use]
    pub fn describe(&self) -> String {
        let user = self
            .user
            .as_ref()
            .map_or_else(String::new, |user| format!("{}@", url::encode(user)));
        let (sockets, hosts): (Vec<_>, Vec<_>) = self
            .endpoints
            .iter()
            .partition(|each| matches!(each.host, Host::Unix(_)));
        let list = |endpoints: Vec<&Endpoint>| {
            let texts: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
            texts.join(",")
        };
        let mut text = format!("postgres://{user}{}", list(hosts));
        if let Some(database) = self.database() {
            text.push('/');
            text.push_str(&url::encode(database));
        }
        let mut more = Vec::new();
        if !sockets.is_empty() {
            more.push(format!("host={}", list(sockets)));
        }
        if self.schema != DEFAULT_SCHEMA {
            more.push(format!("schema={}", self.schema));
        }
        if !more.is_empty() {
            text.push('?');
            text.push_str(&more.join("&"));
        }
        text
    }

    /// The database: named, or the user's own.
    pub(crate) fn database(&self) -> Option<&str> {
        self.database.as_deref().or(self.user.as_deref())
    }
}

/// Whether a schema may have this name, which is quoted wherever it is used.
fn check_schema(schema: &str) -> Result<(), StoreError> {
    let known = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '$');
    let why = if schema.is_empty() {
        "it is empty"
    } else if schema.len() > LONGEST_NAME {
        "it is longer than 63 bytes"
    } else if !schema.chars().all(known) {
        "it holds a character that is no letter, digit, _, - or $"
    } else if schema.starts_with("pg_") || schema == "information_schema" {
        "PostgreSQL keeps it to itself"
    } else {
        return Ok(());
    };
    Err(configuration(format!(
        "no schema can have that name, as {why}; name another with --postgres-schema: {schema:?}"
    )))
}

/// What the settings say is not so.
pub(crate) fn configuration(message: impl Into<String>) -> StoreError {
    StoreError::new(
        StoreErrorKind::Configuration,
        Step::Settings.operation(),
        message,
    )
}

#[cfg(test)]
mod tests;
