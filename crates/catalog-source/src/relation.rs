//! What to read: a table, or a query.

use std::fmt;

use faq_source::{SourceError, SourceErrorKind};
use storage_core::ContentHash;

/// A table or a query, as the user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    text: String,
    parts: Option<Vec<String>>,
}

/// How a query begins that may be read.
const READING: [&str; 4] = ["select", "with", "values", "table"];

impl Relation {
    /// Reads `products`, `shop.products`, `"My table"` or `SELECT …`.
    ///
    /// # Errors
    /// When it is neither: another statement, or several.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let text = text
            .trim()
            .trim_end_matches(|char: char| char == ';' || char.is_whitespace());
        if text.is_empty() {
            return Err(wrong(
                "neither a table nor a query is named; write --source-sql TABLE".to_owned(),
            ));
        }
        if text.contains('\0') {
            return Err(wrong("the query holds the character NUL".to_owned()));
        }
        if let Some(parts) = name_parts(text) {
            return Ok(Self {
                text: text.to_owned(),
                parts: Some(parts),
            });
        }
        let begins = text.trim_start_matches(|char: char| char == '(' || char.is_whitespace());
        let comment = begins.starts_with("--") || begins.starts_with("/*");
        let word: String = begins
            .chars()
            .take_while(|char| char.is_alphanumeric() || *char == '_')
            .collect();
        if !comment && !READING.contains(&word.to_lowercase().as_str()) {
            let short: String = word.chars().take(40).collect();
            return Err(wrong(format!(
                "a source is only read, and this is neither the name of a table nor a SELECT (it begins with {short:?}); \
                 write --source-sql products, or --source-sql \"SELECT id, name, description FROM products\""
            )));
        }
        Ok(Self {
            text: text.to_owned(),
            parts: None,
        })
    }

    /// The same source on every day and every machine: the table's name, or a digest of the query.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.parts {
            Some(parts) => parts.join("."),
            None => {
                // Line breaks and indentation are no other query.
                let words: Vec<&str> = self.text.split_whitespace().collect();
                let digest = ContentHash::of(words.join(" ").as_bytes()).to_hex();
                format!("query-{}", &digest[..12])
            }
        }
    }

    /// Schema and table, the schema where it is named.
    pub(crate) fn table(&self) -> Option<(Option<&str>, &str)> {
        match self.parts.as_deref()? {
            [table] => Some((None, table)),
            [.., schema, table] => Some((Some(schema), table)),
            [] => None,
        }
    }

    /// The query to read.
    pub(crate) fn query(&self) -> String {
        match &self.parts {
            Some(parts) => {
                let quoted: Vec<String> = parts
                    .iter()
                    .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
                    .collect();
                format!("SELECT * FROM {}", quoted.join("."))
            }
            None => self.text.clone(),
        }
    }
}

/// As messages name it. A query is somebody's text and may be long: its name stands for it.
impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parts {
            Some(_) => write!(f, "table {}", self.name()),
            None => f.write_str(&self.name()),
        }
    }
}

/// The parts of a name, as PostgreSQL reads them: folded to lower case unless in quotes. `None` for what is no name.
fn name_parts(text: &str) -> Option<Vec<String>> {
    /// Database, schema, table.
    const MOST: usize = 3;
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                match chars.next()? {
                    (_, '"') if chars.next_if(|(_, next)| *next == '"').is_some() => part.push('"'),
                    (at, '"') => break at + 1,
                    (_, char) => part.push(char),
                }
            };
            (part, &quoted[end..])
        } else {
            let end = rest
                .find(|char: char| !(char.is_alphanumeric() || char == '_' || char == '$'))
                .unwrap_or(rest.len());
            (rest[..end].to_lowercase(), &rest[end..])
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) if parts.len() < MOST => rest = next,
            None if after.is_empty() => return Some(parts),
            _ => return None,
        }
    }
}

fn wrong(message: String) -> SourceError {
    SourceError::new(SourceErrorKind::Unreadable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_postgres_reads_them() {
        for (text, name, query) in [
            ("products", "products", "SELECT * FROM \"products\""),
            (
                " Shop.Products; ",
                "shop.products",
                "SELECT * FROM \"shop\".\"products\"",
            ),
            (
                "\"My \"\"own\"\" table\"",
                "My \"own\" table",
                "SELECT * FROM \"My \"\"own\"\" table\"",
            ),
            ("товары", "товары", "SELECT * FROM \"товары\""),
        ] {
            let relation = Relation::parse(text).unwrap();
            assert_eq!(relation.name(), name);
            assert_eq!(relation.query(), query);
        }
    }

    #[test]
    fn a_query_has_one_name_however_it_is_broken_into_lines() {
        let one = Relation::parse("SELECT id,  name\n FROM products;").unwrap();
        let other = Relation::parse("SELECT id, name FROM products").unwrap();
        assert_eq!(one.name(), other.name());
        assert!(one.name().starts_with("query-"), "{}", one.name());
        assert_ne!(
            one.name(),
            Relation::parse("SELECT id FROM products").unwrap().name()
        );
        assert!(Relation::parse("with a as (select 1) select * from a").is_ok());
        assert!(Relation::parse("-- of today\nselect 1").is_ok());
    }

    #[test]
    fn what_is_no_select_is_refused_by_its_first_word() {
        for text in [
            "DELETE FROM products",
            "drop table products",
            "products; drop table x",
            "",
            "a.b.c.d",
        ] {
            let error = Relation::parse(text).unwrap_err().to_string();
            assert!(error.contains("--source-sql"), "{text}: {error}");
        }
    }
}
