//! Every setting, declared and documented once: its key in `smart-support.toml`, its environment variables, its
//! default. The reference page, `config show` and the resolution in `settings` all read this table.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// Key in the settings file, dotted.
    pub(crate) key: &'static str,
    /// Environment variables, the first that is set wins.
    pub(crate) variables: &'static [&'static str],
    /// Value when nobody says anything.
    pub(crate) default: Option<&'static str>,
    /// Whether it is masked everywhere, and each variable also works as `NAME_FILE`.
    pub(crate) secret: bool,
    /// Whether it may be an address, which may hold a password or a key: only scheme, host and path are shown.
    pub(crate) address: bool,
    /// One line for a person.
    pub(crate) help: &'static str,
}

const fn setting(
    key: &'static str,
    variables: &'static [&'static str],
    help: &'static str,
) -> Setting {
    Setting {
        key,
        variables,
        default: None,
        secret: false,
        address: false,
        help,
    }
}

impl Setting {
    const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn address(mut self) -> Self {
        self.address = true;
        self
    }
}

pub(crate) const STORE: &str = "store";
pub(crate) const STORAGE_BACKEND: &str = "storage.backend";
pub(crate) const SQLITE_PATH: &str = "storage.sqlite-path";
pub(crate) const DATABASE_URL: &str = "storage.database-url";
pub(crate) const ON_STORE_ERROR: &str = "storage.on-error";
pub(crate) const WAIT: &str = "storage.wait";
pub(crate) const COLLECTION: &str = "collection";
pub(crate) const FAQ_PATH: &str = "source.faq-path";
pub(crate) const INPUT: &str = "source.input";
pub(crate) const EMBED_TEXT: &str = "source.embed-text";
pub(crate) const PROVIDER: &str = "embedding.provider";
pub(crate) const BASE_URL: &str = "embedding.base-url";
pub(crate) const API_KEY: &str = "embedding.api-key";
pub(crate) const MODEL: &str = "embedding.model";
pub(crate) const OLLAMA_MODEL: &str = "embedding.ollama-model";
pub(crate) const DIMENSIONS: &str = "embedding.dimensions";
pub(crate) const MODEL_PATH: &str = "embedding.model-path";
pub(crate) const MODEL_URL: &str = "embedding.model-url";
pub(crate) const OFFLINE: &str = "embedding.offline";
pub(crate) const QUERY_PREFIX: &str = "embedding.query-prefix";
pub(crate) const PASSAGE_PREFIX: &str = "embedding.passage-prefix";
pub(crate) const BATCH_SIZE: &str = "embedding.batch-size";
pub(crate) const CONCURRENCY: &str = "embedding.concurrency";
pub(crate) const REQUESTS_PER_MINUTE: &str = "embedding.requests-per-minute";
pub(crate) const PROXY: &str = "embedding.proxy";
pub(crate) const ALLOW_PLAIN_HTTP: &str = "embedding.allow-plain-http";
pub(crate) const LONGEST_WAIT: &str = "embedding.longest-wait";
pub(crate) const PRICE: &str = "embedding.price";
pub(crate) const MAX_REQUESTS: &str = "sync.max-requests";
pub(crate) const MAX_COST: &str = "sync.max-cost";
pub(crate) const TIMEOUT: &str = "embedding.timeout";
pub(crate) const MAX_RETRIES: &str = "embedding.max-retries";
pub(crate) const TOP_K: &str = "search.top-k";
pub(crate) const THRESHOLD: &str = "search.threshold";

/// The table.
pub(crate) const SETTINGS: &[Setting] = &[
    setting(
        STORE,
        &[],
        "Where the vectors are: sqlite:PATH or sqlite::memory:. Beats every other way to name a store",
    )
    .address(),
    setting(
        STORAGE_BACKEND,
        &["STORAGE_BACKEND"],
        "Backend: sqlite or postgres",
    ),
    setting(SQLITE_PATH, &["SQLITE_DB_PATH"], "SQLite file").or("data/embeddings.db"),
    setting(
        DATABASE_URL,
        &["DATABASE_URL"],
        "Database by URL; names the store when no backend is chosen",
    )
    .secret(),
    setting(
        ON_STORE_ERROR,
        &[],
        "What to do when the store cannot be opened: fail, or memory",
    )
    .or("fail"),
    setting(WAIT, &[], "How long to wait for a busy store").or("5s"),
    setting(COLLECTION, &[], "The set of entries to work on").or("faq"),
    setting(FAQ_PATH, &["FAQ_PATH"], "FAQ file: xlsx, csv, tsv or jsonl"),
    setting(
        INPUT,
        &["INPUT_DATASET"],
        "Data set, where no FAQ file is named",
    ),
    setting(
        EMBED_TEXT,
        &[],
        r"What is embedded of each entry; a new collection takes {question}\n{answer}",
    ),
    setting(
        PROVIDER,
        &["EMBEDDING_PROVIDER"],
        "local, openai, ollama or hash; unset: openai with a key, else local",
    ),
    setting(
        BASE_URL,
        &["EMBEDDING_BASE_URL"],
        "Address of the embedding API",
    )
    .address(),
    setting(
        API_KEY,
        &["EMBEDDING_API_KEY", "SCIBOX_API_KEY", "OPENAI_API_KEY"],
        "Key of the embedding API",
    )
    .secret(),
    setting(
        MODEL,
        &["EMBEDDING_MODEL_NAME"],
        "Model; each provider has a default",
    ),
    setting(
        OLLAMA_MODEL,
        &["OLLAMA_API_MODEL_EMBEDDING"],
        "Model of the provider ollama",
    )
    .or("nomic-embed-text"),
    setting(
        DIMENSIONS,
        &["EMBEDDING_DIMENSIONS"],
        "Numbers per vector, for API models that shorten their vectors; unset: the model's own",
    ),
    setting(
        MODEL_PATH,
        &["SMART_SUPPORT_MODEL_PATH"],
        "Weights of the local model, or the directory that they are in, instead of fetching them",
    ),
    setting(
        MODEL_URL,
        &["SMART_SUPPORT_MODEL_URL"],
        "Mirror of the local model's weights: the file, its directory, or the package that holds it",
    )
    .address(),
    setting(OFFLINE, &[], "Never use the network: true or false").or("false"),
    setting(
        QUERY_PREFIX,
        &["EMBEDDING_QUERY_PREFIX"],
        "Put before a question (API models that ask for it)",
    ),
    setting(
        PASSAGE_PREFIX,
        &["EMBEDDING_PASSAGE_PREFIX"],
        "Put before a stored text (API models that ask for it)",
    ),
    setting(BATCH_SIZE, &["EMBEDDING_BATCH_SIZE"], "Texts per call").or("10"),
    setting(CONCURRENCY, &["EMBEDDING_CONCURRENCY"], "Calls in flight").or("4"),
    setting(
        REQUESTS_PER_MINUTE,
        &["EMBEDDING_REQUESTS_PER_MINUTE"],
        "Calls a minute at most; unset: no limit",
    ),
    setting(
        LONGEST_WAIT,
        &["EMBEDDING_LONGEST_WAIT"],
        "Longest Retry-After of the provider that is waited for",
    )
    .or("60s"),
    setting(
        PROXY,
        &["EMBEDDING_PROXY"],
        "Proxy to the embedding API, such as http://proxy:3128; HTTP_PROXY and its kin are not read",
    )
    .secret(),
    setting(
        ALLOW_PLAIN_HTTP,
        &["EMBEDDING_ALLOW_PLAIN_HTTP"],
        "Whether the key may travel unencrypted to another machine: true or false",
    )
    .or("false"),
    setting(
        PRICE,
        &["EMBEDDING_PRICE"],
        "USD for a million tokens, for estimates, reports and sync.max-cost; prices of several models stand in the \
         settings file as [prices] \"MODEL\" = USD",
    ),
    setting(
        MAX_REQUESTS,
        &[],
        "Calls that one run may make, failed ones included; unset: no limit",
    ),
    setting(MAX_COST, &[], "USD that one run may cost; unset: no limit"),
    setting(
        TIMEOUT,
        &["EMBEDDING_TIMEOUT"],
        "How long one call may take",
    )
    .or("60s"),
    setting(
        MAX_RETRIES,
        &["EMBEDDING_MAX_RETRIES"],
        "How often a failed call is repeated",
    )
    .or("5"),
    setting(TOP_K, &["RAG_TOP_K"], "Entries to show at most").or("3"),
    setting(
        THRESHOLD,
        &["PGVECTOR_SIMILARITY_THRESHOLD"],
        "Lowest cosine similarity that counts; unset: what the version was calibrated to, else the best, however far",
    ),
];

/// The setting of that key.
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}
