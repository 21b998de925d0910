//! How well a collection answers questions whose right answers are known.

use std::collections::BTreeMap;

/// A question and the ids of the documents that answer it; none where no entry does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GoldenQuery {
    /// Its name, where it has one.
    pub id: Option<String>,
    /// The question.
    pub query: String,
    /// Ids that are right.
    pub gold: Vec<String>,
    /// A category to report by.
    pub category: Option<String>,
    /// A language to report by.
    pub lang: Option<String>,
}

/// Accuracy of a group of questions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GroupScore {
    /// Questions that an entry answers.
    pub queries: usize,
    /// Share whose best hit is right.
    pub top1: f64,
    /// Share with a right one among the best three.
    pub top3: f64,
    /// Mean of 1 / rank of the first right hit, within the best ten; 0 where there is none (MRR@10).
    pub mrr: f64,
}

/// A question whose best three hits are all wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Miss {
    /// The question.
    pub query: String,
    /// Ids that are right.
    pub expected: Vec<String>,
    /// Ids found, best first, three at most.
    pub got: Vec<String>,
}

/// What a question found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Rank of the first right id within the best ten, from 1.
    pub rank: Option<usize>,
    /// Score of the best hit, right or wrong; none where nothing was found.
    pub score: Option<f32>,
    /// Ids found, best first, three at most.
    pub got: Vec<String>,
}

impl Outcome {
    /// Whether a right id is among that many best ones.
    #[must_use]
    pub fn is_right_within(&self, best: usize) -> bool {
        self.rank.is_some_and(|rank| rank <= best)
    }
}

/// The whole evaluation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evaluation {
    /// Every question that an entry answers.
    pub overall: GroupScore,
    /// Mean score of the best hit, over the questions that an entry answers and that found anything.
    pub mean_similarity: Option<f64>,
    /// Questions that no entry answers; in no other figure.
    pub unanswerable: usize,
    /// By category.
    pub by_category: BTreeMap<String, GroupScore>,
    /// By language.
    pub by_language: BTreeMap<String, GroupScore>,
    /// What went wrong.
    pub misses: Vec<Miss>,
    /// Every question in the order asked, those without an answer among them.
    pub outcomes: Vec<Outcome>,
}

/// Compares what was found with what is right. `found` yields, for every question in order, the ids found and their
/// scores, best first, ten at most.
pub fn evaluate<'a>(
    queries: &[GoldenQuery],
    found: impl IntoIterator<Item = &'a [(String, f32)]>,
) -> Evaluation {
    let mut evaluation = Evaluation::default();
    let (mut scores, mut scored) = (0.0, 0_u32);
    for (query, found) in queries.iter().zip(found) {
        let rank = found
            .iter()
            .take(10)
            .position(|(id, _)| query.gold.contains(id));
        evaluation.outcomes.push(Outcome {
            rank: rank.map(|rank| rank + 1),
            score: found.first().map(|(_, score)| *score),
            got: found.iter().take(3).map(|(id, _)| id.clone()).collect(),
        });
        if query.gold.is_empty() {
            evaluation.unanswerable += 1;
            continue;
        }
        if let Some((_, score)) = found.first() {
            scores += f64::from(*score);
            scored += 1;
        }
        evaluation.overall.add(rank);
        if let Some(category) = &query.category {
            evaluation
                .by_category
                .entry(category.clone())
                .or_default()
                .add(rank);
        }
        if let Some(language) = &query.lang {
            evaluation
                .by_language
                .entry(language.clone())
                .or_default()
                .add(rank);
        }
        if rank.is_none_or(|rank| rank >= 3) {
            evaluation.misses.push(Miss {
                query: query.query.clone(),
                expected: query.gold.clone(),
                got: found.iter().take(3).map(|(id, _)| id.clone()).collect(),
            });
        }
    }
    evaluation.overall.finish();
    evaluation.mean_similarity = (scored > 0).then(|| scores / f64::from(scored));
    let groups = evaluation
        .by_category
        .values_mut()
        .chain(evaluation.by_language.values_mut());
    groups.for_each(GroupScore::finish);
    evaluation
}

#[allow(
    clippy::cast_precision_loss,
    reason = "counts of questions are far below 2^52"
)]
impl GroupScore {
    fn add(&mut self, rank: Option<usize>) {
        self.queries += 1;
        self.top1 += f64::from(u8::from(rank == Some(0)));
        self.top3 += f64::from(u8::from(rank.is_some_and(|rank| rank < 3)));
        self.mrr += rank.map_or(0.0, |rank| 1.0 / (rank + 1) as f64);
    }

    fn finish(&mut self) {
        if self.queries > 0 {
            let all = self.queries as f64;
            self.top1 /= all;
            self.top3 /= all;
            self.mrr /= all;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_become_shares() {
        let query = |gold: &[&str], lang: &str| GoldenQuery {
            query: "q".into(),
            gold: gold.iter().map(ToString::to_string).collect(),
            lang: Some(lang.into()),
            ..GoldenQuery::default()
        };
        let queries = [
            query(&["a"], "ru"),
            query(&["b", "c"], "ru"),
            query(&["z"], "en"),
            query(&[], "en"),
        ];
        let found: Vec<Vec<(String, f32)>> =
            [&["a", "b"][..], &["x", "c"], &["a", "b", "c", "z"], &["a"]]
                .iter()
                .map(|ids| ids.iter().map(|id| (id.to_string(), 0.5)).collect())
                .collect();
        let evaluation = evaluate(&queries, found.iter().map(Vec::as_slice));
        assert_eq!(
            (evaluation.overall.queries, evaluation.unanswerable),
            (3, 1)
        );
        assert!((evaluation.overall.top1 - 1.0 / 3.0).abs() < 1e-12);
        assert!((evaluation.overall.top3 - 2.0 / 3.0).abs() < 1e-12);
        assert!((evaluation.overall.mrr - (1.0 + 0.5 + 0.25) / 3.0).abs() < 1e-12);
        assert_eq!(evaluation.by_language["ru"].queries, 2);
        assert_eq!(evaluation.misses.len(), 1);
        assert_eq!(evaluation.misses[0].got, ["a", "b", "c"]);
        let ranks: Vec<_> = evaluation
            .outcomes
            .iter()
            .map(|outcome| outcome.rank)
            .collect();
        assert_eq!(ranks, [Some(1), Some(2), Some(4), None]);
        assert_eq!(evaluation.outcomes[3].score, Some(0.5));
    }
}
