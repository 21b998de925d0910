//! Vectors that somebody computed elsewhere: a matrix beside a file of records, or vectors within the records.
//!
//! Row i of the matrix belongs to line i. Nothing here holds more than a few hundred of them at a time.

mod items;
mod npy;

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::num::NonZeroU32;
use std::path::Path;

use futures_util::stream::BoxStream;
use storage_core::{
    Embedding, ImportError, ImportErrorKind, ImportFault, ImportSource, Imported,
    ImportedCollection, ImportedRecord, Locator, Metric,
};

use crate::reading::{MOST_DIMENSIONS, Numbers, Outlet, SourceFile, Stop, fault_in_texts, stream};

use items::{Item, LONGEST_LINE, Read};

/// Ids are held to tell duplicates, 16 bytes each.
const MOST_LINES: u64 = 5_000_000;

const BLOCK: usize = 256 << 10;

/// Opens a file of records, and the matrix beside it; without one, each record has a vector of its own.
///
/// # Errors
/// [`ImportErrorKind`] says what to do: files that are missing, of another form, cut short, or do not belong together.
pub fn open(
    items: &Path,
    vectors: Option<&Path>,
    dimensions: Option<NonZeroU32>,
) -> Result<Box<dyn ImportSource>, ImportError> {
    let items = SourceFile::find(items)?;
    let lines = count(&items)?;
    let first = first(&items)?;
    let mut notes = Vec::new();
    let (matrix, dimensions) = match vectors {
        Some(vectors) => {
            let matrix = Matrix::open(vectors, dimensions)?;
            if matrix.rows != lines {
                return Err(ImportError::new(
                    ImportErrorKind::Damaged,
                    format!(
                        "{} vectors of {} numbers and {lines} lines do not belong together: {} and {}",
                        matrix.rows,
                        matrix.dimensions,
                        matrix.file.name(),
                        items.name()
                    ),
                ));
            }
            notes.extend(matrix.note());
            if let Some(key) = first {
                notes.push(format!(
                    "the lines have vectors of their own (`{key}`), which are left out: those of {} are taken",
                    matrix.file.name()
                ));
            }
            let dimensions = matrix.dimensions;
            (Some(matrix), Some(dimensions))
        }
        None if lines == 0 => (None, dimensions),
        None => (None, Some(own_dimensions(&items, dimensions)?)),
    };
    let collection = ImportedCollection {
        kind: "vectors",
        name: items.stem(),
        location: items.name(),
        total: lines,
        dimensions,
        metric: Metric::Other,
        model: None,
        lossy: None,
        notes,
    };
    Ok(Box::new(Vectors {
        collection,
        reader: Reader {
            items,
            matrix,
            lines,
            dimensions,
        },
    }))
}

#[derive(Debug)]
struct Vectors {
    collection: ImportedCollection,
    reader: Reader,
}

impl ImportSource for Vectors {
    fn collection(&self) -> &ImportedCollection {
        &self.collection
    }

    fn read(&self) -> BoxStream<'static, Result<Vec<Imported>, ImportError>> {
        let reader = self.reader.clone();
        stream(move |outlet| reader.run(outlet))
    }
}

/// The file of vectors.
#[derive(Debug, Clone)]
struct Matrix {
    file: SourceFile,
    numbers: Numbers,
    offset: u64,
    rows: u64,
    dimensions: NonZeroU32,
}

impl Matrix {
    fn open(path: &Path, wanted: Option<NonZeroU32>) -> Result<Self, ImportError> {
        let file = SourceFile::find(path)?;
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        if extension == "npy" {
            Self::npy(file, wanted)
        } else if extension == "f32" {
            Self::raw(file, wanted)
        } else if extension == "npz" {
            Err(file.unsupported(
                "an .npz file may hold several arrays, save the one that is meant with `np.save`",
            ))
        } else {
            Err(file.unsupported(
                "vectors are read from .npy files and from .f32 files (nothing but 4-byte little-endian floats)",
            ))
        }
    }

    fn npy(file: SourceFile, wanted: Option<NonZeroU32>) -> Result<Self, ImportError> {
        let header = npy::header(&mut file.open()?).map_err(|refusal| match refusal {
            npy::Refusal::Damaged(fact) => file.damaged(fact),
            npy::Refusal::Unsupported(fact) => file.unsupported(fact),
            npy::Refusal::Io(error) => file.failed(error),
        })?;
        let dimensions = usable(&file, header.columns)?;
        if let Some(wanted) = wanted
            && wanted != dimensions
        {
            return Err(file.of_other_length(format!(
                "the vectors have {dimensions} numbers, and {wanted} were asked for: leave out `--dimensions`"
            )));
        }
        let row = header.columns * header.numbers.width() as u64;
        let expected = u128::from(header.offset) + u128::from(header.rows) * u128::from(row);
        if expected != u128::from(file.length()) {
            return Err(file.damaged(format!(
                "{} vectors of {dimensions} numbers take {expected} bytes, and the file has {}, copy it anew",
                header.rows,
                file.length()
            )));
        }
        Ok(Self {
            numbers: header.numbers,
            offset: header.offset,
            rows: header.rows,
            dimensions,
            file,
        })
    }

    fn raw(file: SourceFile, wanted: Option<NonZeroU32>) -> Result<Self, ImportError> {
        let Some(dimensions) = wanted else {
            return Err(file.unsupported(
                "an .f32 file does not say how long its vectors are, add `--dimensions N`",
            ));
        };
        let dimensions = usable(&file, dimensions.get().into())?;
        let row = 4 * u64::from(dimensions.get());
        if !file.length().is_multiple_of(row) {
            return Err(file.damaged(format!(
                "{} bytes are no whole number of vectors of {dimensions} 4-byte numbers",
                file.length()
            )));
        }
        Ok(Self {
            numbers: Numbers::F32,
            offset: 0,
            rows: file.length() / row,
            dimensions,
            file,
        })
    }

    fn note(&self) -> Option<String> {
        (self.numbers == Numbers::F64).then(|| {
            format!(
                "the 64-bit numbers of {} are rounded to 32 bits, which is what every store holds",
                self.file.name()
            )
        })
    }
}

fn usable(file: &SourceFile, dimensions: u64) -> Result<NonZeroU32, ImportError> {
    let usable = u32::try_from(dimensions).ok().and_then(NonZeroU32::new);
    match usable {
        Some(usable) if dimensions <= MOST_DIMENSIONS => Ok(usable),
        Some(_) | None if dimensions > 0 => Err(ImportError::new(
            ImportErrorKind::TooLarge,
            format!(
                "vectors of {dimensions} numbers, at most {MOST_DIMENSIONS} are read: {}",
                file.name()
            ),
        )),
        _ => Err(file.damaged("the vectors have no numbers")),
    }
}

fn count(items: &SourceFile) -> Result<u64, ImportError> {
    let mut reader = BufReader::with_capacity(BLOCK, items.open()?);
    let lines = items::count(&mut reader).map_err(|error| items.failed(error))?;
    if lines > MOST_LINES {
        return Err(ImportError::new(
            ImportErrorKind::TooLarge,
            format!(
                "{lines} lines, at most {MOST_LINES} are read at a time, split the file: {}",
                items.name()
            ),
        ));
    }
    Ok(lines)
}

/// Looks at the first line: under which key it has a vector. A file that is one array is told from lines here.
fn first(items: &SourceFile) -> Result<Option<&'static str>, ImportError> {
    let mut lines = Lines::open(items)?;
    if lines.next()? != Read::Line {
        return Ok(None);
    }
    if lines.buffer.trim_ascii_start().starts_with(b"[") {
        return Err(items.unsupported(
            "the file is one array, and one record a line is read: write it with `jq -c '.[]'`",
        ));
    }
    let mut item = Item::default();
    // A faulty line is reported when it is its turn.
    let _ = items::parse(&lines.buffer, false, &mut item);
    Ok(item.vector.map(|(key, _)| key))
}

/// The length of the first vector; a wish has to be met by each line, and is no fault of the file.
fn own_dimensions(
    items: &SourceFile,
    wanted: Option<NonZeroU32>,
) -> Result<NonZeroU32, ImportError> {
    let mut lines = Lines::open(items)?;
    loop {
        match lines.next()? {
            Read::TooLong => {}
            Read::End => {
                return Err(items.unsupported(
                    "no line has a vector under `embedding`, name the matrix with `--vectors FILE.npy`",
                ));
            }
            Read::Line => {
                let mut item = Item::default();
                let parsed = items::parse(&lines.buffer, true, &mut item);
                if let (Ok(()), Some((_, vector))) = (parsed, item.vector)
                    && !vector.is_empty()
                {
                    let found = usable(items, vector.len() as u64)?;
                    return Ok(wanted.unwrap_or(found));
                }
            }
        }
    }
}

/// The lines of a file, one at a time.
struct Lines<'a> {
    file: &'a SourceFile,
    reader: BufReader<File>,
    buffer: Vec<u8>,
    begun: bool,
}

impl<'a> Lines<'a> {
    fn open(file: &'a SourceFile) -> Result<Self, ImportError> {
        Ok(Self {
            file,
            reader: BufReader::with_capacity(BLOCK, file.open()?),
            buffer: Vec::new(),
            begun: false,
        })
    }

    fn next(&mut self) -> Result<Read, ImportError> {
        let read = items::line(&mut self.reader, &mut self.buffer)
            .map_err(|error| self.file.failed(error))?;
        if !std::mem::replace(&mut self.begun, true) && self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.buffer.drain(..3);
        }
        Ok(read)
    }
}

#[derive(Debug, Clone)]
struct Reader {
    items: SourceFile,
    matrix: Option<Matrix>,
    lines: u64,
    dimensions: Option<NonZeroU32>,
}

impl Reader {
    fn run(&self, outlet: &mut Outlet<'_>) -> Result<(), Stop> {
        let mut lines = Lines::open(&self.items)?;
        let mut rows = match &self.matrix {
            Some(matrix) => Some(Rows::open(matrix)?),
            None => None,
        };
        let mut ids = Ids::default();
        for number in 1..=self.lines {
            let read = lines.next()?;
            let row = match &mut rows {
                Some(rows) => Some(rows.next()?),
                None => None,
            };
            let mut item = Item::default();
            let problem = match read {
                Read::Line => self.record(&lines.buffer, number, row, &mut item, &mut ids),
                Read::TooLong => Err(format!(
                    "the line is longer than {} MiB",
                    LONGEST_LINE >> 20
                )),
                Read::End => return Err(self.items.changing().into()),
            };
            match problem {
                Ok(record) => outlet.record(record)?,
                Err(reason) => outlet.fault(ImportFault {
                    id: item.id,
                    row: Some(number),
                    reason,
                })?,
            }
        }
        // Whoever appends to a file changes none of the lines that were counted.
        self.items.unchanged()?;
        if let Some(matrix) = &self.matrix {
            matrix.file.unchanged()?;
        }
        Ok(())
    }

    fn record(
        &self,
        line: &[u8],
        number: u64,
        row: Option<&[u8]>,
        item: &mut Item,
        ids: &mut Ids,
    ) -> Result<ImportedRecord, String> {
        let parsed = items::parse(line, row.is_none(), item);
        // A second line of an id is one even if the first had another fault: which of them is meant nobody knows.
        let duplicate = match &item.id {
            Some(id) => ids.earlier(id, number),
            None => None,
        };
        parsed?;
        let Some(id) = &item.id else {
            return Err("the line has no `id`".to_owned());
        };
        if let Some(earlier) = duplicate {
            return Err(format!("line {earlier} has the same id"));
        }
        let embedding = match (row, &self.matrix, item.vector.take()) {
            (Some(row), Some(matrix), _) => Embedding::new(matrix.numbers.decode(row)),
            (_, _, Some((key, vector))) => {
                let wanted = self.dimensions.map_or(0, NonZeroU32::get);
                if vector.len() != wanted as usize {
                    return Err(format!(
                        "`{key}` has {} numbers, and {wanted} are expected",
                        vector.len()
                    ));
                }
                Embedding::new(vector)
            }
            _ => return Err("the line has no vector under `embedding`".to_owned()),
        };
        let record = ImportedRecord {
            document: id.clone(),
            chunk: 0,
            text: item.text.take(),
            category: item.category.take(),
            metadata: std::mem::take(&mut item.metadata),
            embedding: embedding.map_err(|error| error.to_string())?,
            locator: Locator {
                row: Some(number),
                ..Locator::default()
            },
        };
        match fault_in_texts(&record) {
            Some(reason) => Err(reason),
            None => Ok(record),
        }
    }
}

/// The rows of a matrix, one at a time.
struct Rows<'a> {
    matrix: &'a Matrix,
    reader: BufReader<File>,
    buffer: Vec<u8>,
}

impl<'a> Rows<'a> {
    fn open(matrix: &'a Matrix) -> Result<Self, ImportError> {
        let mut file = matrix.file.open()?;
        file.seek(SeekFrom::Start(matrix.offset))
            .map_err(|error| matrix.file.failed(error))?;
        Ok(Self {
            matrix,
            reader: BufReader::with_capacity(BLOCK, file),
            buffer: vec![0; matrix.dimensions.get() as usize * matrix.numbers.width()],
        })
    }

    fn next(&mut self) -> Result<&[u8], ImportError> {
        self.reader
            .read_exact(&mut self.buffer)
            .map_err(|error| self.matrix.file.failed(error))?;
        Ok(&self.buffer)
    }
}

/// Which line had an id first. Ids are held as 96 bits of two keyed hashes: five million of them collide once in 10^15
/// runs, and nobody can make them.
#[derive(Default)]
struct Ids {
    keys: (RandomState, RandomState),
    seen: HashMap<[u32; 3], u32>,
}

impl Ids {
    /// The earlier line of this id, if there is one.
    fn earlier(&mut self, id: &str, line: u64) -> Option<u32> {
        let (first, second) = (self.keys.0.hash_one(id), self.keys.1.hash_one(id));
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the halves of a hash; lines are counted to five million"
        )]
        let (key, line) = (
            [first as u32, (first >> 32) as u32, second as u32],
            line as u32,
        );
        match self.seen.entry(key) {
            std::collections::hash_map::Entry::Occupied(earlier) => Some(*earlier.get()),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(line);
                None
            }
        }
    }
}
