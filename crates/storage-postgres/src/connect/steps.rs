//! Which step of connecting was reached, seen from the connector that tokio-postgres calls; and our own errors carried
//! through the error type of the pool.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use storage_core::StoreError;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{MakeTlsConnect, NoTlsStream, TlsConnect};
use tokio_postgres::{Config, Socket};

/// A step of getting to a store, each of which fails for reasons of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step {
    /// What was said of the server can be read.
    Settings,
    /// Its name has an address.
    Name,
    /// It listens, and answers.
    Server,
    /// It shows who it is.
    Tls,
    /// It lets us in.
    Login,
    /// It has the database.
    Database,
    /// The database has pgvector.
    Extension,
}

impl Step {
    /// All of them, first things first.
    pub const ALL: [Self; 7] = [
        Self::Settings,
        Self::Name,
        Self::Server,
        Self::Tls,
        Self::Login,
        Self::Database,
        Self::Extension,
    ];

    /// The step in which connecting failed; `None` for an error of something else.
    #[must_use]
    pub fn of(error: &StoreError) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|step| step.operation() == error.operation())
    }

    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Settings => "connect: settings",
            Self::Name => "connect: name",
            Self::Server => "connect: server",
            Self::Tls => "connect: tls",
            Self::Login => "connect: login",
            Self::Database => "connect: database",
            Self::Extension => "connect: extension",
        }
    }
}

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    /// The name is looked up.
    Name,
    /// The address is known, nobody has answered.
    Dialled,
    /// Somebody listens; what they speak is not known.
    Answered,
    /// The server offers TLS.
    Offered,
    /// The server has shown who it is, and what is said now is about us.
    Encrypted,
}

impl Progress {
    /// The step that was under way.
    pub(crate) fn step(self) -> Step {
        match self {
            Self::Name => Step::Name,
            Self::Dialled | Self::Answered => Step::Server,
            Self::Offered => Step::Tls,
            Self::Encrypted => Step::Login,
        }
    }

    const ALL: [Self; 5] = [
        Self::Name,
        Self::Dialled,
        Self::Answered,
        Self::Offered,
        Self::Encrypted,
    ];
}

/// A connector that notes when it is called.
#[derive(Clone)]
pub(crate) struct Watched<T> {
    inner: T,
    reached: Arc<AtomicU8>,
}

impl<T> Watched<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self {
            inner,
            reached: Arc::new(AtomicU8::new(Progress::Dialled as u8)),
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress::ALL[usize::from(self.reached.load(Ordering::Relaxed))]
    }
}

impl<T> MakeTlsConnect<Socket> for Watched<T>
where
    T: MakeTlsConnect<Socket>,
    T::TlsConnect: Send + 'static,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    type Stream = T::Stream;
    type TlsConnect = Watched<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Self::Error> {
        self.reached
            .store(Progress::Answered as u8, Ordering::Relaxed);
        Ok(Watched {
            inner: self.inner.make_tls_connect(domain)?,
            reached: Arc::clone(&self.reached),
        })
    }
}

impl<T> TlsConnect<Socket> for Watched<T>
where
    T: TlsConnect<Socket> + Send + 'static,
    T::Future: Send,
{
    type Stream = T::Stream;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<T::Stream, T::Error>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        let Self { inner, reached } = self;
        Box::pin(async move {
            reached.store(Progress::Offered as u8, Ordering::Relaxed);
            let stream = inner.connect(stream).await?;
            reached.store(Progress::Encrypted as u8, Ordering::Relaxed);
            Ok(stream)
        })
    }
}

/// Puts an error of ours into one of tokio-postgres, the only kind the pool hands on: as that of a TLS connector that
/// is called at once and has it ready.
pub(crate) async fn wrap(error: StoreError) -> tokio_postgres::Error {
    let mut config = Config::new();
    config
        .ssl_mode(SslMode::Require)
        .ssl_negotiation(SslNegotiation::Direct);
    match config.connect_raw(tokio::io::empty(), Carrier(error)).await {
        Err(error) => error,
        Ok(_) => unreachable!("the connector that was handed in only fails"),
    }
}

/// Takes it out again.
pub(crate) fn unwrap(error: tokio_postgres::Error) -> Result<StoreError, tokio_postgres::Error> {
    let ours = std::error::Error::source(&error).is_some_and(|cause| cause.is::<StoreError>());
    if !ours {
        return Err(error);
    }
    let cause = error.into_source().expect("it was looked at above");
    let known = cause
        .downcast::<StoreError>()
        .expect("it was looked at above");
    Ok(*known)
}

struct Carrier(StoreError);

impl TlsConnect<tokio::io::Empty> for Carrier {
    type Stream = NoTlsStream;
    type Error = StoreError;
    type Future = Ready<Result<NoTlsStream, StoreError>>;

    fn connect(self, _: tokio::io::Empty) -> Self::Future {
        ready(Err(self.0))
    }
}
