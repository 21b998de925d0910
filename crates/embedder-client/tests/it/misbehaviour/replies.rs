//! What misbehaving providers send.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use embedder_client::testing::{Reply, Stream};

use crate::KEY;

/// A usable vector.
pub(super) const GOOD: &str = "[1,0,0,0]";

/// A refusal. Providers repeat keys: this one does.
pub(super) fn status(status: u16, headers: &[&str]) -> Reply {
    let body = format!(r#"{{"error":{{"message":"no, {KEY}"}}}}"#);
    let headers = headers.iter().map(|header| (*header).to_owned()).collect();
    Reply::Status(status, headers, body)
}

/// A refusal that asks to come back in that time, by an HTTP date.
pub(super) fn until(in_seconds: u64) -> Reply {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(in_seconds));
    status(429, &[&format!("Retry-After: {date}")])
}

/// A redirect. No body: it says all in its header.
pub(super) fn redirect(status: u16, target: &str) -> Reply {
    Reply::Status(status, vec![format!("Location: {target}")], String::new())
}

pub(super) fn body(body: impl Into<String>) -> Reply {
    Reply::Body(body.into())
}

/// A success that is an error.
pub(super) fn error(code: &str) -> Reply {
    body(format!(
        r#"{{"error":{{"code":{code},"message":"no, {KEY}"}}}}"#
    ))
}

/// An answer of these indices and vectors.
pub(super) fn items<'a>(items: impl IntoIterator<Item = (usize, &'a str)>) -> Reply {
    let items: Vec<_> = items
        .into_iter()
        .map(|(index, vector)| format!(r#"{{"index":{index},"embedding":{vector}}}"#))
        .collect();
    body(format!(
        r#"{{"model":"bge-m3","data":[{}]}}"#,
        items.join(",")
    ))
}

/// An answer for so many texts whose last vector is this.
pub(super) fn last(texts: usize, vector: &str) -> Reply {
    let good = (0..texts - 1).map(|index| (index, GOOD));
    items(good.chain([(texts - 1, vector)]))
}

/// An answer for so many texts in which every vector is this.
pub(super) fn every(texts: usize, vector: &str) -> Reply {
    items((0..texts).map(|index| (index, vector)))
}

/// A success with these header lines and a declared length that may be a lie.
pub(super) fn raw(headers: &str, length: usize, body: &[u8]) -> Reply {
    let head = format!(
        "HTTP/1.1 200 OK\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    Reply::Raw([head.as_bytes(), body].concat())
}

/// 100 MiB of a document that might yet become one, made as it is sent.
pub(super) fn giant() -> Reply {
    const LENGTH: usize = 100 << 20;
    Reply::Stream(Stream::new(|client| {
        write!(
            client,
            "HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n{{\"data\":["
        )?;
        let piece = vec![b' '; 64 << 10];
        (0..LENGTH / piece.len()).try_for_each(|_| client.write_all(&piece))
    }))
}

/// A body that never ends, without a length.
pub(super) fn endless() -> Reply {
    Reply::Stream(Stream::new(|client| {
        client.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        let piece = [b"10000\r\n", &*vec![b' '; 64 << 10], b"\r\n"].concat();
        loop {
            client.write_all(&piece)?;
        }
    }))
}

/// A refusal whose words never end.
pub(super) fn endless_refusal() -> Reply {
    Reply::Stream(Stream::new(|client| {
        client.write_all(b"HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\n\r\n")?;
        let piece = [b"10000\r\n", &*vec![b'x'; 64 << 10], b"\r\n"].concat();
        loop {
            client.write_all(&piece)?;
        }
    }))
}

/// A gzip bomb: small to send, 64 MiB when it is unpacked.
pub(super) fn bomb() -> Reply {
    Reply::Stream(Stream::new(|client| {
        client
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n")?;
        static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| gzip_of_zeros(64 << 20));
        client.write_all(&BOMB)
    }))
}

/// A gzip stream of that many zeros, a thousandth as long: one literal, then copies of 258 bytes of what stands
/// before, in the fixed code of RFC 1951. Its checksum is wrong, but nobody should get that far.
fn gzip_of_zeros(zeros: usize) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut bits: Vec<bool> = Vec::new();
    // Huffman codes stand with their highest bit first.
    let mut put = |code: u32, length: u32| {
        bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
    };
    put(0b110, 3); // the last block (1), fixed codes (01, lowest bit first)
    put(0b0011_0000, 8); // literal 0
    for _ in 0..zeros / 258 {
        put(0b1100_0101, 8); // length 258
        put(0, 5); // distance 1
    }
    put(0, 7); // end of block
    let byte = |eight: &[bool]| {
        let set = eight.iter().enumerate().filter(|(_, set)| **set);
        set.map(|(at, _)| 1u8 << at).sum::<u8>()
    };
    bytes.extend(bits.chunks(8).map(byte));
    bytes.extend([0; 8]);
    bytes
}
