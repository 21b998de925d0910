//! Where an index keeps its vectors and ids. Objects nest; what only serves searching is passed over.

use std::num::NonZeroU32;

use storage_core::{ImportError, ImportErrorKind, Metric};

use crate::reading::{MOST_DIMENSIONS, SourceFile};

use super::coding::{Coding, Product, Scalar};
use super::scanner::Scanner;
use super::{MOST_VECTORS, WAY_OUT, lists};

/// Real indexes nest three deep.
const MOST_NESTED: u32 = 8;

/// What a file holds.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) dimensions: NonZeroU32,
    pub(super) metric: Metric,
    /// Vectors by its own count.
    pub(super) total: u64,
    pub(super) vectors: Vectors,
    pub(super) coding: Coding,
    /// Offset of the ids: id i belongs to position i.
    pub(super) ids: Option<Ids>,
    /// Whether vectors were divided by their norms.
    pub(super) normalised: bool,
    /// What a salvage had to do without, in words.
    pub(super) missing: Option<String>,
}

/// A table of ids in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    pub(super) offset: u64,
    /// How many of them are there: fewer than vectors in a salvage only.
    pub(super) present: u64,
}

/// Where the codes of the vectors are.
#[derive(Debug, Clone)]
pub(super) enum Vectors {
    /// One after the other.
    Row {
        offset: u64,
        /// How many of them are there: fewer than `total` in a salvage only.
        present: u64,
    },
    /// Each with its id, by id.
    Listed(Vec<lists::Entry>),
}

impl Layout {
    /// Reads a whole file.
    pub(super) fn read(file: &SourceFile, salvage: bool) -> Result<Self, ImportError> {
        let mut parser = Parser {
            scanner: Scanner::open(file)?,
            salvage,
            missing: None,
        };
        let mut layout = parser.index(0)?;
        if parser.missing.is_none() && parser.scanner.left() > 0 {
            let fact = format!("{} bytes follow the index", parser.scanner.left());
            if !salvage {
                return Err(parser.scanner.damaged(fact));
            }
            parser.missing = Some(fact);
        }
        layout.missing = parser.missing;
        file.unchanged()?;
        Ok(layout)
    }

    /// How the vectors differ from those that were added.
    pub(super) fn lossy(&self) -> Option<String> {
        let normalised = self
            .normalised
            .then(|| "the vectors' lengths, divided out before they were added".to_owned());
        match (self.coding.lossy(), normalised) {
            (Some(coding), Some(normalised)) => Some(format!("{coding}; {normalised}")),
            (coding, normalised) => coding.or(normalised),
        }
    }
}

/// What every index begins with.
#[derive(Debug, Clone, Copy)]
struct Header {
    dimensions: NonZeroU32,
    total: u64,
    metric: i32,
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    salvage: bool,
    missing: Option<String>,
}

impl Parser<'_> {
    fn index(&mut self, depth: u32) -> Result<Layout, ImportError> {
        if depth == MOST_NESTED {
            return Err(self.scanner.damaged(format_args!(
                "more than {MOST_NESTED} indexes within each other"
            )));
        }
        let letters = self.scanner.letters()?;
        match &letters {
            b"IxF2" | b"IxFI" | b"IxFl" => self.flat(&letters),
            b"IxMp" | b"IxM2" => self.id_map(depth),
            b"IHNf" | b"IHNs" | b"IHNp" => self.hnsw(&letters, depth),
            b"IwFl" => self.inverted(depth),
            b"IxSQ" => self.scalar(),
            b"IxPq" => self.product(),
            b"IxPT" => self.transformed(depth),
            b"null" => Err(self.scanner.file.unsupported(
                "the index was written without its vectors (hnsw without storage), write it with them",
            )),
            other => Err(self.refuse(other, "an index", depth)),
        }
    }

    /// Names what is not read. Letters that are none mean that this is no FAISS file at all.
    fn refuse(&self, letters: &[u8; 4], what: &str, depth: u32) -> ImportError {
        let printable = letters.iter().all(u8::is_ascii_alphanumeric);
        if !printable && depth == 0 {
            return self.scanner.file.unsupported("the file is no FAISS index");
        }
        if !printable {
            return self
                .scanner
                .damaged(format_args!("{what} should begin here, and does not"));
        }
        let name = String::from_utf8_lossy(letters);
        self.scanner.file.unsupported(format_args!(
            "{what} of type `{name}` is not read, {WAY_OUT}"
        ))
    }

    fn header(&mut self) -> Result<Header, ImportError> {
        let d = self.scanner.i32()?;
        let total = self.scanner.i64()?;
        self.scanner.skip(16)?;
        self.scanner.flag()?;
        let metric = self.scanner.i32()?;
        if metric > 1 {
            self.scanner.f32()?;
        }
        let dimensions = u32::try_from(d).ok().and_then(NonZeroU32::new);
        let Some(dimensions) = dimensions.filter(|d| u64::from(d.get()) <= MOST_DIMENSIONS) else {
            return Err(self.scanner.damaged(format_args!("vectors of {d} numbers")));
        };
        let Ok(total) = u64::try_from(total) else {
            return Err(self.scanner.damaged(format_args!("{total} vectors")));
        };
        // FAISS has some twenty metrics.
        if !(0..1_000).contains(&metric) {
            return Err(self.scanner.damaged(format_args!("metric {metric}")));
        }
        if total > MOST_VECTORS {
            let room = self.scanner.left();
            // A vector takes a bit at the very least.
            if total / 8 > room {
                return Err(self.scanner.damaged(format_args!(
                    "{total} vectors are announced, and {room} bytes follow"
                )));
            }
            return Err(ImportError::new(
                ImportErrorKind::TooLarge,
                format!(
                    "{total} vectors, at most {MOST_VECTORS} are read at a time: {}",
                    self.scanner.file.name()
                ),
            ));
        }
        Ok(Header {
            dimensions,
            total,
            metric,
        })
    }

    fn layout(header: Header, vectors: Vectors, coding: Coding) -> Layout {
        Layout {
            dimensions: header.dimensions,
            metric: match header.metric {
                0 => Metric::InnerProduct,
                1 => Metric::Euclidean,
                _ => Metric::Other,
            },
            total: header.total,
            vectors,
            coding,
            ids: None,
            normalised: false,
            missing: None,
        }
    }

    /// The codes of all vectors, one after the other. `unit` is what their count counts.
    fn row(&mut self, header: Header, coding: &Coding, unit: u64) -> Result<Vectors, ImportError> {
        let size = coding.size(header.dimensions.get());
        let count = self.scanner.u64()?;
        let bytes = count.checked_mul(unit);
        let wanted = header.total.checked_mul(size);
        if bytes.is_none() || bytes != wanted {
            return Err(self.scanner.damaged(format_args!(
                "{} vectors of {size} bytes are announced, and {count} times {unit} bytes of them",
                header.total
            )));
        }
        let bytes = bytes.unwrap_or_default();
        let offset = self.scanner.position();
        let mut present = header.total;
        if self.salvage && bytes > self.scanner.left() {
            present = self.scanner.left() / size;
            if present == 0 {
                return Err(self
                    .scanner
                    .damaged("the file ends before its first vector"));
            }
            self.scanner.skip(self.scanner.left())?;
            self.missing = Some(format!(
                "the file ends after {present} of {} vectors",
                header.total
            ));
        } else {
            self.scanner.skip(bytes)?;
        }
        Ok(Vectors::Row { offset, present })
    }

    fn flat(&mut self, letters: &[u8; 4]) -> Result<Layout, ImportError> {
        let header = self.header()?;
        let expected = match letters {
            b"IxFI" => header.metric == 0,
            b"IxF2" => header.metric == 1,
            _ => true,
        };
        if !expected {
            return Err(self.scanner.damaged("the metric is not that of the index"));
        }
        let vectors = self.row(header, &Coding::Flat, 4)?;
        Ok(Self::layout(header, vectors, Coding::Flat))
    }

    fn scalar(&mut self) -> Result<Layout, ImportError> {
        let header = self.header()?;
        let coding = Coding::Scalar(Scalar::read(&mut self.scanner, header.dimensions.get())?);
        let vectors = self.row(header, &coding, 1)?;
        Ok(Self::layout(header, vectors, coding))
    }

    fn product(&mut self) -> Result<Layout, ImportError> {
        let header = self.header()?;
        let coding = Coding::Product(Product::read(&mut self.scanner, header.dimensions.get())?);
        let vectors = self.row(header, &coding, 1)?;
        if self.missing.is_none() {
            // How to search: type, signs, a threshold.
            self.scanner.skip(9)?;
        }
        Ok(Self::layout(header, vectors, coding))
    }

    /// An index within another one is about the same vectors.
    fn nested(&mut self, header: Header, depth: u32) -> Result<Layout, ImportError> {
        let mut nested = self.index(depth + 1)?;
        if nested.dimensions != header.dimensions || nested.total != header.total {
            return Err(self.scanner.damaged(format_args!(
                "{} vectors of {} numbers lie in an index of {} of {}",
                nested.total, nested.dimensions, header.total, header.dimensions
            )));
        }
        nested.metric = Self::layout(header, Vectors::Listed(Vec::new()), Coding::Flat).metric;
        Ok(nested)
    }

    fn id_map(&mut self, depth: u32) -> Result<Layout, ImportError> {
        let header = self.header()?;
        let mut layout = self.nested(header, depth)?;
        if layout.ids.is_some() {
            return Err(self.scanner.damaged("an id map within an id map"));
        }
        if let Some(missing) = &self.missing {
            return Err(self.scanner.damaged(format_args!(
                "{missing}, and the ids, which follow the vectors, are gone"
            )));
        }
        // Within an id map, the ids of lists are positions.
        if let Vectors::Listed(entries) = &layout.vectors
            && entries
                .iter()
                .zip(0..)
                .any(|(entry, position)| entry.id != position)
        {
            return Err(self
                .scanner
                .damaged("the lists within the id map do not hold each position once"));
        }
        let count = self.scanner.u64()?;
        if count != header.total {
            return Err(self
                .scanner
                .damaged(format_args!("{count} ids for {} vectors", header.total)));
        }
        let offset = self.scanner.position();
        let mut present = count;
        if self.salvage && 8 * count > self.scanner.left() {
            present = self.scanner.left() / 8;
            self.scanner.skip(self.scanner.left())?;
            self.missing = Some(format!("the file ends after {present} of {count} ids"));
        } else {
            self.scanner.skip(8 * count)?;
        }
        layout.ids = Some(Ids { offset, present });
        Ok(layout)
    }

    fn hnsw(&mut self, letters: &[u8; 4], depth: u32) -> Result<Layout, ImportError> {
        let header = self.header()?;
        // Probabilities, neighbours by level, levels, offsets, neighbours.
        self.scanner.skip_list(8)?;
        self.scanner.skip_list(4)?;
        let levels = self.scanner.skip_list(4)?;
        let offsets = self.scanner.skip_list(8)?;
        if levels != header.total || offsets != header.total + 1 {
            return Err(self.scanner.damaged(format_args!(
                "the graph is of {levels} vectors, the index of {}",
                header.total
            )));
        }
        self.scanner.skip_list(4)?;
        // Entry point, level, and how much to search.
        self.scanner.skip(20)?;
        let layout = self.nested(header, depth)?;
        let expected = match letters {
            b"IHNf" => matches!(layout.coding, Coding::Flat),
            b"IHNs" => matches!(layout.coding, Coding::Scalar(_)),
            _ => matches!(layout.coding, Coding::Product(_)),
        };
        if !expected || layout.ids.is_some() || matches!(layout.vectors, Vectors::Listed(_)) {
            return Err(self
                .scanner
                .damaged("the graph's vectors are of another kind"));
        }
        Ok(layout)
    }

    fn inverted(&mut self, depth: u32) -> Result<Layout, ImportError> {
        let header = self.header()?;
        let nlist = self.scanner.u64()?;
        self.scanner.u64()?;
        let salvage = std::mem::replace(&mut self.salvage, false);
        let quantiser = self.index(depth + 1)?;
        self.salvage = salvage;
        if quantiser.dimensions != header.dimensions {
            return Err(self.scanner.damaged(format_args!(
                "lists of vectors of {} numbers in an index of {}",
                quantiser.dimensions, header.dimensions
            )));
        }
        let direct = self.scanner.u8()?;
        self.scanner.skip_list(8)?;
        match direct {
            0 | 1 => {}
            2 => drop(self.scanner.skip_list(16)?),
            other => {
                return Err(self
                    .scanner
                    .damaged(format_args!("a direct map of type {other}")));
            }
        }
        let letters = self.scanner.letters()?;
        let entries = match &letters {
            b"ilar" => {
                let wanted = lists::Wanted {
                    lists: nlist,
                    code_size: Coding::Flat.size(header.dimensions.get()),
                    total: header.total,
                };
                let (entries, missing) = lists::read(&mut self.scanner, wanted, self.salvage)?;
                self.missing = missing;
                entries
            }
            b"il00" if header.total == 0 => Vec::new(),
            b"il00" => return Err(self.scanner.damaged("the lists of the index are missing")),
            other => return Err(self.refuse(other, "a set of lists", depth + 1)),
        };
        Ok(Self::layout(header, Vectors::Listed(entries), Coding::Flat))
    }

    fn transformed(&mut self, depth: u32) -> Result<Layout, ImportError> {
        let header = self.header()?;
        let count = self.scanner.i32()?;
        if !(0..=8).contains(&count) {
            return Err(self.scanner.damaged(format_args!("{count} transforms")));
        }
        for _ in 0..count {
            let letters = self.scanner.letters()?;
            if &letters != b"VNrm" {
                return Err(self.refuse(&letters, "a transform", depth + 1));
            }
            let norm = self.scanner.f32()?;
            let (before, after) = (self.scanner.i32()?, self.scanner.i32()?);
            self.scanner.flag()?;
            let wanted = i32::try_from(header.dimensions.get()).unwrap_or_default();
            if norm != 2.0 || before != wanted || after != wanted {
                return Err(self.scanner.damaged(format_args!(
                    "norm {norm} from {before} to {after} numbers is none that FAISS has"
                )));
            }
        }
        let mut layout = self.nested(header, depth)?;
        layout.normalised |= count > 0;
        Ok(layout)
    }
}
