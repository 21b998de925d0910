//! What a change leaves counted, so that nobody has to count rows.

use std::collections::{BTreeMap, BTreeSet};

use storage_core::{Applied, Generation};
use tokio_postgres::types::Type;

use super::Applying;
use crate::error::Outcome;
use crate::rows::{count, get};
use crate::sql;

/// Documents of which rows come or go, and how many of them were there before.
pub(super) struct Documents<'a> {
    touched: Vec<&'a str>,
    before: i64,
}

impl<'a> Applying<'a> {
    pub(super) async fn documents_before(&self) -> Outcome<Documents<'a>> {
        let changes = self.changes;
        let deleted = changes.deletes.iter().map(|key| &*key.document);
        let new = changes
            .upserts
            .iter()
            .map(|row| &row.document().key)
            .filter(|key| !self.known.contains_key(*key))
            .map(|key| &*key.document);
        let touched: BTreeSet<&str> = deleted.chain(new).collect();
        let touched: Vec<&str> = touched.into_iter().collect();
        let before = match self.was_empty {
            true => 0,
            false => self.count_documents(&touched).await?,
        };
        Ok(Documents { touched, before })
    }

    async fn count_documents(&self, documents: &[&str]) -> Outcome<i64> {
        if documents.is_empty() {
            return Ok(0);
        }
        let row = self
            .tx
            .one(
                sql::COUNT_DOCUMENTS,
                &[
                    (&self.collection, Type::INT8),
                    (&documents, Type::TEXT_ARRAY),
                ],
            )
            .await?;
        get(&row, 0)
    }

    pub(super) async fn write_bound(&self) -> Outcome<()> {
        for (version, change) in self.bound.iter().filter(|(_, change)| **change != 0) {
            self.tx
                .execute(
                    sql::COUNT_BOUND,
                    &[(version, Type::INT8), (change, Type::INT8)],
                )
                .await?;
        }
        Ok(())
    }

    pub(super) async fn write_categories(&self) -> Outcome<()> {
        if self.categories.values().all(|change| *change == 0) {
            return Ok(());
        }
        let mut counts: BTreeMap<Option<String>, i64> = BTreeMap::new();
        let rows = self
            .tx
            .rows(sql::CATEGORY_COUNTS, &[(&self.collection, Type::INT8)])
            .await?;
        for row in &rows {
            counts.insert(get(row, 0)?, get(row, 1)?);
        }
        for (category, change) in self.categories.iter().filter(|(_, change)| **change != 0) {
            let before = counts.get(category).copied();
            let (sql, count) = match before {
                None => (sql::ADD_CATEGORY, *change),
                Some(before) => (sql::CHANGE_CATEGORY, before + change),
            };
            let named = [
                (&self.collection as _, Type::INT8),
                (category as _, Type::TEXT),
            ];
            if before.is_some() && count <= 0 {
                self.tx.execute(sql::DROP_CATEGORY, &named).await?;
                continue;
            }
            let [collection, category] = named;
            self.tx
                .execute(sql, &[collection, category, (&count, Type::INT8)])
                .await?;
        }
        Ok(())
    }

    pub(super) async fn finish(&self, documents: Documents<'a>) -> Outcome<Applied> {
        let after = match self.was_empty {
            true => {
                let written: BTreeSet<&str> = self
                    .changes
                    .upserts
                    .iter()
                    .map(|row| &*row.document().key.document)
                    .collect();
                i64::try_from(written.len()).unwrap_or(i64::MAX)
            }
            false => self.count_documents(&documents.touched).await?,
        };
        let collection = self
            .tx
            .one(
                sql::FINISH_COLLECTION,
                &[
                    (&self.collection, Type::INT8),
                    (&self.records, Type::INT8),
                    (&(after - documents.before), Type::INT8),
                ],
            )
            .await?;
        let store = self.tx.one(sql::RAISE_GENERATION, &[]).await?;
        Ok(Applied {
            collection: Generation(count(&collection, 0)?),
            store: Generation(count(&store, 0)?),
        })
    }
}
