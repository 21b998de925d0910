//! The targets, and the inputs that are kept for each.

use std::path::{Path, PathBuf};

/// A fuzz target: its name and what it does to an input.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its binary and of its directories.
    pub name: &'static str,
    /// What it does.
    pub run: fn(&[u8]),
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 14] = [
        Self {
            name: "xlsx",
            run: crate::xlsx,
        },
        Self {
            name: "csv",
            run: crate::csv,
        },
        Self {
            name: "jsonl",
            run: crate::jsonl,
        },
        Self {
            name: "settings",
            run: crate::settings,
        },
        Self {
            name: "sqlite_open",
            run: crate::sqlite_open,
        },
        Self {
            name: "hnsw",
            run: crate::hnsw,
        },
        Self {
            name: "faiss",
            run: crate::faiss,
        },
        Self {
            name: "pickle",
            run: crate::pickle,
        },
        Self {
            name: "metadata",
            run: crate::metadata,
        },
        Self {
            name: "pdf",
            run: crate::pdf,
        },
        Self {
            name: "docx",
            run: crate::docx,
        },
        Self {
            name: "html",
            run: crate::html,
        },
        Self {
            name: "markdown",
            run: crate::markdown,
        },
        Self {
            name: "npy",
            run: crate::npy,
        },
    ];
}

/// The files of `corpus/NAME` or `regressions/NAME`, by path. A directory that is not there holds none.
///
/// # Errors
/// When a directory that is there, or a file in it, cannot be read.
pub fn inputs(kind: &str, name: &str) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(name);
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&directory)? {
        let path = entry?.path();
        let bytes = std::fs::read(&path)?;
        found.push((path, bytes));
    }
    found.sort();
    Ok(found)
}
