//! `serve`: what was meant by the settings; `parts` brings the service itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::app::App;
use crate::args::{KeyRole, ServeArgs};
use crate::env;
use crate::exit::{ExitCode, Failure, usage};
use crate::parts;
use crate::settings::{ChunkSettings, SourceSettings, duration, number};

/// How to serve.
#[allow(dead_code, reason = "a build without the service reads none of it")]
pub(crate) struct Serving {
    /// The first that can be listened on.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) port_file: Option<PathBuf>,
    pub(crate) top_k: usize,
    pub(crate) threshold: Option<f32>,
    pub(crate) confidence: Option<f32>,
    pub(crate) refresh: Duration,
    pub(crate) keys: Vec<ServiceKey>,
    pub(crate) source: Option<SourceSettings>,
    /// How documents that are sent are cut.
    pub(crate) chunking: ChunkSettings,
}

/// A key as the settings write it.
#[allow(dead_code, reason = "a build without the service reads none of it")]
pub(crate) struct ServiceKey {
    pub(crate) name: String,
    pub(crate) role: KeyRole,
    pub(crate) known_by: KnownBy,
}

/// A key itself, or what was kept of it.
#[allow(dead_code, reason = "a build without the service reads none of it")]
pub(crate) enum KnownBy {
    Text(SecretString),
    Hash(String),
}

pub(crate) fn run(app: &Arc<App>, args: &ServeArgs) -> Result<ExitCode, Failure> {
    let layers = &app.settings.layers;
    let addresses = addresses(layers.text(env::LISTEN).unwrap_or_default())?;
    let mut keys = keys(app, env::SERVICE_KEYS, KeyRole::Admin)?;
    keys.extend(self::keys(app, env::SERVICE_READ_KEYS, KeyRole::Read)?);
    if let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback())
        && keys.is_empty()
    {
        return Err(usage(format!(
            "others can reach {open}, and there is no key; make one with `smart-support key new --role admin` and set \
             SMART_SUPPORT_API_KEY (or SMART_SUPPORT_API_KEY_FILE), or listen on 127.0.0.1"
        )));
    }
    let score = |key| {
        layers.parse(key, "a number from -1 to 1", |text| {
            number(text, -1.0..=1.0)
        })
    };
    let top_k = layers.parse(env::TOP_K, "a number from 1 to 1000", |text| {
        number(text, 1..=1000)
    })?;
    let refresh = layers.parse(env::REFRESH, "a time such as 1s", duration)?;
    let serving = Serving {
        port_file: args.port_file.clone(),
        top_k: top_k.unwrap_or(3),
        threshold: score(env::THRESHOLD)?,
        confidence: score(env::CONFIDENCE)?,
        refresh: refresh
            .filter(|time| !time.is_zero())
            .unwrap_or(Duration::from_secs(1)),
        source: app.settings.source(&args.source)?,
        chunking: app.settings.chunking()?,
        addresses,
        keys,
    };
    parts::serve(app, serving)
}

fn addresses(text: &str) -> Result<Vec<SocketAddr>, Failure> {
    use std::net::ToSocketAddrs;
    let wrong = |why: &dyn std::fmt::Display| {
        usage(format!(
            "cannot listen on {text:?}: {why}; write ADDRESS:PORT, such as 127.0.0.1:8080"
        ))
    };
    let addresses: Vec<SocketAddr> = text
        .to_socket_addrs()
        .map_err(|error| wrong(&error))?
        .collect();
    if addresses.is_empty() {
        return Err(wrong(&"the name has no address"));
    }
    Ok(addresses)
}

/// The key by which a running service is asked: the first that is written out.
pub(crate) fn own_key(app: &App) -> Result<Option<SecretString>, Failure> {
    let keys = keys(app, env::SERVICE_KEYS, KeyRole::Admin)?;
    Ok(keys.into_iter().find_map(|key| match key.known_by {
        KnownBy::Text(text) => Some(text),
        KnownBy::Hash(_) => None,
    }))
}

/// Keys with spaces or commas between them: a key itself, or `NAME:blake3:HASH`.
fn keys(app: &App, setting: &'static str, role: KeyRole) -> Result<Vec<ServiceKey>, Failure> {
    /// Below this a key can be guessed over a network.
    const SHORTEST: usize = 8;
    let Some(text) = app.settings.layers.text(setting) else {
        return Ok(Vec::new());
    };
    let word = match role {
        KeyRole::Read => "read",
        KeyRole::Admin => "admin",
    };
    let texts = text
        .split(|char: char| char == ',' || char.is_whitespace())
        .filter(|text| !text.is_empty());
    let mut keys = Vec::new();
    for (number, text) in texts.enumerate() {
        let key = match text.split_once("blake3:") {
            Some((name, hash)) if name.is_empty() || name.ends_with(':') => {
                let digits = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
                if !digits {
                    return Err(usage(format!(
                        "{setting}: key {} is no hash; `smart-support key new` says how one is written",
                        number + 1
                    )));
                }
                let name = name.trim_end_matches(':');
                ServiceKey {
                    name: if name.is_empty() { word } else { name }.to_owned(),
                    role,
                    known_by: KnownBy::Hash(hash.to_owned()),
                }
            }
            _ => ServiceKey {
                name: format!("{word} {}", number + 1),
                role,
                known_by: KnownBy::Text(SecretString::from(text)),
            },
        };
        if let KnownBy::Text(text) = &key.known_by
            && text.expose_secret().len() < SHORTEST
        {
            return Err(usage(format!(
                "{setting}: key {} is shorter than {SHORTEST} characters; make one with `smart-support key new`",
                number + 1
            )));
        }
        keys.push(key);
    }
    // A name with a space in it would leave its first word behind as a key.
    let is_hash = |key: &ServiceKey| matches!(key.known_by, KnownBy::Hash(_));
    let is_made = |key: &ServiceKey| match &key.known_by {
        KnownBy::Hash(_) => true,
        KnownBy::Text(text) => text.expose_secret().starts_with("sk-"),
    };
    if keys.iter().any(is_hash) && !keys.iter().all(is_made) {
        return Err(usage(format!(
            "{setting}: beside a hash stands something that no `smart-support key new` has made; write NAME:blake3:HASH \
             without spaces in the name"
        )));
    }
    Ok(keys)
}
