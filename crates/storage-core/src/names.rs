//! Names and small value types: collections, sources, runs, instants, and the ids minted for rows that have none.
//! Names are shared, not copied: a hundred thousand rows hold one collection name.

use std::fmt;
use std::sync::Arc;

/// A name was empty, too long, or held a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    what: &'static str,
    name: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a {} has 1 to {MAX_NAME_BYTES} bytes and no control characters: {:?}",
            self.what, self.name
        )
    }
}

impl std::error::Error for NameError {}

const MAX_NAME_BYTES: usize = 512;

fn checked(what: &'static str, name: String) -> Result<String, NameError> {
    if name.trim().is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(NameError {
            what,
            name: name.chars().take(80).collect(),
        });
    }
    Ok(name)
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks the name: 1 to 512 bytes, not only white space, no control characters.
            ///
            /// # Errors
            /// [`NameError`] says which rule was broken.
            pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
                checked($what, name.into()).map(|name| Self(name.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A set of documents that is synced, versioned and searched on its own. Nothing ever crosses collections
    /// but the vectors of equal texts, which are stored once.
    CollectionName,
    "collection name"
);
name!(
    /// Which file, table, upload or import owns a row. A sync touches the rows of its own source only.
    SourceId,
    "source id"
);
impl SourceId {
    /// How the ids of data sets begin: their rows are rows of a table, neither entries with an answer nor passages.
    pub const DATA_SET: &str = "dataset:";

    /// Whether its rows are those of a data set.
    #[must_use]
    pub fn is_data_set(&self) -> bool {
        self.as_str().starts_with(Self::DATA_SET)
    }
}

name!(
    /// Names one run of one command in the ledger.
    RunId,
    "run id"
);

/// An instant: milliseconds since 1970-01-01T00:00:00Z. Stores never read the clock; time arrives in the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// Mints the id of a row whose source has none: its question, transliterated to `a-z 0-9 -`, at most 72 characters
/// cut at a word. `taken` tells which ids are in use; the second row with the same slug gets `-2`, the next `-3`.
///
/// An id depends on nothing but the question at the time it was minted: not on position, category or answer.
pub fn mint_document_id(question: &str, taken: impl Fn(&str) -> bool) -> String {
    const LONGEST: usize = 72;
    let mut slug = slug::slugify(question);
    if slug.len() > LONGEST {
        let cut = slug[..=LONGEST]
            .rfind('-')
            .filter(|&at| at > 0)
            .unwrap_or(LONGEST);
        slug.truncate(cut);
    }
    if slug.is_empty() {
        // Nothing to transliterate (an emoji, say): the hash of the question is as stable as a slug.
        slug = blake3::hash(question.as_bytes()).to_hex()[..12].to_string();
    }
    if !taken(&slug) {
        return slug;
    }
    (2u64..)
        .map(|n| format!("{slug}-{n}"))
        .find(|id| !taken(id))
        .unwrap_or(slug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_readable_and_never_collide() {
        assert_eq!(
            mint_document_id("Как заблокировать карту?", |_| false),
            "kak-zablokirovat-kartu"
        );
        assert_eq!(
            mint_document_id("Как заблокировать карту?", |id| !id
                .ends_with("-3")),
            "kak-zablokirovat-kartu-3"
        );
        let long = mint_document_id(&"очень длинный вопрос ".repeat(20), |_| false);
        assert!(long.len() <= 72 && !long.ends_with('-'), "{long}");
        assert_eq!(mint_document_id("…", |_| false).len(), 12);
    }

    #[test]
    fn names_are_checked() {
        assert!(CollectionName::new("faq").is_ok());
        assert!(CollectionName::new("  ").is_err());
        assert!(CollectionName::new("a\0b").is_err());
        assert!(CollectionName::new("x".repeat(513)).is_err());
    }
}
