//! What an answer means: one fixed class for every case. Pure.

use std::time::{Duration, SystemTime};

use crate::{EmbedError, EmbedErrorKind};

/// What to do about a call that brought no vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Class {
    /// It may pass: wait, as long as the provider asked or as the backoff says, and repeat.
    Retry {
        /// What the provider asked for.
        after: Option<Duration>,
    },
    /// Repeating it is pointless; the kind tells the caller what to do instead. `Rejected` means: split.
    Stop(EmbedErrorKind),
}

/// One attempt that failed: what to do, and what to tell when that is of no use either.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) class: Class,
    pub(super) error: EmbedError,
}

impl Failed {
    /// A failure that may pass.
    pub(super) fn passing(after: Option<Duration>, message: impl Into<String>) -> Self {
        Self {
            class: Class::Retry { after },
            error: EmbedError::new(EmbedErrorKind::Unavailable, message),
        }
    }

    /// An answer that makes no sense.
    pub(super) fn nonsense(message: impl Into<String>) -> Self {
        EmbedError::new(EmbedErrorKind::BadAnswer, message).into()
    }
}

impl From<EmbedError> for Failed {
    fn from(error: EmbedError) -> Self {
        Self {
            class: Class::Stop(error.kind()),
            error,
        }
    }
}

/// What an answer's headers say about coming back.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ComeBack<'a> {
    /// `Retry-After`.
    pub(super) retry_after: Option<&'a str>,
    /// `Date`: the provider's clock, by which it means a moment. Ours may be an hour off.
    pub(super) date: Option<&'a str>,
}

impl ComeBack<'_> {
    fn wait(self) -> Option<Duration> {
        let theirs = self
            .date
            .and_then(|date| httpdate::parse_http_date(date).ok());
        asked_wait(self.retry_after?, theirs.unwrap_or_else(SystemTime::now))
    }
}

/// Classifies an answer by its status and body. A body counts only where the status alone would mislead.
pub(super) fn classify(status: u16, come_back: ComeBack<'_>, body: &str) -> Class {
    match status {
        // Ollama reports a text whose vector has NaN as a server error; repeating it gives NaN again.
        500 if body.contains("NaN") => Class::Stop(EmbedErrorKind::Rejected),
        // A spent quota comes as 429 too, and no wait of ours brings money.
        402 => Class::Stop(EmbedErrorKind::Unavailable),
        429 if body.contains("insufficient_quota") => Class::Stop(EmbedErrorKind::Unavailable),
        408 | 425 | 429 | 500 | 502 | 503 | 504 | 520..=529 => Class::Retry {
            after: come_back.wait(),
        },
        400 | 413 | 422 => Class::Stop(EmbedErrorKind::Rejected),
        401..=407 | 410 | 300..=399 => Class::Stop(EmbedErrorKind::Configuration),
        _ => Class::Stop(EmbedErrorKind::BadAnswer),
    }
}

/// Whether a refusal speaks of the width asked for, in the words of those who cannot shorten vectors.
pub(super) fn about_dimensions(body: &str) -> bool {
    let body = body.to_lowercase();
    ["dimension", "matryoshka"]
        .iter()
        .any(|word| body.contains(word))
}

/// Reads `Retry-After`: seconds, or an HTTP date. A date that has passed means: now.
fn asked_wait(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // Beyond 64 bits is for ever, not nothing.
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(header).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

/// The status that an error inside a 200 should have had, as some gateways send it; `None` where its code says
/// nothing.
pub(super) fn status_inside(body: &str) -> Option<u16> {
    let json: serde_json::Value = serde_json::from_str(body).ok()?;
    let error = json
        .get("error")
        .filter(|error| !error.is_null())
        .unwrap_or(&json);
    ["code", "status", "type"]
        .iter()
        .filter_map(|name| error.get(name))
        .find_map(status_of_code)
}

fn status_of_code(code: &serde_json::Value) -> Option<u16> {
    let number = code
        .as_u64()
        .or_else(|| code.as_str()?.parse().ok())
        .and_then(|number| u16::try_from(number).ok());
    if let Some(status) = number {
        return (300..600).contains(&status).then_some(status);
    }
    let code = code.as_str()?.to_ascii_lowercase();
    // Order counts: `invalid_api_key` before `invalid`, `model_not_found` before nothing.
    [
        ("quota", 429),
        ("rate_limit", 429),
        ("too_many", 429),
        ("api_key", 401),
        ("auth", 401),
        ("permission", 403),
        ("not_found", 404),
        ("notfound", 404),
        ("overloaded", 503),
        ("unavailable", 503),
        ("server_error", 503),
        ("servererror", 503),
        ("api_error", 503),
        ("timeout", 504),
        ("context_length", 400),
        ("too_long", 400),
        ("invalid", 400),
        ("badrequest", 400),
        ("bad_request", 400),
    ]
    .into_iter()
    .find_map(|(part, status)| code.contains(part).then_some(status))
}

/// Who is being talked to, and what must not be repeated of what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `/v1/embeddings`.
    OpenAi,
    /// `/api/embed`.
    Ollama,
}

/// What to tell the user about a refused call. `words` are the provider's own, cleaned.
pub(super) fn explain(status: u16, dialect: Dialect, model: &str, words: &str) -> String {
    let said = if words.is_empty() {
        String::new()
    } else {
        format!(": {words}")
    };
    match status {
        401 | 403 => format!(
            "wrong or missing key: the provider refuses it ({status}{said}); set EMBEDDING_API_KEY, or \
             EMBEDDING_API_KEY_FILE, to a valid one"
        ),
        402 => format!("the account with the provider is spent ({status}{said}); top it up"),
        404 if dialect == Dialect::Ollama
            && words.contains("model")
            && words.contains("not found") =>
        {
            format!("Ollama has no model {model}; get it with: ollama pull {model}")
        }
        404 => format!(
            "the provider knows no such address or model ({status}{said}); check EMBEDDING_BASE_URL and \
             EMBEDDING_MODEL_NAME (now {model})"
        ),
        405..=407 | 410 => {
            format!("the provider has no such service ({status}{said}); check EMBEDDING_BASE_URL")
        }
        400 | 413 | 422 => format!("the provider refuses this text ({status}{said})"),
        500 if words.contains("NaN") => {
            format!("the provider cannot embed this text ({status}{said})")
        }
        429 => format!("the provider's limit is exhausted ({status}{said})"),
        _ => format!("the provider answered {status}{said}"),
    }
}

/// What to tell about a redirect: where it leads by host alone, since the rest may carry anything.
pub(super) fn explain_redirect(status: u16, host: Option<&str>) -> String {
    let host = host.map_or_else(String::new, |host| format!(" to {host}"));
    format!(
        "the provider redirects{host} ({status}), and redirects are not followed, so that the key goes nowhere else; \
         set EMBEDDING_BASE_URL to the final address"
    )
}

/// The provider's own words: `error.message` of a JSON body, or its beginning. They may be anything, so they are cut
/// short, without control characters, without a web page, and without the key, which some providers repeat.
pub(super) fn provider_words(body: &str, key: Option<&str>) -> String {
    let json: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let message = json.as_ref().and_then(|json| {
        let error = json
            .get("error")
            .filter(|error| !error.is_null())
            .unwrap_or(json);
        error.get("message").unwrap_or(error).as_str()
    });
    let plain = if body.trim_start().starts_with('<') {
        ""
    } else {
        body
    };
    cleaned(message.unwrap_or(plain), key)
}

/// Foreign text made fit for a message of ours.
pub(super) fn cleaned(text: &str, key: Option<&str>) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text: String = text.chars().filter(|char| !char.is_control()).collect();
    // Before the cut: half a key is a key too.
    let text = match key.filter(|key| !key.is_empty()) {
        Some(key) => text.replace(key, "[key]"),
        None => text,
    };
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use EmbedErrorKind::{BadAnswer, Configuration, Rejected, Unavailable};

    use super::*;

    fn seconds(retry_after: &str) -> ComeBack<'_> {
        ComeBack {
            retry_after: Some(retry_after),
            date: None,
        }
    }

    #[test]
    fn a_moment_is_meant_by_the_clock_of_whoever_names_it() {
        // Our clock is years away from both.
        let come_back = ComeBack {
            retry_after: Some("Mon, 18 Jan 2038 03:14:20 GMT"),
            date: Some("Mon, 18 Jan 2038 03:14:07 GMT"),
        };
        let after = Some(Duration::from_secs(13));
        assert_eq!(classify(429, come_back, ""), Class::Retry { after });
        let come_back = ComeBack {
            date: Some("yesterday"),
            ..seconds("7")
        };
        let after = Some(Duration::from_secs(7));
        assert_eq!(classify(429, come_back, ""), Class::Retry { after });
    }

    #[test]
    fn every_status_has_one_class() {
        for status in [408, 425, 429, 500, 502, 503, 504, 520, 529] {
            assert_eq!(
                classify(status, ComeBack::default(), ""),
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
            (402, Unavailable),
            (301, Configuration),
            (302, Configuration),
            (307, Configuration),
            (308, Configuration),
            (418, BadAnswer),
            (501, BadAnswer),
        ] {
            assert_eq!(
                classify(status, ComeBack::default(), ""),
                Class::Stop(kind),
                "{status}"
            );
        }
    }

    #[test]
    fn a_body_counts_where_the_status_misleads() {
        let nan = r#"{"error":"failed to encode response: json: unsupported value: NaN"}"#;
        assert_eq!(
            classify(500, ComeBack::default(), nan),
            Class::Stop(Rejected)
        );
        let spent = r#"{"error":{"code":"insufficient_quota"}}"#;
        assert_eq!(classify(429, seconds("1"), spent), Class::Stop(Unavailable));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sat, 21 Nov 2026 06:00:00 GMT").unwrap();
        for (header, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Sat, 21 Nov 2026 06:00:09 GMT", Some(9)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(
                asked_wait(header, now),
                seconds.map(Duration::from_secs),
                "{header}"
            );
        }
        assert_eq!(
            classify(503, seconds("7"), ""),
            Class::Retry {
                after: Some(Duration::from_secs(7))
            }
        );
    }

    #[test]
    fn an_error_inside_a_200_has_the_status_it_should_have_had() {
        for (body, status) in [
            (r#"{"error":{"code":429,"message":"slow down"}}"#, Some(429)),
            (r#"{"error":{"code":"503"}}"#, Some(503)),
            (
                r#"{"error":{"code":null,"type":"invalid_request_error"}}"#,
                Some(400),
            ),
            (r#"{"error":{"code":"invalid_api_key"}}"#, Some(401)),
            (r#"{"error":{"type":"model_not_found"}}"#, Some(404)),
            (r#"{"error":{"type":"rate_limit_exceeded"}}"#, Some(429)),
            (
                r#"{"object":"error","type":"BadRequestError","code":400}"#,
                Some(400),
            ),
            (r#"{"error":{"code":200}}"#, None),
            (r#"{"error":"something"}"#, None),
            ("nothing", None),
        ] {
            assert_eq!(status_inside(body), status, "{body}");
        }
    }

    #[test]
    fn the_providers_words_are_cut_and_cleaned_of_the_key() {
        let long = "x".repeat(500);
        let body =
            format!(r#"{{"error":{{"message":"too\n\u0007long KEY-1234 {long}KEY-1234"}}}}"#);
        let words = provider_words(&body, Some("KEY-1234"));
        assert!(words.starts_with("too long [key] xxx"), "{words}");
        assert_eq!(words.chars().count(), 200);
        let straddling = format!("{}KEY-1234", "x".repeat(196));
        assert!(!provider_words(&straddling, Some("KEY-1234")).contains("KEY"));
        assert_eq!(provider_words("<html>secret</html>", None), "");
        assert_eq!(
            provider_words(r#"{"object":"error","message":"no"}"#, Some("")),
            "no"
        );
    }

    #[test]
    fn messages_name_what_to_set() {
        for (status, dialect, words, part) in [
            (401, Dialect::OpenAi, "", "set EMBEDDING_API_KEY"),
            (403, Dialect::Ollama, "", "set EMBEDDING_API_KEY"),
            (
                404,
                Dialect::OpenAi,
                "model not found",
                "EMBEDDING_MODEL_NAME (now m)",
            ),
            (
                404,
                Dialect::Ollama,
                "model \"m\" not found",
                "ollama pull m",
            ),
            (
                404,
                Dialect::Ollama,
                "404 page not found",
                "EMBEDDING_BASE_URL",
            ),
            (405, Dialect::OpenAi, "", "EMBEDDING_BASE_URL"),
        ] {
            let told = explain(status, dialect, "m", words);
            assert!(told.contains(part), "{told}");
        }
    }
}
