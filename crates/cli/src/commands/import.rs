//! `import`: vectors of a legacy store into ours, in six steps, without embedding them again.

mod report;
mod rollback;
mod steps;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use embedder_client::{Embedder, Meter};
use storage_core::{
    CollectionName, EmbedText, EmbeddingStore, ImportSource, ImportedCollection, StoreErrorKind,
};
use sync_engine::{FieldMap, ImportContext, ImportOptions, ImportReport, import, imported_model};

use crate::app::{self, App};
use crate::args::{ImportArgs, ImportCommand};
use crate::env;
use crate::exit::{ExitCode, Failure, usage};
use crate::interrupt::{Interrupt, Phase};
use crate::parts::{self, Access};
use steps::Steps;

pub(crate) async fn run(app: &App, command: &ImportCommand) -> Result<ExitCode, Failure> {
    let (sources, args) = match command {
        ImportCommand::Chroma(args) => (parts::open_chroma(app, args).await?, &args.common),
        ImportCommand::Faiss(args) => (vec![parts::open_faiss(args)?], &args.common),
        ImportCommand::Vectors(args) => (
            vec![parts::open_vectors(args, app.settings.dimensions()?)?],
            &args.common,
        ),
        ImportCommand::Rollback(args) => return rollback::run(app, args).await,
    };
    let moves = Move::all(app, args, sources)?;
    if let Some(directory) = &args.metadata_dir {
        report::prepare(directory)?;
    }
    let meter = Meter::default();
    let interrupt = Interrupt::listen(meter.clone());
    let steps = Steps::new(app, args);
    steps.preflight(&moves);
    let store = open(app, args, &moves).await?;
    steps.opened(&*store).await?;
    let mut reports = Vec::with_capacity(moves.len());
    interrupt.enter(Phase::Working);
    let mut failed = None;
    for one in &moves {
        match one.run(&steps, &*store, meter.clone()).await {
            Ok(report) => reports.push(report),
            Err(failure) => {
                failed = Some(interrupt.explain(failure));
                break;
            }
        }
    }
    interrupt.enter(Phase::Finishing);
    match failed {
        None => report::finish(app, args, &reports, store).await,
        Some(failure) if reports.is_empty() => Err(failure),
        // What has moved is told, with the runs that undo it, before what went wrong.
        Some(failure) => {
            report::finish(app, args, &reports, store).await?;
            Err(failure)
        }
    }
}

/// One legacy collection on its way into one of ours.
struct Move {
    source: Box<dyn ImportSource>,
    options: ImportOptions,
    embedder: Option<Arc<dyn Embedder>>,
    ask: bool,
    /// Why nobody will be asked whether the vectors are of the model, where nobody will.
    on_trust: Option<String>,
}

impl Move {
    /// Decides where each source goes. A single one goes where the settings say; several keep their names, since their
    /// ids were never meant to stand beside each other.
    fn all(
        app: &App,
        args: &ImportArgs,
        sources: Vec<Box<dyn ImportSource>>,
    ) -> Result<Vec<Self>, Failure> {
        let several = sources.len() > 1;
        if let (true, Some(named)) = (several, app.settings.named_collection()) {
            let names: Vec<&str> = sources
                .iter()
                .map(|source| source.collection().name.as_str())
                .collect();
            return Err(usage(format!(
                "{} collections cannot become one ({named}): their ids may be the same; choose one of {} with \
                 --from-collection, or leave --collection out and each keeps its name",
                names.len(),
                names.join(", ")
            )));
        }
        let mut taken = BTreeSet::new();
        let mut moves = Vec::with_capacity(sources.len());
        for source in sources {
            let collection = if several {
                CollectionName::new(source.collection().name.clone())
                    .map_err(|error| usage(error.to_string()))?
            } else {
                app.collection().clone()
            };
            if !taken.insert(collection.clone()) {
                return Err(usage(format!(
                    "two collections of the source are called {collection}; import them one by one with --database and \
                     --collection"
                )));
            }
            moves.push(Self::new(app, args, source, collection)?);
        }
        Ok(moves)
    }

    fn new(
        app: &App,
        args: &ImportArgs,
        source: Box<dyn ImportSource>,
        collection: CollectionName,
    ) -> Result<Self, Failure> {
        let found = source.collection();
        let (embedder, on_trust) = match imported_model(found, args.model.as_deref()) {
            Ok(name) => provider(app, name)?,
            // Nothing is moved out of an empty collection, so nobody need know what it would be of.
            Err(_) if found.total == 0 => (None, None),
            // Before the store is touched: a store that was made for nothing would be the first thing to clean up.
            Err(error) => return Err(error.into()),
        };
        let embed_text = args
            .embed_text
            .as_deref()
            .map(EmbedText::parse)
            .transpose()
            .map_err(|error| usage(error.to_string()))?;
        let provider = embedder
            .as_ref()
            .map(|embedder| embedder.provider().to_owned());
        Ok(Self {
            options: ImportOptions {
                collection,
                model: args.model.clone(),
                provider,
                dimensions: app.settings.dimensions()?,
                batch: args.batch_size as usize,
                overwrite: args.force,
                verify: !args.no_verify,
                dry_run: args.dry_run,
                fields: fields(&args.map)?,
                embed_text,
            },
            source,
            ask: embedder.is_some() && !args.dry_run && on_trust.is_none(),
            embedder,
            on_trust,
        })
    }

    fn describe(&self) -> &ImportedCollection {
        self.source.collection()
    }

    async fn run(
        &self,
        steps: &Steps<'_>,
        store: &dyn EmbeddingStore,
        meter: Meter,
    ) -> Result<ImportReport, Failure> {
        steps.begin(self, store).await?;
        let context = ImportContext {
            store,
            source: &*self.source,
            embedder: self.embedder.clone(),
            ask: self.ask,
            progress: steps,
            clock: &app::now,
            run: app::run_id(),
            meter,
        };
        let report = import(&context, &self.options).await?;
        steps.verified(&report);
        Ok(report)
    }
}

/// A provider, and why it may not be asked, if that is so.
type Served = (Option<Arc<dyn Embedder>>, Option<String>);

/// The provider that serves the model of this name, if the settings lead to one that may be asked.
fn provider(app: &App, name: &str) -> Result<Served, Failure> {
    let built = app.embedder();
    let served = match &built {
        Ok(embedder) if embedder.spec().name == name => None,
        Ok(embedder) => Some(format!(
            "the provider that is set serves {}; set EMBEDDING_PROVIDER and EMBEDDING_MODEL_NAME={name} to have a few texts \
             compared",
            embedder.spec().name
        )),
        Err(_) => Some(format!(
            "no provider is set; set EMBEDDING_PROVIDER and EMBEDDING_MODEL_NAME={name} to have a few texts compared"
        )),
    };
    if served.is_some() {
        return Ok((None, served));
    }
    // What it is can be known without asking it anything: its revision and its prefixes.
    let offline = app.settings.flag(env::OFFLINE)?;
    let why = offline.then(|| "--offline".to_owned());
    Ok((built.ok(), why))
}

fn fields(map: &[String]) -> Result<FieldMap, Failure> {
    let mut fields = FieldMap::default();
    for pair in map {
        let (field, key) = pair.split_once('=').ok_or_else(|| {
            usage(format!(
                "--map is {pair:?}; expected FIELD=KEY, such as question=title"
            ))
        })?;
        if !fields.set(field.trim(), key.trim()) {
            return Err(usage(format!(
                "--map knows no field {:?}; the fields are {}",
                field.trim(),
                FieldMap::FIELDS.join(", ")
            )));
        }
    }
    Ok(fields)
}

/// Opens the store; one that is not there yet is made, or for a dry run imagined.
async fn open(
    app: &App,
    args: &ImportArgs,
    moves: &[Move],
) -> Result<Arc<dyn EmbeddingStore>, Failure> {
    let dimensions = moves
        .iter()
        .filter_map(|one| one.describe().dimensions)
        .max()
        .map(NonZeroU32::get);
    let access = if args.dry_run {
        Access::Read
    } else {
        Access::Write
    };
    match app.open(access, dimensions).await {
        Err(failure) if failure.store == Some(StoreErrorKind::NotFound) => {
            if args.dry_run {
                Ok(parts::memory())
            } else {
                app.open(Access::Create, dimensions).await
            }
        }
        outcome => outcome,
    }
}
