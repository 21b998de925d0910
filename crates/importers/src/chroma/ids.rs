//! `index_metadata.pickle`: which id has which label in the index.

use crate::pickle::{self, Limits, Node, Pickle};

/// The one class that a pickle of Chroma's may hold; the older versions wrote it.
const CLASSES: &[(&str, &str)] = &[(
    "chromadb.segment.impl.vector.local_persistent_hnsw",
    "PersistentData",
)];

/// A pickle larger than this is no map of ids: ten million take a quarter of it.
pub(super) const LARGEST: u64 = 2 << 30;

/// What the index says of itself.
#[derive(Debug)]
pub(super) struct IdMap<'a> {
    /// Ids and labels, each once.
    pub(super) labels: Vec<(&'a str, u64)>,
    /// Numbers per vector, where it is said.
    pub(super) dimensions: Option<i64>,
    /// How far the index has followed the log; the older versions wrote it, and newer ones do not keep it up.
    pub(super) max_seq_id: Option<i64>,
}

/// Reads the pickle and checks that it agrees with itself.
///
/// # Errors
/// Says what is wrong, as one fact.
pub(super) fn parse(bytes: &[u8]) -> Result<IdMap<'_>, String> {
    let limits = Limits::for_length(bytes.len() as u64);
    let pickle: Pickle<'_> =
        pickle::read(bytes, CLASSES, limits).map_err(|error| error.to_string())?;
    let root = pickle.root();
    // An instance of the class, or since 1.0 the plain dict of its state.
    let state = root.state().unwrap_or(root);
    let missing = |key: &str| format!("it has no {key}");
    let labels = state
        .get("id_to_label")
        .and_then(Node::entries)
        .ok_or_else(|| missing("id_to_label"))?;
    let mut labels = labels
        .map(|(id, label)| Some((id.text()?, u64::try_from(label.int()?).ok()?)))
        .collect::<Option<Vec<_>>>()
        .ok_or("id_to_label maps something else than texts to numbers")?;
    let mut ids = state
        .get("label_to_id")
        .and_then(Node::entries)
        .ok_or_else(|| missing("label_to_id"))?
        .map(|(label, id)| Some((id.text()?, u64::try_from(label.int()?).ok()?)))
        .collect::<Option<Vec<_>>>()
        .ok_or("label_to_id maps something else than numbers to texts")?;
    for map in [&mut labels, &mut ids] {
        map.sort_unstable_by_key(|&(_, label)| label);
        if map.windows(2).any(|pair| pair[0].1 == pair[1].1) {
            return Err("one label in it stands for two ids".to_owned());
        }
    }
    if labels != ids {
        return Err("its two maps do not agree".to_owned());
    }
    let last = state.get("total_elements_added").and_then(Node::int);
    let last = last.ok_or_else(|| missing("total_elements_added"))?;
    if labels
        .last()
        .is_some_and(|&(_, label)| i64::try_from(label).map_or(true, |label| label > last))
    {
        return Err("it has a label that was never given out".to_owned());
    }
    drop(ids);
    labels.sort_unstable();
    if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err("one id in it has two labels".to_owned());
    }
    Ok(IdMap {
        labels,
        dimensions: state.get("dimensionality").and_then(Node::int),
        max_seq_id: state.get("max_seq_id").and_then(Node::int),
    })
}
