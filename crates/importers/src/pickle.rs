//! Reads pickles as data and never as the programs they are.
//!
//! A pickle tells a machine what to build, and may tell it to call anything. This reader knows the opcodes that data is
//! made of. A class is taken only if the caller lists it by module and name, and yields its name and its state: nothing
//! is looked up, nothing is called. Whatever else is asked for is refused by its name.
//!
//! Parts of a pickle may be shared. Here they stay shared, in one list, so a file takes memory in proportion to its
//! length; and what would be endless or huge for somebody who walks it is refused before anybody does.

mod machine;
mod unfold;
mod value;

use std::fmt;

pub use value::{Node, Object, Pickle, Value};

/// What a pickle may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How deep containers may nest.
    pub depth: u32,
    /// Bytes of memory for what is built, without the file itself.
    pub memory: u64,
    /// Values and bytes of text together that are met by walking the whole, every shared part as often as it is used.
    pub unfolded: u64,
}

impl Limits {
    /// What an honest file of this length needs, with room.
    #[must_use]
    pub fn for_length(bytes: u64) -> Self {
        Self {
            depth: 64,
            memory: (1 << 20) + bytes.saturating_mul(96),
            unfolded: (1 << 20) + bytes.saturating_mul(64),
        }
    }
}

/// A pickle that is not read: where, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickleError {
    /// Position of the opcode in the file.
    pub offset: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// Why a pickle is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It ends before it is complete.
    Truncated,
    /// It asks for something that data does not need; the name of what it asks for.
    Refused(String),
    /// It is no pickle, or one that contradicts itself.
    Malformed(&'static str),
    /// It is more than its length justifies.
    TooLarge(&'static str),
}

impl fmt::Display for PickleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Truncated => f.write_str("the pickle ends too early")?,
            Reason::Refused(name) => write!(f, "the pickle asks for {name}, which is refused")?,
            Reason::Malformed(why) => write!(f, "not a pickle that can be read: {why}")?,
            Reason::TooLarge(what) => write!(f, "the pickle is too large: {what}")?,
        }
        write!(f, " (byte {})", self.offset)
    }
}

impl std::error::Error for PickleError {}

/// Reads a whole pickle of protocol 2 to 5. Of classes only those in `classes`, pairs of module and name, are taken;
/// also for what they would be called with, which stays data too.
///
/// # Errors
/// Says at which byte the pickle ends, contradicts itself, asks for what is not data, or exceeds the limits.
pub fn read<'a>(
    bytes: &'a [u8],
    classes: &[(&str, &str)],
    limits: Limits,
) -> Result<Pickle<'a>, PickleError> {
    let pickle = machine::run(bytes, classes, limits)?;
    unfold::check(&pickle, limits).map_err(|reason| PickleError {
        offset: bytes.len(),
        reason,
    })?;
    Ok(pickle)
}

#[cfg(test)]
mod tests;
