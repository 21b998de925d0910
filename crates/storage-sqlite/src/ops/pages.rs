//! Reads that are longer than memory: page by page, all pages inside one read transaction.

use rusqlite::Connection;

use crate::error::Outcome;

/// What to read.
pub(crate) trait Pages: Send + Sync + 'static {
    /// What an error says was done.
    const OPERATION: &'static str;
    /// What a page holds.
    type Item: Send + 'static;
    /// Where the reading stands between two pages. It holds no statement and no connection: whoever drives it keeps one
    /// connection inside one read transaction, so that all pages are from one generation.
    type Cursor: Cursor<Item = Self::Item>;

    /// `None` where there is nothing to read.
    fn start(&self, conn: &Connection) -> Outcome<Option<Self::Cursor>>;
}

/// Where a reading stands.
pub(crate) trait Cursor: Send + 'static {
    /// What a page holds.
    type Item;

    /// The next items; may be none although there is more to come.
    fn page(&mut self, conn: &Connection) -> Outcome<Vec<Self::Item>>;

    /// Whether the last page was read.
    fn is_done(&self) -> bool;
}
