//! What a search found.

use std::collections::BTreeMap;

use storage_core::Document;

use crate::Model;

shape! {
    /// One entry that was found.
    pub struct Hit {
        /// From 1.
        pub rank: usize,
        /// The entry's id.
        pub id: String,
        /// Cosine of question and entry, −1 to 1.
        pub score: f32,
        /// The question of a FAQ entry, the heading of a passage; may be empty.
        pub question: String,
        /// The answer of a FAQ entry, the text of a passage; may be empty.
        pub answer: String,
        /// Main category.
        pub category: Option<String>,
        /// Category within the category.
        pub subcategory: Option<String>,
        /// The document's id.
        pub document: String,
        /// Which chunk of it, from 0.
        pub chunk: u32,
        /// Row as the source's own program counts it.
        pub source_row: Option<u64>,
        /// Page, from 1.
        pub page: Option<u32>,
        /// Whether it has a text; a row that was imported without one can never be embedded again.
        pub re_embeddable: bool,
        /// Further columns of the source.
        pub metadata: BTreeMap<String, serde_json::Value>,
    }

    /// Milliseconds that a search took.
    #[derive(Default)]
    pub struct SearchMilliseconds {
        /// Embedding the question.
        pub embed: f64,
        /// Comparing.
        pub search: f64,
        /// Altogether.
        pub total: f64,
    }

    /// What a search found.
    pub struct Search {
        /// Best first.
        pub hits: Vec<Hit>,
        /// The collection's generation that they are of.
        pub generation: u64,
        /// What embedded them.
        pub model: Option<Model>,
        /// `exact`: every row in memory; `database`; or `hybrid`: both.
        pub mode: &'static str,
        /// The index that the database followed; `null` where every row was compared.
        pub index: Option<String>,
        /// Entries that only one of both places found; `null` unless both were asked.
        pub disagreements: Option<usize>,
        /// Lowest score that was shown; `null` where none was asked for and the version is not calibrated.
        pub threshold: Option<f32>,
        /// Whether the version's calibration set it.
        pub calibrated: bool,
        /// How long it took.
        pub ms: SearchMilliseconds,
        /// Why it is not the store that was asked for, or not today's, if so.
        pub degraded: Option<String>,
    }
}

impl Hit {
    /// An entry and its score.
    #[must_use]
    pub fn of(rank: usize, score: f32, document: &Document) -> Self {
        let metadata = document.metadata.iter();
        Self {
            rank,
            id: document.key.document.clone(),
            score,
            question: document.title.clone(),
            answer: document.body.clone(),
            category: document.category.clone(),
            subcategory: document.subcategory.clone(),
            document: document.key.document.clone(),
            chunk: document.key.chunk,
            source_row: document.locator.row,
            page: document.locator.page,
            re_embeddable: !(document.title.is_empty() && document.body.is_empty()),
            metadata: metadata
                .filter_map(|(key, value)| Some((key.clone(), value.to_json()?)))
                .collect(),
        }
    }
}
