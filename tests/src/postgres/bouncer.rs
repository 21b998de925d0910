//! A pgbouncer of a test's own.

use postgres_harness::{Behind, Bouncer, SUPERUSER};

use super::PrivateServer;

impl PrivateServer {
    /// Puts pgbouncer in front of this server, with these lines in its section `[pgbouncer]`; where there is none, skips
    /// loudly.
    #[must_use]
    pub fn bouncer(&self, settings: &[(&str, &str)]) -> Option<Bouncer> {
        let server = super::server()?;
        let behind = Behind {
            port: self.port(),
            user: SUPERUSER.to_owned(),
            password: self.cluster().password().to_owned(),
        };
        Some(Bouncer::start(server.pgbouncer()?, &behind, settings).unwrap())
    }
}
