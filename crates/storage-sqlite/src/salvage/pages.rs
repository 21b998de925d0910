//! The pages of a file that SQLite may not want to open, and of the log beside it: read one by one, trusted in
//! nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::descriptors::Shared;
use crate::error::Outcome;
use crate::{header, log};

/// Page sizes of the file format, the ones we choose first.
const SIZES: [usize; 8] = [65_536, 32_768, 16_384, 8_192, 4_096, 2_048, 1_024, 512];

/// A file as pages, with what the log says instead.
pub(crate) struct Pages {
    file: RefCell<Shared>,
    size: usize,
    count: u32,
    logged: HashMap<u32, Vec<u8>>,
    /// Pages of the log behind a damaged one: SQLite ignores them, whatever was paid for is still in them.
    pub(crate) beyond: Vec<Vec<u8>>,
}

impl Pages {
    /// `None` for a file in which there is no page of a database.
    pub(crate) fn open(path: &Path) -> Outcome<Option<Self>> {
        let read = || -> io::Result<Option<Self>> {
            let mut file = Shared::open(path)?;
            let length = file.metadata()?.len();
            let log = log::read(path)?;
            let Some(size) = page_size(&mut file, length)?.or(log.page_size) else {
                return Ok(None);
            };
            let logged = if log.page_size == Some(size) {
                log.pages
            } else {
                HashMap::new()
            };
            let in_file = u32::try_from(length.div_ceil(size as u64)).unwrap_or(u32::MAX);
            let in_log = logged.keys().max().copied().unwrap_or(0);
            Ok(Some(Self {
                file: RefCell::new(file),
                size,
                count: in_file.max(in_log),
                logged,
                beyond: log.beyond,
            }))
        };
        read().map_err(|error| header::unreadable(error, path))
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Pages are numbered from 1.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// A page; what lies behind the file's end is zeroes, and what the disk cannot read is no page.
    pub(crate) fn page(&self, number: u32) -> Option<Vec<u8>> {
        if let Some(page) = self.logged.get(&number) {
            return Some(page.clone());
        }
        if number == 0 || number > self.count {
            return None;
        }
        let mut page = vec![0; self.size];
        let mut file = self.file.borrow_mut();
        file.seek(SeekFrom::Start((u64::from(number) - 1) * self.size as u64))
            .ok()?;
        let mut filled = 0;
        loop {
            match file.read(&mut page[filled..]) {
                Ok(0) => return Some(page),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

/// The size the header names, unless the pages say otherwise.
fn page_size(file: &mut Shared, length: u64) -> io::Result<Option<usize>> {
    const LOOKED_AT: u64 = 4 << 20;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(LOOKED_AT.min(length)).read_to_end(&mut bytes)?;
    let named = match bytes.get(16..18) {
        Some([0, 1]) => 65_536,
        Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    let score = |size: usize| {
        let pages = bytes.chunks_exact(size).enumerate();
        let trees = pages.filter(|(at, page)| is_tree(page, if *at == 0 { 100 } else { 0 }));
        trees.count() * size
    };
    let best = SIZES.into_iter().max_by_key(|size| score(*size));
    Ok(match best {
        Some(best) if score(best) > 0 => {
            if SIZES.contains(&named) && 2 * score(named) >= score(best) {
                Some(named)
            } else {
                Some(best)
            }
        }
        // A file of one page, and that one damaged: the header is all there is to go by.
        _ => SIZES
            .contains(&named)
            .then_some(named)
            .filter(|_| bytes.starts_with(b"SQLite format 3\0")),
    })
}

/// Whether a page looks like one of a tree: a known kind, and every cell inside.
fn is_tree(page: &[u8], at: usize) -> bool {
    let Some(kind) = page.get(at) else {
        return false;
    };
    let pointers = at
        + match kind {
            2 | 5 => 12,
            10 | 13 => 8,
            _ => return false,
        };
    let cells = usize::from(u16::from_be_bytes([page[at + 3], page[at + 4]]));
    let Some(array) = page.get(pointers..pointers + 2 * cells) else {
        return false;
    };
    let (pairs, _) = array.as_chunks::<2>();
    pairs.iter().all(|pair| {
        (pointers + 2 * cells..page.len()).contains(&usize::from(u16::from_be_bytes(*pair)))
    })
}
