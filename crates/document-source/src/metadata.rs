//! The `metadata.json` that a FAISS index is kept with: which vector is of which chunk of which document.
//!
//! Three forms are read: a list of rows; an object with the rows under `chunks` and what they have in common beside
//! it; an object of rows under their places in the index. Rows are checked one by one while the file is read: a faulty
//! one is named and left out, the others stand.

mod meter;
mod row;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::io::Read;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use storage_core::MetadataValue;

use meter::{Meter, Metered};

/// What a `metadata.json` says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metadata {
    /// The rows, in the order of the file. No two of them are of one chunk.
    pub rows: Vec<Row>,
    /// Rows that are left out, and why.
    pub faults: Vec<RowFault>,
    /// Numbers per vector, where the file says it.
    pub dimension: Option<u64>,
    /// The distance's name, where the file says it.
    pub metric: Option<String>,
}

impl Metadata {
    /// The embedding models that the rows name.
    #[must_use]
    pub fn models(&self) -> BTreeSet<&str> {
        self.rows
            .iter()
            .filter_map(|row| row.embedding_model.as_deref())
            .collect()
    }
}

/// One chunk of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Where it stands in the file, from 1.
    pub row: u64,
    /// Its document; a number is its digits.
    pub document_id: String,
    /// Which chunk of it, from 0.
    pub chunk_index: u32,
    /// What was embedded.
    pub text: String,
    /// Its vector: the position in a plain index, the id in one with ids.
    pub faiss_index: i64,
    /// What embedded it, where the file says it.
    pub embedding_model: Option<String>,
    /// Whatever else stands in the row, `chunk_length` and `created_at` among it.
    pub metadata: BTreeMap<String, MetadataValue>,
}

impl Row {
    /// `<document_id>:<chunk_index>`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}:{}", self.document_id, self.chunk_index)
    }

    /// When it was written, as the file puts it.
    #[must_use]
    pub fn created_at(&self) -> Option<&str> {
        match self.metadata.get("created_at")? {
            MetadataValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// Its length by the file's own account.
    #[must_use]
    pub fn chunk_length(&self) -> Option<u64> {
        match self.metadata.get("chunk_length")? {
            MetadataValue::I64(length) => u64::try_from(*length).ok(),
            _ => None,
        }
    }
}

/// A row that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// Where it stands in the file, from 1.
    pub row: u64,
    /// `<document_id>:<chunk_index>`, where they are known.
    pub id: Option<String>,
    /// Its vector, where it names one.
    pub faiss_index: Option<i64>,
    /// Why.
    pub reason: String,
}

/// What a file may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows.
    pub rows: u64,
    /// Bytes of one row.
    pub row_bytes: u64,
    /// Bytes that all rows may hold in memory. An estimate that rather counts too much.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows: 1_048_576,
            row_bytes: 1 << 20,
            memory_bytes: 160 << 20,
        }
    }
}

/// What the caller can do about a file that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetadataErrorKind {
    /// It is no JSON, or ends too early: take a copy that is whole.
    Damaged,
    /// It is JSON of another form: the message names the three that are read.
    Form,
    /// It is larger than the limits allow.
    TooLarge,
    /// It cannot be read from its place.
    Io,
}

/// A file that cannot be read.
#[derive(Debug)]
pub struct MetadataError {
    kind: MetadataErrorKind,
    message: String,
    source: Option<std::io::Error>,
}

impl MetadataError {
    fn new(kind: MetadataErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> MetadataErrorKind {
        self.kind
    }
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for MetadataError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

/// Reads a file to its end, holding nothing but its rows.
///
/// # Errors
/// [`MetadataErrorKind`] says what to do. Rows that are wrong by themselves are no error: they are in
/// [`Metadata::faults`].
pub fn parse(input: impl Read, limits: Limits) -> Result<Metadata, MetadataError> {
    let meter = Meter::new(limits.row_bytes);
    let mut reader = serde_json::Deserializer::from_reader(Metered::new(input, &meter));
    let mut file = File {
        limits,
        meter: &meter,
        metadata: Metadata::default(),
        model: None,
        held: 0,
        begun: 0,
        stop: None,
    };
    let read = file.deserialize(&mut reader).and_then(|()| reader.end());
    if let Err(error) = read {
        let row = file.begun;
        return Err(match file.stop.take() {
            Some(stop) => stop,
            None => failed(error, &meter, row, limits),
        });
    }
    Ok(file.finish())
}

fn failed(error: serde_json::Error, meter: &Meter, row: u64, limits: Limits) -> MetadataError {
    if meter.exceeded() {
        let what = if row == 0 {
            "what stands before the first row".to_owned()
        } else {
            format!("row {row}, or what follows it,")
        };
        return MetadataError::new(
            MetadataErrorKind::TooLarge,
            format!("{what} is longer than {} KiB", limits.row_bytes >> 10),
        );
    }
    let (line, column) = (error.line(), error.column());
    if error.is_io() {
        let mut failed = MetadataError::new(
            MetadataErrorKind::Io,
            format!("reading failed after line {line}"),
        );
        failed.source = Some(error.into());
        return failed;
    }
    let text = error.to_string();
    let fact = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(fact, _)| fact);
    let fact = fact.chars().take(200).collect::<String>();
    if error.is_data() {
        return MetadataError::new(MetadataErrorKind::Form, format!("{fact} (line {line})"));
    }
    MetadataError::new(
        MetadataErrorKind::Damaged,
        format!("no whole JSON after row {row}: {fact} (line {line}, column {column})"),
    )
}

const FORMS: &str = "a list of rows, an object with rows under `chunks`, or an object of rows under their places in the index";

struct File<'a> {
    limits: Limits,
    meter: &'a Meter,
    metadata: Metadata,
    /// The model of rows that name none.
    model: Option<String>,
    /// Bytes that the rows hold.
    held: u64,
    /// Rows begun.
    begun: u64,
    stop: Option<MetadataError>,
}

impl File<'_> {
    /// Takes a row; `place` is the key it stands under.
    fn row<E: de::Error>(&mut self, json: Json, place: Option<&str>) -> Result<(), E> {
        let parsed = row::parse(json, self.begun, place);
        self.held += match &parsed {
            Ok(row) => row::held(row),
            Err(fault) => 256 + fault.reason.len() as u64,
        };
        match parsed {
            Ok(row) => self.metadata.rows.push(row),
            Err(fault) => self.metadata.faults.push(fault),
        }
        if self.held > self.limits.memory_bytes {
            return self.too_large(format!(
                "the rows take more than {} MiB",
                self.limits.memory_bytes >> 20
            ));
        }
        Ok(())
    }

    /// A row begins after what was read so far.
    fn begin<E: de::Error>(&mut self) -> Result<(), E> {
        self.begun += 1;
        self.meter.begin();
        if self.begun > self.limits.rows {
            return self.too_large(format!("more than {} rows", self.limits.rows));
        }
        Ok(())
    }

    fn too_large<E: de::Error>(&mut self, message: String) -> Result<(), E> {
        self.stop = Some(MetadataError::new(MetadataErrorKind::TooLarge, message));
        Err(E::custom("too large"))
    }

    /// What concerns more than one row: the model they share, and two rows of one chunk.
    fn finish(self) -> Metadata {
        let mut metadata = self.metadata;
        if let Some(model) = self.model {
            for row in &mut metadata.rows {
                row.embedding_model.get_or_insert_with(|| model.clone());
            }
        }
        let mut order = (0..metadata.rows.len()).collect::<Vec<_>>();
        let key = |place: usize| {
            let row: &Row = &metadata.rows[place];
            (row.document_id.as_str(), row.chunk_index)
        };
        order.sort_by(|left, right| key(*left).cmp(&key(*right)).then(left.cmp(right)));
        // Which of them is meant nobody knows: all of them are left out.
        let mut refused = BTreeMap::new();
        for same in order.chunk_by(|left, right| key(*left) == key(*right)) {
            for place in same.iter().filter(|_| same.len() > 1) {
                let other = same.iter().find(|other| *other != place);
                let other = other.map_or(0, |other| metadata.rows[*other].row);
                refused.insert(*place, other);
            }
        }
        let mut place = 0;
        let faults = &mut metadata.faults;
        metadata.rows.retain(|row| {
            let refused = refused.get(&place);
            place += 1;
            if let Some(other) = refused {
                faults.push(RowFault {
                    row: row.row,
                    id: Some(row.id()),
                    faiss_index: Some(row.faiss_index),
                    reason: format!("row {other} is of the same chunk of the same document"),
                });
            }
            refused.is_none()
        });
        metadata.faults.sort_by_key(|fault| fault.row);
        metadata
    }
}

impl<'de> DeserializeSeed<'de> for &mut File<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut File<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORMS)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<(), A::Error> {
        Rows(self).visit_seq(sequence)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut chunks, mut keyed) = (false, false);
        self.meter.begin();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "chunks" if !chunks => {
                    map.next_value_seed(Rows(self))?;
                    self.meter.begin();
                    chunks = true;
                }
                "chunks" => return Err(de::Error::custom("`chunks` stands twice")),
                "embedding_model" => self.model = text(&key, map.next_value()?)?,
                "metric" => self.metadata.metric = text(&key, map.next_value()?)?,
                "dimension" => match map.next_value::<Json>()? {
                    Json::Null => {}
                    number if number.is_u64() => self.metadata.dimension = number.as_u64(),
                    _ => return Err(de::Error::custom("`dimension` is no whole number")),
                },
                place if place.parse::<i64>().is_ok() => {
                    self.begin()?;
                    let json = map.next_value()?;
                    self.row(json, Some(place))?;
                    keyed = true;
                }
                // `version`, and whatever else somebody notes there.
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if chunks && keyed {
            return Err(de::Error::custom(
                "rows stand under `chunks` and under places in the index",
            ));
        }
        // An object without a row is one of a bot that has learnt nothing yet.
        Ok(())
    }
}

fn text<E: de::Error>(key: &str, json: Json) -> Result<Option<String>, E> {
    match json {
        Json::String(text) => Ok(Some(text)),
        Json::Null => Ok(None),
        _ => Err(E::custom(format_args!("`{key}` is no text"))),
    }
}

/// A list of rows.
struct Rows<'f, 'm>(&'f mut File<'m>);

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let file = self.0;
        loop {
            // The next row is measured from the end of the last one.
            file.meter.begin();
            let Some(json) = sequence.next_element_seed(Begun(file))? else {
                return Ok(());
            };
            file.row(json, None)?;
        }
    }
}

/// One row, counted before it is read: a fault in it is a fault of that row.
struct Begun<'f, 'm>(&'f mut File<'m>);

impl<'de> DeserializeSeed<'de> for Begun<'_, '_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.0.begin()?;
        de::Deserialize::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests;
