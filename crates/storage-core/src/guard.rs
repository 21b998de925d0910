//! A checksum for every load. BLAKE3 over a hundred thousand vectors takes as long as reading them twice; this one
//! runs at memory speed and still finds every damage that lies within one 8-byte word, and all but one in 2^64 of the
//! rest. It keeps nobody out: that is what the BLAKE3 beside it is for.

use crate::Locator;

const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
const LANES: usize = 8;

/// The checksum of some bytes, in its stored form: databases count in signed integers.
#[must_use]
pub fn guard(bytes: &[u8]) -> i64 {
    // Eight independent chains keep the multiplier busy; each step is a bijection of its lane, so a changed word
    // cannot be lost on the way.
    let mut lanes = [0u64; LANES];
    for (position, lane) in (1u64..).zip(&mut lanes) {
        *lane = PRIME.wrapping_mul(position);
    }
    let (blocks, rest) = bytes.as_chunks::<{ 8 * LANES }>();
    for block in blocks {
        absorb(&mut lanes, block);
    }
    let mut last = [0; 8 * LANES];
    last[..rest.len()].copy_from_slice(rest);
    absorb(&mut lanes, &last);
    let folded = lanes.iter().fold(bytes.len() as u64, |sum, lane| {
        (sum ^ lane).wrapping_mul(PRIME).rotate_left(31)
    });
    (folded ^ (folded >> 32)).cast_signed()
}

/// The checksum of where a row belongs: its key, its source by number, its place in the source.
#[must_use]
pub fn place_guard(
    collection: i64,
    document: &str,
    chunk: u32,
    source: i64,
    locator: &Locator,
) -> i64 {
    let mut bytes = Vec::with_capacity(document.len() + 96);
    bytes.extend_from_slice(&collection.to_le_bytes());
    bytes.extend_from_slice(&chunk.to_le_bytes());
    bytes.extend_from_slice(&source.to_le_bytes());
    // A number that is absent differs from every number that is there.
    let (start, end) = locator.span.unzip();
    for number in [locator.row, locator.page.map(u64::from), start, end] {
        bytes.push(u8::from(number.is_some()));
        bytes.extend_from_slice(&number.unwrap_or_default().to_le_bytes());
    }
    bytes.extend_from_slice(&(document.len() as u64).to_le_bytes());
    bytes.extend_from_slice(document.as_bytes());
    bytes.push(u8::from(locator.sheet.is_some()));
    bytes.extend_from_slice(locator.sheet.as_deref().unwrap_or_default().as_bytes());
    guard(&bytes)
}

/// A checksum that covers more numbers: by which run, and when. They are no answer to anyone, and a flipped bit in them
/// is damage all the same.
#[must_use]
pub fn sealed(checksum: i64, numbers: &[i64]) -> i64 {
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    checksum ^ guard(&bytes)
}

/// Whether a stored checksum is this one, with those numbers or, in a store written before they were covered, without.
#[must_use]
pub fn fits(stored: i64, checksum: i64, numbers: &[i64]) -> bool {
    stored == sealed(checksum, numbers) || stored == checksum
}

fn absorb(lanes: &mut [u64; LANES], block: &[u8; 8 * LANES]) {
    let (words, _) = block.as_chunks::<8>();
    for (lane, word) in lanes.iter_mut().zip(words) {
        *lane = (*lane ^ u64::from_le_bytes(*word))
            .wrapping_mul(PRIME)
            .rotate_left(29);
    }
}

#[cfg(test)]
mod tests {
    use super::guard;

    #[test]
    fn every_bit_and_the_length_count() {
        let bytes: Vec<u8> = (0..4_100u32).map(|n| (n * 7 % 251) as u8).collect();
        let whole = guard(&bytes);
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(guard(&flipped), whole, "bit {bit}");
        }
        assert_ne!(guard(&[0; 64]), guard(&[0; 63]));
        assert_ne!(guard(&[]), guard(&[0]));
        let mut swapped = bytes.clone();
        swapped.swap(0, 64);
        assert_ne!(guard(&swapped), whole);
    }

    #[test]
    fn the_stored_form_never_changes() {
        let known = guard(b"the quick brown fox");
        assert_eq!(known, KNOWN, "stores hold values of this function");
    }

    const KNOWN: i64 = -364_506_092_103_097_833;
}
