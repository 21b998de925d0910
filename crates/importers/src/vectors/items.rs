//! The file of records: one JSON object a line.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read as _};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value as Json;
use storage_core::MetadataValue;

/// Bytes of one line: as in every source of records.
pub(super) const LONGEST_LINE: usize = 1 << 20;

/// What one line says.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) id: Option<String>,
    pub(super) text: Option<String>,
    pub(super) category: Option<String>,
    pub(super) metadata: BTreeMap<String, MetadataValue>,
    /// The key that the vector stands under, and the vector where it was asked for.
    pub(super) vector: Option<(&'static str, Vec<f32>)>,
}

/// Reads one line; what was understood before a fault is in `item`. `vectors` says whether the line's own vector counts.
pub(super) fn parse(line: &[u8], vectors: bool, item: &mut Item) -> Result<(), String> {
    let line = std::str::from_utf8(line).map_err(|_| "the line is not valid UTF-8".to_owned())?;
    if line.trim_ascii().is_empty() {
        return Err("the line is empty".to_owned());
    }
    let mut reader = serde_json::Deserializer::from_str(line);
    Line { item, vectors }
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|error| problem(&error))
}

/// The library says "at line 1" of each line, and quotes what it found there: the column is what helps.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let fact = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(fact, _)| fact);
    let fact = fact.chars().take(200).collect::<String>();
    match error.classify() {
        serde_json::error::Category::Data => fact,
        _ => format!(
            "the line is no JSON object: {fact} at column {}",
            error.column()
        ),
    }
}

struct Line<'a> {
    item: &'a mut Item,
    vectors: bool,
}

impl<'de> DeserializeSeed<'de> for Line<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Line<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let item = self.item;
        let mut nested = None;
        let mut text_key = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "id" if item.id.is_none() => item.id = Some(id(map.next_value()?)?),
                "text" | "document" | "page_content" => {
                    if let Some(first) = text_key.replace(key.clone()) {
                        return Err(twice(&first, &key));
                    }
                    item.text = optional_text(&key, map.next_value()?)?;
                }
                "category" if item.category.is_none() => {
                    item.category = optional_text(&key, map.next_value()?)?;
                }
                "metadata" if nested.is_none() => match map.next_value()? {
                    Json::Object(object) => nested = Some(object),
                    Json::Null => {}
                    _ => return Err(de::Error::custom("`metadata` is no object")),
                },
                "embedding" | "vector" | "values" => {
                    let key = match key.as_str() {
                        "embedding" => "embedding",
                        "vector" => "vector",
                        _ => "values",
                    };
                    if let Some((first, _)) = item.vector {
                        return Err(twice(first, key));
                    }
                    let vector = if self.vectors {
                        map.next_value::<Option<Vec<f32>>>()
                            .map_err(|error| in_vector(key, &error))?
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        Some(Vec::new())
                    };
                    item.vector = vector.map(|vector| (key, vector));
                }
                "id" | "category" | "metadata" => return Err(twice(&key, &key)),
                _ => {
                    let value = MetadataValue::or_json_text(map.next_value()?);
                    put::<A::Error>(item, key, value)?;
                }
            }
        }
        for (key, value) in nested.unwrap_or_default() {
            put::<A::Error>(item, key, MetadataValue::or_json_text(value))?;
        }
        Ok(())
    }
}

fn twice<E: de::Error>(first: &str, second: &str) -> E {
    if first == second {
        E::custom(format_args!("`{first}` stands twice in the line"))
    } else {
        E::custom(format_args!("`{first}` and `{second}` stand in one line"))
    }
}

/// What is wrong with a number is shown; the rest of the message is about columns of a line too long to look at.
fn in_vector<E: de::Error>(key: &str, error: &E) -> E {
    let text = error.to_string();
    let fact = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(fact, _)| fact);
    E::custom(format_args!("`{key}` is no list of numbers: {fact}"))
}

fn id<E: de::Error>(json: Json) -> Result<String, E> {
    match json {
        Json::String(id) => Ok(id),
        Json::Number(number) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
        _ => Err(E::custom("`id` is neither a text nor a whole number")),
    }
}

fn optional_text<E: de::Error>(key: &str, json: Json) -> Result<Option<String>, E> {
    match json {
        Json::String(text) => Ok(Some(text)),
        Json::Null => Ok(None),
        _ => Err(E::custom(format_args!("`{key}` is no text"))),
    }
}

/// A key beside `metadata` is metadata too; one that stands in both must say the same.
fn put<E: de::Error>(item: &mut Item, key: String, value: Option<MetadataValue>) -> Result<(), E> {
    let Some(value) = value else {
        return Ok(());
    };
    match item.metadata.get(&key) {
        Some(known) if *known != value => Err(E::custom(format_args!(
            "the key {key:?} stands twice in the line, with two values"
        ))),
        _ => {
            item.metadata.insert(key, value);
            Ok(())
        }
    }
}

/// What came of reading a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// It is in the buffer, without its end.
    Line,
    /// It was longer than any record, and is skipped.
    TooLong,
    /// There is none.
    End,
}

/// Reads the next line, whatever it holds.
pub(super) fn line(reader: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<Read> {
    buffer.clear();
    // Two more for the end of the line.
    let most = LONGEST_LINE as u64 + 2;
    if reader.by_ref().take(most).read_until(b'\n', buffer)? == 0 {
        return Ok(Read::End);
    }
    if buffer.last() == Some(&b'\n') {
        buffer.pop();
    } else if buffer.len() as u64 == most {
        buffer.clear();
        reader.skip_until(b'\n')?;
        return Ok(Read::TooLong);
    }
    if buffer.last() == Some(&b'\r') {
        buffer.pop();
    }
    if buffer.len() > LONGEST_LINE {
        return Ok(Read::TooLong);
    }
    Ok(Read::Line)
}

/// How many lines there are up to the last one that is not blank.
pub(super) fn count(reader: &mut impl BufRead) -> io::Result<u64> {
    let (mut ended, mut lines) = (0, 0);
    loop {
        let block = reader.fill_buf()?;
        if block.is_empty() {
            return Ok(lines);
        }
        let ends = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        if let Some(last) = block.iter().rposition(|byte| !byte.is_ascii_whitespace()) {
            lines = ended + ends(&block[..last]) + 1;
        }
        ended += ends(block);
        let length = block.len();
        reader.consume(length);
    }
}

#[cfg(test)]
mod tests;
