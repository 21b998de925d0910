//! What was meant: one [`Settings`] value out of flags, environment and files. From here on nobody reads a flag or a
//! variable.

mod files;
mod layers;
mod postgres;
mod read;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use embedder_client::SpendLimits;
use secrecy::{ExposeSecret, SecretString};
use storage_core::{CollectionName, EmbedText, EmbeddingSpace};
use sync_engine::IMPORTED;

use crate::args::{Cli, Command, GlobalArgs, ModelCommand, OnStoreError, SourceArgs, SyncArgs};
use crate::env;
use crate::exit::{Failure, usage};

#[allow(
    unused_imports,
    reason = "only a build with the local model asks for directories"
)]
pub(crate) use layers::user_directory;
pub(crate) use layers::{Layers, Origin, Places, is_mounted_secret, nearest};
pub(crate) use postgres::PostgresPlace;
#[allow(
    unused_imports,
    reason = "only a build with PostgreSQL looks at what was said"
)]
pub(crate) use postgres::Said;
pub(crate) use read::{duration, number, predicate};

/// Where the vectors are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreLocation {
    /// A SQLite file, with the words that tell where its path came from.
    Sqlite(PathBuf, String),
    /// SQLite in memory: gone when the command ends.
    SqliteMemory,
    /// A PostgreSQL database.
    Postgres(Box<PostgresPlace>),
}

/// Which embedder to use, and how. Not for `Debug`: addresses may hold secrets.
#[derive(Clone)]
#[allow(
    dead_code,
    reason = "a build without the local model reads none of its fields"
)]
pub(crate) struct EmbedderSettings {
    pub(crate) provider: Provider,
    pub(crate) model: Option<String>,
    /// Numbers per vector, where somebody asks for another number than the model's own.
    pub(crate) dimensions: Option<NonZeroU32>,
    pub(crate) base_url: Option<String>,
    pub(crate) api_key: Option<SecretString>,
    pub(crate) model_path: Option<PathBuf>,
    pub(crate) model_url: Option<String>,
    pub(crate) offline: bool,
    pub(crate) query_prefix: String,
    pub(crate) passage_prefix: String,
    pub(crate) requests_per_minute: Option<NonZeroU32>,
    pub(crate) timeout: Duration,
    pub(crate) max_retries: u32,
    pub(crate) longest_wait: Duration,
    pub(crate) proxy: Option<SecretString>,
    pub(crate) allow_plain_http: bool,
}

/// The embedding providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    Local,
    OpenAi,
    Ollama,
    Hash,
}

impl Provider {
    pub(crate) const ALL: [Self; 4] = [Self::Local, Self::OpenAi, Self::Ollama, Self::Hash];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::OpenAi => "openai",
            Self::Ollama => "ollama",
            Self::Hash => "hash",
        }
    }
}

/// A source to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceSettings {
    pub(crate) from: SourceFrom,
    pub(crate) map: Vec<(String, String)>,
    pub(crate) sheet: Option<String>,
    pub(crate) header_row: Option<u32>,
    pub(crate) chunking: ChunkSettings,
    pub(crate) embed_text: Option<EmbedText>,
    /// A table without questions will do: it was named by `--input`.
    pub(crate) data_set: bool,
}

/// How documents are cut; where nothing is said, the numbers are those of the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(dead_code, reason = "a build without the reader cuts nothing")]
pub(crate) struct ChunkSettings {
    pub(crate) size: Option<usize>,
    pub(crate) overlap: Option<usize>,
    /// By tokens, not by characters.
    pub(crate) tokens: bool,
}

/// Where the rows of a source come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceFrom {
    File(PathBuf),
    /// A table or query of a PostgreSQL database.
    Rows(Box<RowsPlace>),
}

/// A table or query, and the database it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    dead_code,
    reason = "a build without the reader says so and looks no further"
)]
pub(crate) struct RowsPlace {
    pub(crate) sql: String,
    pub(crate) server: Box<PostgresPlace>,
}

impl SourceSettings {
    /// The file, where it is one.
    pub(crate) fn file(&self) -> Option<&std::path::Path> {
        match &self.from {
            SourceFrom::File(path) => Some(path),
            SourceFrom::Rows(_) => None,
        }
    }

    /// The flag that names it, and its value.
    pub(crate) fn flag(&self) -> (&'static str, String) {
        match &self.from {
            SourceFrom::File(path) if self.data_set => ("--input", path.display().to_string()),
            SourceFrom::File(path) => ("--faq-path", path.display().to_string()),
            SourceFrom::Rows(rows) => ("--source-sql", rows.sql.clone()),
        }
    }
}

/// Batches and calls in flight; `None` leaves the choice to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchSettings {
    pub(crate) size: usize,
    pub(crate) concurrency: usize,
    /// Whether somebody chose them, or they are the defaults for an API.
    pub(crate) given: bool,
}

/// What a run may spend, and what a token costs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct SpendSettings {
    pub(crate) max_requests: Option<u64>,
    /// USD.
    pub(crate) max_cost: Option<f64>,
    /// USD for a million tokens.
    pub(crate) price: Option<f64>,
}

impl SpendSettings {
    /// The bounds as the provider counts. What runs in process is free.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both are positive, and a float becomes the nearest number that is one"
    )]
    pub(crate) fn limits(&self) -> SpendLimits {
        let price = self.price.filter(|price| *price > 0.0);
        SpendLimits {
            requests: self.max_requests,
            tokens: self
                .max_cost
                .zip(price)
                .map(|(most, price)| (most / price * 1e6) as u64),
        }
    }

    /// USD for so many tokens, where the price is known.
    #[allow(clippy::cast_precision_loss, reason = "tokens are far below 2^52")]
    pub(crate) fn cost(&self, tokens: u64) -> Option<f64> {
        Some(tokens as f64 * self.price? / 1e6)
    }
}

/// Everything a command needs to know.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) layers: Layers,
    pub(crate) store: StoreLocation,
    pub(crate) collection: CollectionName,
    pub(crate) on_store_error: OnStoreError,
    pub(crate) wait: Duration,
    /// Things to say once, as soon as there is somebody to say them to.
    pub(crate) warnings: Vec<String>,
}

impl Settings {
    /// Resolves what every command needs; the rest is resolved when a command asks.
    pub(crate) fn resolve(cli: &Cli) -> Result<Self, Failure> {
        let places = Places {
            config: cli.global.config.clone(),
            env_file: cli.global.env_file.clone(),
        };
        let layers = Layers::read(flags(cli), &places)?;
        let mut warnings = layers.warnings.clone();
        if cli.global.storage.postgres_password.is_some() {
            warnings.push(
                "--postgres-password shows in the process list; use POSTGRES_PASSWORD_FILE or POSTGRES_PASSWORD"
                    .to_owned(),
            );
        }
        let store = read::store_location(&layers, &cli.global.storage, &mut warnings)?;
        let name = layers.text(env::COLLECTION).unwrap_or_default().to_owned();
        let collection = CollectionName::new(name).map_err(|error| usage(error.to_string()))?;
        let on_store_error = layers
            .parse(env::ON_STORE_ERROR, "fail or memory", |text| match text {
                "fail" => Some(OnStoreError::Fail),
                "memory" => Some(OnStoreError::Memory),
                _ => None,
            })?
            .unwrap_or(OnStoreError::Fail);
        let wait = layers
            .parse(env::WAIT, "a time such as 30s", duration)?
            .unwrap_or_default();
        Ok(Self {
            layers,
            store,
            collection,
            on_store_error,
            wait,
            warnings,
        })
    }

    /// A store that a command names by its URL, not the one of the settings.
    pub(crate) fn store_at(&self, url: &str) -> Result<StoreLocation, Failure> {
        let given = self.layers.get(env::STORE);
        if given.is_some_and(|value| value.origin == Origin::Flag) {
            return Err(usage(
                "this command names its stores itself; leave --store out",
            ));
        }
        let named = layers::Value {
            text: url.to_owned(),
            origin: Origin::Flag,
        };
        // What there is to warn of was said when the settings were read.
        let location = read::store_url(&self.layers, &named, &mut Vec::new())?;
        if location == StoreLocation::SqliteMemory {
            return Err(usage(
                "a store in memory is empty when a command begins and gone when it ends; name a file: sqlite:PATH",
            ));
        }
        Ok(location)
    }

    /// The collection that was asked for with the flag, where commands else work on all.
    pub(crate) fn named_collection(&self) -> Option<&CollectionName> {
        let given = self.layers.get(env::COLLECTION)?;
        (given.origin == Origin::Flag).then_some(&self.collection)
    }

    /// The embedder that was chosen.
    pub(crate) fn embedder(&self) -> Result<EmbedderSettings, Failure> {
        read::embedder(&self.layers)
    }

    /// The embedding provider of a space that is in the store, reached as the settings say.
    /// `shortened` where its width is known to be one of several.
    pub(crate) fn embedder_of(
        &self,
        space: &EmbeddingSpace,
        shortened: bool,
    ) -> Result<EmbedderSettings, Failure> {
        let named = Provider::ALL
            .into_iter()
            .find(|provider| provider.name() == space.provider);
        let provider = match named {
            Some(provider) => provider,
            // Nobody knows by which road imported vectors came; whoever serves the model is the one to ask.
            None if space.provider == IMPORTED => self.embedder()?.provider,
            None => {
                return Err(usage(format!(
                    "the store names a provider that this build does not know: {}",
                    space.provider
                )));
            }
        };
        let reached = read::embedder_of(&self.layers, provider)?;
        // A number that was asked for is the setting of one model: another one may not take any. What is hashed has any.
        let same_model = reached.model.as_ref() == Some(&space.model.name);
        let asked =
            provider == Provider::Hash || shortened || (same_model && reached.dimensions.is_some());
        Ok(EmbedderSettings {
            model: Some(space.model.name.clone()),
            dimensions: asked.then_some(space.model.dimensions),
            query_prefix: space.model.query_prefix.clone(),
            passage_prefix: space.model.passage_prefix.clone(),
            ..reached
        })
    }

    /// The source that was named, by flag or otherwise; `None` when nobody named one.
    pub(crate) fn source(&self, args: &SourceArgs) -> Result<Option<SourceSettings>, Failure> {
        read::source(&self.layers, args, &self.store)
    }

    /// How documents are cut.
    pub(crate) fn chunking(&self) -> Result<ChunkSettings, Failure> {
        read::chunking(&self.layers)
    }

    /// The recipe of what is embedded, where one is set.
    pub(crate) fn embed_text(&self) -> Result<Option<EmbedText>, Failure> {
        read::embed_text(&self.layers)
    }

    /// Numbers per vector, where somebody asks for a number.
    pub(crate) fn dimensions(&self) -> Result<Option<NonZeroU32>, Failure> {
        read::dimensions(&self.layers)
    }

    /// A setting that is on or off.
    pub(crate) fn flag(&self, key: &'static str) -> Result<bool, Failure> {
        read::flag(&self.layers, key)
    }

    /// What a run with that model may spend.
    pub(crate) fn spend(&self, model: &str) -> Result<SpendSettings, Failure> {
        read::spend(&self.layers, model)
    }

    /// How texts are sent.
    pub(crate) fn batches(&self) -> Result<BatchSettings, Failure> {
        let count = |key| {
            self.layers.parse(key, "a number from 1 to 2048", |text| {
                number(text, 1..=2048)
            })
        };
        let given = |key| {
            self.layers
                .get(key)
                .is_some_and(|value| value.origin != Origin::Default)
        };
        Ok(BatchSettings {
            size: count(env::BATCH_SIZE)?.unwrap_or(10),
            concurrency: count(env::CONCURRENCY)?.unwrap_or(4),
            given: given(env::BATCH_SIZE) || given(env::CONCURRENCY),
        })
    }
}

/// Flags that are settings, as pairs of key and value.
fn flags(cli: &Cli) -> Vec<(&'static str, String)> {
    let GlobalArgs {
        store,
        collection,
        on_store_error,
        wait,
        storage,
        model,
        ..
    } = &cli.global;
    let on_error = on_store_error.map(|what| match what {
        OnStoreError::Fail => "fail".to_owned(),
        OnStoreError::Memory => "memory".to_owned(),
    });
    let mut flags = vec![
        (env::STORE, store.clone()),
        (env::COLLECTION, collection.clone()),
        (env::ON_STORE_ERROR, on_error),
        (env::WAIT, wait.clone()),
        (env::STORAGE_BACKEND, storage.storage_backend.clone()),
        (env::SQLITE_PATH, storage.sqlite_path.clone()),
        (env::POSTGRES_HOST, storage.postgres_host.clone()),
        (env::POSTGRES_PORT, storage.postgres_port.clone()),
        (env::POSTGRES_DATABASE, storage.postgres_database.clone()),
        (env::POSTGRES_USER, storage.postgres_user.clone()),
        (
            env::POSTGRES_PASSWORD,
            storage
                .postgres_password
                .as_ref()
                .map(|password| password.expose_secret().to_owned()),
        ),
        (env::POSTGRES_SCHEMA, storage.postgres_schema.clone()),
        (
            env::POSTGRES_INSECURE_TLS,
            storage.insecure_tls.then(|| "true".to_owned()),
        ),
        (env::MODEL_PATH, model.model_path.clone()),
        (env::DIMENSIONS, model.dimensions.clone()),
        (env::OFFLINE, model.offline.then(|| "true".to_owned())),
    ];
    let (source, sync) = command_flags(&cli.command);
    if let Some(SourceArgs {
        faq_path,
        input,
        source_sql,
        source_url,
        chunk_size,
        chunk_overlap,
        chunk_by,
        embed_text,
        ..
    }) = source
    {
        flags.push((env::FAQ_PATH, faq_path.clone()));
        flags.push((env::INPUT, input.clone()));
        flags.push((env::SOURCE_SQL, source_sql.clone()));
        let url = source_url
            .as_ref()
            .map(|url| url.expose_secret().to_owned());
        flags.push((env::SOURCE_URL, url));
        flags.push((env::CHUNK_SIZE, chunk_size.clone()));
        flags.push((env::CHUNK_OVERLAP, chunk_overlap.clone()));
        flags.push((env::CHUNK_BY, chunk_by.clone()));
        flags.push((env::EMBED_TEXT, embed_text.clone()));
    }
    if let Some(SyncArgs {
        batch_size,
        concurrency,
        max_requests,
        max_cost,
        ..
    }) = sync
    {
        flags.push((env::MAX_REQUESTS, max_requests.clone()));
        flags.push((env::MAX_COST, max_cost.clone()));
        flags.push((env::BATCH_SIZE, batch_size.clone()));
        flags.push((env::CONCURRENCY, concurrency.clone()));
    }
    let spend = match &cli.command {
        Command::Model(ModelCommand::Build(args)) => {
            flags.push((env::MODEL, args.name.clone()));
            flags.push((env::EMBED_TEXT, args.embed_text.clone()));
            Some(&args.spend)
        }
        Command::Model(ModelCommand::Promote(args)) => Some(&args.spend),
        Command::Model(ModelCommand::Rollback(args)) => Some(&args.spend),
        _ => None,
    };
    if let Some(spend) = spend {
        flags.push((env::MAX_REQUESTS, spend.max_requests.clone()));
        flags.push((env::MAX_COST, spend.max_cost.clone()));
        flags.push((env::BATCH_SIZE, spend.batch_size.clone()));
        flags.push((env::CONCURRENCY, spend.concurrency.clone()));
    }
    match &cli.command {
        Command::Search(args) => {
            flags.push((env::TOP_K, args.top_k.clone()));
            flags.push((env::SEARCH_IN, args.search_in.clone()));
            flags.push((env::THRESHOLD, args.threshold.clone()));
        }
        Command::Serve(args) => {
            flags.push((env::LISTEN, args.listen.clone()));
            flags.push((env::TOP_K, args.top_k.clone()));
            flags.push((env::THRESHOLD, args.threshold.clone()));
            flags.push((env::CONFIDENCE, args.confidence.clone()));
        }
        Command::Similar(args) => {
            flags.push((env::TOP_K, args.top_k.clone()));
            flags.push((env::SEARCH_IN, args.search_in.clone()));
            flags.push((env::THRESHOLD, args.threshold.clone()));
        }
        Command::Apply(args) => {
            flags.push((env::MAX_REQUESTS, args.max_requests.clone()));
            flags.push((env::MAX_COST, args.max_cost.clone()));
            flags.push((env::BATCH_SIZE, args.batch_size.clone()));
            flags.push((env::CONCURRENCY, args.concurrency.clone()));
        }
        Command::Lint(args) => flags.push((env::FAQ_PATH, args.file.clone())),
        Command::Eval(args) => flags.push((env::BATCH_SIZE, args.batch_size.clone())),
        _ => {}
    }
    flags
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| (key, value)))
        .collect()
}

fn command_flags(command: &Command) -> (Option<&SourceArgs>, Option<&SyncArgs>) {
    match command {
        Command::Migrate(args) => (Some(&args.sync.source), Some(&args.sync)),
        Command::Sync(args) => (Some(&args.source), Some(args)),
        Command::Validate(args) => (Some(&args.source), None),
        Command::Doctor(args) => (Some(&args.source), None),
        Command::Serve(args) => (Some(&args.source), None),
        Command::Lint(args) => (Some(&args.source), None),
        _ => (None, None),
    }
}
