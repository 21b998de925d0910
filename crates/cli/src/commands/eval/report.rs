//! What `eval` says.

use std::collections::BTreeMap;

use retriever::{Difference, GroupScore, questions_to_show};

use super::{Baseline, Measured};
use crate::app::App;
use crate::record::CalibrationRecord;
use crate::wire;

/// Questions of a kind that are printed; with `--json` all are.
const SHOWN: usize = 10;

pub(super) fn document(
    measured: &Measured,
    baseline: Option<&Baseline>,
    calibration: Option<CalibrationRecord>,
) -> wire::Eval {
    let evaluation = &measured.evaluation;
    let group = |score: &GroupScore| wire::Group {
        queries: score.queries,
        top1: score.top1,
        top3: score.top3,
        mrr: score.mrr,
    };
    let groups = |scores: &BTreeMap<String, GroupScore>| {
        scores
            .iter()
            .map(|(name, score)| (name.clone(), group(score)))
            .collect()
    };
    let misses = evaluation.misses.iter().map(|miss| wire::Miss {
        query: miss.query.clone(),
        expected: miss.expected.clone(),
        got: miss.got.clone(),
    });
    let overall = group(&evaluation.overall);
    wire::Eval {
        queries: overall.queries,
        top1: overall.top1,
        top3: overall.top3,
        mrr: overall.mrr,
        mean_similarity: evaluation.mean_similarity,
        error_rate: measured.error_rate(),
        unanswerable: evaluation.unanswerable,
        by_category: groups(&evaluation.by_category),
        by_language: groups(&evaluation.by_language),
        misses: misses.collect(),
        flips: baseline.map_or(wire::Flips::None([]), Baseline::flips),
        calibration,
        unknown_ids: measured.unknown_ids.clone(),
        generation: measured.generation,
        model: measured.model.clone(),
    }
}

pub(super) fn print(
    app: &App,
    measured: &Measured,
    baseline: Option<&Baseline>,
    calibration: Option<&CalibrationRecord>,
) {
    let output = app.output;
    let evaluation = &measured.evaluation;
    let line = |name: &str, score: &GroupScore| {
        output.print(format!(
            "{name:32} {:>7} {:>7.3} {:>7.3} {:>7.3}",
            score.queries, score.top1, score.top3, score.mrr
        ));
    };
    if let Some(model) = &measured.model {
        output.print(format!(
            "Model: {} of {} ({} dimensions), version {}\n",
            model.name,
            model.provider,
            model.dimensions,
            measured.version.short()
        ));
    }
    output.print(format!(
        "{:32} {:>7} {:>7} {:>7} {:>7}",
        "", "queries", "top-1", "top-3", "MRR@10"
    ));
    line("all", &evaluation.overall);
    let groups = evaluation.by_language.iter();
    for (name, group) in groups.chain(&evaluation.by_category) {
        line(name, group);
    }
    let mean = evaluation.mean_similarity;
    output.print(format!(
        "\nMean similarity {}, error rate {:.1} %: {} of {} searches failed",
        mean.map_or_else(|| "none".to_owned(), |mean| format!("{mean:.3}")),
        measured.error_rate() * 100.0,
        measured.failed,
        evaluation.outcomes.len()
    ));
    if evaluation.unanswerable > 0 {
        output.print(format!(
            "{} questions that no entry answers are in no figure",
            evaluation.unanswerable
        ));
    }
    output.say(format!(
        "\n{} questions have no right entry among the best three",
        evaluation.misses.len()
    ));
    for miss in evaluation.misses.iter().take(SHOWN) {
        output.say(format!(
            "  {}\n    expected {}, got {}",
            miss.query,
            miss.expected.join(" | "),
            miss.got.join(", ")
        ));
    }
    more(app, evaluation.misses.len(), SHOWN);
    if let Some(baseline) = baseline {
        print_comparison(app, baseline, SHOWN);
    }
    if let Some(calibration) = calibration {
        print_calibration(app, calibration);
    }
}

fn more(app: &App, count: usize, shown: usize) {
    if count > shown {
        app.output.say("  … all of them with --json");
    }
}

/// Prints what a version lost and won against a baseline; of the questions lost, so many.
pub(crate) fn print_comparison(app: &App, baseline: &Baseline, losses: usize) {
    let output = app.output;
    let comparison = &baseline.comparison;
    let version = baseline.version.get(..8).unwrap_or(&baseline.version);
    let when = baseline
        .kept_at
        .as_ref()
        .map_or_else(String::new, |at| format!(" as evaluated at {at}"));
    output.print(format!(
        "\nAgainst version {version}{when}, {} questions",
        comparison.questions
    ));
    let line = |name: &str, difference: &Difference| {
        output.print(format!(
            "  {name} {:.3} → {:.3}: {:+.3}, 95 % interval {:+.3} to {:+.3}; {} lost, {} won (p {:.3})",
            difference.before,
            difference.after,
            difference.value,
            difference.low,
            difference.high,
            difference.lost.len(),
            difference.won.len(),
            difference.p
        ));
    };
    line("top-1", &comparison.top1);
    line("top-3", &comparison.top3);
    let list = |name: &str, flips: &[retriever::Flip], shown: usize| {
        if flips.is_empty() {
            return;
        }
        output.print(format!("{name} among the best three: {}", flips.len()));
        for flip in flips.iter().take(shown) {
            let id = flip
                .id
                .as_ref()
                .map_or_else(String::new, |id| format!("{id}: "));
            output.print(format!(
                "  {id}{}\n    expected {}\n    before   {}\n    now      {}",
                flip.query,
                flip.expected.join(" | "),
                flip.before.join(", "),
                flip.after.join(", ")
            ));
        }
        more(app, flips.len(), shown);
    };
    list("Lost", &comparison.top3.lost, losses);
    list("Won", &comparison.top3.won, SHOWN);
}

fn print_calibration(app: &App, calibration: &CalibrationRecord) {
    let output = app.output;
    let CalibrationRecord {
        threshold,
        answerable,
        answered,
        right,
        unanswerable,
        false_answers,
        ..
    } = calibration;
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let share = |part: usize, whole: usize| percent(wire::share(part as u64, whole as u64));
    let answers = answered + false_answers;
    output.print(format!(
        "\nThreshold: {threshold} (AUROC {:.3})",
        calibration.auroc
    ));
    output.print(format!(
        "├─ Questions with an answer: {answered} of {answerable} still get one ({})",
        share(*answered, *answerable)
    ));
    output.print(format!(
        "├─ Answers: {right} of {answers} are right ({})",
        share(*right, answers)
    ));
    output.print(format!(
        "└─ Questions without an answer: {false_answers} of {unanswerable} get one; of others like them at most {} \
         (95 % confidence)",
        percent(calibration.false_answers_at_most)
    ));
    let shown = calibration.false_answers_at_most <= calibration.max_false_answers;
    if let Some(needed) = questions_to_show(calibration.max_false_answers).filter(|_| !shown) {
        output.print(format!(
            "   To show {}, {needed} such questions are needed, none of them answered.",
            percent(calibration.max_false_answers)
        ));
    }
}
