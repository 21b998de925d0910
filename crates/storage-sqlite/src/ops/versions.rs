//! Versions of a collection: registered, looked up, noted on, deleted; and the canaries of their spaces.

use rusqlite::{Connection, OptionalExtension};
use storage_core::{
    Canaries, Canary, CollectionName, Embedding, EmbeddingSpace, Freed, SpaceId, StoreErrorKind,
    Timestamp, VersionId, VersionNote, VersionState, check_canaries, kept_for,
};

use super::undo;
use crate::error::{Failure, Outcome};
use crate::rows::{self, StoredVersion};
use crate::sql;

pub(crate) fn register_space(conn: &Connection, space: &EmbeddingSpace) -> Outcome<()> {
    let model = &space.model;
    conn.prepare_cached(sql::REGISTER_SPACE)?.execute((
        space.id.as_str(),
        &space.provider,
        &model.name,
        model.dimensions.get(),
        &model.revision,
        &model.query_prefix,
        &model.passage_prefix,
        model.normaliser,
        &space.nonce,
        space.created_at.0,
    ))?;
    Ok(())
}

/// A space as the statements know it.
pub(crate) struct Space {
    pub(crate) number: i64,
    pub(crate) dimensions: u32,
    checked_at: Option<Timestamp>,
}

pub(crate) fn space(conn: &Connection, id: &SpaceId) -> Outcome<Option<Space>> {
    let found = conn
        .prepare_cached(sql::SPACE)?
        .query_row([id.as_str()], |row| {
            Ok(Space {
                number: row.get(0)?,
                dimensions: row.get(1)?,
                checked_at: row.get::<_, Option<i64>>(2)?.map(Timestamp),
            })
        })
        .optional()?;
    Ok(found)
}

pub(crate) fn annotate(
    conn: &Connection,
    name: &CollectionName,
    id: &VersionId,
    note: VersionNote<'_>,
) -> Outcome<()> {
    let (_, found) = find(conn, "annotate", name, id)?;
    let (sql, text) = match note {
        VersionNote::Calibration(text) => (sql::NOTE_CALIBRATION, text),
        VersionNote::Evaluation(text) => (sql::NOTE_EVALUATION, text),
    };
    conn.prepare_cached(sql)?.execute((found.number, text))?;
    Ok(())
}

pub(crate) fn delete(
    conn: &Connection,
    name: &CollectionName,
    id: &VersionId,
    abandoned: bool,
) -> Outcome<Freed> {
    const OPERATION: &str = "delete_version";
    let (collection, found) = find(conn, OPERATION, name, id)?;
    let number = Some(found.number);
    let reason = kept_for(
        collection.active == number,
        collection.previous == number,
        found.version.state == VersionState::Building && !abandoned,
    );
    if let Some(reason) = reason {
        return Err(Failure::new(StoreErrorKind::Invalid, OPERATION, reason));
    }
    let mut vectors = numbers(conn, sql::BOUND_VECTORS, found.number)?;
    for sql in [sql::DROP_BINDINGS, sql::DROP_VERSION] {
        conn.prepare_cached(sql)?.execute([found.number])?;
    }
    let used: bool = conn
        .prepare_cached(sql::SPACE_IS_USED)?
        .query_row([found.space], |row| row.get(0))?;
    if !used {
        vectors = numbers(conn, sql::SPACE_VECTORS, found.space)?;
    }
    // Only now are the versions those that kept rows could be bound in again.
    let spared = undo::kept_vectors(conn)?;
    vectors.retain(|vector| !spared.contains(vector));
    let mut freed = Freed::default();
    let mut delete = conn.prepare_cached(sql::DELETE_VECTOR)?;
    for vector in vectors {
        freed.bytes += delete.query_row([vector], |row| row.get::<_, u64>(0))?;
        freed.vectors += 1;
    }
    if !used {
        for sql in [sql::DROP_CANARIES, sql::DROP_SPACE] {
            conn.prepare_cached(sql)?.execute([found.space])?;
        }
    }
    Ok(freed)
}

fn numbers(conn: &Connection, sql: &str, of: i64) -> Outcome<Vec<i64>> {
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map([of], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(crate) fn canaries(conn: &Connection, id: &SpaceId) -> Outcome<Canaries> {
    let Some(space) = space(conn, id)? else {
        return Ok(Canaries::default());
    };
    let mut statement = conn.prepare_cached(sql::CANARIES)?;
    let mut rows = statement.query([space.number])?;
    let mut texts = Vec::new();
    while let Some(row) = rows.next()? {
        let embedding = Embedding::from_le_bytes(rows::blob(row, 1)?)
            .ok()
            .filter(|embedding| embedding.dimensions() == space.dimensions)
            .ok_or_else(|| Failure::corrupt("canaries", "a canary's vector is damaged"))?;
        texts.push(Canary {
            text: row.get(0)?,
            embedding,
        });
    }
    Ok(Canaries {
        texts,
        checked_at: space.checked_at,
    })
}

pub(crate) fn record_canaries(
    conn: &Connection,
    id: &SpaceId,
    new: &[Canary],
    at: Timestamp,
) -> Outcome<()> {
    let space = space(conn, id)?.ok_or_else(|| unknown_space("record_canaries", id))?;
    check_canaries(new, space.dimensions)?;
    let mut insert = conn.prepare_cached(sql::INSERT_CANARY)?;
    for canary in new {
        insert.execute((
            space.number,
            &canary.text,
            &canary.embedding.to_le_bytes()[..],
        ))?;
    }
    conn.prepare_cached(sql::CANARIES_CHECKED)?
        .execute((space.number, at.0))?;
    Ok(())
}

fn find(
    conn: &Connection,
    operation: &'static str,
    name: &CollectionName,
    id: &VersionId,
) -> Outcome<(rows::Collection, StoredVersion)> {
    let mut collection =
        rows::collection(conn, name)?.ok_or_else(|| unknown_version(operation, id))?;
    let at = collection
        .versions
        .iter()
        .position(|found| found.version.id == *id)
        .ok_or_else(|| unknown_version(operation, id))?;
    let found = collection.versions.swap_remove(at);
    Ok((collection, found))
}

pub(crate) fn unknown_version(operation: &'static str, id: &VersionId) -> Failure {
    Failure::new(
        StoreErrorKind::Model,
        operation,
        format!("the collection has no such version: {id}"),
    )
}

pub(crate) fn unknown_space(operation: &'static str, id: &SpaceId) -> Failure {
    Failure::new(
        StoreErrorKind::Model,
        operation,
        format!("the vector space is not registered: {id}"),
    )
}
