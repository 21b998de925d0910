//! What the readers of plain files share: files that must stay as they are, a thread that reads ahead, and numbers
//! of other people's making.

mod file;
mod numbers;
mod texts;

pub(crate) use crate::outlet::{Outlet, Stop, stream};
pub(crate) use file::SourceFile;
pub(crate) use numbers::{Numbers, half};
pub(crate) use texts::fault_in_texts;

/// No model makes longer vectors, and no backend takes them.
pub(crate) const MOST_DIMENSIONS: u64 = 65_536;
