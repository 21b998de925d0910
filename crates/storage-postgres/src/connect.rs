//! Connecting, step by step: look-up, TCP, TLS, authentication, database. A refusal names the step, the place, the
//! reason and what to type next; no step waits longer than the connect timeout.
//!
//! The pool's connections and the dedicated ones are made here and nowhere else.

mod examine;
mod extension;
mod failure;
mod guest;
mod session;
mod steps;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "connect/tls_absent.rs"]
mod tls;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use futures_util::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use storage_core::{StoreError, StoreErrorKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_postgres::config::{ChannelBinding, SslMode as WireMode};
use tokio_postgres::{AsyncMessage, Client, Config, Notification, SimpleQueryMessage};

use crate::error::Failure;
use crate::open::patience;
use crate::options::{Endpoint, Host, PostgresOptions, SslMode, TargetSession, configuration};
use steps::{Progress, Watched};

pub use examine::{Server, examine};
pub use extension::Extension;
pub(crate) use extension::{ExtensionState, check_extension, extension_state};
pub use guest::{Guest, connect_as_guest};
pub(crate) use session::{local_settings, quoted, search_path, session_settings};
pub use steps::Step;

/// A connection whose other side has gone is noticed within about this long.
const DEAD_AFTER: Duration = Duration::from_secs(30);

/// How a connection is protected, for one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protection {
    None,
    /// TLS where it is offered: on this machine only, where nobody stands in between.
    Offered,
    Named(SslMode),
}

/// The pool of connections for reading, made when they are first needed.
pub(crate) fn pool(options: &PostgresOptions) -> Result<Pool, StoreError> {
    let connector = Connector {
        options: Arc::new(options.clone()),
        tls: Tls::new(options)?,
    };
    // `Clean` would take back what the session was set to, and `Fast` would hand out a connection that is half dead.
    let manager = Manager::from_connect(
        Config::new(),
        connector,
        ManagerConfig {
            recycling_method: RecyclingMethod::Verified,
        },
    );
    Pool::builder(manager)
        .max_size(options.pool_size)
        .runtime(Runtime::Tokio1)
        // Several servers with several addresses each may have to be tried, and each bounds itself.
        .wait_timeout(Some(options.connect_timeout.max(options.wait)))
        .recycle_timeout(Some(options.connect_timeout))
        .build()
        .map_err(|error| {
            StoreError::new(
                StoreErrorKind::Internal,
                "connect",
                "the pool of connections cannot be made",
            )
            .with_source(error)
        })
}

/// A connection of its own: for the writer's lock, and to listen.
#[derive(Debug)]
pub(crate) struct Session {
    /// Ask here.
    pub(crate) client: Client,
    /// What the server sends unasked, after a `LISTEN`; ends with the connection.
    pub(crate) notifications: mpsc::UnboundedReceiver<Notification>,
    task: JoinHandle<()>,
    /// After the client: an idle connection says good-bye.
    _end: Ends,
}

impl Session {
    /// Says good-bye, so that the server lets go of locks before this returns, and at most a second is waited for it.
    pub(crate) async fn close(self) {
        let Self {
            client,
            mut task,
            _end,
            ..
        } = self;
        drop(client);
        // One that has not ended by then is ended.
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut task).await;
    }
}

/// Ends what serves a connection. Left to itself it would wait for answers that are still due, and of a server that fell
/// silent none ever comes.
#[derive(Debug)]
struct Ends(Option<AbortHandle>);

impl Ends {
    fn of(task: &JoinHandle<()>) -> Self {
        Self(Some(task.abort_handle()))
    }

    /// Somebody else sees to it.
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Opens a dedicated connection.
pub(crate) async fn connect_once(options: &PostgresOptions) -> Result<Session, StoreError> {
    let (sender, notifications) = mpsc::unbounded_channel();
    let tls = Tls::new(options)?;
    let (client, task) = open(options, &tls, Some(sender)).await?;
    Ok(Session {
        client,
        notifications,
        _end: Ends::of(&task),
        task,
    })
}

/// Why the pool gave no connection.
pub(crate) fn pool_failure(options: &PostgresOptions, error: PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => diagnose(options, error),
        PoolError::Timeout(_) => StoreError::new(
            StoreErrorKind::Unavailable,
            Step::Server.operation(),
            format!(
                "all {} connections are in use; try again, or allow more with POSTGRES_POOL_SIZE: {}",
                options.pool_size,
                options.describe()
            ),
        ),
        error => StoreError::new(
            StoreErrorKind::Internal,
            "connect",
            format!("the pool gave no connection: {}", options.describe()),
        )
        .with_source(error),
    }
}

/// What a failure of tokio-postgres while connecting means: a failed step is named by the step itself.
pub(crate) fn diagnose(options: &PostgresOptions, error: tokio_postgres::Error) -> StoreError {
    match steps::unwrap(error) {
        Ok(known) => known,
        Err(error) => failure::of(
            error,
            &failure::Asked::somewhere(options),
            Progress::Answered,
        ),
    }
}

/// Waits for an answer as long as one may take.
async fn answered<T>(
    options: &PostgresOptions,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(patience(options), answer).await {
        Ok(answer) => answer.map_err(|error| diagnose(options, error)),
        Err(_) => Err(Failure::Silent.at(Step::Server.operation(), &options.describe())),
    }
}

/// What stays the same for all connections.
#[derive(Clone)]
struct Tls {
    checked: tls::Connector,
    /// For `Offered`: takes any certificate, as it would take no TLS at all.
    unchecked: tls::Connector,
}

impl Tls {
    fn new(options: &PostgresOptions) -> Result<Self, StoreError> {
        let remote = |endpoint: &Endpoint| {
            !matches!(
                protection(options, endpoint),
                Protection::None | Protection::Offered
            )
        };
        let unchecked = tls::unchecked()?;
        let checked = if options.insecure_tls {
            if matches!(
                options.ssl_mode,
                Some(SslMode::VerifyCa | SslMode::VerifyFull)
            ) {
                return Err(configuration(
                    "insecure-tls takes any certificate, and sslmode=verify-… checks it; leave one of them out",
                ));
            }
            tls::Connector::clone(&unchecked)
        } else if options.endpoints.iter().any(remote) {
            let names = options
                .ssl_mode
                .is_none_or(|mode| mode == SslMode::VerifyFull);
            tls::checked(options.ssl_root_cert.as_ref(), names)?
        } else {
            tls::Connector::clone(&unchecked)
        };
        Ok(Self { checked, unchecked })
    }
}

/// How a connection to this server is protected.
fn protection(options: &PostgresOptions, endpoint: &Endpoint) -> Protection {
    match (&endpoint.host, options.ssl_mode) {
        // There is no TLS on a socket.
        (Host::Unix(_), _) | (_, Some(SslMode::Disable)) => Protection::None,
        (_, Some(mode)) => Protection::Named(mode),
        (_, None) if options.insecure_tls => Protection::Named(SslMode::Require),
        (_, None) if options.ssl_root_cert.is_some() || !endpoint.is_local() => {
            Protection::Named(SslMode::VerifyFull)
        }
        (_, None) => Protection::Offered,
    }
}

struct Connector {
    options: Arc<PostgresOptions>,
    tls: Tls,
}

type Connecting<'a> = Pin<
    Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + 'a>,
>;

impl deadpool_postgres::Connect for Connector {
    fn connect(&self, _: &Config) -> Connecting<'_> {
        Box::pin(async move {
            match open(&self.options, &self.tls, None).await {
                Ok(connected) => Ok(connected),
                Err(error) => Err(steps::wrap(error).await),
            }
        })
    }
}

/// Tries one server after the other. Only one that cannot be reached, or is of the wrong sort, leads to the next: a
/// refusal would be hidden otherwise.
async fn open(
    options: &PostgresOptions,
    tls: &Tls,
    notifications: Option<mpsc::UnboundedSender<Notification>>,
) -> Result<(Client, JoinHandle<()>), StoreError> {
    let rounds: &[TargetSession] = match options.target_session {
        TargetSession::PreferStandby => &[TargetSession::Standby, TargetSession::Any],
        ref one => std::slice::from_ref(one),
    };
    let mut failures: Vec<StoreError> = Vec::new();
    for target in rounds {
        failures.clear();
        for endpoint in &options.endpoints {
            match endpoint_session(options, tls, endpoint, *target, notifications.clone()).await {
                Ok(connected) => return Ok(connected),
                Err(error) if error.kind() == StoreErrorKind::Unavailable => failures.push(error),
                Err(error) => return Err(error),
            }
        }
    }
    Err(match failures.len() {
        0 => configuration("no host is named; set POSTGRES_HOST"),
        1 => failures.remove(0),
        count => {
            let list: Vec<String> = failures.iter().map(ToString::to_string).collect();
            StoreError::new(
                StoreErrorKind::Unavailable,
                Step::Server.operation(),
                format!("none of the {count} servers will do: {}", list.join("; ")),
            )
        }
    })
}

/// All addresses of one server, in turn.
async fn endpoint_session(
    options: &PostgresOptions,
    tls: &Tls,
    endpoint: &Endpoint,
    target: TargetSession,
    notifications: Option<mpsc::UnboundedSender<Notification>>,
) -> Result<(Client, JoinHandle<()>), StoreError> {
    let asked = failure::Asked::of(options, endpoint);
    let mut last = None;
    for address in addresses(options, endpoint, &asked).await? {
        match attempt(
            options,
            tls,
            endpoint,
            address,
            target,
            notifications.clone(),
        )
        .await
        {
            Ok(connected) => return Ok(connected),
            Err(error) if error.kind() == StoreErrorKind::Unavailable => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| failure::no_address(&asked, None)))
}

/// Step one: the name's addresses. A socket has none.
async fn addresses(
    options: &PostgresOptions,
    endpoint: &Endpoint,
    asked: &failure::Asked,
) -> Result<Vec<Option<IpAddr>>, StoreError> {
    let name = match (&endpoint.host, endpoint.address) {
        (Host::Unix(_), _) => return Ok(vec![None]),
        (_, Some(address)) => return Ok(vec![Some(address)]),
        (Host::Tcp(name), None) => name.as_str(),
    };
    let look_up = tokio::net::lookup_host((name, endpoint.port));
    let found = match tokio::time::timeout(options.connect_timeout, look_up).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(failure::no_address(asked, Some(error))),
        Err(_) => {
            return Err(failure::too_slow(
                asked,
                options.connect_timeout,
                Progress::Name,
            ));
        }
    };
    Ok(found
        .map(|address: SocketAddr| Some(address.ip()))
        .collect())
}

/// The other steps, on one address.
async fn attempt(
    options: &PostgresOptions,
    tls: &Tls,
    endpoint: &Endpoint,
    address: Option<IpAddr>,
    target: TargetSession,
    notifications: Option<mpsc::UnboundedSender<Notification>>,
) -> Result<(Client, JoinHandle<()>), StoreError> {
    let asked = failure::Asked::of(options, endpoint).at(address);
    let protection = protection(options, endpoint);
    let connector = match protection {
        Protection::Named(_) => tls::Connector::clone(&tls.checked),
        Protection::None | Protection::Offered => tls::Connector::clone(&tls.unchecked),
    };
    let watched = Watched::new(connector);
    let config = config(options, endpoint, address, protection)?;
    let steps = async {
        let (client, connection) = config.connect(watched.clone()).await?;
        let task = tokio::spawn(drive(connection, notifications));
        let unwanted = Ends::of(&task);
        let connected = Connected {
            client,
            task,
            unwanted,
        };
        let fits = fits(&connected.client, target).await?;
        Ok::<_, tokio_postgres::Error>((connected, fits))
    };
    match tokio::time::timeout(options.connect_timeout, steps).await {
        Err(_) => Err(failure::too_slow(
            &asked,
            options.connect_timeout,
            watched.progress(),
        )),
        Ok(Err(error)) => Err(failure::of(error, &asked, watched.progress())),
        Ok(Ok((_, false))) => Err(failure::wrong_sort(&asked, target)),
        Ok(Ok((connected, true))) => Ok(connected.into_parts()),
    }
}

/// A connection that ends when it is not wanted after all.
struct Connected {
    client: Client,
    task: JoinHandle<()>,
    unwanted: Ends,
}

impl Connected {
    fn into_parts(self) -> (Client, JoinHandle<()>) {
        self.unwanted.not();
        (self.client, self.task)
    }
}

fn config(
    options: &PostgresOptions,
    endpoint: &Endpoint,
    address: Option<IpAddr>,
    protection: Protection,
) -> Result<Config, StoreError> {
    let Some(user) = options.user.as_deref() else {
        return Err(configuration(
            "no user is named; write postgres://USER@host/database, or set POSTGRES_USER",
        ));
    };
    let database = options.database().unwrap_or(user);
    let mut config = Config::new();
    match &endpoint.host {
        Host::Tcp(name) => config.host(name),
        Host::Unix(directory) => config.host_path(directory),
    };
    if let Some(address) = address {
        config.hostaddr(address);
    }
    config
        .port(endpoint.port)
        .user(user)
        .dbname(database)
        .application_name(&options.application_name)
        .connect_timeout(options.connect_timeout)
        .tcp_user_timeout(DEAD_AFTER)
        .keepalives(true)
        .keepalives_idle(DEAD_AFTER)
        .keepalives_interval(Duration::from_secs(10))
        .keepalives_retries(3)
        .ssl_mode(match protection {
            Protection::None => WireMode::Disable,
            Protection::Offered => WireMode::Prefer,
            Protection::Named(_) => WireMode::Require,
        });
    if options.channel_binding_required {
        config.channel_binding(ChannelBinding::Require);
    }
    if let Some(startup) = &options.startup_options {
        config.options(startup);
    }
    if let Some(password) = password(options, endpoint, database, user) {
        config.password(password.expose_secret());
    }
    Ok(config)
}

fn password(
    options: &PostgresOptions,
    endpoint: &Endpoint,
    database: &str,
    user: &str,
) -> Option<SecretString> {
    options.password.clone().or_else(|| {
        let host = match &endpoint.host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(directory) => directory.display().to_string(),
        };
        options.passwords.find(&host, endpoint.port, database, user)
    })
}

/// Whether this server is of the sort that is wanted.
async fn fits(client: &Client, target: TargetSession) -> Result<bool, tokio_postgres::Error> {
    if matches!(target, TargetSession::Any | TargetSession::PreferStandby) {
        return Ok(true);
    }
    let answer = client
        .simple_query(include_str!("queries/sort_of_server.sql"))
        .await?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let is = |column| row.and_then(|row| row.get(column)) == Some("on");
    let (standby, read_only) = (is(0), is(1));
    Ok(match target {
        TargetSession::Any | TargetSession::PreferStandby => true,
        TargetSession::ReadWrite => !standby && !read_only,
        TargetSession::ReadOnly => standby || read_only,
        TargetSession::Primary => !standby,
        TargetSession::Standby => standby,
    })
}

/// Serves a connection until its client is dropped or the server goes.
async fn drive<S, T>(
    mut connection: tokio_postgres::Connection<S, T>,
    notifications: Option<mpsc::UnboundedSender<Notification>>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut messages =
        futures_util::stream::poll_fn(move |context| connection.poll_message(context));
    while let Some(message) = messages.next().await {
        match message {
            Ok(AsyncMessage::Notification(notification)) => {
                if let Some(sender) = &notifications {
                    // Nobody listens any more: the client is on its way out.
                    let _ = sender.send(notification);
                }
            }
            Ok(AsyncMessage::Notice(notice)) => {
                tracing::debug!(
                    severity = notice.severity(),
                    code = notice.code().code(),
                    "the server says {}",
                    notice.message()
                );
            }
            Ok(_) => {}
            // Whoever asks next gets this as the error of the question.
            Err(error) => {
                tracing::debug!(%error, "a connection ended");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
