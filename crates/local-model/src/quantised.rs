//! Unpacks Q4_0 blocks: 32 weights in 18 bytes, a half-precision scale and 32 four-bit values.
//!
//! Byte `j` of a block's sixteen holds weight `j` in its low half and weight `j + 16` in its high half; a weight is
//! `(nibble - 8) × scale`. The format is ggml's.

/// Weights in a block.
pub(crate) const BLOCK_LENGTH: usize = 32;
/// Bytes of a block: the scale and the nibbles.
pub(crate) const BLOCK_BYTES: usize = 18;

/// Unpacks one block.
#[inline(always)]
pub(crate) fn unpack_block(block: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_LENGTH]) {
    let scale = half_to_f32(u16::from_le_bytes([block[0], block[1]]));
    for j in 0..16 {
        let byte = block[2 + j];
        out[j] = (f32::from(byte & 15) - 8.0) * scale;
        out[j + 16] = (f32::from(byte >> 4) - 8.0) * scale;
    }
}

/// Unpacks a whole row of blocks into `out`. Stops at the shorter of the two.
pub(crate) fn unpack_row(packed: &[u8], out: &mut [f32]) {
    let (blocks, _) = packed.as_chunks::<BLOCK_BYTES>();
    let (targets, _) = out.as_chunks_mut::<BLOCK_LENGTH>();
    for (block, target) in blocks.iter().zip(targets) {
        unpack_block(block, target);
    }
}

/// Outputs that lie side by side in a panel: four 512-bit registers, what the matrix product takes at a time.
pub(crate) const PANEL: usize = 64;

/// Unpacks a matrix of rows of `inputs` weights into panels: each takes [`PANEL`] rows (the last one what is left) and
/// holds them transposed, `inputs × PANEL`, so that the matrix product reads memory in the order it lies in.
///
/// `packed` holds the rows one after another, `out` is `rows × inputs` long, and `inputs` is a multiple of the block
/// length. Cells that either side lacks are left out.
#[inline(always)]
pub(crate) fn unpack_panels(packed: &[u8], inputs: usize, out: &mut [f32]) {
    let row_blocks = inputs / BLOCK_LENGTH;
    let (blocks, _) = packed.as_chunks::<BLOCK_BYTES>();
    let mut weights = [0.0f32; BLOCK_LENGTH];
    for (panel, blocks) in out
        .chunks_mut(inputs * PANEL)
        .zip(blocks.chunks(row_blocks * PANEL))
    {
        let width = panel.len() / inputs;
        for (at, cells) in panel.chunks_exact_mut(BLOCK_LENGTH * width).enumerate() {
            for (lane, block) in blocks.iter().skip(at).step_by(row_blocks).enumerate() {
                unpack_block(block, &mut weights);
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
        let packed: Vec<u8> = (0..outputs * inputs / BLOCK_LENGTH)
            .flat_map(|block| {
                let mut bytes = [0u8; BLOCK_BYTES];
                bytes[1] = 0x3c;
                for (j, byte) in bytes[2..].iter_mut().enumerate() {
                    *byte = (block * 31 + j * 17) as u8;
                }
                bytes
            })
            .collect();
        let mut out = vec![0.0; inputs * outputs];
        unpack_panels(&packed, inputs, &mut out);
        let mut row = vec![0.0; inputs];
        for output in 0..outputs {
            unpack_row(&packed[output * 2 * BLOCK_BYTES..], &mut row);
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
        assert_eq!(row[0], f32::from(packed[packed.len() - 34] & 15) - 8.0);
    }
}
