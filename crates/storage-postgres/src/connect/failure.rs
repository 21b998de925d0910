//! From what went wrong while connecting to what to do about it.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use storage_core::{StoreError, StoreErrorKind};
use tokio_postgres::error::DbError;

use super::session::quoted;
use super::steps::{Progress, Step};
use super::tls::{self, Refusal};
use crate::options::{Endpoint, Host, PostgresOptions, SslMode, TargetSession};

/// A name as a shell takes it for one word.
fn shell(name: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '/' | ':');
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

/// Who asked whom for what.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    place: String,
    host: String,
    port: u16,
    address: Option<IpAddr>,
    socket: bool,
    user: String,
    database: String,
    with_password: bool,
    /// Whether the server was asked without TLS.
    plain: bool,
    own_roots: bool,
}

impl Asked {
    pub(super) fn of(options: &PostgresOptions, endpoint: &Endpoint) -> Self {
        let user = options.user.clone().unwrap_or_default();
        let database = options.database().unwrap_or_default().to_owned();
        let password = super::password(options, endpoint, &database, &user);
        Self {
            place: endpoint.to_string(),
            host: match &endpoint.host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(directory) => directory.display().to_string(),
            },
            port: endpoint.port,
            address: None,
            socket: matches!(endpoint.host, Host::Unix(_)),
            with_password: password.is_some(),
            plain: options.ssl_mode == Some(SslMode::Disable),
            own_roots: options.ssl_root_cert.is_some(),
            user,
            database,
        }
    }

    /// Where it is not known which of several servers it was.
    pub(super) fn somewhere(options: &PostgresOptions) -> Self {
        let endpoint = options.endpoints.first().cloned();
        let mut asked = Self::of(
            options,
            &endpoint.unwrap_or_else(|| Endpoint::new("localhost", 0)),
        );
        asked.place = options.describe();
        asked
    }

    /// On this one of its addresses.
    pub(super) fn at(mut self, address: Option<IpAddr>) -> Self {
        let said = address.is_some_and(|address| address.to_string() == self.host);
        self.address = address.filter(|_| !said);
        self
    }

    fn psql(&self) -> String {
        let [host, user, database] =
            [&self.host, &self.user, &self.database].map(|name| shell(name));
        format!("psql -h {host} -p {} -U {user} {database}", self.port)
    }

    fn pg_isready(&self) -> String {
        format!("pg_isready -h {} -p {}", shell(&self.host), self.port)
    }

    fn error(&self, kind: StoreErrorKind, step: Step, message: &str) -> StoreError {
        let address = self
            .address
            .map_or_else(String::new, |address| format!(" ({address})"));
        // What failed, where, and after the semicolon what to do.
        let (fact, advice) = message.split_once("; ").unwrap_or((message, ""));
        let mut text = format!("{fact}: {}{address}", self.place);
        if !advice.is_empty() {
            text.push_str("; ");
            text.push_str(advice);
        }
        StoreError::new(kind, step.operation(), text)
    }

    fn refused(&self, step: Step, message: &str) -> StoreError {
        self.error(StoreErrorKind::Configuration, step, message)
    }

    fn away(&self, step: Step, message: &str) -> StoreError {
        self.error(StoreErrorKind::Unavailable, step, message)
    }
}

/// The name has no address.
pub(super) fn no_address(asked: &Asked, error: Option<io::Error>) -> StoreError {
    let failure = asked.away(
        Step::Name,
        &format!(
            "the server's name has no address (DNS); check it, for example with `getent hosts {}`",
            shell(&asked.host)
        ),
    );
    match error {
        Some(error) => failure.with_source(error),
        None => failure,
    }
}

/// Nothing came back in time.
pub(super) fn too_slow(asked: &Asked, timeout: Duration, progress: Progress) -> StoreError {
    let seconds = timeout.as_secs_f32();
    let what = match progress {
        Progress::Name => "the look-up of the server's name (DNS) did not end",
        Progress::Dialled => {
            "nobody answered (TCP): the server may be down, or a firewall drops what is sent to it"
        }
        Progress::Answered => {
            "the connection was accepted and nothing came back: the server may be overloaded, or is no PostgreSQL"
        }
        Progress::Offered => "the TLS handshake did not end",
        Progress::Encrypted => "the login did not end: the server may be overloaded",
    };
    asked.away(progress.step(), &format!(
        "{what} within {seconds} s; check with `{}`, or allow more with connect_timeout=SECONDS",
        asked.pg_isready()
    ))
}

/// A server that is up, and not what is wanted.
pub(super) fn wrong_sort(asked: &Asked, target: TargetSession) -> StoreError {
    asked.away(Step::Server, &format!(
        "the server is up, but not {} (target_session_attrs); name the hosts of the whole cluster, or wait for its \
         failover",
        target.word()
    ))
}

/// What a failure means, by the step that it came in.
pub(super) fn of(error: tokio_postgres::Error, asked: &Asked, progress: Progress) -> StoreError {
    if let Some(answer) = error.as_db_error() {
        return refused(answer, asked).with_source(Text::of(&error));
    }
    let cause = error.source();
    if let Some(refusal) = cause.and_then(tls::refusal) {
        return handshake(refusal, asked).with_source(Text::of(&error));
    }
    if let Some(io) = cause.and_then(|cause| cause.downcast_ref::<io::Error>()) {
        return network(io, asked, progress).with_source(Text::of(&error));
    }
    let text = cause.map_or_else(|| error.to_string(), ToString::to_string);
    let failure = if text.contains("does not support TLS") {
        asked.refused(Step::Tls,
            "the server does not support TLS, which is asked for; switch it on there (ssl = on), or say \
             sslmode=disable where nobody can listen in",
        )
    } else if text.contains("password missing") {
        no_password(asked)
    } else if error.is_closed() {
        asked.away(Step::Server, "the server closed the connection; try again")
    } else {
        // Authentication of a sort that is not spoken, or an answer that is none of PostgreSQL's.
        let step = if progress >= Progress::Answered {
            "login"
        } else {
            "connection"
        };
        asked.refused(
            Step::Login,
            &format!(
                "the {step} failed; check with `{}` whether PostgreSQL is what listens there",
                asked.psql()
            ),
        )
    };
    failure.with_source(Text::of(&error))
}

fn no_password(asked: &Asked) -> StoreError {
    asked.refused(Step::Login, &format!(
        "the server wants a password of user {:?}, and there is none; set POSTGRES_PASSWORD, POSTGRES_PASSWORD_FILE \
         or PGPASSFILE",
        asked.user
    ))
}

fn network(error: &io::Error, asked: &Asked, progress: Progress) -> StoreError {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::TimedOut if progress < Progress::Answered => asked.away(Step::Server, &format!(
            "nobody answered in time (TCP): the server may be down, or a firewall drops what is sent to it; check with \
             `{}`",
            asked.pg_isready()
        )),
        Kind::NotFound if asked.socket => asked.away(Step::Server,
            "there is no such socket; start the server, or name another directory with POSTGRES_HOST",
        ),
        Kind::PermissionDenied if asked.socket => asked.refused(Step::Server,
            "the socket must not be opened by this user; log in as another, or connect over TCP with \
             POSTGRES_HOST=localhost",
        ),
        Kind::ConnectionRefused => asked.away(Step::Server, &format!(
            "the connection is refused (TCP): no server listens there; start it, or name another host or port, and \
             check with `{}`",
            asked.pg_isready()
        )),
        _ if progress < Progress::Answered => asked.away(Step::Server, &format!(
            "there is no way to the server (TCP); check the network, and with `{}`",
            asked.pg_isready()
        )),
        _ if progress == Progress::Offered => asked.away(Step::Tls,
            "the connection was cut in the TLS handshake; look at the server's log, or at the proxy in between",
        ),
        _ => asked.away(Step::Server, &format!(
            "the connection was accepted and cut (before login): the server may be starting, or is no PostgreSQL; check \
             with `{}`",
            asked.pg_isready()
        )),
    }
}

fn handshake(refusal: Refusal, asked: &Asked) -> StoreError {
    let message = match refusal {
        Refusal::Authority if asked.own_roots => {
            "the server's certificate is signed by none of the authorities in sslrootcert (TLS); name the file of the \
             one that signed it"
        }
        Refusal::Authority => {
            "the server's certificate is signed by an authority this machine does not know (TLS); name its certificate \
             with sslrootcert=FILE"
        }
        Refusal::Name => {
            "the server's certificate is for another name (TLS); connect by a name that is on it, or with \
             sslmode=verify-ca where only the authority counts"
        }
        Refusal::Time => {
            "the server's certificate has expired, or is not valid yet (TLS); renew it, and check this machine's clock \
             with `date`"
        }
        Refusal::Certificate => {
            "the server's certificate is not one that proves anything (TLS); make one for the host under an authority \
             of its own"
        }
        Refusal::Protocol => {
            "the TLS handshake failed: the two sides have no version in common, or a proxy is in between; look at the \
             server's log"
        }
    };
    asked.refused(Step::Tls, message)
}

/// The server's own refusal, by its code.
fn refused(answer: &DbError, asked: &Asked) -> StoreError {
    let text = answer.message();
    let Asked { user, database, .. } = asked;
    match answer.code().code() {
        "28P01" if !asked.with_password => no_password(asked),
        "28P01" => asked.refused(Step::Login, &format!(
            "the server refuses the password of user {user:?} (authentication), or knows no such user; check \
             POSTGRES_PASSWORD, and try it with `{}`",
            asked.psql()
        )),
        "28000" if text.contains("pg_hba.conf") => {
            let unencrypted = text.contains("no encryption") || text.contains("SSL off");
            if unencrypted && asked.plain {
                asked.refused(Step::Login,
                    "the server lets nobody in without TLS (pg_hba.conf); leave sslmode=disable out, or say \
                     sslmode=verify-full",
                )
            } else {
                asked.refused(Step::Login, &format!(
                    "the server does not let user {user:?} into database {database:?} from this machine (pg_hba.conf); \
                     ask its administrator for a line there"
                ))
            }
        }
        "28000" if text.contains("certificate") => asked.refused(Step::Login,
            "the server wants a certificate of the client, which is not supported; ask its administrator for a login \
             by password",
        ),
        "28000" => asked.refused(Step::Login, &format!(
            "the server does not let user {user:?} in (authentication); does the role exist? Make it with \
             `createuser -h {} -p {} --pwprompt {}`",
            shell(&asked.host),
            asked.port,
            shell(user)
        )),
        "3D000" => {
            let [host, user, name] = [&asked.host, user, database].map(|name| shell(name));
            let port = asked.port;
            asked.refused(
                Step::Database,
                &format!(
                    "the server has no database {database:?}; make it with `createdb -h {host} -p {port} -O {user} \
                     {name}`, or name another"
                ),
            )
        }
        "42501" => asked.refused(
            Step::Database,
            &format!(
                "user {user:?} must not connect to database {database:?}; let its owner run `GRANT CONNECT ON DATABASE \
                 {} TO {}`",
                quoted(database),
                quoted(user)
            ),
        ),
        "57P03" => asked.away(Step::Server,
            "the server is starting, stopping or recovering and takes nobody yet; try again in a moment",
        ),
        "57P01" | "57P02" | "57P05" => {
            asked.away(Step::Server, "the server is being stopped or restarted; try again in a moment")
        }
        "53300" => asked.away(Step::Login, &format!(
            "the server has no connection left for user {user:?}; lower POSTGRES_POOL_SIZE here, or let the server have \
             more (max_connections)"
        )),
        "08P01" => pooler(text, asked),
        code if code.starts_with("08")
            || code.starts_with("53")
            || code.starts_with("57")
            || code.starts_with("58")
            || code.starts_with("XX") =>
        {
            asked.away(Step::Server, "the server is up, but cannot take the connection now; look at its log")
        }
        "22023" | "42704" | "42601" | "55P02" => asked.refused(Step::Login,
            "the server refuses a setting of the connection; check options=… and PGOPTIONS",
        ),
        _ => asked.refused(Step::Login, &format!(
            "the server refuses the connection; try it with `{}`",
            asked.psql()
        )),
    }
}

/// What a pooler such as pgbouncer says: one code for everything.
fn pooler(text: &str, asked: &Asked) -> StoreError {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["startup parameter"]) {
        return asked.refused(Step::Login,
            "the pooler in front of the server refuses a setting of the connection; leave options=… out, or list it in \
             ignore_startup_parameters",
        );
    }
    if says(&[
        "no such user",
        "authentication failed",
        "auth failed",
        "SASL",
        "password",
    ]) {
        return asked.refused(Step::Login, &format!(
            "the pooler in front of the server refuses user {:?} or the password (authentication); check both, and its \
             auth_file",
            asked.user
        ));
    }
    if says(&["no such database", "database does not exist"]) {
        return asked.refused(Step::Database, &format!(
            "the pooler in front of the server knows no database {:?}; name another, or list it under [databases]",
            asked.database
        ));
    }
    asked.away(Step::Server, "the pooler in front of the server cannot take the connection now; try again, and look at its log")
}

/// The cause as one line: what tokio-postgres says is behind two layers that say nothing.
#[derive(Debug)]
struct Text(String);

impl Text {
    fn of(error: &tokio_postgres::Error) -> Self {
        if let Some(answer) = error.as_db_error() {
            let code = answer.code().code();
            return Self(format!("{} ({code})", answer.message()));
        }
        Self(
            error
                .source()
                .map_or_else(|| error.to_string(), ToString::to_string),
        )
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Text {}
