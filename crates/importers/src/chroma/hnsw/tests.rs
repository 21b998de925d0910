use std::io::Cursor;

use super::*;

/// A header of `count` elements of `dimensions` numbers with M = 2.
fn header(count: u64, dimensions: u64) -> Vec<u8> {
    let (max_m, max_m0) = (2_u64, 4_u64);
    let data = 4 + 4 * max_m0;
    let label = data + 4 * dimensions;
    let mut bytes = 1_i32.to_le_bytes().to_vec();
    for number in [0, 10, count, label + 8, label, data] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(0_i32.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    for number in [max_m, max_m0, max_m] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([0; 16]);
    assert_eq!(bytes.len(), HEADER);
    bytes
}

fn two() -> NonZeroU32 {
    NonZeroU32::new(2).unwrap()
}

fn element(label: u64, deleted: bool, numbers: [f32; 2]) -> Vec<u8> {
    let mut bytes = vec![0, 0, u8::from(deleted), 0];
    bytes.extend([0; 16]);
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes.extend(label.to_le_bytes());
    bytes
}

#[test]
fn elements_are_read_in_any_order() {
    let layout = Layout::parse(&header(3, 2), two()).unwrap();
    let mut bytes: Vec<u8> = (0..3_u8)
        .flat_map(|at| element(u64::from(at) + 1, at == 1, [f32::from(at), 1.0]))
        .collect();
    bytes.extend([0xff; 50]);
    let mut elements = Elements::new(Cursor::new(bytes), layout).unwrap();
    for position in [0, 1, 2, 0, 2, 1] {
        let element = elements.get(position).unwrap().unwrap();
        assert_eq!(element.label(), position + 1);
        assert_eq!(element.deleted(), position == 1);
        assert!(element.numbers().eq([position as f32, 1.0]));
        assert_eq!(element.is_normalised(), position == 0);
    }
    assert!(elements.get(3).unwrap().is_none());
}

#[test]
fn a_file_that_is_cut_short_gives_its_whole_elements() {
    let layout = Layout::parse(&header(3, 2), two()).unwrap();
    let bytes: Vec<u8> = (1..=3)
        .flat_map(|label| element(label, false, [1.0, 0.0]))
        .collect();
    for length in 0..=bytes.len() {
        let mut elements = Elements::new(Cursor::new(&bytes[..length]), layout).unwrap();
        let whole = (length / layout.size) as u64;
        assert_eq!(elements.whole(), whole);
        for position in 0..4 {
            assert_eq!(elements.get(position).unwrap().is_some(), position < whole);
        }
    }
}

#[test]
fn a_header_that_cannot_be_is_refused() {
    let good = header(3, 2);
    assert!(Layout::parse(&good, two()).is_ok());
    assert!(Layout::parse(&good, NonZeroU32::new(3).unwrap()).is_err());
    assert!(Layout::parse(&good[..99], two()).is_err());
    // Every number of the header that is used, with each of its bytes changed.
    for offset in (0..60).chain(60..84) {
        let unused = (12..20).contains(&offset) || (52..60).contains(&offset);
        let mut bad = good.clone();
        bad[offset] ^= 0x40;
        let count = 20..28;
        if !unused && !count.contains(&offset) {
            assert!(Layout::parse(&bad, two()).is_err(), "byte {offset}");
        }
        let _ = Layout::parse(&bad, two());
    }
    let mut many = good.clone();
    many[20..28].copy_from_slice(&11_u64.to_le_bytes());
    assert!(
        Layout::parse(&many, two())
            .unwrap_err()
            .contains("room for 10")
    );
    let mut huge = good;
    huge[12..20].copy_from_slice(&u64::MAX.to_le_bytes());
    huge[20..28].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(Layout::parse(&huge, two()).is_err());
}

#[test]
fn norms_are_read_by_position() {
    let bytes: Vec<u8> = (0..40_000_u32)
        .flat_map(|at| (at as f32).to_le_bytes())
        .collect();
    let mut norms = Norms::new(Cursor::new(&bytes[..])).unwrap();
    for position in [0, 39_999, 20_000, 5, 16_384] {
        assert_eq!(norms.get(position).unwrap(), Some(position as f32));
    }
    assert_eq!(norms.get(40_000).unwrap(), None);
    assert_eq!(
        Norms::new(Cursor::new(&bytes[..7]))
            .unwrap()
            .get(1)
            .unwrap(),
        None
    );
}
