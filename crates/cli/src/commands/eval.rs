//! `eval`: accuracy on questions whose right answers are known.

use std::collections::BTreeMap;
use std::path::Path;

use embedder_client::{Embedder, Meter, Purpose};
use faq_source::{SourceLimits, SourceOptions};
use retriever::{Evaluation, GoldenQuery, GroupScore, SearchIndex, SearchOptions, evaluate};
use storage_core::{Filter, MetadataValue, normalise};

use crate::app::{App, active_version};
use crate::args::EvalArgs;
use crate::exit::{ExitCode, Failure, usage};
use crate::parts::Access;
use crate::progress::Counter;
use crate::wire;

pub(crate) async fn run(app: &App, args: &EvalArgs) -> Result<ExitCode, Failure> {
    let mut golden = read_golden(&args.golden)?;
    let embedder = app.embedder()?;
    let batch = app
        .settings
        .batches()?
        .size
        .min(embedder.limits().texts)
        .max(1);
    let store = app.open(Access::Read, None)?;
    let status = store.status().await?;
    let embedder = app.embedder_for(&status, embedder)?;
    let Some(_) = active_version(&status, app.collection(), Some(&*embedder))? else {
        return Err(usage(format!(
            "collection {} has no entries to ask; fill it with `smart-support migrate --faq-path FILE`",
            app.collection()
        )));
    };
    let index = SearchIndex::load(&*store, app.collection(), None).await?;
    take_categories(&mut golden, &index);
    let found = search_all(app, &*embedder, &index, &golden, batch).await?;
    let evaluation = evaluate(&golden, found.iter().map(Vec::as_slice));
    let mut document = document(&evaluation);
    document.generation = status
        .collection(app.collection())
        .map_or(0, |collection| collection.generation.0);
    document.model = wire::Model::active(&status, app.collection());
    print(app, &document);
    app.output.document(&document)?;
    match args.min_top3 {
        Some(least) if evaluation.overall.top3 < least => {
            let found = evaluation.overall.top3;
            Err(Failure::new(
                ExitCode::GateFailed,
                format!("top-3 is {found:.3}, less than the {least} asked for"),
            ))
        }
        _ => Ok(ExitCode::Done),
    }
}

/// What was found for every question, and how well it fits, best first.
async fn search_all(
    app: &App,
    embedder: &dyn Embedder,
    index: &SearchIndex,
    golden: &[GoldenQuery],
    batch: usize,
) -> Result<Vec<Vec<(String, f32)>>, Failure> {
    let options = SearchOptions {
        top_k: 10,
        threshold: None,
        filter: Filter::default(),
    };
    let mut found = Vec::with_capacity(golden.len());
    let mut counter = Counter::new("Asking questions", golden.len(), app.output.has_bars());
    for queries in golden.chunks(batch) {
        let texts: Vec<String> = queries
            .iter()
            .map(|query| normalise(&query.query))
            .collect();
        for vector in embedder
            .embed(&texts, Purpose::Query, &Meter::default())
            .await?
            .vectors
        {
            let hits = index.search(&vector, &options)?.hits;
            found.push(
                hits.into_iter()
                    .map(|hit| (hit.document.key.document, hit.score))
                    .collect(),
            );
        }
        counter.add(queries.len());
    }
    Ok(found)
}

/// A question without a category takes that of the entry that answers it.
fn take_categories(golden: &mut [GoldenQuery], index: &SearchIndex) {
    let documents = index.documents().iter();
    let categories: BTreeMap<&str, &str> = documents
        .filter_map(|document| {
            Some((
                document.key.document.as_str(),
                document.category.as_deref()?,
            ))
        })
        .collect();
    for query in golden.iter_mut().filter(|query| query.category.is_none()) {
        let category = query
            .gold
            .first()
            .and_then(|id| categories.get(id.as_str()));
        query.category = category.map(|category| (*category).to_owned());
    }
}

/// The golden file goes through the readers of sources, so encodings, delimiters and limits are theirs.
fn read_golden(path: &Path) -> Result<Vec<GoldenQuery>, Failure> {
    let options = SourceOptions {
        // An id is a label here, not identity: rows may lack one.
        mapping: vec![
            ("question".to_owned(), "query".to_owned()),
            ("id".to_owned(), String::new()),
        ],
        ..SourceOptions::default()
    };
    let snapshot = faq_source::open(path, &options)?.read(&SourceLimits::default())?;
    if let Some(issue) = snapshot.rejected().next() {
        let row = issue.locator.row.unwrap_or_default();
        return Err(usage(format!(
            "golden file {}, row {row}: {}",
            path.display(),
            issue.problem
        )));
    }
    if snapshot.rows.is_empty() {
        return Err(usage(format!(
            "golden file {} has no questions",
            path.display()
        )));
    }
    let rows = snapshot.rows.into_iter();
    Ok(rows
        .map(|row| GoldenQuery {
            gold: row.metadata.get("gold").map(ids).unwrap_or_default(),
            lang: row.metadata.get("lang").map(ToString::to_string),
            id: row.metadata.get("id").map(ToString::to_string),
            query: row.question,
            category: row.category,
        })
        .collect())
}

/// Ids as a list, or in one cell: separated by `|` or `;`, or as a JSON list.
fn ids(value: &MetadataValue) -> Vec<String> {
    let text = match value {
        MetadataValue::List(values) => return values.iter().map(ToString::to_string).collect(),
        other => other.to_string(),
    };
    if let Ok(list) = serde_json::from_str::<Vec<String>>(&text) {
        return list;
    }
    text.split(['|', ';'])
        .map(str::trim)
        .filter(|id| !id.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

fn document(evaluation: &Evaluation) -> wire::Eval {
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
        unanswerable: evaluation.unanswerable,
        by_category: groups(&evaluation.by_category),
        by_language: groups(&evaluation.by_language),
        misses: misses.collect(),
        flips: Vec::new(),
        generation: 0,
        model: None,
    }
}

fn print(app: &App, document: &wire::Eval) {
    let output = app.output;
    let line = |name: &str, queries: usize, top1: f64, top3: f64, mrr: f64| {
        output.print(format!(
            "{name:32} {queries:>7} {top1:>7.3} {top3:>7.3} {mrr:>7.3}"
        ));
    };
    if let Some(model) = &document.model {
        output.print(format!(
            "Model: {} of {} ({} dimensions)\n",
            model.name, model.provider, model.dimensions
        ));
    }
    output.print(format!(
        "{:32} {:>7} {:>7} {:>7} {:>7}",
        "", "queries", "top-1", "top-3", "MRR@10"
    ));
    line(
        "all",
        document.queries,
        document.top1,
        document.top3,
        document.mrr,
    );
    for (name, group) in document.by_language.iter().chain(&document.by_category) {
        line(name, group.queries, group.top1, group.top3, group.mrr);
    }
    if document.unanswerable > 0 {
        output.print(format!(
            "{} questions that no entry answers are in no figure",
            document.unanswerable
        ));
    }
    output.say(format!(
        "\n{} questions have no right entry among the best three",
        document.misses.len()
    ));
    for miss in document.misses.iter().take(10) {
        output.say(format!(
            "  {}\n    expected {}, got {}",
            miss.query,
            miss.expected.join(" | "),
            miss.got.join(", ")
        ));
    }
    if document.misses.len() > 10 {
        output.say("  … all of them with --json");
    }
}
