//! Where everything is in a weights file, whatever its format: the sizes of the network and a table of tensors by name.
//!
//! Owns no format: [`e5s1`] and [`safetensors`] each read one. They trust no byte of a file; any of them may be wrong, and
//! the answer is then an error, never a panic and never an allocation out of proportion to the file. No weights are
//! copied here and none unpacked.
//!
//! Tensors are named as E5S1 names them: `emb.word`, `emb.pos`, `emb.type`, `emb.ln.{w,b}`, and for each layer N
//! `lN.{q,k,v,ao,fi,fo}.{w,b}` (query, key, value, attention out, feed-forward in and out) and `lN.{aln,oln}.{w,b}`.

pub(crate) mod e5s1;
pub(crate) mod safetensors;

use std::collections::HashMap;
use std::ops::Range;

use crate::error::Damage;
use crate::packing::{BLOCK_LENGTH, Packing};

/// The sizes of the network. All are checked to be sensible and to fit each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) feed_forward: usize,
    pub(crate) positions: usize,
    pub(crate) token_types: usize,
    pub(crate) epsilon: f32,
}

/// One tensor's place. `bytes` lies inside the file and is as long as packing and element count say.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) packing: Packing,
    pub(crate) elements: usize,
    pub(crate) bytes: Range<usize>,
}

/// The checked table of contents of a weights file.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) shape: Shape,
    /// Rows of the word embeddings.
    pub(crate) rows: usize,
    tensors: HashMap<Vec<u8>, Tensor>,
}

impl Layout {
    /// Puts the parts together; the word embeddings have to be `rows × hidden`.
    fn new(shape: Shape, rows: usize, tensors: HashMap<Vec<u8>, Tensor>) -> Result<Layout, Damage> {
        let layout = Layout {
            shape,
            rows,
            tensors,
        };
        layout.words()?;
        Ok(layout)
    }

    /// Finds a tensor by name and checks its element count.
    pub(crate) fn tensor(&self, name: &str, elements: usize) -> Result<&Tensor, Damage> {
        let tensor = self
            .tensors
            .get(name.as_bytes())
            .ok_or_else(|| Damage::new(format_args!("tensor {name} is missing")))?;
        if tensor.elements != elements {
            return Err(Damage::new(format_args!(
                "tensor {name} has {} elements, expected {elements}",
                tensor.elements
            )));
        }
        Ok(tensor)
    }

    /// Finds a tensor of plain numbers.
    pub(crate) fn plain(&self, name: &str, elements: usize) -> Result<&Tensor, Damage> {
        let tensor = self.tensor(name, elements)?;
        if tensor.packing != Packing::F32 {
            return Err(Damage::new(format_args!(
                "tensor {name} is packed as {:?}, expected F32",
                tensor.packing
            )));
        }
        Ok(tensor)
    }

    /// Finds the word embeddings, whose rows divide into whole blocks.
    pub(crate) fn words(&self) -> Result<&Tensor, Damage> {
        self.tensor("emb.word", self.rows * self.shape.hidden)
    }

    /// Names and places of all tensors, in the order of their names.
    pub(crate) fn tensors(&self) -> Vec<(&[u8], &Tensor)> {
        let mut all: Vec<_> = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name.as_slice(), tensor))
            .collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all
    }
}

/// Whether widths divide into blocks and heads.
fn divides(shape: &Shape) -> Result<(), Damage> {
    let Shape {
        hidden,
        heads,
        feed_forward,
        epsilon,
        ..
    } = *shape;
    if !hidden.is_multiple_of(BLOCK_LENGTH)
        || !feed_forward.is_multiple_of(BLOCK_LENGTH)
        || !hidden.is_multiple_of(heads)
    {
        return Err(Damage::new(format_args!(
            "widths {hidden} and {feed_forward} do not divide into blocks of {BLOCK_LENGTH} and {heads} heads"
        )));
    }
    if !(0.0..1.0).contains(&epsilon) {
        return Err(Damage::new("epsilon is out of range"));
    }
    Ok(())
}
