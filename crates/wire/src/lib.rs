//! The JSON shapes that the command line and the service share. Keys are part of the contract: more may be added, none
//! renamed. Domain types are not serialisable; here they are converted.

#[cfg(feature = "schema")]
#[macro_use]
mod shape;
#[cfg(not(feature = "schema"))]
#[macro_use]
#[path = "shape_absent.rs"]
mod shape;

mod model;
mod search;
mod time;

pub use model::Model;
pub use search::{Hit, Search, SearchMilliseconds};
pub use time::time;
