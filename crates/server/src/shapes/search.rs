//! `/search`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::FilterSpec;

/// One search.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchSpec {
    /// The question. Either this or `vector`.
    #[schema(max_length = 8192, example = "how do I block my card?")]
    pub(crate) text: Option<String>,
    /// A vector of the model that the collection is embedded with. Either this or `text`.
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
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) collection: Option<String>,
}

/// One search, or several at once.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum SearchRequest {
    /// Several, answered from one generation.
    Batch(BatchSpec),
    /// One.
    One(Box<SearchSpec>),
}

/// Several searches.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchSpec {
    /// The searches.
    #[schema(min_items = 1, max_items = 256)]
    pub(crate) batch: Vec<SearchSpec>,
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
