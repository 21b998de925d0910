//! Inverted lists: codes and ids by list, in no order that means anything.

use storage_core::{ImportError, ImportErrorKind};

use super::scanner::Scanner;

/// FAISS advises a few times the root of the number of vectors.
const MOST_LISTS: u64 = 4 << 20;

/// A vector's id, and where in the file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) offset: u64,
}

/// What the index says of its lists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) lists: u64,
    pub(super) code_size: u64,
    pub(super) total: u64,
}

/// Reads the ids of all lists, sorted; and what is missing, where that is put up with.
pub(super) fn read(
    scanner: &mut Scanner<'_>,
    wanted: Wanted,
    salvage: bool,
) -> Result<(Vec<Entry>, Option<String>), ImportError> {
    let (lists, code_size) = (scanner.u64()?, scanner.u64()?);
    if lists != wanted.lists || code_size != wanted.code_size {
        return Err(scanner.damaged(format_args!(
            "{lists} lists of {code_size} bytes a vector, where {} of {} belong",
            wanted.lists, wanted.code_size
        )));
    }
    let sizes = sizes(scanner, wanted)?;
    let mut sum = 0_u64;
    for size in &sizes {
        sum = sum.saturating_add(*size);
    }
    if sum != wanted.total {
        return Err(scanner.damaged(format_args!(
            "{sum} vectors in all lists, where {} belong",
            wanted.total
        )));
    }
    // Checked: no more than are read at a time, and no more than the file has room for.
    let room = sum.min(scanner.left() / 8);
    let mut entries = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    let mut missing = None;
    for size in sizes {
        // No overflow: sizes add up to a number of vectors that was checked, codes are bounded by the dimensions.
        if salvage && size * (code_size + 8) > scanner.left() {
            missing = Some(format!(
                "the file ends after the lists of {} of {} vectors",
                entries.len(),
                wanted.total
            ));
            scanner.skip(scanner.left())?;
            break;
        }
        let codes = scanner.position();
        scanner.skip(size * code_size)?;
        for position in 0..size {
            let id = scanner.i64()?;
            entries.push(Entry {
                id,
                offset: codes + position * code_size,
            });
        }
    }
    entries.sort_unstable();
    Ok((entries, missing))
}

/// The sizes of the lists that have any, in their order.
fn sizes(scanner: &mut Scanner<'_>, wanted: Wanted) -> Result<Vec<u64>, ImportError> {
    let letters = scanner.letters()?;
    let count = scanner.count(8)?;
    if count > 2 * MOST_LISTS {
        return Err(ImportError::new(
            ImportErrorKind::TooLarge,
            format!(
                "{} lists, at most {MOST_LISTS} are read: {}",
                wanted.lists,
                scanner.file.name()
            ),
        ));
    }
    match &letters {
        b"full" if count == wanted.lists => (0..count).map(|_| scanner.u64()).collect(),
        b"sprs" if count.is_multiple_of(2) => {
            let mut pairs = Vec::new();
            for _ in 0..count / 2 {
                let (list, size) = (scanner.u64()?, scanner.u64()?);
                if list >= wanted.lists {
                    return Err(scanner
                        .damaged(format_args!("list {list}, and there are {}", wanted.lists)));
                }
                pairs.push((list, size));
            }
            pairs.sort_unstable();
            if pairs.windows(2).any(|two| two[0].0 == two[1].0) {
                return Err(scanner.damaged("a list stands twice in the table of lists"));
            }
            Ok(pairs.into_iter().map(|(_, size)| size).collect())
        }
        b"full" | b"sprs" => Err(scanner.damaged(format_args!(
            "a table of {count} numbers for {} lists",
            wanted.lists
        ))),
        _ => Err(scanner.damaged("the table of lists is missing")),
    }
}
