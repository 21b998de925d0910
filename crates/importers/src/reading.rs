//! What the readers of plain files share: files that must stay as they are, a thread that reads ahead, numbers and
//! metadata of other people's making.

mod file;
mod numbers;
mod outlet;
mod values;

pub(crate) use file::SourceFile;
pub(crate) use numbers::Numbers;
pub(crate) use outlet::{Outlet, Stop, stream};
pub(crate) use values::{fault_in_texts, metadata_value};

/// No model makes longer vectors, and no backend takes them.
pub(crate) const MOST_DIMENSIONS: u64 = 65_536;
