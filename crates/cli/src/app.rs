//! What every command works with.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use storage_core::{
    CollectionName, EmbeddingSpace, EmbeddingStore, RunId, StoreStatus, Timestamp, Version,
};
use sync_engine::IMPORTED;

use crate::args::OnStoreError;
use crate::exit::{ExitCode, Failure};
use crate::output::Output;
use crate::parts::{self, Access, Opening};
use crate::settings::Settings;
use embedder_client::Embedder;

/// Settings, output and the start of the process.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) output: Output,
    pub(crate) started: Instant,
    /// The command as it was typed, without its arguments: they may hold what is nobody's business.
    pub(crate) command: &'static str,
    /// Whether more was asked for with `-v`.
    pub(crate) verbose: bool,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

/// An open store, and why it is not the one that was asked for, if so.
pub(crate) struct OpenStore {
    pub(crate) store: Arc<dyn EmbeddingStore>,
    pub(crate) degraded: Option<String>,
}

impl App {
    pub(crate) fn collection(&self) -> &CollectionName {
        &self.settings.collection
    }

    /// Opens the store.
    pub(crate) async fn open(
        &self,
        access: Access,
        dimensions: Option<u32>,
    ) -> Result<Arc<dyn EmbeddingStore>, Failure> {
        let opening = Opening {
            access,
            dimensions,
            wait: self.settings.wait,
            writer: self.writer(),
        };
        Ok(parts::open(&self.settings.store, opening).await?)
    }

    /// How a command that looks after the store wants it: nobody else writes meanwhile.
    pub(crate) fn opening(&self) -> Opening {
        Opening {
            access: Access::Write,
            dimensions: None,
            wait: self.settings.wait,
            writer: self.writer(),
        }
    }

    /// What others are told who find the store busy.
    fn writer(&self) -> String {
        format!(
            "pid {} on {} since {} (smart-support {})",
            std::process::id(),
            gethostname::gethostname().to_string_lossy(),
            humantime::format_rfc3339_seconds(SystemTime::now()),
            self.command
        )
    }

    /// Opens the store, or with `--on-store-error memory` an empty one in its place, and says so loudly.
    pub(crate) async fn open_or_memory(
        &self,
        access: Access,
        dimensions: Option<u32>,
    ) -> Result<OpenStore, Failure> {
        match self.open(access, dimensions).await {
            Ok(store) => Ok(OpenStore {
                store,
                degraded: None,
            }),
            Err(failure) if self.settings.on_store_error == OnStoreError::Memory => {
                let reason = format!("working in memory, nothing is kept: {failure}");
                tracing::warn!("DEGRADED: {reason}");
                Ok(OpenStore {
                    store: parts::memory(),
                    degraded: Some(reason),
                })
            }
            Err(failure) => Err(failure),
        }
    }

    /// An embedder of a space that is in the store: the settings say how it is reached, the space says what it is.
    pub(crate) fn embedder_of(
        &self,
        status: &StoreStatus,
        space: &EmbeddingSpace,
    ) -> Result<Arc<dyn Embedder>, Failure> {
        let settings = self
            .settings
            .embedder_of(space, is_shortened(status, space))?;
        let embedder = parts::embedder(&settings, self.output)?;
        if embedder.spec().is(&space.model) {
            return Ok(embedder);
        }
        Err(Failure::new(
            ExitCode::Refused,
            format!(
                "provider {} gives {} otherwise than when its vectors were made: other weights, prefixes or dimensions; \
                 set what was set then",
                space.provider, space.model
            ),
        ))
    }

    /// The embedder for a collection that exists. Where the settings name the model of another version of it, one that
    /// was served before or is built beside, the version that is served decides: a promotion needs no new settings.
    pub(crate) fn embedder_for(
        &self,
        status: &StoreStatus,
        configured: Arc<dyn Embedder>,
    ) -> Result<Arc<dyn Embedder>, Failure> {
        self.embedder_for_collection(status, self.collection(), configured)
    }

    /// The same for a collection that something else than the settings names.
    pub(crate) fn embedder_for_collection(
        &self,
        status: &StoreStatus,
        collection: &CollectionName,
        configured: Arc<dyn Embedder>,
    ) -> Result<Arc<dyn Embedder>, Failure> {
        let (Some(found), Some(active)) =
            (status.collection(collection), status.active(collection))
        else {
            return Ok(configured);
        };
        let spec = configured.spec();
        let knows = |version: &Version| {
            status
                .space(&version.space)
                .is_some_and(|space| spec.is(&space.model))
        };
        if spec.is(&active.model) {
            // Settings that name no number fit every width of the model, and the one that is served is meant.
            return if spec.dimensions.is_none() && is_shortened(status, active) {
                self.embedder_of(status, active)
            } else {
                Ok(configured)
            };
        }
        if !found.versions.iter().any(knows) {
            return Ok(configured);
        }
        tracing::warn!(
            "Collection {collection} serves {} now, the settings say {}: going with what it serves (set \
             EMBEDDING_MODEL_NAME={})",
            active.model,
            spec.name,
            active.model.name
        );
        self.embedder_of(status, active)
    }

    /// The embedder that was configured.
    pub(crate) fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure> {
        Ok(parts::embedder(&self.settings.embedder()?, self.output)?)
    }
}

/// Whether vectors of one model are stored in more than one width: then its provider shortens them, and must be asked
/// for the right one.
fn is_shortened(status: &StoreStatus, space: &EmbeddingSpace) -> bool {
    let model = &space.model;
    status
        .spaces
        .iter()
        .any(|other| other.model.name == model.name && other.model.dimensions != model.dimensions)
}

/// The clock, read in one place.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A name for this run: readable, and different from every other run of this machine.
pub(crate) fn run_id() -> RunId {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    RunId::new(format!("{:x}-{:x}", since.as_nanos(), std::process::id()))
        .expect("hexadecimal digits and a dash are a valid name")
}

/// The version a collection serves, checked against the embedder that is to ask it.
pub(crate) fn active_version<'a>(
    status: &'a StoreStatus,
    collection: &CollectionName,
    embedder: Option<&dyn Embedder>,
) -> Result<Option<&'a EmbeddingSpace>, Failure> {
    let Some(active) = status.active(collection) else {
        return Ok(None);
    };
    match embedder.map(Embedder::spec) {
        Some(spec) if !spec.is(&active.model) && active.provider == IMPORTED => Err(Failure::new(
            ExitCode::Refused,
            format!(
                "collection {collection} holds imported vectors of {}, the configured embedder is {}; set \
                 EMBEDDING_PROVIDER to whoever serves that model, and EMBEDDING_MODEL_NAME={}, or ask with a vector of it \
                 (--query-vector)",
                active.model, spec.name, active.model.name,
            ),
        )),
        Some(spec) if !spec.is(&active.model) => Err(Failure::new(
            ExitCode::Refused,
            format!(
                "collection {collection} is embedded with {} of provider {}, the configured embedder is {}{}; set \
                 EMBEDDING_PROVIDER={} and EMBEDDING_MODEL_NAME={}, or embed everything anew with `smart-support \
                 migrate --force-recompute`",
                active.model,
                active.provider,
                spec.name,
                spec.dimensions
                    .map_or_else(String::new, |dimensions| format!(
                        " ({dimensions} dimensions)"
                    )),
                active.provider,
                active.model.name,
            ),
        )),
        _ => Ok(Some(active)),
    }
}
