//! Versions asked, compared, and their figures kept.

use std::collections::BTreeMap;
use std::time::Duration;

use embedder_client::{EmbedError, EmbedErrorKind, Embedder, Meter, Purpose, SpendLimits};
use retriever::{
    Calibration, CalibrationError, Comparison, Evaluation, GoldenQuery, SearchIndex, SearchOptions,
    compare, evaluate,
};
use storage_core::{
    Embedding, EmbeddingStore, Filter, SpaceId, StoreStatus, Version, VersionId, VersionNote,
    normalise,
};

use super::golden::{Golden, first_of, key};
use crate::app::{self, App};
use crate::exit::{ExitCode, Failure, usage};
use crate::parts;
use crate::progress::Counter;
use crate::record::{Asked, BaselineRecord, CalibrationRecord, EvaluationRecord};
use crate::wire;

/// How long figures that nobody asked to be kept wait for another writer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a version did.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) version: VersionId,
    pub(crate) model: Option<wire::Model>,
    pub(crate) generation: u64,
    /// The questions, each with a category where its answer has one.
    pub(crate) questions: Vec<GoldenQuery>,
    pub(crate) evaluation: Evaluation,
    /// Ids that are right by the file and that the collection does not have.
    pub(crate) unknown_ids: Vec<String>,
    /// Questions that the provider gave no vector for.
    pub(crate) failed: usize,
    asked: Asked,
}

/// Asks the questions of a file. Versions in one space share the questions' vectors.
pub(crate) struct Measuring<'a> {
    app: &'a App,
    golden: &'a Golden,
    strict: bool,
    meter: Meter,
    /// None for a question that the provider refused.
    vectors: BTreeMap<SpaceId, Vec<Option<Embedding>>>,
}

impl<'a> Measuring<'a> {
    pub(crate) fn new(app: &'a App, golden: &'a Golden) -> Self {
        Self {
            app,
            golden,
            strict: false,
            meter: Meter::default(),
            vectors: BTreeMap::new(),
        }
    }

    /// Keeps the calls within these bounds.
    pub(crate) fn within(self, limits: SpendLimits) -> Self {
        Self {
            meter: Meter::new(limits),
            ..self
        }
    }

    /// Refuses a file that names entries the collection does not have, before a question is paid for.
    pub(crate) fn knowing_every_id(self) -> Self {
        Self {
            strict: true,
            ..self
        }
    }

    /// Asks a version. The embedder is that of its space.
    pub(crate) async fn measure(
        &mut self,
        store: &dyn EmbeddingStore,
        status: &StoreStatus,
        version: &Version,
        embedder: &dyn Embedder,
    ) -> Result<Measured, Failure> {
        let collection = self.app.collection();
        let index = SearchIndex::load(store, collection, Some(&version.id)).await?;
        let unknown_ids = self.golden.unknown_ids(&index);
        if self.strict && !unknown_ids.is_empty() {
            return Err(usage(format!(
                "golden file {} names {} ids that collection {collection} does not have: {}; correct them, or sync the \
                 source that has them",
                self.golden.file,
                unknown_ids.len(),
                first_of(&unknown_ids)
            )));
        }
        if !self.vectors.contains_key(&version.space) {
            let vectors = self.embed(embedder).await?;
            self.vectors.insert(version.space.clone(), vectors);
        }
        let options = SearchOptions {
            top_k: 10,
            threshold: None,
            filter: Filter::default(),
        };
        let mut found = Vec::with_capacity(self.golden.questions.len());
        let vectors = &self.vectors[&version.space];
        for vector in vectors {
            let Some(vector) = vector else {
                found.push(Vec::new());
                continue;
            };
            let hits = index.search(vector, &options)?.hits.into_iter();
            let hits: Vec<(String, f32)> = hits
                .map(|hit| (hit.document.key.document, hit.score))
                .collect();
            found.push(hits);
        }
        let questions = self.golden.with_categories(&index);
        let generation = status
            .collection(collection)
            .map_or(0, |collection| collection.generation.0);
        Ok(Measured {
            version: version.id.clone(),
            model: status
                .space(&version.space)
                .map(|space| wire::Model::of(version, space)),
            generation,
            evaluation: evaluate(&questions, found.iter().map(Vec::as_slice)),
            questions,
            unknown_ids,
            failed: vectors.iter().filter(|vector| vector.is_none()).count(),
            asked: Asked::new(
                &self.golden.file,
                &self.golden.digest,
                generation,
                app::now(),
            ),
        })
    }

    /// The questions' vectors. One that the provider refuses is a failed search, and no reason not to ask the others.
    async fn embed(&self, embedder: &dyn Embedder) -> Result<Vec<Option<Embedding>>, Failure> {
        let batch = self.app.settings.batches()?.size;
        let batch = batch.min(embedder.limits().texts).max(1);
        let questions = &self.golden.questions;
        let bars = self.app.output.has_bars();
        let mut counter = Counter::new("Asking questions", questions.len(), bars);
        let mut vectors = Vec::with_capacity(questions.len());
        let mut refusal = None;
        for questions in questions.chunks(batch) {
            let texts: Vec<String> = questions
                .iter()
                .map(|question| normalise(&question.query))
                .collect();
            match embedder.embed(&texts, Purpose::Query, &self.meter).await {
                Ok(answer) => vectors.extend(answer.vectors.into_iter().map(Some)),
                Err(error) if is_of_a_text(&error) => {
                    for text in &texts {
                        let one = std::slice::from_ref(text);
                        match embedder.embed(one, Purpose::Query, &self.meter).await {
                            Ok(answer) => vectors.push(answer.vectors.into_iter().next()),
                            Err(error) if is_of_a_text(&error) => {
                                tracing::warn!("A question cannot be asked: {error}");
                                vectors.push(None);
                                refusal = Some(error);
                            }
                            Err(error) => return Err(error.into()),
                        }
                    }
                }
                Err(error) => return Err(error.into()),
            }
            counter.add(questions.len());
        }
        match refusal {
            // Not a question is to blame where every one is refused.
            Some(error) if vectors.iter().all(Option::is_none) => Err(error.into()),
            _ => Ok(vectors),
        }
    }
}

/// Whether one text of a batch may be to blame.
fn is_of_a_text(error: &EmbedError) -> bool {
    matches!(
        error.kind(),
        EmbedErrorKind::Rejected | EmbedErrorKind::BadAnswer
    )
}

impl Measured {
    /// Searches that failed, as a share of all.
    pub(super) fn error_rate(&self) -> f64 {
        let all = self.evaluation.outcomes.len() as u64;
        1.0 - wire::share(all - self.failed as u64, all)
    }

    /// Says so where a file names entries that the collection does not have.
    pub(super) fn warn_of_unknown_ids(&self, golden: &Golden) {
        if !self.unknown_ids.is_empty() {
            tracing::warn!(
                "Golden file {} names {} ids that the collection does not have, so nothing can find them: {}",
                golden.file,
                self.unknown_ids.len(),
                first_of(&self.unknown_ids)
            );
        }
    }

    /// Against another version that was asked the same.
    pub(crate) fn against(&self, before: &Self) -> Comparison {
        let outcomes = before.evaluation.outcomes.iter();
        let pairs = outcomes.zip(&self.evaluation.outcomes);
        let asked = self.questions.iter().zip(pairs);
        compare(asked.map(|(question, (before, after))| (question, before, after)))
    }

    /// Against what was kept of an earlier evaluation: the questions that are still the same, with the same answers.
    pub(super) fn against_record(&self, record: &EvaluationRecord) -> Comparison {
        let before = record.outcomes();
        let asked = self.questions.iter().zip(&self.evaluation.outcomes);
        compare(
            asked.filter_map(|(question, after)| {
                Some((question, before.get(&*key(question))?, after))
            }),
        )
    }

    /// Derives the threshold.
    pub(super) fn calibrate(&self, share: f64) -> Result<Calibration, CalibrationError> {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for (question, outcome) in self.questions.iter().zip(&self.evaluation.outcomes) {
            let Some(score) = outcome.score else {
                continue;
            };
            if question.gold.is_empty() {
                without.push(score);
            } else {
                with.push((score, outcome.is_right_within(1)));
            }
        }
        retriever::calibrate(&with, &without, share)
    }

    /// What is kept with the version.
    pub(crate) fn record(&self, baseline: Option<(&str, &Comparison)>) -> EvaluationRecord {
        let baseline = baseline.map(|(version, comparison)| BaselineRecord {
            version: version.to_owned(),
            questions: comparison.questions,
            lost: comparison.top3.lost.len(),
            won: comparison.top3.won.len(),
            top3_difference: comparison.top3.value,
            low: comparison.top3.low,
            high: comparison.top3.high,
        });
        let mut record =
            EvaluationRecord::new(self.asked.clone(), &self.evaluation, &self.questions, key);
        record.baseline = baseline;
        record
    }

    pub(super) fn calibration_record(&self, calibration: &Calibration) -> CalibrationRecord {
        CalibrationRecord::new(self.asked.clone(), calibration)
    }
}

/// Refuses where fewer questions than asked for have a right entry among the best three, or more than allowed have
/// lost it.
pub(crate) fn gate(
    after: &Evaluation,
    comparison: Option<&Comparison>,
    min_top3: Option<f64>,
    max_lost: Option<usize>,
) -> Result<(), Failure> {
    let closed = |message| Err(Failure::new(ExitCode::GateFailed, message));
    let top3 = after.overall.top3;
    if let Some(least) = min_top3.filter(|least| top3 < *least) {
        return closed(format!(
            "top-3 is {top3:.3}, less than the {least} asked for"
        ));
    }
    let lost = comparison.map_or(0, |comparison| comparison.top3.lost.len());
    match max_lost {
        Some(most) if lost > most => closed(format!(
            "{lost} questions lost their right entry from the best three, more than the {most} allowed"
        )),
        _ => Ok(()),
    }
}

/// What is kept, and with which version.
pub(crate) enum Note {
    Evaluation(EvaluationRecord),
    Calibration(CalibrationRecord),
}

/// Writes notes to a store that is open for writing.
pub(crate) async fn keep(
    app: &App,
    store: &dyn EmbeddingStore,
    notes: &[(VersionId, Note)],
) -> Result<(), Failure> {
    for (version, note) in notes {
        let text = match note {
            Note::Evaluation(record) => record.to_json(),
            Note::Calibration(record) => record.to_json(),
        };
        let note = match note {
            Note::Evaluation(_) => VersionNote::Evaluation(&text),
            Note::Calibration(_) => VersionNote::Calibration(&text),
        };
        store.annotate(app.collection(), version, note).await?;
    }
    Ok(())
}

/// Opens the store and writes notes to it. What was asked for waits as long as any writer would; figures that come
/// along are not worth a long wait.
pub(super) async fn open_and_keep(
    app: &App,
    notes: &[(VersionId, Note)],
    asked_for: bool,
) -> Result<(), Failure> {
    let mut opening = app.opening();
    if !asked_for {
        opening.wait = opening.wait.min(PATIENCE);
    }
    let store = parts::open(&app.settings.store, opening).await?;
    keep(app, &*store, notes).await
}
