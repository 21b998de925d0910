//! Vectors by content: stored, and read in the order of their names.

use futures_util::stream::{self, BoxStream, StreamExt};

use super::{State, Vector};
use crate::{
    ContentHash, KeptVector, Result, SpaceId, Spend, StoreError, StoreErrorKind, StoredVector,
    Timestamp,
};

/// Stores each vector with its time, unless it is stored already.
pub(super) fn put<'a>(
    state: &mut State,
    batch: impl Iterator<Item = (&'a StoredVector, Timestamp)> + Clone,
    spend: Option<&Spend>,
) -> Result<()> {
    for (vector, _) in batch.clone() {
        let space = &vector.key.space;
        let expected = state
            .spaces
            .get(space)
            .map(|space| space.model.dimensions.get())
            .ok_or_else(|| model(format!("the vector space is not registered: {space}")))?;
        let found = vector.embedding.dimensions();
        if found != expected {
            return Err(model(format!(
                "a vector has {found} numbers, its space {expected}"
            )));
        }
    }
    for (vector, stored_at) in batch {
        state
            .vectors
            .entry(vector.key.clone())
            .or_insert_with(|| Vector {
                checksum: ContentHash::of(&vector.embedding.to_le_bytes()),
                embedding: vector.embedding.clone(),
                stored_at,
            });
    }
    if let Some(spend) = spend
        && let Some(run) = state.runs.get_mut(&spend.run)
    {
        run.requests += spend.requests;
        run.texts += spend.texts;
        run.tokens += spend.tokens;
    }
    Ok(())
}

/// Every vector of a space. The numbers are shared, so this is as cheap as a list of names.
pub(super) fn of_space(state: &State, space: &SpaceId) -> BoxStream<'static, Result<KeptVector>> {
    let kept: Vec<_> = state
        .vectors
        .iter()
        .filter(|(key, _)| key.space == *space)
        .map(|(key, vector)| {
            Ok(KeptVector {
                vector: StoredVector {
                    key: key.clone(),
                    embedding: vector.embedding.clone(),
                },
                stored_at: vector.stored_at,
            })
        })
        .collect();
    stream::iter(kept).boxed()
}

fn model(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Model, "put_embeddings", message)
}
