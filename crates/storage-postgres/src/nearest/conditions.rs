//! A filter as conditions of SQL.

use std::collections::BTreeMap;
use std::fmt::Write;

use storage_core::{Document, DocumentKey, Filter, Locator, MetadataValue, NearestQuery, SourceId};
use tokio_postgres::types::{ToSql, Type};

use crate::error::{Failure, Outcome};
use crate::rows::{Collection, count, get};
use crate::sql;
use crate::tx::Tx;

/// A value of a condition.
pub(super) enum Value {
    Text(String),
    Texts(Vec<String>),
}

impl Value {
    pub(super) fn as_sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Text(text) => text,
            Self::Texts(texts) => texts,
        }
    }

    pub(super) fn sql_type(&self) -> Type {
        match self {
            Self::Text(_) => Type::TEXT,
            Self::Texts(_) => Type::TEXT_ARRAY,
        }
    }
}

/// A filter as conditions that hold for every row it takes. What a value equals is decided by [`Filter::matches`]
/// itself, asked about each distinct value: databases fold letters and compare numbers in their own ways.
#[derive(Default)]
pub(super) struct Conditions {
    /// `AND …`, or nothing.
    pub(super) sql: String,
    /// Their parameters, from the third on.
    pub(super) values: Vec<Value>,
    /// Rows that can pass at most, where that is known: the planner does not know it of metadata.
    pub(super) passing: Option<u64>,
}

impl Conditions {
    /// `None` where no row can pass.
    pub(super) async fn of(
        tx: &Tx<'_>,
        collection: &Collection,
        query: &NearestQuery,
    ) -> Outcome<Option<Self>> {
        let filter = &query.filter;
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
            let (mut passing, mut rows) = (Vec::new(), 0);
            for row in tx
                .rows(sql::CATEGORY_COUNTS, &[(&collection.id, Type::INT8)])
                .await?
            {
                let Some(name) = get::<Option<String>>(&row, 0)? else {
                    continue;
                };
                if only.matches(&example(Some(name.clone()), BTreeMap::new())) {
                    passing.push(name);
                    rows += count(&row, 1)?;
                }
            }
            conditions.pass(rows);
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
            let mut passing_rows = 0;
            for row in &rows {
                let text: Option<String> = get(row, 0)?;
                let metadata = match &text {
                    Some(text) => BTreeMap::from([(predicate.key.clone(), value(text)?)]),
                    None => BTreeMap::new(),
                };
                if !only.matches(&example(None, metadata)) {
                    failing += 1;
                    continue;
                }
                passing_rows += count(row, 1)?;
                match text {
                    Some(text) => passing.push(text),
                    None => absent = true,
                }
            }
            conditions.pass(passing_rows);
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
        if let Some(one_in) = query.one_in {
            let _ = write!(conditions.sql, " AND r.record_id % {} = 0", one_in.max(1));
        }
        Ok(Some(conditions))
    }

    /// Notes that no more rows than these can pass.
    fn pass(&mut self, rows: u64) {
        self.passing = Some(self.passing.map_or(rows, |other| other.min(rows)));
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
    use super::pattern;

    #[test]
    fn letters_are_asked_for_in_either_case_and_signs_as_they_are() {
        assert_eq!(
            pattern("K."),
            r"[\U0000006b\U0000004b\U0000212a][\U0000002e]",
            "the Kelvin sign is a k too"
        );
        assert_eq!(pattern("İ"), ".*.*");
    }

    #[test]
    fn only_one_letter_becomes_several_in_lower_case() {
        let several: Vec<char> = ('\0'..=char::MAX)
            .filter(|char| char.to_lowercase().count() > 1)
            .collect();
        assert_eq!(several, ['İ'], "pattern() must know every such letter");
    }
}
