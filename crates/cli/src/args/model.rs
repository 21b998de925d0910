//! Flags of `model`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `model`.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Show the versions of the collection: which is served, which could be
    List,
    /// Embed every row by another model or recipe, beside the version that is served
    Build(BuildArgs),
    /// Serve another version, at once
    Promote(PromoteArgs),
    /// Serve the version before again, at once
    Rollback(RollbackArgs),
    /// Forget a version and free its vectors
    Delete(DeleteArgs),
    /// Fetch the weights, or check those that are there
    #[command(alias = "warm")]
    Fetch {
        /// Which model: multilingual-e5-small or all-MiniLM-L6-v2 [default: the one that is configured]
        name: Option<String>,
    },
}

impl ModelCommand {
    /// The words it is typed with.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::List => "model list",
            Self::Build(_) => "model build",
            Self::Promote(_) => "model promote",
            Self::Rollback(_) => "model rollback",
            Self::Delete(_) => "model delete",
            Self::Fetch { .. } => "model fetch",
        }
    }
}

/// What may be spent, and how fast.
#[derive(Debug, Args)]
pub(crate) struct SpendArgs {
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
}

/// `model build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The model, instead of EMBEDDING_MODEL_NAME; or the id of a version, to finish it or bring it up to date
    pub(crate) name: Option<String>,
    /// What is embedded of each entry, instead of the served version's recipe
    #[arg(long, value_name = "RECIPE")]
    pub(crate) embed_text: Option<String>,
    /// Pay for every text anew, though vectors of this model are stored
    #[arg(long, alias = "force")]
    pub(crate) force_recompute: bool,
    /// Show what would be done, write nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Write what would be done into this file, for `apply`, and do nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) plan_out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) spend: SpendArgs,
}

/// `model promote`.
#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// The version: its id or the first digits of it, or the name of its model
    pub(crate) version: String,
    /// Ask these questions of both versions first, and refuse a loss with exit code 5
    #[arg(long, value_name = "FILE")]
    pub(crate) golden: Option<PathBuf>,
    /// Least share of the questions that must have a right entry among the best three
    #[arg(long, value_name = "X", requires = "golden", value_parser = super::share)]
    pub(crate) min_top3: Option<f64>,
    /// Questions that may lose their right entry from the best three; 0 unless said
    #[arg(long, value_name = "N", requires = "golden")]
    pub(crate) max_lost: Option<usize>,
    #[command(flatten)]
    pub(crate) spend: SpendArgs,
}

/// `model rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    pub(crate) spend: SpendArgs,
}

/// `model delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The version: its id or the first digits of it, or the name of its model
    pub(crate) version: String,
    /// Delete one that is being built, since nobody builds it any longer
    #[arg(long)]
    pub(crate) abandoned: bool,
}
