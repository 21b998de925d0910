//! How the server is reached: by somebody else.

use std::any::Any;
use std::fmt;

use async_trait::async_trait;
use faq_source::SourceError;
use tokio_postgres::Client;

/// A session that is ours until it is dropped.
pub struct Connected {
    /// Ask here.
    pub client: Client,
    /// What keeps the session alive, and ends it when dropped.
    pub line: Box<dyn Any + Send>,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").finish_non_exhaustive()
    }
}

/// Reaches one database.
#[async_trait]
pub trait Connect: fmt::Debug + Send + Sync {
    /// Server and database as a person writes them: never a password.
    fn describe(&self) -> String;

    /// Opens a session, on the runtime this is called in.
    ///
    /// # Errors
    /// `Unavailable` when the server is not there or not now, `Unreadable` when it does not let us in. The message says
    /// what to do, and holds no secret.
    async fn connect(&self) -> Result<Connected, SourceError>;
}
