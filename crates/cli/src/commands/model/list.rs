//! `model list`: which versions a collection has, and how they did.

use serde::Serialize;
use serde_json::Value;
use storage_core::{CollectionStatus, StoreStatus, Version, VersionState};

use crate::app::App;
use crate::exit::{ExitCode, Failure};
use crate::parts::Access;
use crate::wire;

#[derive(Serialize)]
pub(super) struct Document {
    collection: String,
    generation: u64,
    active: Option<String>,
    previous: Option<String>,
    versions: Vec<Entry>,
}

#[derive(Serialize)]
pub(super) struct Entry {
    id: String,
    /// `active`, `previous`, `ready`, `building` or `retired`.
    state: &'static str,
    model: Option<wire::Model>,
    embed_text: String,
    records: u64,
    /// Rows that have no vector in it.
    missing: u64,
    created_at: String,
    calibration: Option<Value>,
    evaluation: Option<Value>,
}

pub(super) async fn run(app: &App) -> Result<ExitCode, Failure> {
    let store = app.open(Access::Read, None).await?;
    let status = store.status().await?;
    let collection = super::collection(app, &status)?;
    let document = document(&status, collection);
    print(app, &document);
    app.output.document(&document)?;
    Ok(ExitCode::Done)
}

pub(super) fn document(status: &StoreStatus, collection: &CollectionStatus) -> Document {
    let id = |id: &storage_core::VersionId| id.to_string();
    let entry = |version: &Version| Entry {
        id: id(&version.id),
        state: state(collection, version),
        model: status
            .space(&version.space)
            .map(|space| wire::Model::of(version, space)),
        embed_text: version.embed_text.clone(),
        records: version.records,
        missing: collection.records.saturating_sub(version.records),
        created_at: wire::time(version.created_at),
        calibration: note(version.calibration.as_deref()),
        evaluation: note(version.evaluation.as_deref()),
    };
    Document {
        collection: collection.name.to_string(),
        generation: collection.generation.0,
        active: collection.active.as_ref().map(id),
        previous: collection.previous.as_ref().map(id),
        versions: collection.versions.iter().map(entry).collect(),
    }
}

/// What a version is to its collection.
pub(super) fn state(collection: &CollectionStatus, version: &Version) -> &'static str {
    let id = Some(&version.id);
    if collection.active.as_ref() == id {
        "active"
    } else if collection.previous.as_ref() == id {
        "previous"
    } else if version.state == VersionState::Building {
        "building"
    } else {
        version.state.as_str()
    }
}

/// What was noted, but for the outcome of each question: that is for `eval --baseline last`.
fn note(text: Option<&str>) -> Option<Value> {
    let mut note: Value = serde_json::from_str(text?).ok()?;
    note.as_object_mut()?.remove("outcomes");
    Some(note)
}

fn print(app: &App, document: &Document) {
    let output = app.output;
    output.print(format!(
        "Collection {}, generation {}",
        document.collection, document.generation
    ));
    for entry in &document.versions {
        let model = entry.model.as_ref();
        let (name, dimensions) = model.map_or(("?", 0), |model| (&*model.name, model.dimensions));
        let figure = |note: &Option<Value>, key: &str| {
            note.as_ref()
                .and_then(|note| note.get(key)?.as_f64())
                .map_or_else(|| "-".to_owned(), |figure| format!("{figure:.3}"))
        };
        output.print(format!(
            "{}  {:<8}  {name} ({dimensions})  {} of {} rows, top-3 {}, threshold {}",
            &entry.id[..8.min(entry.id.len())],
            entry.state,
            entry.records,
            entry.records + entry.missing,
            figure(&entry.evaluation, "top3"),
            figure(&entry.calibration, "threshold"),
        ));
        output.say(format!(
            "          {}  {}",
            entry.embed_text, entry.created_at
        ));
    }
}
