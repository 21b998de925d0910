//! The pickle: a docstore and a map, as LangChain's classes write their state.

use std::collections::BTreeMap;

use storage_core::MetadataValue;

use crate::pickle::{self, Limits, Node, Reason, Value};

use super::values::{self, Dropped, Odd, Room};
use super::{Document, Folder};

/// The classes of such a pickle. What they are is known by their names; nothing of them is run.
const CLASSES: &[(&str, &str)] = &[
    ("langchain_community.docstore.in_memory", DOCSTORE),
    ("langchain.docstore.in_memory", DOCSTORE),
    ("langchain_core.documents.base", DOCUMENT),
    ("langchain.schema", DOCUMENT),
    ("langchain.schema.document", DOCUMENT),
    ("langchain.docstore.document", DOCUMENT),
    ("datetime", "datetime"),
    ("datetime", "date"),
    ("datetime", "timezone"),
    ("datetime", "timedelta"),
];
const DOCSTORE: &str = "InMemoryDocstore";
const DOCUMENT: &str = "Document";

/// Memory for what the pickle builds, and for the documents that are made of it.
const MOST_MEMORY: u64 = 80 << 20;
const MOST_HELD: u64 = 80 << 20;

/// Why a pickle is not read.
#[derive(Debug)]
pub(super) enum Refusal {
    Damaged(String),
    Unsupported(String),
    TooLarge(String),
}

/// Reads the pickle of a folder.
pub(super) fn read(bytes: &[u8]) -> Result<Folder, Refusal> {
    let usual = Limits::for_length(bytes.len() as u64);
    let limits = Limits {
        memory: usual.memory.min(MOST_MEMORY),
        ..usual
    };
    let pickle = pickle::read(bytes, CLASSES, limits).map_err(|error| {
        let message = error.to_string();
        match error.reason {
            Reason::Refused(_) => Refusal::Unsupported(format!(
                "{message}; only documents with plain metadata are read, export the records and import them with `smart-support import vectors`"
            )),
            Reason::TooLarge(_) => Refusal::TooLarge(message),
            Reason::Truncated | Reason::Malformed(_) => Refusal::Damaged(message),
        }
    })?;
    let form = |what: &str| {
        Refusal::Unsupported(format!(
            "the pickle is none that LangChain's `save_local` wrote: {what}"
        ))
    };
    let mut parts = pickle
        .root()
        .items()
        .filter(|items| items.len() == 2)
        .ok_or_else(|| form("it is no pair"))?;
    let (Some(docstore), Some(map)) = (parts.next(), parts.next()) else {
        return Err(form("it is no pair"));
    };
    if docstore.class().is_none_or(|(_, name)| name != DOCSTORE) {
        return Err(form("its first part is no docstore"));
    }
    let entries = docstore
        .state()
        .and_then(fields)
        .and_then(|state| state.get("_dict"))
        .and_then(Node::entries)
        .ok_or_else(|| form("its docstore holds no dict of documents"))?;
    let positions = map
        .entries()
        .ok_or_else(|| form("its second part is no map of positions"))?;
    let mut folder = Folder::default();
    let mut left_out = LeftOut::default();
    let mut room = Room::new(MOST_HELD);
    for (id, node) in entries {
        let id = id
            .text()
            .ok_or_else(|| form("an id of its docstore is no text"))?;
        let document = match document(node, &mut left_out, &mut room) {
            Ok(document) => Ok(document),
            Err(Fault::Odd(reason)) => Err(reason),
            Err(Fault::Full) => return Err(full()),
        };
        folder.documents.insert(id.to_owned(), document);
    }
    for (position, id) in positions {
        let (Some(position), Some(id)) = (position.int(), id.text()) else {
            return Err(form("its map is not from numbers to texts"));
        };
        let position =
            u64::try_from(position).map_err(|_| form("its map has a position below 0"))?;
        room.take(id.len()).map_err(|_| full())?;
        folder.map.insert(position, id.to_owned());
    }
    folder.notes = left_out.notes();
    Ok(folder)
}

fn full() -> Refusal {
    Refusal::TooLarge(format!(
        "the documents take more than {} MiB, export them and import them with `smart-support import vectors`",
        MOST_HELD >> 20
    ))
}

/// The fields of an instance: pydantic puts them under `__dict__`.
fn fields<'p, 'a>(state: Node<'p, 'a>) -> Option<Node<'p, 'a>> {
    let _ = state.entries()?;
    Some(state.get("__dict__").unwrap_or(state))
}

/// Why there is no document.
enum Fault {
    /// It is not as it should be.
    Odd(String),
    /// All of them together are too much.
    Full,
}

impl From<&str> for Fault {
    fn from(reason: &str) -> Self {
        Self::Odd(reason.to_owned())
    }
}

fn document(
    node: Node<'_, '_>,
    left_out: &mut LeftOut,
    room: &mut Room,
) -> Result<Document, Fault> {
    if node.class().is_none_or(|(_, name)| name != DOCUMENT) {
        return Err("its entry in the docstore is no document".into());
    }
    let fields = node
        .state()
        .and_then(fields)
        .ok_or("its document has no fields")?;
    let text = match fields.get("page_content").map(Node::value) {
        Some(Value::Text(text)) => text,
        Some(Value::NotText(_)) => {
            return Err("its text is not Unicode (half of a surrogate pair)".into());
        }
        _ => return Err("its document has no `page_content`".into()),
    };
    room.take(text.len()).map_err(|_| Fault::Full)?;
    let mut metadata = BTreeMap::new();
    if let Some(found) = fields.get("metadata").filter(|found| !found.is_none()) {
        let entries = found.entries().ok_or("its metadata is no dict")?;
        for (key, value) in entries {
            let key = values::key(key).ok_or("a key of its metadata is no text")?;
            room.take(key.len()).map_err(|_| Fault::Full)?;
            match values::json(value, room) {
                Ok(serde_json::Value::Null) => left_out.none += 1,
                Ok(json) => {
                    if let Some(value) = MetadataValue::or_json_text(json) {
                        metadata.insert(key, value);
                    }
                }
                Err(Odd::Dropped(dropped)) => left_out.add(key, dropped),
                Err(Odd::Full) => return Err(Fault::Full),
            }
        }
    }
    Ok(Document {
        text: text.to_owned(),
        metadata,
    })
}

/// Values that metadata has no place for.
#[derive(Default)]
struct LeftOut {
    none: u64,
    values: BTreeMap<(Dropped, String), u64>,
}

impl LeftOut {
    fn add(&mut self, key: String, dropped: Dropped) {
        let key = key.chars().take(60).collect::<String>();
        // Keys are the file's: so many of them are told apart and no more.
        let known = self.values.len() < 20 || self.values.contains_key(&(dropped, key.clone()));
        let key = if known { key } else { "…".to_owned() };
        *self.values.entry((dropped, key)).or_default() += 1;
    }

    fn notes(self) -> Vec<String> {
        let mut notes = self
            .values
            .into_iter()
            .map(|((dropped, key), count)| {
                format!(
                    "{count} values under the key {key:?} of the metadata are {} and are left out",
                    dropped.as_str()
                )
            })
            .collect::<Vec<_>>();
        if self.none > 0 {
            notes.push(format!(
                "{} values of the metadata are None and are left out",
                self.none
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests;
