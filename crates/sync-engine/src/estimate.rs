//! What sending some texts takes, told before any is sent: calls, tokens, time. What a token costs is the caller's
//! business.

use std::collections::BTreeSet;

use embedder_client::{BatchLimits, Embedder, Purpose, batches};
use storage_core::{CollectionName, RunRecord, RunState, StoreStatus, VersionId};

use crate::canary;
use crate::execute::SyncContext;
use crate::{SyncError, Target};

/// Runs of each collection that are looked through for a pace.
const RUNS: usize = 50;

/// Tokens of so many UTF-8 bytes of text, guessed before any bill: tokenizers of embedding models make about one token
/// of four bytes, both of English and of Russian, whose letters have two.
#[must_use]
pub fn estimated_tokens(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

/// How tokens were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokensBy {
    /// By the model's own tokenizer: exact.
    Tokenizer,
    /// From the length of the texts: [`estimated_tokens`].
    Estimate,
}

impl TokensBy {
    /// The word in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tokenizer => "tokenizer",
            Self::Estimate => "estimate",
        }
    }
}

/// How fast an earlier run with the same model was.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// Its name in the ledger.
    pub run: String,
    /// Texts it sent.
    pub texts: u64,
    /// Calls it made.
    pub requests: u64,
    /// Seconds it took from beginning to end.
    pub seconds: f64,
}

impl Pace {
    /// The largest finished run with the model: a small one tells more of its beginning than of its pace.
    async fn of(
        context: &SyncContext<'_>,
        status: &StoreStatus,
    ) -> Result<Option<Self>, SyncError> {
        let mut best: Option<RunRecord> = None;
        for collection in &status.collections {
            let versions = of_model(status, &collection.name, &*context.embedder);
            let runs = context.store.runs(&collection.name, RUNS).await?;
            let of_model = runs.into_iter().filter(|run| {
                run.state == RunState::Finished
                    && run.texts > 0
                    && run.requests > 0
                    && run.finished_at.is_some_and(|end| end > run.started_at)
                    && run.version.as_ref().is_some_and(|id| versions.contains(id))
            });
            for run in of_model {
                let larger = best
                    .as_ref()
                    .is_none_or(|best| (run.texts, run.started_at) > (best.texts, best.started_at));
                if larger {
                    best = Some(run);
                }
            }
        }
        #[allow(
            clippy::cast_precision_loss,
            reason = "milliseconds of one run are far below 2^52"
        )]
        let pace = best.and_then(|run| {
            let milliseconds = run.finished_at?.0.checked_sub(run.started_at.0)?;
            Some(Self {
                run: run.id.to_string(),
                texts: run.texts,
                requests: run.requests,
                seconds: milliseconds as f64 / 1e3,
            })
        });
        Ok(pace)
    }

    /// Seconds for so many texts in so many calls, at this pace. Calls go out several at a time, so that one of them
    /// takes as long as all that fly beside it.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn seconds(&self, texts: usize, requests: usize, concurrency: usize) -> f64 {
        let waves = |requests: u64| requests.div_ceil(concurrency.max(1) as u64) as f64;
        let by_texts = texts as f64 / self.texts as f64;
        let by_calls = waves(requests as u64) / waves(self.requests);
        self.seconds * by_texts.max(by_calls)
    }
}

fn of_model<'a>(
    status: &'a StoreStatus,
    collection: &CollectionName,
    embedder: &dyn Embedder,
) -> BTreeSet<&'a VersionId> {
    let versions = status.collection(collection).into_iter();
    versions
        .flat_map(|collection| &collection.versions)
        .filter(|version| {
            let space = status.space(&version.space);
            space.is_some_and(|space| embedder.spec().is(&space.model))
        })
        .map(|version| &version.id)
        .collect()
}

/// What sending some texts takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Texts to send.
    pub texts: usize,
    /// Calls, cut as they will be; the look at a provider that nobody looked at for a day is one of them.
    pub requests: usize,
    /// Tokens that they hold.
    pub tokens: u64,
    /// How those were counted; of nothing, nobody counted anything.
    pub tokens_by: TokensBy,
    /// Seconds, where an earlier run tells how fast this goes.
    pub seconds: Option<f64>,
    /// That run.
    pub pace: Option<Pace>,
}

impl Estimate {
    /// Of these texts, sent as a run with this context and target sends them.
    pub(crate) async fn of(
        context: &SyncContext<'_>,
        target: &Target,
        texts: impl Iterator<Item = String>,
    ) -> Result<Self, SyncError> {
        let mut count = Tokens::new(&*context.embedder);
        let (mut sent, mut requests) = (0, 0);
        let limits = limits(context);
        // The text is its own item: `batches` renders it once, when its batch is cut.
        for batch in batches(texts, String::clone, limits) {
            requests += 1;
            sent += batch.texts.len();
            batch.texts.iter().for_each(|text| count.add(text));
        }
        if let (Target::Known(space), true) = (target, sent > 0) {
            let canaries = context.store.canaries(&space.id).await?;
            if canary::is_due(&canaries, (context.clock)()) {
                requests += 1;
                canaries.texts.iter().for_each(|text| count.add(&text.text));
            }
        }
        let status = context.store.status().await?;
        let pace = Pace::of(context, &status).await?;
        let seconds = match &pace {
            _ if sent == 0 => Some(0.0),
            Some(pace) => Some(pace.seconds(sent, requests, context.concurrency)),
            None => None,
        };
        Ok(Self {
            texts: sent,
            requests,
            tokens: count.tokens,
            tokens_by: if sent == 0 {
                TokensBy::Estimate
            } else {
                count.by
            },
            seconds,
            pace: pace.filter(|_| sent > 0),
        })
    }
}

/// What one call may hold: the caller's limits within the provider's.
pub(crate) fn limits(context: &SyncContext<'_>) -> BatchLimits {
    let own = context.embedder.limits();
    BatchLimits {
        texts: context.batch.texts.min(own.texts).max(1),
        bytes: context.batch.bytes.min(own.bytes),
    }
}

/// Counts tokens by the model's own tokenizer, and estimates where that is not at hand.
pub(crate) struct Tokens<'e> {
    embedder: &'e dyn Embedder,
    pub(crate) tokens: u64,
    pub(crate) by: TokensBy,
}

impl<'e> Tokens<'e> {
    pub(crate) fn new(embedder: &'e dyn Embedder) -> Self {
        Self {
            embedder,
            tokens: 0,
            by: TokensBy::Tokenizer,
        }
    }

    pub(crate) fn add(&mut self, text: &str) {
        // One text that was guessed makes the sum a guess, and a tokenizer that is missing stays missing.
        let exact = match self.by {
            TokensBy::Tokenizer => self.embedder.token_count(text, Purpose::Passage),
            TokensBy::Estimate => None,
        };
        self.tokens += exact.unwrap_or_else(|| {
            self.by = TokensBy::Estimate;
            let prefix = self.embedder.spec().passage_prefix.len();
            estimated_tokens((prefix + text.len()) as u64)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_of_texts_or_of_waves_of_calls_whichever_is_slower() {
        let pace = Pace {
            run: "r".to_owned(),
            texts: 200,
            requests: 20,
            seconds: 10.0,
        };
        let close = |seconds: f64, expected: f64| (seconds - expected).abs() < 1e-9;
        assert!(close(pace.seconds(200, 20, 4), 10.0));
        assert!(close(pace.seconds(400, 40, 4), 20.0));
        // One text is one call, and five waves took ten seconds.
        assert!(close(pace.seconds(1, 1, 4), 2.0));
        // Fewer, larger calls are no faster than their texts.
        assert!(close(pace.seconds(400, 2, 4), 20.0));
    }
}
