//! `/search`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayItems, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::FilterSpec;

/// One search.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchSpec {
    /// The question.
    #[schema(
        min_length = 1,
        max_length = 8192,
        pattern = r"\S",
        example = "how do I block my card?"
    )]
    pub(crate) text: Option<String>,
    /// A vector of the model that the collection is embedded with.
    #[schema(min_items = 1)]
    pub(crate) vector: Option<Vec<f32>>,
    /// Entries to find at most.
    #[schema(minimum = 1, maximum = 1000)]
    pub(crate) top_k: Option<u64>,
    /// The lowest score that counts, −1 to 1; left out, what the served version was calibrated to.
    #[schema(minimum = -1, maximum = 1)]
    pub(crate) threshold: Option<f32>,
    /// Only this category.
    pub(crate) category: Option<String>,
    /// Only chunks of this document.
    pub(crate) document: Option<String>,
    /// Only entries whose text contains this.
    pub(crate) contains: Option<String>,
    /// Conditions on metadata.
    pub(crate) filters: Option<FilterSpec>,
    /// The collection to search.
    pub(crate) collection: Option<String>,
    /// Several searches instead of one, answered from one generation.
    #[schema(no_recursion)]
    pub(crate) batch: Option<Vec<SearchSpec>>,
}

impl SearchSpec {
    /// Whether it is more than a batch.
    pub(crate) fn has_anything(&self) -> bool {
        self.text.is_some()
            || self.vector.is_some()
            || self.top_k.is_some()
            || self.threshold.is_some()
            || self.category.is_some()
            || self.document.is_some()
            || self.contains.is_some()
            || self.filters.is_some()
            || self.collection.is_some()
    }
}

/// A search in words, by a vector, or several at once: described as these three, and read as what they have in common.
pub(crate) struct SearchRequest;

impl SearchRequest {
    /// One search, with what it must have.
    fn single(needed: &str, other: &str) -> Option<Schema> {
        let RefOr::T(Schema::Object(mut object)) = SearchSpec::schema() else {
            return None;
        };
        object.properties.remove(other);
        object.properties.remove("batch");
        object.required.push(needed.to_owned());
        // What must be there must not be null.
        if let Some(RefOr::T(Schema::Object(property))) = object.properties.get_mut(needed) {
            property.schema_type = SchemaType::Type(Type::String);
        }
        if let Some(RefOr::T(Schema::Array(property))) = object.properties.get_mut(needed) {
            property.schema_type = SchemaType::Type(Type::Array);
        }
        Some(Schema::Object(object))
    }
}

impl PartialSchema for SearchRequest {
    fn schema() -> RefOr<Schema> {
        let either = || {
            let mut either = OneOfBuilder::new();
            for (needed, other) in [("text", "vector"), ("vector", "text")] {
                if let Some(single) = Self::single(needed, other) {
                    either = either.item(single);
                }
            }
            either
        };
        let batch = ObjectBuilder::new()
            .property(
                "batch",
                ArrayBuilder::new()
                    .items(ArrayItems::RefOrSchema(Box::new(RefOr::T(Schema::OneOf(
                        either().build(),
                    )))))
                    .min_items(Some(1))
                    .max_items(Some(256))
                    .description(Some("Several searches, answered from one generation.")),
            )
            .required("batch")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)));
        RefOr::T(Schema::OneOf(
            either()
                .item(batch)
                .description(Some("A search in words, by a vector, or several at once."))
                .build(),
        ))
    }
}

impl ToSchema for SearchRequest {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SearchRequest")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        <SearchSpec as ToSchema>::schemas(schemas);
    }
}

/// What one search found, as `search --json` tells it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchBody {
    /// Of this contract.
    pub(crate) schema: u32,
    #[serde(flatten)]
    pub(crate) search: wire::Search,
}

/// What several searches found, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchBody {
    /// Of this contract.
    pub(crate) schema: u32,
    /// One for each search.
    pub(crate) results: Vec<wire::Search>,
}
