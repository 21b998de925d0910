//! Compares two stores: which collections, versions, rows and vectors differ, and in what.
//!
//! Both sides are read as streams in key order and compared as they come, so that two stores of any size are compared
//! in bounded memory. Each side of a collection is from one generation; one that is written to meanwhile is compared
//! again.

mod rows;
mod versions;

use std::collections::BTreeSet;
use std::fmt;

use storage_core::{
    CollectionName, CollectionStatus, DocumentKey, EmbeddingStore, Generation, Locator, StoreStatus,
};

use crate::{SyncError, SyncErrorKind};

/// How often a comparison begins again because a side was written to.
const ROUNDS: usize = 5;

/// What to compare.
#[derive(Debug, Clone, Default)]
pub struct DiffOptions {
    /// Only these collections.
    pub collections: Option<BTreeSet<CollectionName>>,
    /// How deep to look.
    pub depth: Depth,
    /// Rows to name a collection; all are counted.
    pub rows: usize,
}

/// How deep two stores are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// What readers see: the rows and vectors that are served.
    #[default]
    Served,
    /// Also every version, vectors that no row refers to, sources, canaries, the ledger.
    Everything,
    /// The same, but vectors, canaries and runs that only the second store has are no difference: it may have been in
    /// use before it was copied into.
    Contained,
}

/// Where something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// In the first store only.
    A,
    /// In the second store only.
    B,
    /// In both.
    Both,
}

/// A part of a row that can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The question.
    Question,
    /// The answer.
    Answer,
    /// Main category.
    Category,
    /// Category within the category.
    Subcategory,
    /// Further columns.
    Metadata,
    /// The source that owns it.
    Source,
    /// Where its source holds it.
    Place,
    /// Which stored vector it refers to: that of another text, or an imported one.
    Reference,
    /// The numbers of its vector.
    Vector,
}

impl Field {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Answer => "answer",
            Self::Category => "category",
            Self::Subcategory => "subcategory",
            Self::Metadata => "metadata",
            Self::Source => "source",
            Self::Place => "place",
            Self::Reference => "reference",
            Self::Vector => "vector",
        }
    }
}

/// A row that is in one store only, or differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowDifference {
    /// Which row.
    pub key: DocumentKey,
    /// Where its source holds it, by the store that has it, the first if both do.
    pub locator: Locator,
    /// Where it is.
    pub side: Side,
    /// What differs, where it is in both.
    pub fields: Vec<Field>,
}

/// Something of a whole store, collection or version that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub what: String,
    /// How it is in the first store; `None` where it is not there.
    pub a: Option<String>,
    /// How it is in the second one.
    pub b: Option<String>,
}

impl Fact {
    /// A fact, if the sides differ.
    pub(crate) fn of<T: PartialEq + fmt::Display>(
        what: impl Into<String>,
        a: Option<T>,
        b: Option<T>,
    ) -> Option<Self> {
        (a != b).then(|| Self {
            what: what.into(),
            a: a.map(|value| value.to_string()),
            b: b.map(|value| value.to_string()),
        })
    }
}

/// How a collection differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionDifference {
    /// Its name.
    pub name: CollectionName,
    /// Where it is.
    pub side: Side,
    /// Rows in each store.
    pub records: (u64, u64),
    /// Its generation in each store: counters of their own, not compared.
    pub generations: (Generation, Generation),
    /// What differs besides rows.
    pub facts: Vec<Fact>,
    /// Rows in the first store only.
    pub only_a: u64,
    /// Rows in the second store only.
    pub only_b: u64,
    /// Rows in both that differ.
    pub different: u64,
    /// Rows that are the same.
    pub same: u64,
    /// The first of those that are not, in key order.
    pub rows: Vec<RowDifference>,
}

impl CollectionDifference {
    fn of(
        name: &CollectionName,
        a: Option<&CollectionStatus>,
        b: Option<&CollectionStatus>,
    ) -> Self {
        let side = match (a, b) {
            (Some(_), None) => Side::A,
            (None, Some(_)) => Side::B,
            _ => Side::Both,
        };
        let records = |of: Option<&CollectionStatus>| of.map_or(0, |found| found.records);
        let generation =
            |of: Option<&CollectionStatus>| of.map_or(Generation(0), |found| found.generation);
        Self {
            name: name.clone(),
            side,
            records: (records(a), records(b)),
            generations: (generation(a), generation(b)),
            facts: Vec::new(),
            only_a: 0,
            only_b: 0,
            different: 0,
            same: 0,
            rows: Vec::new(),
        }
    }

    /// Rows that are not the same in both.
    #[must_use]
    pub fn rows_that_differ(&self) -> u64 {
        self.only_a + self.only_b + self.different
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.side == Side::Both && self.facts.is_empty() && self.rows_that_differ() == 0
    }
}

/// How two stores differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreDifference {
    /// Every collection that was compared, by name, equal ones included.
    pub collections: Vec<CollectionDifference>,
    /// What differs besides collections.
    pub facts: Vec<Fact>,
    /// The readers' counters: not compared.
    pub generations: (Generation, Generation),
}

impl StoreDifference {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.facts.is_empty() && self.collections.iter().all(CollectionDifference::is_equal)
    }
}

/// The two stores.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) a: &'a dyn EmbeddingStore,
    pub(crate) b: &'a dyn EmbeddingStore,
}

/// Compares two stores.
///
/// # Errors
/// When a store cannot be read or a row of it is damaged, when a collection that was named is in neither, and
/// `Conflict` when a side never stands still.
pub async fn diff(
    a: &dyn EmbeddingStore,
    b: &dyn EmbeddingStore,
    options: &DiffOptions,
) -> Result<StoreDifference, SyncError> {
    let pair = Pair { a, b };
    let (of_a, of_b) = (a.status().await?, b.status().await?);
    let names = names(&of_a, &of_b, options)?;
    let mut collections = Vec::new();
    for name in &names {
        collections.push(collection(pair, name, options).await?);
    }
    let facts = match options.depth {
        Depth::Served => Vec::new(),
        _ => versions::beyond(pair, &of_a, &of_b, &names, options).await?,
    };
    Ok(StoreDifference {
        collections,
        facts,
        generations: (of_a.generation, of_b.generation),
    })
}

fn names(
    a: &StoreStatus,
    b: &StoreStatus,
    options: &DiffOptions,
) -> Result<BTreeSet<CollectionName>, SyncError> {
    let found: BTreeSet<_> = [a, b]
        .into_iter()
        .flat_map(|status| &status.collections)
        .map(|collection| collection.name.clone())
        .collect();
    let Some(wanted) = &options.collections else {
        return Ok(found);
    };
    match wanted.difference(&found).next() {
        Some(missing) => Err(SyncError::new(
            SyncErrorKind::Selection,
            format!(
                "neither store has a collection {missing}; leave --collection out to compare all"
            ),
        )),
        None => Ok(wanted.clone()),
    }
}

async fn collection(
    pair: Pair<'_>,
    name: &CollectionName,
    options: &DiffOptions,
) -> Result<CollectionDifference, SyncError> {
    for _ in 0..ROUNDS {
        let (of_a, of_b) = (pair.a.status().await?, pair.b.status().await?);
        let (found_a, found_b) = (of_a.collection(name), of_b.collection(name));
        let mut difference = CollectionDifference::of(name, found_a, found_b);
        if let (Some(found_a), Some(found_b)) = (found_a, found_b) {
            difference.facts = versions::facts((&of_a, found_a), (&of_b, found_b), options);
            rows::compare(pair, found_a, found_b, options, &mut difference).await?;
            if options.depth != Depth::Served {
                let more = versions::bindings(pair, found_a, found_b).await?;
                difference.facts.extend(more);
                difference
                    .facts
                    .extend(versions::sources(pair, name).await?);
            }
        }
        let after = (
            generation(pair.a, name).await?,
            generation(pair.b, name).await?,
        );
        if after == difference.generations {
            return Ok(difference);
        }
    }
    Err(SyncError::new(
        SyncErrorKind::Conflict,
        format!(
            "collection {name} was written to each of the {ROUNDS} times it was compared; run the command again when \
             its writer is done"
        ),
    ))
}

pub(crate) async fn generation(
    store: &dyn EmbeddingStore,
    name: &CollectionName,
) -> Result<Generation, SyncError> {
    let status = store.status().await?;
    let found = status.collection(name);
    Ok(found.map_or(Generation(0), |found| found.generation))
}
