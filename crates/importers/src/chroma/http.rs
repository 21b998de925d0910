//! Chroma's servers: when the directory is on another machine.
//!
//! Page by page, with the count before and after, because a server says nothing of who writes meanwhile. Cosine vectors
//! come back with their norm; what a server of version 0.4 has forgotten it cannot hand over, and that is reported.

mod answer;
mod client;
mod source;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use storage_core::{ImportError, ImportErrorKind, ImportSource};

use self::answer::{Database, Listed, Version};
use self::client::Client;
use self::source::ServerSource;
use super::names::{self, DEFAULT_DATABASE, DEFAULT_TENANT, Name};

/// Collections and databases are listed in pages of this many.
const LISTING: usize = 100;

/// More collections than anybody lists.
const MOST_COLLECTIONS: usize = 100_000;

/// How a server is reached, and what is wanted of it.
#[derive(Clone)]
pub struct ServerOptions {
    /// Names of collections, also as `database/name`; none means all.
    pub collections: Vec<String>,
    /// The tenant; `default_tenant` if none is named.
    pub tenant: Option<String>,
    /// Only this database; all of the tenant's if none is named and the server lists them.
    pub database: Option<String>,
    /// A token, sent as `Authorization: Bearer` and as `X-Chroma-Token`.
    pub token: Option<SecretString>,
    /// A user with a password. Those of the address count as well.
    pub login: Option<(String, SecretString)>,
    /// A proxy, as an address.
    pub proxy: Option<String>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How often something that may pass is tried.
    pub attempts: u32,
    /// The pause after the first attempt; it doubles after each.
    pub pause: Duration,
    /// Secrets may travel unencrypted to machines outside of this network.
    pub allow_plain_http: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            collections: Vec::new(),
            tenant: None,
            database: None,
            token: None,
            login: None,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
            attempts: 4,
            pause: Duration::from_millis(500),
            allow_plain_http: false,
        }
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Secrets hide themselves; a proxy's address may hold one.
        f.debug_struct("ServerOptions")
            .field("collections", &self.collections)
            .field("tenant", &self.tenant)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// Asks a server for its collections and for how much each holds.
///
/// # Errors
/// `Refused` when the server does not let us in or the settings are wrong, `Unavailable` when it does not answer,
/// `NotFound` for a name that it does not know, `Unsupported` when it is no Chroma.
pub async fn connect(
    url: &str,
    options: &ServerOptions,
) -> Result<Vec<Box<dyn ImportSource>>, ImportError> {
    let client = Arc::new(Client::new(url, options)?);
    let version = probe(&client).await?;
    let tenant = options.tenant.as_deref().unwrap_or(DEFAULT_TENANT);
    let databases = match &options.database {
        Some(database) => vec![database.clone()],
        None => databases(&client, version, tenant).await?,
    };
    let mut found: Vec<(Name, Listed, String)> = Vec::new();
    for database in &databases {
        for listed in collections(&client, version, tenant, database).await? {
            let name = Name {
                tenant: tenant.to_owned(),
                database: database.clone(),
                name: listed.name.clone(),
            };
            found.push((name, listed, String::new()));
        }
    }
    if found.is_empty() {
        return Err(ImportError::new(
            ImportErrorKind::NotFound,
            format!(
                "there is no collection of tenant `{tenant}` at {}",
                client.location()
            ),
        ));
    }
    found.sort_by(|(a, ..), (b, ..)| (&a.database, &a.name).cmp(&(&b.database, &b.name)));
    let titles = names::titles(&found.iter().map(|(name, ..)| name).collect::<Vec<_>>());
    let mut notes = Vec::new();
    for ((name, _, title), (called, note)) in found.iter_mut().zip(titles) {
        *title = called;
        notes.push((name.clone(), note));
    }
    let wanted = names::select(
        found,
        |(name, _, title)| (name, title),
        &options.collections,
        client.location(),
    )?;
    let mut sources: Vec<Box<dyn ImportSource>> = Vec::new();
    for (name, listed, title) in wanted {
        let note = notes.iter().find(|(of, _)| *of == name);
        let note = note.and_then(|(_, note)| note.clone());
        let client = Arc::clone(&client);
        let source = ServerSource::describe(client, version, &name, listed, title, note).await?;
        sources.push(Box::new(source));
    }
    Ok(sources)
}

/// Which of its two languages the server speaks. Those that speak both are asked in the newer one.
async fn probe(client: &Client) -> Result<Version, ImportError> {
    let newer: Option<serde_json::Value> = client
        .get_if_known(&["api", "v2", "heartbeat"], &[])
        .await?;
    if let Some(heartbeat) = newer {
        return match heartbeat.get("nanosecond heartbeat") {
            Some(_) => Ok(Version::V2),
            None => Err(client.unsupported("it answers, but not as a Chroma server")),
        };
    }
    match client.get_if_known(&["api", "v1", "version"], &[]).await? {
        Some(serde_json::Value::String(_)) => Ok(Version::V1),
        _ => Err(client.unsupported("there is no Chroma server of version 0.4 or later")),
    }
}

async fn databases(
    client: &Client,
    version: Version,
    tenant: &str,
) -> Result<Vec<String>, ImportError> {
    let only_default = vec![DEFAULT_DATABASE.to_owned()];
    if version == Version::V1 {
        return Ok(only_default);
    }
    let mut names: Vec<String> = Vec::new();
    loop {
        let page = paging(names.len());
        let path = ["api", "v2", "tenants", tenant, "databases"];
        // Servers before 1.0 do not list them.
        let Some(listed) = client.get_if_known::<Vec<Database>>(&path, &page).await? else {
            return Ok(only_default);
        };
        let full = listed.len() >= LISTING;
        for database in listed {
            if names.contains(&database.name) {
                return Ok(names);
            }
            names.push(database.name);
        }
        if !full || names.len() > MOST_COLLECTIONS {
            return Ok(names);
        }
    }
}

async fn collections(
    client: &Client,
    version: Version,
    tenant: &str,
    database: &str,
) -> Result<Vec<Listed>, ImportError> {
    let mut found: Vec<Listed> = Vec::new();
    loop {
        let mut page = paging(found.len());
        let path = version.collections(tenant, database);
        if version == Version::V1 {
            page.push(("tenant", tenant.to_owned()));
            page.push(("database", database.to_owned()));
        }
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let Some(listed) = client.get_if_known::<Vec<Listed>>(&path, &page).await? else {
            return Err(ImportError::new(
                ImportErrorKind::NotFound,
                format!(
                    "no tenant `{tenant}` with a database `{database}` at {}",
                    client.location()
                ),
            ));
        };
        let full = listed.len() >= LISTING;
        for listed in listed {
            // A server that knows no pages gives the same again.
            if found.iter().any(|known| known.id == listed.id) {
                return Ok(found);
            }
            found.push(listed);
        }
        if !full {
            return Ok(found);
        }
        if found.len() > MOST_COLLECTIONS {
            return Err(client.unsupported("it lists collections without end"));
        }
    }
}

fn paging(offset: usize) -> Vec<(&'static str, String)> {
    vec![
        ("limit", LISTING.to_string()),
        ("offset", offset.to_string()),
    ]
}
