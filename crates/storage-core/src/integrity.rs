//! What a check of a store reports: a list of named findings, never a repair.

/// The names of the checks, fixed because programs read them in `validate --json`.
pub mod check_names {
    /// The store could be opened and read, and its own page structure holds.
    pub const CONNECTION: &str = "connection";
    /// The schema is the one this build writes.
    pub const SCHEMA_VERSION: &str = "schema_version";
    /// Every collection serves a version that is ready.
    pub const EMBEDDING_VERSION: &str = "embedding_version";
    /// Every row has a vector of its collection's active version, and the count is the recorded one.
    pub const TEMPLATES: &str = "templates";
    /// The categories found are as many as the last change recorded.
    pub const CATEGORIES: &str = "categories";
    /// Every row's hash, and the hash of its embedded text, match its fields.
    pub const CONTENT_HASHES: &str = "content_hashes";
    /// Every vector matches its checksum and is finite, of its version's length, and not degenerate.
    pub const VECTOR_HASHES: &str = "vector_hashes";
    /// No reference leads nowhere.
    pub const ORPHANS: &str = "orphans";
    /// The database's own foreign keys hold.
    pub const FOREIGN_KEYS: &str = "foreign_keys";
    /// The readers' counter agrees with the collections'.
    pub const GENERATION: &str = "generation";
    /// The provider still serves the model that the vectors were made with.
    pub const CANARY: &str = "canary";
    /// Source and store agree, row by row.
    pub const SOURCE: &str = "source";
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// One of [`check_names`].
    pub name: &'static str,
    /// Whether found equals expected.
    pub ok: bool,
    /// One line for a person; names the first faults by key.
    pub detail: String,
    /// What was found.
    pub found: String,
    /// What should have been found.
    pub expected: String,
}

impl Check {
    /// A check that holds when both sides are equal.
    pub fn compare(
        name: &'static str,
        found: impl ToString,
        expected: impl ToString,
        detail: impl Into<String>,
    ) -> Self {
        let (found, expected) = (found.to_string(), expected.to_string());
        Self {
            name,
            ok: found == expected,
            detail: detail.into(),
            found,
            expected,
        }
    }
}

/// Everything a check found, in the order of [`check_names`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IntegrityReport {
    /// The findings.
    pub checks: Vec<Check>,
}

impl IntegrityReport {
    /// Whether every check holds.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}
