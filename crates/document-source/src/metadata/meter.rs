//! Ends the reading of what is longer than a row may be, before it is in memory.

use std::cell::Cell;
use std::io::{self, BufRead as _, BufReader, Read};

/// What was read since a row began.
#[derive(Debug)]
pub(super) struct Meter {
    left: Cell<u64>,
    most: u64,
    exceeded: Cell<bool>,
}

impl Meter {
    pub(super) fn new(most: u64) -> Self {
        Self {
            left: Cell::new(most),
            most,
            exceeded: Cell::new(false),
        }
    }

    /// A row begins.
    pub(super) fn begin(&self) {
        self.left.set(self.most);
    }

    pub(super) fn exceeded(&self) -> bool {
        self.exceeded.get()
    }
}

/// An input that is counted as it is consumed, not as it is read ahead.
pub(super) struct Metered<'m, R> {
    input: BufReader<R>,
    meter: &'m Meter,
}

impl<'m, R: Read> Metered<'m, R> {
    /// Begins behind the mark that some editors put in front of UTF-8.
    pub(super) fn new(input: R, meter: &'m Meter) -> Self {
        let mut input = BufReader::with_capacity(64 << 10, input);
        // What cannot be read now fails again when it is needed.
        if let Ok(begin) = input.fill_buf()
            && begin.starts_with(b"\xef\xbb\xbf")
        {
            input.consume(3);
        }
        Self { input, meter }
    }
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        match self.meter.left.get().checked_sub(read as u64) {
            Some(left) => self.meter.left.set(left),
            None => {
                self.meter.exceeded.set(true);
                return Err(io::Error::other("longer than a row may be"));
            }
        }
        Ok(read)
    }
}
