//! `index tune`: how hard searches must look, measured on the data itself.

use embedder_client::{Embedder, Meter, Purpose};
use retriever::{EffortRecall, Trial, TrialFilter, tune};
use storage_core::{
    CollectionStatus, Embedding, EmbeddingStore, Filter, NearestNeighbours, normalise,
};

use crate::app::{App, active_version};
use crate::args::IndexTuneArgs;
use crate::commands::eval::Golden;
use crate::exit::{ExitCode, Failure};
use crate::settings::predicate;
use crate::wire;

/// Categories that are measured: the largest ones.
const CATEGORIES: usize = 20;
/// Shares of rows that are measured, whatever the data has categories of: 1 % and 20 %.
const SHARES: [(&str, u32); 2] = [("1 % of rows", 100), ("20 % of rows", 5)];

pub(super) async fn run(
    app: &App,
    store: &dyn EmbeddingStore,
    database: &dyn NearestNeighbours,
    args: &IndexTuneArgs,
) -> Result<ExitCode, Failure> {
    let report = database.indexes(app.collection()).await?;
    let Some(index) = report.indexes.iter().find(|index| index.valid) else {
        return Err(Failure::new(
            ExitCode::Refused,
            "there is no index to tune; build one with `smart-support index build`",
        ));
    };
    let status = store.status().await?;
    let collection = status.collection(app.collection());
    let Some((collection, version)) =
        collection.and_then(|found| Some((found, found.active.clone()?)))
    else {
        return Err(Failure::new(
            ExitCode::Refused,
            format!(
                "collection {} has no entries yet; fill it with `smart-support migrate`",
                app.collection()
            ),
        ));
    };
    let queries = queries(app, store, database, args).await?;
    let filters = filters(collection, args)?;
    tracing::info!(
        "Measuring {} questions under {} filters, against comparing every row",
        queries.len(),
        filters.len()
    );
    let trial = Trial {
        collection: app.collection(),
        version: &version,
        queries: &queries,
        filters: &filters,
        top_k: usize::from(args.top_k),
        target: args.target,
    };
    let say = |measured: &EffortRecall| {
        tracing::info!(
            "ef_search {}, max_scan_tuples {}: recall {:.3} under the worst filter",
            measured.effort.candidates,
            measured.effort.visits,
            measured.worst()
        );
    };
    let tried = tune(database, &trial, &say).await?;
    let Some(last) = tried.last() else {
        return Err(Failure::new(
            ExitCode::Failed,
            "no setting was tried; this is a bug",
        ));
    };
    let reached = last.worst() >= args.target;
    let mut document = wire::Tuning {
        collection: app.collection().to_string(),
        index: index.name.clone(),
        target: args.target,
        k: usize::from(args.top_k),
        queries: queries.len(),
        reached,
        kept: false,
        tried: tried.iter().map(wire::Tried::of).collect(),
    };
    if reached && !args.dry_run {
        document.kept = true;
        let measurement = measurement(&document)?;
        database
            .keep_effort(app.collection(), last.effort, &measurement)
            .await?;
    }
    print(app, last, &document);
    app.output.document(&document)?;
    if reached {
        return Ok(ExitCode::Done);
    }
    let best = tried.iter().map(EffortRecall::worst).fold(0.0, f64::max);
    Err(Failure::new(
        ExitCode::Refused,
        format!(
            "no setting reaches recall {} under every filter, the best is {best:.3}; what searches use stays as it was. \
             Build a finer index with `smart-support index rebuild --m 32 --ef-construction 200`, or compare every row \
             with --exact",
            args.target
        ),
    ))
}

/// What is kept beside the index: the setting that won, not those that lost.
fn measurement(document: &wire::Tuning) -> Result<String, Failure> {
    let measurement = serde_json::json!({
        "target": document.target,
        "k": document.k,
        "queries": document.queries,
        "measured": document.tried.last(),
    });
    serde_json::to_string(&measurement).map_err(|error| std::io::Error::from(error).into())
}

/// Questions: those of a file, else stored vectors.
async fn queries(
    app: &App,
    store: &dyn EmbeddingStore,
    database: &dyn NearestNeighbours,
    args: &IndexTuneArgs,
) -> Result<Vec<Embedding>, Failure> {
    let most = usize::from(args.samples);
    let Some(path) = &args.queries else {
        return Ok(database.sample(app.collection(), most).await?);
    };
    let golden = Golden::read(path)?;
    let status = store.status().await?;
    let embedder = app.embedder_for(&status, app.embedder()?)?;
    active_version(&status, app.collection(), Some(&*embedder))?;
    let texts: Vec<String> = golden
        .questions
        .iter()
        .take(most)
        .map(|question| normalise(&question.query))
        .collect();
    embed(app, &*embedder, &texts).await
}

async fn embed(
    app: &App,
    embedder: &dyn Embedder,
    texts: &[String],
) -> Result<Vec<Embedding>, Failure> {
    let batch = app.settings.batches()?.size;
    let batch = batch.min(embedder.limits().texts).max(1);
    let meter = Meter::default();
    let mut vectors = Vec::with_capacity(texts.len());
    for texts in texts.chunks(batch) {
        let answer = embedder.embed(texts, Purpose::Query, &meter).await?;
        vectors.extend(answer.vectors);
    }
    Ok(vectors)
}

/// No filter, the largest categories, what was asked for, and shares of the rows.
fn filters(
    collection: &CollectionStatus,
    args: &IndexTuneArgs,
) -> Result<Vec<TrialFilter>, Failure> {
    let trial = |name: String, filter: Filter| TrialFilter {
        name,
        filter,
        one_in: None,
    };
    let mut filters = vec![trial("none".to_owned(), Filter::default())];
    let mut categories: Vec<(&str, u64)> = collection
        .categories
        .iter()
        .filter_map(|count| Some((count.category.as_deref()?, count.records)))
        .collect();
    categories.sort_by_key(|(_, records)| std::cmp::Reverse(*records));
    for (category, _) in categories.into_iter().take(CATEGORIES) {
        let filter = Filter {
            category: Some(category.to_owned()),
            ..Filter::default()
        };
        filters.push(trial(format!("category {category}"), filter));
    }
    for text in &args.filter {
        let filter = Filter {
            metadata: vec![predicate(text)?],
            ..Filter::default()
        };
        filters.push(trial(text.clone(), filter));
    }
    for (name, one_in) in SHARES {
        filters.push(TrialFilter {
            name: name.to_owned(),
            filter: Filter::default(),
            one_in: Some(one_in),
        });
    }
    Ok(filters)
}

fn print(app: &App, last: &EffortRecall, document: &wire::Tuning) {
    let output = app.output;
    output.print(format!(
        "{:<32} {:>7} {:>9} {:>9}",
        "filter", "recall", "by index", "ms"
    ));
    for filter in &last.filters {
        output.print(format!(
            "{:<32} {:>7.3} {:>9} {:>9.2}",
            filter.filter,
            filter.recall,
            filter.by_index,
            filter.mean.as_secs_f64() * 1e3
        ));
    }
    if document.reached {
        output.print(format!(
            "ef_search {}, max_scan_tuples {}: recall {:.3} or more under every filter{}",
            last.effort.candidates,
            last.effort.visits,
            last.worst(),
            if document.kept {
                "; searches use it from now on"
            } else {
                ""
            }
        ));
    }
}
