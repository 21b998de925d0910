//! Connections: accepted within a bound, cut off when they are too slow, and brought to an end when the service is.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;

use crate::service::Service;

/// After an accept that failed: descriptors may be short, and asking again at once would only burn time.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Answers until `end` comes; then takes no connection and no further request, answers what was accepted within its
/// time, and returns.
///
/// # Errors
/// None today: what goes wrong with one connection is the end of that one.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    service: Arc<Service>,
    end: impl Future<Output = ()>,
) -> io::Result<()> {
    let limits = service.settings.limits;
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes.max(8192));
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = tokio::select! {
            () = &mut end => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else {
            tokio::time::sleep(AFTER_FAILURE).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.write_time));
        let connection = http.serve_connection(
            TokioIo::new(Box::pin(stream)),
            TowerToHyperService::new(router.clone()),
        );
        let connection = open.watch(connection);
        let metrics = Arc::clone(&service.metrics);
        metrics.connections.inc();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {error}");
            }
            metrics.connections.dec();
            drop(place);
        });
    }
    service.end();
    drop(listener);
    tracing::info!("ending: no further connection; what was accepted is answered");
    // What was accepted is answered, and a job that runs stores what it has paid for.
    let all = async { tokio::join!(open.shutdown(), service.idle()) };
    if tokio::time::timeout(limits.shutdown_time, all)
        .await
        .is_err()
    {
        tracing::warn!(
            "some connections were still open, or a job still ran, after {} s",
            limits.shutdown_time.as_secs()
        );
    }
    Ok(())
}

/// A connection and its place; `None` when the system has none to give.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!("a connection could not be accepted: {error}");
            None
        }
    }
}
