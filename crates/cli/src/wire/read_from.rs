//! Where a store is read that is written elsewhere.

use serde::Serialize;

/// Where a store is read that is written elsewhere.
#[derive(Debug, Serialize)]
pub(crate) struct ReadFrom {
    pub(crate) place: String,
    pub(crate) standby: bool,
    pub(crate) generation: u64,
    /// Null where the primary could not be asked.
    pub(crate) primary_generation: Option<u64>,
    /// How many changes it lacks.
    pub(crate) behind: Option<u64>,
}

impl From<storage_core::ReadFrom> for ReadFrom {
    fn from(read: storage_core::ReadFrom) -> Self {
        let behind =
            |primary: storage_core::Generation| primary.0.saturating_sub(read.generation.0);
        Self {
            behind: read.primary.map(behind),
            place: read.place,
            standby: read.standby,
            generation: read.generation.0,
            primary_generation: read.primary.map(|primary| primary.0),
        }
    }
}
