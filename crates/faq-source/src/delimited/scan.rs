//! Watches the bytes on their way to the CSV parser, which tells neither the row that a spreadsheet program would
//! show (it passes over blank lines) nor that the last quote was never closed. The states are those of the parser.

use std::collections::VecDeque;
use std::io::{self, Read};

/// Reads on behalf of the parser and keeps count.
#[derive(Debug)]
pub(super) struct Scanned<R> {
    inner: R,
    delimiter: u8,
    /// Bytes of one record at most.
    longest: usize,
    state: State,
    after_return: bool,
    row: u64,
    line: u64,
    length: usize,
    /// Row and line of the record that is being read.
    begun: (u64, u64),
    /// Rows of the records that the parser has not handed out yet.
    rows: VecDeque<u64>,
    too_long: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BetweenRecords,
    FieldStart,
    Plain,
    Quoted,
    QuoteInQuoted,
}

impl<R> Scanned<R> {
    pub(super) fn new(inner: R, delimiter: u8, longest: usize) -> Self {
        Self {
            inner,
            delimiter,
            longest,
            state: State::BetweenRecords,
            after_return: false,
            row: 1,
            line: 1,
            length: 0,
            begun: (1, 1),
            rows: VecDeque::new(),
            too_long: false,
        }
    }

    /// The row of the record that the parser has just handed out.
    pub(super) fn next_row(&mut self) -> u64 {
        self.rows.pop_front().unwrap_or(self.row)
    }

    /// Row and line of a record that ended within quotes, once everything was read.
    pub(super) fn unclosed(&self) -> Option<(u64, u64)> {
        (self.state == State::Quoted).then_some(self.begun)
    }

    /// Row and line of the record that is too long.
    pub(super) fn too_long(&self) -> Option<(u64, u64)> {
        self.too_long.then_some(self.begun)
    }

    fn feed(&mut self, byte: u8) {
        let line_break = match byte {
            b'\r' => true,
            // The second half of a line break is neither a line nor a row.
            b'\n' if self.after_return => {
                self.after_return = false;
                return;
            }
            b'\n' => true,
            _ => false,
        };
        self.after_return = byte == b'\r';
        self.length += 1;
        if line_break {
            self.line += 1;
            if self.state != State::Quoted {
                self.state = State::BetweenRecords;
                self.row += 1;
                self.length = 0;
            }
            return;
        }
        if self.state == State::BetweenRecords {
            self.begun = (self.row, self.line);
            self.rows.push_back(self.row);
            self.state = State::FieldStart;
        }
        self.state = match (self.state, byte) {
            (State::Quoted, b'"') => State::QuoteInQuoted,
            (State::Quoted, _) => State::Quoted,
            (State::QuoteInQuoted, b'"') => State::Quoted,
            (State::FieldStart, b'"') => State::Quoted,
            (_, byte) if byte == self.delimiter => State::FieldStart,
            _ => State::Plain,
        };
    }
}

impl<R: Read> Read for Scanned<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        for &byte in &buffer[..read] {
            if self.length > self.longest {
                break;
            }
            let special = matches!(byte, b'"' | b'\r' | b'\n') || byte == self.delimiter;
            if !special && matches!(self.state, State::Plain | State::Quoted) {
                // Nearly every byte is one of these.
                self.length += 1;
                self.after_return = false;
            } else {
                self.feed(byte);
            }
        }
        if self.length > self.longest {
            self.too_long = true;
            return Err(io::Error::other("the record is too long"));
        }
        Ok(read)
    }
}
