//! A write-ahead log, read as SQLite's recovery reads it, and further: recovery stops at the first page that does not
//! fit, says nothing about what comes behind it, and takes a log that is gone for one that was never there. What was
//! committed last would vanish without a word.
//!
//! Two witnesses tell. The log itself: a power cut may tear the last transaction, which nobody was promised, but it
//! cannot leave another one behind it. And the index that SQLite keeps beside the log, which a killed process leaves:
//! it names a page only after the page reached the disk.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::descriptors::Shared;
use crate::error::{Failure, Outcome};
use crate::{header, lock};

const HEADER: usize = 32;
const FRAME: usize = 24;

/// What a log holds.
#[derive(Default)]
pub(crate) struct Log {
    /// The size its header names; `None` where there is no log.
    pub(crate) page_size: Option<usize>,
    /// The newest committed content of each page that is not in the store itself yet.
    pub(crate) pages: HashMap<u32, Vec<u8>>,
    /// Frames that SQLite would use.
    valid: usize,
    /// Pages behind the first damaged one.
    pub(crate) beyond: Vec<Vec<u8>>,
    /// Whether those prove a damage. A power cut may tear the last transaction, which nobody was promised; it cannot
    /// leave another one behind it.
    torn_inside: bool,
    /// Tells one filling of the log from the next: the first number counts, the second is random.
    salts: [u8; 8],
    /// Whether the header is one.
    sound: bool,
    /// Where in the log each page is newest.
    newest: HashMap<u32, usize>,
}

/// What the log's index says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Index {
    /// Frames in the log.
    frames: usize,
    /// How many of them were copied into the store.
    copied: usize,
    salts: [u8; 8],
}

/// Refuses a store whose log has lost what was committed. While somebody of ours writes, SQLite goes by the index in
/// memory and nothing is read again: then there is nothing to ask.
pub(crate) fn require_whole(path: &Path) -> Outcome<()> {
    const TRIES: usize = 5;
    let beside = |suffix: &str| header::beside(path, suffix).exists();
    if !(beside("-wal") || beside("-shm")) || lock::held_elsewhere(path) {
        return Ok(());
    }
    let failed = |error| header::unreadable(error, path);
    for _ in 0..TRIES {
        let index = index(path).map_err(failed)?;
        let log = whole(path).map_err(failed)?;
        let Some(fault) = fault(&log, index) else {
            return Ok(());
        };
        // Another program may be writing: then the index has moved on.
        if self::index(path).map_err(failed)? == index {
            return Err(Failure::corrupt(
                "open",
                format!(
                    "the store's log is damaged, and {fault}; run `smart-support repair`, then `smart-support sync`: {}",
                    path.display()
                ),
            ));
        }
    }
    Ok(())
}

/// What is lost, if anything is.
fn fault(log: &Log, index: Option<Index>) -> Option<String> {
    if log.torn_inside {
        return Some("what was committed behind the damage is lost".to_owned());
    }
    let index = index.filter(|index| index.frames > 0)?;
    let missing = index.frames > index.copied;
    let lost = if !log.sound {
        missing.then_some(index.frames)
    } else if log.salts == index.salts {
        // Even where all of it was copied: half a log would put old pages before the store's new ones.
        (log.valid < index.frames).then(|| index.frames - log.valid)
    } else {
        let count = |salts: [u8; 8]| u32::from_be_bytes([salts[0], salts[1], salts[2], salts[3]]);
        // An index that a power cut left behind is older than its log.
        let older = count(log.salts).wrapping_sub(count(index.salts)) < 1 << 31;
        (missing && !older).then_some(index.frames)
    };
    lost.map(|pages| format!("{pages} committed pages of {} are lost", index.frames))
}

/// Reads the index beside a log; `None` where there is none, or none that can be believed.
fn index(path: &Path) -> io::Result<Option<Index>> {
    const COPY: usize = 48;
    let mut bytes = Vec::new();
    match Shared::open(&header::beside(path, "-shm")) {
        Ok(file) if !outlived_the_system(&file)? => {
            file.take(2 * COPY as u64 + 4).read_to_end(&mut bytes)?
        }
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if bytes.len() < 2 * COPY + 4 || bytes[..COPY] != bytes[COPY..2 * COPY] || bytes[12] != 1 {
        return Ok(None);
    }
    // It is shared memory, so its numbers are as this machine writes them.
    let native =
        |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let sums = checksum([0, 0], &bytes[..40], cfg!(target_endian = "big"));
    if sums != [native(40), native(44)] {
        return Ok(None);
    }
    let mut salts = [0; 8];
    salts.copy_from_slice(&bytes[32..40]);
    Ok(Some(Index {
        frames: native(16) as usize,
        copied: native(2 * COPY) as usize,
        salts,
    }))
}

/// Whether the index is from before the system started. It is memory that was written to disk at any moment, page by
/// page and never in order, so after a power cut it proves nothing; SQLite makes it anew. Where the system does not tell
/// when it started, no index is believed.
fn outlived_the_system(index: &Shared) -> io::Result<bool> {
    let changed = index.metadata()?.modified()?;
    let Ok(statistics) = fs::read_to_string("/proc/stat") else {
        return Ok(true);
    };
    let started = statistics
        .lines()
        .find_map(|line| line.strip_prefix("btime "))
        .and_then(|seconds| seconds.trim().parse().ok())
        .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
    // A moment that is still to come is from a clock that was set back: nothing follows from it.
    Ok(changed > SystemTime::now() || started.is_none_or(|started| changed < started))
}

/// Reads the log beside a store; one that is missing, empty or no log at all holds nothing.
pub(crate) fn read(path: &Path) -> io::Result<Log> {
    let index = index(path)?;
    let mut log = whole(path)?;
    if let Some(index) = index.filter(|index| index.salts == log.salts) {
        // Of what was copied, the store has the newest.
        log.newest.retain(|_, at| *at >= index.copied);
    }
    let newest = &log.newest;
    log.pages.retain(|number, _| newest.contains_key(number));
    Ok(log)
}

fn whole(path: &Path) -> io::Result<Log> {
    let bytes = match fs::read(header::beside(path, "-wal")) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Log::default()),
        Err(error) => return Err(error),
    };
    Ok(parse(&bytes))
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn parse(bytes: &[u8]) -> Log {
    let mut log = Log::default();
    if bytes.len() < HEADER {
        return log;
    }
    let size = number(bytes, 8) as usize;
    if !size.is_power_of_two() || !(512..=65_536).contains(&size) {
        return log;
    }
    log.page_size = Some(size);
    log.salts.copy_from_slice(&bytes[16..24]);
    let big = number(bytes, 0) & 1 == 1;
    let mut sums = checksum([0, 0], &bytes[..24], big);
    let mut sound =
        number(bytes, 0) >> 1 == 0x377f_0682 >> 1 && sums == [number(bytes, 24), number(bytes, 28)];
    log.sound = sound;
    // What the transaction that is being read changed so far.
    let mut open: Vec<(u32, usize, &[u8])> = Vec::new();
    let mut commit_behind = false;
    let mut stored_before = sums;
    for (at, frame) in bytes[HEADER..].chunks_exact(FRAME + size).enumerate() {
        let of_this_log = frame[8..16] == bytes[16..24];
        let page = &frame[FRAME..];
        if sound {
            sums = checksum(checksum(sums, &frame[..8], big), page, big);
            sound = of_this_log && sums == [number(frame, 16), number(frame, 20)];
        }
        let commit = number(frame, 4) != 0;
        if sound {
            open.push((number(frame, 0), at, page));
            if commit {
                log.valid = at + 1;
                for (number, at, page) in open.drain(..) {
                    log.newest.insert(number, at);
                    log.pages.insert(number, page.to_vec());
                }
            }
        } else if of_this_log {
            // A transaction that a power cut tore may leave its end behind a shorter one that was torn at the same place
            // later: only frames that follow from each other were written one after the other.
            let follows = checksum(checksum(stored_before, &frame[..8], big), page, big)
                == [number(frame, 16), number(frame, 20)];
            commit_behind &= follows;
            log.torn_inside |= commit_behind;
            log.beyond.push(page.to_vec());
        }
        if !sound {
            commit_behind |= of_this_log && commit;
        }
        stored_before = [number(frame, 16), number(frame, 20)];
    }
    log.beyond
        .extend(open.into_iter().map(|(.., page)| page.to_vec()));
    log
}

fn checksum([mut first, mut second]: [u32; 2], bytes: &[u8], big: bool) -> [u32; 2] {
    let word = |bytes: [u8; 4]| {
        if big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    };
    let (words, _) = bytes.as_chunks::<8>();
    for [a, b, c, d, e, f, g, h] in words {
        first = first
            .wrapping_add(word([*a, *b, *c, *d]))
            .wrapping_add(second);
        second = second
            .wrapping_add(word([*e, *f, *g, *h]))
            .wrapping_add(first);
    }
    [first, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 512;

    /// A log under construction, as SQLite writes one.
    struct Writing {
        bytes: Vec<u8>,
        sums: [u32; 2],
    }

    impl Writing {
        fn new() -> Self {
            let mut bytes = Vec::new();
            for number in [0x377f_0683, 3_007_000, PAGE as u32, 0, 7, 9] {
                bytes.extend_from_slice(&u32::to_be_bytes(number));
            }
            let sums = checksum([0, 0], &bytes, true);
            let mut log = Self { bytes, sums };
            log.sign();
            log
        }

        fn sign(&mut self) {
            for sum in self.sums {
                self.bytes.extend_from_slice(&sum.to_be_bytes());
            }
        }

        fn frame(&mut self, page: u32, commit: bool) {
            let content = vec![page as u8; PAGE];
            let mut header = Vec::new();
            header.extend_from_slice(&page.to_be_bytes());
            header.extend_from_slice(&u32::from(commit).to_be_bytes());
            self.sums = checksum(checksum(self.sums, &header, true), &content, true);
            header.extend_from_slice(&self.bytes[16..24]);
            self.bytes.extend_from_slice(&header);
            self.sign();
            self.bytes.extend_from_slice(&content);
        }
    }

    fn frame_at(number: usize) -> usize {
        HEADER + number * (FRAME + PAGE)
    }

    #[test]
    fn a_transaction_behind_the_damage_proves_it() {
        let mut log = Writing::new();
        for page in 1..4 {
            log.frame(page, true);
        }
        let whole = parse(&log.bytes);
        assert_eq!((whole.valid, whole.torn_inside), (3, false));
        log.bytes[frame_at(0) + FRAME + 100] ^= 1;
        let damaged = parse(&log.bytes);
        assert_eq!((damaged.valid, damaged.torn_inside), (0, true));
    }

    #[test]
    fn two_power_cuts_at_one_place_are_no_damage() {
        let mut first = Writing::new();
        for page in 1..6 {
            first.frame(page, page == 5);
        }
        let mut second = Writing::new();
        second.frame(8, false);
        second.frame(9, true);
        // The first cut lost the beginning of five pages, the second the beginning of two in the same place.
        let mut bytes = second.bytes;
        bytes.extend_from_slice(&first.bytes[frame_at(2)..]);
        bytes[frame_at(0) + FRAME + 100] ^= 1;
        let torn = parse(&bytes);
        assert_eq!((torn.valid, torn.torn_inside), (0, false));
    }
}
