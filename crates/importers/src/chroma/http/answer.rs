//! The shapes in which servers answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use storage_core::{
    Embedding, ImportFault, Imported, ImportedRecord, Locator, MetadataValue, Metric,
};

use crate::chroma::space;

/// The language a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// 0.4 and 0.5.
    V1,
    /// 0.5.16 and later; from 1.0 the only one.
    V2,
}

impl Version {
    /// Where collections are listed.
    pub(super) fn collections(self, tenant: &str, database: &str) -> Vec<String> {
        let path: &[&str] = match self {
            Self::V1 => &["api", "v1", "collections"],
            Self::V2 => &[
                "api",
                "v2",
                "tenants",
                tenant,
                "databases",
                database,
                "collections",
            ],
        };
        path.iter().map(|&part| part.to_owned()).collect()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Database {
    pub(super) name: String,
}

/// A collection, as it is listed.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) dimension: Option<u32>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
    #[serde(default)]
    configuration_json: Option<Value>,
}

impl Listed {
    /// The distance: what versions before 1.0 call `hnsw_configuration` says `l2` whatever is true, and comes last.
    ///
    /// # Errors
    /// The word, if it is none of those that Chroma knows.
    pub(super) fn metric(&self) -> Result<Metric, String> {
        let configured = |pointer| {
            let value = self.configuration_json.as_ref()?.pointer(pointer);
            value.and_then(Value::as_str)
        };
        let word = configured("/hnsw/space")
            .or_else(|| configured("/spann/space"))
            .or_else(|| self.metadata.as_ref()?.get("hnsw:space")?.as_str())
            .or_else(|| configured("/hnsw_configuration/space"));
        space::named(word.unwrap_or("l2"))
    }
}

/// A question for records.
#[derive(Debug, Serialize)]
pub(super) struct Wanted<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ids: Option<[&'a str; 1]>,
    pub(super) include: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offset: Option<u64>,
}

/// Records, as columns. What was not asked for is null.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) ids: Vec<String>,
    #[serde(default)]
    embeddings: Option<Vec<Option<Vec<Option<f32>>>>>,
    #[serde(default)]
    documents: Option<Vec<Option<String>>>,
    #[serde(default)]
    metadatas: Option<Vec<Option<Map<String, Value>>>>,
    #[serde(default)]
    uris: Option<Vec<Option<String>>>,
}

impl Page {
    /// Are all columns of one length?
    pub(super) fn is_even(&self) -> bool {
        fn fits<T>(column: &Option<Vec<T>>, length: usize) -> bool {
            column.as_ref().is_none_or(|column| column.len() == length)
        }
        let length = self.ids.len();
        fits(&self.embeddings, length)
            && fits(&self.documents, length)
            && fits(&self.metadatas, length)
            && fits(&self.uris, length)
    }

    /// The vectors of another answer to the same question.
    pub(super) fn embedding_of_only(mut self) -> Option<Vec<Option<f32>>> {
        self.embeddings.as_mut()?.pop().flatten()
    }

    /// Puts vectors in that were asked for one by one.
    pub(super) fn with_embeddings(mut self, embeddings: Vec<Option<Vec<Option<f32>>>>) -> Self {
        self.embeddings = Some(embeddings);
        self
    }

    /// The records; `first` is the position of the first, `missing` what is said of one without a vector.
    pub(super) fn records(
        self,
        first: u64,
        dimensions: &mut Option<u32>,
        missing: &str,
    ) -> Vec<Imported> {
        let mut embeddings = self.embeddings.into_iter().flatten();
        let mut documents = self.documents.into_iter().flatten();
        let mut metadatas = self.metadatas.into_iter().flatten();
        let mut uris = self.uris.into_iter().flatten();
        (first..)
            .zip(self.ids)
            .map(|(row, id)| {
                let embedding = embeddings.next().flatten();
                let (text, uri) = (documents.next().flatten(), uris.next().flatten());
                let metadata = metadatas.next().flatten().unwrap_or_default();
                let made = embedding
                    .ok_or_else(|| missing.to_owned())
                    .and_then(|numbers| vector(numbers, dimensions))
                    .and_then(|embedding| Ok((embedding, plain(metadata, uri)?)));
                match made {
                    Ok((embedding, metadata)) => Imported::Record(Box::new(ImportedRecord {
                        document: id,
                        chunk: 0,
                        text,
                        category: None,
                        metadata,
                        embedding,
                        locator: Locator {
                            row: Some(row),
                            ..Locator::default()
                        },
                    })),
                    Err(reason) => Imported::Fault(ImportFault {
                        id: Some(id),
                        row: Some(row),
                        reason,
                    }),
                }
            })
            .collect()
    }
}

/// JSON has no number that is none: servers write null.
fn vector(numbers: Vec<Option<f32>>, dimensions: &mut Option<u32>) -> Result<Embedding, String> {
    let numbers: Vec<f32> = numbers
        .into_iter()
        .map(|number| number.unwrap_or(f32::NAN))
        .collect();
    let wanted = *dimensions.get_or_insert(u32::try_from(numbers.len()).unwrap_or(u32::MAX));
    if numbers.len() as u64 != u64::from(wanted) {
        return Err(format!(
            "its vector has {} numbers instead of {wanted}",
            numbers.len()
        ));
    }
    Embedding::new(numbers).map_err(|error| error.to_string())
}

fn plain(
    metadata: Map<String, Value>,
    uri: Option<String>,
) -> Result<BTreeMap<String, MetadataValue>, String> {
    let mut plain = BTreeMap::new();
    for (key, value) in metadata {
        if value.is_null() {
            continue;
        }
        let value = MetadataValue::from_json(&value)
            .ok_or_else(|| format!("its metadata holds no plain value under {key:?}"))?;
        plain.insert(key, value);
    }
    if let Some(uri) = uri {
        plain.insert("chroma:uri".to_owned(), MetadataValue::String(uri));
    }
    Ok(plain)
}
