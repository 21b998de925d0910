//! The forward pass: BERT with post-layer-norm, as multilingual-e5-small is trained.
//!
//! The tokens of all texts of a call lie one under another in one matrix, with no padding, so every weight is read once
//! for all of them; attention alone looks at each text by itself. The vector of a text is the mean of its tokens' last
//! states, begin and end marks included, divided by its length.

use crate::kernels::{gelu, mean_direction, softmax};
use crate::product::{View, ViewMut, multiply};
use crate::weights::{Layer, Weights};

/// Buffers of a forward pass, kept from one call to the next.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The state of every token, `tokens × hidden`.
    states: Vec<f32>,
    query_key_value: Vec<f32>,
    context: Vec<f32>,
    /// What a layer adds to the states.
    added: Vec<f32>,
    inner: Vec<f32>,
    /// Attention of one head of one text, `tokens × tokens`.
    scores: Vec<f32>,
}

/// Runs the network over `texts`, each the piece numbers of one text with its marks, at least one and at most as many as
/// the model has positions. Gives a vector of length 1 a text, or `None` where the weights gave no finite one.
pub(crate) fn forward(
    weights: &Weights,
    scratch: &mut Scratch,
    texts: &[&[u32]],
) -> Vec<Option<Vec<f32>>> {
    let arch = pulp::Arch::new();
    let hidden = weights.shape.hidden;
    let tokens: usize = texts.iter().map(|ids| ids.len()).sum();
    scratch.states.resize(tokens * hidden, 0.0);
    scratch.query_key_value.resize(tokens * 3 * hidden, 0.0);
    scratch.context.resize(tokens * hidden, 0.0);
    scratch.added.resize(tokens * hidden, 0.0);
    scratch
        .inner
        .resize(tokens * weights.shape.feed_forward, 0.0);

    let mut rows = scratch.states.chunks_exact_mut(hidden);
    for ids in texts {
        for ((id, position), row) in ids
            .iter()
            .zip(weights.positions.chunks_exact(hidden))
            .zip(&mut rows)
        {
            weights.word(*id, row);
            for (x, y) in row.iter_mut().zip(position) {
                *x += y;
            }
        }
    }
    weights.embedding_norm.apply(arch, &mut scratch.states);
    for layer in &weights.layers {
        run_layer(layer, weights, arch, scratch, texts);
    }
    let mut states = scratch.states.as_slice();
    texts
        .iter()
        .map(|ids| {
            let (text, rest) = states.split_at(ids.len() * hidden);
            states = rest;
            mean_direction(text, hidden)
        })
        .collect()
}

fn run_layer(
    layer: &Layer,
    weights: &Weights,
    arch: pulp::Arch,
    scratch: &mut Scratch,
    texts: &[&[u32]],
) {
    let Scratch {
        states,
        query_key_value,
        context,
        added,
        inner,
        scores,
    } = scratch;
    layer.query_key_value.apply(states, query_key_value);
    attend(weights, arch, query_key_value, context, scores, texts);
    layer.attention_out.apply(context, added);
    layer.attention_norm.add_and_apply(arch, states, added);
    layer.feed_forward_in.apply(states, inner);
    gelu(arch, inner);
    layer.feed_forward_out.apply(inner, added);
    layer.out_norm.add_and_apply(arch, states, added);
}

/// Scaled dot-product attention within each text: softmax(Q Kᵀ / √width) V for each head.
fn attend(
    weights: &Weights,
    arch: pulp::Arch,
    query_key_value: &[f32],
    context: &mut [f32],
    scores: &mut Vec<f32>,
    texts: &[&[u32]],
) {
    let hidden = weights.shape.hidden;
    let width = hidden / weights.shape.heads;
    let scale = 1.0 / (width as f32).sqrt();
    let stride = 3 * hidden;
    let mut first = 0;
    for ids in texts {
        let tokens = ids.len();
        scores.resize(tokens * tokens, 0.0);
        for head in (0..hidden).step_by(width) {
            let part = |which: usize| &query_key_value[first * stride + which * hidden + head..];
            let by_token = |data| View {
                data,
                rows: tokens,
                columns: width,
                row_stride: stride,
                column_stride: 1,
            };
            let keys = View {
                data: part(1),
                rows: width,
                columns: tokens,
                row_stride: 1,
                column_stride: stride,
            };
            let out = ViewMut {
                data: scores,
                rows: tokens,
                columns: tokens,
                row_stride: tokens,
            };
            multiply(out, false, by_token(part(0)), keys);
            softmax(arch, scores, tokens, scale);
            let shares = View {
                data: scores,
                rows: tokens,
                columns: tokens,
                row_stride: tokens,
                column_stride: 1,
            };
            let out = &mut context[first * hidden + head..];
            let out = ViewMut {
                data: out,
                rows: tokens,
                columns: width,
                row_stride: hidden,
            };
            multiply(out, false, shares, by_token(part(2)));
        }
        first += tokens;
    }
}
