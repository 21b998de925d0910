//! Power loss: what a run writes is recorded, call by call, and replayed up to any moment. What was flushed by then is
//! on the disk; of the rest, any part may be, torn at 512 bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::calls;
use super::process;
use super::report::Tally;
use super::round::{Round, State, Survived};
use super::scenario::Provider;
use super::state::{self, Digest};
use super::{Dice, Torture};

/// What a disk writes at once.
const SECTOR: usize = 512;

/// One image in so many is synced to the end.
const FINISHED: usize = 25;

/// A change of a file, by the file's name.
#[derive(Debug)]
enum Event {
    Write {
        file: String,
        offset: usize,
        data: Vec<u8>,
    },
    Truncate {
        file: String,
        length: usize,
    },
    Flush {
        file: String,
    },
    Remove {
        file: String,
    },
    /// A file that was not there is there.
    Create {
        file: String,
    },
    /// The names of the files last.
    FlushNames,
}

type Files = BTreeMap<String, Vec<u8>>;

/// What a run did to the store and its log.
struct Recording {
    start: Files,
    events: Vec<Event>,
}

impl Recording {
    fn make(torture: &Torture) -> Result<Self> {
        let provider = Provider::new();
        let round = Round::new(&torture.scenario, &provider)?;
        let start = Files::from([(
            "embeddings.db".to_owned(),
            std::fs::read(round.place.store())?,
        )]);
        let trace = tempfile::NamedTempFile::new()?;
        let directory = round.place.path("data").canonicalize()?;
        let directory = directory.to_string_lossy();
        let options = [
            "-y",
            "-xx",
            "-s",
            "200000",
            "-e",
            "trace=openat,pwrite64,fsync,fdatasync,ftruncate,unlink",
            // Names last when their directory is flushed.
            "-P",
            &directory,
        ];
        let command = calls::traced(torture, &round.place, &options, trace.path())?;
        let ended = process::run(command, round.deadline())?;
        ensure!(ended.code == Some(0), "the recorded run fails: {ended}");
        let text = std::fs::read_to_string(trace.path())?;
        let mut events = Vec::new();
        let mut there: BTreeSet<String> = start.keys().cloned().collect();
        for line in text.lines() {
            let event = event(line, &directory).with_context(|| shortened(line))?;
            events.extend(event.filter(|event| match event {
                Event::Create { file } => there.insert(file.clone()),
                Event::Remove { file } => there.remove(file),
                _ => true,
            }));
        }
        ensure!(
            events.len() > 50,
            "the recording holds {} events",
            events.len()
        );
        ensure!(
            events
                .iter()
                .any(|event| matches!(event, Event::Create { .. }))
                && events
                    .iter()
                    .any(|event| matches!(event, Event::FlushNames)),
            "the recording shows no log that is created and named for good"
        );
        Ok(Self { start, events })
    }

    /// The disk after a loss of power just before event number `at`.
    fn image(&self, at: usize, dice: Option<&mut Dice>) -> Files {
        let mut files = self.start.clone();
        let mut pending: Vec<&Event> = Vec::new();
        let mut unnamed = BTreeSet::new();
        for event in &self.events[..at] {
            match event {
                Event::Create { file } => drop(unnamed.insert(file)),
                Event::FlushNames => unnamed.clear(),
                _ => {}
            }
            if let Event::Flush { file } = event {
                let (flushed, rest) = pending.into_iter().partition(|event| event.file() == file);
                pending = rest;
                let flushed: Vec<&Event> = flushed;
                for event in flushed {
                    event.apply(&mut files, None);
                }
            } else {
                pending.push(event);
            }
        }
        let Some(dice) = dice else {
            files.retain(|file, _| !unnamed.contains(file));
            return files;
        };
        for event in pending {
            match dice.below(4) {
                0 => {}
                1 => event.apply(&mut files, Some(dice)),
                _ => event.apply(&mut files, None),
            }
        }
        files.retain(|file, _| !unnamed.contains(file) || dice.below(2) == 0);
        files
    }
}

impl Event {
    fn file(&self) -> &str {
        match self {
            Self::Write { file, .. }
            | Self::Truncate { file, .. }
            | Self::Flush { file }
            | Self::Remove { file }
            | Self::Create { file } => file,
            Self::FlushNames => "",
        }
    }

    /// Applies it; with dice, only some sectors of a write.
    fn apply(&self, files: &mut Files, mut torn: Option<&mut Dice>) {
        match self {
            Self::Write { file, offset, data } => {
                let content = files.entry(file.clone()).or_default();
                for (number, sector) in data.chunks(SECTOR).enumerate() {
                    if torn.as_deref_mut().is_some_and(|dice| dice.below(2) == 0) {
                        continue;
                    }
                    let from = offset + number * SECTOR;
                    let to = from + sector.len();
                    if content.len() < to {
                        content.resize(to, 0);
                    }
                    content[from..to].copy_from_slice(sector);
                }
            }
            Self::Truncate { file, length } => {
                files.entry(file.clone()).or_default().resize(*length, 0);
            }
            Self::Flush { .. } | Self::Create { .. } | Self::FlushNames => {}
            Self::Remove { file } => {
                files.remove(file);
            }
        }
    }
}

/// Reads a line of strace; `None` for what is not the store's.
fn event(line: &str, directory: &str) -> Result<Option<Event>> {
    let Some((_, call)) = line.split_once(' ') else {
        return Ok(None);
    };
    let Some((name, arguments)) = call.trim_start().split_once('(') else {
        return Ok(None);
    };
    if name == "openat" && !arguments.contains("O_CREAT") {
        return Ok(None);
    }
    let path = if name == "unlink" || name == "openat" {
        quoted(arguments)
    } else {
        arguments
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'))
            .map(|(path, _)| path)
    };
    let path = String::from_utf8(bytes(path.unwrap_or_default())?)?;
    if path == directory {
        return Ok(matches!(name, "fsync" | "fdatasync").then_some(Event::FlushNames));
    }
    let file = Path::new(&path)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    if !matches!(file.as_str(), "embeddings.db" | "embeddings.db-wal") {
        return Ok(None);
    }
    let last_number = |arguments: &str| -> Result<usize> {
        let numbers = arguments
            .rsplit_once(')')
            .map_or(arguments, |(front, _)| front);
        let numbers = numbers.trim_end_matches(" <unfinished ...>");
        let last = numbers.rsplit(", ").next().unwrap_or_default();
        last.trim()
            .parse()
            .with_context(|| format!("no number: {last:?}"))
    };
    Ok(Some(match name {
        "pwrite64" => Event::Write {
            offset: last_number(arguments)?,
            data: bytes(quoted(arguments).context("no data")?)?,
            file,
        },
        "ftruncate" => Event::Truncate {
            length: last_number(arguments)?,
            file,
        },
        "unlink" => Event::Remove { file },
        "openat" => Event::Create { file },
        _ => Event::Flush { file },
    }))
}

fn quoted(arguments: &str) -> Option<&str> {
    let (_, rest) = arguments.split_once('"')?;
    Some(rest.split_once('"')?.0)
}

/// `\x41\x42` as bytes; what is not written so stands for itself.
fn bytes(text: &str) -> Result<Vec<u8>> {
    if !text.starts_with("\\x") {
        return Ok(text.as_bytes().to_vec());
    }
    let digits = text.as_bytes().chunks(4).map(|chunk| {
        let digits = std::str::from_utf8(chunk.get(2..4).context("half a byte")?)?;
        Ok(u8::from_str_radix(digits, 16)?)
    });
    digits.collect()
}

fn shortened(line: &str) -> String {
    line.chars().take(120).collect()
}

fn write(files: &Files, directory: &Path) -> Result<()> {
    for name in ["embeddings.db", "embeddings.db-wal", "embeddings.db-shm"] {
        let path = directory.join(name);
        match files.get(name) {
            Some(content) => std::fs::write(&path, content)?,
            None if path.exists() => std::fs::remove_file(&path)?,
            None => {}
        }
    }
    Ok(())
}

pub(crate) fn loss(torture: &Torture) -> Result<Vec<Tally>> {
    if let Some(why) = calls::unavailable() {
        return Ok(vec![Tally::skipped("power-loss", why)]);
    }
    let recording = Recording::make(torture)?;
    let moments = recording.events.len() + 1;
    let tally = torture.run("power-loss", torture.rounds(500), |provider, dice| {
        let at = dice.below(moments);
        survive(torture, &recording, at, provider, dice)
            .with_context(|| format!("before event {at} of {}", recording.events.len()))
    });
    Ok(vec![tally.must_strike().with_fault(format!(
        "any of {moments} moments, torn at {SECTOR} bytes"
    ))])
}

fn survive(
    torture: &Torture,
    recording: &Recording,
    at: usize,
    provider: &Provider,
    dice: &mut Dice,
) -> Result<Survived> {
    let mut round = Round::new(&torture.scenario, provider)?;
    let data = round.place.path("data");
    // What had been flushed by then was acknowledged: it is there whatever became of the rest.
    write(&recording.image(at, None), &data)?;
    let acknowledged = state::stored(&round.place.store())?;
    let finished = Digest::of(&round.place.store())? == torture.scenario.after;
    write(&recording.image(at, Some(dice)), &data)?;
    let left = round.look()?;
    let stored = state::stored(&round.place.store())?;
    let lost = acknowledged.difference(&stored).count();
    ensure!(lost == 0, "{lost} vectors that were flushed are gone");
    ensure!(
        !finished || left == State::After,
        "a finished run is undone"
    );
    if dice.below(FINISHED) == 0 {
        let ended = torture.scenario.run(&round.place)?;
        ensure!(ended.code == Some(0), "the next run fails: {ended}");
        ensure!(round.state()? == State::After, "not the state after");
        let sent: BTreeSet<_> = provider
            .take()
            .iter()
            .map(|text| state::hash(text))
            .collect();
        ensure!(
            sent.is_disjoint(&stored),
            "texts that were stored are paid for again"
        );
    }
    round.done();
    Ok(Survived {
        struck: at < recording.events.len(),
        left,
        stored_paid_twice: 0,
        in_flight_paid_twice: 0,
        in_flight_paid_twice_most: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "embeddings.db-wal";

    fn write(offset: usize, data: Vec<u8>) -> Event {
        Event::Write {
            file: LOG.to_owned(),
            offset,
            data,
        }
    }

    #[test]
    fn what_was_flushed_is_in_every_image_and_the_rest_in_some() {
        let file = || LOG.to_owned();
        let recording = Recording {
            start: Files::new(),
            events: vec![
                Event::Create { file: file() },
                write(0, vec![1; 1024]),
                Event::Flush { file: file() },
                Event::FlushNames,
                write(100, vec![2; 1024]),
            ],
        };
        assert_eq!(recording.image(5, None)[LOG], [1; 1024]);
        let (mut lost, mut kept, mut torn) = (0, 0, 0);
        for number in 0..200 {
            let image = recording.image(5, Some(&mut Dice::new(7, "test", number)));
            assert_eq!(image[LOG][..100], [1; 100]);
            match image[LOG][100..].iter().filter(|byte| **byte == 2).count() {
                0 => lost += 1,
                1024 => kept += 1,
                _ => torn += 1,
            }
        }
        assert!(lost > 0 && kept > 0 && torn > 0, "{lost} {kept} {torn}");
    }

    #[test]
    fn a_file_whose_name_was_not_flushed_may_be_lost_with_its_content() {
        let recording = Recording {
            start: Files::new(),
            events: vec![
                Event::Create {
                    file: LOG.to_owned(),
                },
                write(0, vec![1; 10]),
                Event::Flush {
                    file: LOG.to_owned(),
                },
            ],
        };
        assert!(recording.image(3, None).is_empty());
        let there = (0..50)
            .filter(|number| {
                let dice = &mut Dice::new(7, "test", *number);
                recording.image(3, Some(dice)).contains_key(LOG)
            })
            .count();
        assert!(0 < there && there < 50, "{there}");
    }

    #[test]
    fn a_trace_is_read() {
        let hex =
            |text: &str| -> String { text.bytes().map(|byte| format!("\\x{byte:02x}")).collect() };
        let (directory, log) = (hex("/w"), hex("/w/embeddings.db-wal"));
        let read = |line: String| {
            event(&line, "/w")
                .unwrap()
                .map(|event| format!("{event:?}"))
        };
        let is = |event: Event| Some(format!("{event:?}"));
        let file = || LOG.to_owned();
        let lines = [
            (
                format!(
                    "7 openat(AT_FDCWD<{directory}>, \"{log}\", O_RDWR|O_CREAT, 0600) = 6<{log}>"
                ),
                is(Event::Create { file: file() }),
            ),
            (
                format!("7 openat(AT_FDCWD<{directory}>, \"{log}\", O_RDONLY) = 6<{log}>"),
                None,
            ),
            (
                format!(
                    "7 pwrite64(6<{log}>, \"{}\", 2, 32 <unfinished ...>",
                    hex("ab")
                ),
                is(write(32, b"ab".to_vec())),
            ),
            (
                format!("7 fsync(6<{log}>) = 0"),
                is(Event::Flush { file: file() }),
            ),
            (
                format!("7 fsync(9<{directory}>) = 0"),
                is(Event::FlushNames),
            ),
            (
                format!("7 unlink(\"{log}\") = 0"),
                is(Event::Remove { file: file() }),
            ),
            ("7 <... pwrite64 resumed>) = 2".to_owned(), None),
            ("7 +++ exited with 0 +++".to_owned(), None),
        ];
        for (line, expected) in lines {
            assert_eq!(read(line.clone()), expected, "{line}");
        }
    }
}
