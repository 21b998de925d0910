//! What the store does, each operation as a function over a connection that is inside a transaction already.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod kept;
pub(crate) mod ledger;
pub(crate) mod pages;
pub(crate) mod read;
pub(crate) mod scan;
pub(crate) mod status;
pub(crate) mod undo;
pub(crate) mod vectors;
pub(crate) mod versions;
