//! The provider `hash`: lexical vectors without any model.
//!
//! Words and their character n-grams are hashed into a fixed number of dimensions. Equal words attract each other,
//! meanings do not: this is for tests and demos, and it says so by its name.

use std::collections::HashMap;
use std::num::NonZeroU32;

use async_trait::async_trait;
use storage_core::{Embedding, ModelSpec, NORMALISER};

use crate::{BatchLimits, EmbedError, EmbedErrorKind, Embedded, Embedder, Meter, Purpose};

/// Dimensions unless another number is asked for.
const DIMENSIONS: NonZeroU32 = NonZeroU32::new(1024).expect("1024 is not zero");

/// Lengths of the character n-grams, inside words padded by one space on either side.
const GRAMS: std::ops::RangeInclusive<usize> = 3..=5;

/// Deterministic lexical vectors: the same on every machine, for every text the same, free.
#[derive(Debug, Clone)]
pub struct HashEmbedder {
    spec: ModelSpec,
    dimensions: NonZeroU32,
}

impl Default for HashEmbedder {
    fn default() -> Self {
        Self::new(DIMENSIONS)
    }
}

impl HashEmbedder {
    /// An embedder of that many dimensions.
    #[must_use]
    pub fn new(dimensions: NonZeroU32) -> Self {
        let spec = ModelSpec {
            name: "hash-ngrams".to_owned(),
            dimensions: Some(dimensions),
            revision: "1".to_owned(),
            query_prefix: String::new(),
            passage_prefix: String::new(),
            normaliser: NORMALISER,
        };
        Self { spec, dimensions }
    }

    /// The vector of one text, of length 1.
    fn vector(&self, text: &str) -> Result<Embedding, EmbedError> {
        let mut counts: HashMap<u64, f32> = HashMap::new();
        let folded = text.to_lowercase().replace('ё', "е");
        for word in folded
            .split(|char: char| !char.is_alphanumeric())
            .filter(|word| !word.is_empty())
        {
            *counts.entry(fnv1a(word.bytes())).or_default() += 1.0;
            let padded: Vec<char> = [' '].into_iter().chain(word.chars()).chain([' ']).collect();
            for length in GRAMS {
                for gram in padded.windows(length) {
                    // The length separates a short word from an n-gram of the same letters.
                    let bytes = gram.iter().flat_map(|char| u32::from(*char).to_le_bytes());
                    let salt = u8::try_from(length).unwrap_or_default();
                    *counts
                        .entry(fnv1a([salt].into_iter().chain(bytes)))
                        .or_default() += 1.0;
                }
            }
        }
        if counts.is_empty() {
            // Nothing but signs: the text itself is its only feature, so that it still has a place.
            counts.insert(fnv1a(text.bytes()), 1.0);
        }
        let mut numbers = vec![0f32; self.dimensions.get() as usize];
        let mut features: Vec<(u64, f32)> = counts.into_iter().collect();
        // A map has no order, and sums of floats depend on theirs.
        features.sort_unstable_by_key(|(hash, _)| *hash);
        for (hash, count) in features {
            // Sublinear: the tenth occurrence says less than the first; a root, because it is exact on every machine,
            // as a logarithm is not. The sign, from a bit that the place does not use, lets collisions cancel out on
            // average (Weinberger et al., 2009).
            let weight = count.sqrt();
            let place = (hash % u64::from(self.dimensions.get())) as usize;
            numbers[place] += if hash >> 63 == 0 { weight } else { -weight };
        }
        let norm = numbers
            .iter()
            .map(|number| number * number)
            .sum::<f32>()
            .sqrt();
        if norm < 1e-6 {
            // Every feature met its opposite: one place by the text's hash.
            let place = (fnv1a(text.bytes()) % u64::from(self.dimensions.get())) as usize;
            numbers[place] = 1.0;
        } else {
            numbers.iter_mut().for_each(|number| *number /= norm);
        }
        Embedding::new(numbers).map_err(|error| {
            EmbedError::new(EmbedErrorKind::Internal, "a hashed vector is not usable")
                .with_source(error)
        })
    }
}

/// FNV-1a, 64 bits, with a final mix: short, fixed for ever, the same on every machine. Constants as published by
/// Fowler, Noll and Vo; the mix is the finaliser of MurmurHash3, since FNV's high bits are weak for short inputs.
fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[async_trait]
impl Embedder for HashEmbedder {
    fn provider(&self) -> &'static str {
        "hash"
    }

    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits {
            texts: 256,
            bytes: usize::MAX,
        }
    }

    async fn embed(
        &self,
        inputs: &[String],
        _purpose: Purpose,
        meter: &Meter,
    ) -> Result<Embedded, EmbedError> {
        let admission = meter.admit(inputs).await?;
        let vectors = inputs
            .iter()
            .map(|text| self.vector(text))
            .collect::<Result<_, _>>()?;
        admission.billed(None);
        Ok(Embedded {
            vectors,
            tokens: None,
            requests: 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(text: &str) -> Vec<f32> {
        HashEmbedder::default()
            .vector(text)
            .unwrap()
            .as_slice()
            .to_vec()
    }

    fn cosine(left: &str, right: &str) -> f32 {
        vector(left)
            .iter()
            .zip(vector(right))
            .map(|(a, b)| a * b)
            .sum()
    }

    #[test]
    fn vectors_are_the_same_everywhere() {
        let vector = HashEmbedder::default()
            .vector("Как заблокировать карту?")
            .unwrap();
        let checksum = storage_core::ContentHash::of(&vector.to_le_bytes());
        // A change here is another vector space: it needs another revision in the spec.
        assert_eq!(&checksum.to_hex()[..16], "89a985482840fea9");
    }

    #[test]
    fn shared_words_attract_and_spelling_does_not_matter() {
        let related = cosine("Как заблокировать карту?", "Блокировка карты");
        let unrelated = cosine("Как заблокировать карту?", "Курс доллара");
        assert!(related > unrelated + 0.1, "{related} {unrelated}");
        assert_eq!(vector("Счёт ЗАКРЫТ"), vector("счет, закрыт!"));
    }

    #[test]
    fn every_text_has_a_vector_of_length_one() {
        for text in [
            "",
            " ",
            "…",
            "?!",
            "a",
            "я",
            "42",
            "🙂",
            "a\u{0}b",
            &"слово ".repeat(9999),
        ] {
            let length: f32 = vector(text).iter().map(|number| number * number).sum();
            assert!((length - 1.0).abs() < 1e-4, "{text:.20} {length}");
        }
        assert_ne!(vector("…"), vector("?!"));
        let narrow = HashEmbedder::new(NonZeroU32::MIN)
            .vector("два слова")
            .unwrap();
        assert_eq!(narrow.dimensions(), 1);
    }
}
