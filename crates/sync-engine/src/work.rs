//! What is left to embed of a plan, and what that may cost.

use std::collections::{BTreeMap, BTreeSet};

use embedder_client::{Embedder, Meter};
use storage_core::{ContentHash, EmbeddingStore, InputHash};

use crate::estimate::Tokens;
use crate::plan::SyncPlan;
use crate::{SyncError, SyncErrorKind};

/// The distinct texts of a plan, and which of them have a vector.
pub(crate) struct Work {
    /// Text hash to the position of a row that has that text.
    pub(crate) to_embed: Vec<(InputHash, usize)>,
    /// Text hash to the variant to refer to.
    pub(crate) stored: BTreeMap<InputHash, Option<ContentHash>>,
}

impl Work {
    pub(crate) async fn of(store: &dyn EmbeddingStore, plan: &SyncPlan) -> Result<Self, SyncError> {
        let mut wanted: BTreeMap<InputHash, usize> = BTreeMap::new();
        for (position, row) in plan
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.vector.is_none())
        {
            wanted.entry(row.input).or_insert(position);
        }
        let stored = match plan.target.id() {
            Some(version) if !wanted.is_empty() => {
                let inputs: BTreeSet<InputHash> = wanted.keys().copied().collect();
                store.stored_vectors(version, &inputs).await?
            }
            _ => BTreeMap::new(),
        };
        let mut to_embed: Vec<_> = wanted
            .into_iter()
            .filter(|(input, _)| !stored.contains_key(input))
            .collect();
        // In the source's order, so that a person who watches sees the file go by.
        to_embed.sort_unstable_by_key(|(_, position)| *position);
        Ok(Self { to_embed, stored })
    }

    /// The texts to send, in the order in which they go.
    pub(crate) fn texts(&self, plan: &SyncPlan) -> impl Iterator<Item = String> {
        let rows = self.to_embed.iter().map(|(_, at)| &plan.rows[*at]);
        rows.map(|row| plan.embed_text.render(&row.document))
    }

    pub(crate) fn afford(
        &self,
        meter: &Meter,
        embedder: &dyn Embedder,
        plan: &SyncPlan,
    ) -> Result<(), SyncError> {
        if meter.limits().tokens.is_none() {
            return Ok(());
        }
        let mut count = Tokens::new(embedder);
        self.texts(plan).for_each(|text| count.add(&text));
        afford(
            meter,
            self.to_embed.len(),
            count.tokens,
            ", or take a part with --only or --category",
        )
    }
}

/// Refuses at once what cannot be finished: a bound on money is there to be asked about, not to be run into.
pub(crate) fn afford(
    meter: &Meter,
    texts: usize,
    tokens: u64,
    otherwise: &str,
) -> Result<(), SyncError> {
    let Some(allowed) = meter.limits().tokens.filter(|allowed| tokens > *allowed) else {
        return Ok(());
    };
    Err(SyncError::new(
        SyncErrorKind::Budget,
        format!(
            "{texts} texts need about {tokens} tokens, and the budget allows {allowed}: nothing was sent; allow more \
             with --max-cost{otherwise}"
        ),
    ))
}
