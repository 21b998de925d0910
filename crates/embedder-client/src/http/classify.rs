//! What an answer means: one fixed class for every case. Pure.

use std::time::Duration;

use crate::EmbedErrorKind;

/// What to do about a call that brought no vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Class {
    /// It may pass: wait, as long as the provider asked or as the backoff says, and repeat.
    Retry {
        /// What the provider asked for.
        after: Option<Duration>,
    },
    /// Repeating it is pointless; the kind tells the caller what to do instead.
    Stop(EmbedErrorKind),
}

/// Classifies an answer by its status and body. A body counts only where the status alone would mislead.
pub(super) fn classify(status: u16, retry_after: Option<&str>, body: &str) -> Class {
    let after = retry_after.and_then(wait);
    match status {
        // Ollama reports a text whose vector has NaN as a server error; repeating it gives NaN again.
        500 if body.contains("NaN") => Class::Stop(EmbedErrorKind::Rejected),
        // A spent quota comes as 429 too, and no wait of ours brings money.
        429 if body.contains("insufficient_quota") => Class::Stop(EmbedErrorKind::Unavailable),
        408 | 425 | 429 | 500 | 502 | 503 | 504 | 520..=529 => Class::Retry { after },
        400 | 413 | 422 => Class::Stop(EmbedErrorKind::Rejected),
        401..=407 | 410 | 300..=399 => Class::Stop(EmbedErrorKind::Configuration),
        _ => Class::Stop(EmbedErrorKind::BadAnswer),
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date.
fn wait(header: &str) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(header).ok()?;
    // A date that has passed means: now.
    Some(
        until
            .duration_since(std::time::SystemTime::now())
            .unwrap_or_default(),
    )
}

/// What to tell the user about a refused call. The provider's own words are cut short and stripped of control
/// characters; they may be anything.
pub(super) fn explain(status: u16, model: &str, body: &str) -> String {
    let words = provider_words(body);
    match status {
        401 | 403 => format!(
            "the provider refuses the key ({status}{words}); set EMBEDDING_API_KEY, or EMBEDDING_API_KEY_FILE, to a valid one"
        ),
        404 => format!(
            "the provider knows no such address or model ({status}{words}); check EMBEDDING_BASE_URL and \
             EMBEDDING_MODEL_NAME (now {model})"
        ),
        300..=399 => format!(
            "the provider redirects ({status}), and redirects are not followed, so that the key goes nowhere else; set \
             EMBEDDING_BASE_URL to the final address"
        ),
        400 | 413 | 422 | 500 => format!("the provider refuses this text ({status}{words})"),
        429 => format!("the provider's limit is exhausted ({status}{words})"),
        _ => format!("the provider answered {status}{words}"),
    }
}

/// The `error.message` of a JSON body, or its beginning.
fn provider_words(body: &str) -> String {
    let json: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let message = json.as_ref().and_then(|json| {
        let error = json.get("error")?;
        error.get("message").unwrap_or(error).as_str()
    });
    let plain = if body.trim_start().starts_with('<') {
        ""
    } else {
        body
    };
    let words: String = message
        .unwrap_or(plain)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|char| !char.is_control())
        .take(200)
        .collect();
    if words.is_empty() {
        words
    } else {
        format!(": {words}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_class() {
        use EmbedErrorKind::{BadAnswer, Configuration, Rejected};
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(
                classify(status, None, ""),
                Class::Retry { after: None },
                "{status}"
            );
        }
        for (status, kind) in [
            (400, Rejected),
            (413, Rejected),
            (422, Rejected),
            (401, Configuration),
            (403, Configuration),
            (404, Configuration),
            (302, Configuration),
            (307, Configuration),
            (418, BadAnswer),
        ] {
            assert_eq!(classify(status, None, ""), Class::Stop(kind), "{status}");
        }
        assert_eq!(
            classify(
                500,
                None,
                "{\"error\":\"failed to encode response: json: unsupported value: NaN\"}"
            ),
            Class::Stop(Rejected)
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let seconds = |header| classify(429, Some(header), "");
        assert_eq!(
            seconds("7"),
            Class::Retry {
                after: Some(Duration::from_secs(7))
            }
        );
        assert_eq!(
            seconds("Wed, 21 Oct 2015 07:28:00 GMT"),
            Class::Retry {
                after: Some(Duration::ZERO)
            }
        );
        assert_eq!(seconds("soon"), Class::Retry { after: None });
    }

    #[test]
    fn the_providers_words_are_cut_and_cleaned() {
        let body = format!(
            "{{\"error\":{{\"message\":\"too\\n\\u0007long {}\"}}}}",
            "x".repeat(500)
        );
        let words = explain(400, "m", &body);
        assert!(
            words.contains("too long xxx") && words.len() < 300,
            "{words}"
        );
        assert!(!explain(502, "m", "<html>secret</html>").contains("secret"));
    }
}
