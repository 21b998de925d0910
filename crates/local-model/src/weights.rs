//! The weights in the form the forward pass reads them in.
//!
//! Word embeddings stay packed in the mapped file, as each text touches a few rows of many. The linear layers are unpacked
//! to f32 at load, in panels that the matrix product reads in the order they lie in; that is 85 MB for twelve layers and
//! the greater part of the time a start takes, hence done by two threads.

use std::ops::Range;
use std::sync::Arc;

use crate::error::Damage;
use crate::kernels::Norm;
use crate::layout::{Layout, Shape, Tensor};
use crate::mapped::ModelBytes;
use crate::packing::PANEL;
use crate::product::{View, ViewMut, multiply};

/// All weights of the network.
pub(crate) struct Weights {
    file: Arc<ModelBytes>,
    pub(crate) shape: Shape,
    words: Tensor,
    /// Position embeddings, the embedding of the one token type in use added to each. `positions × hidden`.
    pub(crate) positions: Vec<f32>,
    pub(crate) embedding_norm: Norm,
    pub(crate) layers: Vec<Layer>,
}

/// One transformer layer.
pub(crate) struct Layer {
    /// Query, key and value side by side: `hidden → 3 × hidden`.
    pub(crate) query_key_value: Linear,
    pub(crate) attention_out: Linear,
    pub(crate) attention_norm: Norm,
    pub(crate) feed_forward_in: Linear,
    pub(crate) feed_forward_out: Linear,
    pub(crate) out_norm: Norm,
}

/// A linear layer, `y = x W + b`.
pub(crate) struct Linear {
    /// In panels, see [`Packing::unpack_panels`](crate::packing::Packing::unpack_panels), one matrix after another.
    weights: CacheAligned,
    bias: Vec<f32>,
    inputs: usize,
    /// Outputs of each of the matrices that lie side by side.
    part: usize,
}

/// Numbers that begin on a cache line. Off it every 512-bit read touches two lines, which costs a quarter of the time of a
/// single text.
struct CacheAligned {
    data: Vec<f32>,
    start: usize,
    length: usize,
}

impl CacheAligned {
    const LINE: usize = 64;

    fn zeroed(length: usize) -> CacheAligned {
        let spare = Self::LINE / size_of::<f32>();
        let data = vec![0.0; length + spare];
        // `align_offset` may decline to answer; then the numbers are merely slower to read.
        let start = data.as_ptr().align_offset(Self::LINE).min(spare);
        CacheAligned {
            data,
            start,
            length,
        }
    }

    fn as_slice(&self) -> &[f32] {
        &self.data[self.start..self.start + self.length]
    }

    fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.length]
    }
}

impl Linear {
    /// Applies the layer to each row of `rows`; `out` gets as many rows, each as long as the bias.
    pub(crate) fn apply(&self, rows: &[f32], out: &mut [f32]) {
        let (inputs, outputs) = (self.inputs, self.bias.len());
        let left = View {
            data: rows,
            rows: rows.len() / inputs,
            columns: inputs,
            row_stride: inputs,
            column_stride: 1,
        };
        for row in out.chunks_exact_mut(outputs) {
            row.copy_from_slice(&self.bias);
        }
        let mut column = 0;
        for panel in self
            .weights
            .as_slice()
            .chunks(inputs * self.part)
            .flat_map(|part| part.chunks(inputs * PANEL))
        {
            let width = panel.len() / inputs;
            let right = View {
                data: panel,
                rows: inputs,
                columns: width,
                row_stride: width,
                column_stride: 1,
            };
            let out = ViewMut {
                data: &mut out[column..],
                rows: left.rows,
                columns: width,
                row_stride: outputs,
            };
            multiply(out, true, left, right);
            column += width;
        }
    }
}

impl Weights {
    /// Unpacks the weights that `layout` describes, on two threads.
    pub(crate) fn load(file: Arc<ModelBytes>, layout: &Layout) -> Result<Weights, Damage> {
        let reader = Reader {
            file: &file,
            layout,
        };
        let shape = layout.shape;
        let half = shape.layers / 2;
        let (first, second) = std::thread::scope(|scope| {
            let second = scope.spawn(|| reader.layers(half..shape.layers));
            let first = reader.layers(0..half);
            // A panic in the thread would be an error of this crate; it goes on here as it would without the thread.
            let second = second
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (first, second)
        });
        let mut layers = first?;
        layers.extend(second?);
        let words = layout.words()?.clone();
        let mut positions = reader.floats("emb.pos", shape.positions * shape.hidden)?;
        let types = reader.token_types()?;
        for row in positions.chunks_exact_mut(shape.hidden) {
            for (position, of_type) in row.iter_mut().zip(&types) {
                *position += of_type;
            }
        }
        let embedding_norm = reader.norm("emb.ln")?;
        Ok(Weights {
            file,
            shape,
            words,
            positions,
            embedding_norm,
            layers,
        })
    }

    /// Unpacks the embedding of piece `id` into `out`, `hidden` long. A piece beyond the table gives zeros.
    pub(crate) fn word(&self, id: u32, out: &mut [f32]) {
        let packing = self.words.packing;
        let row_bytes = packing.bytes(self.shape.hidden);
        let start = id as usize * row_bytes;
        let row = self
            .file
            .get(self.words.bytes.clone())
            .and_then(|words| words.get(start..start + row_bytes));
        match row {
            Some(row) => packing.unpack_row(row, out),
            None => out.fill(0.0),
        }
    }
}

/// Reads tensors by name.
struct Reader<'a> {
    file: &'a ModelBytes,
    layout: &'a Layout,
}

impl Reader<'_> {
    fn layers(&self, numbers: Range<usize>) -> Result<Vec<Layer>, Damage> {
        numbers.map(|number| self.layer(number)).collect()
    }

    fn layer(&self, number: usize) -> Result<Layer, Damage> {
        let Shape {
            hidden,
            feed_forward,
            ..
        } = self.layout.shape;
        let name = |part: &str| format!("l{number}.{part}");
        Ok(Layer {
            query_key_value: self.linear(&[name("q"), name("k"), name("v")], hidden, hidden)?,
            attention_out: self.linear(&[name("ao")], hidden, hidden)?,
            attention_norm: self.norm(&name("aln"))?,
            feed_forward_in: self.linear(&[name("fi")], hidden, feed_forward)?,
            feed_forward_out: self.linear(&[name("fo")], feed_forward, hidden)?,
            out_norm: self.norm(&name("oln"))?,
        })
    }

    /// Puts layers of equal size side by side.
    fn linear(&self, names: &[String], inputs: usize, each: usize) -> Result<Linear, Damage> {
        let outputs = each * names.len();
        let tensors: Result<Vec<_>, _> = names
            .iter()
            .map(|name| self.layout.tensor(&format!("{name}.w"), inputs * each))
            .collect();
        let tensors = tensors?;
        // Only now: the sizes are known to be those of bytes that are there.
        let mut weights = CacheAligned::zeroed(inputs * outputs);
        let mut bias = Vec::with_capacity(outputs);
        let arch = pulp::Arch::new();
        let parts = weights.as_mut_slice().chunks_exact_mut(inputs * each);
        for ((name, tensor), out) in names.iter().zip(tensors).zip(parts) {
            let packed = &self.file[tensor.bytes.clone()];
            arch.dispatch(
                #[inline(always)]
                || tensor.packing.unpack_panels(packed, inputs, out),
            );
            bias.extend(self.floats(&format!("{name}.b"), each)?);
        }
        Ok(Linear {
            weights,
            bias,
            inputs,
            part: each,
        })
    }

    fn norm(&self, name: &str) -> Result<Norm, Damage> {
        let Shape {
            hidden, epsilon, ..
        } = self.layout.shape;
        Ok(Norm {
            weight: self.floats(&format!("{name}.w"), hidden)?,
            bias: self.floats(&format!("{name}.b"), hidden)?,
            epsilon,
        })
    }

    /// The embedding of token type 0, the only one a single text has.
    fn token_types(&self) -> Result<Vec<f32>, Damage> {
        let Shape {
            hidden,
            token_types,
            ..
        } = self.layout.shape;
        let mut types = self.floats("emb.type", token_types * hidden)?;
        types.truncate(hidden);
        Ok(types)
    }

    fn floats(&self, name: &str, elements: usize) -> Result<Vec<f32>, Damage> {
        let tensor = self.layout.plain(name, elements)?;
        let (words, _) = self.file[tensor.bytes.clone()].as_chunks::<4>();
        Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
    }
}
