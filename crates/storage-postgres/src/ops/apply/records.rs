//! The rows of a change: taken away, written anew, written over, moved.

use std::collections::{BTreeSet, HashMap};

use storage_core::guard::{place_guard, sealed};
use storage_core::{Document, DocumentKey, Locator, Row, metadata_to_json};
use tokio_postgres::types::{ToSql, Type};

use super::{Applying, Record};
use crate::error::Outcome;
use crate::rows::get;
use crate::sql;
use crate::tx::CopyRow;

/// The numbers of the rows that a change wrote, and of those it found.
pub(super) type Numbers<'a> = HashMap<&'a DocumentKey, i64>;

/// A row on its way into the table, or into the staging table of rows that are written over.
struct Written<'a> {
    id: i64,
    collection: i64,
    source: i64,
    run: i64,
    created: i64,
    updated: i64,
    hash: [u8; 32],
    guard: i64,
    document: &'a Document,
    chunk: i64,
    place: Place<'a>,
    metadata: RawJson,
}

/// The five columns of a locator.
struct Place<'a> {
    sheet: Option<&'a str>,
    row: Option<i64>,
    page: Option<i64>,
    start: Option<i64>,
    end: Option<i64>,
}

impl<'a> Place<'a> {
    fn of(locator: &'a Locator) -> Self {
        // `validate` has refused what is beyond 2^63.
        let whole = |number: Option<u64>| number.and_then(|number| i64::try_from(number).ok());
        let (start, end) = locator.span.unzip();
        Self {
            sheet: locator.sheet.as_deref(),
            row: whole(locator.row),
            page: locator.page.map(i64::from),
            start: whole(start),
            end: whole(end),
        }
    }
}

/// JSON as it is spelled: the driver's own type would write numbers its way.
#[derive(Debug)]
struct RawJson(String);

impl ToSql for RawJson {
    fn to_sql(
        &self,
        r#type: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.to_sql(r#type, out)
    }

    fn accepts(r#type: &Type) -> bool {
        *r#type == Type::JSON
    }

    tokio_postgres::types::to_sql_checked!();
}

impl CopyRow for Written<'_> {
    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        let document = self.document;
        vec![
            &self.id,
            &self.collection,
            &self.source,
            &self.run,
            &self.created,
            &self.updated,
            &self.hash,
            &self.guard,
            &document.key.document,
            &self.chunk,
            &self.place.sheet,
            &self.place.row,
            &self.place.page,
            &self.place.start,
            &self.place.end,
            &document.category,
            &document.subcategory,
            &document.title,
            &document.body,
            &self.metadata,
        ]
    }
}

fn column_types() -> [Type; 20] {
    let (int, text) = (Type::INT8, Type::TEXT);
    [
        int.clone(),
        int.clone(),
        int.clone(),
        int.clone(),
        int.clone(),
        int.clone(),
        Type::BYTEA,
        int.clone(),
        text.clone(),
        int.clone(),
        text.clone(),
        int.clone(),
        int.clone(),
        int.clone(),
        int,
        text.clone(),
        text.clone(),
        text.clone(),
        text,
        Type::JSON,
    ]
}

impl<'a> Applying<'a> {
    pub(super) async fn delete(&mut self) -> Outcome<()> {
        let changes = self.changes;
        let keys: BTreeSet<&DocumentKey> = changes.deletes.iter().collect();
        let mut gone = Vec::new();
        for key in keys {
            if let Some(record) = self.known.remove(key) {
                self.records -= 1;
                *self.categories.entry(record.category).or_default() -= 1;
                gone.push(record.id);
            }
        }
        self.unbind(&gone).await?;
        if !gone.is_empty() {
            self.tx
                .execute(sql::DELETE_RECORDS, &[(&gone, Type::INT8_ARRAY)])
                .await?;
        }
        Ok(())
    }

    /// Writes every row of the change, and says what numbers rows go by.
    pub(super) async fn upsert(&mut self) -> Outcome<Numbers<'a>> {
        let changes = self.changes;
        // In key order, whatever order they were planned in: rows then lie in the table as scans read them.
        let mut upserts: Vec<&'a Row> = changes.upserts.iter().collect();
        upserts.sort_by_key(|row| &row.document().key);
        let (replaced, new): (Vec<&Row>, Vec<&Row>) = upserts
            .into_iter()
            .partition(|row| self.known.contains_key(&row.document().key));
        let mut numbers: Numbers<'a> = self
            .known
            .iter()
            .map(|(key, record)| (*key, record.id))
            .collect();
        self.replace(&replaced).await?;
        let ids = self.draw(new.len()).await?;
        for (row, id) in new.iter().zip(&ids) {
            numbers.insert(&row.document().key, *id);
            self.count(row.document());
        }
        self.records += i64::try_from(new.len()).unwrap_or(i64::MAX);
        let written = new
            .iter()
            .zip(ids)
            .map(|(row, id)| self.written(row, id, self.stamp(row, None)))
            .collect::<Outcome<Vec<_>>>()?;
        self.tx
            .copy(sql::COPY_RECORDS, &column_types(), written)
            .await?;
        Ok(numbers)
    }

    async fn replace(&mut self, rows: &[&'a Row]) -> Outcome<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut written = Vec::with_capacity(rows.len());
        let mut changed = Vec::with_capacity(rows.len());
        let mut before = Vec::with_capacity(rows.len());
        for row in rows {
            let record = self.existing(&row.document().key)?;
            let stamp = self.stamp(row, Some(record.stamp[1]));
            written.push(self.written(row, record.id, stamp)?);
            changed.push(record.id);
            before.push(record.category.clone());
        }
        for (row, category) in rows.iter().zip(before) {
            *self.categories.entry(category).or_default() -= 1;
            self.count(row.document());
        }
        // Their vectors of all versions go: they may be of an older text.
        self.unbind(&changed).await?;
        self.tx.batch(sql::STAGE_RECORDS).await?;
        self.tx
            .copy(sql::COPY_STAGED, &column_types(), written)
            .await?;
        self.tx.execute(sql::REPLACE_RECORDS, &[]).await?;
        // The transaction may be long; a second batch of it stages anew.
        self.tx.batch(sql::UNSTAGE_RECORDS).await?;
        Ok(())
    }

    fn count(&mut self, document: &Document) {
        *self
            .categories
            .entry(document.category.clone())
            .or_default() += 1;
    }

    /// Numbers for new rows.
    async fn draw(&self, rows: usize) -> Outcome<Vec<i64>> {
        if rows == 0 {
            return Ok(Vec::new());
        }
        let wanted = i64::try_from(rows).unwrap_or(i64::MAX);
        let rows = self
            .tx
            .rows(sql::DRAW_RECORDS, &[(&wanted, Type::INT8)])
            .await?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    fn written(&self, row: &'a Row, id: i64, stamp: [i64; 3]) -> Outcome<Written<'a>> {
        let document = row.document();
        let source = self.source_number(&document.source);
        let [run, created, updated] = stamp;
        Ok(Written {
            id,
            collection: self.collection,
            source,
            run,
            created,
            updated,
            hash: *row.record().as_bytes(),
            guard: self.guard(&document.key, source, &document.locator, &stamp),
            document,
            chunk: i64::from(document.key.chunk),
            place: Place::of(&document.locator),
            metadata: RawJson(metadata_to_json(&document.metadata)?),
        })
    }

    pub(super) async fn relocate(&self) -> Outcome<()> {
        let relocations = &self.changes.relocations;
        if relocations.is_empty() {
            return Ok(());
        }
        let mut ids = Vec::with_capacity(relocations.len());
        let mut guards: Vec<Option<i64>> = Vec::with_capacity(relocations.len());
        let mut places = Vec::with_capacity(relocations.len());
        for relocation in relocations {
            let record = self.existing(&relocation.key)?;
            ids.push(record.id);
            guards.push(self.moved(&relocation.key, record, &relocation.locator));
            places.push(Place::of(&relocation.locator));
        }
        let sheets: Vec<_> = places.iter().map(|place| place.sheet).collect();
        let rows: Vec<_> = places.iter().map(|place| place.row).collect();
        let pages: Vec<_> = places.iter().map(|place| place.page).collect();
        let starts: Vec<_> = places.iter().map(|place| place.start).collect();
        let ends: Vec<_> = places.iter().map(|place| place.end).collect();
        self.tx
            .execute(
                sql::RELOCATE_RECORDS,
                &[
                    (&ids, Type::INT8_ARRAY),
                    (&sheets, Type::TEXT_ARRAY),
                    (&rows, Type::INT8_ARRAY),
                    (&pages, Type::INT8_ARRAY),
                    (&starts, Type::INT8_ARRAY),
                    (&ends, Type::INT8_ARRAY),
                    (&guards, Type::INT8_ARRAY),
                ],
            )
            .await?;
        Ok(())
    }

    /// The checksum of a row that has moved. A row that was written in this very change has another stamp than before.
    fn moved(&self, key: &DocumentKey, record: &Record, locator: &Locator) -> Option<i64> {
        let replaced = self
            .changes
            .upserts
            .iter()
            .find(|row| row.document().key == *key);
        match replaced {
            Some(row) => {
                let stamp = self.stamp(row, Some(record.stamp[1]));
                let source = self.source_number(&row.document().source);
                Some(self.guard(key, source, locator, &stamp))
            }
            None => record
                .adopted
                .then(|| self.guard(key, record.source, locator, &record.stamp)),
        }
    }

    fn guard(&self, key: &DocumentKey, source: i64, locator: &Locator, stamp: &[i64; 3]) -> i64 {
        let place = place_guard(self.collection, &key.document, key.chunk, source, locator);
        sealed(place, stamp)
    }
}
