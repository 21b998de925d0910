//! What the files of an index prove: which of the wanted ids have an element there.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::num::NonZeroU32;
use std::path::Path;

use storage_core::Metric;

use super::catalogue::Entry;
use super::hnsw::{Elements, Layout, Norms};
use super::ids;

/// What was found in an index.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Position of the element of each wanted id that has one.
    pub(super) positions: HashMap<u32, u32>,
    /// Wanted ids whose element is there by the map, and cannot be had.
    pub(super) lost: Vec<u32>,
    /// Where the elements are; `None` when no map of ids says so.
    pub(super) layout: Option<Layout>,
    /// What is wrong with the files, if something is.
    pub(super) damage: Option<String>,
    /// How far the index has followed the log by its own word.
    pub(super) max_seq_id: Option<i64>,
}

impl Index {
    fn damaged(reason: impl Into<String>) -> Self {
        Self {
            damage: Some(reason.into()),
            ..Self::default()
        }
    }
}

/// Looks through the index of a collection. `wanted` finds the number of an id; `was_written` says whether the tables
/// know of an index on disk.
///
/// # Errors
/// A file that is there and cannot be read.
pub(super) fn look_through(
    directory: &Path,
    entry: &Entry,
    dimensions: Option<NonZeroU32>,
    was_written: bool,
    wanted: impl Fn(&str) -> Option<u32>,
) -> io::Result<Index> {
    let file = |name: &str| directory.join(entry.index_file(name));
    let pickle = match fs::metadata(file("index_metadata.pickle")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Before the first time that Chroma writes the index out, its files are there and hold nothing.
            let counts = match (read_optional(&file("header.bin"))?, dimensions) {
                (Some(header), Some(dimensions)) => {
                    Layout::parse(&header, dimensions).is_ok_and(|layout| layout.count > 0)
                }
                _ => false,
            };
            return Ok(match was_written || counts {
                true => Index::damaged("index_metadata.pickle is missing"),
                false => Index::default(),
            });
        }
        Err(error) => return Err(error),
        Ok(about) if about.len() > ids::LARGEST => {
            return Ok(Index::damaged(
                "index_metadata.pickle is larger than any map of ids",
            ));
        }
        Ok(_) => fs::read(file("index_metadata.pickle"))?,
    };
    let map = match ids::parse(&pickle) {
        Ok(map) => map,
        Err(reason) => {
            return Ok(Index::damaged(format!("index_metadata.pickle: {reason}")));
        }
    };
    let claimed = map
        .dimensions
        .and_then(|number| u32::try_from(number).ok())
        .and_then(NonZeroU32::new);
    let Some(dimensions) = dimensions.or(claimed) else {
        return Ok(match map.labels.is_empty() {
            true => Index::default(),
            false => Index::damaged("nothing says how many numbers its vectors have"),
        });
    };
    if claimed.is_some_and(|claimed| claimed != dimensions) {
        return Ok(Index::damaged(format!(
            "index_metadata.pickle speaks of another number of dimensions than {dimensions}"
        )));
    }
    let max_seq_id = map.max_seq_id;
    // From label to the number of the id; ids that nobody wants any more are of no interest.
    let mut labels: HashMap<u64, u32> = HashMap::new();
    for (id, label) in &map.labels {
        if let Some(number) = wanted(id) {
            labels.insert(*label, number);
        }
    }
    drop(map);
    drop(pickle);
    if labels.is_empty() {
        return Ok(Index {
            max_seq_id,
            ..Index::default()
        });
    }
    let mut index = Index {
        max_seq_id,
        ..scan(&file, dimensions, entry.metric, &labels)?
    };
    let mut lost: Vec<u32> = labels
        .into_values()
        .filter(|number| !index.positions.contains_key(number))
        .collect();
    lost.sort_unstable();
    if !lost.is_empty() && index.damage.is_none() {
        index.damage = Some("its map has ids that have no vector in data_level0.bin".to_owned());
    }
    index.lost = lost;
    Ok(index)
}

/// Goes through all elements once, and keeps those that prove what they are.
fn scan(
    file: &impl Fn(&str) -> std::path::PathBuf,
    dimensions: NonZeroU32,
    metric: Metric,
    labels: &HashMap<u64, u32>,
) -> io::Result<Index> {
    let Some(header) = read_optional(&file("header.bin"))? else {
        return Ok(Index::damaged("header.bin is missing"));
    };
    let layout = match Layout::parse(&header, dimensions) {
        Ok(layout) => layout,
        Err(reason) => return Ok(Index::damaged(reason)),
    };
    let Some(data) = open_optional(&file("data_level0.bin"))? else {
        return Ok(Index::damaged("data_level0.bin is missing"));
    };
    let mut elements = Elements::new(data, layout)?;
    let cosine = metric == Metric::Cosine;
    let mut norms = match cosine {
        false => None,
        true => match open_optional(&file("length.bin"))? {
            Some(norms) => Some(Norms::new(norms)?),
            None => return Ok(Index::damaged("length.bin is missing")),
        },
    };
    let mut index = Index {
        layout: Some(layout),
        ..Index::default()
    };
    if elements.whole() < layout.count {
        index.damage = Some(format!(
            "data_level0.bin ends after {} of {} vectors",
            elements.whole(),
            layout.count
        ));
    }
    let (mut looked_at, mut crooked, mut without_norm) = (0_u64, 0_u64, 0_u64);
    let mut twice = Vec::new();
    for position in 0..elements.whole() {
        let Some(element) = elements.get(position)? else {
            break;
        };
        let Some(&number) = labels.get(&element.label()) else {
            continue;
        };
        if element.deleted() {
            continue;
        }
        looked_at += 1;
        if cosine && !element.is_normalised() {
            crooked += 1;
            continue;
        }
        if let Some(norms) = &mut norms
            && !norms
                .get(position)?
                .is_some_and(|norm| norm.is_finite() && norm >= 0.0)
        {
            without_norm += 1;
            continue;
        }
        let position = u32::try_from(position).map_err(io::Error::other)?;
        if index.positions.insert(number, position).is_some() {
            twice.push(number);
        }
    }
    if !twice.is_empty() {
        index.damage = Some(format!("data_level0.bin has {} labels twice", twice.len()));
        for number in twice {
            index.positions.remove(&number);
        }
    }
    if without_norm > 0 {
        index.damage = Some(format!("length.bin has no norm for {without_norm} vectors"));
    }
    if crooked > 0 {
        index.damage = Some(format!(
            "{crooked} of {looked_at} vectors in data_level0.bin are not normalised, as those of a cosine index are: \
             either the collection is not cosine, or the file is damaged"
        ));
        // Most of them: it is the distance that is wrong, and then no number may be multiplied by what length.bin holds.
        if crooked * 2 > looked_at {
            index.positions.clear();
        }
    }
    Ok(index)
}

fn open_optional(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A header, if it is there; no more of it than tells that it is too long.
fn read_optional(path: &Path) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read;
    let Some(file) = open_optional(path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(super::HEADER as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
