//! Checks a provider's answer before anyone sees it. Pure: from bytes and what was asked to vectors, or what is wrong.

use std::num::NonZeroU32;

use serde::Deserialize;
use storage_core::Embedding;

use super::classify::{Dialect, Failed};
use crate::{EmbedError, EmbedErrorKind};

/// Checked vectors, in the texts' order.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) vectors: Vec<Embedding>,
    pub(super) tokens: Option<u64>,
    pub(super) model: Option<String>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) dialect: Dialect,
    /// How many texts.
    pub(super) texts: usize,
    /// Numbers a vector, where that is known.
    pub(super) dimensions: Option<NonZeroU32>,
    /// Whether the provider was asked to shorten its vectors to that many, which not every one does.
    pub(super) shortened: bool,
}

impl Asked {
    /// Bytes that a true answer never exceeds: what surrounds the vectors, and every number written out at length.
    /// A model of unknown width is taken for a wide one, and so is one that may not heed the width asked for: that it
    /// did not is the message a person needs.
    pub(super) fn longest_answer(&self) -> usize {
        let width = match self.dimensions.map(NonZeroU32::get) {
            None => 4096,
            Some(width) if self.shortened => width.max(4096),
            Some(width) => width,
        } as usize;
        (4 << 20) + self.texts.saturating_mul(width.saturating_mul(40))
    }
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
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct OpenAiUsage {
    total_tokens: Option<u64>,
}

/// The answer of `/api/embed`.
#[derive(Deserialize)]
struct OllamaAnswer {
    embeddings: Option<Vec<Vec<f32>>>,
    prompt_eval_count: Option<u64>,
    model: Option<String>,
}

/// Reads and checks a whole answer; `None` for a well-formed one that holds something else than vectors, such as an
/// error.
///
/// # Errors
/// May pass: an answer that is empty, cut off, or a web page of something between us and the provider. `Dimensions`
/// for vectors of another length than expected. `BadAnswer` for everything else that is not one usable vector a text.
pub(super) fn read(body: &[u8], asked: Asked) -> Result<Option<Answer>, Failed> {
    let (vectors, tokens, model) = match asked.dialect {
        Dialect::OpenAi => {
            let answer: OpenAiAnswer =
                parse(body).map_err(|failed| encoded(body).unwrap_or(failed))?;
            let Some(data) = answer.data else {
                return Ok(None);
            };
            let tokens = answer.usage.and_then(|usage| usage.total_tokens);
            (in_order(data, asked.texts)?, tokens, answer.model)
        }
        Dialect::Ollama => {
            let answer: OllamaAnswer = parse(body)?;
            let Some(vectors) = answer.embeddings else {
                return Ok(None);
            };
            if vectors.len() != asked.texts {
                return Err(count(vectors.len(), asked.texts));
            }
            (vectors, answer.prompt_eval_count, answer.model)
        }
    };
    Ok(Some(Answer {
        vectors: check(vectors, asked)?,
        tokens,
        model,
    }))
}

/// Puts the items where their indices say, whatever the order sent; every index must come once.
fn in_order(data: Vec<OpenAiItem>, texts: usize) -> Result<Vec<Vec<f32>>, Failed> {
    if data.len() != texts {
        return Err(count(data.len(), texts));
    }
    let mut vectors: Vec<Option<Vec<f32>>> = (0..texts).map(|_| None).collect();
    for OpenAiItem { index, embedding } in data {
        match vectors.get_mut(index) {
            Some(place @ None) => *place = Some(embedding),
            Some(Some(_)) => {
                return Err(Failed::nonsense(format!(
                    "index {index} stands in the provider's answer twice"
                )));
            }
            None => {
                return Err(Failed::nonsense(format!(
                    "the provider's answer has index {index} for {texts} texts"
                )));
            }
        }
    }
    // As many items as places, and no place taken twice: all are taken.
    Ok(vectors.into_iter().flatten().collect())
}

fn count(found: usize, texts: usize) -> Failed {
    Failed::nonsense(format!(
        "the provider gave {found} vectors where {texts} were due"
    ))
}

/// Checks every vector: usable, and all of one length, the expected one where it is known.
fn check(vectors: Vec<Vec<f32>>, asked: Asked) -> Result<Vec<Embedding>, Failed> {
    let Some(length) = vectors.first().map(Vec::len) else {
        return Ok(Vec::new());
    };
    if let Some(other) = vectors.iter().find(|vector| vector.len() != length) {
        return Err(Failed::nonsense(format!(
            "the provider's answer mixes vectors of {length} and {} numbers",
            other.len()
        )));
    }
    let expected = asked.dimensions;
    if let Some(expected) = expected.filter(|expected| expected.get() as usize != length) {
        let remedy = if asked.shortened {
            "it does not shorten its vectors as asked; leave --dimensions (EMBEDDING_DIMENSIONS) out, or name a model \
             that can (EMBEDDING_MODEL_NAME)"
        } else {
            "check EMBEDDING_MODEL_NAME"
        };
        let message = format!(
            "embedding dimension mismatch: expected {expected}, the provider gave {length}; {remedy}"
        );
        return Err(EmbedError::new(EmbedErrorKind::Dimensions, message).into());
    }
    vectors
        .into_iter()
        .map(|numbers| {
            Embedding::new(numbers).map_err(|error| {
                Failed::nonsense(format!("the provider gave an unusable vector: {error}"))
            })
        })
        .collect()
}

/// An answer whose vectors are strings: base64, in which providers send numbers of 4, 2 or 1 bytes without saying which.
/// Numbers were asked for in so many words (`encoding_format`), so nothing is guessed; and since every further answer
/// would be paid for and look the same, nothing is asked again either.
fn encoded(body: &[u8]) -> Option<Failed> {
    #[derive(Deserialize)]
    struct Item {
        #[serde(rename = "embedding")]
        _embedding: String,
    }
    #[derive(Deserialize)]
    struct Encoded {
        data: Vec<Item>,
    }
    let answer: Encoded = serde_json::from_slice(body).ok()?;
    (!answer.data.is_empty()).then(|| {
        let message = "the provider encodes its vectors (base64) though plain numbers were asked for \
                       (encoding_format float); set EMBEDDING_BASE_URL to an address that heeds that";
        EmbedError::new(EmbedErrorKind::Configuration, message).into()
    })
}

/// Parses a body. serde_json refuses NaN, strings, null and what is beyond f32 where numbers belong, and anything after the document.
fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failed> {
    serde_json::from_slice(body).map_err(|error| {
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => Failed::passing(None, "the provider's answer is empty"),
            Some(b'<') => Failed::passing(
                None,
                "the provider answers with a web page; if it goes on, check EMBEDDING_BASE_URL",
            ),
            _ if error.is_eof() => Failed::passing(None, "the provider's answer is cut off"),
            // The parser's own message repeats the values it did not expect, so only the place is told.
            _ => Failed::nonsense(format!(
                "the provider's answer is not of the form asked for (line {}, column {})",
                error.line(),
                error.column()
            )),
        }
    })
}

#[cfg(test)]
mod tests {
    use EmbedErrorKind::{BadAnswer, Configuration, Dimensions, Unavailable};

    use super::*;

    fn asked(dialect: Dialect, texts: usize) -> Asked {
        Asked {
            dialect,
            texts,
            dimensions: NonZeroU32::new(2),
            shortened: false,
        }
    }

    fn openai(body: &str, texts: usize) -> Result<Option<Answer>, Failed> {
        read(body.as_bytes(), asked(Dialect::OpenAi, texts))
    }

    fn item(index: usize, embedding: &str) -> String {
        format!(r#"{{"object":"embedding","index":{index},"embedding":{embedding}}}"#)
    }

    fn items(items: &[(usize, &str)]) -> String {
        let items: Vec<_> = items.iter().map(|(at, what)| item(*at, what)).collect();
        format!(
            r#"{{"data":[{}],"usage":{{"total_tokens":7}}}}"#,
            items.join(",")
        )
    }

    #[test]
    fn vectors_are_ordered_by_index() {
        let body = items(&[(1, "[0,1]"), (0, "[1,0]"), (2, "[0.6, 8e-1]")]);
        let answer = openai(&body, 3).unwrap().unwrap();
        assert_eq!(answer.tokens, Some(7));
        let vectors: Vec<_> = answer.vectors.iter().map(Embedding::as_slice).collect();
        assert_eq!(vectors, [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]);
    }

    #[test]
    fn vectors_need_not_be_normalised() {
        let answer = openai(&items(&[(0, "[300,-400]")]), 1).unwrap().unwrap();
        assert_eq!(answer.vectors[0].as_slice(), [300.0, -400.0]);
    }

    #[test]
    fn nonsense_is_never_taken_for_vectors() {
        for (kind, texts, body) in [
            (Unavailable, 1, String::new()),
            (Unavailable, 1, " \n".to_owned()),
            (Unavailable, 1, "<html></html>".to_owned()),
            (Unavailable, 1, items(&[(0, "[1,0]")])[..20].to_owned()),
            (BadAnswer, 1, "hello".to_owned()),
            (BadAnswer, 1, "[]".to_owned()),
            (BadAnswer, 1, r#"{"data":{}}"#.to_owned()),
            (BadAnswer, 1, r#"{"data":[{"embedding":[1,0]}]}"#.to_owned()),
            (BadAnswer, 1, format!("{} {{}}", items(&[(0, "[1,0]")]))),
            (BadAnswer, 1, items(&[])),
            (BadAnswer, 2, items(&[(0, "[1,0]")])),
            (BadAnswer, 1, items(&[(0, "[1,0]"), (1, "[1,0]")])),
            (BadAnswer, 1, items(&[(1, "[1,0]")])),
            (
                BadAnswer,
                1,
                r#"{"data":[{"index":-1,"embedding":[1,0]}]}"#.to_owned(),
            ),
            (BadAnswer, 2, items(&[(0, "[1,0]"), (0, "[1,0]")])),
            (BadAnswer, 2, items(&[(0, "[1,0]"), (1, "[1]")])),
            (BadAnswer, 1, items(&[(0, "[1,NaN]")])),
            (BadAnswer, 1, items(&[(0, "[1,Infinity]")])),
            (BadAnswer, 1, items(&[(0, "[1,-Infinity]")])),
            (BadAnswer, 1, items(&[(0, "[1,null]")])),
            (BadAnswer, 1, items(&[(0, "null")])),
            (BadAnswer, 1, items(&[(0, "[\"1\",0]")])),
            (BadAnswer, 1, items(&[(0, "[true,0]")])),
            (Configuration, 1, items(&[(0, "\"AACAPwAAAAA=\"")])),
            (BadAnswer, 1, items(&[(0, "[1e39,0]")])),
            (BadAnswer, 1, items(&[(0, "[1e400,0]")])),
            (BadAnswer, 1, items(&[(0, "[0,0]")])),
            (BadAnswer, 1, items(&[(0, "[1e7,0]")])),
            (Dimensions, 1, items(&[(0, "[1,0,0]")])),
            (Dimensions, 1, items(&[(0, "[]")])),
        ] {
            let failed = openai(&body, texts).expect_err(&body);
            assert_eq!(failed.error.kind(), kind, "{body}");
        }
    }

    #[test]
    fn an_answer_that_is_an_error_holds_no_vectors() {
        assert!(
            openai(r#"{"error":{"message":"no"}}"#, 1)
                .unwrap()
                .is_none()
        );
        let ollama = |body: &str| read(body.as_bytes(), asked(Dialect::Ollama, 1));
        assert!(ollama(r#"{"error":"no"}"#).unwrap().is_none());
    }

    #[test]
    fn ollama_gives_one_vector_a_text() {
        let body = br#"{"model":"m","embeddings":[[1,0],[0,1]],"prompt_eval_count":9}"#;
        let answer = read(body, asked(Dialect::Ollama, 2)).unwrap().unwrap();
        assert_eq!((answer.vectors.len(), answer.tokens), (2, Some(9)));
        let failed = read(body, asked(Dialect::Ollama, 3)).unwrap_err();
        assert_eq!(failed.error.kind(), BadAnswer);
    }

    #[test]
    fn messages_repeat_nothing_of_the_answer() {
        for body in [
            items(&[(0, "\"SECRET-MARK\"")]),
            r#"{"data":"SECRET-MARK"}"#.to_owned(),
        ] {
            let error = openai(&body, 1).unwrap_err().error;
            assert!(
                !format!("{error} {error:?}").contains("SECRET"),
                "{error:?}"
            );
        }
    }
}
