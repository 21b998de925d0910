//! The texts of settings files, `.env` files and secrets: read within a limit, and taken apart. Somebody else may have
//! written them, a `.env` above the working directory for instance.
//!
//! Knows the formats and nothing else of this program: what a setting means is decided in `layers`. That is why the
//! fuzz target `settings` can compile this very file.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a file, and of all values in it after `$NAME` was replaced.
pub(crate) const LARGEST: usize = 1 << 20;
/// Characters of a dotted key. No setting has one half as long.
const LONGEST_KEY: usize = 200;

/// The content of a file, if it is no larger than [`LARGEST`].
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(LARGEST as u64 + 1).read_to_string(&mut text)?;
    if text.len() > LARGEST {
        return Err(io::Error::other(too_large("it is")));
    }
    Ok(text)
}

fn too_large(what: &str) -> String {
    format!("{what} larger than {} MiB", LARGEST >> 20)
}

/// The settings in a TOML text: dotted keys and their values as texts.
pub(crate) fn settings(text: &str) -> Result<Vec<(String, String)>, String> {
    let table = text.parse::<toml::Table>();
    let table = table.map_err(|error| error.message().to_owned())?;
    let mut found = Vec::new();
    flatten("", toml::Value::Table(table), &mut found)?;
    Ok(found)
}

fn flatten(
    prefix: &str,
    value: toml::Value,
    found: &mut Vec<(String, String)>,
) -> Result<(), String> {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let key = if prefix.is_empty() {
                    key
                } else {
                    format!("{prefix}.{key}")
                };
                // A long key would be copied for everything that is nested in it.
                if let Some((end, _)) = key.char_indices().nth(LONGEST_KEY) {
                    let begun = key[..end].escape_debug();
                    return Err(format!(
                        "a key is longer than {LONGEST_KEY} characters: {begun}…"
                    ));
                }
                flatten(&key, value, found)?;
            }
        }
        toml::Value::String(text) => found.push((prefix.to_owned(), text)),
        other => found.push((prefix.to_owned(), other.to_string())),
    }
    Ok(())
}

/// The variables in the text of a `.env` file. The messages quote no line: it may be a key.
pub(crate) fn variables(text: &str) -> Result<BTreeMap<String, String>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let in_environment = std::env::vars_os().map(|(_, value)| value.len()).max();
    let expansion = Expansion {
        longest: Cell::new(in_environment.unwrap_or_default()),
        references: Cell::new(0),
        refused: Cell::new(false),
    };
    let lines = Lines {
        rest: text.as_bytes(),
        expansion: &expansion,
    };
    let mut variables = BTreeMap::new();
    let mut total = 0;
    for entry in dotenvy::Iter::new(lines) {
        let Ok((name, value)) = entry else {
            return Err(if expansion.refused.get() {
                too_large("a value with $NAME replaced may be")
            } else {
                "a line is not NAME=VALUE".to_owned()
            });
        };
        total += value.len();
        if total > LARGEST {
            return Err(too_large("the values are together"));
        }
        expansion.take(value.len());
        variables.insert(name, value);
    }
    Ok(variables)
}

/// How large a value may become. Values refer to earlier ones, so twenty lines could ask for all there is.
struct Expansion {
    /// Bytes of the longest value so far.
    longest: Cell<usize>,
    /// Dollar signs in the lines since the last value; each stands for one value at most.
    references: Cell<usize>,
    refused: Cell<bool>,
}

impl Expansion {
    fn take(&self, value: usize) {
        self.longest.set(self.longest.get().max(value));
        self.references.set(0);
    }

    fn allows(&self, line: &[u8]) -> bool {
        let more = line.iter().filter(|byte| **byte == b'$').count();
        self.references.set(self.references.get() + more);
        let largest = self.references.get().saturating_mul(self.longest.get());
        self.refused.set(largest > LARGEST);
        largest <= LARGEST
    }
}

/// Hands out one line at a time, so that what is read is never ahead of what is replaced.
struct Lines<'a> {
    rest: &'a [u8],
    expansion: &'a Expansion,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let line = end.map_or(self.rest.len(), |end| end + 1);
        let (line, rest) = self.rest.split_at(line.min(buffer.len()));
        if !self.expansion.allows(line) {
            return Err(io::Error::other("a value becomes too large"));
        }
        buffer[..line.len()].copy_from_slice(line);
        self.rest = rest;
        Ok(line.len())
    }
}
