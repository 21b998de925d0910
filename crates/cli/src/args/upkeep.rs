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
}
