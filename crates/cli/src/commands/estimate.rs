//! An estimate in words: what a dry run tells a person.

use sync_engine::{Estimate, TokensBy};

/// Calls, tokens and money, with what is known of each.
pub(crate) fn amount(estimate: &Estimate, cost: Option<f64>) -> String {
    let tokens = match (estimate.tokens, estimate.tokens_by) {
        (0, _) => "0 tokens".to_owned(),
        (tokens, TokensBy::Tokenizer) => format!("{tokens} tokens (by the model's tokenizer)"),
        (tokens, TokensBy::Estimate) => format!("about {tokens} tokens (estimated)"),
    };
    let cost = cost.map_or_else(
        || "cost unknown (set EMBEDDING_PRICE)".to_owned(),
        |cost| format!("${cost:.4}"),
    );
    format!("{} requests, {tokens}, {cost}", estimate.requests)
}

/// How long it takes, and how that is known.
pub(crate) fn time(estimate: &Estimate) -> String {
    match (estimate.seconds, &estimate.pace) {
        (Some(seconds), Some(pace)) => format!(
            "Time: about {seconds:.1} s, at the pace of run {} ({} texts in {:.1} s)",
            pace.run, pace.texts, pace.seconds
        ),
        (Some(_), None) => "Time: nothing to wait for".to_owned(),
        (None, _) => "Time: unknown, as no finished run with this model is in the store".to_owned(),
    }
}
