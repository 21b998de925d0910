//! Damage at random: never a panic, never a wrong answer, and nothing lost by a repair that could still be proved.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use futures_util::TryStreamExt;
use storage_core::testing::fixture;
use storage_core::{EmbeddingStore, Filter, IntegrityReport, StoreErrorKind, Timestamp};
use storage_sqlite::{RepairOptions, SqliteOptions, SqliteStore, open_read_only, repair};

use crate::whole::{Random, Whole, dump, write};

/// What was done to the files, and which pages of the main one are not what they were.
struct Damage {
    what: String,
    pages: BTreeSet<usize>,
    flip: bool,
}

fn damage(
    whole: &Whole,
    random: &mut Random,
    files: &mut BTreeMap<&'static str, Vec<u8>>,
) -> Damage {
    let page = whole.page;
    let count = files[""].len() / page;
    let target = if files.contains_key("-wal") && random.below(2) == 0 {
        "-wal"
    } else {
        ""
    };
    let length = files[target].len();
    let spread = |at: usize, end: usize| {
        if target.is_empty() {
            (at / page..end.div_ceil(page)).collect()
        } else {
            BTreeSet::new()
        }
    };
    let mut flip = false;
    let (what, pages) = match random.below(9) {
        0..=3 => {
            let (at, bit) = (random.below(length), random.below(8));
            files.get_mut(target).unwrap()[at] ^= 1 << bit;
            flip = true;
            (format!("bit {bit} of byte {at}"), spread(at, at + 1))
        }
        4 => {
            let at = random.below(length);
            let end = length.min(at + 1 + random.below(4_096));
            for byte in &mut files.get_mut(target).unwrap()[at..end] {
                *byte = random.next().to_le_bytes()[0];
            }
            (format!("bytes {at}..{end}"), spread(at, end))
        }
        5 => {
            let at = random.below(length);
            files.get_mut(target).unwrap().truncate(at);
            (format!("truncated to {at}"), spread(at, length))
        }
        6 if target.is_empty() => {
            let number = random.below(count);
            files.get_mut("").unwrap()[number * page..][..page].fill(0);
            (
                format!("zeroed page {}", number + 1),
                BTreeSet::from([number]),
            )
        }
        7 if target.is_empty() => {
            let (one, other) = (random.below(count), random.below(count));
            for at in 0..page {
                files
                    .get_mut("")
                    .unwrap()
                    .swap(one * page + at, other * page + at);
            }
            // The first page holds the file's header as well: it is no page anywhere else.
            let lost = [one, other].contains(&0) && one != other;
            let pages = if lost {
                BTreeSet::from([one, other])
            } else {
                BTreeSet::new()
            };
            (
                format!("swapped pages {} and {}", one + 1, other + 1),
                pages,
            )
        }
        6 => {
            files.remove("-wal");
            ("no log".to_owned(), BTreeSet::new())
        }
        _ => {
            let garbage = (0..random.below(20_000)).map(|_| random.next().to_le_bytes()[0]);
            files.insert("-wal", garbage.collect());
            ("garbage for a log".to_owned(), BTreeSet::new())
        }
    };
    Damage {
        what: format!("{target} {what}"),
        pages,
        flip,
    }
}

/// What a reader is served, or why not.
async fn served(store: &SqliteStore) -> storage_core::Result<Served> {
    let status = store.status().await?;
    let (_, fingerprints) = store.fingerprints(&fixture::faq()).await?;
    let records: Vec<_> = store
        .scan(&fixture::faq(), None, Filter::default())
        .try_collect()
        .await?;
    let sources = store.sources(&fixture::faq()).await?;
    Ok((status, fingerprints, records, sources))
}

type Served = (
    storage_core::StoreStatus,
    Vec<storage_core::Fingerprint>,
    Vec<storage_core::EmbeddingRecord>,
    Vec<storage_core::Source>,
);

#[derive(Default)]
struct Tally {
    refused: usize,
    found: usize,
    harmless: usize,
    /// Flips of bytes that hold something, and those of them that nobody noticed.
    flips: usize,
    unnoticed: BTreeMap<String, usize>,
    repaired: usize,
    beyond_repair: usize,
}

async fn rounds(name: &str, whole: &Whole, part: u64, count: usize) {
    let mut random = Random::seeded(name, part);
    let mut tally = Tally::default();
    let directory = tempfile::tempdir().unwrap();
    let untouched = {
        let path = directory.path().join("untouched.db");
        write(&path, &whole.files);
        dump(&path).unwrap()
    };
    for round in 0..count {
        let mut files = whole.files.clone();
        let done = damage(whole, &mut random, &mut files);
        let place = directory.path().join(format!("{round}"));
        fs::create_dir(&place).unwrap();
        let path = place.join("store.db");
        write(&path, &files);
        let context = format!("round {round}: {}", done.what);
        if judge(
            &path, &files, whole, &done, &untouched, &mut tally, &context,
        )
        .await
            && round % 3 == 0
        {
            write(&path, &files);
            mend(&path, whole, &done, &mut tally, &context).await;
        }
        fs::remove_dir_all(&place).unwrap();
    }
    let unnoticed: usize = tally.unnoticed.values().sum();
    println!(
        "{name}: {count} damages: {} refused, {} found, {} harmless; {} flips of bytes in use, {unnoticed} unnoticed \
         {:?}; {} repaired, {} beyond repair",
        tally.refused,
        tally.found,
        tally.harmless,
        tally.flips,
        tally.unnoticed,
        tally.repaired,
        tally.beyond_repair
    );
    // Some three hundred flips are too few for a share: `flipped_bits` measures that.
    assert!(unnoticed <= 1, "unnoticed: {:?}", tally.unnoticed);
}

/// Whether the damage was noticed; one that was not must not matter.
async fn judge(
    path: &Path,
    files: &BTreeMap<&'static str, Vec<u8>>,
    whole: &Whole,
    done: &Damage,
    untouched: &[(String, String)],
    tally: &mut Tally,
    context: &str,
) -> bool {
    let options = SqliteOptions::file(path);
    let sound = match open_read_only(&options) {
        Err(error) => {
            assert_ne!(
                error.kind(),
                StoreErrorKind::Internal,
                "{context}: {error:?}"
            );
            tally.refused += 1;
            false
        }
        Ok(store) => {
            let report = store.check().await;
            let sound = report.as_ref().is_ok_and(IntegrityReport::is_ok);
            let seen = served(&store).await;
            if sound {
                let (status, fingerprints, records, sources) = seen.expect(context);
                let expected = &whole.seen.collections[0];
                assert_eq!(status.generation, whole.seen.generation, "{context}");
                let spaces = whole.seen.spaces.iter().map(|(space, _)| space);
                assert!(status.spaces.iter().eq(spaces), "{context}");
                assert_eq!(status.collections[0], expected.status, "{context}");
                assert_eq!(fingerprints, expected.fingerprints, "{context}");
                assert_eq!(records, expected.records, "{context}");
                assert_eq!(sources, expected.sources, "{context}");
                tally.harmless += 1;
            } else {
                tally.found += 1;
            }
            sound
        }
    };
    if done.flip {
        if !sound {
            tally.flips += 1;
        } else {
            write(path, files);
            let now = dump(path);
            if now.as_deref() != Some(untouched) {
                tally.flips += 1;
                let what = now.as_ref().and_then(|now| {
                    let mut pairs = now.iter().zip(untouched);
                    pairs.find(|(now, before)| now != before)
                });
                let column = what.map_or("unreadable".to_owned(), |(now, _)| now.0.clone());
                *tally.unnoticed.entry(column).or_default() += 1;
            }
        }
    }
    !sound
}

/// Repairs a damaged store: what is left is sound, what is kept is what was there, and nothing that could be proved is
/// missing.
async fn mend(path: &Path, whole: &Whole, done: &Damage, tally: &mut Tally, context: &str) {
    let options = SqliteOptions::file(path);
    let at = Timestamp(1_763_800_000_000);
    let report = match repair(&options, RepairOptions::default(), at) {
        Ok(report) => report,
        Err(error) => {
            // The one thing that cannot be repaired is a file in which no page of a store is left.
            assert!(
                matches!(
                    error.kind(),
                    StoreErrorKind::Foreign | StoreErrorKind::SchemaOld | StoreErrorKind::SchemaNew
                ),
                "{context}: {error:?}"
            );
            let pages = whole.files[""].len() / whole.page;
            let bad_header = done.pages.contains(&0);
            assert!(
                done.pages.len() * 2 > pages || bad_header,
                "{context}: refused to repair: {error}"
            );
            tally.beyond_repair += 1;
            return;
        }
    };
    tally.repaired += 1;
    let store = open_read_only(&options).expect(context);
    let check = store.check().await.expect(context);
    let faults: Vec<_> = check.checks.iter().filter(|check| !check.ok).collect();
    assert!(
        faults.is_empty() || (!report.to_embed.is_empty() && faults.len() == 1),
        "{context}: {faults:?}"
    );
    let keys: Vec<_> = store
        .fingerprints(&fixture::faq())
        .await
        .expect(context)
        .1
        .into_iter()
        .map(|row| row.key)
        .collect();
    let kept = store.documents(&keys).await.expect(context);
    let logged = whole.files.contains_key("-wal");
    let expected = &whole.seen.collections[0].records;
    for document in &kept {
        let before = expected
            .iter()
            .find(|row| row.document.key == document.key)
            .map(|row| &row.document);
        assert!(
            before == Some(document) || logged,
            "{context}: a row that never was: {document:?}"
        );
    }
    if report.to_embed.is_empty() {
        let rows: Vec<_> = store
            .scan(&fixture::faq(), None, Filter::default())
            .try_collect()
            .await
            .expect(context);
        for row in rows {
            let before = expected
                .iter()
                .find(|before| before.document.key == row.document.key);
            let same = before.is_none_or(|before| {
                before.document.body != row.document.body || before.embedding == row.embedding
            });
            assert!(same, "{context}: another vector for {:?}", row.document.key);
        }
    }
    if logged {
        return;
    }
    let kept: BTreeSet<_> = kept.into_iter().map(|document| document.key).collect();
    let to_embed: BTreeSet<_> = report.to_embed.iter().map(|row| row.key.clone()).collect();
    let version_lost = !whole.version.is_disjoint(&done.pages);
    for row in expected {
        let key = &row.document.key;
        let (text, vector) = &whole.rows[&key.document];
        assert!(!text.is_empty() && !vector.is_empty());
        if text.is_disjoint(&done.pages) {
            assert!(kept.contains(key), "{context}: lost {key:?}; {report:#?}");
            if !version_lost && vector.is_disjoint(&done.pages) {
                assert!(!to_embed.contains(key), "{context}: vector of {key:?} lost");
            }
        }
    }
    let again = repair(&options, RepairOptions::default(), at).expect(context);
    assert!(!again.written, "{context}: repaired twice");
}

/// In three parts, so that they run beside each other.
#[tokio::test]
async fn a_closed_store_that_is_damaged() {
    rounds("closed", &Whole::closed().await, 1, 250).await;
}

#[tokio::test]
async fn a_closed_store_that_is_damaged_otherwise() {
    rounds("closed otherwise", &Whole::closed().await, 2, 250).await;
}

#[tokio::test]
async fn a_closed_store_that_is_damaged_in_a_third_way() {
    rounds("closed in a third way", &Whole::closed().await, 3, 250).await;
}

/// Every bit that holds something is watched by something.
#[tokio::test]
async fn flipped_bits() {
    let whole = Whole::closed().await;
    let mut random = Random::seeded("flips", 5);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    write(&path, &whole.files);
    let untouched = dump(&path).unwrap();
    let mut tally = Tally::default();
    for round in 0..1_200 {
        let mut files = whole.files.clone();
        let bytes = files.get_mut("").unwrap();
        let (at, bit) = (random.below(bytes.len()), random.below(8));
        bytes[at] ^= 1 << bit;
        let done = Damage {
            what: String::new(),
            pages: BTreeSet::new(),
            flip: true,
        };
        write(&path, &files);
        let context = format!("round {round}: bit {bit} of byte {at}");
        judge(
            &path, &files, &whole, &done, &untouched, &mut tally, &context,
        )
        .await;
    }
    let unnoticed: usize = tally.unnoticed.values().sum();
    println!(
        "flips: {} of bytes in use, {unnoticed} unnoticed: {:?}",
        tally.flips, tally.unnoticed
    );
    assert!(tally.flips > 400, "too few to speak of a share");
    // One in five hundred is as fine as this can tell.
    assert!(
        unnoticed <= 1.max(tally.flips / 1_000),
        "detection below 99.9 %"
    );
}

#[tokio::test]
async fn a_killed_store_that_is_damaged() {
    let whole = Whole::killed().await;
    rounds("killed", &whole, 4, 250).await;
}
