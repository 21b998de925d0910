//! The service: HTTP over a store, its index in memory, and jobs that change it.
//!
//! A request takes the current [`Snapshot`] once and works with that: no lock, no store, no clock of another request.
//! A task of its own follows the store's generation and swaps the snapshot; what cannot be read leaves the last good one
//! in place, and says so. Changes go through `sync-engine`, one job after the other.
//!
//! Nothing here reads the environment or knows a backend: a [`Backend`] brings both.

mod apart;
mod backend;
mod connection;
mod drift;
mod guard;
mod jobs;
mod keys;
mod limits;
mod metrics;
mod parameters;
mod problem;
mod questions;
mod refresh;
mod request;
mod router;
mod routes;
mod searches;
mod service;
mod settings;
mod shapes;
mod snapshot;
mod work;

pub use backend::{Backend, ServiceError, ServiceErrorKind, Workshop};
pub use connection::serve;
pub use keys::{ApiKey, ApiKeys, Role};
pub use limits::Limits;
pub use refresh::follow;
pub use router::{description, router};
pub use service::Service;
pub use settings::ServiceSettings;
pub use snapshot::{Served, Snapshot};
