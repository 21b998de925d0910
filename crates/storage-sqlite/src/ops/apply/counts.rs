//! What a change leaves counted, so that nobody has to count rows.

use rusqlite::OptionalExtension;
use storage_core::{Applied, Generation};

use super::Work;
use crate::error::Outcome;
use crate::sql;

impl Work<'_> {
    pub(super) fn write_bound(&self) -> Outcome<()> {
        for (version, change) in self.bound.iter().filter(|(_, change)| **change != 0) {
            self.conn
                .prepare_cached(sql::COUNT_BOUND)?
                .execute((version, change))?;
        }
        Ok(())
    }

    pub(super) fn write_categories(&self) -> Outcome<()> {
        for (category, change) in &self.categories {
            if *change == 0 {
                continue;
            }
            let named = (self.collection, category);
            let before: Option<i64> = self
                .conn
                .prepare_cached(sql::CATEGORY_COUNT)?
                .query_row(named, |row| row.get(0))
                .optional()?;
            let sql = match before {
                None => sql::ADD_CATEGORY,
                Some(count) if count + change <= 0 => {
                    self.conn
                        .prepare_cached(sql::DROP_CATEGORY)?
                        .execute(named)?;
                    continue;
                }
                Some(_) => sql::CHANGE_CATEGORY,
            };
            self.conn
                .prepare_cached(sql)?
                .execute((self.collection, category, change))?;
        }
        Ok(())
    }

    pub(super) fn finish(&self) -> Outcome<Applied> {
        let collection = self
            .conn
            .prepare_cached(sql::FINISH_COLLECTION)?
            .query_row((self.collection, self.records, self.documents), |row| {
                row.get(0)
            })?;
        let store = self
            .conn
            .prepare_cached(sql::RAISE_GENERATION)?
            .query_row((), |row| row.get(0))?;
        Ok(Applied {
            collection: Generation(collection),
            store: Generation(store),
        })
    }
}
