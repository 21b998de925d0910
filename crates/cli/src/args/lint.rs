//! Flags of `lint`.

use std::path::PathBuf;

use clap::Args;
use faq_source::FindingKind;

use super::SourceArgs;

/// `lint`.
#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// The source; the same as --faq-path
    #[arg(value_name = "SOURCE", conflicts_with_all = ["faq_path", "input", "source_sql"])]
    pub(crate) file: Option<String>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Write the rows with findings into this file, with the reasons: .csv or .jsonl
    #[arg(long, value_name = "FILE")]
    pub(crate) reject: Option<PathBuf>,
    /// Only findings of this kind; repeatable
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub(crate) only: Vec<FindingKind>,
    /// No findings of this kind; repeatable
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub(crate) ignore: Vec<FindingKind>,
}

fn kind(name: &str) -> Result<FindingKind, String> {
    FindingKind::parse(name).ok_or_else(|| {
        let names = FindingKind::ALL.map(FindingKind::as_str);
        format!("no such kind (kinds: {})", names.join(", "))
    })
}
