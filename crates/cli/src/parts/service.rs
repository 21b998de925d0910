//! The service: a runtime, a listener, signals, and the backend that it is composed of.

mod backend;
mod client;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use server::{ApiKey, ApiKeys, Role, Service, ServiceSettings, follow, router};
use storage_core::StoreErrorKind;
use tokio::net::TcpListener;

use crate::app::App;
use crate::args::KeyRole;
use crate::commands::serve::{KnownBy, ServiceKey, Serving};
use crate::exit::{ExitCode, Failure, usage};
use crate::parts::{self, Access};
use crate::private_file;
use crate::settings::SourceSettings;

use backend::Composed;

pub(crate) use client::{Question, ask};

/// A store that cannot be opened for reasons that time does not mend ends the service; this long is it asked first.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// What is to be kept of a key.
pub(crate) fn hash_key(key: &SecretString) -> Result<String, Failure> {
    Ok(ApiKey::hash_of(key))
}

/// Serves until it is told to end.
pub(crate) fn serve(app: &Arc<App>, serving: Serving) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("http")
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(run(app, serving));
    // What is still blocked, such as a read of a store that is away, must not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run(app: &Arc<App>, serving: Serving) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new()?;
    let keys = serving
        .keys
        .iter()
        .map(key)
        .collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        tracing::warn!(
            "no key is set: whoever is on this machine may do everything (SMART_SUPPORT_API_KEY; smart-support key new \
             makes one)"
        );
    }
    check_source(serving.source.as_ref())?;
    let backend = Arc::new(Composed::new(
        app,
        serving.source,
        serving.refresh,
        serving.chunking,
    ));
    first_look(app).await?;
    let settings = ServiceSettings {
        top_k: serving.top_k,
        threshold: serving.threshold,
        confidence: serving.confidence,
        keys: ApiKeys::new(keys),
        ..ServiceSettings::new(app.collection().clone())
    };
    let service = Service::new(backend, settings)?;
    let listener = listen(&serving.addresses).await?;
    let address = listener.local_addr()?;
    if let Some(path) = &serving.port_file {
        private_file::write(path, format!("{address}\n").as_bytes())?;
    }
    tracing::info!("listening on http://{address}");
    let follower = tokio::spawn(follow(Arc::clone(&service)));
    let router = router(&service);
    let ended = server::serve(listener, router, service, async {
        signals.next().await;
        // The second one leaves at once, which is as safe as a power cut.
        tokio::spawn(async move {
            let code = signals.next().await;
            std::process::exit(code as i32);
        });
    })
    .await;
    follower.abort();
    ended?;
    tracing::info!("ended");
    Ok(ExitCode::Done)
}

/// Ends the service for what is wrong with the store and does not mend itself.
async fn first_look(app: &App) -> Result<(), Failure> {
    let opening = parts::Opening {
        access: Access::Stay,
        ..app.opening()
    };
    let location = app.settings.store.clone();
    let runtime = tokio::runtime::Handle::current();
    // Apart: a file that is waited for blocks its thread.
    let look = tokio::task::spawn_blocking(move || {
        runtime.block_on(parts::open(&location, opening)).map(drop)
    });
    match tokio::time::timeout(FIRST_LOOK, look).await {
        Ok(Ok(Err(error))) if stays(error.kind()) => Err(error.into()),
        _ => Ok(()),
    }
}

fn stays(kind: StoreErrorKind) -> bool {
    matches!(
        kind,
        StoreErrorKind::Unsupported
            | StoreErrorKind::Configuration
            | StoreErrorKind::Foreign
            | StoreErrorKind::SchemaNew
            | StoreErrorKind::SchemaOld
    )
}

/// A source is read again and again, and to its end: standard input is read once, and a pipe may never end.
fn check_source(source: Option<&SourceSettings>) -> Result<(), Failure> {
    let Some(path) = source.and_then(SourceSettings::file) else {
        return Ok(());
    };
    let is_other = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    if path == Path::new("-") || is_other {
        return Err(usage(format!(
            "the service reads its source whenever it is asked to: {} is no file and no directory; name one with \
             --faq-path",
            path.display()
        )));
    }
    Ok(())
}

async fn listen(addresses: &[SocketAddr]) -> Result<TcpListener, Failure> {
    TcpListener::bind(addresses).await.map_err(|error| {
        let named: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        usage(format!(
            "cannot listen on {}: {error}; name another address with --listen",
            named.join(" or ")
        ))
    })
}

fn key(key: &ServiceKey) -> Result<ApiKey, Failure> {
    let role = match key.role {
        KeyRole::Read => Role::Read,
        KeyRole::Admin => Role::Admin,
    };
    match &key.known_by {
        KnownBy::Text(text) => Ok(ApiKey::new(&key.name, role, text)),
        KnownBy::Hash(hash) => ApiKey::from_hash(&key.name, role, hash)
            .map_err(|error| usage(format!("the hash of key {}: {error}", key.name))),
    }
}

/// What ends a service.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) -> ExitCode {
        tokio::select! {
            _ = self.interrupt.recv() => ExitCode::Interrupted,
            _ = self.terminate.recv() => ExitCode::Terminated,
        }
    }

    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps, reason = "as on the other systems")]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> ExitCode {
        let _ = tokio::signal::ctrl_c().await;
        ExitCode::Interrupted
    }
}
