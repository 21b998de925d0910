//! Unpacks weights: from the form they have in a file to rows and panels of f32.
//!
//! Whatever the packing, weights come in blocks of 32. In Q4_0 (ggml's format) a block is 18 bytes, a half-precision scale
//! and 32 four-bit values: byte `j` of the sixteen holds weight `j` in its low half and weight `j + 16` in its high half,
//! and a weight is `(nibble - 8) × scale`. In F32 a block is simply 32 little-endian numbers.

/// Weights in a block.
pub(crate) const BLOCK_LENGTH: usize = 32;
/// Bytes of a block of Q4_0: the scale and the nibbles.
pub(crate) const Q4_BYTES: usize = 18;
/// Bytes of a block of plain numbers.
const F32_BYTES: usize = 4 * BLOCK_LENGTH;

/// How a tensor's weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    F32,
    Q4,
}

impl Packing {
    /// Bytes that so many weights take; whole blocks only.
    pub(crate) fn bytes(self, weights: usize) -> usize {
        let block = match self {
            Packing::F32 => F32_BYTES,
            Packing::Q4 => Q4_BYTES,
        };
        weights / BLOCK_LENGTH * block
    }

    /// Unpacks a whole row of blocks into `out`. Stops at the shorter of the two.
    pub(crate) fn unpack_row(self, packed: &[u8], out: &mut [f32]) {
        match self {
            Packing::F32 => unpack_row(packed, out, unpack_f32),
            Packing::Q4 => unpack_row(packed, out, unpack_q4),
        }
    }

    /// Unpacks a matrix of rows of `inputs` weights into panels: each takes [`PANEL`] rows (the last one what is left) and
    /// holds them transposed, `inputs × PANEL`, so that the matrix product reads memory in the order it lies in.
    ///
    /// `packed` holds the rows one after another, `out` is `rows × inputs` long, and `inputs` is a multiple of the block
    /// length. Cells that either side lacks are left out.
    #[inline(always)]
    pub(crate) fn unpack_panels(self, packed: &[u8], inputs: usize, out: &mut [f32]) {
        match self {
            Packing::F32 => unpack_panels(packed, inputs, out, unpack_f32),
            Packing::Q4 => unpack_panels(packed, inputs, out, unpack_q4),
        }
    }
}

/// Outputs that lie side by side in a panel: four 512-bit registers, what the matrix product takes at a time.
pub(crate) const PANEL: usize = 64;

#[inline(always)]
fn unpack_q4(block: &[u8; Q4_BYTES], out: &mut [f32; BLOCK_LENGTH]) {
    let scale = half_to_f32(u16::from_le_bytes([block[0], block[1]]));
    for j in 0..16 {
        let byte = block[2 + j];
        out[j] = (f32::from(byte & 15) - 8.0) * scale;
        out[j + 16] = (f32::from(byte >> 4) - 8.0) * scale;
    }
}

#[inline(always)]
fn unpack_f32(block: &[u8; F32_BYTES], out: &mut [f32; BLOCK_LENGTH]) {
    let (words, _) = block.as_chunks::<4>();
    for (weight, word) in out.iter_mut().zip(words) {
        *weight = f32::from_le_bytes(*word);
    }
}

#[inline(always)]
fn unpack_row<const BYTES: usize>(
    packed: &[u8],
    out: &mut [f32],
    unpack: impl Fn(&[u8; BYTES], &mut [f32; BLOCK_LENGTH]),
) {
    let (blocks, _) = packed.as_chunks::<BYTES>();
    let (targets, _) = out.as_chunks_mut::<BLOCK_LENGTH>();
    for (block, target) in blocks.iter().zip(targets) {
        unpack(block, target);
    }
}

#[inline(always)]
fn unpack_panels<const BYTES: usize>(
    packed: &[u8],
    inputs: usize,
    out: &mut [f32],
    unpack: impl Fn(&[u8; BYTES], &mut [f32; BLOCK_LENGTH]),
) {
    let row_blocks = inputs / BLOCK_LENGTH;
    let (blocks, _) = packed.as_chunks::<BYTES>();
    let mut weights = [0.0f32; BLOCK_LENGTH];
    for (panel, blocks) in out
        .chunks_mut(inputs * PANEL)
        .zip(blocks.chunks(row_blocks * PANEL))
    {
        let width = panel.len() / inputs;
        for (at, cells) in panel.chunks_exact_mut(BLOCK_LENGTH * width).enumerate() {
            for (lane, block) in blocks.iter().skip(at).step_by(row_blocks).enumerate() {
                unpack(block, &mut weights);
                for (row, weight) in cells.chunks_exact_mut(width).zip(weights) {
                    row[lane] = weight;
                }
            }
        }
    }
}

/// Widens an IEEE 754 half.
#[inline(always)]
pub(crate) fn half_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = u32::from(half >> 10) & 31;
    let fraction = u32::from(half & 0x3ff);
    match exponent {
        // Zero and subnormals: the fraction counts steps of 2^-24.
        0 => f32::from_bits(sign | (fraction as f32 * (1.0 / 16_777_216.0)).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(sign | ((exponent + 112) << 23) | (fraction << 13)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_widen() {
        for (half, expected) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 5.960_464_5e-8),
            (0x7bff, 65504.0),
            (0x8000, 0.0),
        ] {
            assert_eq!(half_to_f32(half), expected);
        }
        assert!(half_to_f32(0x7e00).is_nan());
        assert_eq!(half_to_f32(0xfc00), f32::NEG_INFINITY);
    }

    #[test]
    fn panels_hold_every_weight_once() {
        // 80 rows of 64 weights: one whole panel and one of sixteen; two blocks a row.
        let (inputs, outputs) = (64, 80);
        for packing in [Packing::Q4, Packing::F32] {
            let packed: Vec<u8> = (0..outputs * inputs / BLOCK_LENGTH)
                .flat_map(|block| {
                    let mut bytes = vec![0u8; packing.bytes(BLOCK_LENGTH)];
                    for (j, byte) in bytes.iter_mut().enumerate() {
                        *byte = ((block * 31 + j * 17) as u8) & 0x3f;
                    }
                    bytes
                })
                .collect();
            let mut out = vec![0.0; inputs * outputs];
            packing.unpack_panels(&packed, inputs, &mut out);
            let mut row = vec![0.0; inputs];
            for output in 0..outputs {
                packing.unpack_row(&packed[output * packing.bytes(inputs)..], &mut row);
                let (panel, lane) = (output / PANEL, output % PANEL);
                let width = PANEL.min(outputs - panel * PANEL);
                for (input, weight) in row.iter().enumerate() {
                    assert_eq!(
                        out[panel * PANEL * inputs + input * width + lane],
                        *weight,
                        "{output} {input}"
                    );
                }
            }
        }
    }

    #[test]
    fn blocks_unpack() {
        let mut out = [0.0; BLOCK_LENGTH];
        let mut block = [0x80; Q4_BYTES];
        block[..2].copy_from_slice(&0x3c00u16.to_le_bytes());
        Packing::Q4.unpack_row(&block, &mut out);
        assert_eq!((out[0], out[31]), (-8.0, 0.0));
        let plain: Vec<u8> = (0..32).flat_map(|x| (x as f32).to_le_bytes()).collect();
        Packing::F32.unpack_row(&plain, &mut out);
        assert_eq!((out[0], out[31]), (0.0, 31.0));
    }
}
