//! Reads the table of contents of a `model.safetensors` of a BERT.
//!
//! The format: u64 little-endian length of the header; the header, a JSON object that gives each tensor's `dtype`, `shape`
//! and `data_offsets` (begin and end, counted from the end of the header); then the data, in which tensors follow one
//! another without gap or overlap. It holds no sizes of the network, so they are those of the model that is meant, and
//! every tensor's shape has to fit them.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Layout, Shape, Tensor, divides};
use crate::error::Damage;
use crate::packing::Packing;

/// Longest header that is read. That of the pinned file is 11 KB; twelve layers take 25 KB.
const LONGEST_HEADER: usize = 1 << 20;

/// What the header holds besides tensors.
const METADATA: &str = "__metadata__";

const WORDS: &str = "embeddings.word_embeddings.weight";

/// A tensor as the header describes it.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// Reads and checks the table of contents of a file that has to be of this shape.
pub(crate) fn parse(file: &[u8], shape: Shape) -> Result<Layout, Damage> {
    divides(&shape)?;
    let (data_start, entries) = read_header(file)?;
    cover(&entries, file.len() - data_start)?;
    let entry = |name: &str| {
        entries
            .get(name)
            .ok_or_else(|| Damage::new(format_args!("tensor {name} is missing")))
    };
    let rows = match *entry(WORDS)?.shape {
        [rows, _] => rows,
        _ => return Err(Damage::new(format_args!("tensor {WORDS} is no matrix"))),
    };
    let mut tensors = HashMap::new();
    for (ours, theirs, expected) in names(&shape, rows) {
        let Entry {
            dtype,
            shape,
            data_offsets: [begin, end],
        } = entry(&theirs)?;
        if dtype != "F32" || *shape != expected {
            return Err(Damage::new(format_args!(
                "tensor {theirs} is {shape:?} of {dtype}, expected {expected:?} of F32"
            )));
        }
        let elements = expected
            .iter()
            .try_fold(1usize, |product, size| product.checked_mul(*size))
            .filter(|elements| elements.checked_mul(4) == Some(end - begin))
            .ok_or_else(|| {
                Damage::new(format_args!(
                    "tensor {theirs} of {expected:?} says it has {} bytes",
                    end - begin
                ))
            })?;
        let tensor = Tensor {
            packing: Packing::F32,
            elements,
            bytes: data_start + begin..data_start + end,
        };
        tensors.insert(ours.into_bytes(), tensor);
    }
    Layout::new(shape, rows, tensors)
}

/// Where the data begins, and what the header says of each tensor.
fn read_header(file: &[u8]) -> Result<(usize, HashMap<String, Entry>), Damage> {
    let too_short = || {
        Damage::new(format_args!(
            "it ends inside the header ({} bytes)",
            file.len()
        ))
    };
    let (length, rest) = file.split_first_chunk::<8>().ok_or_else(too_short)?;
    let length = u64::from_le_bytes(*length);
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= LONGEST_HEADER)
        .ok_or_else(|| {
            Damage::new(format_args!(
                "its header says it is {length} bytes long, at most {LONGEST_HEADER} are read"
            ))
        })?;
    let header = rest.get(..length).ok_or_else(too_short)?;
    let header: HashMap<String, Value> = serde_json::from_slice(header)
        .map_err(|error| Damage::new(format_args!("its header is no table of tensors: {error}")))?;
    let entries = header
        .into_iter()
        .filter(|(name, _)| name != METADATA)
        .map(|(name, value)| match Entry::deserialize(value) {
            Ok(entry) => Ok((name, entry)),
            Err(error) => Err(Damage::new(format_args!("tensor {name:?}: {error}"))),
        });
    Ok((8 + length, entries.collect::<Result<_, _>>()?))
}

/// Checks that the tensors cover the data exactly: a file that was cut, or grew, is told by that.
fn cover(entries: &HashMap<String, Entry>, length: usize) -> Result<(), Damage> {
    let mut places: Vec<_> = entries
        .iter()
        .map(|(name, entry)| (entry.data_offsets, name))
        .collect();
    places.sort_unstable();
    let mut at = 0;
    for ([begin, end], name) in places {
        if begin != at || end < begin {
            return Err(Damage::new(format_args!(
                "tensor {name:?} is at {begin}..{end}, expected to begin at {at}"
            )));
        }
        at = end;
    }
    if at != length {
        return Err(Damage::new(format_args!(
            "its tensors take {at} bytes, and {length} are there"
        )));
    }
    Ok(())
}

/// Our name, the file's name and the shape of every tensor that is read.
fn names(shape: &Shape, rows: usize) -> Vec<(String, String, Vec<usize>)> {
    let &Shape {
        hidden,
        layers,
        feed_forward,
        positions,
        token_types,
        ..
    } = shape;
    let mut names = Vec::new();
    let mut add = |ours: String, theirs: String, shape: &[usize]| {
        names.push((ours, theirs, shape.to_vec()));
    };
    for (ours, theirs, count) in [
        ("emb.word", "word", rows),
        ("emb.pos", "position", positions),
        ("emb.type", "token_type", token_types),
    ] {
        let theirs = format!("embeddings.{theirs}_embeddings.weight");
        add(ours.to_owned(), theirs, &[count, hidden]);
    }
    let mut pair = |ours: String, theirs: String, weight: &[usize]| {
        add(format!("{ours}.w"), format!("{theirs}.weight"), weight);
        add(format!("{ours}.b"), format!("{theirs}.bias"), &weight[..1]);
    };
    pair("emb.ln".into(), "embeddings.LayerNorm".into(), &[hidden]);
    for layer in 0..layers {
        for (ours, theirs, weight) in [
            ("q", "attention.self.query", &[hidden, hidden][..]),
            ("k", "attention.self.key", &[hidden, hidden]),
            ("v", "attention.self.value", &[hidden, hidden]),
            ("ao", "attention.output.dense", &[hidden, hidden]),
            ("aln", "attention.output.LayerNorm", &[hidden]),
            ("fi", "intermediate.dense", &[feed_forward, hidden]),
            ("fo", "output.dense", &[hidden, feed_forward]),
            ("oln", "output.LayerNorm", &[hidden]),
        ] {
            let theirs = format!("encoder.layer.{layer}.{theirs}");
            pair(format!("l{layer}.{ours}"), theirs, weight);
        }
    }
    names
}
