//! An index beside a `metadata.json`: a home-made layout that small bots keep.

use std::collections::BTreeMap;
use std::sync::Arc;

use document_source::metadata::{self, Limits, Metadata, MetadataErrorKind, Row};
use futures_util::stream::BoxStream;
use storage_core::{
    Embedding, ImportError, ImportErrorKind, ImportFault, ImportSource, Imported,
    ImportedCollection, ImportedRecord, Locator, MetadataValue, Metric,
};

use crate::faiss::Index;
use crate::reading::{Outlet, SourceFile, Stop, fault_in_texts, stream};

/// Examples in one note.
const EXAMPLES: usize = 5;

pub(crate) fn open(
    mut index: Index,
    json: &SourceFile,
    model: Option<&str>,
) -> Result<Box<dyn ImportSource>, ImportError> {
    let parsed = metadata::parse(json.open()?, Limits::default()).map_err(|error| {
        let kind = match error.kind() {
            MetadataErrorKind::Form => ImportErrorKind::Unsupported,
            MetadataErrorKind::TooLarge => ImportErrorKind::TooLarge,
            MetadataErrorKind::Io => ImportErrorKind::Io,
            _ => ImportErrorKind::Damaged,
        };
        ImportError::new(kind, format!("{error}: {}", json.name())).with_source(error)
    })?;
    json.unchanged()?;
    let table = Table::new(parsed, json, model)?;
    let collection = index.collection();
    if let (Some(said), Some(found)) = (table.metadata.dimension, collection.dimensions)
        && said != u64::from(found.get())
    {
        return Err(json.damaged(format_args!(
            "vectors of {said} numbers are meant, and those of the index have {found}: name the index that belongs to the metadata"
        )));
    }
    let mut notes = table.notes(collection.metric);
    let total = table.total(&index)?;
    let collection = index.collection_mut();
    collection.kind = "hybrid";
    collection.total = total;
    collection.model = table.model.clone();
    collection.notes.append(&mut notes);
    Ok(Box::new(Hybrid {
        index,
        json: json.clone(),
        table: Arc::new(table),
    }))
}

#[derive(Debug)]
struct Hybrid {
    index: Index,
    json: SourceFile,
    table: Arc<Table>,
}

impl ImportSource for Hybrid {
    fn collection(&self) -> &ImportedCollection {
        self.index.collection()
    }

    fn read(&self) -> BoxStream<'static, Result<Vec<Imported>, ImportError>> {
        let (index, json, table) = (
            self.index.clone(),
            self.json.clone(),
            Arc::clone(&self.table),
        );
        stream(move |outlet| {
            table.read(&index, outlet)?;
            json.unchanged()?;
            Ok(())
        })
    }
}

/// The rows, and which vectors they are of.
#[derive(Debug)]
struct Table {
    name: String,
    metadata: Metadata,
    /// Rows by vector: places in `metadata.rows`, in the order of the file.
    rows: BTreeMap<i64, Vec<usize>>,
    /// Vectors whose row is faulty: they are not without one.
    faulty: BTreeMap<i64, ()>,
    /// The model of the vectors.
    model: Option<String>,
    /// Whether rows of other models have to be left out.
    mixed: bool,
}

impl Table {
    fn new(
        metadata: Metadata,
        json: &SourceFile,
        wanted: Option<&str>,
    ) -> Result<Self, ImportError> {
        let models = metadata.models();
        let mixed = models.len() > 1;
        let model = match (wanted, mixed) {
            (Some(wanted), true) if models.contains(wanted) => Some(wanted.to_owned()),
            (_, true) => {
                let names = models
                    .iter()
                    .take(EXAMPLES)
                    .map(|name| shown(name))
                    .collect::<Vec<_>>();
                return Err(json.unsupported(format_args!(
                    "the rows name {} embedding models ({}), say with `--model NAME` whose vectors are meant",
                    models.len(),
                    names.join(", ")
                )));
            }
            (_, false) => models.first().map(|model| (*model).to_owned()),
        };
        let mut rows = BTreeMap::<i64, Vec<usize>>::new();
        for (place, row) in metadata.rows.iter().enumerate() {
            rows.entry(row.faiss_index).or_default().push(place);
        }
        let faulty = metadata
            .faults
            .iter()
            .filter_map(|fault| Some((fault.faiss_index?, ())))
            .collect();
        Ok(Self {
            name: json.name(),
            metadata,
            rows,
            faulty,
            model,
            mixed,
        })
    }

    fn notes(&self, metric: Metric) -> Vec<String> {
        let mut notes = Vec::new();
        let shared = self
            .rows
            .iter()
            .filter(|(_, rows)| rows.len() > 1)
            .map(|(vector, rows)| {
                let rows = rows
                    .iter()
                    .take(EXAMPLES)
                    .map(|place| self.metadata.rows[*place].row.to_string())
                    .collect::<Vec<_>>();
                format!("vector {vector} has the rows {}", rows.join(", "))
            })
            .collect::<Vec<_>>();
        if !shared.is_empty() {
            let more = if shared.len() > EXAMPLES { ", …" } else { "" };
            notes.push(format!(
                "{} vectors have more than one row, and all of those are imported: {}{more}",
                shared.len(),
                shared[..shared.len().min(EXAMPLES)].join("; ")
            ));
        }
        let said = self.metadata.metric.as_deref().map(|said| {
            let metric = match said.to_ascii_lowercase().as_str() {
                "inner_product" | "ip" | "dot" => Metric::InnerProduct,
                "l2" | "euclidean" => Metric::Euclidean,
                // Normalised vectors in an index of inner products.
                "cosine" => Metric::InnerProduct,
                _ => Metric::Other,
            };
            (said, metric)
        });
        if let Some((said, of)) = said
            && of != metric
        {
            notes.push(format!(
                "the metadata says that distances are `{}`, and the index compares by {}",
                shown(said),
                metric.as_str()
            ));
        }
        notes
    }

    /// Every row, and every vector that none of them is of.
    fn total(&self, index: &Index) -> Result<u64, ImportError> {
        let mut alone = 0_u64;
        index.ids(&mut |id, repeated| {
            let known =
                id.is_some_and(|id| self.rows.contains_key(&id) || self.faulty.contains_key(&id));
            alone += u64::from(repeated || !known);
        })?;
        Ok(alone + self.metadata.rows.len() as u64 + self.metadata.faults.len() as u64)
    }

    fn read(&self, index: &Index, outlet: &mut Outlet<'_>) -> Result<(), Stop> {
        let mut met = vec![false; self.metadata.rows.len()];
        index.walk(&mut |step| {
            let vector = |reason: &str| ImportFault {
                id: None,
                row: Some(step.position),
                reason: match step.id {
                    Some(id) => format!("vector {id} {reason}"),
                    None => "the file ends before the id of this vector".to_owned(),
                },
            };
            if step.repeated {
                return outlet.fault(vector("stands in the index twice"));
            }
            let rows = step.id.and_then(|id| self.rows.get(&id));
            let Some(rows) = rows else {
                let faulty = step.id.is_some_and(|id| self.faulty.contains_key(&id));
                return match faulty {
                    true => Ok(()),
                    false => outlet.fault(vector(&format!("has no row in {}", self.name))),
                };
            };
            for place in rows {
                met[*place] = true;
                let row = &self.metadata.rows[*place];
                match self.record(row, &step.vector) {
                    Ok(record) => outlet.record(record)?,
                    Err(reason) => outlet.fault(fault(row, reason))?,
                }
            }
            Ok(())
        })?;
        let dangling = met.iter().zip(&self.metadata.rows);
        for (_, row) in dangling.filter(|(met, _)| !**met) {
            let reason = format!("the index has no vector {}", row.faiss_index);
            outlet.fault(fault(row, reason))?;
        }
        for fault in &self.metadata.faults {
            outlet.fault(ImportFault {
                id: fault.id.clone(),
                row: Some(fault.row),
                reason: fault.reason.clone(),
            })?;
        }
        Ok(())
    }

    fn record(
        &self,
        row: &Row,
        vector: &Result<Embedding, String>,
    ) -> Result<ImportedRecord, String> {
        if let (true, Some(wanted), Some(found)) = (self.mixed, &self.model, &row.embedding_model)
            && wanted != found
        {
            return Err(format!(
                "its vector is of {}, and {} is meant",
                shown(found),
                shown(wanted)
            ));
        }
        let mut metadata = row.metadata.clone();
        metadata.insert(
            "faiss_index".to_owned(),
            MetadataValue::I64(row.faiss_index),
        );
        let record = ImportedRecord {
            document: row.document_id.clone(),
            chunk: row.chunk_index,
            text: Some(row.text.clone()),
            category: None,
            metadata,
            embedding: vector.clone()?,
            locator: Locator {
                row: Some(row.row),
                ..Locator::default()
            },
        };
        match fault_in_texts(&record) {
            Some(reason) => Err(reason),
            None => Ok(record),
        }
    }
}

/// A name out of a file, in a message: without what steers a terminal, and not without end.
fn shown(name: &str) -> String {
    name.chars()
        .take(60)
        .map(|character| match character.is_control() {
            true => char::REPLACEMENT_CHARACTER,
            false => character,
        })
        .collect()
}

fn fault(row: &Row, reason: String) -> ImportFault {
    ImportFault {
        id: Some(row.id()),
        row: Some(row.row),
        reason,
    }
}
