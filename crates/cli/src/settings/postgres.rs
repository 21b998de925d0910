//! What is said about a PostgreSQL server, weakest first: the variables of libpq, its service file, our own settings, a
//! URL, flags. What the words mean is read by the backend; a build without it collects them all the same.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::args::StorageArgs;
use crate::env;
use crate::exit::{Failure, usage};
use crate::settings::layers::Value;
use crate::settings::{Layers, Origin, StoreLocation, files, is_mounted_secret, number};

/// Settings that have a word of libpq's.
const WORDS: &[(&str, &str)] = &[
    (env::POSTGRES_HOST, "host"),
    (env::POSTGRES_PORT, "port"),
    (env::POSTGRES_DATABASE, "dbname"),
    (env::POSTGRES_USER, "user"),
    (env::POSTGRES_PASSWORD, "password"),
    (env::POSTGRES_SCHEMA, "schema"),
    (env::POSTGRES_POOL_MODE, "pool_mode"),
    (env::POSTGRES_SSL_MODE, "sslmode"),
    (env::POSTGRES_SSL_ROOT_CERT, "sslrootcert"),
    (env::POSTGRES_INSECURE_TLS, "insecure-tls"),
    (env::POSTGRES_CONNECT_TIMEOUT, "connect_timeout"),
    (env::POSTGRES_APPLICATION_NAME, "application_name"),
    (env::POSTGRES_TARGET_SESSION, "target_session_attrs"),
    (env::POSTGRES_OPTIONS, "options"),
];

/// One thing that was said, and where. Not in `Debug`: it may be secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// A word of libpq's and its value.
    Word(String, String, String),
    /// A whole URL.
    Url(String, String),
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word, _, origin) => write!(f, "{word} ({origin})"),
            Self::Url(_, origin) => write!(f, "URL ({origin})"),
        }
    }
}

/// A PostgreSQL database: what was said about it.
#[derive(Clone, PartialEq, Eq)]
#[allow(dead_code, reason = "a build without the backend connects to nothing")]
pub(crate) struct PostgresPlace {
    /// Weakest first: what comes later is said over it.
    pub(crate) said: Vec<Said>,
    /// The text of the password file.
    pub(crate) passwords: Option<String>,
    pub(crate) pool_size: usize,
    /// Replicas, by URL, and where they are named.
    pub(crate) read_urls: Vec<Said>,
}

impl fmt::Debug for PostgresPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.said).finish()
    }
}

impl PostgresPlace {
    /// Where the server or the database was named, by whoever had the last word.
    pub(crate) fn origin(&self) -> String {
        let naming = |said: &&Said| match said {
            Said::Url(..) => true,
            Said::Word(word, ..) => ["host", "dbname"].contains(&word.as_str()),
        };
        match self.said.iter().rev().find(naming) {
            Some(Said::Url(_, origin) | Said::Word(_, _, origin)) => origin.clone(),
            None => "default".to_owned(),
        }
    }
}

pub(super) fn is_url(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

/// The flag by which a place in PostgreSQL was typed, if one was.
pub(super) fn typed(args: &StorageArgs) -> Option<&'static str> {
    [
        (&args.postgres_host, "--postgres-host"),
        (&args.postgres_port, "--postgres-port"),
        (&args.postgres_database, "--postgres-database"),
        (&args.postgres_user, "--postgres-user"),
    ]
    .into_iter()
    .find_map(|(value, flag)| value.is_some().then_some(flag))
}

/// Who names the place by its parts, in words of ours: libpq's variables are there for every program.
pub(super) fn named(layers: &Layers) -> Option<String> {
    [
        env::POSTGRES_HOST,
        env::POSTGRES_DATABASE,
        env::POSTGRES_PORT,
        env::POSTGRES_USER,
    ]
    .into_iter()
    .filter_map(|key| Some((key, layers.get(key)?)))
    .find(|(key, value)| {
        let place = [env::POSTGRES_HOST, env::POSTGRES_DATABASE].contains(key);
        value.origin == Origin::Flag || (place && !is_weak(&value.origin))
    })
    .map(|(key, value)| match &value.origin {
        Origin::Environment(name) => name.clone(),
        Origin::Flag => format!("--{}", key.trim_start_matches("storage.")),
        origin => format!("{key} ({origin})"),
    })
}

/// Whether a value is libpq's, or nobody's.
fn is_weak(origin: &Origin) -> bool {
    match origin {
        Origin::Environment(name) | Origin::EnvFile(_, name) => name.starts_with("PG"),
        Origin::Default => true,
        Origin::Flag | Origin::File(_) => false,
    }
}

/// Collects what is said.
pub(super) fn place(
    layers: &Layers,
    url: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<StoreLocation, Failure> {
    let mut weak = Vec::new();
    let mut ours = Vec::new();
    let mut flags = Vec::new();
    if let Some(user) = user_of_the_machine() {
        weak.push(Said::Word(
            "user".into(),
            user,
            "your name on this machine".into(),
        ));
    }
    let host = layers.get(env::POSTGRES_HOST);
    for (key, word) in WORDS {
        let Some(value) = layers.get(key) else {
            continue;
        };
        // PGPORT is the port of PGHOST, not of a server that is named elsewhere.
        let astray = *key == env::POSTGRES_PORT
            && is_weak(&value.origin)
            && host.is_some_and(|host| !is_weak(&host.origin));
        if astray {
            continue;
        }
        let said = Said::Word(
            (*word).to_owned(),
            value.text.clone(),
            value.origin.to_string(),
        );
        match &value.origin {
            Origin::Flag => flags.push(said),
            origin if is_weak(origin) => weak.push(said),
            _ => ours.push(said),
        }
    }
    let mut said = weak;
    if let Some(name) = layers.get(env::POSTGRES_SERVICE) {
        said.extend(service(layers, name)?);
    }
    said.extend(ours);
    said.extend(url.map(|value| Said::Url(value.text.clone(), value.origin.to_string())));
    said.extend(flags);
    let passwords = match layers.get(env::POSTGRES_PASSWORD) {
        Some(_) => None,
        None => password_file(layers, warnings)?,
    };
    let pool_size = layers
        .parse(env::POSTGRES_POOL_SIZE, "a number from 1 to 1000", |text| {
            number(text, 1..=1000)
        })?
        .unwrap_or(5);
    let read_urls = layers
        .get(env::POSTGRES_READ_URLS)
        .map_or_else(Vec::new, |value| {
            // Commas between URLs are common; within one they stand between its hosts.
            let text = value.text.replace(",postgres", " postgres");
            let urls = text.split_whitespace();
            urls.map(|url| Said::Url(url.to_owned(), value.origin.to_string()))
                .collect()
        });
    Ok(StoreLocation::Postgres(Box::new(PostgresPlace {
        said,
        passwords,
        pool_size,
        read_urls,
    })))
}

/// A database that is not the store's: what was said about the store's server is not said of this one, its password
/// least of all. What libpq's variables say holds for every server.
pub(super) fn elsewhere(layers: &Layers, url: &Value) -> Result<PostgresPlace, Failure> {
    let user = user_of_the_machine()
        .map(|user| Said::Word("user".into(), user, "your name on this machine".into()));
    let mut said: Vec<Said> = user.into_iter().collect();
    let weak = |key: &'static str| layers.get(key).filter(|value| is_weak(&value.origin));
    for (key, word) in WORDS {
        // Where the server is, the URL says alone.
        let is_place = [
            env::POSTGRES_HOST,
            env::POSTGRES_PORT,
            env::POSTGRES_DATABASE,
        ]
        .contains(key);
        if let Some(value) = weak(key).filter(|_| !is_place) {
            said.push(Said::Word(
                (*word).to_owned(),
                value.text.clone(),
                value.origin.to_string(),
            ));
        }
    }
    said.push(Said::Url(url.text.clone(), url.origin.to_string()));
    let passwords = match weak(env::POSTGRES_PASSWORD) {
        Some(_) => None,
        // What there is to warn of was said of the store.
        None => password_file(layers, &mut Vec::new())?,
    };
    Ok(PostgresPlace {
        said,
        passwords,
        pool_size: 1,
        read_urls: Vec::new(),
    })
}

/// libpq's own choice where nobody names a user.
fn user_of_the_machine() -> Option<String> {
    ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
}

fn home(file: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(PathBuf::from(home).join(file))
}

/// The password file: the one that is named has to be there and for its owner only, the usual one is passed over with a
/// word, as libpq does.
fn password_file(layers: &Layers, warnings: &mut Vec<String>) -> Result<Option<String>, Failure> {
    let named = layers.get(env::POSTGRES_PASSFILE);
    let (path, name) = match named {
        Some(value) => (PathBuf::from(&value.text), value.origin.to_string()),
        None => match home(".pgpass").filter(|path| path.is_file()) {
            Some(path) => (path, "the password file".to_owned()),
            None => return Ok(None),
        },
    };
    let refused = if open_to_others(&path) {
        let path = path.display();
        Some(format!(
            "the password file can be read by others, and is not used; run: chmod 600 {path} ({name})"
        ))
    } else {
        None
    };
    match (refused, named) {
        (Some(refused), Some(_)) => return Err(usage(refused)),
        (Some(refused), None) => {
            warnings.push(refused);
            return Ok(None);
        }
        (None, _) => {}
    }
    files::read(&path).map(Some).map_err(|error| {
        usage(format!(
            "the password file {} ({name}) cannot be read: {error}",
            path.display()
        ))
    })
}

fn open_to_others(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).map_or(0, |found| found.permissions().mode());
        mode & 0o077 != 0 && !is_mounted_secret(path)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// The section of the service file that is named.
fn service(layers: &Layers, name: &Value) -> Result<Vec<Said>, Failure> {
    let path = layers
        .text(env::POSTGRES_SERVICE_FILE)
        .map(PathBuf::from)
        .or_else(|| home(".pg_service.conf"))
        .unwrap_or_default();
    let shown = path.display();
    let text = files::read(&path).map_err(|error| {
        usage(format!(
            "the service {:?} ({}) is looked for in {shown}, which cannot be read: {error}",
            name.text, name.origin
        ))
    })?;
    section(&text, &name.text)
        .map(|words| {
            let origin = format!("{shown} [{}]", name.text);
            words
                .into_iter()
                .map(|(word, value)| Said::Word(word, value, origin.clone()))
                .collect()
        })
        .ok_or_else(|| {
            usage(format!(
                "the service {:?} ({}) is not in {shown}; add a section [{}] to it",
                name.text, name.origin, name.text
            ))
        })
}

/// `word=value` lines under a heading.
fn section(text: &str, name: &str) -> Option<Vec<(String, String)>> {
    let heading = format!("[{name}]");
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| *line == heading)?;
    let words = lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(word, value)| (word.trim().to_owned(), value.trim().to_owned()));
    Some(words.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_section_of_its_file() {
        let text =
            "# all\n[one]\nhost=a\n[two]\n# b\nhost = b\nport=6\nnothing\n\n[three]\nhost=c\n";
        let words = section(text, "two").unwrap();
        let found: Vec<(&str, &str)> = words
            .iter()
            .map(|(word, value)| (&**word, &**value))
            .collect();
        assert_eq!(found, [("host", "b"), ("port", "6")]);
        assert_eq!(section(text, "four"), None);
    }

    #[test]
    fn what_was_said_is_not_in_debug() {
        let place = PostgresPlace {
            said: vec![
                Said::Word("password".into(), "SECRET".into(), "flag".into()),
                Said::Url("postgres://u:SECRET@h".into(), "flag".into()),
            ],
            passwords: Some("SECRET".into()),
            pool_size: 5,
            read_urls: Vec::new(),
        };
        assert_eq!(format!("{place:?}"), "[password (flag), URL (flag)]");
    }
}
