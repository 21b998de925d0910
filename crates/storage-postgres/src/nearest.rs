//! Search in the database.
//!
//! This is one of the two places where SQL is put together: the space, the version and the length of its vectors are
//! written into the statement, for a partial index is used for constants only. All three are integers of our own.
//! Whether the server follows the index is its planner's choice, and right: a filter that leaves few rows is cheaper
//! compared row by row. It is asked first, so that we know whether what comes is exact.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use async_trait::async_trait;
use storage_core::{
    Document, DocumentKey, Effort, EmbeddingRecord, Filter, FoundBy, Generation, Locator,
    MetadataValue, Nearest, NearestQuery, SourceId, StoreErrorKind,
};
use tokio_postgres::types::{ToSql, Type};

use crate::error::{Failure, Outcome};
use crate::index::{self, StoredIndex};
use crate::ops::scan;
use crate::ops::versions::unknown_version;
use crate::rows::{self, Collection, DOCUMENT_COLUMNS, Names, StoredVersion, get};
use crate::sql;
use crate::tx::{Param, Tx, Work};

/// Rows beyond those asked for: documents of several rows take more than one, and the server's arithmetic differs from
/// ours in the last digits.
const MARGIN: i64 = 16;
/// Candidates the index keeps at least; pgvector's own default, and its limit.
const CANDIDATES: std::ops::RangeInclusive<u32> = 40..=1000;
/// Rows a filtered search visits until it was tuned: pgvector's own default.
const VISITS: u32 = 20_000;

/// The nearest rows, all from one moment.
pub(crate) struct FindNearest<'a>(pub(crate) &'a NearestQuery);

#[async_trait]
impl Work for FindNearest<'_> {
    type Output = Nearest;
    const NAME: &'static str = "search";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Nearest> {
        let query = self.0;
        let collection = rows::collection(tx, &query.collection).await?;
        if let Some(id) = &query.version
            && collection
                .as_ref()
                .is_none_or(|found| found.version(id).is_none())
        {
            return Err(unknown_version("search", id));
        }
        let mut nothing = Nearest {
            rows: Vec::new(),
            generation: Generation(0),
            found_by: FoundBy::Comparison,
        };
        let Some(collection) = collection else {
            return Ok(nothing);
        };
        nothing.generation = collection.generation;
        let version = match &query.version {
            Some(id) => collection.version(id),
            None => collection.active_version(),
        };
        let Some(version) = version.filter(|version| version.version.records > 0) else {
            return Ok(nothing);
        };
        let asked = query.vector.dimensions();
        if asked != version.dimensions {
            return Err(Failure::new(
                StoreErrorKind::Model,
                "search",
                format!(
                    "embedding dimension mismatch: the store has {}, the question {asked}; ask with the model the \
                     store was embedded with (`smart-support status` names it)",
                    version.dimensions
                ),
            ));
        }
        let names = Names::read(tx, &query.collection, collection.id).await?;
        let Some(conditions) = Conditions::of(tx, &collection, &query.filter).await? else {
            return Ok(nothing);
        };
        let search = Search {
            tx,
            query,
            version,
            names: &names,
            conditions: &conditions,
        };
        let (rows, found_by) = search.run().await?;
        Ok(Nearest {
            rows,
            generation: collection.generation,
            found_by,
        })
    }
}

struct Search<'a> {
    tx: &'a Tx<'a>,
    query: &'a NearestQuery,
    version: &'a StoredVersion,
    names: &'a Names,
    conditions: &'a Conditions,
}

impl Search<'_> {
    async fn run(&self) -> Outcome<(Vec<EmbeddingRecord>, FoundBy)> {
        if !self.query.exact
            && let Some(index) = index::usable(self.tx, self.version.space).await?
            && self.prepare(&index).await?
        {
            let statement = self.statement(&index::expression(self.version.dimensions));
            if self.follows(&statement, &index.name).await? {
                let found = self.find(&statement).await?;
                if documents(&found) >= self.query.top_k || self.is_everything(&found) {
                    return Ok((found, FoundBy::Index(index.name)));
                }
                tracing::debug!(
                    "index {} found {} of {} documents; comparing every row",
                    index.name,
                    documents(&found),
                    self.query.top_k
                );
            }
        }
        // Not the index's expression, so no index can be followed. Ties are broken as the caller breaks them.
        let statement = self.statement("v.embedding <=> $1::real[]::vector, r.document, r.chunk");
        Ok((self.find(&statement).await?, FoundBy::Comparison))
    }

    /// Whether these are all rows there are, so that nothing was left out.
    fn is_everything(&self, found: &[EmbeddingRecord]) -> bool {
        self.conditions.sql.is_empty() && found.len() as u64 >= self.version.version.records
    }

    /// Sets how the index is searched, and says whether that took: an extension that filters what its index has found
    /// would return too few rows.
    async fn prepare(&self, index: &StoredIndex) -> Outcome<bool> {
        let numbers = self.query.vector.as_slice();
        let row = self
            .tx
            .one(sql::NEAREST_SETTINGS, &[(&numbers, Type::FLOAT4_ARRAY)])
            .await?;
        if get::<Option<&str>>(&row, 1)?.is_none() {
            return Ok(false);
        }
        let effort = self.query.effort.or(index.effort).unwrap_or_else(|| {
            let wanted = u32::try_from(self.query.top_k).unwrap_or(u32::MAX);
            Effort {
                candidates: wanted.clamp(*CANDIDATES.start(), *CANDIDATES.end()),
                visits: VISITS,
            }
        });
        let row = self
            .tx
            .one(
                sql::NEAREST_EFFORT,
                &[
                    (&effort.candidates.to_string(), Type::TEXT),
                    (&effort.visits.to_string(), Type::TEXT),
                ],
            )
            .await?;
        Ok(get::<&str>(&row, 0)? == "strict_order")
    }

    fn statement(&self, distance: &str) -> String {
        sql::NEAREST
            .replace("{version}", &self.version.number.to_string())
            .replace("{space}", &self.version.space.to_string())
            .replace("{conditions}", &self.conditions.sql)
            .replace("{distance}", distance)
    }

    fn params<'p>(&'p self, numbers: &'p &'p [f32], limit: &'p i64) -> Vec<Param<'p>> {
        let mut params: Vec<Param<'p>> =
            vec![(numbers, Type::FLOAT4_ARRAY), (limit, Type::INT8)];
        params.extend(
            self.conditions
                .values
                .iter()
                .map(|value| (value.as_sql(), value.sql_type())),
        );
        params
    }

    /// Whether the planner follows the index for this very question.
    async fn follows(&self, statement: &str, index: &str) -> Outcome<bool> {
        let (numbers, limit) = (self.query.vector.as_slice(), self.first_limit());
        let rows = self
            .tx
            .rows(
                &format!("EXPLAIN {statement}"),
                &self.params(&numbers, &limit),
            )
            .await?;
        index::is_followed(&rows, index)
    }

    fn first_limit(&self) -> i64 {
        i64::try_from(self.query.top_k)
            .unwrap_or(i64::MAX)
            .saturating_add(MARGIN)
    }

    /// Asks for more rows until there are enough documents among them, or no more rows.
    async fn find(&self, statement: &str) -> Outcome<Vec<EmbeddingRecord>> {
        let numbers = self.query.vector.as_slice();
        let mut limit = self.first_limit();
        loop {
            let rows = self
                .tx
                .rows(statement, &self.params(&numbers, &limit))
                .await?;
            let mut found = Vec::with_capacity(rows.len());
            for row in &rows {
                let document = self.names.document(row)?;
                if self.query.filter.matches(&document) {
                    let sent = get(row, DOCUMENT_COLUMNS)?;
                    let embedding = scan::embedding(row, sent, self.version.dimensions)
                        .map_err(|fault| damaged(&fault, &document.key))?;
                    found.push(EmbeddingRecord {
                        document,
                        embedding,
                    });
                }
            }
            let all = i64::try_from(rows.len()).unwrap_or(i64::MAX) < limit;
            if all || documents(&found) >= self.query.top_k {
                return Ok(found);
            }
            limit = limit.saturating_mul(4);
        }
    }
}

fn damaged(fault: &str, key: &DocumentKey) -> Failure {
    Failure::corrupt(
        "search",
        format!(
            "{fault}; run `smart-support repair`, then `smart-support sync`: {:?} chunk {}",
            key.document, key.chunk
        ),
    )
}

fn documents(rows: &[EmbeddingRecord]) -> usize {
    let ids: BTreeSet<&str> = rows
        .iter()
        .map(|row| row.document.key.document.as_str())
        .collect();
    ids.len()
}

/// A value of a condition.
enum Value {
    Text(String),
    Texts(Vec<String>),
}

impl Value {
    fn as_sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Text(text) => text,
            Self::Texts(texts) => texts,
        }
    }

    fn sql_type(&self) -> Type {
        match self {
            Self::Text(_) => Type::TEXT,
            Self::Texts(_) => Type::TEXT_ARRAY,
        }
    }
}

/// A filter as conditions that hold for every row it takes. What a value equals is decided by [`Filter::matches`]
/// itself, asked about each distinct value: databases fold letters and compare numbers in their own ways.
#[derive(Default)]
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// `None` where no row can pass.
    async fn of(tx: &Tx<'_>, collection: &Collection, filter: &Filter) -> Outcome<Option<Self>> {
        let mut conditions = Self::default();
        let mut categories = None;
        // No text of a database holds a NUL, and no parameter can.
        let texts = [&filter.document, &filter.contains];
        if texts.into_iter().flatten().any(|text| text.contains('\0')) {
            return Ok(None);
        }
        if let Some(document) = &filter.document {
            let number = conditions.add(Value::Text(document.clone()));
            let _ = write!(conditions.sql, " AND r.document = ${number} COLLATE \"C\"");
        }
        if filter.category.is_some() {
            let only = Filter {
                category: filter.category.clone(),
                ..Filter::default()
            };
            let names: Vec<String> = tx
                .rows(sql::CATEGORY_COUNTS, &[(&collection.id, Type::INT8)])
                .await?
                .iter()
                .map(|row| get::<Option<String>>(row, 0))
                .filter_map(Outcome::transpose)
                .collect::<Outcome<_>>()?;
            let passing: Vec<String> = names
                .into_iter()
                .filter(|name| only.matches(&example(Some(name.clone()), BTreeMap::new())))
                .collect();
            if passing.is_empty() {
                return Ok(None);
            }
            let number = conditions.add(Value::Texts(passing.clone()));
            let _ = write!(conditions.sql, " AND r.category = ANY (${number})");
            categories = Some(passing);
        }
        for predicate in &filter.metadata {
            let only = Filter {
                metadata: vec![predicate.clone()],
                ..Filter::default()
            };
            if predicate.key.contains('\0') {
                if only.matches(&example(None, BTreeMap::new())) {
                    continue;
                }
                return Ok(None);
            }
            let rows = tx
                .rows(
                    sql::NEAREST_VALUES,
                    &[
                        (&collection.id, Type::INT8),
                        (&predicate.key, Type::TEXT),
                        (&filter.document, Type::TEXT),
                        (&categories, Type::TEXT_ARRAY),
                    ],
                )
                .await?;
            let (mut passing, mut failing, mut absent) = (Vec::new(), 0, false);
            for row in &rows {
                let text: Option<String> = get(row, 0)?;
                let metadata = match &text {
                    Some(text) => BTreeMap::from([(predicate.key.clone(), value(text)?)]),
                    None => BTreeMap::new(),
                };
                match (only.matches(&example(None, metadata)), text) {
                    (true, Some(text)) => passing.push(text),
                    (true, None) => absent = true,
                    (false, _) => failing += 1,
                }
            }
            if passing.is_empty() && !absent {
                return Ok(None);
            }
            if failing > 0 {
                conditions.add_metadata(&predicate.key, passing, absent);
            }
        }
        if let Some(text) = &filter.contains {
            let number = conditions.add(Value::Text(pattern(text)));
            let _ = write!(
                conditions.sql,
                " AND (r.title ~ ${number} COLLATE \"C\" OR r.body ~ ${number} COLLATE \"C\")"
            );
        }
        Ok(Some(conditions))
    }

    /// The number of a new parameter: two come before all conditions.
    fn add(&mut self, value: Value) -> usize {
        self.values.push(value);
        self.values.len() + 2
    }

    fn add_metadata(&mut self, key: &str, passing: Vec<String>, absent: bool) {
        // A row's own key comes before the column of the same name, as in `Filter::matches`.
        let number = self.add(Value::Text(key.to_owned()));
        let own = match key {
            "category" | "subcategory" => {
                format!("coalesce((r.metadata -> ${number})::text, to_json(r.{key})::text)")
            }
            _ => format!("(r.metadata -> ${number})::text"),
        };
        let values = self.add(Value::Texts(passing));
        let _ = write!(self.sql, " AND ({own} COLLATE \"C\" = ANY (${values})");
        if absent {
            let _ = write!(self.sql, " OR {own} IS NULL");
        }
        self.sql.push(')');
    }
}

/// A row that has nothing but what a condition looks at.
fn example(category: Option<String>, metadata: BTreeMap<String, MetadataValue>) -> Document {
    Document {
        key: DocumentKey {
            collection: EXAMPLE.0.clone(),
            document: String::new(),
            chunk: 0,
        },
        source: EXAMPLE.1.clone(),
        title: String::new(),
        body: String::new(),
        category,
        subcategory: None,
        metadata,
        locator: Locator::default(),
    }
}

static EXAMPLE: std::sync::LazyLock<(storage_core::CollectionName, SourceId)> =
    std::sync::LazyLock::new(|| {
        (
            storage_core::CollectionName::new("example").expect("a valid name"),
            SourceId::new("example").expect("a valid name"),
        )
    });

/// A stored metadata value.
fn value(json: &str) -> Outcome<MetadataValue> {
    let object = storage_core::metadata_from_json(&format!("{{\"value\":{json}}}"))?;
    object
        .into_values()
        .next()
        .ok_or_else(|| Failure::corrupt("search", "a metadata value is missing"))
}

/// A regular expression that every text matches that contains this one without regard to case, and few others do: the
/// rows it finds are asked again. It knows letters by their code points, so no locale changes what it means.
fn pattern(wanted: &str) -> String {
    let mut pattern = String::new();
    for wanted in wanted.to_lowercase().chars() {
        match wanted {
            // İ becomes two characters, and Σ one that depends on its neighbours.
            'i' | '\u{307}' => pattern.push_str(".*"),
            'σ' | 'ς' => pattern.push_str("[σςΣ]"),
            _ => {
                pattern.push('[');
                let _ = write!(pattern, "\\U{:08x}", u32::from(wanted));
                for other in UPPER.get(&wanted).into_iter().flatten() {
                    let _ = write!(pattern, "\\U{:08x}", u32::from(*other));
                }
                pattern.push(']');
            }
        }
    }
    pattern
}

/// Which characters become this one in lower case. Not the other way round: the Kelvin sign becomes a k.
static UPPER: std::sync::LazyLock<BTreeMap<char, Vec<char>>> = std::sync::LazyLock::new(|| {
    let mut upper: BTreeMap<char, Vec<char>> = BTreeMap::new();
    for char in '\0'..=char::MAX {
        let mut lower = char.to_lowercase();
        if let (Some(first), None) = (lower.next(), lower.next())
            && first != char
        {
            upper.entry(first).or_default().push(char);
        }
    }
    upper
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_letter_becomes_several_in_lower_case() {
        let several: Vec<char> = ('\0'..=char::MAX)
            .filter(|char| char.to_lowercase().count() > 1)
            .collect();
        assert_eq!(several, ['İ'], "pattern() must know every such letter");
    }
}
