//! What is kept beside a version of a collection: how it did on questions with known answers, and from which score on
//! a hit is an answer. JSON in the store, written and read here only.
//!
//! A reader takes records of its own schema; fields it does not know are left alone, since a newer program may have
//! added them. A text that is damaged is an error, never half a record.

use std::collections::BTreeMap;

use retriever::{Calibration, Evaluation, GoldenQuery, Outcome};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use storage_core::Timestamp;

use crate::wire;

/// What this program writes.
const SCHEMA: u32 = 1;
/// Questions whose outcomes are kept one by one. They are read with every status of the store, so with every search.
pub(crate) const KEPT_OUTCOMES: usize = 2000;

/// Why a record is of no use.
#[derive(Debug)]
pub(crate) enum RecordError {
    /// It is no record.
    Damaged(serde_json::Error),
    /// A newer program wrote it.
    Newer(u32),
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged(error) => write!(f, "it is damaged: {error}"),
            Self::Newer(schema) => write!(
                f,
                "it has schema {schema}, this program reads {SCHEMA}: a newer smart-support wrote it"
            ),
        }
    }
}

/// Where the questions came from, and when they were asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// When, RFC 3339.
    pub(crate) at: String,
    /// Name of the file.
    pub(crate) golden: String,
    /// Digest of its questions.
    pub(crate) golden_digest: String,
    /// Generation of the collection.
    pub(crate) generation: u64,
}

impl Asked {
    pub(crate) fn new(golden: &str, digest: &str, generation: u64, at: Timestamp) -> Self {
        Self {
            at: wire::time(at),
            golden: golden.to_owned(),
            golden_digest: digest.to_owned(),
            generation,
        }
    }
}

/// How a version did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EvaluationRecord {
    #[serde(flatten)]
    pub(crate) asked: Asked,
    /// Questions that an entry answers.
    pub(crate) queries: usize,
    /// Questions that no entry answers.
    pub(crate) unanswerable: usize,
    pub(crate) top1: f64,
    pub(crate) top3: f64,
    pub(crate) mrr: f64,
    /// What it was compared with, if it was.
    pub(crate) baseline: Option<BaselineRecord>,
    /// One for each question; none of very many.
    #[serde(default)]
    outcomes: Outcomes,
}

/// What an evaluation was compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BaselineRecord {
    pub(crate) version: String,
    pub(crate) questions: usize,
    pub(crate) lost: usize,
    pub(crate) won: usize,
    pub(crate) top3_difference: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// What each question found. The ids are listed once: this is read with every status of the store, so with every
/// search, and ids are most of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Outcomes {
    ids: Vec<String>,
    /// A question, by a digest: texts of customers are not for a store's notes. The rank of its first right id. What
    /// it found, as places in `ids`.
    questions: Vec<(String, Option<usize>, Vec<usize>)>,
}

impl Outcomes {
    fn new<'a>(outcomes: impl IntoIterator<Item = (String, &'a Outcome)>) -> Self {
        let mut places = BTreeMap::new();
        let mut kept = Self::default();
        for (key, outcome) in outcomes {
            let mut found = Vec::with_capacity(outcome.got.len());
            for id in &outcome.got {
                let place = *places.entry(id).or_insert_with(|| {
                    kept.ids.push(id.clone());
                    kept.ids.len() - 1
                });
                found.push(place);
            }
            kept.questions.push((key, outcome.rank, found));
        }
        kept
    }
}

impl EvaluationRecord {
    pub(crate) fn new(
        asked: Asked,
        evaluation: &Evaluation,
        questions: &[GoldenQuery],
        key: fn(&GoldenQuery) -> String,
    ) -> Self {
        let overall = evaluation.overall;
        let outcomes = questions.iter().zip(&evaluation.outcomes);
        Self {
            asked,
            queries: overall.queries,
            unanswerable: evaluation.unanswerable,
            top1: overall.top1,
            top3: overall.top3,
            mrr: overall.mrr,
            baseline: None,
            outcomes: if questions.len() > KEPT_OUTCOMES {
                Outcomes::default()
            } else {
                Outcomes::new(outcomes.map(|(question, outcome)| (key(question), outcome)))
            },
        }
    }

    /// What each question found, by its digest; nothing of very many.
    pub(crate) fn outcomes(&self) -> BTreeMap<&str, Outcome> {
        let questions = self.outcomes.questions.iter();
        let of = |(_, rank, found): &(String, Option<usize>, Vec<usize>)| {
            let ids = found
                .iter()
                .filter_map(|place| self.outcomes.ids.get(*place));
            Outcome {
                rank: *rank,
                score: None,
                got: ids.cloned().collect(),
            }
        };
        questions
            .map(|question| (&*question.0, of(question)))
            .collect()
    }

    pub(crate) fn parse(text: &str) -> Result<Self, RecordError> {
        let record: Self = parse(text)?;
        let known = record.outcomes.ids.len();
        let mut places = record
            .outcomes
            .questions
            .iter()
            .flat_map(|(.., found)| found);
        if places.any(|place| *place >= known) {
            return Err(RecordError::Damaged(serde::de::Error::custom(
                "a question found an id that is not listed",
            )));
        }
        Ok(record)
    }

    pub(crate) fn to_json(&self) -> String {
        to_json(self)
    }
}

/// From which score on a hit is an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CalibrationRecord {
    #[serde(flatten)]
    pub(crate) asked: Asked,
    pub(crate) threshold: f32,
    pub(crate) max_false_answers: f64,
    pub(crate) answerable: usize,
    pub(crate) answered: usize,
    pub(crate) right: usize,
    pub(crate) unanswerable: usize,
    pub(crate) false_answers: usize,
    pub(crate) false_answers_at_most: f64,
    pub(crate) auroc: f64,
}

impl CalibrationRecord {
    pub(crate) fn new(asked: Asked, calibration: &Calibration) -> Self {
        Self {
            asked,
            threshold: calibration.threshold,
            max_false_answers: calibration.max_false_answers,
            answerable: calibration.answerable,
            answered: calibration.answered,
            right: calibration.right,
            unanswerable: calibration.unanswerable,
            false_answers: calibration.false_answers,
            false_answers_at_most: calibration.false_answers_at_most,
            auroc: calibration.auroc,
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, RecordError> {
        let record: Self = parse(text)?;
        if (-1.0..=1.0).contains(&record.threshold) {
            return Ok(record);
        }
        let why = format!("the threshold {} is no cosine", record.threshold);
        Err(RecordError::Damaged(serde::de::Error::custom(why)))
    }

    pub(crate) fn to_json(&self) -> String {
        to_json(self)
    }
}

#[derive(Serialize)]
struct Written<'a, T> {
    schema: u32,
    #[serde(flatten)]
    record: &'a T,
}

fn to_json<T: Serialize>(record: &T) -> String {
    let written = Written {
        schema: SCHEMA,
        record,
    };
    serde_json::to_string(&written).expect("records hold text and numbers under text keys")
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, RecordError> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    // The schema first: what a newer one means by the other fields is not ours to guess.
    let head: Head = serde_json::from_str(text).map_err(RecordError::Damaged)?;
    if head.schema != SCHEMA {
        return Err(RecordError::Newer(head.schema));
    }
    serde_json::from_str(text).map_err(RecordError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked::new("golden.jsonl", "00ff", 7, Timestamp(1_700_000_000_000))
    }

    fn evaluation() -> EvaluationRecord {
        let questions = [GoldenQuery {
            query: "секрет клиента".into(),
            gold: vec!["a".into()],
            ..GoldenQuery::default()
        }];
        let found = [vec![("b".to_owned(), 0.9), ("a".to_owned(), 0.8)]];
        let evaluation = retriever::evaluate(&questions, found.iter().map(Vec::as_slice));
        EvaluationRecord::new(asked(), &evaluation, &questions, |_| "k".into())
    }

    fn calibration() -> CalibrationRecord {
        let answerable: Vec<_> = (0..20u8)
            .map(|n| (0.8 + f32::from(n) / 300.0, true))
            .collect();
        let calibration = retriever::calibrate(&answerable, &[0.81; 12], 0.02).unwrap();
        CalibrationRecord::new(asked(), &calibration)
    }

    #[test]
    fn records_come_back_as_they_were() {
        let text = evaluation().to_json();
        assert!(text.starts_with(r#"{"schema":1,"#), "{text}");
        assert!(!text.contains("секрет"), "{text}");
        let back = EvaluationRecord::parse(&text).unwrap();
        assert_eq!(back, evaluation());
        assert_eq!(back.outcomes()["k"].rank, Some(2));
        assert_eq!(back.outcomes()["k"].got, ["b", "a"]);
        let text = calibration().to_json();
        assert_eq!(CalibrationRecord::parse(&text).unwrap(), calibration());
    }

    #[test]
    fn fields_of_the_future_are_left_alone() {
        let text = calibration()
            .to_json()
            .replacen('{', r#"{"mood":{"deep":[1]},"#, 1);
        assert_eq!(CalibrationRecord::parse(&text).unwrap(), calibration());
        let text = evaluation()
            .to_json()
            .replacen(r#"{"ids""#, r#"{"new":1,"ids""#, 1);
        assert!(text.contains(r#"{"new""#), "{text}");
        assert_eq!(EvaluationRecord::parse(&text).unwrap(), evaluation());
    }

    #[test]
    fn damaged_and_newer_records_are_errors() {
        let whole = calibration().to_json();
        for cut in (0..whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
            assert!(CalibrationRecord::parse(&whole[..cut]).is_err(), "{cut}");
        }
        for damaged in ["null", "[]", "{}", r#"{"schema":1}"#, r#"{"schema":-1}"#] {
            assert!(CalibrationRecord::parse(damaged).is_err(), "{damaged}");
            assert!(EvaluationRecord::parse(damaged).is_err(), "{damaged}");
        }
        let threshold = format!(r#""threshold":{}"#, calibration().threshold);
        for wrong in ["2", "1e99", "null", "\"0.5\""] {
            let text = whole.replace(&threshold, &format!(r#""threshold":{wrong}"#));
            assert!(
                text != whole && CalibrationRecord::parse(&text).is_err(),
                "{text}"
            );
        }
        let text = evaluation().to_json();
        let lost = text.replace("[0,1]", "[0,2]");
        assert!(
            lost != text && EvaluationRecord::parse(&lost).is_err(),
            "{text}"
        );
        let newer = whole.replace(r#""schema":1"#, r#""schema":2"#);
        let refused = CalibrationRecord::parse(&newer).unwrap_err().to_string();
        assert!(refused.contains("newer"), "{refused}");
    }
}
