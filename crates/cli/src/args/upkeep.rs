//! Arguments of the commands that look after a store.

use std::path::PathBuf;

use clap::Args;

/// `backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// File to write; it appears under this name only when it is complete and checked
    pub(crate) file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not check every page, row and vector of the copy
    #[arg(long)]
    pub(crate) no_verify: bool,
}

/// `restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup; checked in full before anything is replaced
    pub(crate) file: PathBuf,
    /// Also replace a file that is no store; it is kept under another name, as a store is
    #[arg(long)]
    pub(crate) force: bool,
}

/// `repair`.
#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// Report what a repair would keep and lose, change nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Leave out rows whose vector is lost, so that search works at once; the next sync writes them anew
    #[arg(long)]
    pub(crate) drop_unembedded: bool,
    /// Leave the store as it is, and have the running service at this address build its index anew from it; its key is
    /// SMART_SUPPORT_API_KEY
    #[arg(long, value_name = "URL", conflicts_with_all = ["dry_run", "drop_unembedded"])]
    pub(crate) service: Option<String>,
}

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Show also whether the index of the running service at this address agrees with its store, row by row; its key is
    /// SMART_SUPPORT_API_KEY
    #[arg(long, value_name = "URL")]
    pub(crate) service: Option<String>,
}

/// `copy`.
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// The store to copy: sqlite:PATH or postgres://…; it is only read
    pub(crate) from: String,
    /// The store to copy into: created where there is none; rows that are there already are never written over
    pub(crate) to: String,
    /// Say what would be copied, write nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Neither check the source first nor compare every row and vector of the copy with it at the end
    #[arg(long)]
    pub(crate) no_verify: bool,
}

/// `diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// One store: sqlite:PATH or postgres://…
    pub(crate) a: String,
    /// The other one
    pub(crate) b: String,
    /// Compare all that a copy carries: every version, vectors that no row refers to, sources, canaries, runs
    #[arg(long)]
    pub(crate) all_versions: bool,
    /// Rows to list per collection, up to 1000; all are counted, and --json lists the first 1000
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub(crate) limit: u16,
}
