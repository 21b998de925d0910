//! Dot products with the widest vector instructions the processor has.
//!
//! A dot product is 32 running sums, the n-th of every 32nd number from the n-th on, which are added up in pairs at the
//! end. However many of the sums fit into a register, each of them is the same, and no multiplication is fused with an
//! addition: so the bits of a score depend on no processor.

use pulp::{Simd, WithSimd};

/// Independent sums: enough to keep every processor's vector units busy.
pub(crate) const LANES: usize = 32;

/// How many registers of sums every processor has room for beside what it is multiplying.
const REGISTERS: usize = 8;

/// Dot products of several vectors with rows of a matrix: `out[n][q]` is that of the `n`th of `rows` and vector `q`.
pub(crate) struct Products<'a, const Q: usize> {
    pub(crate) vectors: [&'a [f32]; Q],
    /// The matrix; its rows are as long as the vectors.
    pub(crate) numbers: &'a [f32],
    pub(crate) rows: &'a [u32],
    pub(crate) out: &'a mut [[f32; Q]],
}

impl<const Q: usize> WithSimd for Products<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // How many registers hold the sums.
        match LANES / S::F32_LANES {
            2 => self.run::<S, 2>(simd),
            4 => self.run::<S, 4>(simd),
            8 => self.run::<S, 8>(simd),
            _ => self.run::<pulp::Scalar, LANES>(pulp::Scalar),
        }
    }
}

impl<const Q: usize> Products<'_, Q> {
    #[inline(always)]
    fn run<S: Simd, const N: usize>(self, simd: S) {
        let dimensions = self.vectors.first().map_or(0, |vector| vector.len());
        for (row, out) in self.rows.iter().zip(self.out) {
            let start = *row as usize * dimensions;
            let row = &self.numbers[start..start + dimensions];
            if N * Q <= REGISTERS {
                *out = dots::<S, Q, N>(simd, self.vectors, row);
                continue;
            }
            // The row is at hand in the nearest cache; sums that do not fit into registers would not be.
            let (pairs, rest) = self.vectors.as_chunks::<2>();
            let (pairs_out, rest_out) = out.as_chunks_mut::<2>();
            for (pair, out) in pairs.iter().zip(pairs_out) {
                *out = dots::<S, 2, N>(simd, *pair, row);
            }
            for (vector, out) in rest.iter().zip(rest_out) {
                [*out] = dots::<S, 1, N>(simd, [vector], row);
            }
        }
    }
}

#[inline(always)]
fn dots<S: Simd, const Q: usize, const N: usize>(
    simd: S,
    vectors: [&[f32]; Q],
    row: &[f32],
) -> [f32; Q] {
    let whole = row.len() / LANES * LANES;
    let row_blocks = blocks::<S, N>(&row[..whole]);
    let vector_blocks = vectors.map(|vector| &blocks::<S, N>(&vector[..whole])[..row_blocks.len()]);
    let mut sums = [[simd.splat_f32s(0.0); N]; Q];
    for (at, row) in row_blocks.iter().enumerate() {
        for (sums, blocks) in sums.iter_mut().zip(&vector_blocks) {
            for ((sum, vector), row) in sums.iter_mut().zip(&blocks[at]).zip(row) {
                *sum = simd.add_f32s(*sum, simd.mul_f32s(*vector, *row));
            }
        }
    }
    let mut dots = [0.0; Q];
    for ((dot, sums), vector) in dots.iter_mut().zip(&mut sums).zip(vectors) {
        *dot = if whole == row.len() {
            sum_registers::<S, N>(simd, sums)
        } else {
            let mut lanes = [0.0; LANES];
            lanes.copy_from_slice(bytemuck::cast_slice(sums));
            for ((lane, number), row) in lanes.iter_mut().zip(&vector[whole..]).zip(&row[whole..]) {
                *lane += number * row;
            }
            sum(&mut lanes)
        };
    }
    dots
}

#[inline(always)]
fn blocks<S: Simd, const N: usize>(numbers: &[f32]) -> &[[S::f32s; N]] {
    S::as_simd_f32s(numbers).0.as_chunks().0
}

/// Adds lanes in pairs, as [`sum`] does, while they are in registers.
#[inline(always)]
fn sum_registers<S: Simd, const N: usize>(simd: S, sums: &mut [S::f32s; N]) -> f32 {
    let mut width = N / 2;
    while width > 0 {
        for n in 0..width {
            sums[n] = simd.add_f32s(sums[n], sums[n + width]);
        }
        width /= 2;
    }
    let mut lanes = [0.0; LANES];
    let lanes = &mut lanes[..S::F32_LANES];
    lanes.copy_from_slice(bytemuck::cast_slice(&sums[..1]));
    sum(lanes)
}

/// Adds lanes in pairs: as exact as a tree, and in a fixed order.
#[inline(always)]
pub(crate) fn sum(lanes: &mut [f32]) -> f32 {
    let mut width = lanes.len() / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes.first().copied().unwrap_or_default()
}
