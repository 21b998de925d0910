//! The element-wise steps of the forward pass: layer norm, GELU, softmax, sums.
//!
//! Written as plain loops over fixed-width lanes that the compiler turns into vector code; `pulp` runs them with the
//! widest instructions the processor has. No multiply-add is asked for by name, since without the instruction it would be
//! a function call.

/// Lanes summed side by side, so that a sum need not wait for itself. One 512-bit register.
const LANES: usize = 16;

/// Learned scale and shift of a layer norm, each as long as a row.
pub(crate) struct Norm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    /// Added to the variance.
    pub(crate) epsilon: f32,
}

impl Norm {
    /// Replaces each row `x` of `rows` by `norm(x + y)`, `y` being the same row of `added`.
    pub(crate) fn add_and_apply(&self, arch: pulp::Arch, rows: &mut [f32], added: &[f32]) {
        let width = self.weight.len();
        arch.dispatch(
            #[inline(always)]
            || {
                for (row, added) in rows.chunks_exact_mut(width).zip(added.chunks_exact(width)) {
                    for (x, y) in row.iter_mut().zip(added) {
                        *x += y;
                    }
                    self.row(row);
                }
            },
        );
    }

    /// Replaces each row of `rows` by its norm.
    pub(crate) fn apply(&self, arch: pulp::Arch, rows: &mut [f32]) {
        let width = self.weight.len();
        arch.dispatch(
            #[inline(always)]
            || rows.chunks_exact_mut(width).for_each(|row| self.row(row)),
        );
    }

    #[inline(always)]
    fn row(&self, row: &mut [f32]) {
        let count = row.len() as f32;
        let mean = sum(row, |x| x) / count;
        let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
        let scale = 1.0 / (variance + self.epsilon).sqrt();
        for ((x, weight), bias) in row.iter_mut().zip(&self.weight).zip(&self.bias) {
            *x = (*x - mean) * scale * weight + bias;
        }
    }
}

/// Sums `term` over a slice, in [`LANES`] running sums.
#[inline(always)]
fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += term(*value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += term(*value);
    }
    lanes.iter().sum()
}

/// Replaces every `x` by `x/2 × (1 + erf(x / √2))`, the exact form of GELU.
pub(crate) fn gelu(arch: pulp::Arch, values: &mut [f32]) {
    arch.dispatch(
        #[inline(always)]
        || {
            for x in values {
                *x = 0.5 * *x * (1.0 + erf(*x * std::f32::consts::FRAC_1_SQRT_2));
            }
        },
    );
}

/// The error function to within 5e-7: the rational approximation on [-4, 4] that Eigen and XLA use for f32
/// (`GenericFastErf`), beyond which f32's erf is ±1.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let s = x * x;
    let mut above = -2.726_142_3e-10;
    for coefficient in [
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ] {
        above = above * s + coefficient;
    }
    let mut below = -1.456_607_2e-5;
    for coefficient in [
        -2.133_740_6e-4,
        -1.682_827e-3,
        -7.373_329_2e-3,
        -1.426_473_9e-2,
    ] {
        below = below * s + coefficient;
    }
    x * above / below
}

/// Replaces each row of `width` by the softmax of `scale ×` itself.
pub(crate) fn softmax(arch: pulp::Arch, rows: &mut [f32], width: usize, scale: f32) {
    arch.dispatch(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(width) {
                let highest =
                    row.iter().fold(
                        f32::NEG_INFINITY,
                        |highest, &x| if x > highest { x } else { highest },
                    );
                for x in row.iter_mut() {
                    *x = exp((*x - highest) * scale);
                }
                let share = 1.0 / sum(row, |x| x);
                for x in row.iter_mut() {
                    *x *= share;
                }
            }
        },
    );
}

/// `e^x` for `x <= 0`, to within a few units in the last place: 2^n × e^r with |r| <= ln 2 / 2 and a polynomial for e^r
/// (Cephes `expf`). Below -87 it is about 1e-38.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding and taking it away rounds to a whole number: 1.5 × 2^23.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 0.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, the first exact in few bits, so that the remainder keeps its precision.
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4f32;
    for coefficient in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        5e-1,
    ] {
        p = p * r + coefficient;
    }
    let power = f32::from_bits(((n as i32 + 127) as u32) << 23);
    (p * r * r + r + 1.0) * power
}

/// The mean of the rows of `rows`, divided by its length. `None` if that is not a finite vector of length 1.
pub(crate) fn mean_direction(rows: &[f32], width: usize) -> Option<Vec<f32>> {
    let mut mean = vec![0.0f32; width];
    for row in rows.chunks_exact(width) {
        for (sum, x) in mean.iter_mut().zip(row) {
            *sum += x;
        }
    }
    // The number of rows cancels out in the division by the length.
    let length = mean
        .iter()
        .map(|&x| f64::from(x) * f64::from(x))
        .sum::<f64>()
        .sqrt();
    if !length.is_finite() || length <= f64::from(f32::MIN_POSITIVE) {
        return None;
    }
    for x in &mut mean {
        *x = (f64::from(*x) / length) as f32;
    }
    Some(mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erf by its series, in f64: x·2/√π · Σ (-1)^k x^2k / (k! (2k+1)).
    fn exact_erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for k in 1..200 {
            term *= -x * x / f64::from(k);
            sum += term / f64::from(2 * k + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn erf_and_exp_are_exact_enough() {
        for step in -4000..=4000 {
            let x = step as f32 * 1e-3;
            let error = (f64::from(erf(x)) - exact_erf(f64::from(x))).abs();
            assert!(error < 5e-7, "erf({x}) is off by {error}");
        }
        for step in 0..8600 {
            let x = step as f32 * -1e-2;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 5e-7, "exp({x}) is off by {error}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn rows_are_normalised() {
        let arch = pulp::Arch::new();
        let norm = Norm {
            weight: vec![1.0; 33],
            bias: vec![0.5; 33],
            epsilon: 1e-12,
        };
        let mut row: Vec<f32> = (0..33).map(|x| x as f32).collect();
        norm.add_and_apply(arch, &mut row, &[1.0; 33]);
        let mean = row.iter().sum::<f32>() / 33.0;
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / 33.0;
        assert!(
            (mean - 0.5).abs() < 1e-6 && (variance - 1.0).abs() < 1e-5,
            "{mean} {variance}"
        );

        let mut scores = [1.0f32, 2.0, 3.0, -1.0, -2.0, -3.0];
        softmax(arch, &mut scores, 3, 1.0);
        assert!((scores[0..3].iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((scores[2] / scores[1] - std::f32::consts::E).abs() < 1e-5);
    }

    #[test]
    fn a_mean_without_direction_is_none() {
        assert_eq!(mean_direction(&[0.0; 4], 2), None);
        assert_eq!(mean_direction(&[f32::NAN, 1.0], 2), None);
        assert_eq!(
            mean_direction(&[3.0, 0.0, 3.0, 8.0], 2),
            Some(vec![0.6, 0.8])
        );
    }
}
