//! Cells of pages, and the values in them. Nothing here knows what a value means; everything may be nonsense.

use crate::salvage::pages::Pages;

/// The largest value we would write.
const LARGEST: u64 = 64 << 20;

/// A stored value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    /// As bytes: damaged text may be no text.
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Value {
    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub(crate) fn blob(&self) -> Option<&[u8]> {
        match self {
            Self::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        *self == Self::Null
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(bytes) => ValueRef::Text(bytes),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// What kind of page this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    TableLeaf,
    TableInterior,
    IndexLeaf,
    IndexInterior,
}

/// A page of a tree.
pub(crate) struct Node<'a> {
    pub(crate) kind: Kind,
    page: &'a [u8],
    /// Where its header begins: the first page has the file's header before it.
    start: usize,
}

/// A row of a table, or an entry of an index, whose row number is its last value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    /// Of a table's row only.
    pub(crate) rowid: Option<i64>,
    pub(crate) values: Vec<Value>,
}

impl<'a> Node<'a> {
    pub(crate) fn of(page: &'a [u8], number: u32) -> Option<Self> {
        let start = if number == 1 { 100 } else { 0 };
        let kind = match page.get(start)? {
            2 => Kind::IndexInterior,
            5 => Kind::TableInterior,
            10 => Kind::IndexLeaf,
            13 => Kind::TableLeaf,
            _ => return None,
        };
        Some(Self { kind, page, start })
    }

    /// Takes a page of no known kind for a table's: its cells prove themselves or not.
    pub(crate) fn presumed(page: &'a [u8]) -> Self {
        Self {
            kind: Kind::TableLeaf,
            page,
            start: 0,
        }
    }

    fn pointers(&self) -> impl Iterator<Item = usize> {
        let count = short(self.page, self.start + 3).unwrap_or(0);
        let first = self.start
            + match self.kind {
                Kind::TableInterior | Kind::IndexInterior => 12,
                Kind::TableLeaf | Kind::IndexLeaf => 8,
            };
        let page = self.page;
        (0..count).filter_map(move |at| short(page, first + 2 * at))
    }

    /// The pages below an interior page.
    pub(crate) fn children(&self) -> Vec<u32> {
        if !matches!(self.kind, Kind::TableInterior | Kind::IndexInterior) {
            return Vec::new();
        }
        let below = self.pointers().filter_map(|at| long(self.page, at));
        below.chain(long(self.page, self.start + 8)).collect()
    }

    /// How many cells the page says it has.
    pub(crate) fn claimed(&self) -> usize {
        short(self.page, self.start + 3).unwrap_or(0)
    }

    /// Every cell that can be read, of rows and entries with as many values as are wanted.
    pub(crate) fn cells(&self, pages: &Pages, wanted: impl Fn(usize) -> bool) -> Vec<Cell> {
        if self.kind == Kind::TableInterior {
            return Vec::new();
        }
        self.pointers()
            .filter_map(|at| self.cell(at, pages, &wanted))
            .collect()
    }

    fn cell(&self, at: usize, pages: &Pages, wanted: &impl Fn(usize) -> bool) -> Option<Cell> {
        let usable = self.page.len();
        let mut at = at
            + if self.kind == Kind::IndexInterior {
                4
            } else {
                0
            };
        let (length, read) = varint(self.page, at)?;
        at += read;
        let rowid = if self.kind == Kind::TableLeaf {
            let (rowid, read) = varint(self.page, at)?;
            at += read;
            Some(rowid.cast_signed())
        } else {
            None
        };
        if length > LARGEST {
            return None;
        }
        let length = usize::try_from(length).ok()?;
        // What does not fit goes to a chain of pages; how much stays is the file format's formula.
        let most = if self.kind == Kind::TableLeaf {
            usable - 35
        } else {
            (usable - 12) * 64 / 255 - 23
        };
        let local = if length <= most {
            length
        } else {
            let least = (usable - 12) * 32 / 255 - 23;
            let kept = least + (length - least) % (usable - 4);
            if kept <= most { kept } else { least }
        };
        let kept = self.page.get(at..at + local)?;
        // The values' types stand first, so most cells that are not wanted end here.
        let count = types(kept)?.len();
        if !wanted(count) {
            return None;
        }
        if local == length {
            return decode(kept).map(|values| Cell { rowid, values });
        }
        let mut payload = kept.to_vec();
        let mut next = long(self.page, at + local)?;
        while payload.len() < length {
            let page = pages.page(next)?;
            let rest = (length - payload.len()).min(usable - 4);
            payload.extend_from_slice(page.get(4..4 + rest)?);
            next = long(&page, 0)?;
        }
        decode(&payload).map(|values| Cell { rowid, values })
    }
}

fn short(bytes: &[u8], at: usize) -> Option<usize> {
    let pair = bytes.get(at..at + 2)?;
    Some(usize::from(u16::from_be_bytes([pair[0], pair[1]])))
}

pub(crate) fn long(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

/// A number of one to nine bytes, seven bits in each but the ninth.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut number = 0u64;
    for read in 0..8 {
        let byte = *bytes.get(at + read)?;
        number = number << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((number, read + 1));
        }
    }
    Some((number << 8 | u64::from(*bytes.get(at + 8)?), 9))
}

fn types(payload: &[u8]) -> Option<Vec<u64>> {
    let (length, mut at) = varint(payload, 0)?;
    let length = usize::try_from(length).ok()?;
    let mut types = Vec::new();
    while at < length {
        let (kind, read) = varint(payload, at)?;
        types.push(kind);
        at += read;
    }
    (at == length && length <= payload.len()).then_some(types)
}

fn decode(payload: &[u8]) -> Option<Vec<Value>> {
    let types = types(payload)?;
    let mut at = usize::try_from(varint(payload, 0)?.0).ok()?;
    let mut values = Vec::with_capacity(types.len());
    for kind in types {
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => usize::try_from((kind - 12) / 2).ok()?,
        };
        let bytes = payload.get(at..at.checked_add(length)?)?;
        at += length;
        values.push(match kind {
            0 => Value::Null,
            1..=6 => {
                let sign = if bytes[0] & 0x80 == 0 { 0u64 } else { u64::MAX };
                let number = bytes
                    .iter()
                    .fold(sign, |number, byte| number << 8 | u64::from(*byte));
                Value::Integer(number.cast_signed())
            }
            7 => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            even if even % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(bytes.to_vec()),
        });
    }
    (at == payload.len()).then_some(values)
}
