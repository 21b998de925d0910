//! Checks a provider's answer before anyone sees it. Pure: from bytes and what was asked to vectors, or what is wrong.

use std::num::NonZeroU32;

use serde::Deserialize;
use storage_core::Embedding;

use crate::{EmbedError, EmbedErrorKind};

/// What an answer holds, in the texts' order, still unchecked.
#[derive(Debug)]
pub(super) struct RawAnswer {
    pub(super) vectors: Vec<Vec<f32>>,
    pub(super) tokens: Option<u64>,
    pub(super) model: Option<String>,
}

/// The answer of `/v1/embeddings`.
#[derive(Deserialize)]
struct OpenAiAnswer {
    data: Option<Vec<OpenAiItem>>,
    usage: Option<OpenAiUsage>,
    model: Option<String>,
}

#[derive(Deserialize)]
struct OpenAiItem {
    index: usize,
    embedding: Numbers,
}

#[derive(Deserialize)]
struct OpenAiUsage {
    total_tokens: Option<u64>,
}

/// The answer of `/api/embed`.
#[derive(Deserialize)]
struct OllamaAnswer {
    embeddings: Option<Vec<Numbers>>,
    prompt_eval_count: Option<u64>,
    model: Option<String>,
}

/// One vector. A number beyond f32 becomes infinite and is refused with its vector, not with the whole answer.
struct Numbers(Vec<f32>);

impl<'de> Deserialize<'de> for Numbers {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "vectors are stored as f32; overflow gives an infinity"
    )]
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let numbers = Vec::<f64>::deserialize(deserializer)?;
        Ok(Self(
            numbers.into_iter().map(|number| number as f32).collect(),
        ))
    }
}

/// Reads the answer of an OpenAI-compatible API: every index once, ordered by index whatever the order sent.
pub(super) fn openai(body: &[u8], sent: usize) -> Result<RawAnswer, EmbedError> {
    let answer: OpenAiAnswer = parse(body)?;
    let data = answer.data.ok_or_else(|| without_vectors(body))?;
    let found = data.len();
    let mut vectors: Vec<Option<Vec<f32>>> = (0..sent).map(|_| None).collect();
    for item in data {
        match vectors.get_mut(item.index) {
            Some(place @ None) => *place = Some(item.embedding.0),
            Some(Some(_)) => {
                return Err(bad(format!(
                    "index {} stands in the answer twice",
                    item.index
                )));
            }
            None => {
                return Err(bad(format!(
                    "the answer has index {} for {sent} texts",
                    item.index
                )));
            }
        }
    }
    let vectors: Option<Vec<_>> = vectors.into_iter().collect();
    let vectors = vectors.ok_or_else(|| bad(format!("{found} vectors came for {sent} texts")))?;
    let tokens = answer.usage.and_then(|usage| usage.total_tokens);
    Ok(RawAnswer {
        vectors,
        tokens,
        model: answer.model,
    })
}

/// Reads the answer of Ollama: one vector a text, in order.
pub(super) fn ollama(body: &[u8], sent: usize) -> Result<RawAnswer, EmbedError> {
    let answer: OllamaAnswer = parse(body)?;
    let vectors = answer.embeddings.ok_or_else(|| without_vectors(body))?;
    if vectors.len() != sent {
        return Err(bad(format!(
            "{} vectors came for {sent} texts",
            vectors.len()
        )));
    }
    let vectors = vectors.into_iter().map(|numbers| numbers.0).collect();
    Ok(RawAnswer {
        vectors,
        tokens: answer.prompt_eval_count,
        model: answer.model,
    })
}

/// Checks every vector: usable, and all of one length, the expected one where it is known.
///
/// # Errors
/// `Dimensions` for another length than expected; `Rejected` for a vector that is not finite or has no length, since
/// that is about one text and the others of the batch are good; `BadAnswer` for lengths that differ.
pub(super) fn check(
    vectors: Vec<Vec<f32>>,
    expected: Option<NonZeroU32>,
) -> Result<Vec<Embedding>, EmbedError> {
    let length = vectors.first().map_or(0, Vec::len);
    if let Some(other) = vectors.iter().find(|vector| vector.len() != length) {
        return Err(bad(format!(
            "the answer mixes vectors of {length} and {} numbers",
            other.len()
        )));
    }
    if let Some(expected) =
        expected.filter(|expected| expected.get() as usize != length && !vectors.is_empty())
    {
        return Err(EmbedError::new(
            EmbedErrorKind::Dimensions,
            format!(
                "embedding dimension mismatch: expected {expected}, the provider gave {length}"
            ),
        ));
    }
    vectors
        .into_iter()
        .map(|numbers| {
            Embedding::new(numbers).map_err(|error| {
                EmbedError::new(
                    EmbedErrorKind::Rejected,
                    "the provider gave an unusable vector",
                )
                .with_source(error)
            })
        })
        .collect()
}

/// Parses a body. serde_json refuses NaN, strings and null where numbers belong, and anything after the document.
fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, EmbedError> {
    serde_json::from_slice(body).map_err(|error| {
        let what = match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => "an empty answer",
            Some(b'<') => "a web page instead of an answer",
            _ if error.is_eof() => "an answer that is cut off",
            _ => "an answer that is not of the form asked for",
        };
        // The parser's message holds line and column, never the text.
        bad(format!("{what} came")).with_source(error)
    })
}

/// A 200 that holds an error, as some gateways send it.
fn without_vectors(body: &[u8]) -> EmbedError {
    let text = String::from_utf8_lossy(&body[..body.len().min(4096)]);
    if text.contains("\"error\"") {
        return bad(super::classify::explain(200, "", &text));
    }
    bad("the answer holds no vectors".to_owned())
}

pub(super) fn bad(message: String) -> EmbedError {
    EmbedError::new(EmbedErrorKind::BadAnswer, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(body: &str, sent: usize) -> EmbedErrorKind {
        let answer = openai(body.as_bytes(), sent)
            .and_then(|answer| check(answer.vectors, NonZeroU32::new(2)));
        answer.expect_err(body).kind()
    }

    #[test]
    fn vectors_are_ordered_by_index() {
        let body = r#"{"data":[{"index":1,"embedding":[0,1]},{"index":0,"embedding":[1,0]}],"usage":{"total_tokens":7}}"#;
        let answer = openai(body.as_bytes(), 2).unwrap();
        assert_eq!(answer.tokens, Some(7));
        assert_eq!(answer.vectors, [[1.0, 0.0], [0.0, 1.0]]);
    }

    #[test]
    fn nonsense_is_never_taken_for_vectors() {
        use EmbedErrorKind::{BadAnswer, Dimensions, Rejected};
        let one =
            |embedding: &str| format!(r#"{{"data":[{{"index":0,"embedding":{embedding}}}]}}"#);
        for (kind, body, sent) in [
            (BadAnswer, String::new(), 1),
            (BadAnswer, "<html></html>".to_owned(), 1),
            (BadAnswer, one("[1,0]")[..20].to_owned(), 1),
            (
                BadAnswer,
                r#"{"error":{"message":"overloaded"}}"#.to_owned(),
                1,
            ),
            (BadAnswer, one("[1,0]"), 2),
            (
                BadAnswer,
                r#"{"data":[{"index":1,"embedding":[1,0]}]}"#.to_owned(),
                1,
            ),
            (
                BadAnswer,
                r#"{"data":[{"index":0,"embedding":[1,0]},{"index":0,"embedding":[1,0]}]}"#
                    .to_owned(),
                2,
            ),
            (
                BadAnswer,
                r#"{"data":[{"index":0,"embedding":[1,0]},{"index":1,"embedding":[1]}]}"#
                    .to_owned(),
                2,
            ),
            (BadAnswer, one("[1,NaN]"), 1),
            (BadAnswer, one("[1,null]"), 1),
            (BadAnswer, one("[\"1\",0]"), 1),
            (BadAnswer, one("\"AACAPwAAAAA=\""), 1),
            (Rejected, one("[1e39,0]"), 1),
            (Rejected, one("[0,0]"), 1),
            (Dimensions, one("[1,0,0]"), 1),
        ] {
            assert_eq!(kind_of(&body, sent), kind, "{body}");
        }
    }
}
