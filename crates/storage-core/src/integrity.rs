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

/// Counts faults and keeps the first few by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    /// How many there are.
    pub count: u64,
    named: Vec<String>,
}

impl Faults {
    /// How many faults a finding names.
    pub const NAMED: usize = 5;

    /// Counts one more. Its words are asked for only while they will be told.
    pub fn add(&mut self, fault: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < Self::NAMED {
            self.named.push(fault());
        }
    }

    /// The first few, in one line.
    #[must_use]
    pub fn named(&self) -> String {
        self.named.join("; ")
    }

    /// The finding: none is what should be found.
    #[must_use]
    pub fn check(&self, name: &'static str, what: &str) -> Check {
        let detail = if self.named.is_empty() {
            what.to_owned()
        } else {
            format!("{what}: {}", self.named.join("; "))
        };
        Check::compare(name, self.count, 0, detail)
    }
}

/// What a walk over every row of every collection found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowFindings {
    /// Collections that serve a version that is not ready, and spaces that are not what their id says.
    pub unready: Faults,
    /// Rows without a vector of the active version.
    pub unserved: Faults,
    /// Versions whose rows are not as many as recorded.
    pub miscounted: Faults,
    /// Rows that somebody else wrote into the database, and that have no hash yet.
    pub unadopted: Faults,
    /// Categories that were found, and recorded.
    pub categories: (u64, u64),
    /// Collections whose categories are not as recorded.
    pub wrong_categories: Faults,
    /// Rows whose hash, place, or embedded text does not match their fields.
    pub wrong_hashes: Faults,
    /// Rows that were found.
    pub found: u64,
    /// Rows that are recorded.
    pub recorded: u64,
}

impl RowFindings {
    /// The findings, in the order of [`check_names`].
    #[must_use]
    pub fn checks(self) -> [Check; 4] {
        let mut templates = Check::compare(
            check_names::TEMPLATES,
            self.found - self.unserved.count.min(self.found),
            self.recorded,
            "rows with a vector of the active version, against the recorded count",
        );
        if self.unserved.count > 0 {
            templates.detail = format!(
                "rows without a vector of the active version: {}",
                self.unserved.named.join("; ")
            );
        }
        if self.miscounted.count > 0 {
            templates.ok = false;
            templates.detail = format!(
                "versions whose rows are not as many as recorded: {}",
                self.miscounted.named.join("; ")
            );
        }
        let (found, recorded) = self.categories;
        let mut categories = Check::compare(
            check_names::CATEGORIES,
            found,
            recorded,
            "categories, against the recorded ones",
        );
        if self.wrong_categories.count > 0 {
            categories.ok = false;
            categories.detail = format!(
                "categories whose rows are not as many as recorded: {}",
                self.wrong_categories.named.join("; ")
            );
        }
        let mut hashes = self.wrong_hashes.check(
            check_names::CONTENT_HASHES,
            "rows whose hash, place, or embedded text does not match their fields",
        );
        if self.unadopted.count > 0 && hashes.ok {
            hashes = self.unadopted.check(
                check_names::CONTENT_HASHES,
                "rows that were written by SQL and have no hash yet; the next `smart-support sync` gives them one",
            );
        }
        [
            self.unready.check(
                check_names::EMBEDDING_VERSION,
                "spaces that are not what their id says, and collections that serve a version that is not ready",
            ),
            templates,
            categories,
            hashes,
        ]
    }
}
