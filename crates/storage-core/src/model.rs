//! Which model made a vector, in which space it lies, and which versions a collection has of its rows.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::{ContentHash, EmbedText, Embedding, InputHash, Timestamp};

/// What an embedder says of its model before the first answer. A provider over HTTP may not tell the dimensions
/// until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSpec {
    /// The model's name as the provider knows it.
    pub name: String,
    /// Numbers per vector, where known.
    pub dimensions: Option<NonZeroU32>,
    /// Which weights, where known: a checksum, a tag; else empty.
    pub revision: String,
    /// Put before a question.
    pub query_prefix: String,
    /// Put before a stored text.
    pub passage_prefix: String,
    /// Version of [`crate::normalise`] that the texts went through.
    pub normaliser: u16,
}

impl ModelSpec {
    /// The full identity, once the dimensions are known.
    #[must_use]
    pub fn with_dimensions(&self, dimensions: NonZeroU32) -> EmbeddingModel {
        EmbeddingModel {
            name: self.name.clone(),
            dimensions,
            revision: self.revision.clone(),
            query_prefix: self.query_prefix.clone(),
            passage_prefix: self.passage_prefix.clone(),
            normaliser: self.normaliser,
        }
    }

    /// Whether `model` is this one; dimensions count only where the spec knows them.
    #[must_use]
    pub fn is(&self, model: &EmbeddingModel) -> bool {
        self.dimensions
            .is_none_or(|dimensions| dimensions == model.dimensions)
            && self.with_dimensions(model.dimensions) == *model
    }
}

/// Identity of a vector space. The provider is not part of it: the same model by another road is the same space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingModel {
    /// The model's name.
    pub name: String,
    /// Numbers per vector.
    pub dimensions: NonZeroU32,
    /// Which weights; empty where unknown.
    pub revision: String,
    /// Put before a question.
    pub query_prefix: String,
    /// Put before a stored text.
    pub passage_prefix: String,
    /// Version of [`crate::normalise`] that the texts went through.
    pub normaliser: u16,
}

impl fmt::Display for EmbeddingModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} dimensions)", self.name, self.dimensions)
    }
}

/// Names a vector space by content, so stores can be copied and merged: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceId(Arc<str>);

impl SpaceId {
    /// Digests a model and a nonce. Two stores that use one model agree on the id; a forced recompute draws a new
    /// nonce and so gets a space of its own.
    #[must_use]
    pub fn of(model: &EmbeddingModel, nonce: &str) -> Self {
        let mut hasher =
            blake3::Hasher::new_derive_key("smart-support 2026-11-21 embedding version");
        for field in [
            &*model.name,
            &*model.revision,
            &*model.query_prefix,
            &*model.passage_prefix,
            nonce,
        ] {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field.as_bytes());
        }
        hasher.update(&model.dimensions.get().to_le_bytes());
        hasher.update(&model.normaliser.to_le_bytes());
        Self(hasher.finalize().to_hex()[..32].into())
    }

    /// Takes a stored id as it is.
    #[must_use]
    pub fn from_stored(id: &str) -> Self {
        Self(id.into())
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SpaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A vector space: a model, plus the nonce that a forced recompute draws. Vectors of one space can be compared, and
/// every collection that uses the space shares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingSpace {
    /// Digest of model and nonce.
    pub id: SpaceId,
    /// What made its vectors.
    pub model: EmbeddingModel,
    /// Empty, but for forced recomputes.
    pub nonce: String,
    /// By which road the vectors came: provenance, not identity.
    pub provider: String,
    /// When it was registered.
    pub created_at: Timestamp,
}

impl EmbeddingSpace {
    /// A space of `model`; its id follows from model and nonce.
    #[must_use]
    pub fn new(model: EmbeddingModel, nonce: &str, provider: &str, created_at: Timestamp) -> Self {
        Self {
            id: SpaceId::of(&model, nonce),
            model,
            nonce: nonce.to_owned(),
            provider: provider.to_owned(),
            created_at,
        }
    }
}

/// Names a version of a collection: a digest of its space and its recipe, 32 hexadecimal digits. Two collections that
/// are embedded alike have versions of one name, each its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId(Arc<str>);

impl VersionId {
    /// Digests a space and a recipe, as written.
    #[must_use]
    pub fn of(space: &SpaceId, embed_text: &str) -> Self {
        let mut hasher =
            blake3::Hasher::new_derive_key("smart-support 2026-11-21 version of a collection");
        for field in [space.as_str(), embed_text] {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field.as_bytes());
        }
        Self(hasher.finalize().to_hex()[..32].into())
    }

    /// Takes a stored id as it is.
    #[must_use]
    pub fn from_stored(id: &str) -> Self {
        Self(id.into())
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits: what people type.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How every row of a collection gets its vector in one version: in which space, by which recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionSpec {
    /// The space its vectors lie in.
    pub space: SpaceId,
    /// Which fields become the embedded text.
    pub embed_text: EmbedText,
}

impl VersionSpec {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> VersionId {
        VersionId::of(&self.space, self.embed_text.as_str())
    }
}

/// Where a version stands in its life. Whether it is served is the collection's pointer, not a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VersionState {
    /// Vectors are being collected; it was never complete.
    Building,
    /// Every row had a vector once: served, or able to serve.
    Ready,
    /// It was served, and neither serves nor is what a rollback would serve.
    Retired,
}

impl VersionState {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Ready => "ready",
            Self::Retired => "retired",
        }
    }

    /// Reads the stored word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Building, Self::Ready, Self::Retired]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// One version of a collection's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Digest of space and recipe.
    pub id: VersionId,
    /// The space its vectors lie in.
    pub space: SpaceId,
    /// The recipe of its inputs, as written.
    pub embed_text: String,
    /// Where it stands.
    pub state: VersionState,
    /// Rows of the collection that have a vector in it.
    pub records: u64,
    /// JSON: which scores count as an answer, once somebody measured it.
    pub calibration: Option<String>,
    /// JSON: how it did on questions with known answers, once somebody asked.
    pub evaluation: Option<String>,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// Names one stored vector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VectorKey {
    /// The space it lies in.
    pub space: SpaceId,
    /// The text it was computed from.
    pub input: InputHash,
    /// Empty for a vector that we computed; the hash of the vector for an imported one, so that imports with equal
    /// or missing text keep every bit.
    pub variant: Option<ContentHash>,
}

/// Which vector a row has in one version of its collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The version.
    pub version: VersionId,
    /// The vector.
    pub vector: VectorKey,
}

/// A text with the vector that the provider gave for it once: asked again, an unchanged provider gives the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    /// The text as it was sent, without the model's prefix.
    pub text: String,
    /// Its vector, of the space's dimensions.
    pub embedding: Embedding,
}

/// What a space knows of its provider.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Canaries {
    /// The texts, in their order.
    pub texts: Vec<Canary>,
    /// When the provider was last seen to answer as it did.
    pub checked_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(dimensions: Option<u32>) -> ModelSpec {
        ModelSpec {
            name: "m".into(),
            dimensions: dimensions.and_then(NonZeroU32::new),
            revision: String::new(),
            query_prefix: String::new(),
            passage_prefix: String::new(),
            normaliser: 1,
        }
    }

    #[test]
    fn dimensions_count_where_they_are_known() {
        let model = spec(None).with_dimensions(NonZeroU32::new(4).unwrap());
        assert!(spec(None).is(&model));
        assert!(spec(Some(4)).is(&model));
        assert!(!spec(Some(8)).is(&model));
        assert!(
            !ModelSpec {
                revision: "2".into(),
                ..spec(None)
            }
            .is(&model)
        );
    }

    #[test]
    fn a_nonce_makes_another_space_of_the_same_model() {
        let model = spec(None).with_dimensions(NonZeroU32::new(4).unwrap());
        assert_eq!(SpaceId::of(&model, ""), SpaceId::of(&model.clone(), ""));
        assert_ne!(SpaceId::of(&model, ""), SpaceId::of(&model, "1"));
    }
}
