//! Which model vectors are of.

use storage_core::{CollectionName, EmbeddingModel, EmbeddingSpace, StoreStatus, Version};

shape! {
    /// Which model vectors are of.
    pub struct Model {
        /// By which road it is asked: `local`, `openai`, `ollama`, `hash`, `imported`.
        pub provider: String,
        /// Its name.
        pub name: String,
        /// Numbers per vector.
        pub dimensions: u32,
        /// Its revision; empty where the provider names none.
        pub revision: String,
        /// The version's id.
        pub version: Option<String>,
    }
}

impl Model {
    /// The model of a version of a collection.
    #[must_use]
    pub fn of(version: &Version, space: &EmbeddingSpace) -> Self {
        let model = Self::unversioned(&space.model, &space.provider);
        Self {
            version: Some(version.id.to_string()),
            ..model
        }
    }

    /// The model that a collection serves.
    #[must_use]
    pub fn active(status: &StoreStatus, collection: &CollectionName) -> Option<Self> {
        let version = status.collection(collection)?.active_version()?;
        Some(Self::of(version, status.space(&version.space)?))
    }

    /// A model apart from any version.
    #[must_use]
    pub fn unversioned(model: &EmbeddingModel, provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            name: model.name.clone(),
            dimensions: model.dimensions.get(),
            revision: model.revision.clone(),
            version: None,
        }
    }
}
