//! Which files are meant.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use storage_core::{ImportError, ImportErrorKind};

use crate::reading::SourceFile;

/// An index, and what stands beside it.
pub(super) struct Found {
    pub(super) index: SourceFile,
    pub(super) name: String,
    pub(super) beside: Option<Beside>,
}

/// What says what the vectors are of.
pub(super) enum Beside {
    Pickle(SourceFile),
    Json(SourceFile),
}

pub(super) fn find(path: &Path, metadata: Option<&Path>) -> Result<Found, ImportError> {
    let (index, name) = if path.is_dir() {
        let file = within(path)?;
        let stem = file.stem();
        let name = path
            .file_name()
            .map_or(stem, |name| name.to_string_lossy().into_owned());
        (file, name)
    } else {
        let file = SourceFile::find(path)?;
        let stem = file.stem();
        (file, stem)
    };
    let beside = match metadata {
        Some(metadata) => Some(named(metadata)?),
        None => beside(&index)?,
    };
    Ok(Found {
        index,
        name,
        beside,
    })
}

/// The index of a directory: `index.faiss`, or the only one.
fn within(directory: &Path) -> Result<SourceFile, ImportError> {
    let usual = directory.join("index.faiss");
    if usual.exists() {
        return SourceFile::find(&usual);
    }
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).map_err(|error| {
        ImportError::new(
            ImportErrorKind::Io,
            format!("the directory cannot be read: {}", directory.display()),
        )
        .with_source(error)
    })?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension() == Some(OsStr::new("faiss")) {
            found.push(path);
        }
    }
    found.sort();
    match &found[..] {
        [only] => SourceFile::find(only),
        [] => Err(ImportError::new(
            ImportErrorKind::NotFound,
            format!(
                "no index.faiss in the directory, name the index itself: {}",
                directory.display()
            ),
        )),
        [first, ..] => Err(ImportError::new(
            ImportErrorKind::NotFound,
            format!(
                "{} indexes in the directory, name one of them, as in `{}`: {}",
                found.len(),
                first.display(),
                directory.display()
            ),
        )),
    }
}

/// What was named is taken for what its name or its first byte says.
fn named(path: &Path) -> Result<Beside, ImportError> {
    let file = SourceFile::find(path)?;
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    if ["pkl", "pickle"].contains(&extension) {
        return Ok(Beside::Pickle(file));
    }
    if extension == "json" {
        return Ok(Beside::Json(file));
    }
    Err(file.unsupported(
        "metadata of an index is a .pkl of LangChain or a .json of rows, rename it to what it is",
    ))
}

/// What stands there with the name of the index, and `metadata.json`.
fn beside(index: &SourceFile) -> Result<Option<Beside>, ImportError> {
    let same = |extension: &str| index.path().with_extension(extension);
    let mut candidates = vec![
        same("pkl"),
        same("json"),
        index.path().with_file_name("metadata.json"),
    ];
    candidates.dedup();
    candidates.retain(|candidate| candidate.is_file());
    match &candidates[..] {
        [] => Ok(None),
        [only] => named(only).map(Some),
        several => Err(ImportError::new(
            ImportErrorKind::NotFound,
            format!(
                "{} stand beside the index, say which belongs to it with `--metadata FILE`: {}",
                names(several),
                index.name()
            ),
        )),
    }
}

fn names(paths: &[PathBuf]) -> String {
    let names = paths
        .iter()
        .filter_map(|path| path.file_name())
        .map(|name| name.to_string_lossy())
        .collect::<Vec<_>>();
    names.join(" and ")
}
