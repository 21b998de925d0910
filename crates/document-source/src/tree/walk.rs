//! Finds documents: every file below a directory whose name says that it is one, in the order of their paths.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use faq_source::{IssueKind, RowIssue, SourceError, SourceErrorKind};
use globset::{GlobBuilder, GlobMatcher};
use storage_core::Locator;

use crate::limits::over;
use crate::{DocumentKind, DocumentLimits};

/// Whether a path is a pattern: it has a wildcard, and no file or directory is called so.
#[must_use]
pub fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(WILDCARDS))
        && fs::symlink_metadata(path).is_err()
}

const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];

/// Where to look.
#[derive(Debug)]
pub(super) enum Root {
    File(PathBuf),
    Directory(PathBuf),
    Pattern {
        /// The directory before the first wildcard.
        directory: PathBuf,
        pattern: String,
        matcher: Box<GlobMatcher>,
        /// Directories below that one that may hold a match; `None` for any number.
        depth: Option<usize>,
    },
}

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Ids and paths.
    pub(super) documents: Vec<(String, PathBuf)>,
    pub(super) notices: Vec<String>,
    pub(super) issues: Vec<RowIssue>,
}

impl Root {
    pub(super) fn of(path: &Path) -> Result<Self, SourceError> {
        if is_pattern(path) {
            return pattern(path);
        }
        let data = fs::metadata(path).map_err(|error| {
            SourceError::new(
                SourceErrorKind::Unreadable,
                format!("no file or directory {:?}", path.display().to_string()),
            )
            .with_source(error)
        })?;
        Ok(if data.is_dir() {
            Self::Directory(path.to_owned())
        } else {
            Self::File(path.to_owned())
        })
    }

    /// What makes it the same source when it moves.
    pub(super) fn name(&self) -> String {
        let last = |path: &Path| {
            let absolute = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            let name = absolute
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            name.unwrap_or_else(|| "/".to_owned())
        };
        match self {
            Self::File(path) | Self::Directory(path) => last(path),
            Self::Pattern {
                directory, pattern, ..
            } => format!("{}/{pattern}", last(directory)),
        }
    }

    pub(super) fn find(&self, limits: &DocumentLimits) -> Result<Found, SourceError> {
        match self {
            Self::File(path) => Ok(Found {
                documents: vec![(self.name(), path.clone())],
                ..Found::default()
            }),
            Self::Directory(directory) => Walk::new(directory, None, limits)?.run(None),
            Self::Pattern {
                directory,
                matcher,
                depth,
                ..
            } => Walk::new(directory, Some(matcher), limits)?.run(*depth),
        }
    }
}

fn pattern(path: &Path) -> Result<Root, SourceError> {
    let mut directory = PathBuf::new();
    let mut rest = PathBuf::new();
    for part in path.components() {
        let wild = part
            .as_os_str()
            .to_str()
            .is_some_and(|text| text.contains(WILDCARDS));
        if wild || !rest.as_os_str().is_empty() {
            rest.push(part);
        } else {
            directory.push(part);
        }
    }
    if directory.as_os_str().is_empty() {
        directory.push(Component::CurDir);
    }
    let pattern = rest.display().to_string();
    let glob = GlobBuilder::new(&pattern)
        .literal_separator(true)
        .build()
        .map_err(|error| {
            SourceError::new(
                SourceErrorKind::Unreadable,
                format!("{pattern:?} is no pattern; write one like docs/**/*.md"),
            )
            .with_source(error)
        })?;
    let deep = pattern.contains("**") || pattern.contains('{');
    Ok(Root::Pattern {
        directory,
        depth: (!deep).then(|| rest.components().count() - 1),
        matcher: Box::new(glob.compile_matcher()),
        pattern,
    })
}

struct Walk<'a> {
    root: &'a Path,
    /// The same, without links: nothing outside of it is read.
    real: PathBuf,
    matcher: Option<&'a GlobMatcher>,
    limits: &'a DocumentLimits,
    found: Found,
    looked_at: usize,
    hidden: usize,
    links: usize,
    others: BTreeMap<String, usize>,
}

impl<'a> Walk<'a> {
    fn new(
        root: &'a Path,
        matcher: Option<&'a GlobMatcher>,
        limits: &'a DocumentLimits,
    ) -> Result<Self, SourceError> {
        let real = fs::canonicalize(root).map_err(|error| {
            SourceError::new(
                SourceErrorKind::Unreadable,
                format!("no directory {:?}", root.display().to_string()),
            )
            .with_source(error)
        })?;
        Ok(Self {
            root,
            real,
            matcher,
            limits,
            found: Found::default(),
            looked_at: 0,
            hidden: 0,
            links: 0,
            others: BTreeMap::new(),
        })
    }

    fn run(mut self, depth: Option<usize>) -> Result<Found, SourceError> {
        let mut ahead = vec![(PathBuf::new(), 0)];
        while let Some((directory, level)) = ahead.pop() {
            for below in self.directory(&directory)? {
                if depth.is_none_or(|depth| level < depth) {
                    ahead.push((below, level + 1));
                }
            }
        }
        self.found.documents.sort();
        self.tell();
        Ok(self.found)
    }

    /// Takes the documents of a directory, and yields the directories in it.
    fn directory(&mut self, relative: &Path) -> Result<Vec<PathBuf>, SourceError> {
        let path = self.root.join(relative);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if relative.as_os_str().is_empty() => {
                return Err(SourceError::new(
                    SourceErrorKind::Unreadable,
                    "the directory does not open",
                )
                .with_source(error));
            }
            Err(error) => {
                // Which documents are in it nobody knows: without an id, none of the stored ones goes for missing.
                self.issue(
                    None,
                    format!("the directory {} does not open: {error}", shown(relative)),
                );
                return Ok(Vec::new());
            }
        };
        let mut below = Vec::new();
        for entry in entries {
            self.looked_at += 1;
            if self.looked_at > self.limits.entries {
                return Err(over(format!(
                    "more than {} files and directories there; name a directory of documents",
                    self.limits.entries
                )));
            }
            let named = entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?)));
            let (name, kind) = match named {
                Ok(named) => named,
                Err(error) => {
                    self.issue(
                        None,
                        format!(
                            "the directory {} cannot be listed: {error}",
                            shown(relative)
                        ),
                    );
                    break;
                }
            };
            let own = relative.join(&name);
            if name.as_encoded_bytes().starts_with(b".") {
                self.hidden += 1;
                continue;
            }
            if kind.is_symlink() {
                if let Some(target) = self.behind(&own) {
                    self.file(&own, target)?;
                }
            } else if kind.is_dir() {
                below.push(own);
            } else if kind.is_file() {
                self.file(&own, path.join(&name))?;
            }
        }
        Ok(below)
    }

    /// What a link leads to: a file below the root. Directories are read where they are, so that no link makes a circle
    /// of them.
    fn behind(&mut self, relative: &Path) -> Option<PathBuf> {
        let target = fs::canonicalize(self.root.join(relative))
            .and_then(|target| Ok((fs::metadata(&target)?.is_file(), target)));
        match target {
            Ok((true, target)) if target.starts_with(&self.real) => return Some(target),
            // It may lead to a document again tomorrow, when the disk is back: what is stored of that stays.
            Err(error) if self.wanted(relative) && kind_of(relative).is_some() => {
                let shown = shown(relative);
                self.issue(
                    Some(id_of(relative).unwrap_or_else(|| shown.clone())),
                    format!("{shown} cannot be read: the link cannot be followed: {error}"),
                );
            }
            _ => self.links += 1,
        }
        None
    }

    fn wanted(&self, relative: &Path) -> bool {
        self.matcher
            .is_none_or(|matcher| matcher.is_match(relative))
    }

    fn file(&mut self, relative: &Path, path: PathBuf) -> Result<(), SourceError> {
        if !self.wanted(relative) {
            return Ok(());
        }
        if kind_of(relative).is_none() {
            let extension = relative
                .extension()
                .map(|end| format!(".{}", shown(Path::new(end))));
            *self
                .others
                .entry(extension.unwrap_or_else(|| "no extension".to_owned()))
                .or_default() += 1;
            return Ok(());
        }
        let Some(id) = id_of(relative) else {
            let shown = shown(relative);
            self.issue(
                Some(shown.clone()),
                format!(
                    "\"{shown}\": the name is no UTF-8, or has control characters; rename the file"
                ),
            );
            return Ok(());
        };
        if self.found.documents.len() >= self.limits.documents {
            return Err(over(format!(
                "more than {} documents there; sync parts of them into collections of their own",
                self.limits.documents
            )));
        }
        self.found.documents.push((id, path));
        Ok(())
    }

    fn issue(&mut self, id: Option<String>, problem: String) {
        self.found.issues.push(RowIssue {
            kind: IssueKind::Malformed,
            id,
            locator: Locator::default(),
            column: None,
            problem,
        });
    }

    fn tell(&mut self) {
        const NAMED: usize = 5;
        let plural = |count: usize, what: &str| {
            format!("{count} {what}{}", if count == 1 { "" } else { "s" })
        };
        let notices = &mut self.found.notices;
        notices.push(format!(
            "{} found",
            plural(self.found.documents.len(), "document")
        ));
        if self.hidden > 0 {
            notices.push(format!("{} left out: hidden", plural(self.hidden, "name")));
        }
        if self.links > 0 {
            notices.push(format!(
                "{} left out: to a directory, to no document, or out of the directory",
                plural(self.links, "link")
            ));
        }
        let others: usize = self.others.values().sum();
        if others > 0 {
            let kinds = self.others.iter().take(NAMED);
            let kinds = kinds
                .map(|(kind, count)| format!("{kind} {count}"))
                .collect::<Vec<_>>();
            notices.push(format!(
                "{} left out: no documents ({})",
                plural(others, "file"),
                kinds.join(", ")
            ));
        }
    }
}

/// The path with `/` between the names, if that can be stored and shown.
fn id_of(relative: &Path) -> Option<String> {
    let names = relative.iter().map(std::ffi::OsStr::to_str);
    let id = names.collect::<Option<Vec<_>>>()?.join("/");
    (!id.contains(char::is_control)).then_some(id)
}

fn kind_of(relative: &Path) -> Option<DocumentKind> {
    DocumentKind::of_name(&relative.to_string_lossy())
}

/// A path of which nothing steers the terminal.
fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}
