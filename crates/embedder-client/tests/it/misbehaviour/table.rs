//! The table: each way to misbehave, the one class it has, and the one message a person reads.

use std::time::Duration;

use embedder_client::EmbedErrorKind;
use embedder_client::testing::Reply;

use super::replies::{
    GOOD, body, bomb, endless, endless_refusal, error, every, giant, items, last, raw, redirect,
    status, until,
};

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It is odd, and right.
    Accept,
    /// It may pass: the same call again, after a wait; then the run ends as unavailable.
    Retry(Wait),
    /// It makes no sense: once more, then the batch is split, for one text may be to blame.
    Split,
    /// The provider refuses the content: the batch is split at once.
    Reject,
    /// Nothing that a repetition would mend: the run ends, with this kind.
    Stop(EmbedErrorKind),
}

/// How long is waited before a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// As the backoff says.
    Ours,
    /// As the provider said.
    Asked(Duration),
    /// Until a moment the provider named, that far ahead of the answer.
    Until(Duration),
}

/// Where the misbehaviour is.
pub(super) enum Server {
    /// In the answer to so many texts.
    Answers(fn(usize) -> Reply),
    /// Nobody listens.
    Down,
}

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) server: Server,
    pub(super) class: Class,
    /// The whole message; `HOST` stands for the server's address. Empty for what is accepted.
    pub(super) says: &'static str,
    /// Whether the client is given little time for its calls: the server never answers.
    pub(super) silent: bool,
}

const OURS: Class = Class::Retry(Wait::Ours);
const CONFIGURATION: Class = Class::Stop(EmbedErrorKind::Configuration);

fn case(name: &'static str, class: Class, says: &'static str, answer: fn(usize) -> Reply) -> Case {
    Case {
        name,
        server: Server::Answers(answer),
        class,
        says,
        silent: false,
    }
}

/// Every case.
pub(super) fn cases() -> Vec<Case> {
    [refusals(), connections(), bodies(), vectors(), redirects()]
        .into_iter()
        .flatten()
        .collect()
}

fn refusals() -> Vec<Case> {
    let asked = |seconds| Class::Retry(Wait::Asked(Duration::from_secs(seconds)));
    vec![
        case(
            "429",
            OURS,
            "the provider's limit is exhausted (429: no, [key]), attempt 4; try again later",
            |_| status(429, &[]),
        ),
        case(
            "429, in 7 seconds",
            asked(7),
            "the provider's limit is exhausted (429: no, [key]), attempt 4; try again later",
            |_| status(429, &["Retry-After: 7"]),
        ),
        case(
            "429, at once",
            asked(0),
            "the provider's limit is exhausted (429: no, [key]), attempt 4; try again later",
            |_| status(429, &["Retry-After: 0"]),
        ),
        case(
            "429, by a date",
            Class::Retry(Wait::Until(Duration::from_secs(25))),
            "the provider's limit is exhausted (429: no, [key]), attempt 4; try again later",
            |_| until(25),
        ),
        case(
            "429, by a date gone by",
            asked(0),
            "the provider's limit is exhausted (429: no, [key]), attempt 4; try again later",
            |_| status(429, &["Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"]),
        ),
        case(
            "429, in words",
            OURS,
            "the provider's limit is exhausted (429: no, [key]), attempt 4; try again later",
            |_| status(429, &["Retry-After: soon"]),
        ),
        case(
            "429, in an hour",
            Class::Stop(EmbedErrorKind::Unavailable),
            "the provider's limit is exhausted (429: no, [key]); it asks to come back in 3600 s",
            |_| status(429, &["Retry-After: 3600"]),
        ),
        case(
            "429 of a spent account",
            Class::Stop(EmbedErrorKind::Unavailable),
            "the provider's limit is exhausted (429: no money)",
            |_| {
                let said = r#"{"error":{"code":"insufficient_quota","message":"no money"}}"#;
                Reply::Status(429, vec!["Retry-After: 1".to_owned()], said.to_owned())
            },
        ),
        case(
            "402",
            Class::Stop(EmbedErrorKind::Unavailable),
            "the account with the provider is spent (402: no, [key]); top it up",
            |_| status(402, &[]),
        ),
        case(
            "500",
            OURS,
            "the provider answered 500: no, [key], attempt 4; try again later",
            |_| status(500, &[]),
        ),
        case(
            "502",
            OURS,
            "the provider answered 502, attempt 4; try again later",
            |_| Reply::Status(502, vec![], "<html>Bad gateway</html>".to_owned()),
        ),
        case(
            "503, in 3 seconds",
            asked(3),
            "the provider answered 503: no, [key], attempt 4; try again later",
            |_| status(503, &["Retry-After: 3"]),
        ),
        case(
            "504",
            OURS,
            "the provider answered 504: no, [key], attempt 4; try again later",
            |_| status(504, &[]),
        ),
        case(
            "401",
            CONFIGURATION,
            "wrong or missing key: the provider refuses it (401: no, [key]); set EMBEDDING_API_KEY, or \
             EMBEDDING_API_KEY_FILE, to a valid one",
            |_| status(401, &[]),
        ),
        case(
            "403",
            CONFIGURATION,
            "wrong or missing key: the provider refuses it (403: no, [key]); set EMBEDDING_API_KEY, or \
             EMBEDDING_API_KEY_FILE, to a valid one",
            |_| status(403, &[]),
        ),
        case(
            "404",
            CONFIGURATION,
            "the provider knows no such address or model (404: no, [key]); check EMBEDDING_BASE_URL and \
             EMBEDDING_MODEL_NAME (now bge-m3)",
            |_| status(404, &[]),
        ),
        case(
            "400",
            Class::Reject,
            "the provider refuses this text (400: no, [key])",
            |_| status(400, &[]),
        ),
        case(
            "413",
            Class::Reject,
            "the provider refuses this text (413: no, [key])",
            |_| status(413, &[]),
        ),
        case(
            "422",
            Class::Reject,
            "the provider refuses this text (422: no, [key])",
            |_| status(422, &[]),
        ),
        case(
            "418",
            Class::Split,
            "the provider answered 418: no, [key]",
            |_| status(418, &[]),
        ),
    ]
}

fn connections() -> Vec<Case> {
    vec![
        Case {
            name: "connection refused",
            server: Server::Down,
            class: OURS,
            says: "the embedding provider at HOST cannot be reached (Connection refused (os error 111)), attempt 4; \
                   try again later",
            silent: false,
        },
        case(
            "reset",
            OURS,
            "the embedding provider at HOST broke the connection off (Connection reset by peer (os error 104)), \
             attempt 4; try again later",
            |_| Reply::Reset,
        ),
        case(
            "closed",
            OURS,
            "the embedding provider at HOST broke the connection off (connection closed before message completed), \
             attempt 4; try again later",
            |_| Reply::Raw(vec![]),
        ),
        Case {
            silent: true,
            ..case(
                "silence",
                OURS,
                "the embedding provider at HOST did not answer in time (operation timed out), attempt 4; try again \
                 later",
                |_| Reply::Silence,
            )
        },
        case(
            "no HTTP",
            OURS,
            "the embedding provider at HOST broke the connection off (invalid HTTP version parsed), attempt 4; try \
             again later",
            |_| Reply::Raw(b"hello, I am no server\r\n\r\n".to_vec()),
        ),
        case(
            "body cut off",
            OURS,
            "the embedding provider at HOST broke the connection off (end of file before message length reached), \
             attempt 4; try again later",
            |_| raw("", 90, b"{\"data\":"),
        ),
        case(
            "broken gzip",
            OURS,
            "the embedding provider at HOST broke the connection off (Invalid gzip header), attempt 4; try again \
             later",
            |_| raw("content-encoding: gzip\r\n", 5, b"hello"),
        ),
    ]
}

fn bodies() -> Vec<Case> {
    const TOO_LONG: &str =
        "the provider's answer is longer than 4194464 bytes, which no answer to these texts is";
    vec![
        case(
            "empty body",
            OURS,
            "the provider's answer is empty, attempt 4; try again later",
            |_| body(""),
        ),
        case(
            "web page",
            OURS,
            "the provider answers with a web page; if it goes on, check EMBEDDING_BASE_URL, attempt 4; try again \
             later",
            |_| body("<!doctype html><html>Welcome</html>"),
        ),
        case(
            "cut document",
            OURS,
            "the provider's answer is cut off, attempt 4; try again later",
            |_| body("{\"data\":[{\"inde"),
        ),
        case(
            "no document",
            Class::Split,
            "the provider's answer is not of the form asked for (line 1, column 1)",
            |_| body("hello"),
        ),
        case(
            "200 with an error",
            Class::Split,
            "the provider answers with an error and no code: no, [key]",
            |_| error("null"),
        ),
        case(
            "200 with 429",
            OURS,
            "the provider's limit is exhausted (429: no, [key]), attempt 4; try again later",
            |_| error("429"),
        ),
        case(
            "200 with 401",
            CONFIGURATION,
            "wrong or missing key: the provider refuses it (401: no, [key]); set EMBEDDING_API_KEY, or \
             EMBEDDING_API_KEY_FILE, to a valid one",
            |_| error("401"),
        ),
        case(
            "200 with 400",
            Class::Reject,
            "the provider refuses this text (400: no, [key])",
            |_| error("\"invalid_request\""),
        ),
        case(
            "no vectors",
            Class::Split,
            "the provider's answer holds no vectors",
            |_| body("{}"),
        ),
        case("100 MiB", Class::Split, TOO_LONG, |_| giant()),
        case("endless", Class::Split, TOO_LONG, |_| endless()),
        case("gzip bomb", Class::Split, TOO_LONG, |_| bomb()),
        case(
            "endless refusal",
            Class::Reject,
            "the provider refuses this text (400: \
             xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
             xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx)",
            |_| endless_refusal(),
        ),
        case(
            "ten thousand brackets",
            Class::Split,
            "the provider's answer holds no vectors",
            |_| {
                let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
                body(format!(r#"{{"extra":{open}{close}}}"#))
            },
        ),
    ]
}

fn vectors() -> Vec<Case> {
    vec![
        case(
            "wrong index",
            Class::Split,
            "the provider's answer has index 7000 for 1 texts",
            |texts| {
                let good = (0..texts - 1).map(|index| (index, GOOD));
                items(good.chain([(7000, GOOD)]))
            },
        ),
        case(
            "doubled index",
            Class::Split,
            "the provider gave 2 vectors where 1 were due",
            |texts| match texts {
                1 => items([(0, GOOD), (0, GOOD)]),
                _ => items((0..texts).map(|index| (index.max(1), GOOD))),
            },
        ),
        case(
            "missing item",
            Class::Split,
            "the provider gave 0 vectors where 1 were due",
            |texts| every(texts - 1, GOOD),
        ),
        case(
            "extra item",
            Class::Split,
            "the provider gave 2 vectors where 1 were due",
            |texts| every(texts + 1, GOOD),
        ),
        case(
            "wrong dimension",
            Class::Stop(EmbedErrorKind::Dimensions),
            "embedding dimension mismatch: expected 4, the provider gave 2; check EMBEDDING_MODEL_NAME",
            |texts| every(texts, "[1,0]"),
        ),
        case(
            "no numbers",
            Class::Stop(EmbedErrorKind::Dimensions),
            "embedding dimension mismatch: expected 4, the provider gave 0; check EMBEDDING_MODEL_NAME",
            |texts| every(texts, "[]"),
        ),
        case(
            "NaN",
            Class::Split,
            "the provider's answer is not of the form asked for (line 1, column 53)",
            |texts| last(texts, "[1,NaN,0,0]"),
        ),
        case(
            "Infinity",
            Class::Split,
            "the provider's answer is not of the form asked for (line 1, column 53)",
            |texts| last(texts, "[1,Infinity,0,0]"),
        ),
        case(
            "1e39",
            Class::Split,
            "the provider's answer is not of the form asked for (line 1, column 54)",
            |texts| last(texts, "[1e39,0,0,0]"),
        ),
        case(
            "null",
            Class::Split,
            "the provider's answer is not of the form asked for (line 1, column 56)",
            |texts| last(texts, "[1,null,0,0]"),
        ),
        case(
            "strings",
            Class::Split,
            "the provider's answer is not of the form asked for (line 1, column 53)",
            |texts| last(texts, "[\"1\",0,0,0]"),
        ),
        case(
            "zero vector",
            Class::Split,
            "the provider gave an unusable vector: the vector's norm is outside 1e-6 to 1e6: 0e0",
            |texts| last(texts, "[0,0,0,0]"),
        ),
        case("not normalised", Class::Accept, "", |texts| {
            every(texts, "[300,-400,0,0]")
        }),
        case(
            "base64",
            CONFIGURATION,
            "the provider encodes its vectors (base64) though plain numbers were asked for (encoding_format float); \
             set EMBEDDING_BASE_URL to an address that heeds that",
            |texts| every(texts, "\"AACAPwAAAAAAAAAAAAAAAA==\""),
        ),
        case("other order", Class::Accept, "", |texts| {
            items((0..texts).rev().map(|index| (index, GOOD)))
        }),
        case("other model", Class::Accept, "", |texts| {
            let vectors: Vec<_> = (0..texts)
                .map(|index| format!(r#"{{"index":{index},"embedding":{GOOD}}}"#))
                .collect();
            body(format!(
                r#"{{"model":"gpt-9","data":[{}]}}"#,
                vectors.join(",")
            ))
        }),
        case("unknown fields", Class::Accept, "", |texts| {
            let vectors: Vec<_> = (0..texts)
                .map(|index| format!(r#"{{"object":"e","index":{index},"embedding":{GOOD}}}"#))
                .collect();
            body(format!(
                r#"{{"id":7,"error":null,"data":[{}],"usage":{{}}}}"#,
                vectors.join(",")
            ))
        }),
    ]
}

fn redirects() -> Vec<Case> {
    vec![
        case(
            "redirect to another host",
            CONFIGURATION,
            "the provider redirects to other.example (302), and redirects are not followed, so that the key goes \
             nowhere else; set EMBEDDING_BASE_URL to the final address",
            |_| redirect(302, "https://other.example/v1/embeddings?from=SECRET-MARK"),
        ),
        case(
            "redirect to the cloud's metadata",
            CONFIGURATION,
            "the provider redirects to 169.254.169.254 (307), and redirects are not followed, so that the key goes \
             nowhere else; set EMBEDDING_BASE_URL to the final address",
            |_| redirect(307, "http://169.254.169.254/latest/meta-data/"),
        ),
        case(
            "redirect to a file",
            CONFIGURATION,
            "the provider redirects (308), and redirects are not followed, so that the key goes nowhere else; set \
             EMBEDDING_BASE_URL to the final address",
            |_| redirect(308, "file:///etc/passwd"),
        ),
        case(
            "redirect to a host named like the key",
            CONFIGURATION,
            "the provider redirects (301), and redirects are not followed, so that the key goes nowhere else; set \
             EMBEDDING_BASE_URL to the final address",
            |_| redirect(301, "https://SECRET-MARK-4711.example/"),
        ),
        case(
            "redirect to nowhere",
            CONFIGURATION,
            "the provider redirects (302), and redirects are not followed, so that the key goes nowhere else; set \
             EMBEDDING_BASE_URL to the final address",
            |_| Reply::Status(302, vec![], String::new()),
        ),
    ]
}
