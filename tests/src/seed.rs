//! Chance that can be had again: `SEED=` repeats what a randomised test did.

use std::time::{SystemTime, UNIX_EPOCH};

/// The seed of this run: `SEED`, else one that no run had. Printed, so that a failure can be repeated.
///
/// # Panics
/// When `SEED` is no number.
#[must_use]
#[allow(clippy::print_stderr, reason = "whoever sees a failure needs the seed")]
pub fn of_run(test: &str) -> u64 {
    let given = std::env::var("SEED").ok().filter(|seed| !seed.is_empty());
    let seed = given.map_or_else(
        || {
            let since = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            since.as_secs() << 30 ^ u64::from(since.subsec_nanos())
        },
        |seed| seed.parse().expect("SEED is a number"),
    );
    eprintln!("{test}: SEED={seed}");
    seed
}

/// Numbers that look drawn: splitmix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of that seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// The next number below a bound that is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }
}
