//! `eval`: accuracy on questions whose right answers are known.

mod golden;
mod measure;
mod report;

use std::sync::Arc;

use embedder_client::Embedder;
use retriever::{CalibrationError, Comparison, can_calibrate};
use storage_core::{CollectionStatus, EmbeddingStore, StoreErrorKind, StoreStatus, Version};

pub(crate) use golden::Golden;
pub(crate) use measure::{Measured, Measuring, Note, gate, keep};
pub(crate) use report::print_comparison;

use crate::app::{App, active_version};
use crate::args::EvalArgs;
use crate::commands::model;
use crate::exit::{ExitCode, Failure, usage};
use crate::parts::Access;
use crate::record::{CalibrationRecord, EvaluationRecord, KEPT_OUTCOMES};
use crate::wire;

/// Share of the questions without an answer that may get one, unless said.
const FALSE_ANSWERS: f64 = 0.02;

/// What the version is compared with.
pub(crate) struct Baseline {
    /// Its id.
    pub(crate) version: String,
    /// When it was measured, for an evaluation that was kept.
    pub(crate) kept_at: Option<String>,
    pub(crate) comparison: Comparison,
}

impl Baseline {
    /// For `--json`.
    pub(crate) fn flips(&self) -> wire::Flips {
        wire::Flips::against(&self.version, self.kept_at.as_deref(), &self.comparison)
    }
}

pub(crate) async fn run(app: &App, args: &EvalArgs) -> Result<ExitCode, Failure> {
    let golden = Golden::read(&args.golden)?;
    let share = args.max_false_answers.unwrap_or(FALSE_ANSWERS);
    if args.calibrate {
        // Before anything is paid for.
        let (with, without) = golden.kinds();
        can_calibrate(with, without, share).map_err(|why| uncalibrated(&golden, why))?;
    }
    let configured = app.embedder()?;
    let store = app.open(Access::Read, None).await?;
    let status = store.status().await?;
    let configured = app.embedder_for(&status, configured)?;
    let active = active_version(&status, app.collection(), Some(&*configured))?;
    let (Some(_), Some(collection)) = (active, status.collection(app.collection())) else {
        return Err(usage(format!(
            "collection {} has no entries to ask; fill it with `smart-support migrate --faq-path FILE`",
            app.collection()
        )));
    };
    let version = match &args.candidate {
        Some(named) => model::resolve(&status, collection, named)?,
        None => collection
            .active_version()
            .expect("a collection whose active version was found has it"),
    };
    // What cannot be compared with is said before anything is paid for, too.
    let against = match args.baseline.as_deref() {
        None => None,
        Some("last") => Some(Against::Kept(Box::new(last(collection, version)?))),
        Some(named) => Some(Against::Version(other(
            &status, collection, version, named,
        )?)),
    };
    let mut measuring = Measuring::new(app, &golden);
    let asking = Asking {
        app,
        store: &*store,
        status: &status,
        collection,
        configured,
    };
    let measured = asking.ask(&mut measuring, version).await?;
    measured.warn_of_unknown_ids(&golden);
    let mut notes = Vec::new();
    let baseline = match against {
        None => None,
        Some(Against::Kept(kept)) => {
            let (id, record) = *kept;
            let comparison = measured.against_record(&record);
            if comparison.questions == 0 {
                return Err(usage(format!(
                    "the evaluation that was kept with version {} asked other questions ({}, {}); name a version to \
                     ask it these: --baseline VERSION",
                    id.get(..8).unwrap_or(&id),
                    record.asked.golden,
                    record.asked.at
                )));
            }
            Some(Baseline {
                version: id,
                kept_at: Some(record.asked.at),
                comparison,
            })
        }
        Some(Against::Version(other)) => {
            let before = asking.ask(&mut measuring, other).await?;
            let comparison = measured.against(&before);
            notes.push((other.id.clone(), Note::Evaluation(before.record(None))));
            Some(Baseline {
                version: other.id.to_string(),
                kept_at: None,
                comparison,
            })
        }
    };
    let compared = baseline
        .as_ref()
        .map(|baseline| (&*baseline.version, &baseline.comparison));
    let record = measured.record(compared);
    notes.push((version.id.clone(), Note::Evaluation(record)));
    let (calibration, refused) = match args.calibrate.then(|| measured.calibrate(share)) {
        None => (None, None),
        Some(Ok(calibration)) => (Some(measured.calibration_record(&calibration)), None),
        Some(Err(why)) => (None, Some(uncalibrated(&golden, why))),
    };
    notes.extend(
        calibration
            .clone()
            .map(|record| (version.id.clone(), Note::Calibration(record))),
    );
    drop(store);
    let kept = measure::open_and_keep(app, &notes, args.calibrate).await;
    report::print(app, &measured, baseline.as_ref(), calibration.as_ref());
    let document = report::document(&measured, baseline.as_ref(), calibration);
    app.output.document(&document)?;
    match kept {
        Err(failure) if args.calibrate => return Err(failure),
        Err(failure) => tracing::warn!("The figures are not kept with the version: {failure}"),
        Ok(()) => {}
    }
    refused.map_or(Ok(()), Err)?;
    gate(&measured.evaluation, None, args.min_top3, None)?;
    Ok(ExitCode::Done)
}

enum Against<'s> {
    Kept(Box<(String, EvaluationRecord)>),
    Version(&'s Version),
}

/// Asks versions, each by the embedder of its space.
struct Asking<'a> {
    app: &'a App,
    store: &'a dyn EmbeddingStore,
    status: &'a StoreStatus,
    collection: &'a CollectionStatus,
    configured: Arc<dyn Embedder>,
}

impl Asking<'_> {
    async fn ask(
        &self,
        measuring: &mut Measuring<'_>,
        version: &Version,
    ) -> Result<Measured, Failure> {
        let served = self.collection.active.as_ref() == Some(&version.id);
        let embedder = match self.status.space(&version.space) {
            Some(space) if !served => self.app.embedder_of(self.status, space)?,
            _ => Arc::clone(&self.configured),
        };
        let measured = measuring
            .measure(self.store, self.status, version, &*embedder)
            .await;
        measured.map_err(|mut failure| {
            if failure.store == Some(StoreErrorKind::Model) && !served {
                failure.message = format!(
                    "version {} cannot be asked: {}",
                    version.id.short(),
                    failure.message
                );
            }
            failure
        })
    }
}

/// The evaluation that was kept with the version, else the one kept with the version that was served before.
fn last(
    collection: &CollectionStatus,
    version: &Version,
) -> Result<(String, EvaluationRecord), Failure> {
    let previous = collection.previous.as_ref();
    let previous = previous.and_then(|id| collection.version(id));
    let kept = [Some(version), previous]
        .into_iter()
        .flatten()
        .find_map(|version| Some((version, version.evaluation.as_deref()?)));
    let Some((kept, text)) = kept else {
        return Err(usage(format!(
            "no evaluation was kept yet to compare with; run `smart-support eval` without --baseline once, or name a \
             version of collection {} (`smart-support model list`)",
            collection.name
        )));
    };
    let short = kept.id.short();
    let record = EvaluationRecord::parse(text).map_err(|why| {
        usage(format!(
            "the evaluation that was kept with version {short} cannot be compared with: {why}; run `smart-support \
             eval` without --baseline, which replaces it"
        ))
    })?;
    if record.outcomes().is_empty() {
        return Err(usage(format!(
            "the evaluation that was kept with version {short} asked more than {KEPT_OUTCOMES} questions, so it says \
             nothing of each; name a version to ask it too: --baseline VERSION"
        )));
    }
    Ok((kept.id.to_string(), record))
}

fn other<'s>(
    status: &'s StoreStatus,
    collection: &'s CollectionStatus,
    version: &Version,
    named: &str,
) -> Result<&'s Version, Failure> {
    let other = model::resolve(status, collection, named)?;
    if other.id == version.id {
        return Err(usage(format!(
            "version {} is the one that is measured; name another one, or compare with its last evaluation: --baseline \
             last",
            version.id.short()
        )));
    }
    Ok(other)
}

/// Why there is no threshold: wrong questions are the user's to mend, scores that do not separate are the model's.
fn uncalibrated(golden: &Golden, why: CalibrationError) -> Failure {
    let (code, next) = match why {
        CalibrationError::Inseparable { .. } => (
            ExitCode::GateFailed,
            "; nothing was changed. Another model or recipe may separate them (`smart-support model build`), or more \
             false answers may be allowed with --max-false-answers",
        ),
        CalibrationError::FewUnanswerable { .. } => (
            ExitCode::Usage,
            "; add questions of your users that no entry answers",
        ),
        _ => (ExitCode::Usage, ""),
    };
    Failure::new(
        code,
        format!("cannot calibrate with {}: {why}{next}", golden.file),
    )
}

/// The threshold that a version was calibrated to. A record that cannot be read is as good as none, and said.
pub(crate) fn threshold(version: &Version) -> Option<f32> {
    let text = version.calibration.as_deref()?;
    match CalibrationRecord::parse(text) {
        Ok(record) => Some(record.threshold),
        Err(why) => {
            tracing::warn!(
                "The calibration of version {} is not used, {why}; calibrate it again: smart-support eval GOLDEN \
                 --calibrate",
                version.id.short()
            );
            None
        }
    }
}
