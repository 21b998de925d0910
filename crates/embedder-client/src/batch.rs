//! Cuts texts into calls, keeps a bounded number of them in flight, and finds the text a provider refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::stream::{self, Stream, StreamExt};
use storage_core::Embedding;

use crate::{BatchLimits, EmbedError, EmbedErrorKind, Embedded, Embedder, Meter, Purpose};

/// Texts in a row that bring nonsense even alone before the provider is to blame, and not the texts.
const NONSENSE_IN_A_ROW: usize = 4;

/// Items that go to the provider in one call, with their texts, both in the same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<T> {
    /// What the texts were rendered from.
    pub items: Vec<T>,
    /// The texts.
    pub texts: Vec<String>,
}

/// Cuts items into batches, in their order, each as large as the limits allow. A single text above the limit of bytes
/// still goes, alone: only the provider knows whether it is too long.
///
/// Texts are rendered when their batch is cut, so memory holds no more than the batches that are.
pub fn batches<T, F>(
    items: impl IntoIterator<Item = T>,
    text_of: F,
    limits: BatchLimits,
) -> impl Iterator<Item = Batch<T>>
where
    F: Fn(&T) -> String,
{
    Cutter {
        items: items.into_iter(),
        text_of,
        limits,
        held: None,
    }
}

/// What became of one batch.
#[derive(Debug)]
pub struct BatchOutcome<T> {
    /// Items with their vectors.
    pub vectors: Vec<(T, Embedding)>,
    /// Items the provider refuses, or has no usable vector for, each found by splitting the batch.
    pub rejected: Vec<(T, EmbedError)>,
    /// Why the rest of the batch, and every batch after it, was not sent.
    pub fatal: Option<EmbedError>,
    /// API calls made, failed ones included.
    pub requests: u32,
    /// Tokens billed, where the provider says.
    pub tokens: Option<u64>,
}

/// Embeds items in batches, at most `concurrency` in flight, and yields each batch as it is answered.
///
/// Batches are cut as by [`batches`], over the whole input; memory holds those in flight and no more. A batch whose
/// content is refused, or answered with nonsense, is split in two until the text to blame stands alone; the others
/// get their vectors. When text after text brings nonsense though it stands alone, the provider is to blame, and the
/// error is fatal. After a fatal error nothing new is sent; calls in flight are still awaited and yielded, since
/// their vectors are paid for. So it is when the meter is stopped, or its budget spent.
pub fn embed_batches<'a, T, F>(
    embedder: Arc<dyn Embedder>,
    items: Vec<T>,
    text_of: F,
    purpose: Purpose,
    limits: BatchLimits,
    concurrency: usize,
    meter: Meter,
) -> impl Stream<Item = BatchOutcome<T>> + 'a
where
    T: 'a,
    F: Fn(&T) -> String + 'a,
{
    let run = Arc::new(Run::default());
    let cut = {
        let run = Arc::clone(&run);
        batches(items, text_of, limits).take_while(move |_| !run.is_stopped())
    };
    stream::iter(cut)
        .map(move |batch| {
            let (embedder, run) = (Arc::clone(&embedder), Arc::clone(&run));
            let meter = meter.clone();
            async move { embed_splitting(&*embedder, batch, purpose, &run, &meter).await }
        })
        .buffer_unordered(concurrency.max(1))
}

/// What the batches of one run know of each other.
#[derive(Default)]
struct Run {
    stopped: AtomicBool,
    /// Texts that alone brought nonsense since the last good vector.
    nonsense: AtomicUsize,
}

impl Run {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn saw_vectors(&self) {
        self.nonsense.store(0, Ordering::Relaxed);
    }

    /// Counts a text that alone brought nonsense; tells whether it was one too many.
    fn saw_nonsense(&self) -> bool {
        self.nonsense.fetch_add(1, Ordering::Relaxed) + 1 >= NONSENSE_IN_A_ROW
    }
}

/// Cuts batches lazily.
struct Cutter<I, T, F> {
    items: I,
    text_of: F,
    limits: BatchLimits,
    /// The item that did not fit into the batch before.
    held: Option<(T, String)>,
}

impl<T, I: Iterator<Item = T>, F: Fn(&T) -> String> Iterator for Cutter<I, T, F> {
    type Item = Batch<T>;

    fn next(&mut self) -> Option<Batch<T>> {
        let mut batch = Batch {
            items: Vec::new(),
            texts: Vec::new(),
        };
        let mut bytes = 0;
        loop {
            let next = self.held.take().or_else(|| {
                let item = self.items.next()?;
                let text = (self.text_of)(&item);
                Some((item, text))
            });
            let Some((item, text)) = next else { break };
            let full = batch.items.len() >= self.limits.texts.max(1)
                || bytes + text.len() > self.limits.bytes;
            if full && !batch.items.is_empty() {
                self.held = Some((item, text));
                break;
            }
            bytes += text.len();
            batch.items.push(item);
            batch.texts.push(text);
        }
        (!batch.items.is_empty()).then_some(batch)
    }
}

async fn embed_splitting<T>(
    embedder: &dyn Embedder,
    batch: Batch<T>,
    purpose: Purpose,
    run: &Run,
    meter: &Meter,
) -> BatchOutcome<T> {
    let mut outcome = BatchOutcome {
        vectors: Vec::with_capacity(batch.items.len()),
        rejected: Vec::new(),
        fatal: None,
        requests: 0,
        tokens: None,
    };
    let mut open = vec![batch];
    while let Some(mut batch) = open.pop() {
        if run.is_stopped() {
            // Another batch met an error that this one would meet too.
            break;
        }
        let answer = embedder.embed(&batch.texts, purpose, meter).await;
        let error = match answer.and_then(|answer| complete(answer, batch.texts.len())) {
            Ok(embedded) => {
                run.saw_vectors();
                outcome.requests += embedded.requests;
                if let Some(tokens) = embedded.tokens {
                    *outcome.tokens.get_or_insert(0) += tokens;
                }
                outcome
                    .vectors
                    .extend(batch.items.into_iter().zip(embedded.vectors));
                continue;
            }
            Err(error) => error,
        };
        outcome.requests += error.requests();
        let nonsense = error.kind() == EmbedErrorKind::BadAnswer;
        let about_a_text = nonsense || error.kind() == EmbedErrorKind::Rejected;
        if about_a_text && batch.items.len() > 1 {
            let half = batch.items.len() / 2;
            let second = Batch {
                items: batch.items.split_off(half),
                texts: batch.texts.split_off(half),
            };
            open.push(second);
            open.push(batch);
            continue;
        }
        if !about_a_text || (nonsense && run.saw_nonsense()) {
            run.stop();
            outcome.fatal = Some(error);
            break;
        }
        if let Some(item) = batch.items.pop() {
            outcome.rejected.push((item, error));
        }
    }
    outcome
}

/// An embedder that breaks its contract must not pair texts with the wrong vectors.
fn complete(answer: Embedded, texts: usize) -> Result<Embedded, EmbedError> {
    let vectors = answer.vectors.len();
    if vectors == texts {
        return Ok(answer);
    }
    let message = format!("the embedder gave {vectors} vectors for {texts} texts");
    Err(EmbedError::new(EmbedErrorKind::Internal, message).with_requests(answer.requests))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(lengths: &[usize], texts: usize, bytes: usize) -> Vec<usize> {
        let limits = BatchLimits { texts, bytes };
        let batches = batches(
            lengths.iter().copied(),
            |length| "x".repeat(*length),
            limits,
        );
        let batches: Vec<_> = batches.collect();
        let order: Vec<_> = batches.iter().flat_map(|batch| &batch.items).collect();
        assert_eq!(
            order,
            lengths.iter().collect::<Vec<_>>(),
            "nothing lost, in order"
        );
        for batch in &batches {
            let rendered: Vec<_> = batch.texts.iter().map(String::len).collect();
            assert_eq!(rendered, batch.items, "each text beside its item");
        }
        batches.iter().map(|batch| batch.items.len()).collect()
    }

    #[test]
    fn batches_are_as_large_as_count_and_bytes_allow() {
        assert_eq!(sizes(&[], 10, 100), [0usize; 0]);
        assert_eq!(sizes(&[1; 7], 3, 100), [3, 3, 1]);
        assert_eq!(sizes(&[4, 4, 4, 4], 10, 8), [2, 2]);
        assert_eq!(sizes(&[4, 4, 4, 50, 1], 10, 8), [2, 1, 1, 1]);
        assert_eq!(sizes(&[50, 50], 10, 8), [1, 1]);
        assert_eq!(sizes(&[0, 0, 8, 0], 10, 8), [4]);
        assert_eq!(
            sizes(&[1, 1], 0, 0),
            [1, 1],
            "limits of nothing still move on"
        );
    }
}
