//! `index`: the vector index of a database.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::share;

/// `index`.
#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Build the index of the version that is served, while others read and write; nothing if it is there
    Build(IndexBuildArgs),
    /// Build it anew, and only then drop the old one
    Rebuild(IndexBuildArgs),
    /// Drop it: every row is compared from then on
    Drop,
    /// Show it, whether searches follow it, and what is wrong with it
    Status,
    /// Find the least effort that finds what comparing every row finds, filter by filter, and keep it; exit code 6 when
    /// none reaches the target
    Tune(IndexTuneArgs),
}

/// How an index is built.
#[derive(Debug, Args)]
pub(crate) struct IndexBuildArgs {
    /// Neighbours of a vector in the graph, 2 to 100: more find more, and take more room
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=100))]
    pub(crate) m: u32,
    /// Candidates kept while it is built, up to 1000, at least twice the neighbours: more find more, and take longer
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(4..=1000))]
    pub(crate) ef_construction: u32,
    /// Memory that the server may use for it, such as 512MiB; unset: what it is set to
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) memory: Option<u64>,
}

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct IndexTuneArgs {
    /// Share of the right entries that searches must find under every filter
    #[arg(long, value_name = "X", default_value = "0.95", value_parser = share)]
    pub(crate) target: f64,
    /// Entries a question asks for
    #[arg(long, short = 'k', value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(crate) top_k: u16,
    /// Ask the questions of this file, as `eval` reads it, instead of stored vectors
    #[arg(long, value_name = "FILE")]
    pub(crate) queries: Option<PathBuf>,
    /// Questions to ask at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) samples: u16,
    /// Measure under this condition too: KEY=VALUE, also != < <= > >=; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<String>,
    /// Measure only, keep nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}

/// A number of bytes, with or without a unit.
fn bytes(text: &str) -> Result<u64, String> {
    let wrong =
        || "a size is a number of bytes, or one with KiB, MiB or GiB, such as 512MiB".to_owned();
    let text = text.trim();
    let digits = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let size = number.checked_mul(1 << shift).ok_or_else(wrong)?;
    // The server's own limits: 1 MiB, and 2 GiB on some systems.
    if (1 << 20..=1 << 40).contains(&size) {
        Ok(size)
    } else {
        Err("a build takes from 1MiB to 1024GiB".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("2 gb"), Ok(2 << 30));
        assert_eq!(bytes("1048576"), Ok(1 << 20));
        assert!(bytes("12").is_err());
        assert!(bytes("much").is_err());
        assert!(bytes("99999999999999999999GiB").is_err());
    }
}
