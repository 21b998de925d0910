//! Arguments of `import`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `import`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// From a Chroma directory (0.4 to 1.5) or server
    Chroma(ImportChromaArgs),
    /// From a FAISS index, alone or with a LangChain pickle or a metadata.json beside it
    Faiss(ImportFaissArgs),
    /// From a matrix of vectors beside a file of records
    Vectors(ImportVectorsArgs),
    /// Remove what an import brought, and restore what it replaced
    Rollback(RollbackArgs),
}

impl ImportCommand {
    /// The words it is typed with.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Chroma(_) => "import chroma",
            Self::Faiss(_) => "import faiss",
            Self::Vectors(_) => "import vectors",
            Self::Rollback(_) => "import rollback",
        }
    }
}

/// What every import takes.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The model that the vectors are of, where the source does not say
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Decide everything, write nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Records a batch
    #[arg(long, value_name = "N", default_value = "4000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) batch_size: u32,
    /// Write over rows of other sources that have the same id and differ
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not read back and compare what was written
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Metadata that becomes question, answer, category or subcategory; repeatable
    #[arg(long, value_name = "FIELD=KEY")]
    pub(crate) map: Vec<String>,
    /// What is embedded of each entry of a new collection; found by itself where nothing is said
    #[arg(long, value_name = "RECIPE")]
    pub(crate) embed_text: Option<String>,
    /// Write the report into this directory too, as JSON and Markdown
    #[arg(long, value_name = "DIR")]
    pub(crate) metadata_dir: Option<PathBuf>,
}

/// `import chroma`.
#[derive(Debug, Args)]
pub(crate) struct ImportChromaArgs {
    /// Directory that holds chroma.sqlite3, or the address of a server
    pub(crate) source: String,
    /// Only this collection, also as DATABASE/NAME; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) from_collection: Vec<String>,
    /// Tenant that it belongs to
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    /// Database that it belongs to
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// Take what a damaged source still proves, and list the rest
    #[arg(long)]
    pub(crate) salvage: bool,
    #[command(flatten)]
    pub(crate) common: ImportArgs,
}

/// `import faiss`.
#[derive(Debug, Args)]
pub(crate) struct ImportFaissArgs {
    /// The index, or the directory that holds index.faiss
    pub(crate) index: PathBuf,
    /// What belongs to the vectors: a LangChain index.pkl or a metadata.json; found beside the index by itself
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata: Option<PathBuf>,
    /// Take vectors that a quantiser rounded
    #[arg(long)]
    pub(crate) allow_lossy: bool,
    /// Take what a damaged source still proves, and list the rest
    #[arg(long)]
    pub(crate) salvage: bool,
    #[command(flatten)]
    pub(crate) common: ImportArgs,
}

/// `import vectors`.
#[derive(Debug, Args)]
pub(crate) struct ImportVectorsArgs {
    /// Records, one JSON object a line: id, text, and optionally category and metadata
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) items: PathBuf,
    /// Vectors, one row a line of the items: .npy, or raw little-endian f32; left out where each line has its own
    #[arg(long, value_name = "FILE.npy|FILE.f32")]
    pub(crate) vectors: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: ImportArgs,
}

/// `import rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The run, as the import's report names it; repeatable
    #[arg(required = true)]
    pub(crate) run: Vec<String>,
    /// Say what would go and come back, change nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}
