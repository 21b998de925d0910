//! Flags of `migrate` and `sync`, and of everything that reads a source.

use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

/// What to read, and how.
#[derive(Debug, Default, Args)]
pub(crate) struct SourceArgs {
    /// FAQ file: xlsx, csv, tsv or jsonl; or documents: a file, a directory, or a pattern such as 'docs/**/*.md'
    #[arg(long, value_name = "PATH", help_heading = "Source")]
    pub(crate) faq_path: Option<String>,
    /// Data set, the same formats: a table without questions and answers, each row of which is an entry; with them, a FAQ
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    pub(crate) input: Option<String>,
    /// Rows of a PostgreSQL database instead of a file: a table's name, or a SELECT
    #[arg(long, value_name = "TABLE|SELECT", help_heading = "Source")]
    pub(crate) source_sql: Option<String>,
    /// The database of --source-sql, instead of the store's own; a password in it shows in the process list, so prefer
    /// SOURCE_URL_FILE
    #[arg(long, value_name = "URL", help_heading = "Source")]
    pub(crate) source_url: Option<SecretString>,
    /// Column of a field: question, answer, category, subcategory or id; repeatable
    #[arg(long, value_name = "FIELD=COLUMN", help_heading = "Source")]
    pub(crate) map: Vec<String>,
    /// Worksheet
    #[arg(long, value_name = "NAME", help_heading = "Source")]
    pub(crate) sheet: Option<String>,
    /// Row of the column names, from 1
    #[arg(long, value_name = "N", help_heading = "Source")]
    pub(crate) header_row: Option<u32>,
    /// The most of a document's chunk; unset: 1000 characters, or 256 tokens
    #[arg(long, value_name = "N", help_heading = "Source")]
    pub(crate) chunk_size: Option<String>,
    /// What a chunk repeats of the one before it, at most; unset: 150 characters, or 32 tokens
    #[arg(long, value_name = "N", help_heading = "Source")]
    pub(crate) chunk_overlap: Option<String>,
    /// What chunks are measured in: characters or tokens
    #[arg(long, value_name = "UNIT", help_heading = "Source")]
    pub(crate) chunk_by: Option<String>,
    /// What is embedded of each entry; {question}\n{answer} retrieves best
    #[arg(long, value_name = "RECIPE", help_heading = "Source")]
    pub(crate) embed_text: Option<String>,
}

/// What `migrate` and `sync` share.
#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Show what would be done, write nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Embed everything into a new version beside the live one, then switch at once
    #[arg(long, alias = "force")]
    pub(crate) force_recompute: bool,
    /// Embed only what changed (the default)
    #[arg(long, conflicts_with = "force_recompute")]
    pub(crate) incremental: bool,
    /// Texts per call
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<String>,
    /// Calls in flight
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<String>,
    /// API calls that may be made, failed ones included; what they brought is kept
    #[arg(long, value_name = "N")]
    pub(crate) max_requests: Option<String>,
    /// What the run may cost; needs the price of a million tokens (EMBEDDING_PRICE)
    #[arg(long, value_name = "USD")]
    pub(crate) max_cost: Option<String>,
    /// Do not check the store afterwards
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Only this entry; repeatable
    #[arg(long, value_name = "ID")]
    pub(crate) only: Vec<String>,
    /// Only entries of this category
    #[arg(long, value_name = "NAME")]
    pub(crate) category: Option<String>,
    /// Only entries that the store has no row or no vector of
    #[arg(long)]
    pub(crate) missing: bool,
    /// Only entries that the store has otherwise than the source; with --missing both kinds
    #[arg(long)]
    pub(crate) stale: bool,
    /// Rows that may be deleted, beyond the guard of 20 %
    #[arg(long, value_name = "N|N%")]
    pub(crate) allow_delete: Option<String>,
    /// Freeze the plan in this file and do nothing else (implies --dry-run); `smart-support apply FILE` carries it out
    #[arg(long, value_name = "FILE")]
    pub(crate) plan_out: Option<PathBuf>,
    /// Write the JSON report into this directory too
    #[arg(long, value_name = "DIR")]
    pub(crate) metadata_dir: Option<PathBuf>,
}

/// `apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The plan, as --plan-out wrote it
    pub(crate) file: PathBuf,
    /// Texts per call
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<String>,
    /// Calls in flight
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<String>,
    /// API calls that may be made, failed ones included; what they brought is kept
    #[arg(long, value_name = "N")]
    pub(crate) max_requests: Option<String>,
    /// What the run may cost; needs the price of a million tokens (EMBEDDING_PRICE)
    #[arg(long, value_name = "USD")]
    pub(crate) max_cost: Option<String>,
    /// Do not check the store afterwards
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Write the JSON report into this directory too
    #[arg(long, value_name = "DIR")]
    pub(crate) metadata_dir: Option<PathBuf>,
}

/// `migrate`.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    pub(crate) sync: SyncArgs,
    /// Only check the store
    #[arg(long, conflicts_with_all = ["migrate_schema", "force_recompute", "dry_run", "plan_out"])]
    pub(crate) validate: bool,
    /// Only create or upgrade the schema
    #[arg(long, conflicts_with_all = ["force_recompute", "dry_run", "plan_out"])]
    pub(crate) migrate_schema: bool,
}
