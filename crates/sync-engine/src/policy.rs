//! What a plan may do.

use std::collections::BTreeSet;

use storage_core::EmbedText;

/// How many rows a sync may delete before it refuses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DeleteAllowance {
    /// At most this share of the source's stored rows, and never all of them for an empty source: the guard.
    Share(f64),
    /// At most this many rows, an empty source included: the user said so.
    Count(usize),
    /// At most this share, an empty source included: the user said so.
    Percent(f64),
}

impl Default for DeleteAllowance {
    /// A fifth: more than that is a broken export more often than a decision.
    fn default() -> Self {
        Self::Share(0.2)
    }
}

impl DeleteAllowance {
    /// Whether `deleted` of `stored` rows may go, when the source now holds `incoming` rows.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "row counts are far below 2^52")]
    pub fn permits(self, deleted: usize, stored: usize, incoming: usize) -> bool {
        if deleted == 0 {
            return true;
        }
        match self {
            Self::Share(share) => incoming > 0 && deleted as f64 <= share * stored as f64,
            Self::Count(count) => deleted <= count,
            Self::Percent(percent) => deleted as f64 <= percent / 100.0 * stored as f64,
        }
    }
}

/// Restricts a sync to some rows; all others stay as they are, whatever the source says of them. Empty, it restricts
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Only documents of these ids.
    pub ids: BTreeSet<String>,
    /// Only rows that the source puts into this category, compared without regard to case.
    pub category: Option<String>,
    /// Only rows that the store has no row or no vector of.
    pub missing: bool,
    /// Only rows that the store has otherwise than the source. With `missing`, rows of both kinds.
    pub stale: bool,
    /// What the source says of the documents in `ids` is all there is of them: their other rows go. The source need not
    /// hold any other document, as one that was sent does not.
    pub whole: bool,
}

/// What the store has of a row of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowState {
    /// No row, or no vector.
    Missing,
    /// Another text, other fields, another id or owner.
    Stale,
    /// The same.
    Current,
}

impl Selection {
    /// Whether everything is selected.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.ids.is_empty() && self.category.is_none() && !self.missing && !self.stale
    }

    /// Whether a stored row may be touched, or be taken for one of the source's: of documents that come one by one, only
    /// their own rows.
    pub(crate) fn spans(&self, document: &str) -> bool {
        !self.whole || self.ids.contains(document)
    }

    /// Whether rows in that state are selected.
    pub(crate) fn wants(&self, state: RowState) -> bool {
        match (self.missing, self.stale) {
            (false, false) => true,
            (missing, stale) => {
                missing && state == RowState::Missing || stale && state == RowState::Stale
            }
        }
    }

    pub(crate) fn takes(&self, document: &storage_core::Document) -> bool {
        (self.ids.is_empty() || self.ids.contains(&document.key.document))
            && self.category.as_deref().is_none_or(|wanted| {
                let category = document.category.as_deref().unwrap_or_default();
                category.to_lowercase() == wanted.to_lowercase()
            })
    }
}

/// What a plan may do, and how.
#[derive(Debug, Clone, Default)]
pub struct SyncPolicy {
    /// Rows that may be deleted.
    pub deletes: DeleteAllowance,
    /// Rows that may be touched.
    pub selection: Selection,
    /// Build a new version of the whole collection and flip to it, whatever is stored.
    pub force_recompute: bool,
    /// The recipe to embed with; `None` keeps the collection's own, or the default for a new one.
    pub embed_text: Option<EmbedText>,
    /// The recipe of a collection that has none yet; `None` for the usual one.
    pub first_embed_text: Option<EmbedText>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_stops_at_a_fifth_and_at_an_empty_source() {
        let guard = DeleteAllowance::default();
        assert!(guard.permits(0, 0, 0));
        assert!(guard.permits(40, 200, 160));
        assert!(!guard.permits(41, 200, 159));
        assert!(!guard.permits(1, 200, 0));
        assert!(DeleteAllowance::Count(200).permits(200, 200, 0));
        assert!(!DeleteAllowance::Count(3).permits(4, 200, 196));
        assert!(DeleteAllowance::Percent(100.0).permits(200, 200, 0));
    }
}
