//! A vector that is known to be usable.

use std::fmt;
use std::sync::Arc;

/// A vector whose constructor checked length, finiteness and norm. Cloning shares the numbers.
#[derive(Clone, PartialEq)]
pub struct Embedding(Arc<[f32]>);

/// Why numbers are no usable vector.
#[derive(Debug, Clone, PartialEq)]
pub enum EmbeddingError {
    /// No numbers at all.
    Empty,
    /// A number is NaN or infinite.
    NotFinite {
        /// Position of the first such number.
        position: usize,
    },
    /// The Euclidean norm lies outside 1e-6 ..= 1e6: a placeholder, or garbage.
    Norm {
        /// The norm found.
        norm: f64,
    },
    /// Bytes that are not a whole number of little-endian f32.
    Bytes {
        /// How many bytes there were.
        length: usize,
    },
}

impl fmt::Display for EmbeddingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the vector has no numbers"),
            Self::NotFinite { position } => {
                write!(f, "number {position} of the vector is not finite")
            }
            Self::Norm { norm } => write!(f, "the vector's norm is outside 1e-6 to 1e6: {norm:e}"),
            Self::Bytes { length } => {
                write!(f, "not a whole number of 4-byte floats: {length} bytes")
            }
        }
    }
}

impl std::error::Error for EmbeddingError {}

impl Embedding {
    /// Checks the numbers: at least one, all finite, norm within 1e-6 ..= 1e6.
    ///
    /// # Errors
    /// [`EmbeddingError`] names the rule that was broken.
    pub fn new(numbers: impl Into<Arc<[f32]>>) -> Result<Self, EmbeddingError> {
        let numbers = numbers.into();
        check(&numbers)?;
        Ok(Self(numbers))
    }

    /// The numbers.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// How many numbers there are.
    #[must_use]
    pub fn dimensions(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// The stored form: little-endian f32, four bytes a number.
    #[must_use]
    pub fn to_le_bytes(&self) -> Vec<u8> {
        if cfg!(target_endian = "little") {
            bytemuck::cast_slice(&self.0).to_vec()
        } else {
            self.0
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect()
        }
    }

    /// Reads the stored form and checks it.
    ///
    /// # Errors
    /// As [`Embedding::new`], and when the length is not a multiple of four.
    pub fn from_le_bytes(bytes: &[u8]) -> Result<Self, EmbeddingError> {
        if !bytes.len().is_multiple_of(4) {
            return Err(EmbeddingError::Bytes {
                length: bytes.len(),
            });
        }
        let (words, _) = bytes.as_chunks::<4>();
        Self::new(
            words
                .iter()
                .map(|word| f32::from_le_bytes(*word))
                .collect::<Arc<[f32]>>(),
        )
    }
}

fn check(numbers: &[f32]) -> Result<(), EmbeddingError> {
    const LANES: usize = 16;
    if numbers.is_empty() {
        return Err(EmbeddingError::Empty);
    }
    // One pass over independent lanes: loading a store checks every vector, so this must run at memory speed.
    // f32 overflows to infinity long after 1e6, so a sum that is not finite sends us to the slow, exact pass.
    let mut sums = [0f32; LANES];
    let (blocks, rest) = numbers.as_chunks::<LANES>();
    for block in blocks {
        for (sum, number) in sums.iter_mut().zip(block) {
            *sum += number * number;
        }
    }
    let fast = sums.iter().sum::<f32>() + rest.iter().map(|number| number * number).sum::<f32>();
    if fast.is_finite() && (1e-10..=1e10).contains(&fast) {
        return Ok(());
    }
    if let Some(position) = numbers.iter().position(|number| !number.is_finite()) {
        return Err(EmbeddingError::NotFinite { position });
    }
    let norm = numbers
        .iter()
        .map(|number| f64::from(*number).powi(2))
        .sum::<f64>()
        .sqrt();
    if (1e-6..=1e6).contains(&norm) {
        Ok(())
    } else {
        Err(EmbeddingError::Norm { norm })
    }
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding({} dimensions)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_usable_vectors_exist() {
        assert!(Embedding::new(vec![0.6f32, 0.8]).is_ok());
        assert_eq!(
            Embedding::new(Vec::<f32>::new()),
            Err(EmbeddingError::Empty)
        );
        assert_eq!(
            Embedding::new(vec![1.0, f32::NAN]),
            Err(EmbeddingError::NotFinite { position: 1 })
        );
        assert_eq!(
            Embedding::new(vec![f32::INFINITY, 1.0]),
            Err(EmbeddingError::NotFinite { position: 0 })
        );
        assert!(matches!(
            Embedding::new(vec![0.0f32; 8]),
            Err(EmbeddingError::Norm { .. })
        ));
        assert!(matches!(
            Embedding::new(vec![1e30f32; 8]),
            Err(EmbeddingError::Norm { .. })
        ));
        assert!(Embedding::new(vec![2e-6f32]).is_ok());
        assert!(Embedding::new(vec![9e5f32]).is_ok());
    }

    #[test]
    fn bytes_round_trip_bit_for_bit() {
        let vector = Embedding::new(vec![0.1f32, -2.5, 1e-20]).unwrap();
        assert_eq!(
            Embedding::from_le_bytes(&vector.to_le_bytes()).unwrap(),
            vector
        );
        assert_eq!(
            Embedding::from_le_bytes(&[0; 7]),
            Err(EmbeddingError::Bytes { length: 7 })
        );
    }
}
