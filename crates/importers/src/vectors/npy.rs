//! The header of a `.npy` file: a magic word, a version, a length, and a Python dict literal.

use std::io::Read;

use crate::reading::Numbers;

/// What every `.npy` file begins with.
pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Headers of real files take 118 bytes; numpy itself refuses more than 10,000.
const LONGEST: usize = 10_000;

/// What the header says of the matrix behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) numbers: Numbers,
    pub(super) rows: u64,
    pub(super) columns: u64,
    /// Bytes before the first number.
    pub(super) offset: u64,
}

/// Why a file is not read.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is none, or not a whole one.
    Damaged(String),
    /// It is one of another form.
    Unsupported(String),
    /// It cannot be read from its place.
    Io(std::io::Error),
}

/// Reads the header. Nothing in it is believed: the caller compares it with the file's length.
pub(super) fn header(file: &mut impl Read) -> Result<Header, Refusal> {
    let mut begin = [0; 8];
    fill(file, &mut begin)?;
    if !begin.starts_with(MAGIC) {
        return Err(Refusal::Damaged("the file is no .npy file".to_owned()));
    }
    let major = begin[6];
    let length = match major {
        1 => {
            let mut length = [0; 2];
            fill(file, &mut length)?;
            usize::from(u16::from_le_bytes(length))
        }
        2 | 3 => {
            let mut length = [0; 4];
            fill(file, &mut length)?;
            usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX)
        }
        other => {
            return Err(Refusal::Unsupported(format!(
                "version {other} of .npy is not read, save it again with `np.save`"
            )));
        }
    };
    if length > LONGEST {
        return Err(Refusal::Damaged(format!(
            "the header of the .npy file claims {length} bytes, at most {LONGEST} are read"
        )));
    }
    let mut text = vec![0; length];
    fill(file, &mut text)?;
    let text = String::from_utf8(text)
        .map_err(|_| Refusal::Damaged("the header of the .npy file is no text".to_owned()))?;
    let (numbers, rows, columns) = literal(&text)?;
    let before = if major == 1 { 10 } else { 12 };
    Ok(Header {
        numbers,
        rows,
        columns,
        offset: before + length as u64,
    })
}

fn fill(file: &mut impl Read, bytes: &mut [u8]) -> Result<(), Refusal> {
    file.read_exact(bytes).map_err(|error| {
        if error.kind() == std::io::ErrorKind::UnexpectedEof {
            Refusal::Damaged("the .npy file ends within its header".to_owned())
        } else {
            Refusal::Io(error)
        }
    })
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, in any order.
fn literal(text: &str) -> Result<(Numbers, u64, u64), Refusal> {
    let mut scanner = Scanner { rest: text };
    let (mut numbers, mut fortran, mut shape) = (None, None, None);
    scanner.expect("{")?;
    while !scanner.take("}") {
        let key = scanner.text()?;
        scanner.expect(":")?;
        match key {
            "descr" => numbers = Some(descr(&mut scanner)?),
            "fortran_order" if scanner.take("False") => fortran = Some(false),
            "fortran_order" if scanner.take("True") => fortran = Some(true),
            "shape" => shape = Some(scanner.tuple()?),
            _ => return Err(scanner.broken()),
        }
        if !scanner.take(",") {
            scanner.expect("}")?;
            break;
        }
    }
    if !scanner.rest.trim_ascii().is_empty() {
        return Err(scanner.broken());
    }
    let (Some(numbers), Some(fortran), Some(shape)) = (numbers, fortran, shape) else {
        return Err(scanner.broken());
    };
    let [rows, columns] = shape[..] else {
        return Err(Refusal::Unsupported(format!(
            "the .npy file is an array of {} dimensions, and one row a vector is read: save `a.reshape(N, -1)`",
            shape.len()
        )));
    };
    if fortran && rows > 1 && columns > 1 {
        return Err(Refusal::Unsupported(
            "the .npy file keeps its columns together (Fortran order): save `np.ascontiguousarray(a)`"
                .to_owned(),
        ));
    }
    Ok((numbers, rows, columns))
}

fn descr(scanner: &mut Scanner<'_>) -> Result<Numbers, Refusal> {
    let found = match scanner.text() {
        Ok(found) => found,
        // A list of fields: an array of records.
        Err(_) if scanner.rest.trim_ascii_start().starts_with('[') => "records",
        Err(error) => return Err(error),
    };
    Ok(match found {
        "<f4" => Numbers::F32,
        "<f8" => Numbers::F64,
        "<f2" => Numbers::F16,
        "|O" | "O" => {
            return Err(Refusal::Unsupported(
                "the .npy file holds Python objects, which would have to be executed: save `np.stack(list(a)).astype(\"<f4\")`"
                    .to_owned(),
            ));
        }
        other => {
            let other = other
                .chars()
                .filter(|character| character.is_ascii_graphic())
                .take(20)
                .collect::<String>();
            return Err(Refusal::Unsupported(format!(
                "the .npy file holds numbers of type `{other}`, and `<f4`, `<f8`, `<f2` are read: save `a.astype(\"<f4\")`"
            )));
        }
    })
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn take(&mut self, word: &str) -> bool {
        match self.rest.trim_ascii_start().strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, word: &str) -> Result<(), Refusal> {
        if self.take(word) {
            Ok(())
        } else {
            Err(self.broken())
        }
    }

    /// A text between quotes. Keys and types have no escapes.
    fn text(&mut self) -> Result<&'a str, Refusal> {
        let rest = self.rest.trim_ascii_start();
        let quote = rest
            .chars()
            .next()
            .filter(|first| matches!(first, '\'' | '"'));
        let quote = quote.ok_or_else(|| self.broken())?;
        let (text, rest) = rest[1..].split_once(quote).ok_or_else(|| self.broken())?;
        self.rest = rest;
        Ok(text)
    }

    /// `(3, 4)`, `(3,)`, `()`; Python 2 wrote `3L`.
    fn tuple(&mut self) -> Result<Vec<u64>, Refusal> {
        let mut numbers = Vec::new();
        self.expect("(")?;
        while !self.take(")") {
            let rest = self.rest.trim_ascii_start();
            let end = rest
                .find(|character: char| !character.is_ascii_digit())
                .unwrap_or(rest.len());
            let (digits, rest) = rest.split_at(end);
            numbers.push(digits.parse().map_err(|_| self.broken())?);
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(numbers)
    }

    fn broken(&self) -> Refusal {
        Refusal::Damaged("the header of the .npy file is not as numpy writes it".to_owned())
    }
}

#[cfg(test)]
mod tests;
