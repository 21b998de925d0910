//! Reads the rows of a PostgreSQL table or query as a source: the one source that holds a driver.
//!
//! Everything is read in one transaction that may not write and sees one moment, through a cursor, in bounded memory.
//! How a server is reached (addresses, TLS, passwords) is not decided here: [`Connect`] is given by whoever knows, so
//! that there is one set of rules for every connection of the product, and no secret in this crate.

mod connect;
mod failure;
mod reading;
mod relation;
mod source;
mod values;

pub use connect::{Connect, Connected};
pub use relation::Relation;
pub use source::{CatalogOptions, CatalogSource, KIND};

/// What is embedded of a product where nobody says otherwise. A field that a row lacks leaves no gap.
pub const EMBED_TEXT: &str = "{name} {brand} {category} {description}";
