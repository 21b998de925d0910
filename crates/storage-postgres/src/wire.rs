//! Vectors as pgvector sends them.
//!
//! Its binary form is: number of elements as int16, an int16 that is unused, the elements as float4, all big-endian
//! (`vector_send` in pgvector's src/vector.c). Results bring it as `bytea`, so that no connection has to ask what type
//! a column is; parameters go as `real[]`, for the same reason.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A vector on its way into COPY.
#[derive(Debug)]
pub(crate) struct Numbers<'a>(pub(crate) &'a [f32]);

impl ToSql for Numbers<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let dimensions = i16::try_from(self.0.len())?;
        out.extend_from_slice(&dimensions.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.reserve(4 * self.0.len());
        for number in self.0 {
            out.extend_from_slice(&number.to_be_bytes());
        }
        Ok(IsNull::No)
    }

    fn accepts(r#type: &Type) -> bool {
        r#type.name() == "vector"
    }

    to_sql_checked!();
}

/// The elements of a sent vector, as little-endian f32: the form that checksums are made of. `None` for bytes that are
/// no vector.
pub(crate) fn little_endian(sent: &[u8]) -> Option<Vec<u8>> {
    let (head, body) = sent.split_first_chunk::<4>()?;
    let dimensions = u16::from_be_bytes([head[0], head[1]]);
    let (numbers, rest) = body.as_chunks::<4>();
    if !rest.is_empty() || numbers.len() != usize::from(dimensions) {
        return None;
    }
    let mut bytes = Vec::with_capacity(body.len());
    for number in numbers {
        let [a, b, c, d] = *number;
        bytes.extend_from_slice(&[d, c, b, a]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_comes_back() {
        let vector = Type::new(
            "vector".into(),
            1,
            tokio_postgres::types::Kind::Simple,
            "public".into(),
        );
        let mut sent = BytesMut::new();
        Numbers(&[1.5, -0.0]).to_sql(&vector, &mut sent).unwrap();
        let expected: Vec<u8> = [1.5f32, -0.0]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect();
        assert_eq!(little_endian(&sent), Some(expected));
        assert_eq!(little_endian(&sent[..sent.len() - 1]), None);
        assert_eq!(little_endian(&[0]), None);
        assert_eq!(little_endian(&[0, 2, 0, 0, 1, 2, 3, 4]), None);
    }
}
