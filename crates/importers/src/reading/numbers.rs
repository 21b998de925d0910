//! Numbers as files hold them, made into what stores hold.

use std::sync::Arc;

/// How a file writes a number. All of them little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    F16,
    F32,
    F64,
}

impl Numbers {
    /// Bytes of one.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Decodes a whole number of them.
    pub(crate) fn decode(self, bytes: &[u8]) -> Arc<[f32]> {
        match self {
            Self::F16 => {
                let (words, _) = bytes.as_chunks::<2>();
                words
                    .iter()
                    .map(|word| half(u16::from_le_bytes(*word)))
                    .collect()
            }
            Self::F32 => {
                let (words, _) = bytes.as_chunks::<4>();
                words.iter().map(|word| f32::from_le_bytes(*word)).collect()
            }
            Self::F64 => {
                let (words, _) = bytes.as_chunks::<8>();
                #[allow(
                    clippy::cast_possible_truncation,
                    reason = "rounding is what is meant; what is beyond f32 becomes infinite and is refused"
                )]
                words
                    .iter()
                    .map(|word| f64::from_le_bytes(*word) as f32)
                    .collect()
            }
        }
    }
}

/// An IEEE 754 half as a single. Every half has an exact one.
pub(crate) fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10 & 0x1f);
    let fraction = u32::from(bits & 0x3ff);
    match exponent {
        // Zero and what is smaller than the smallest normal half: a multiple of 2^-24.
        0 => {
            let magnitude = f32::from(bits & 0x3ff) * f32::from_bits(0x3380_0000);
            f32::from_bits(sign | magnitude.to_bits())
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_what_the_standard_says() {
        let cases: &[(u16, f32)] = &[
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3c00, 1.0),
            (0x3c01, 1.000_976_6),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xc000, -2.0),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, number) in cases {
            assert_eq!(half(*bits), *number, "{bits:#06x}");
        }
        assert!(half(0x7e00).is_nan());
        assert!(half(0x8000).is_sign_negative());
    }

    /// Halves and singles are in the same order, so one wrong bit anywhere would break it.
    #[test]
    fn halves_grow_with_their_bits() {
        for bits in 0..0x7c00_u16 {
            assert!(half(bits) < half(bits + 1), "{bits:#06x}");
            assert_eq!(half(bits), -half(bits | 0x8000));
        }
    }
}
