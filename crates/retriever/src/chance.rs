//! Chance, made repeatable, and the binomial distribution.

/// Numbers that look drawn: SplitMix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014).
/// Small, and the same everywhere, so two runs over the same questions report the same interval.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number below a bound. The upper half of a product instead of a remainder: no bias that a count of
    /// questions could show.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the upper half of the product is below the bound"
    )]
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.draw()) * bound as u128) >> 64) as usize
    }
}

/// The chance of at most `hits` hits in `trials`, each a hit with chance `each`.
#[allow(
    clippy::cast_precision_loss,
    reason = "counts of questions are far below 2^52"
)]
pub(crate) fn binomial_at_most(hits: usize, trials: usize, each: f64) -> f64 {
    if hits >= trials || each <= 0.0 {
        return 1.0;
    }
    if each >= 1.0 {
        return 0.0;
    }
    // Logarithms: no hit at all in thousands of trials is too small a number for anything else.
    let odds = each.ln() - (-each).ln_1p();
    let mut term = trials as f64 * (-each).ln_1p();
    let mut sum = term.exp();
    for hit in 0..hits {
        term += ((trials - hit) as f64 / (hit + 1) as f64).ln() + odds;
        sum += term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_published_generator() {
        let mut random = Random::new(1_234_567);
        let drawn: Vec<u64> = std::iter::repeat_with(|| random.draw()).take(3).collect();
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn every_number_below_a_bound_comes_about_as_often() {
        let mut random = Random::new(7);
        let mut seen = [0usize; 7];
        for _ in 0..70_000 {
            seen[random.below(7)] += 1;
        }
        assert!(
            seen.iter().all(|count| count.abs_diff(10_000) < 500),
            "{seen:?}"
        );
    }

    #[test]
    fn binomial_chances_are_those_of_plain_counting() {
        // 1 and 4 of the 16 ways in which four coins fall.
        assert!((binomial_at_most(0, 4, 0.5) - 1.0 / 16.0).abs() < 1e-12);
        assert!((binomial_at_most(1, 4, 0.5) - 5.0 / 16.0).abs() < 1e-12);
        assert!((binomial_at_most(4, 4, 0.5) - 1.0).abs() < 1e-12);
        assert!((binomial_at_most(0, 100_000, 0.5)).abs() < 1e-12);
        assert!((binomial_at_most(50_000, 100_000, 0.5) - 0.501).abs() < 1e-3);
    }
}
