//! The reader of pickles, and a walk over what it read.

use crate::pickle::{Limits, Node, read};

/// Reads and walks; a walk must end within the limits, or this does not return.
pub fn run(bytes: &[u8]) {
    let classes = [("some.module", "Thing"), ("datetime", "datetime")];
    let limits = Limits::for_length(bytes.len() as u64);
    if let Ok(pickle) = read(bytes, &classes, limits) {
        let met = walk(pickle.root(), limits.depth);
        assert!(met <= limits.unfolded + 1, "a walk met {met} values");
    }
}

fn walk(node: Node<'_, '_>, depth: u32) -> u64 {
    let Some(deeper) = depth.checked_sub(1) else {
        // Only plain values may stand below the deepest container.
        assert!(node.object().is_none(), "deeper than the limit");
        return 1;
    };
    let mut met = 1;
    if let Some(items) = node.items() {
        met += items.map(|item| walk(item, deeper)).sum::<u64>();
    }
    if let Some(entries) = node.entries() {
        met += entries
            .map(|(key, value)| walk(key, deeper) + walk(value, deeper))
            .sum::<u64>();
    }
    for part in [node.arguments(), node.state()].into_iter().flatten() {
        met += walk(part, deeper);
    }
    met
}
