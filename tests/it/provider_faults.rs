//! A provider that misbehaves, from outside: the exit code and the words of each class, what is kept, and what the next
//! run pays. How every single fault is told from every other is tested where the client is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration_tests::{Faq, Outcome, Place, Reply, StubApi, open};

use crate::support::{DIMENSIONS, billed_once, counts};

const ROWS: usize = 23;
const ARGS: &[&str] = &[
    "migrate",
    "--faq-path",
    "faq.csv",
    "--batch-size",
    "10",
    "--concurrency",
    "1",
];

/// A provider that misbehaves where it is told to, until it is mended.
struct Provider {
    api: StubApi,
    mended: Arc<AtomicBool>,
}

impl Provider {
    fn wrong(
        answer: fn(usize) -> Reply,
        wrong: impl Fn(usize, &[String]) -> bool + Send + Sync + 'static,
    ) -> Self {
        let mended = Arc::new(AtomicBool::new(false));
        let known = Arc::clone(&mended);
        let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, move |number, texts| {
            match !known.load(Ordering::SeqCst) && wrong(number, texts) {
                true => answer(texts.len()),
                false => Reply::Vectors,
            }
        });
        Self { api, mended }
    }

    fn mend(&self) {
        self.mended.store(true, Ordering::SeqCst);
    }
}

fn status(status: u16, body: &str) -> Reply {
    Reply::Status(status, vec![], body.to_owned())
}

/// An answer of these vectors.
fn vectors(vectors: impl IntoIterator<Item = impl std::fmt::Display>) -> Reply {
    let items: Vec<_> = vectors
        .into_iter()
        .enumerate()
        .map(|(index, vector)| format!(r#"{{"index":{index},"embedding":{vector}}}"#))
        .collect();
    Reply::Body(format!(r#"{{"data":[{}]}}"#, items.join(",")))
}

/// An answer for so many texts: good vectors, and this one last.
fn last(texts: usize, vector: &str) -> Reply {
    let good = vec![full_of("0.5"); texts - 1];
    vectors(good.into_iter().chain([vector.to_owned()]))
}

/// An answer for so many texts in which every vector is this.
fn every(texts: usize, vector: &str) -> Reply {
    vectors(vec![vector; texts])
}

/// A vector as long as the others, of this number.
fn full_of(number: &str) -> String {
    format!("[{}]", vec![number; DIMENSIONS].join(","))
}

/// Nothing invalid got into the store, and the product agrees.
#[track_caller]
fn all_is_valid(place: &Place, vectors: usize, case: &str) {
    assert_eq!(place.json(&["validate"])["ok"], true, "{case}");
    let connection = open(&place.store());
    let mut statement = connection
        .prepare("SELECT embedding FROM embedding_vectors")
        .unwrap();
    let stored = statement.query_map([], |row| row.get::<_, Vec<u8>>(0));
    let stored: Vec<_> = stored.unwrap().map(Result::unwrap).collect();
    assert_eq!(stored.len(), vectors, "{case}: vectors stored");
    for bytes in stored {
        let numbers: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        assert_eq!(numbers.len(), DIMENSIONS, "{case}");
        assert!(numbers.iter().all(|number| number.is_finite()), "{case}");
        assert!(numbers.iter().any(|number| *number != 0.0), "{case}");
    }
}

fn place(api: &StubApi) -> (Place, Faq) {
    let (place, faq) = (Place::stub(api), Faq::of(ROWS));
    place.save("faq.csv", &faq);
    (place, faq)
}

#[test]
fn a_text_the_provider_has_no_vector_for_is_found_and_the_others_are_kept() {
    type Fault = (&'static str, fn(usize) -> Reply, &'static str);
    let faults: [Fault; 11] = [
        (
            "400",
            |_| status(400, r#"{"error":{"message":"too long"}}"#),
            "the provider refuses this text (400: too long)",
        ),
        (
            "413",
            |_| status(413, ""),
            "the provider refuses this text (413)",
        ),
        (
            "422",
            |_| status(422, ""),
            "the provider refuses this text (422)",
        ),
        (
            "200 with an error",
            |_| Reply::Body(r#"{"error":{"code":400,"message":"too long"}}"#.to_owned()),
            "the provider refuses this text (400: too long)",
        ),
        (
            "missing item",
            |texts| match texts {
                1 => Reply::Body(r#"{"data":[]}"#.to_owned()),
                _ => last(texts - 1, &full_of("0.5")),
            },
            "the provider gave 0 vectors where 1 were due",
        ),
        (
            "extra item",
            |texts| last(texts + 1, &full_of("0.5")),
            "the provider gave 2 vectors where 1 were due",
        ),
        (
            "NaN",
            |texts| last(texts, &full_of("NaN")),
            "not of the form asked for",
        ),
        (
            "1e39",
            |texts| last(texts, &full_of("1e39")),
            "not of the form asked for",
        ),
        (
            "null",
            |texts| last(texts, &full_of("null")),
            "not of the form asked for",
        ),
        (
            "zero vector",
            |texts| last(texts, &full_of("0")),
            "the vector's norm is outside 1e-6 to 1e6",
        ),
        (
            "unknown status",
            |_| status(418, ""),
            "the provider answered 418",
        ),
    ];
    for (case, answer, reason) in faults {
        let culprit = Faq::of(ROWS).0[14].text();
        let known = culprit.clone();
        let provider = Provider::wrong(answer, move |_, texts| texts.contains(&known));
        let (place, faq) = place(&provider.api);

        let run = place.run(ARGS).expect(3);
        let told: Vec<_> = run
            .stdout
            .lines()
            .filter(|line| line.contains(reason))
            .collect();
        assert!(
            matches!(*told, [line] if line.contains("row 16")),
            "{case}: {}",
            run.stdout
        );
        all_is_valid(&place, ROWS - 1, case);
        billed_once(&provider.api, ROWS - 1);
        let found = place.json(&["search", &faq.0[13].question, "-k", "30"]);
        assert_eq!(
            found["hits"].as_array().unwrap().len(),
            ROWS - 1,
            "{case}: the others are found"
        );

        // Another run asks for the one text only: one call, or two where an answer made no sense.
        let before = provider.api.requests();
        let run = place.run(&[ARGS, &["--json"]].concat()).expect(3);
        let failed = &run.json()["failed"];
        assert_eq!(failed.as_array().unwrap().len(), 1, "{case}: {failed}");
        assert_eq!(failed[0]["row"], 16, "{case}: {failed}");
        let asked = provider.api.ledger().split_off(before);
        assert!(asked.len() <= 2, "{case}");
        let asked: BTreeSet<_> = asked
            .into_iter()
            .flat_map(|request| request.texts)
            .collect();
        assert_eq!(asked, BTreeSet::from([culprit]), "{case}");

        provider.mend();
        let report = place.migrate("faq.csv", &[]);
        counts(&report, &[("new", 1), ("embedded", 1), ("requests", 1)]);
        // The rows, and the question that was asked in between.
        billed_once(&provider.api, ROWS + 1);
        all_is_valid(&place, ROWS, case);
    }
}

/// A fault from the second batch on: its exit code, and words of its message.
struct Fatal {
    name: &'static str,
    answer: fn(usize) -> Reply,
    code: i32,
    says: &'static [&'static str],
}

const FATAL: &[Fatal] = &[
    Fatal {
        name: "401",
        answer: |_| status(401, r#"{"error":{"message":"bad key"}}"#),
        code: 2,
        says: &["401: bad key", "set EMBEDDING_API_KEY"],
    },
    Fatal {
        name: "403",
        answer: |_| status(403, ""),
        code: 2,
        says: &["403", "set EMBEDDING_API_KEY"],
    },
    Fatal {
        name: "404",
        answer: |_| status(404, ""),
        code: 2,
        says: &["check EMBEDDING_BASE_URL and EMBEDDING_MODEL_NAME"],
    },
    Fatal {
        name: "redirect",
        answer: |_| {
            let target = "Location: http://169.254.169.254/latest/".to_owned();
            Reply::Status(302, vec![target], String::new())
        },
        code: 2,
        says: &["redirects to 169.254.169.254 (302)", "are not followed"],
    },
    Fatal {
        name: "base64",
        answer: |texts| every(texts, "\"AACAPw==\""),
        code: 2,
        says: &["base64", "encoding_format", "set EMBEDDING_BASE_URL"],
    },
    Fatal {
        name: "429",
        answer: |_| status(429, ""),
        code: 75,
        says: &["limit is exhausted (429)", "try again later"],
    },
    Fatal {
        name: "429 in an hour",
        answer: |_| Reply::Status(429, vec!["Retry-After: 3600".to_owned()], String::new()),
        code: 75,
        says: &["it asks to come back in 3600 s"],
    },
    Fatal {
        name: "500",
        answer: |_| status(500, ""),
        code: 75,
        says: &["answered 500", "try again later"],
    },
    Fatal {
        name: "503",
        answer: |_| status(503, ""),
        code: 75,
        says: &["answered 503", "try again later"],
    },
    Fatal {
        name: "reset",
        answer: |_| Reply::Reset,
        code: 75,
        says: &["broke the connection off", "try again later"],
    },
    Fatal {
        name: "empty",
        answer: |_| Reply::Body(String::new()),
        code: 75,
        says: &["answer is empty", "try again later"],
    },
    Fatal {
        name: "web page",
        answer: |_| Reply::Body("<html>".to_owned()),
        code: 75,
        says: &["web page", "check EMBEDDING_BASE_URL"],
    },
    Fatal {
        name: "no document",
        answer: |_| Reply::Body("hello".to_owned()),
        code: 1,
        says: &["not of the form asked for"],
    },
    Fatal {
        name: "another width",
        answer: |texts| every(texts, "[1,0]"),
        code: 6,
        says: &["dimension mismatch: expected 64, the provider gave 2"],
    },
];

#[test]
fn a_provider_that_fails_in_mid_run_costs_nothing_twice() {
    for fault in FATAL {
        let provider = Provider::wrong(fault.answer, |number, _| number > 0);
        let (place, _) = place(&provider.api);
        let run = place.run(ARGS);
        assert_eq!(run.code, fault.code, "{}: {}", fault.name, run.stderr);
        let run = run.says(fault.says).says(&["10 of 23 vectors are stored"]);
        assert_eq!(errors(&run), 1, "{}: {}", fault.name, run.stderr);
        all_is_valid(&place, 10, fault.name);

        provider.mend();
        let report = place.migrate("faq.csv", &[]);
        counts(&report, &[("new", 23), ("embedded", 13), ("reused", 10)]);
        billed_once(&provider.api, ROWS);
        all_is_valid(&place, ROWS, fault.name);
    }
}

fn errors(run: &Outcome) -> usize {
    let lines = run.stderr.lines();
    lines.filter(|line| line.starts_with("error: ")).count()
}

#[test]
fn a_failing_provider_is_asked_again_as_often_as_it_was_said() {
    let provider = Provider::wrong(
        |_| Reply::Status(503, vec!["Retry-After: 0".to_owned()], String::new()),
        |_, _| true,
    );
    let (mut place, _) = place(&provider.api);
    place.set("EMBEDDING_MAX_RETRIES", "2");
    place.run(ARGS).expect(75).says(&["attempt 3"]);
    assert_eq!(provider.api.requests(), 3);
}
