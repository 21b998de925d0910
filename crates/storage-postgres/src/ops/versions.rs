//! Versions of a collection: registered, looked up, noted on, deleted; and the canaries of their spaces.

use std::collections::BTreeSet;

use async_trait::async_trait;
use storage_core::{
    Canaries, Canary, CollectionName, Embedding, EmbeddingSpace, Freed, SpaceId, StoreErrorKind,
    Timestamp, VersionId, VersionNote, VersionState, check_canaries, kept_for,
};
use tokio_postgres::types::Type;

use super::undo;
use crate::error::{Failure, Outcome};
use crate::rows::{self, StoredVersion, count, count32, get};
use crate::tx::{Tx, Work};
use crate::{sql, wire};

/// pgvector's type holds no more.
const MOST_DIMENSIONS: u32 = 16_000;

pub(crate) struct RegisterSpace<'a>(pub(crate) &'a EmbeddingSpace);

#[async_trait]
impl Work for RegisterSpace<'_> {
    type Output = ();
    const NAME: &'static str = "register_space";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<()> {
        let (space, model) = (self.0, &self.0.model);
        let dimensions = model.dimensions.get();
        if dimensions > MOST_DIMENSIONS {
            return Err(Failure::new(
                StoreErrorKind::Unsupported,
                Self::NAME,
                format!(
                    "pgvector holds vectors of up to {MOST_DIMENSIONS} numbers, {} gives {dimensions}; ask it for fewer \
                     with --dimensions, or keep the vectors in SQLite",
                    model.name
                ),
            ));
        }
        tx.execute(
            sql::REGISTER_SPACE,
            &[
                (&space.id.as_str(), Type::TEXT),
                (&space.provider, Type::TEXT),
                (&model.name, Type::TEXT),
                (&i64::from(dimensions), Type::INT8),
                (&model.revision, Type::TEXT),
                (&model.query_prefix, Type::TEXT),
                (&model.passage_prefix, Type::TEXT),
                (&i64::from(model.normaliser), Type::INT8),
                (&space.nonce, Type::TEXT),
                (&space.created_at.0, Type::INT8),
            ],
        )
        .await?;
        Ok(())
    }
}

/// A space as the statements know it.
pub(crate) struct Space {
    pub(crate) number: i64,
    pub(crate) dimensions: u32,
    checked_at: Option<Timestamp>,
}

pub(crate) async fn space(tx: &Tx<'_>, id: &SpaceId) -> Outcome<Option<Space>> {
    let row = tx.first(sql::SPACE, &[(&id.as_str(), Type::TEXT)]).await?;
    row.map(|row| {
        Ok(Space {
            number: get(&row, 0)?,
            dimensions: count32(&row, 1)?,
            checked_at: get::<Option<i64>>(&row, 2)?.map(Timestamp),
        })
    })
    .transpose()
}

pub(crate) struct Annotate<'a> {
    pub(crate) collection: &'a CollectionName,
    pub(crate) version: &'a VersionId,
    pub(crate) note: VersionNote<'a>,
}

#[async_trait]
impl Work for Annotate<'_> {
    type Output = ();
    const NAME: &'static str = "annotate";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<()> {
        let (_, found) = find(tx, Self::NAME, self.collection, self.version).await?;
        let (sql, text) = match self.note {
            VersionNote::Calibration(text) => (sql::NOTE_CALIBRATION, text),
            VersionNote::Evaluation(text) => (sql::NOTE_EVALUATION, text),
        };
        tx.execute(sql, &[(&found.number, Type::INT8), (&text, Type::TEXT)])
            .await?;
        Ok(())
    }
}

pub(crate) struct Delete<'a> {
    pub(crate) collection: &'a CollectionName,
    pub(crate) version: &'a VersionId,
    pub(crate) abandoned: bool,
}

#[async_trait]
impl Work for Delete<'_> {
    type Output = Freed;
    const NAME: &'static str = "delete_version";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Freed> {
        // An apply that is under way may be about to bind or to promote it.
        tx.rows(sql::LOCK_STORE, &[]).await?;
        let (collection, found) = find(tx, Self::NAME, self.collection, self.version).await?;
        let number = Some(found.number);
        let reason = kept_for(
            collection.active == number,
            collection.previous == number,
            found.version.state == VersionState::Building && !self.abandoned,
        );
        if let Some(reason) = reason {
            return Err(Failure::new(StoreErrorKind::Invalid, Self::NAME, reason));
        }
        let version = [(&found.number as _, Type::INT8)];
        let space = [(&found.space as _, Type::INT8)];
        let mut vectors: Vec<i64> = Vec::new();
        for row in tx.rows(sql::BOUND_VECTORS, &version).await? {
            vectors.push(get(&row, 0)?);
        }
        tx.execute(sql::DROP_BINDINGS, &version).await?;
        tx.execute(sql::DROP_VERSION, &version).await?;
        // Only now are the versions those that kept rows could be bound in again.
        let spared: BTreeSet<i64> = undo::kept_vectors(tx).await?.into_iter().collect();
        vectors.retain(|vector| !spared.contains(vector));
        let used: bool = get(&tx.one(sql::SPACE_IS_USED, &space).await?, 0)?;
        let freed = match used {
            true => {
                tx.one(sql::DELETE_VECTORS, &[(&vectors, Type::INT8_ARRAY)])
                    .await?
            }
            false => tx.one(sql::DELETE_SPACE_VECTORS, &space).await?,
        };
        if !used {
            for row in tx.rows(sql::DROP_INDEXES, &space).await? {
                tx.client.batch_execute(get(&row, 0)?).await?;
            }
            tx.execute(sql::DROP_CANARIES, &space).await?;
            tx.execute(sql::DROP_SPACE, &space).await?;
        }
        let vectors = count(&freed, 0)?;
        Ok(Freed {
            vectors,
            bytes: 4 * u64::from(found.dimensions) * vectors,
        })
    }
}

pub(crate) struct ReadCanaries<'a>(pub(crate) &'a SpaceId);

#[async_trait]
impl Work for ReadCanaries<'_> {
    type Output = Canaries;
    const NAME: &'static str = "canaries";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<Canaries> {
        let Some(space) = space(tx, self.0).await? else {
            return Ok(Canaries::default());
        };
        let rows = tx
            .rows(sql::CANARIES, &[(&space.number, Type::INT8)])
            .await?;
        let mut texts = Vec::with_capacity(rows.len());
        for row in &rows {
            let embedding = wire::little_endian(get(row, 1)?)
                .and_then(|bytes| Embedding::from_le_bytes(&bytes).ok())
                .filter(|embedding| embedding.dimensions() == space.dimensions)
                .ok_or_else(|| Failure::corrupt("canaries", "a canary's vector is damaged"))?;
            texts.push(Canary {
                text: get(row, 0)?,
                embedding,
            });
        }
        Ok(Canaries {
            texts,
            checked_at: space.checked_at,
        })
    }
}

pub(crate) struct RecordCanaries<'a> {
    pub(crate) space: &'a SpaceId,
    pub(crate) new: &'a [Canary],
    pub(crate) at: Timestamp,
}

#[async_trait]
impl Work for RecordCanaries<'_> {
    type Output = ();
    const NAME: &'static str = "record_canaries";

    async fn run(&self, tx: &Tx<'_>) -> Outcome<()> {
        let space = space(tx, self.space)
            .await?
            .ok_or_else(|| unknown_space(Self::NAME, self.space))?;
        check_canaries(self.new, space.dimensions)?;
        // The space's row first: two that record at once see each other's texts.
        tx.execute(
            sql::CANARIES_CHECKED,
            &[(&space.number, Type::INT8), (&self.at.0, Type::INT8)],
        )
        .await?;
        for canary in self.new {
            tx.execute(
                sql::INSERT_CANARY,
                &[
                    (&space.number, Type::INT8),
                    (&canary.text, Type::TEXT),
                    (&canary.embedding.as_slice(), Type::FLOAT4_ARRAY),
                ],
            )
            .await?;
        }
        Ok(())
    }
}

async fn find(
    tx: &Tx<'_>,
    operation: &'static str,
    name: &CollectionName,
    id: &VersionId,
) -> Outcome<(rows::Collection, StoredVersion)> {
    let mut collection = rows::collection(tx, name)
        .await?
        .ok_or_else(|| unknown_version(operation, id))?;
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
