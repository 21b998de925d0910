//! What the store does, one named transaction each.

pub(crate) mod adopt;
pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod kept;
pub(crate) mod ledger;
pub(crate) mod read;
pub(crate) mod scan;
pub(crate) mod status;
pub(crate) mod undo;
pub(crate) mod vectors;
pub(crate) mod versions;
