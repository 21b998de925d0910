//! Reads the source a command was given, and compares one with a store.

use std::sync::Arc;
use std::time::Instant;

use embedder_client::{BatchLimits, Meter};
use faq_source::{SourceLimits, SourceOptions, SourceSnapshot};
use storage_core::{Check, EmbedText, EmbeddingStore, check_names};
use sync_engine::{Change, DeleteAllowance, NoProgress, SyncContext, SyncPolicy, prepare};

use crate::app::{self, App};
use crate::args::SourceArgs;
use crate::exit::{Failure, usage};
use crate::parts;
use crate::settings::{SourceFrom, SourceSettings};
use crate::wire;

/// A source that was read, and the seconds it took.
pub(crate) struct ReadSource {
    pub(crate) snapshot: SourceSnapshot,
    pub(crate) seconds: f64,
}

/// The source, or an error that names the ways to name one.
pub(crate) fn named(app: &App, args: &SourceArgs) -> Result<SourceSettings, Failure> {
    app.settings.source(args)?.ok_or_else(|| {
        usage("no source is named; pass --faq-path FILE, or --source-sql TABLE for rows of a database, or set \
             FAQ_PATH or INPUT_DATASET")
    })
}

/// Reads the source; what was noticed is in what is read.
pub(crate) fn read_silently(settings: &SourceSettings) -> Result<SourceSnapshot, Failure> {
    let required = settings
        .embed_text
        .iter()
        .flat_map(|recipe| recipe.columns().map(ToOwned::to_owned))
        .collect();
    let options = SourceOptions {
        sheet: settings.sheet.clone(),
        header_row: settings.header_row,
        mapping: settings.map.clone(),
        required_columns: required,
        data_set: settings.data_set,
    };
    let mut source = match &settings.from {
        SourceFrom::File(path) => match parts::documents(path, settings)? {
            Some(documents) => documents,
            None => faq_source::open(path, &options)?,
        },
        SourceFrom::Rows(rows) => parts::catalogue(rows, options)?,
    };
    Ok(source.read(&SourceLimits::default())?)
}

/// Reads the source and tells what was noticed.
pub(crate) fn read(settings: &SourceSettings) -> Result<ReadSource, Failure> {
    let started = Instant::now();
    match &settings.from {
        SourceFrom::File(_) => tracing::info!("Loading FAQ database..."),
        SourceFrom::Rows(_) => tracing::info!("Loading the catalogue..."),
    }
    let snapshot = read_silently(settings)?;
    for notice in &snapshot.notices {
        tracing::info!("{notice}");
    }
    for issue in &snapshot.issues {
        let place = place(
            issue.locator.sheet.as_deref(),
            issue.locator.row,
            issue.column.as_deref(),
        );
        let outcome = if issue.kind.rejects() {
            "left out"
        } else {
            "kept"
        };
        tracing::warn!("{place}: {} ({outcome})", issue.problem);
    }
    let plural = |count: usize, one: &str, many: &str| {
        format!("{count} {}", if count == 1 { one } else { many })
    };
    if snapshot.is_data_set() {
        let rows = plural(snapshot.rows.len(), "row", "rows");
        tracing::info!("Found a data set of {rows}");
    } else {
        tracing::info!(
            "Found {} across {}",
            plural(snapshot.rows.len(), "template", "templates"),
            plural(snapshot.categories(), "category", "categories")
        );
    }
    Ok(ReadSource {
        snapshot,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// The recipe of a collection that has none yet, where the source is of a kind with one of its own.
pub(crate) fn first_embed_text(named: &SourceSettings) -> Option<EmbedText> {
    match &named.from {
        SourceFrom::File(_) => None,
        SourceFrom::Rows(_) => EmbedText::parse(parts::CATALOGUE_EMBED_TEXT).ok(),
    }
}

/// Whether source and store agree, row by row: what a sync would do, without doing it or embedding anything.
pub(crate) async fn against_store(
    app: &App,
    store: &dyn EmbeddingStore,
    named: &SourceSettings,
    snapshot: SourceSnapshot,
) -> Result<Compared, Failure> {
    let total = snapshot.rows.len();
    let rejected = snapshot.rejected().count();
    let context = SyncContext {
        store,
        embedder: Arc::new(parts::StoredModel::of(store, app.collection()).await?),
        progress: &NoProgress,
        clock: &app::now,
        run: app::run_id(),
        batch: BatchLimits { texts: 1, bytes: 1 },
        concurrency: 1,
        meter: Meter::default(),
    };
    let policy = SyncPolicy {
        deletes: DeleteAllowance::Percent(100.0),
        embed_text: named.embed_text.clone(),
        first_embed_text: first_embed_text(named),
        ..SyncPolicy::default()
    };
    let plan = prepare(&context, app.collection(), snapshot, policy)
        .await?
        .plan;
    let ids = |which: &dyn Fn(&Change) -> bool| -> Vec<String> {
        let rows = plan.rows.iter();
        rows.filter(|row| which(&row.change))
            .map(|row| row.document.key.document.clone())
            .collect()
    };
    // A row without its vector is as good as not there: nothing finds it.
    let lacking = |change: &Change| matches!(change, Change::Added | Change::Rebound);
    let missing = ids(&lacking);
    let stale = ids(&|change| !lacking(change));
    let without_vector = plan.count(|change| *change == Change::Rebound);
    let served = wire::share((total - missing.len().min(total)) as u64, total as u64);
    let detail = format!(
        "Source and store: {} equal, {} new, {} modified, {} relabelled, {} gone, {rejected} unreadable; \
         coverage {:.1}%{}{}",
        plan.unchanged - without_vector.min(plan.unchanged),
        plan.added(),
        plan.modified(),
        plan.relabelled() + plan.renamed(),
        plan.deletes.len() + plan.withheld,
        served * 100.0,
        named_first("missing", &missing),
        named_first("stale", &stale),
    );
    let differences = plan.differences() + plan.withheld + plan.failed.len();
    let mut check = Check::compare(check_names::SOURCE, plan.unchanged, total, detail);
    check.ok = differences == 0;
    Ok(Compared {
        check,
        missing,
        stale,
        coverage: served,
    })
}

/// What comparing a source with a store found.
pub(crate) struct Compared {
    pub(crate) check: Check,
    /// Ids of the source that the store has no row or no vector of.
    pub(crate) missing: Vec<String>,
    /// Ids that the store has otherwise than the source.
    pub(crate) stale: Vec<String>,
    /// Rows of the source that can be found, as a share of all that can be read.
    pub(crate) coverage: f64,
}

/// `; missing: a, b and 3 more`; nothing where there are none.
fn named_first(what: &str, ids: &[String]) -> String {
    const NAMED: usize = 10;
    if ids.is_empty() {
        return String::new();
    }
    let more = match ids.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let first = ids[..ids.len().min(NAMED)].join(", ");
    format!("; {what}: {first}{more}")
}

/// `sheet "FAQ", row 12, column C`, as far as it is known.
pub(crate) fn place(sheet: Option<&str>, row: Option<u64>, column: Option<&str>) -> String {
    let sheet = sheet.map(|sheet| format!("sheet {sheet:?}"));
    let row = row.map(|row| format!("row {row}"));
    let column = column.map(|column| format!("column {column}"));
    let parts: Vec<String> = [sheet, row, column].into_iter().flatten().collect();
    if parts.is_empty() {
        "source".to_owned()
    } else {
        parts.join(", ")
    }
}
