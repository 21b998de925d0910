//! What a stream holds, whole: the parser takes what came of one that breaks off for all of it, and says so to nobody.

use flate2::{Decompress, FlushDecompress, Status};
use lopdf::{Document, Error, Object, ObjectId, Stream};

/// What a page draws.
pub(super) fn of_page(document: &Document, page: ObjectId, most: usize) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    for id in document.get_page_contents(page) {
        let object = document.get_object(id)?;
        if matches!(object, Object::Null) {
            continue;
        }
        let left = most.saturating_sub(content.len());
        content.extend(whole(object.as_stream()?, left)?);
        content.push(b'\n');
    }
    Ok(content)
}

/// What the stream inflates to, or an error where that breaks off or is more than `most`.
pub(super) fn whole(stream: &Stream, most: usize) -> Result<Vec<u8>, Error> {
    let filters = stream.filters().unwrap_or_default();
    let deflated = filters
        .first()
        .is_some_and(|filter| *filter == b"FlateDecode");
    if deflated && !stream.content.is_empty() && !inflates(&stream.content, most) {
        return Err(Error::InvalidStream("its drawing breaks off".to_owned()));
    }
    stream.decompressed_content_with_limit(most)
}

/// Whether it ends where it says, or is more than `most`, which others refuse.
fn inflates(packed: &[u8], most: usize) -> bool {
    const CHECKSUM: usize = 4;
    if left_after(packed, true, most).is_some() {
        return true;
    }
    // Some programs count a stream's length without the checksum at its end. A wrong one is damage.
    let body = packed.get(2..).unwrap_or_default();
    left_after(body, false, most).is_some_and(|left| left < CHECKSUM)
}

/// How many bytes are left when it has ended; `None` when it does not.
fn left_after(packed: &[u8], zlib: bool, most: usize) -> Option<usize> {
    let mut inflater = Decompress::new(zlib);
    let mut out = vec![0; 32 << 10];
    let (mut taken, mut made) = (0, 0);
    loop {
        let rest = packed.get(taken..)?;
        let status = inflater
            .decompress(rest, &mut out, FlushDecompress::None)
            .ok()?;
        let before = (taken, made);
        taken = usize::try_from(inflater.total_in()).ok()?;
        made = usize::try_from(inflater.total_out()).ok()?;
        if status == Status::StreamEnd || made > most {
            return Some(packed.len().saturating_sub(taken));
        }
        if before == (taken, made) {
            return None;
        }
    }
}
