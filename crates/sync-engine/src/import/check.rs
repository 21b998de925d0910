//! Are the vectors of the model they are said to be of? A few of the source's texts are embedded again and compared.

use embedder_client::{Embedder, Purpose};
use std::sync::Arc;
use storage_core::{Canary, EmbeddingSpace, Imported, Spend, normalise};

use super::ImportContext;
use crate::canary::{self, LEAST_COSINE, TEXTS};
use crate::ledger::Spent;
use crate::{SyncError, SyncErrorKind};

/// The least cosine for vectors that a quantiser rounded: four bits a number keep about 0.98, product codes less.
const LEAST_LOSSY_COSINE: f64 = 0.9;

/// Whether the provider was asked, and what it said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ModelCheck {
    /// Nobody was asked: no provider of that model is set, or no call was allowed.
    NotAsked,
    /// No record has a text to ask about.
    NoText,
    /// So many texts came out as the source has them.
    Agrees {
        /// Texts.
        texts: usize,
        /// The least cosine between what the source has and what came.
        least: f64,
    },
}

/// Asks once, with the first texts that come by.
pub(super) struct Probe<'a> {
    context: &'a ImportContext<'a>,
    space: &'a EmbeddingSpace,
    least: f64,
    outcome: ModelCheck,
}

impl<'a> Probe<'a> {
    pub(super) fn new(
        context: &'a ImportContext<'a>,
        space: &'a EmbeddingSpace,
        lossy: bool,
    ) -> Self {
        Self {
            context,
            space,
            least: if lossy {
                LEAST_LOSSY_COSINE
            } else {
                LEAST_COSINE
            },
            outcome: match context.embedder {
                Some(_) if context.ask => ModelCheck::NoText,
                _ => ModelCheck::NotAsked,
            },
        }
    }

    pub(super) fn outcome(&self) -> ModelCheck {
        self.outcome
    }

    /// Asks, unless that was done or nobody can be asked.
    pub(super) async fn ask(
        &mut self,
        batch: &[Imported],
        spent: &mut Spent,
    ) -> Result<(), SyncError> {
        let (Some(embedder), ModelCheck::NoText) = (&self.context.embedder, self.outcome) else {
            return Ok(());
        };
        let texts: Vec<Canary> = batch
            .iter()
            .filter_map(|item| match item {
                Imported::Record(record) => Some(Canary {
                    text: normalise(record.text.as_deref()?),
                    embedding: record.embedding.clone(),
                }),
                Imported::Fault(_) => None,
            })
            .filter(|canary| !canary.text.is_empty())
            .take(TEXTS)
            .collect();
        if texts.is_empty() {
            return Ok(());
        }
        let least = self.compare(embedder, &texts, spent).await?;
        if least < self.least {
            return Err(self.refusal(&**embedder, least));
        }
        self.outcome = ModelCheck::Agrees {
            texts: texts.len(),
            least,
        };
        Ok(())
    }

    async fn compare(
        &self,
        embedder: &Arc<dyn Embedder>,
        texts: &[Canary],
        spent: &mut Spent,
    ) -> Result<f64, SyncError> {
        let inputs: Vec<String> = texts.iter().map(|canary| canary.text.clone()).collect();
        let answer = embedder
            .embed(&inputs, Purpose::Passage, &self.context.meter)
            .await
            .map_err(|error| {
                SyncError::embed(error, 0, 0).with_advice(
                    "the provider is asked whether the vectors are of its model; --offline leaves that out",
                )
            })?;
        let spend = Spend {
            run: self.context.run.clone(),
            requests: u64::from(answer.requests),
            // Their vectors are looked at and not kept.
            texts: 0,
            tokens: answer.tokens.unwrap_or_default(),
        };
        spent.requests += spend.requests;
        spent.tokens += spend.tokens;
        let now = (self.context.clock)();
        self.context.store.put_embeddings(&[], &spend, now).await?;
        let pairs = texts.iter().zip(&answer.vectors);
        Ok(pairs
            .map(|(canary, vector)| canary::cosine(&canary.embedding, vector))
            .fold(1.0, f64::min))
    }

    fn refusal(&self, embedder: &dyn Embedder, least: f64) -> SyncError {
        SyncError::new(
            SyncErrorKind::Model,
            format!(
                "the vectors are not of {}: provider {} gives others for the same texts (cosine {least:.4}, at least {} is \
                 needed); nothing was moved. Name the model that made them with --model NAME, or skip the question with \
                 --offline if you know better",
                self.space.model,
                embedder.provider(),
                self.least
            ),
        )
    }
}
