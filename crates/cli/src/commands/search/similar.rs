//! `similar`: the entries nearest to a stored one. Its own vector asks, so nothing is embedded.

use std::time::Instant;

use futures_util::TryStreamExt;
use retriever::SearchOptions;
use storage_core::{Embedding, EmbeddingStore, Filter, VersionId};

use super::place::{Found, Place};
use super::{MOMENTS, predicates, print, top_k};
use crate::app::App;
use crate::args::SimilarArgs;
use crate::env;
use crate::exit::{ExitCode, Failure, usage};
use crate::parts::{self, Access};
use crate::settings::{Origin, nearest, number};
use crate::wire;

pub(crate) async fn run(app: &App, args: &SimilarArgs) -> Result<ExitCode, Failure> {
    let options = options(app, args)?;
    let place = Place::of(&app.settings)?;
    let store = app.open(Access::Read, None).await?;
    place.check(&*store, &parts::describe(&app.settings.store))?;
    let mut status = store.status().await?;
    // As with a search: what is reported beside the hits is of the generation that they are of.
    for _ in 0..MOMENTS {
        let started = Instant::now();
        let collection = status.collection(app.collection());
        let version = collection.and_then(|collection| collection.active.clone());
        let asked = ask(app, args, &*store, &place, version.as_ref(), &options).await;
        let took = started.elapsed();
        let now = store.status().await?;
        if now.generation != status.generation {
            tracing::debug!("the store has changed meanwhile; searching again");
            status = now;
            continue;
        }
        let found = asked?;
        found.log(app.collection(), options.threshold, took);
        let hits = found.hits.iter().enumerate();
        let document = wire::Search {
            hits: hits
                .map(|(position, hit)| wire::Hit::of(position + 1, hit.score, &hit.document))
                .collect(),
            generation: collection.map_or(0, |collection| collection.generation.0),
            model: wire::Model::active(&status, app.collection()),
            mode: found.mode,
            index: found.index.clone(),
            disagreements: found.disagreements,
            ms: wire::SearchMilliseconds {
                embed: 0.0,
                search: took.as_secs_f64() * 1e3,
                total: app.started.elapsed().as_secs_f64() * 1e3,
            },
            threshold: options.threshold,
            calibrated: false,
            degraded: None,
        };
        print(app, &document);
        app.output.document(&document)?;
        return Ok(ExitCode::Done);
    }
    Err(Failure::new(
        ExitCode::TryAgain,
        "the store changes too often to be searched at one moment; run the command again",
    ))
}

/// Looks the entry up and searches with its vector. One hit more is asked for: the entry is nearest to itself.
async fn ask(
    app: &App,
    args: &SimilarArgs,
    store: &dyn EmbeddingStore,
    place: &Place,
    version: Option<&VersionId>,
    options: &SearchOptions,
) -> Result<Found, Failure> {
    let vector = vector(app, args, store, version).await?;
    let wider = SearchOptions {
        top_k: options.top_k + 1,
        ..options.clone()
    };
    let collection = app.collection();
    let mut found = place
        .search(store, collection, version, &vector, &wider, args.exact)
        .await?;
    found
        .hits
        .retain(|hit| hit.document.key.document != args.id);
    found.hits.truncate(options.top_k);
    Ok(found)
}

async fn vector(
    app: &App,
    args: &SimilarArgs,
    store: &dyn EmbeddingStore,
    version: Option<&VersionId>,
) -> Result<Embedding, Failure> {
    let itself = Filter {
        document: Some(args.id.clone()),
        ..Filter::default()
    };
    let mut chunks = Vec::new();
    if version.is_some() {
        let mut rows = store.scan(app.collection(), version, itself);
        while let Some(row) = rows.try_next().await? {
            if row.document.key.chunk == args.chunk {
                return Ok(row.embedding);
            }
            chunks.push(row.document.key.chunk.to_string());
        }
    }
    let (id, collection) = (&args.id, app.collection());
    if !chunks.is_empty() {
        return Err(usage(format!(
            "entry {id:?} of collection {collection} has no text {}; there are {}: --chunk N",
            args.chunk,
            chunks.join(", ")
        )));
    }
    let (_, rows) = store.fingerprints(collection).await?;
    let ids = rows.iter().map(|row| row.key.document.as_str());
    if ids.clone().any(|known| known == id) {
        return Err(usage(format!(
            "entry {id:?} of collection {collection} has no vector yet; run `smart-support sync` to embed it"
        )));
    }
    let hint = match nearest(id, ids) {
        Some(near) => format!("did you mean {near:?}?"),
        None if rows.is_empty() => "it has no entries yet".to_owned(),
        None => "`smart-support search TEXT` shows the ids of what it finds".to_owned(),
    };
    Err(usage(format!(
        "no entry {id:?} in collection {collection}; {hint}"
    )))
}

/// A threshold counts where it was typed: those of the settings are for questions, and entries are nearer to each other.
fn options(app: &App, args: &SimilarArgs) -> Result<SearchOptions, Failure> {
    let layers = &app.settings.layers;
    let typed = layers
        .get(env::THRESHOLD)
        .is_some_and(|value| value.origin == Origin::Flag);
    let threshold = match typed {
        true => layers.parse(env::THRESHOLD, "a number from -1 to 1", |text| {
            number(text, -1.0..=1.0)
        })?,
        false => None,
    };
    Ok(SearchOptions {
        top_k: top_k(app)?,
        threshold,
        filter: Filter {
            category: args.category.clone(),
            metadata: predicates(&args.filter)?,
            ..Filter::default()
        },
    })
}
