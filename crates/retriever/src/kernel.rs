//! The one place where scores are computed.

use storage_core::Embedding;

use crate::product::Products;

/// A question's vector, scaled to length 1.
#[derive(Debug, Clone)]
pub struct UnitQuery {
    /// Behind `skipped` others, so that the first lies where vector instructions read fastest.
    numbers: Vec<f32>,
    skipped: usize,
}

impl PartialEq for UnitQuery {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl UnitQuery {
    /// Scales a vector.
    #[must_use]
    pub fn new(embedding: &Embedding) -> Self {
        const LINE: usize = 64;
        let inverse = inverse_norm(embedding.as_slice());
        let scaled = embedding.as_slice().iter().map(|number| number * inverse);
        let mut numbers = Vec::<f32>::with_capacity(scaled.len() + LINE / size_of::<f32>());
        let skipped = numbers
            .as_ptr()
            .align_offset(LINE)
            .min(LINE / size_of::<f32>());
        numbers.resize(skipped, 0.0);
        numbers.extend(scaled);
        Self { numbers, skipped }
    }

    fn as_slice(&self) -> &[f32] {
        &self.numbers[self.skipped..]
    }

    /// How many numbers it has.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.as_slice().len()
    }
}

/// The cosine of a question and a row of the same length: their dot product over the row's norm. Rows are scored as
/// they were stored, normalised or not.
#[must_use]
pub fn cosine(query: &UnitQuery, row: &[f32]) -> f32 {
    let (dot, inverse) = dot_and_inverse_norm(query.as_slice(), row);
    dot * inverse
}

/// One pass over the row for both sums. The order of additions is fixed, so the result is the same on every run and
/// for every store.
fn dot_and_inverse_norm(query: &[f32], row: &[f32]) -> (f32, f32) {
    let [dot, squares] = products([query, row], row);
    (dot, 1.0 / squares.sqrt())
}

/// One over a row's norm, as every score has it.
pub(crate) fn inverse_norm(row: &[f32]) -> f32 {
    let [squares] = products([row], row);
    1.0 / squares.sqrt()
}

/// How many questions are scored against a row while it is in the processor's registers.
pub(crate) const ABREAST: usize = 4;

/// The dot products of questions and rows of a matrix: `out[n][q]` is that of the `n`th of `rows` and question `q`, bit
/// for bit as in [`cosine`].
pub(crate) fn dots_of_rows<const Q: usize>(
    queries: [&UnitQuery; Q],
    numbers: &[f32],
    rows: &[u32],
    out: &mut [[f32; Q]],
) {
    pulp::Arch::new().dispatch(Products {
        vectors: queries.map(|query| query.as_slice()),
        numbers,
        rows,
        out,
    });
}

fn products<const Q: usize>(vectors: [&[f32]; Q], row: &[f32]) -> [f32; Q] {
    let mut out = [[0.0; Q]];
    // What is longer than the other has nothing to be multiplied with.
    let dimensions = vectors.iter().map(|vector| vector.len()).min();
    let dimensions = dimensions.unwrap_or_default().min(row.len());
    pulp::Arch::new().dispatch(Products {
        vectors: vectors.map(|vector| &vector[..dimensions]),
        numbers: &row[..dimensions],
        rows: &[0],
        out: &mut out,
    });
    let [out] = out;
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::product::{LANES, sum};

    /// The arithmetic of the first release, which stores and their users have seen scores of: one plain loop.
    fn plain(query: &[f32], row: &[f32]) -> (f32, f32) {
        let mut dots = [0f32; LANES];
        let mut squares = [0f32; LANES];
        for (at, (query, row)) in query.iter().zip(row).enumerate() {
            dots[at % LANES] += query * row;
            squares[at % LANES] += row * row;
        }
        (sum(&mut dots), 1.0 / sum(&mut squares).sqrt())
    }

    proptest! {
        #[test]
        fn every_road_gives_the_same_bits(
            dimensions in 1usize..140,
            numbers in prop::collection::vec(-1f32..1.0, 7 * 140),
        ) {
            let mut vectors = numbers.chunks(dimensions).map(|chunk| Embedding::new(chunk.to_vec()));
            let vectors: Vec<_> = vectors.by_ref().take(7).flatten().collect();
            prop_assume!(vectors.len() == 7);
            let units: Vec<_> = vectors[..4].iter().map(UnitQuery::new).collect();
            let rows = numbers[..7 * dimensions].chunks(dimensions);
            let order = [6u32, 0, 3, 5];
            let mut abreast = [[0f32; 4]; 4];
            dots_of_rows([&units[0], &units[1], &units[2], &units[3]], &numbers, &order, &mut abreast);
            let mut one_by_one = [[0f32; 4]; 4];
            pulp::WithSimd::with_simd(
                Products {
                    vectors: [0, 1, 2, 3].map(|n| units[n].as_slice()),
                    numbers: &numbers,
                    rows: &order,
                    out: &mut one_by_one,
                },
                pulp::Scalar,
            );
            prop_assert_eq!(abreast.map(|row| row.map(f32::to_bits)), one_by_one.map(|row| row.map(f32::to_bits)));
            let mut alone = [[0f32; 1]; 4];
            for (question, unit) in units.iter().enumerate() {
                dots_of_rows([unit], &numbers, &order, &mut alone);
                for (at, row) in order.iter().enumerate() {
                    let row = rows.clone().nth(*row as usize).unwrap();
                    let (dot, inverse) = plain(unit.as_slice(), row);
                    prop_assert_eq!((dot * inverse).to_bits(), cosine(unit, row).to_bits());
                    prop_assert_eq!(inverse.to_bits(), inverse_norm(row).to_bits());
                    prop_assert_eq!(dot.to_bits(), alone[at][0].to_bits());
                    prop_assert_eq!(dot.to_bits(), abreast[at][question].to_bits());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_plain_arithmetic_in_double_precision(
            pairs in prop::collection::vec((-1f32..1.0, -1f32..1.0), 1..200),
        ) {
            let (query, row): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let (Ok(query), Ok(row)) = (Embedding::new(query), Embedding::new(row)) else { return Ok(()) };
            let dot: f64 = query.as_slice().iter().zip(row.as_slice()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let norm = |vector: &Embedding| vector.as_slice().iter().map(|a| f64::from(*a).powi(2)).sum::<f64>().sqrt();
            let expected = dot / norm(&query) / norm(&row);
            let found = f64::from(cosine(&UnitQuery::new(&query), row.as_slice()));
            prop_assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}
