//! A run that spends: its line in the ledger, and the one road by which texts become stored vectors.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use embedder_client::{EmbedError, Purpose, embed_batches};
use futures_util::StreamExt;
use storage_core::{
    Canary, CollectionName, Embedding, EmbeddingModel, EmbeddingSpace, InputHash, RunKind, Spend,
    StoredVector, VectorKey, VersionId,
};

use crate::canary::{self, TEXTS};
use crate::estimate;
use crate::execute::SyncContext;
use crate::ledger::{Ledger, Spent};
use crate::{SyncError, SyncErrorKind, Target};

/// What became of the texts that were sent.
#[derive(Debug, Default)]
pub(crate) struct Embedded {
    /// Those whose vector is stored now.
    pub(crate) stored: Vec<InputHash>,
    /// Those the provider refuses, with the reason.
    pub(crate) rejected: BTreeMap<InputHash, String>,
}

/// A run under way.
pub(crate) struct Run<'c> {
    context: &'c SyncContext<'c>,
    /// Known in full as soon as the first vector has come.
    pub(crate) target: Target,
    ledger: Ledger<'c>,
    /// Whether the run before this one did not get to its end.
    pub(crate) resumed: bool,
    pub(crate) embedded: usize,
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
    /// Whether the provider was seen to be the one it was, or need not be.
    trusted: bool,
}

impl<'c> Run<'c> {
    /// Opens the ledger's line.
    pub(crate) async fn start(
        context: &'c SyncContext<'c>,
        collection: &CollectionName,
        kind: RunKind,
        target: Target,
    ) -> Result<Self, SyncError> {
        let ledger = Ledger::open(
            context.store,
            context.clock,
            context.run.clone(),
            kind,
            collection,
        )
        .await?;
        Ok(Self {
            context,
            target,
            resumed: ledger.resumed,
            ledger,
            embedded: 0,
            requests: 0,
            tokens: 0,
            trusted: false,
        })
    }

    /// Writes down which version the run fills.
    pub(crate) fn fills(&mut self, version: &VersionId) {
        self.ledger.fills(version);
    }

    /// Closes the ledger's line.
    pub(crate) async fn finish<T>(self, outcome: Result<T, SyncError>) -> Result<T, SyncError> {
        let spent = Spent {
            requests: self.requests,
            texts: self.embedded as u64,
            tokens: self.tokens,
        };
        self.ledger.close(spent, outcome).await
    }

    /// Embeds texts and stores each batch at once. `all` is how many the whole run sends.
    pub(crate) async fn embed<T>(
        &mut self,
        texts: Vec<(InputHash, T)>,
        text_of: impl Fn(&T) -> String,
        all: usize,
    ) -> Result<Embedded, SyncError> {
        let mut done = Embedded::default();
        if texts.is_empty() {
            return Ok(done);
        }
        self.look_at_the_provider().await?;
        let context = self.context;
        let mut fatal: Option<EmbedError> = None;
        let mut broken: Option<SyncError> = None;
        let mut outcomes = std::pin::pin!(embed_batches(
            Arc::clone(&context.embedder),
            texts,
            |(_, text): &(InputHash, T)| text_of(text),
            Purpose::Passage,
            estimate::limits(context),
            context.concurrency.max(1),
            context.meter.clone(),
        ));
        while let Some(outcome) = outcomes.next().await {
            self.requests += u64::from(outcome.requests);
            let tokens = outcome.tokens.unwrap_or_default();
            self.tokens += tokens;
            let spend = Spend {
                run: context.run.clone(),
                requests: u64::from(outcome.requests),
                texts: outcome.vectors.len() as u64,
                tokens,
            };
            let batch: Vec<(InputHash, T, Embedding)> = outcome
                .vectors
                .into_iter()
                .map(|((input, text), embedding)| (input, text, embedding))
                .collect();
            match self.keep(batch, &spend, &text_of).await {
                Ok(stored) => done.stored.extend(stored),
                Err(error) => {
                    // Nothing more is sent, but what is in flight is paid for: it is awaited, and stored if it can be.
                    context.meter.stop();
                    broken.get_or_insert(error);
                }
            }
            for ((input, _), error) in outcome.rejected {
                done.rejected.insert(input, error.to_string());
            }
            fatal = fatal.or(outcome.fatal);
        }
        if let Some(error) = broken {
            return Err(error.with_progress(self.embedded, all));
        }
        match fatal {
            Some(error) => Err(SyncError::embed(error, self.embedded, all)),
            None => Ok(done),
        }
    }

    /// Stores what one call brought, with what it cost.
    async fn keep<T>(
        &mut self,
        batch: Vec<(InputHash, T, Embedding)>,
        spend: &Spend,
        text_of: &impl Fn(&T) -> String,
    ) -> Result<Vec<InputHash>, SyncError> {
        let (context, now) = (self.context, (self.context.clock)());
        let Some((.., first)) = batch.first() else {
            if spend.requests > 0 {
                context.store.put_embeddings(&[], spend, now).await?;
            }
            return Ok(Vec::new());
        };
        let space = self.settle(first).await?;
        self.check_dimensions(&space.model, &batch)?;
        let canaries = if self.trusted {
            Vec::new()
        } else {
            let texts = batch.iter().take(TEXTS);
            texts
                .map(|(_, text, embedding)| Canary {
                    text: text_of(text),
                    embedding: embedding.clone(),
                })
                .collect()
        };
        context.progress.embedded(batch.len());
        let vectors: Vec<StoredVector> = batch
            .into_iter()
            .map(|(input, _, embedding)| StoredVector {
                key: VectorKey {
                    space: space.id.clone(),
                    input,
                    variant: None,
                },
                embedding,
            })
            .collect();
        context.store.put_embeddings(&vectors, spend, now).await?;
        if !canaries.is_empty() {
            let known = context.store.canaries(&space.id).await?;
            if known.texts.is_empty() {
                context
                    .store
                    .record_canaries(&space.id, &canaries, now)
                    .await?;
            }
            self.trusted = true;
        }
        self.embedded += vectors.len();
        context.progress.stored(vectors.len());
        Ok(vectors.into_iter().map(|vector| vector.key.input).collect())
    }

    /// Learns the model from the first vector, and registers its space.
    async fn settle(&mut self, first: &Embedding) -> Result<EmbeddingSpace, SyncError> {
        let (spec, provider, nonce) = match &self.target {
            Target::Known(space) => return Ok(space.clone()),
            Target::New {
                spec,
                provider,
                nonce,
            } => (spec, provider, nonce),
        };
        let dimensions =
            NonZeroU32::new(first.dimensions()).expect("an embedding has at least one number");
        let model = spec.with_dimensions(dimensions);
        let now = (self.context.clock)();
        let space = EmbeddingSpace::new(model, nonce, provider, now);
        self.context.store.register_space(&space).await?;
        self.target = Target::Known(space.clone());
        Ok(space)
    }

    fn check_dimensions<T>(
        &self,
        model: &EmbeddingModel,
        batch: &[(InputHash, T, Embedding)],
    ) -> Result<(), SyncError> {
        let expected = model.dimensions.get();
        let mut vectors = batch.iter().map(|(.., vector)| vector.dimensions());
        let Some(wrong) = vectors.find(|found| *found != expected) else {
            return Ok(());
        };
        Err(SyncError::new(
            SyncErrorKind::Model,
            format!(
                "embedding dimension mismatch: collection {} has {expected}, the provider gives {wrong}; choose the model \
                 that was used (EMBEDDING_MODEL_NAME, and --dimensions {expected} where it shortens its vectors), or build a version of another model beside it with \
                 `smart-support model build`, or embed everything anew with `smart-support migrate --force-recompute`",
                self.ledger.collection()
            ),
        ))
    }

    /// Before anything is paid for in a space that is a day old: is the provider still the one that made its vectors?
    async fn look_at_the_provider(&mut self) -> Result<(), SyncError> {
        let Target::Known(space) = &self.target else {
            return Ok(());
        };
        if self.trusted {
            return Ok(());
        }
        let space = space.clone();
        let canaries = self.context.store.canaries(&space.id).await?;
        let now = (self.context.clock)();
        if !canary::is_due(&canaries, now) {
            self.trusted = !canaries.texts.is_empty();
            return Ok(());
        }
        let found = canary::ask(self.context, &space, &canaries.texts).await;
        let (seen, spend) = found?;
        self.requests += spend.requests;
        self.tokens += spend.tokens;
        self.context.store.put_embeddings(&[], &spend, now).await?;
        if let Some(refusal) = seen.refusal(&space) {
            return Err(refusal);
        }
        self.context
            .store
            .record_canaries(&space.id, &[], now)
            .await?;
        self.trusted = true;
        Ok(())
    }
}
