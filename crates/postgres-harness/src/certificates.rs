//! The certificates of test servers: an authority, a server's certificate under it, and an authority that has nothing
//! to do with either. The program `make-certificates` writes them.

use std::path::{Path, PathBuf};

/// A directory of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    /// Those of this directory.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// The authority that signed the server's certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// An authority that signed nothing.
    #[must_use]
    pub fn unrelated_authority(&self) -> PathBuf {
        self.directory.join("unrelated-ca.pem")
    }

    /// The server's certificate, for `localhost` and `127.0.0.1`.
    #[must_use]
    pub fn server(&self) -> PathBuf {
        self.directory.join("server.pem")
    }

    /// The key of the server's certificate.
    #[must_use]
    pub fn server_key(&self) -> PathBuf {
        self.directory.join("server.key")
    }
}
