//! The files of a Chroma index: a header, and elements and norms cut from the same bytes.

use std::io::Cursor;
use std::num::NonZeroU32;

use crate::chroma::{Elements, HEADER, Layout, Norms};

/// Reads the first byte as the number of dimensions, then a header, and the rest as elements and as norms.
pub fn run(bytes: &[u8]) {
    let Some((&dimensions, rest)) = bytes.split_first() else {
        return;
    };
    let Some(dimensions) = NonZeroU32::new(u32::from(dimensions)) else {
        return;
    };
    let (header, data) = rest.split_at(rest.len().min(HEADER));
    if let Ok(mut norms) = Norms::new(Cursor::new(data)) {
        for position in [0, 1, data.len() as u64, u64::MAX] {
            let _ = norms.get(position);
        }
    }
    let Ok(layout) = Layout::parse(header, dimensions) else {
        return;
    };
    let Ok(mut elements) = Elements::new(Cursor::new(data), layout) else {
        return;
    };
    assert!(elements.whole() <= layout.count);
    let whole = elements.whole();
    // Forwards, backwards, and beyond the end.
    for position in (0..whole.min(64))
        .chain((0..whole.min(64)).rev())
        .chain([whole, u64::MAX])
    {
        match elements.get(position) {
            Ok(Some(element)) => {
                assert!(position < whole);
                let _ = (element.label(), element.deleted(), element.is_normalised());
                assert_eq!(element.numbers().len(), dimensions.get() as usize);
            }
            Ok(None) => assert!(position >= whole),
            Err(_) => {}
        }
    }
}
