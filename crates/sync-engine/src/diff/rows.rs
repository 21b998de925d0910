//! Rows of two collections with what readers get of them, compared as they come.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::vec;

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use storage_core::{
    CollectionStatus, DocumentKey, Embedding, EmbeddingRecord, EmbeddingStore, Filter, StoreError,
    VectorKey,
};

use super::{CollectionDifference, DiffOptions, Field, Pair, RowDifference, Side};
use crate::SyncError;

/// One side: its rows, and the names of their vectors, both in key order.
struct Rows {
    records: BoxStream<'static, Result<EmbeddingRecord, StoreError>>,
    names: Peekable<vec::IntoIter<(DocumentKey, VectorKey)>>,
}

/// A row with the name of its vector.
struct Seen {
    record: EmbeddingRecord,
    name: Option<VectorKey>,
}

impl Rows {
    async fn of(store: &dyn EmbeddingStore, status: &CollectionStatus) -> Result<Self, SyncError> {
        let names = match &status.active {
            Some(active) => store.bindings(&status.name, active).await?.1,
            None => Vec::new(),
        };
        Ok(Self {
            records: store.scan(&status.name, status.active.as_ref(), Filter::default()),
            names: names.into_iter().peekable(),
        })
    }

    async fn next(&mut self) -> Result<Option<Seen>, SyncError> {
        let Some(record) = self.records.try_next().await? else {
            return Ok(None);
        };
        let key = &record.document.key;
        while self.names.next_if(|(name, _)| name < key).is_some() {}
        let name = self.names.next_if(|(name, _)| name == key);
        Ok(Some(Seen {
            name: name.map(|(_, vector)| vector),
            record,
        }))
    }
}

/// Compares the rows that two collections serve. Vectors of different spaces have nothing to compare.
pub(super) async fn compare(
    pair: Pair<'_>,
    a: &CollectionStatus,
    b: &CollectionStatus,
    options: &DiffOptions,
    difference: &mut CollectionDifference,
) -> Result<(), SyncError> {
    let space = |status: &CollectionStatus| Some(status.active_version()?.space.clone());
    let one_space = space(a) == space(b);
    let (mut rows_a, mut rows_b) = (Rows::of(pair.a, a).await?, Rows::of(pair.b, b).await?);
    let (mut next_a, mut next_b) = (rows_a.next().await?, rows_b.next().await?);
    loop {
        let order = match (&next_a, &next_b) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.record.document.key.cmp(&b.record.document.key),
        };
        let (side, fields) = match order {
            Ordering::Less => (Side::A, Vec::new()),
            Ordering::Greater => (Side::B, Vec::new()),
            Ordering::Equal => (
                Side::Both,
                fields(next_a.as_ref(), next_b.as_ref(), one_space),
            ),
        };
        let count = match side {
            Side::A => &mut difference.only_a,
            Side::B => &mut difference.only_b,
            Side::Both if fields.is_empty() => &mut difference.same,
            Side::Both => &mut difference.different,
        };
        *count += 1;
        let differs = side != Side::Both || !fields.is_empty();
        if differs && difference.rows.len() < options.rows {
            let shown = if side == Side::B { &next_b } else { &next_a };
            difference
                .rows
                .extend(shown.as_ref().map(|seen| RowDifference {
                    key: seen.record.document.key.clone(),
                    locator: seen.record.document.locator.clone(),
                    side,
                    fields,
                }));
        }
        if order != Ordering::Greater {
            next_a = rows_a.next().await?;
        }
        if order != Ordering::Less {
            next_b = rows_b.next().await?;
        }
    }
}

fn fields(a: Option<&Seen>, b: Option<&Seen>, one_space: bool) -> Vec<Field> {
    let (Some(a), Some(b)) = (a, b) else {
        return Vec::new();
    };
    let (left, right) = (&a.record.document, &b.record.document);
    let compared = [
        (Field::Question, left.title == right.title),
        (Field::Answer, left.body == right.body),
        (Field::Category, left.category == right.category),
        (Field::Subcategory, left.subcategory == right.subcategory),
        (Field::Metadata, left.metadata == right.metadata),
        (Field::Source, left.source == right.source),
        (Field::Place, left.locator == right.locator),
        (Field::Reference, !one_space || a.name == b.name),
        (
            Field::Vector,
            !one_space || same_bits(&a.record.embedding, &b.record.embedding),
        ),
    ];
    let different = compared.into_iter().filter(|(_, same)| !same);
    different.map(|(field, _)| field).collect()
}

/// Equal to the last bit: 0 and -0 differ here.
pub(super) fn same_bits(a: &Embedding, b: &Embedding) -> bool {
    let bits = |embedding: &Embedding| -> Vec<u32> {
        embedding
            .as_slice()
            .iter()
            .map(|number| number.to_bits())
            .collect()
    };
    // Nearly all vectors are equal, and equal numbers are found fastest; what is left is the sign of zeros.
    a == b && (!a.as_slice().contains(&0.0) || bits(a) == bits(b))
}
