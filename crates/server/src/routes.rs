//! One file for each group of addresses.

pub(crate) mod described;
pub(crate) mod documents;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod models;
pub(crate) mod predict;
pub(crate) mod search;
pub(crate) mod vectors;
