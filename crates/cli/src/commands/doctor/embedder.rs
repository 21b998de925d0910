//! The embedder: configured, within reach, and the one the store was embedded with.

use std::time::Duration;

use embedder_client::{EmbedError, EmbedErrorKind, Embedder, Meter, Purpose, SpendLimits};

use super::finding::Finding;
use super::store::Opened;
use crate::app::{self, App};
use crate::parts;
use crate::settings::{EmbedderSettings, Provider};

const EMBEDDER: &str = "embedder";
const PROVIDER: &str = "provider";
const MODEL: &str = "model";
const WEIGHTS: &str = "weights";

/// A look is not worth waiting longer for.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn look(app: &App, opened: Option<&Opened>) -> Vec<Finding> {
    let built = app.settings.embedder().and_then(|settings| {
        let embedder = parts::embedder(&impatient(settings.clone()), app.output)?;
        Ok((settings, embedder))
    });
    let (settings, embedder) = match built {
        Ok(built) => built,
        Err(failure) => {
            let advice = "smart-support config show --origin";
            let mut findings = vec![Finding::failure(EMBEDDER, &failure, advice)];
            for name in [WEIGHTS, PROVIDER, MODEL] {
                findings.push(Finding::skipped(name, "no embedder is configured"));
            }
            return findings;
        }
    };
    let spec = embedder.spec();
    let mut findings = vec![Finding::fine(
        EMBEDDER,
        format!("{} with the model {}", embedder.provider(), spec.name),
    )];
    findings.push(weights(&settings));
    let answer = ask(&settings, &*embedder).await;
    let answered = match &answer {
        Answer::Dimensions(dimensions) => Some(*dimensions),
        Answer::Finding(_) => None,
    };
    findings.push(answer.into_finding(&settings));
    findings.push(model(app, opened, &*embedder, answered));
    findings
}

/// One attempt, soon given up.
fn impatient(settings: EmbedderSettings) -> EmbedderSettings {
    EmbedderSettings {
        max_retries: 0,
        timeout: settings.timeout.min(PATIENCE),
        longest_wait: Duration::ZERO,
        ..settings
    }
}

/// The first search, or the first probe of a container, should not be the one that downloads a model.
fn weights(settings: &EmbedderSettings) -> Finding {
    if settings.provider != Provider::Local {
        return Finding::fine(WEIGHTS, "no model runs in this process");
    }
    match parts::weights_at_hand(settings) {
        Ok(path) => Finding::fine(WEIGHTS, format!("{} is there and right", path.display())),
        Err(error) => Finding::failure(WEIGHTS, &error.into(), "smart-support model fetch"),
    }
}

enum Answer {
    Dimensions(u32),
    Finding(Finding),
}

impl Answer {
    fn into_finding(self, settings: &EmbedderSettings) -> Finding {
        match self {
            Self::Finding(finding) => finding,
            Self::Dimensions(dimensions) => Finding::fine(
                PROVIDER,
                format!(
                    "{} answered one request of one word with {dimensions} numbers",
                    settings.provider.name()
                ),
            ),
        }
    }
}

async fn ask(settings: &EmbedderSettings, embedder: &dyn Embedder) -> Answer {
    let why = match settings.provider {
        Provider::Hash => "hash needs no provider; it is for tests and demos and knows no meaning",
        Provider::Local => "the local model needs no provider",
        _ if settings.offline => "it would cost one request, and --offline forbids it",
        Provider::OpenAi | Provider::Ollama => {
            let meter = Meter::new(SpendLimits {
                requests: Some(1),
                tokens: None,
            });
            let word = ["doctor".to_owned()];
            return match embedder.embed(&word, Purpose::Query, &meter).await {
                Ok(embedded) => match embedded.vectors.first() {
                    Some(vector) => Answer::Dimensions(vector.dimensions()),
                    None => Answer::Finding(Finding::fault(
                        PROVIDER,
                        "the provider answered without a vector",
                        "check EMBEDDING_BASE_URL and EMBEDDING_MODEL_NAME",
                    )),
                },
                Err(error) => Answer::Finding(refused(error)),
            };
        }
    };
    Answer::Finding(Finding::skipped(PROVIDER, why))
}

fn refused(error: EmbedError) -> Finding {
    const CHECK: &str = "check EMBEDDING_BASE_URL, and whether the provider is up";
    let away = error.kind() == EmbedErrorKind::Unavailable;
    let mut finding = Finding::failure(PROVIDER, &error.into(), CHECK);
    // A run says "try again later"; whoever asks a doctor has tried.
    if let Some(advice) = finding.remedy.as_mut().filter(|_| away) {
        advice.push_str("; if it stays so, ");
        advice.push_str(CHECK);
    }
    finding
}

/// A question asked with another model than the answers were embedded with finds nonsense.
fn model(
    app: &App,
    opened: Option<&Opened>,
    embedder: &dyn Embedder,
    answered: Option<u32>,
) -> Finding {
    let Some(Opened { status, .. }) = opened else {
        return Finding::skipped(MODEL, "there is no open store to compare with");
    };
    match app::active_version(status, app.collection(), Some(embedder)) {
        Err(failure) => {
            Finding::failure(MODEL, &failure, "smart-support migrate --force-recompute")
        }
        Ok(None) => Finding::skipped(MODEL, "the store serves no model yet"),
        Ok(Some(version)) => match answered {
            Some(found) if found != version.model.dimensions.get() => Finding::fault(
                MODEL,
                format!(
                    "embedding dimension mismatch: the store has {}, the provider answers with {found}",
                    version.model.dimensions
                ),
                format!(
                    "name the model that the store has (EMBEDDING_MODEL_NAME={}), or embed everything anew: \
                     smart-support migrate --force-recompute",
                    version.model.name
                ),
            ),
            _ => Finding::fine(
                MODEL,
                format!("the store is embedded with {}", version.model),
            ),
        },
    }
}
