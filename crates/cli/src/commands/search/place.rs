//! Where a search runs: in memory, in the database, or in both.

use std::collections::BTreeSet;
use std::time::Duration;

use retriever::{Hit, SearchOptions, search_inside, search_store};
use storage_core::{
    CollectionName, Embedding, EmbeddingStore, FoundBy, NearestNeighbours, StoreError,
    StoreErrorKind, VersionId,
};

use crate::env;
use crate::exit::{Failure, usage};
use crate::settings::{Layers, Origin, Settings, number};

/// Where to search, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    kind: Kind,
    /// Whether somebody said where.
    chosen: bool,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Memory,
    Database,
    /// Both: what memory finds is shown, where the database differs is counted.
    Hybrid,
}

/// What a search found, wherever it ran.
pub(super) struct Found {
    pub(super) hits: Vec<Hit>,
    pub(super) mode: &'static str,
    /// The index that was followed.
    pub(super) index: Option<String>,
    /// Entries that only one of both places found.
    pub(super) disagreements: Option<usize>,
    scanned: usize,
}

impl Place {
    pub(super) fn memory() -> Self {
        Self {
            kind: Kind::Memory,
            chosen: false,
            origin: Origin::Default,
        }
    }

    /// Reads the settings; the names of other programs' strategies are known.
    pub(super) fn of(settings: &Settings) -> Result<Self, Failure> {
        let layers = &settings.layers;
        let origin = layers
            .get(env::SEARCH_IN)
            .map_or(Origin::Default, |value| value.origin.clone());
        let asked = layers.parse(
            env::SEARCH_IN,
            "memory, database or hybrid (or pgvector_primary, chroma_primary)",
            |text| match text.trim().to_ascii_lowercase().as_str() {
                "memory" | "chroma_primary" => Some(Kind::Memory),
                "database" | "pgvector_primary" => Some(Kind::Database),
                "hybrid" => Some(Kind::Hybrid),
                _ => None,
            },
        )?;
        let allowed = layers.parse(env::USE_PGVECTOR, "true or false", |text| {
            match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" => Some(false),
                _ => None,
            }
        })?;
        let kind = match asked {
            // A flag is typed for this search; the variable was left behind by somebody.
            Some(kind) if allowed != Some(false) || origin == Origin::Flag => kind,
            _ => Kind::Memory,
        };
        Ok(Self {
            kind,
            chosen: asked.is_some() || allowed == Some(false),
            origin,
        })
    }

    /// The lowest score that counts there by the settings, and who says so. What other programs set for the imported
    /// store is meant where the search is in memory because somebody chose that.
    pub(super) fn threshold(&self, layers: &Layers) -> Result<Option<(f32, Origin)>, Failure> {
        let read = |key| {
            let score = layers.parse(key, "a number from -1 to 1", |text| {
                number(text, -1.0..=1.0)
            });
            score.map(|score| Some((score?, layers.get(key)?.origin.clone())))
        };
        let (general, imported) = (read(env::THRESHOLD)?, read(env::CHROMA_THRESHOLD)?);
        let typed = general
            .as_ref()
            .is_some_and(|(_, origin)| *origin == Origin::Flag);
        Ok(match self.kind {
            _ if typed => general,
            Kind::Memory if self.chosen => imported.or(general),
            Kind::Memory => general.or(imported),
            Kind::Database | Kind::Hybrid => general,
        })
    }

    /// Refuses a store that cannot search there.
    pub(super) fn check(&self, store: &dyn EmbeddingStore, described: &str) -> Result<(), Failure> {
        if self.kind == Kind::Memory || store.nearest().is_some() {
            return Ok(());
        }
        let remedy = match &self.origin {
            Origin::Flag => "leave --search-in out".to_owned(),
            origin => format!("pass --search-in memory, or change what {origin} says"),
        };
        Err(usage(format!(
            "this store cannot search in the database, only PostgreSQL can; {remedy}: every entry is compared in memory \
             ({described})"
        )))
    }

    /// Searches. Scores are the same in both places.
    pub(super) async fn search(
        &self,
        store: &dyn EmbeddingStore,
        collection: &CollectionName,
        version: Option<&VersionId>,
        query: &Embedding,
        options: &SearchOptions,
        exact: bool,
    ) -> Result<Found, StoreError> {
        let inside = async || {
            let database = database(store)?;
            search_inside(database, collection, version, query, options, exact).await
        };
        if self.kind == Kind::Database {
            let found = inside().await?;
            return Ok(Found {
                hits: found.searched.hits,
                mode: "database",
                index: index(found.found_by),
                disagreements: None,
                scanned: found.searched.scanned,
            });
        }
        let found = search_store(store, collection, version, query, options).await?;
        let mut found = Found {
            hits: found.hits,
            mode: "exact",
            index: None,
            disagreements: None,
            scanned: found.scanned,
        };
        if self.kind == Kind::Hybrid {
            let other = inside().await?;
            let differing = disagreements(&found.hits, &other.searched.hits);
            if differing > 0 {
                tracing::warn!(
                    "memory and database disagree on {differing} entries ({} there); smart-support index tune makes the \
                     database find more",
                    other.found_by
                );
            }
            found.mode = "hybrid";
            found.index = index(other.found_by);
            found.disagreements = Some(differing);
        }
        Ok(found)
    }
}

impl Found {
    /// Says what was done, in the words that people search their logs for.
    pub(super) fn log(&self, collection: &CollectionName, threshold: Option<f32>, took: Duration) {
        if self.mode != "database" {
            tracing::info!(
                "Loaded {} embeddings in {:.2}s",
                self.scanned,
                took.as_secs_f64()
            );
        }
        let place = match self.mode {
            "exact" => "memory",
            _ => "pgvector",
        };
        let (count, noun) = (self.hits.len(), noun(collection.as_str()));
        match threshold {
            Some(threshold) => {
                tracing::info!("{place} search found {count} {noun} (similarity >= {threshold})");
            }
            None => tracing::info!("{place} search found {count} {noun}"),
        }
    }
}

/// What the things in a collection are called: by its name, where that is a plural such as `products`.
fn noun(collection: &str) -> &str {
    let is_word = collection.chars().all(char::is_alphabetic);
    let is_plural =
        collection.len() > 3 && collection.ends_with('s') && !collection.ends_with("ss");
    if is_word && is_plural {
        collection
    } else {
        "entries"
    }
}

fn database(store: &dyn EmbeddingStore) -> Result<&dyn NearestNeighbours, StoreError> {
    store.nearest().ok_or_else(|| {
        StoreError::new(
            StoreErrorKind::Unsupported,
            "search",
            "this store cannot search in the database; search in memory with --search-in memory",
        )
    })
}

fn index(found_by: FoundBy) -> Option<String> {
    match found_by {
        FoundBy::Index(name) => Some(name),
        FoundBy::Comparison => None,
    }
}

/// Entries that only one of two answers names.
fn disagreements(left: &[Hit], right: &[Hit]) -> usize {
    let ids = |hits: &[Hit]| -> BTreeSet<String> {
        let ids = hits.iter().map(|hit| hit.document.key.document.clone());
        ids.collect()
    };
    ids(left).symmetric_difference(&ids(right)).count()
}
