//! Reads connection URLs and `key=value` strings as libpq does, and names what it does not do.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use storage_core::StoreError;

use super::{
    ConnectMode, DEFAULT_PORT, Endpoint, PostgresOptions, RootCertificates, SslMode, TargetSession,
    broken, configuration,
};

/// Words that are known and refused, with what to do instead.
const NOT_DONE: &[(&str, &str)] = &[
    (
        "passfile",
        "name the password file in the environment: PGPASSFILE",
    ),
    ("service", "write its settings into the URL"),
    (
        "sslcert",
        "client certificates are not supported; use a password",
    ),
    (
        "sslkey",
        "client certificates are not supported; use a password",
    ),
    (
        "sslcrl",
        "lists of revoked certificates are not supported; leave it out",
    ),
    (
        "krbsrvname",
        "Kerberos is not supported; use a password over TLS",
    ),
    (
        "load_balance_hosts",
        "hosts are tried in their order; leave it out",
    ),
    (
        "sslnegotiation",
        "TLS is asked for in PostgreSQL's own way; leave it out",
    ),
    (
        "require_auth",
        "use sslmode=verify-full, which shows the server's identity",
    ),
];

/// Everything that is understood, for a hint at a slip of the pen.
const KNOWN: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "sslmode",
    "sslrootcert",
    "insecure-tls",
    "connect_timeout",
    "application_name",
    "fallback_application_name",
    "target_session_attrs",
    "options",
    "schema",
    "pool_mode",
    "channel_binding",
    "gssencmode",
    "client_encoding",
    "keepalives",
];

pub(super) fn read_words(
    options: PostgresOptions,
    words: impl IntoIterator<Item = (String, String)>,
) -> Result<PostgresOptions, StoreError> {
    let mut said = Said::over(options);
    for (word, value) in words {
        said.take(&word, value)?;
    }
    said.done()
}

pub(super) fn read(options: PostgresOptions, text: &str) -> Result<PostgresOptions, StoreError> {
    let text = text.trim();
    let mut said = Said::over(options);
    let scheme = ["postgres://", "postgresql://"]
        .into_iter()
        .find(|scheme| text.starts_with(scheme));
    match scheme {
        Some(scheme) => read_url(&mut said, scheme, &text[scheme.len()..])?,
        None if text.contains("://") => {
            return Err(configuration(
                "this is no URL of PostgreSQL; it begins with postgres://",
            ));
        }
        None => return read_words(said.options, words(text)?),
    }
    said.done()
}

fn read_url(said: &mut Said, scheme: &str, rest: &str) -> Result<(), StoreError> {
    broken::check(scheme, rest)?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    let (userinfo, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = match userinfo.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (userinfo, None),
    };
    if !user.is_empty() {
        said.take("user", decode(user, "the user")?)?;
    }
    if let Some(password) = password.filter(|password| !password.is_empty()) {
        said.take("password", decode(password, "the password")?)?;
    }
    if !hosts.is_empty() {
        let (names, ports): (Vec<_>, Vec<_>) = hosts
            .split(',')
            .map(split_port)
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .unzip();
        said.take("host", names.join(","))?;
        if ports.iter().any(Option::is_some) {
            let ports: Vec<String> = ports
                .into_iter()
                .map(|port| port.unwrap_or_else(|| DEFAULT_PORT.to_string()))
                .collect();
            said.take("port", ports.join(","))?;
        } else {
            // A URL that names its hosts names their ports too: the ones of the environment are for other hosts.
            said.take("port", DEFAULT_PORT.to_string())?;
        }
    }
    if !database.is_empty() {
        said.take("dbname", decode(database, "the database")?)?;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            // It may be the end of a password with a `?` in it, so it is not repeated.
            return Err(configuration(
                "a parameter of the URL has no value; write ?name=value&name=value, and ? as %3F",
            ));
        };
        let key = decode(key, "a parameter's name")?;
        let value = decode(value, &key)?;
        said.take(&key, value)?;
    }
    Ok(())
}

/// A host of a URL and its port.
fn split_port(text: &str) -> Result<(String, Option<String>), StoreError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, after)) = rest.split_once(']') else {
                return Err(configuration(
                    "the address of the host has no closing bracket; write [::1]:5432",
                ));
            };
            (address, after.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.filter(|port| !port.is_empty()).map(ToOwned::to_owned);
    Ok((decode(host, "the host")?, port))
}

/// What has been read so far. Hosts and ports belong together only when all is read.
struct Said {
    options: PostgresOptions,
    hosts: Option<Vec<String>>,
    addresses: Option<Vec<String>>,
    ports: Option<Vec<u16>>,
}

impl Said {
    fn over(options: PostgresOptions) -> Self {
        Self {
            options,
            hosts: None,
            addresses: None,
            ports: None,
        }
    }

    fn take(&mut self, key: &str, value: String) -> Result<(), StoreError> {
        let options = &mut self.options;
        let list = |text: &str| text.split(',').map(|each| each.trim().to_owned()).collect();
        match key {
            "host" => self.hosts = Some(list(&value)),
            "hostaddr" => self.addresses = Some(list(&value)),
            "port" => self.ports = Some(ports(&value)?),
            "user" => options.user = Some(value),
            "password" => options.password = Some(SecretString::from(value)),
            "dbname" | "database" => options.database = Some(value),
            "sslmode" => options.ssl_mode = Some(SslMode::parse(&value)?),
            "ssl" if value == "true" => options.ssl_mode = Some(SslMode::VerifyFull),
            "sslrootcert" => options.ssl_root_cert = Some(roots(&value)),
            "insecure-tls" | "insecure_tls" => options.insecure_tls = truth(key, &value)?,
            "connect_timeout" => options.connect_timeout = seconds(key, &value)?,
            "application_name" => options.application_name = value,
            "target_session_attrs" => options.target_session = TargetSession::parse(&value)?,
            "options" => options.startup_options = Some(value),
            "schema" => self.options = self.options.clone().with_schema(&value)?,
            "pool_mode" => options.mode = pool_mode(&value)?,
            "channel_binding" => options.channel_binding_required = value == "require",
            "gssencmode" if value == "require" => {
                return Err(configuration(
                    "gssencmode=require is not supported; use sslmode=verify-full",
                ));
            }
            "client_encoding" if !is_utf8(&value) => {
                return Err(configuration(format!(
                    "client_encoding={value:?} is not supported, texts travel as UTF8; leave it out"
                )));
            }
            "keepalives" if value == "0" => {
                return Err(configuration(
                    "keepalives=0 is not supported: a dead connection would never end; leave it out",
                ));
            }
            // Ours are at least as strict, or it is the default already.
            "gssencmode" | "client_encoding" | "keepalives" | "fallback_application_name" => {}
            other => return Err(unknown(other)),
        }
        Ok(())
    }

    fn done(mut self) -> Result<PostgresOptions, StoreError> {
        let Some(endpoints) = self.endpoints()? else {
            return Ok(self.options);
        };
        self.options.endpoints = endpoints;
        Ok(self.options)
    }

    fn endpoints(&self) -> Result<Option<Vec<Endpoint>>, StoreError> {
        let known = &self.options.endpoints;
        let mut endpoints: Vec<Endpoint> = match (&self.hosts, &self.addresses) {
            (Some(hosts), _) => hosts
                .iter()
                .map(|host| {
                    let host = if host.is_empty() { "localhost" } else { host };
                    Endpoint::new(host, known.first().map_or(DEFAULT_PORT, |each| each.port))
                })
                .collect(),
            (None, Some(addresses)) => addresses
                .iter()
                .map(|address| Endpoint::new(address, DEFAULT_PORT))
                .collect(),
            (None, None) if self.ports.is_some() => known.clone(),
            (None, None) => return Ok(None),
        };
        if let Some(addresses) = &self.addresses {
            if addresses.len() != endpoints.len() {
                return Err(configuration(format!(
                    "there are {} hosts and {} addresses of them; name as many hostaddr as host",
                    endpoints.len(),
                    addresses.len()
                )));
            }
            for (endpoint, address) in endpoints.iter_mut().zip(addresses) {
                let address = address.parse().map_err(|_| {
                    configuration(format!(
                        "hostaddr={address:?} is no address of a host; write a name as host=…"
                    ))
                })?;
                endpoint.address = Some(address);
            }
        }
        match self.ports.as_deref() {
            None => {}
            Some([one]) => endpoints.iter_mut().for_each(|each| each.port = *one),
            Some(ports) if ports.len() == endpoints.len() => {
                for (endpoint, port) in endpoints.iter_mut().zip(ports) {
                    endpoint.port = *port;
                }
            }
            Some(ports) => {
                return Err(configuration(format!(
                    "there are {} hosts and {} ports; name one port, or one for each host",
                    endpoints.len(),
                    ports.len()
                )));
            }
        }
        Ok(Some(endpoints))
    }
}

fn unknown(key: &str) -> StoreError {
    if let Some((_, instead)) = NOT_DONE.iter().find(|(name, _)| *name == key) {
        return configuration(format!("the parameter {key} is not supported: {instead}"));
    }
    let like = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    let near = KNOWN.iter().find(|known| like(known) == like(key));
    let hint = near.map_or_else(
        || format!("there are {}", KNOWN.join(", ")),
        |near| format!("did you mean {near}?"),
    );
    // A key may be the tail of a password, so only what looks like a word is repeated.
    let word = |char: char| char.is_ascii_alphabetic() || matches!(char, '_' | '-');
    let shown = if key.chars().all(word) { key } else { "(…)" };
    configuration(format!("the parameter {shown} does not exist; {hint}"))
}

/// `system`, or a file.
fn roots(text: &str) -> RootCertificates {
    match text {
        "system" => RootCertificates::System,
        path => RootCertificates::File(PathBuf::from(path)),
    }
}

fn ports(text: &str) -> Result<Vec<u16>, StoreError> {
    text.split(',')
        .map(|port| match port.trim() {
            "" => Ok(DEFAULT_PORT),
            port => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                // What stands there may be a piece of a password.
                configuration(
                    "the port is no number from 1 to 65535; characters of a password such as : / @ are written %3A \
                     %2F %40",
                )
            }),
        })
        .collect()
}

fn seconds(key: &str, text: &str) -> Result<Duration, StoreError> {
    let seconds = text.trim().parse::<u64>().ok();
    seconds
        .filter(|seconds| (1..=3600).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| {
            configuration(format!(
                "{key}={text:?} is no number of seconds from 1 to 3600"
            ))
        })
}

fn truth(key: &str, text: &str) -> Result<bool, StoreError> {
    match text {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err(configuration(format!(
            "{key}={text:?} is neither true nor false"
        ))),
    }
}

fn pool_mode(text: &str) -> Result<ConnectMode, StoreError> {
    match text {
        "session" => Ok(ConnectMode::Direct),
        "transaction" => Ok(ConnectMode::Pooled),
        _ => Err(configuration(format!(
            "pool_mode={text:?} does not exist; there are session and transaction"
        ))),
    }
}

fn is_utf8(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "utf8" | "utf-8" | "unicode" | "auto"
    )
}

/// `key=value` words as libpq reads them: quotes around spaces, a backslash before a quote.
fn words(text: &str) -> Result<Vec<(String, String)>, StoreError> {
    let cut = || {
        configuration(
            "the connection string is cut off; write postgres://user@host/database, or host=… user=… dbname=…",
        )
    };
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|char| char.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(found);
        }
        let mut key = String::new();
        while let Some(char) = chars.next_if(|char| *char != '=' && !char.is_whitespace()) {
            key.push(char);
        }
        while chars.next_if(|char| char.is_whitespace()).is_some() {}
        chars.next_if_eq(&'=').ok_or_else(cut)?;
        while chars.next_if(|char| char.is_whitespace()).is_some() {}
        let quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next() {
                Some('\\') => value.push(chars.next().ok_or_else(cut)?),
                Some('\'') if quoted => break,
                Some(char) if !quoted && char.is_whitespace() => break,
                Some(char) => value.push(char),
                None if quoted => return Err(cut()),
                None => break,
            }
        }
        found.push((key, value));
    }
}

/// Percent decoding: what is not encoded stays, `+` included.
pub(super) fn decode(text: &str, what: &str) -> Result<String, StoreError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let byte = rest.get(..2).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            digits
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit())
                .then_some(())?;
            u8::from_str_radix(digits, 16).ok()
        });
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[2..];
            }
            None => {
                return Err(configuration(format!(
                    "a % in {what} is followed by no two hexadecimal digits; write % itself as %25"
                )));
            }
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Err(configuration(format!(
            "{what} holds a zero byte (%00), which PostgreSQL has no room for"
        ))),
        Ok(text) => Ok(text),
        Err(_) => Err(configuration(format!(
            "{what}, percent-decoded, is no UTF-8; encode its characters as UTF-8"
        ))),
    }
}

/// Percent encoding of what has a meaning in a URL.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for char in text.chars() {
        if broken::SPECIAL.contains(&char) || char.is_ascii_control() || char == ' ' {
            encoded.push_str(&format!("%{:02X}", u32::from(char)));
        } else {
            encoded.push(char);
        }
    }
    encoded
}
