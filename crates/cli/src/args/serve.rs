//! Flags of `serve` and `key`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::SourceArgs;

/// `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen; an address that others can reach needs a key (SMART_SUPPORT_API_KEY)
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Write the address into this file once it is known, for port 0
    #[arg(long, value_name = "FILE")]
    pub(crate) port_file: Option<PathBuf>,
    /// Entries of a search that names no number
    #[arg(long, short = 'k', value_name = "N")]
    pub(crate) top_k: Option<String>,
    /// Lowest cosine similarity that counts, -1 to 1; left out, what the served version was calibrated to
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(crate) threshold: Option<String>,
    /// Lowest cosine similarity with which /predict answers; left out, what the served version was calibrated to
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(crate) confidence: Option<String>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

/// `key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key, show it once, and say what to keep of it
    New {
        /// What it opens
        #[arg(long, value_enum, default_value = "read")]
        role: KeyRole,
        /// What the log calls it
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
}

/// What a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyRole {
    /// Searches and looks
    Read,
    /// Changes what is stored, too
    Admin,
}
