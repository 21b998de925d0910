//! Cuts texts into calls, keeps a bounded number of them in flight, and finds the text a provider refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{self, Stream, StreamExt};
use storage_core::Embedding;

use crate::{BatchLimits, EmbedError, EmbedErrorKind, Embedder, Purpose};

/// What became of one batch.
#[derive(Debug)]
pub struct BatchOutcome<T> {
    /// Items with their vectors.
    pub vectors: Vec<(T, Embedding)>,
    /// Items the provider refuses, each found by splitting the batch.
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
/// Batches are cut over the whole input, in its order, each as large as the limits allow. Texts are rendered when
/// their batch is cut, so memory holds the batches in flight and no more. A batch whose content is refused is split
/// in two until the refused text stands alone; the others get their vectors. After an error that a split cannot
/// mend, nothing new is sent; batches in flight are still yielded, since their vectors are paid for.
pub fn embed_batches<'a, T, F>(
    embedder: Arc<dyn Embedder>,
    items: Vec<T>,
    text_of: F,
    purpose: Purpose,
    limits: BatchLimits,
    concurrency: usize,
) -> impl Stream<Item = BatchOutcome<T>> + 'a
where
    T: 'a,
    F: Fn(&T) -> String + 'a,
{
    let stopped = Arc::new(AtomicBool::new(false));
    let cutter = Cutter {
        items: items.into_iter(),
        text_of,
        limits,
        held: None,
    };
    let cut = {
        let stopped = Arc::clone(&stopped);
        cutter.take_while(move |_| !stopped.load(Ordering::Relaxed))
    };
    stream::iter(cut)
        .map(move |batch| {
            let (embedder, stopped) = (Arc::clone(&embedder), Arc::clone(&stopped));
            async move {
                let outcome = embed_splitting(&*embedder, batch, purpose).await;
                if outcome.fatal.is_some() {
                    stopped.store(true, Ordering::Relaxed);
                }
                outcome
            }
        })
        .buffer_unordered(concurrency.max(1))
}

/// Items and their texts, in the same order.
struct Batch<T> {
    items: Vec<T>,
    texts: Vec<String>,
}

/// Cuts batches lazily.
struct Cutter<T, F> {
    items: std::vec::IntoIter<T>,
    text_of: F,
    limits: BatchLimits,
    /// The item that did not fit into the batch before.
    held: Option<(T, String)>,
}

impl<T, F: Fn(&T) -> String> Iterator for Cutter<T, F> {
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
            // A single text over the limit still goes, alone: only the provider knows whether it is too long.
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
        match embedder.embed(&batch.texts, purpose).await {
            Ok(embedded) => {
                outcome.requests += embedded.requests;
                if let Some(tokens) = embedded.tokens {
                    *outcome.tokens.get_or_insert(0) += tokens;
                }
                if embedded.vectors.len() != batch.items.len() {
                    let (got, sent) = (embedded.vectors.len(), batch.items.len());
                    outcome.fatal = Some(EmbedError::new(
                        EmbedErrorKind::BadAnswer,
                        format!("the provider gave {got} vectors for {sent} texts"),
                    ));
                    break;
                }
                outcome
                    .vectors
                    .extend(batch.items.into_iter().zip(embedded.vectors));
            }
            Err(error) if error.kind() == EmbedErrorKind::Rejected => {
                outcome.requests += error.requests();
                if batch.items.len() > 1 {
                    let half = batch.items.len() / 2;
                    let second = Batch {
                        items: batch.items.split_off(half),
                        texts: batch.texts.split_off(half),
                    };
                    open.push(second);
                    open.push(batch);
                } else if let Some(item) = batch.items.pop() {
                    outcome.rejected.push((item, error));
                }
            }
            Err(error) => {
                outcome.requests += error.requests();
                outcome.fatal = Some(error);
                break;
            }
        }
    }
    outcome
}
