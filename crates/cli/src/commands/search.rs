//! `search`: finds the entries that answer a question.

use std::path::Path;
use std::time::{Duration, Instant};

use embedder_client::{Embedder, Meter, Purpose};
use retriever::SearchOptions;
use storage_core::{Embedding, Filter, MetadataPredicate, Version, VersionId};

use crate::app::{App, OpenStore, active_version};
use crate::args::{SearchArgs, SourceArgs};
use crate::commands::{eval, sync};
use crate::env;
use crate::exit::{ExitCode, Failure, usage};
use crate::parts::{self, Access};
use crate::settings::{Origin, number, predicate};
use crate::wire;

mod place;
mod similar;

use place::Place;
pub(crate) use similar::run as similar;

/// Entries one search may ask for.
const MOST: usize = 1000;
/// Tries to find the store the same before and after a search.
const MOMENTS: usize = 10;

pub(crate) async fn run(app: &App, args: &SearchArgs) -> Result<ExitCode, Failure> {
    let mut options = options(app, args)?;
    let ready = args.query_vector.as_deref().map(read_vector).transpose()?;
    let text = args
        .text
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty());
    if ready.is_none() && text.is_none() {
        return Err(usage(
            "no question; write smart-support search \"QUESTION\", or pass --query-vector FILE",
        ));
    }
    let place = Place::of(&app.settings)?;
    let said = place.threshold(&app.settings.layers)?;
    let asked_for = said.as_ref().map(|(threshold, _)| *threshold);
    let configured = if ready.is_none() {
        Some(app.embedder()?)
    } else {
        None
    };
    tracing::info!(
        "Loading embeddings from storage ({})",
        parts::describe(&app.settings.store)
    );
    let OpenStore { store, degraded } = app.open_or_memory(Access::Read, None).await?;
    // What stands in for a store that cannot be opened is in memory.
    let place = if degraded.is_some() {
        Place::memory()
    } else {
        place
    };
    place.check(&*store, &parts::describe(&app.settings.store))?;
    if degraded.is_some() {
        let nothing = SourceArgs::default();
        let source = app.settings.source(&nothing)?.ok_or_else(|| {
            usage("the store cannot be opened, and no source is named to read into memory; set FAQ_PATH")
        })?;
        sync::fill(app, &source, std::sync::Arc::clone(&store)).await?;
    }
    // The question's vector, and the version it was made for.
    let mut query = ready;
    let mut asked = None;
    let mut status = store.status().await?;
    let mut embedder = configured.clone();
    let (mut embed_ms, mut search) = (0.0, Duration::ZERO);
    let mut found = None;
    let mut thresholds = Thresholds::default();
    // The provider may take its time, and a sync may end meanwhile: what is reported beside the hits must be of the
    // generation that they are of.
    for _ in 0..MOMENTS {
        let serves = status
            .active(app.collection())
            .map(|space| space.id.clone());
        if let (Some(configured), Some(text)) = (&configured, text)
            && asked != serves
        {
            // A promotion may come at any time: the question is asked of the model that the rows are of.
            let chosen = app.embedder_for(&status, std::sync::Arc::clone(configured))?;
            active_version(&status, app.collection(), Some(&*chosen))?;
            let started = Instant::now();
            query = Some(embed(&*chosen, text).await?);
            embed_ms = started.elapsed().as_secs_f64() * 1e3;
            embedder = Some(chosen);
            asked = serves;
        }
        let nothing = Embedding::new(vec![1.0f32]).expect("one is a usable number");
        let started = Instant::now();
        let query = query.as_ref().unwrap_or(&nothing);
        let collection = status.collection(app.collection());
        let pinned = collection.and_then(|collection| collection.active.as_ref());
        // What was asked for counts, else what this version was calibrated to.
        // Nobody could calibrate what stands in for a store that cannot be opened.
        let version = collection
            .filter(|_| degraded.is_none())
            .and_then(|collection| collection.active_version());
        options.threshold = match (asked_for, version) {
            (Some(threshold), version) => {
                thresholds.doubt(version, said.as_ref());
                Some(threshold)
            }
            (None, Some(version)) => thresholds.of(version),
            (None, None) => None,
        };
        let searched = place
            .search(
                &*store,
                app.collection(),
                pinned,
                query,
                &options,
                args.exact,
            )
            .await;
        search = started.elapsed();
        let now = store.status().await?;
        if now.generation == status.generation {
            found = Some(searched?);
            break;
        }
        tracing::debug!("the store has changed meanwhile; searching again");
        status = now;
    }
    let Some(found) = found else {
        return Err(Failure::new(
            ExitCode::TryAgain,
            "the store changes too often to be searched at one moment; run the command again",
        ));
    };
    let version = active_version(&status, app.collection(), embedder.as_deref())?;
    if version.is_none() {
        tracing::warn!(
            "Collection {} has no entries yet; fill it with `smart-support migrate`",
            app.collection()
        );
    }
    found.log(app.collection(), options.threshold, search);
    tracing::info!(
        "System ready (total startup: {:.1}s)",
        app.started.elapsed().as_secs_f64()
    );
    let hits = found.hits.iter().enumerate();
    let document = wire::Search {
        hits: hits
            .map(|(position, hit)| wire::Hit::of(position + 1, hit.score, &hit.document))
            .collect(),
        generation: status
            .collection(app.collection())
            .map_or(0, |collection| collection.generation.0),
        model: wire::Model::active(&status, app.collection()),
        mode: found.mode,
        index: found.index.clone(),
        disagreements: found.disagreements,
        ms: wire::SearchMilliseconds {
            embed: embed_ms,
            search: search.as_secs_f64() * 1e3,
            total: app.started.elapsed().as_secs_f64() * 1e3,
        },
        threshold: options.threshold,
        calibrated: asked_for.is_none() && options.threshold.is_some(),
        degraded,
    };
    print(app, &document);
    app.output.document(&document)?;
    Ok(ExitCode::Done)
}

/// Thresholds of versions, each looked up and complained of once: a search may begin several times.
#[derive(Default)]
struct Thresholds(Option<(VersionId, Option<f32>)>);

impl Thresholds {
    /// Says, once, that a threshold which was left in the settings is a number for some model, perhaps not this one.
    fn doubt(&mut self, version: Option<&Version>, said: Option<&(f32, Origin)>) {
        let (Some(version), Some((threshold, origin))) = (version, said) else {
            return;
        };
        if self.0.is_some() || *origin == Origin::Flag || version.calibration.is_some() {
            return;
        }
        tracing::warn!(
            "Version {} is not calibrated, and {origin} shows what scores {threshold} or more: scores of other models \
             lie elsewhere; smart-support eval GOLDEN --calibrate finds where answers begin",
            version.id.short()
        );
        self.0 = Some((version.id.clone(), Some(*threshold)));
    }

    fn of(&mut self, version: &Version) -> Option<f32> {
        if let Some((_, threshold)) = self.0.as_ref().filter(|(id, _)| *id == version.id) {
            return *threshold;
        }
        if version.calibration.is_none() && self.0.is_none() {
            tracing::warn!(
                "Version {} is not calibrated: the nearest entries are shown, however far; smart-support eval GOLDEN \
                 --calibrate finds the score from which on they are answers, --threshold sets one",
                version.id.short()
            );
        }
        let threshold = eval::threshold(version);
        self.0 = Some((version.id.clone(), threshold));
        threshold
    }
}

fn print(app: &App, document: &wire::Search) {
    let output = app.output;
    if document.hits.is_empty() {
        output.print(match document.threshold.filter(|_| document.calibrated) {
            Some(threshold) => format!(
                "No entry was found that scores {threshold}, from which on this version was calibrated to answer. \
                 --threshold -1 shows the nearest all the same."
            ),
            None => "No entry was found. A lower --threshold or fewer filters may find one.".to_owned(),
        });
    }
    for hit in &document.hits {
        let category = [hit.category.as_deref(), hit.subcategory.as_deref()]
            .into_iter()
            .flatten();
        let category = category.collect::<Vec<_>>().join(" › ");
        let row = hit
            .source_row
            .map_or_else(String::new, |row| format!(", row {row}"));
        // Imported rows may have a text and no question, or neither.
        let head = [hit.question.as_str(), &hit.id]
            .into_iter()
            .find(|text| !text.is_empty());
        output.print(format!(
            "{}. {:.3}  {}",
            hit.rank,
            hit.score,
            head.unwrap_or_default()
        ));
        output.print(format!("   {category} ({}{row})", hit.id));
        for line in hit.answer.lines() {
            output.print(format!("   {line}"));
        }
        if hit.rank < document.hits.len() {
            output.print("");
        }
    }
}

async fn embed(embedder: &dyn Embedder, text: &str) -> Result<Embedding, Failure> {
    let inputs = [storage_core::normalise(text)];
    let mut answer = embedder
        .embed(&inputs, Purpose::Query, &Meter::default())
        .await?;
    answer
        .vectors
        .pop()
        .ok_or_else(|| Failure::new(ExitCode::Failed, "the provider answered without a vector"))
}

/// Hits to show at most.
fn top_k(app: &App) -> Result<usize, Failure> {
    let top_k = app
        .settings
        .layers
        .parse(env::TOP_K, "a number from 1 to 1000", |text| {
            number(text, 1..=MOST)
        })?;
    Ok(top_k.unwrap_or(3))
}

/// What the metadata of a hit must hold.
fn predicates(filters: &[String]) -> Result<Vec<MetadataPredicate>, Failure> {
    filters.iter().map(|text| predicate(text)).collect()
}

fn options(app: &App, args: &SearchArgs) -> Result<SearchOptions, Failure> {
    Ok(SearchOptions {
        top_k: top_k(app)?,
        threshold: None,
        filter: Filter {
            category: args.category.clone(),
            document: args.document.clone(),
            contains: args.contains.clone(),
            metadata: predicates(&args.filter)?,
        },
    })
}

/// Reads raw little-endian f32, or the first row of a `.npy` file of f32 or f64.
fn read_vector(path: &Path) -> Result<Embedding, Failure> {
    let wrong =
        |why: &dyn std::fmt::Display| usage(format!("query vector {}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| wrong(&error))?;
    let numbers = if bytes.starts_with(b"\x93NUMPY") {
        npy(&bytes).map_err(|why| wrong(&why))?
    } else {
        bytes
    };
    Embedding::from_le_bytes(&numbers).map_err(|error| wrong(&error))
}

/// The numbers of a `.npy` file of one vector, as little-endian f32. The format: magic, two version bytes, header
/// length (u16 in version 1, u32 after), a Python dictionary, then the numbers.
fn npy(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    const SHORT: &str = "the .npy file is cut off";
    let wide = bytes.get(6).ok_or(SHORT)? >= &2;
    let (length, start) = if wide {
        let field = bytes
            .get(8..12)
            .and_then(|field| field.try_into().ok())
            .ok_or(SHORT)?;
        (u32::from_le_bytes(field) as usize, 12)
    } else {
        let field = bytes
            .get(8..10)
            .and_then(|field| field.try_into().ok())
            .ok_or(SHORT)?;
        (usize::from(u16::from_le_bytes(field)), 10)
    };
    let header = bytes.get(start..start + length).ok_or(SHORT)?;
    let header = std::str::from_utf8(header).map_err(|_| "the .npy header is not text")?;
    let body = &bytes[start + length..];
    let shape = header
        .split("'shape':")
        .nth(1)
        .and_then(|rest| rest.split('(').nth(1)?.split(')').next());
    let sizes: Vec<usize> = shape
        .unwrap_or_default()
        .split(',')
        .filter_map(|size| size.trim().parse().ok())
        .collect();
    let one_vector = matches!(sizes.as_slice(), [_] | [1, _]);
    match (
        one_vector,
        header.contains("'<f4'"),
        header.contains("'<f8'"),
    ) {
        (false, ..) => Err("the .npy file does not hold one vector"),
        (true, true, _) => Ok(body.to_vec()),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "scores are f32; half of the digits are for the file only"
        )]
        (true, _, true) => {
            let (words, _) = body.as_chunks::<8>();
            Ok(words
                .iter()
                .flat_map(|word| (f64::from_le_bytes(*word) as f32).to_le_bytes())
                .collect())
        }
        _ => Err("the .npy file holds neither f32 nor f64"),
    }
}
