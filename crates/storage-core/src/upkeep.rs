//! What looking after a store reports: copies of it, and repairs. Backends offer both as functions beside `open`,
//! because they work on a store that nobody has open, or that cannot be opened.

use std::path::PathBuf;

use crate::{DocumentKey, Generation, IntegrityReport, Locator, SchemaStatus};

/// What a backup or a restore copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyReport {
    /// Bytes of the copy.
    pub bytes: u64,
    /// Rows in it.
    pub records: u64,
    /// Vectors in it, those that no row refers to included.
    pub vectors: u64,
    /// The readers' counter.
    pub generation: Generation,
    /// Its schema, which may be older than this build's.
    pub schema: SchemaStatus,
    /// What a check of the copy found; `None` when none was wanted.
    pub validation: Option<IntegrityReport>,
    /// Whether the copy was put in its place: a copy with faults never is.
    pub published: bool,
    /// Where what was there before is kept.
    pub kept: Option<PathBuf>,
}

/// A row that a repair could not keep, or could not keep whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRow {
    /// Which row.
    pub key: DocumentKey,
    /// Where its source holds it, as far as that is known.
    pub locator: Locator,
    /// What is wrong with it.
    pub reason: String,
}

/// What a repair found, kept and lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepairReport {
    /// What was wrong before; empty for a file that could not be opened at all.
    pub found: IntegrityReport,
    /// Rows whose checksums hold.
    pub records_kept: u64,
    /// Rows that are gone, as far as anything still names them: the next sync writes them anew.
    pub records_lost: Vec<DamagedRow>,
    /// Vectors whose checksums hold.
    pub vectors_kept: u64,
    /// Vectors whose checksums do not hold.
    pub vectors_lost: u64,
    /// Rows that are kept and have no vector any more: the next sync embeds them.
    pub to_embed: Vec<DamagedRow>,
    /// What follows from rows and vectors and was written anew, and what could only be guessed: one line each.
    pub recomputed: Vec<String>,
    /// What a check of the repaired store found; `None` where there was nothing to repair, or nothing was written.
    pub validation: Option<IntegrityReport>,
    /// Where the damaged store is kept.
    pub kept: Option<PathBuf>,
    /// Whether the store was replaced.
    pub written: bool,
}

impl RepairReport {
    /// Whether nothing was wrong in the first place.
    #[must_use]
    pub fn was_sound(&self) -> bool {
        !self.found.checks.is_empty() && self.found.is_ok()
    }

    /// Whether the store is as complete as it ever was.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.records_lost.is_empty() && self.to_embed.is_empty()
    }
}
