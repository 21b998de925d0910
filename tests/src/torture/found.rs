//! What readers of a store are answered.

use std::process::Command;

use anyhow::{Context as _, Result};
use integration_tests::Place;
use serde_json::Value;

use super::Dice;
use super::process::Ended;
use super::scenario::DIMENSIONS;

/// What a search finds, of one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    generation: u64,
    pub(crate) hits: Vec<(String, String)>,
}

impl Found {
    pub(crate) fn of(ended: &Ended) -> Result<Self> {
        let answer: Value =
            serde_json::from_str(&ended.stdout).with_context(|| format!("no answer: {ended}"))?;
        let hits = answer["hits"].as_array().context("no hits")?;
        Ok(Self {
            generation: answer["generation"].as_u64().context("no generation")?,
            hits: hits
                .iter()
                .map(|hit| (hit["id"].to_string(), hit["score"].to_string()))
                .collect(),
        })
    }
}

/// Asks the store's readers.
pub(crate) fn search(place: &Place) -> Command {
    place.command(&[
        "search",
        "--query-vector",
        "question.f32",
        "-k",
        "20",
        "--json",
    ])
}

/// The question of every search: any vector, so that nobody is paid for it.
pub(crate) fn question(place: &Place) {
    let mut dice = Dice::new(7, "question", 0);
    let numbers = (0..DIMENSIONS).flat_map(|_| {
        #[allow(clippy::cast_possible_truncation, reason = "any number will do")]
        let number = dice.share() as f32 - 0.5;
        number.to_le_bytes()
    });
    place.write("question.f32", numbers.collect::<Vec<u8>>());
}
