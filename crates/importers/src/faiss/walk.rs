//! Goes through the vectors of an index, holding one at a time.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};

use storage_core::{Embedding, ImportError};

use crate::reading::{SourceFile, Stop};

use super::layout::{Layout, Vectors};
use super::lists::Entry;

const BLOCK: usize = 256 << 10;

/// One vector of an index.
#[derive(Debug)]
pub(crate) struct Step {
    /// Its place in the order of reading, from 0.
    pub(crate) position: u64,
    /// Its id: the position where the index has no other. `None` where a file that is cut short does not say.
    pub(crate) id: Option<i64>,
    /// Whether an earlier vector had the same id.
    pub(crate) repeated: bool,
    /// The vector, or why there is none.
    pub(crate) vector: Result<Embedding, String>,
}

/// The ids of an index, one after the other.
struct Ids<'a> {
    layout: &'a Layout,
    file: &'a SourceFile,
    reader: Option<(BufReader<File>, u64)>,
    // Positions do not repeat, and ids of lists come sorted.
    seen: HashSet<i64>,
    last: Option<i64>,
}

impl<'a> Ids<'a> {
    fn open(layout: &'a Layout, file: &'a SourceFile) -> Result<Self, ImportError> {
        Ok(Self {
            layout,
            file,
            reader: match layout.ids {
                Some(ids) => Some((open(file, ids.offset, BLOCK)?, ids.present)),
                None => None,
            },
            seen: HashSet::new(),
            last: None,
        })
    }

    /// The id at this position, which is one after that of the last call; and whether it came before.
    fn next(&mut self, position: u64) -> Result<(Option<i64>, bool), ImportError> {
        if let Some((reader, present)) = &mut self.reader {
            if position >= *present {
                return Ok((None, false));
            }
            let id = number(reader, self.file)?;
            return Ok((Some(id), !self.seen.insert(id)));
        }
        match &self.layout.vectors {
            Vectors::Row { .. } => Ok((i64::try_from(position).ok(), false)),
            Vectors::Listed(entries) => {
                let id = entry(entries, position).map(|entry| entry.id);
                let repeated = id.is_some() && id == std::mem::replace(&mut self.last, id);
                Ok((id, repeated))
            }
        }
    }
}

fn entry(entries: &[Entry], position: u64) -> Option<&Entry> {
    entries.get(usize::try_from(position).ok()?)
}

pub(super) fn ids(
    layout: &Layout,
    file: &SourceFile,
    each: &mut dyn FnMut(Option<i64>, bool),
) -> Result<(), ImportError> {
    let mut ids = Ids::open(layout, file)?;
    for position in 0..layout.total {
        let (id, repeated) = ids.next(position)?;
        each(id, repeated);
    }
    Ok(())
}

pub(super) fn walk(
    layout: &Layout,
    file: &SourceFile,
    each: &mut dyn FnMut(Step) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut ids = Ids::open(layout, file)?;
    let size = layout.coding.size(layout.dimensions.get());
    let mut code = vec![0; usize::try_from(size).unwrap_or_default()];
    let mut codes = match layout.vectors {
        Vectors::Row { offset, .. } => open(file, offset, BLOCK)?,
        // Each vector is somewhere else: what follows it would be read for nothing.
        Vectors::Listed(_) => open(file, 0, 0)?,
    };
    for position in 0..layout.total {
        let (id, repeated) = ids.next(position)?;
        let present = match &layout.vectors {
            Vectors::Row { present, .. } => position < *present,
            Vectors::Listed(entries) => match entry(entries, position) {
                Some(entry) => {
                    codes
                        .seek(SeekFrom::Start(entry.offset))
                        .map_err(|error| file.failed(error))?;
                    true
                }
                None => false,
            },
        };
        let vector = if present {
            codes
                .read_exact(&mut code)
                .map_err(|error| file.failed(error))?;
            let numbers = layout.coding.decode(&code, layout.dimensions.get());
            Embedding::new(numbers).map_err(|error| error.to_string())
        } else {
            Err("the file ends before this vector".to_owned())
        };
        each(Step {
            position,
            id,
            repeated,
            vector,
        })?;
    }
    Ok(())
}

fn open(file: &SourceFile, offset: u64, ahead: usize) -> Result<BufReader<File>, ImportError> {
    let mut opened = file.open()?;
    opened
        .seek(SeekFrom::Start(offset))
        .map_err(|error| file.failed(error))?;
    Ok(BufReader::with_capacity(ahead, opened))
}

fn number(reader: &mut BufReader<File>, file: &SourceFile) -> Result<i64, ImportError> {
    let mut bytes = [0; 8];
    reader
        .read_exact(&mut bytes)
        .map_err(|error| file.failed(error))?;
    Ok(i64::from_le_bytes(bytes))
}
