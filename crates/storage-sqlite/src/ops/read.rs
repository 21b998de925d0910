//! Rows without their vectors: fingerprints, documents, sources.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use storage_core::{
    CollectionName, Document, DocumentKey, Fingerprint, Generation, Source, VectorKey, VersionId,
};

use crate::error::{Failure, Outcome};
use crate::rows::{self, Names};
use crate::sql;

pub(crate) fn fingerprints(
    conn: &Connection,
    name: &CollectionName,
) -> Outcome<(Generation, Vec<Fingerprint>)> {
    let Some(collection) = rows::collection(conn, name)? else {
        return Ok((Generation(0), Vec::new()));
    };
    let names = Names::read(conn, name, collection.id)?;
    let active = collection.active_version();
    let mut statement = conn.prepare_cached(sql::FINGERPRINTS)?;
    let mut rows = statement.query((collection.id, active.map(|version| version.number)))?;
    let mut found = Vec::with_capacity(
        usize::try_from(collection.records)
            .unwrap_or(0)
            .min(1 << 20),
    );
    while let Some(row) = rows.next()? {
        let vector = match (active, rows::input_hash(row, 9)?) {
            (Some(active), Some(input)) => Some(VectorKey {
                space: active.version.space.clone(),
                input,
                variant: rows::variant(row, 10)?,
            }),
            _ => None,
        };
        found.push(Fingerprint {
            key: names.key(row.get(0)?, row.get(1)?),
            source: names.source(row.get(2)?)?,
            record: rows::record_hash(row, 3)?,
            locator: rows::locator(row, 4)?,
            vector,
        });
    }
    Ok((collection.generation, found))
}

/// Keys of the rows without a vector in a version.
pub(crate) fn unbound(
    conn: &Connection,
    name: &CollectionName,
    id: &VersionId,
) -> Outcome<(Generation, Vec<DocumentKey>)> {
    let Some(collection) = rows::collection(conn, name)? else {
        return Ok((Generation(0), Vec::new()));
    };
    let names = Names::read(conn, name, collection.id)?;
    let number = collection.version(id).map(|version| version.number);
    let mut statement = conn.prepare_cached(sql::UNBOUND)?;
    let mut rows = statement.query((collection.id, number))?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(names.key(row.get(0)?, row.get(1)?));
    }
    Ok((collection.generation, keys))
}

/// Names of the vectors that rows have in a version.
pub(crate) fn bindings(
    conn: &Connection,
    name: &CollectionName,
    id: &VersionId,
) -> Outcome<(Generation, Vec<(DocumentKey, VectorKey)>)> {
    let Some(collection) = rows::collection(conn, name)? else {
        return Ok((Generation(0), Vec::new()));
    };
    let mut bindings = Vec::new();
    let Some(version) = collection.version(id) else {
        return Ok((collection.generation, bindings));
    };
    let names = Names::read(conn, name, collection.id)?;
    let mut statement = conn.prepare_cached(sql::BINDINGS)?;
    let mut rows = statement.query((collection.id, version.number))?;
    while let Some(row) = rows.next()? {
        let vector = VectorKey {
            space: version.version.space.clone(),
            input: rows::input_hash(row, 2)?
                .ok_or_else(|| Failure::corrupt("bindings", "a vector has no name"))?,
            variant: rows::variant(row, 3)?,
        };
        bindings.push((names.key(row.get(0)?, row.get(1)?), vector));
    }
    Ok((collection.generation, bindings))
}

/// One lookup a key: inside one process a prepared statement is the fastest batch there is.
pub(crate) fn documents(conn: &Connection, keys: &BTreeSet<DocumentKey>) -> Outcome<Vec<Document>> {
    let mut known = BTreeMap::new();
    let mut statement = conn.prepare_cached(sql::DOCUMENT)?;
    let mut documents = Vec::new();
    for key in keys {
        if !known.contains_key(&key.collection) {
            let found = match rows::collection(conn, &key.collection)? {
                None => None,
                Some(collection) => Some((
                    collection.id,
                    Names::read(conn, &key.collection, collection.id)?,
                )),
            };
            known.insert(key.collection.clone(), found);
        }
        let Some(Some((id, names))) = known.get(&key.collection) else {
            continue;
        };
        let mut rows = statement.query((id, &key.document, key.chunk))?;
        if let Some(row) = rows.next()? {
            documents.push(names.document(row)?);
        }
    }
    Ok(documents)
}

pub(crate) fn sources(conn: &Connection, name: &CollectionName) -> Outcome<Vec<Source>> {
    let mut statement = conn.prepare_cached(sql::SOURCES)?;
    let mut rows = statement.query([name.as_str()])?;
    let mut sources = Vec::new();
    while let Some(row) = rows.next()? {
        sources.push(Source {
            id: rows::source_id(row.get(0)?)?,
            collection: name.clone(),
            kind: row.get(1)?,
            location: row.get(2)?,
        });
    }
    Ok(sources)
}
