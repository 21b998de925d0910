//! The terms of a sync: what it may do, what it may spend, how texts are sent.

use embedder_client::Embedder;
use serde::{Deserialize, Serialize};
use storage_core::EmbedText;
use sync_engine::{DeleteAllowance, Selection, SyncPolicy};

use crate::app::App;
use crate::args::SyncArgs;
use crate::exit::{Failure, usage};
use crate::settings::{BatchSettings, SpendSettings};

/// What a sync may do, in the words it was typed with: so a plan can repeat them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct PolicyWords {
    pub(super) allow_delete: Option<String>,
    pub(super) only: Vec<String>,
    pub(super) category: Option<String>,
    pub(super) force: bool,
    #[serde(default)]
    pub(super) missing: bool,
    #[serde(default)]
    pub(super) stale: bool,
}

impl PolicyWords {
    pub(super) fn of(args: &SyncArgs) -> Self {
        Self {
            allow_delete: args.allow_delete.clone(),
            only: args.only.clone(),
            category: args.category.clone(),
            force: args.force_recompute,
            missing: args.missing,
            stale: args.stale,
        }
    }
}

/// What a sync may do, by its flags.
pub(super) fn policy(
    words: &PolicyWords,
    embed_text: Option<EmbedText>,
) -> Result<SyncPolicy, Failure> {
    let deletes = match words.allow_delete.as_deref().map(str::trim) {
        None => DeleteAllowance::default(),
        Some(text) => {
            let wrong = || {
                usage(format!(
                    "--allow-delete is {text:?}; expected a number of rows or a share such as 50%"
                ))
            };
            match text.strip_suffix('%') {
                Some(percent) => {
                    let percent = percent
                        .trim()
                        .parse()
                        .ok()
                        .filter(|percent| (0.0..=100.0).contains(percent));
                    DeleteAllowance::Percent(percent.ok_or_else(wrong)?)
                }
                None => DeleteAllowance::Count(text.parse().map_err(|_| wrong())?),
            }
        }
    };
    Ok(SyncPolicy {
        deletes,
        selection: Selection {
            ids: words.only.iter().cloned().collect(),
            category: words.category.clone(),
            missing: words.missing,
            stale: words.stale,
            whole: false,
        },
        force_recompute: words.force,
        embed_text,
        first_embed_text: None,
    })
}

/// What the run may spend; what runs in process costs nothing.
pub(crate) fn spend(app: &App, embedder: &dyn Embedder) -> Result<SpendSettings, Failure> {
    let spend = app.settings.spend(&embedder.spec().name)?;
    Ok(match embedder.provider() {
        "local" | "hash" => SpendSettings {
            max_cost: None,
            price: Some(0.0),
            ..spend
        },
        _ if spend.max_cost.is_some() && spend.price.is_none() => {
            return Err(usage(
                "--max-cost needs the price: set EMBEDDING_PRICE, or [prices] in the settings file, to what the provider \
                 takes for a million tokens, in USD",
            ));
        }
        _ => spend,
    })
}

/// `, $0.0021`, where the price is known.
pub(crate) fn dollars(cost: Option<f64>) -> String {
    cost.map_or_else(String::new, |cost| format!(", ${cost:.4}"))
}

/// A model in process gains nothing from calls in flight, and wants larger batches than an API; what the user chose
/// holds.
pub(crate) fn batches(settings: BatchSettings, embedder: &dyn Embedder) -> BatchSettings {
    match embedder.provider() {
        "local" | "hash" if !settings.given => BatchSettings {
            size: 16,
            concurrency: 1,
            given: false,
        },
        _ => settings,
    }
}
