//! One row.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use storage_core::MetadataValue;

use super::{Row, RowFault};

/// Reads a row; `place` is the key that it stands under, where the file is an object of rows.
pub(super) fn parse(json: Json, number: u64, place: Option<&str>) -> Result<Row, RowFault> {
    let mut fault = RowFault {
        row: number,
        id: None,
        faiss_index: place.and_then(|place| place.parse().ok()),
        reason: String::new(),
    };
    fields(json, number, &mut fault).map_err(|reason| {
        fault.reason = reason;
        fault
    })
}

fn fields(json: Json, number: u64, fault: &mut RowFault) -> Result<Row, String> {
    let Json::Object(mut object) = json else {
        return Err("the row is no object".to_owned());
    };
    // What names the row is read first: a fault in the rest can then be found again.
    let document_id = document_id(&mut object)?;
    let chunk_index = match taken(&mut object, "chunk_index") {
        None => 0,
        Some(json) => json
            .as_u64()
            .and_then(|index| u32::try_from(index).ok())
            .ok_or("`chunk_index` is no whole number from 0 to 4294967295")?,
    };
    fault.id = Some(format!("{document_id}:{chunk_index}"));
    let own = match taken(&mut object, "faiss_index") {
        None => None,
        Some(json) => Some(json.as_i64().ok_or("`faiss_index` is no whole number")?),
    };
    let faiss_index = match (fault.faiss_index, own) {
        (Some(place), Some(own)) if place != own => {
            return Err(format!(
                "the row stands under {place}, and its `faiss_index` is {own}"
            ));
        }
        (place, own) => place.or(own).ok_or("the row has no `faiss_index`")?,
    };
    fault.faiss_index = Some(faiss_index);
    let text = match taken(&mut object, "text") {
        Some(Json::String(text)) => text,
        Some(_) => return Err("`text` is no text".to_owned()),
        None => return Err("the row has no `text`".to_owned()),
    };
    let embedding_model = match taken(&mut object, "embedding_model") {
        None => None,
        Some(Json::String(model)) => Some(model),
        Some(_) => return Err("`embedding_model` is no text".to_owned()),
    };
    let mut metadata = BTreeMap::new();
    for (key, value) in object {
        if let Some(value) = MetadataValue::or_json_text(value) {
            metadata.insert(key, value);
        }
    }
    Ok(Row {
        row: number,
        document_id,
        chunk_index,
        text,
        faiss_index,
        embedding_model,
        metadata,
    })
}

/// Null is as good as nothing.
fn taken(object: &mut Map<String, Json>, key: &str) -> Option<Json> {
    object.remove(key).filter(|json| !json.is_null())
}

fn document_id(object: &mut Map<String, Json>) -> Result<String, String> {
    match taken(object, "document_id") {
        Some(Json::String(id)) if id.is_empty() => Err("`document_id` is empty".to_owned()),
        Some(Json::String(id)) => Ok(id),
        Some(Json::Number(id)) if id.is_i64() || id.is_u64() => Ok(id.to_string()),
        Some(_) => Err("`document_id` is neither a text nor a whole number".to_owned()),
        None => Err("the row has no `document_id`".to_owned()),
    }
}

/// Bytes that a row holds in memory, roughly.
pub(super) fn held(row: &Row) -> u64 {
    let texts = row.document_id.len()
        + row.text.len()
        + row.embedding_model.as_ref().map_or(0, String::len);
    let metadata = row
        .metadata
        .iter()
        .map(|(key, value)| 96 + key.len() as u64 + held_by(value))
        .sum::<u64>();
    256 + texts as u64 + metadata
}

fn held_by(value: &MetadataValue) -> u64 {
    match value {
        MetadataValue::String(text) => text.len() as u64,
        MetadataValue::List(values) => {
            // A list that grew may hold room for as many again.
            values.iter().map(|value| 64 + held_by(value)).sum()
        }
        MetadataValue::I64(_) | MetadataValue::F64(_) | MetadataValue::Bool(_) => 0,
    }
}
