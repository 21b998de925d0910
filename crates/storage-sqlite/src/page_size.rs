//! The page size a new file gets: vectors are most of it, and a vector that just misses a page wastes half of one.

/// What a vector row holds besides the vector: hashes, checksum, small integers, header.
const ROW_OVERHEAD: usize = 110;

/// The smallest page size whose waste is within a twentieth of the least possible. Where the dimensions are not known
/// yet, the largest, which is good for all of them: 1.07 × the vectors at 1024 dimensions, where 4,096 gives 1.13 ×.
/// Larger pages make larger commits; at ten vectors a commit that is 60 KB a vector on the way to the disk, beside
/// which the provider's answer takes a hundred times as long.
pub(crate) fn choose(dimensions: Option<u32>) -> u32 {
    const SIZES: [u32; 5] = [4_096, 8_192, 16_384, 32_768, 65_536];
    let Some(dimensions) = dimensions else {
        return SIZES[4];
    };
    let payload = 4 * dimensions as usize + ROW_OVERHEAD;
    let costs = SIZES.map(|size| cost(size as usize, payload));
    let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
    SIZES
        .into_iter()
        .zip(costs)
        .find(|(_, cost)| *cost <= least * 1.05)
        .map_or(SIZES[0], |(size, _)| size)
}

/// Bytes of file per row, after the file format's rules for table leaves: what does not fit goes to a chain of
/// overflow pages, and how much stays is a formula.
#[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
fn cost(page: usize, payload: usize) -> f64 {
    let most = page - 35;
    let least = (page - 12) * 32 / 255 - 23;
    let (local, overflow) = if payload <= most {
        (payload, 0)
    } else {
        let kept = least + (payload - least) % (page - 4);
        let local = if kept <= most { kept } else { least };
        (local, (payload - local).div_ceil(page - 4))
    };
    // Per cell: a pointer of 2 bytes, two varints, and the overflow page's number.
    let cell = local + 2 + 6 + if overflow > 0 { 4 } else { 0 };
    let rows = ((page - 8) / cell).max(1);
    (overflow * page) as f64 + page as f64 / rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_dimensions_get_the_page_that_fits() {
        let chosen = [0, 8, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096]
            .map(|dimensions| (dimensions, choose(Some(dimensions))));
        assert_eq!(
            chosen,
            [
                (0, 4_096),
                (8, 4_096),
                (256, 8_192),
                (384, 32_768),
                (512, 32_768),
                (768, 16_384),
                (1024, 65_536),
                (1536, 32_768),
                (2048, 4_096),
                (3072, 4_096),
                (4096, 4_096),
            ]
        );
        assert_eq!(choose(None), 65_536);
    }

    #[test]
    fn the_model_knows_the_measured_ratios() {
        let ratio = |page| cost(page, 4_096 + ROW_OVERHEAD) / 4_096.0;
        assert!((1.12..1.14).contains(&ratio(4_096)), "{}", ratio(4_096));
        assert!((1.99..2.01).contains(&ratio(8_192)), "{}", ratio(8_192));
        assert!((1.06..1.08).contains(&ratio(65_536)), "{}", ratio(65_536));
    }
}
