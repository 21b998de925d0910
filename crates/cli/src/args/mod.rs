//! What was typed. Clap types only: what it means is decided in `settings`.

mod import;
mod index;
mod lint;
mod model;
mod serve;
mod sync;
mod upkeep;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use secrecy::SecretString;

pub(crate) use import::{
    ImportArgs, ImportChromaArgs, ImportCommand, ImportFaissArgs, ImportVectorsArgs, RollbackArgs,
};
pub(crate) use index::{IndexBuildArgs, IndexCommand, IndexTuneArgs};
pub(crate) use lint::LintArgs;
pub(crate) use model::{BuildArgs, DeleteArgs, ModelCommand, PromoteArgs};
pub(crate) use serve::{KeyCommand, KeyRole, ServeArgs};
pub(crate) use sync::{ApplyArgs, MigrateArgs, SourceArgs, SyncArgs};
pub(crate) use upkeep::{BackupArgs, CopyArgs, DiffArgs, RepairArgs, RestoreArgs, StatusArgs};

const EXAMPLES: &str = "\
Examples:
  smart-support migrate --faq-path faq.xlsx      create the store and embed the workbook
  smart-support search \"как заблокировать карту\"  find the template that answers

Exit codes: 0 done, 1 failed, 2 usage, 3 some rows failed, 4 faults or differences found,
5 quality gate failed, 6 refused for safety, 75 try again later, 130 and 143 interrupted after a
clean stop.";

/// Keeps the embeddings of a support team's knowledge on disk, syncs what changed, and finds the entry that answers.
#[derive(Parser)]
#[command(name = "smart-support", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

// Neither these nor what holds them can be debugged into a message: a URL or a password is among them.
/// Flags of every command.
#[derive(Args)]
pub(crate) struct GlobalArgs {
    /// Where the vectors are: sqlite:PATH or sqlite::memory:
    #[arg(long, global = true, value_name = "URL", help_heading = "Global")]
    pub(crate) store: Option<String>,
    /// The set of entries to work on
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global")]
    pub(crate) collection: Option<String>,
    /// Settings file, instead of ./smart-support.toml
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global")]
    pub(crate) config: Option<PathBuf>,
    /// Environment file, instead of the nearest .env
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global")]
    pub(crate) env_file: Option<PathBuf>,
    /// What to do when the store cannot be opened: fail, or read the source into memory and say so
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHAT",
        help_heading = "Global"
    )]
    pub(crate) on_store_error: Option<OnStoreError>,
    /// Print one JSON document on stdout
    #[arg(long, global = true, help_heading = "Global")]
    pub(crate) json: bool,
    /// Print results and warnings only
    #[arg(short, long, global = true, help_heading = "Global")]
    pub(crate) quiet: bool,
    /// Say more (-v, -vv)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global")]
    pub(crate) verbose: u8,
    /// How log lines look on stderr
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        help_heading = "Global"
    )]
    pub(crate) log_format: LogFormat,
    /// When to use colour; NO_COLOR is honoured
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        help_heading = "Global"
    )]
    pub(crate) color: When,
    /// How long to wait for a store that is busy, such as 30s
    #[arg(long, global = true, value_name = "TIME", help_heading = "Global")]
    pub(crate) wait: Option<String>,
    #[command(flatten)]
    pub(crate) storage: StorageArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

/// The familiar way to name a store.
#[derive(Args)]
pub(crate) struct StorageArgs {
    /// Backend: sqlite or postgres
    #[arg(long, global = true, value_name = "BACKEND", help_heading = "Storage")]
    pub(crate) storage_backend: Option<String>,
    /// SQLite file
    #[arg(long, global = true, value_name = "PATH", help_heading = "Storage")]
    pub(crate) sqlite_path: Option<String>,
    /// PostgreSQL server
    #[arg(long, global = true, value_name = "HOST", help_heading = "Storage")]
    pub(crate) postgres_host: Option<String>,
    /// PostgreSQL port
    #[arg(long, global = true, value_name = "PORT", help_heading = "Storage")]
    pub(crate) postgres_port: Option<String>,
    /// PostgreSQL database
    #[arg(long, global = true, value_name = "NAME", help_heading = "Storage")]
    pub(crate) postgres_database: Option<String>,
    /// PostgreSQL user
    #[arg(long, global = true, value_name = "NAME", help_heading = "Storage")]
    pub(crate) postgres_user: Option<String>,
    /// Schema of the store in the PostgreSQL database; public when nothing is said
    #[arg(long, global = true, value_name = "NAME", help_heading = "Storage")]
    pub(crate) postgres_schema: Option<String>,
    /// Take any certificate of a PostgreSQL server: whoever is in between can read and change everything
    #[arg(long, global = true, help_heading = "Storage")]
    pub(crate) insecure_tls: bool,
    /// PostgreSQL password; visible in the process list, so prefer POSTGRES_PASSWORD_FILE
    #[arg(long, global = true, value_name = "PASSWORD", hide = true)]
    pub(crate) postgres_password: Option<SecretString>,
}

/// The embedder, where a flag is handier than a variable.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Weights of the local model, or the directory that they are in, instead of fetching them
    #[arg(long, global = true, value_name = "PATH", help_heading = "Model")]
    pub(crate) model_path: Option<String>,
    /// Numbers per vector, for API models that shorten their vectors
    #[arg(
        long,
        global = true,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Model"
    )]
    pub(crate) dimensions: Option<String>,
    /// Never use the network
    #[arg(long, global = true, help_heading = "Model")]
    pub(crate) offline: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnStoreError {
    Fail,
    Memory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

/// The commands, in the order a newcomer meets them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create or upgrade the store, embed the source, verify, report
    Migrate(Box<MigrateArgs>),
    /// Embed what changed in the source and apply it at once
    Sync(Box<SyncArgs>),
    /// Carry out a plan that --plan-out froze, if source, store and model are still what it was made on
    Apply(ApplyArgs),
    /// Check the store, and with --faq-path the source against it
    #[command(alias = "verify")]
    Validate(ValidateArgs),
    /// Look through a source before money is spent: duplicates, contradictions, slips; exit code 4 if anything is found
    Lint(Box<LintArgs>),
    /// Find the entries that answer a question
    Search(SearchArgs),
    /// Find the entries that are nearest to a stored one; no embedder is needed
    Similar(SimilarArgs),
    /// Answer over HTTP: search, /predict with citations, documents, health and figures
    Serve(Box<ServeArgs>),
    /// Make keys for the service
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show what the store holds
    Status(StatusArgs),
    /// Show or apply schema migrations
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Move vectors in from Chroma, FAISS or plain files, without embedding again; undo an import
    #[command(subcommand)]
    Import(ImportCommand),
    /// Copy the store into one file, checked, while others read and write it
    Backup(BackupArgs),
    /// Put a backup in the store's place
    Restore(RestoreArgs),
    /// Copy a whole store into another backend or file, without one embedding call
    Copy(CopyArgs),
    /// Compare two stores row by row and vector by vector; exit code 4 if anything differs
    Diff(DiffArgs),
    /// Put right what validate found, from what is already paid for
    Repair(RepairArgs),
    /// Measure accuracy on questions whose answers are known
    Eval(EvalArgs),
    /// Keep versions by several models side by side, and switch between them; get the local model's weights
    #[command(subcommand)]
    Model(ModelCommand),
    /// Show the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show or remove vectors that no row refers to
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Build, drop, look at or tune the index for search in the database
    #[command(subcommand)]
    Index(IndexCommand),
    /// Look for everything that is known to go wrong, and say what mends it; asks the provider once, unless --offline
    Doctor(DoctorArgs),
    /// Print a completion script
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Read a document from standard input and print its text as JSON: the process that documents are read in
    #[command(name = "extract-document", hide = true)]
    ExtractDocument,
    /// Write the reference pages
    #[command(name = "__reference", hide = true)]
    Reference {
        /// Directory to write into
        directory: PathBuf,
    },
}

impl Command {
    /// Whether it runs until it is told to end, and its log is what it has to say.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self, Self::Serve(_))
    }

    /// The word it is typed with.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Migrate(_) => "migrate",
            Self::Sync(_) => "sync",
            Self::Apply(_) => "apply",
            Self::Validate(_) => "validate",
            Self::Lint(_) => "lint",
            Self::Search(_) => "search",
            Self::Similar(_) => "similar",
            Self::Serve(_) => "serve",
            Self::Key(_) => "key new",
            Self::Status(_) => "status",
            Self::Schema(_) => "schema",
            Self::Import(command) => command.name(),
            Self::Backup(_) => "backup",
            Self::Restore(_) => "restore",
            Self::Copy(_) => "copy",
            Self::Diff(_) => "diff",
            Self::Repair(_) => "repair",
            Self::Eval(_) => "eval",
            Self::Model(command) => command.name(),
            Self::Config(_) => "config",
            Self::Cache(_) => "cache",
            Self::Index(_) => "index",
            Self::Doctor(_) => "doctor",
            Self::Completions { .. } => "completions",
            Self::ExtractDocument => "extract-document",
            Self::Reference { .. } => "__reference",
        }
    }
}

/// `validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Ask the provider a few texts that it embedded before: is it still the same model? Exit code 6 if not
    #[arg(long)]
    pub(crate) canary: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

/// `search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// The question; leave it out with --query-vector
    pub(crate) text: Option<String>,
    /// Entries to show at most
    #[arg(long, short = 'k', value_name = "N")]
    pub(crate) top_k: Option<String>,
    /// Lowest cosine similarity that counts, -1 to 1
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(crate) threshold: Option<String>,
    /// Only this category
    #[arg(long, value_name = "NAME")]
    pub(crate) category: Option<String>,
    /// Only entries whose metadata holds: KEY=VALUE, also != < <= > >=; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
    /// Only this document
    #[arg(long, value_name = "ID")]
    pub(crate) document: Option<String>,
    /// Only entries that contain this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) contains: Option<String>,
    /// Where to search: memory, database (PostgreSQL), or hybrid: both, compared
    #[arg(long, value_name = "WHERE")]
    pub(crate) search_in: Option<String>,
    /// A ready vector: raw little-endian f32, or .npy; skips the embedder
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub(crate) query_vector: Option<PathBuf>,
    /// Compare with every entry in full precision, even where the database has an index
    #[arg(long)]
    pub(crate) exact: bool,
}

/// `similar`.
#[derive(Debug, Args)]
pub(crate) struct SimilarArgs {
    /// The entry's id
    pub(crate) id: String,
    /// Entries to show at most
    #[arg(long, short = 'k', value_name = "N")]
    pub(crate) top_k: Option<String>,
    /// Lowest cosine similarity that counts, -1 to 1
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(crate) threshold: Option<String>,
    /// Only this category
    #[arg(long, value_name = "NAME")]
    pub(crate) category: Option<String>,
    /// Only entries whose metadata holds: KEY=VALUE, also != < <= > >=; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
    /// Which text of the entry, where it has several
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) chunk: u32,
    /// Where to search: memory, database (PostgreSQL), or hybrid: both, compared
    #[arg(long, value_name = "WHERE")]
    pub(crate) search_in: Option<String>,
    /// Compare with every entry in full precision, even where the database has an index
    #[arg(long)]
    pub(crate) exact: bool,
}

/// `schema`.
#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Show which migrations are pending
    Status,
    /// Apply them
    Migrate,
}

/// A share: from 0 to 1, or from 0% to 100%.
fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.trim().strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None => (text.trim(), 1.0),
    };
    let share = number.parse::<f64>().map(|number| number / whole);
    share
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "a share is from 0 to 1, or from 0% to 100%".to_owned())
}

/// `eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Questions with known answers, jsonl or csv: query, gold (ids; empty = no entry answers it), optional id,
    /// category, lang
    pub(crate) golden: PathBuf,
    /// Fail with exit code 5 when fewer than this share of the questions has a right entry among the best three
    #[arg(long, value_name = "X", value_parser = share)]
    pub(crate) min_top3: Option<f64>,
    /// Name the questions lost and won against another version, or against the last evaluation that was kept
    #[arg(long, value_name = "VERSION|last")]
    pub(crate) baseline: Option<String>,
    /// Ask this version instead of the one that is served
    #[arg(long, value_name = "VERSION")]
    pub(crate) candidate: Option<String>,
    /// Derive the score from which on a hit is an answer, and keep it with the version
    #[arg(long)]
    pub(crate) calibrate: bool,
    /// Share of the questions without an answer that may get one; 2% unless said
    #[arg(long, value_name = "SHARE", value_parser = share, requires = "calibrate")]
    pub(crate) max_false_answers: Option<f64>,
    /// Questions per call of the embedder
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<String>,
}

/// `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting, secrets masked
    Show {
        /// Say where each value comes from
        #[arg(long)]
        origin: bool,
    },
}

/// `cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Count vectors that no row refers to
    Stats,
    /// Remove them
    Prune {
        /// Only those stored longer ago than this, such as 90d
        #[arg(long, value_name = "TIME", default_value = "0s")]
        older_than: String,
        /// Say what would go, remove nothing
        #[arg(long, short = 'n')]
        dry_run: bool,
    },
}
