//! What differs besides rows: models, recipes, notes; and on request everything else that a store holds.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use storage_core::{
    Canaries, CollectionName, CollectionStatus, EmbeddingModel, RunRecord, Source, SpaceId,
    StoreStatus, Version, VersionId, VersionState,
};

use super::rows::same_bits;
use super::{Depth, DiffOptions, Fact, Pair};
use crate::SyncError;

/// A collection with the store's status that it is from.
type Of<'a> = (&'a StoreStatus, &'a CollectionStatus);

/// What two collections say of themselves.
pub(super) fn facts(a: Of<'_>, b: Of<'_>, options: &DiffOptions) -> Vec<Fact> {
    let (served_a, served_b) = (a.1.active_version(), b.1.active_version());
    let model = |of: Of<'_>| {
        let space = of.0.space(&of.1.active_version()?.space)?;
        Some((space.model.clone(), space.nonce.clone()))
    };
    let mut facts = Vec::new();
    let (model_a, model_b) = (model(a), model(b));
    if model_a != model_b {
        let shown = |model: Option<(EmbeddingModel, String)>| {
            model.map(|(model, nonce)| {
                let told = [
                    ("revision", &model.revision),
                    ("query prefix", &model.query_prefix),
                    ("passage prefix", &model.passage_prefix),
                    ("recomputed as", &nonce),
                ];
                let told = told.iter().filter(|(_, value)| !value.is_empty());
                told.fold(model.to_string(), |text, (name, value)| {
                    format!("{text}, {name} {value:?}")
                })
            })
        };
        facts.push(Fact {
            what: "model".to_owned(),
            a: shown(model_a),
            b: shown(model_b),
        });
    }
    let recipe = |version: Option<&Version>| version.map(|version| version.embed_text.clone());
    facts.extend(Fact::of("embed-text", recipe(served_a), recipe(served_b)));
    let calibration =
        |version: Option<&Version>| version.and_then(|version| version.calibration.clone());
    facts.extend(Fact::of(
        "calibration",
        calibration(served_a),
        calibration(served_b),
    ));
    if options.depth != Depth::Served {
        facts.extend(every_version(a.1, b.1));
    }
    facts
}

/// How a version is used: what its state means to whoever looks at the store.
fn role(status: &CollectionStatus, id: &VersionId) -> Option<&'static str> {
    let version = status.version(id)?;
    Some(if status.active.as_ref() == Some(id) {
        "active"
    } else if status.previous.as_ref() == Some(id) {
        "previous"
    } else if version.state == VersionState::Building {
        "building"
    } else {
        // Served once or never: neither is served now, and both can be deleted or promoted.
        "kept"
    })
}

fn ids(a: &CollectionStatus, b: &CollectionStatus) -> BTreeSet<VersionId> {
    let both = a.versions.iter().chain(&b.versions);
    both.map(|version| version.id.clone()).collect()
}

fn every_version(a: &CollectionStatus, b: &CollectionStatus) -> Vec<Fact> {
    let mut facts = Vec::new();
    for id in ids(a, b) {
        let short = id.short();
        let (left, right) = (a.version(&id), b.version(&id));
        facts.extend(Fact::of(
            format!("version {short}"),
            role(a, &id),
            role(b, &id),
        ));
        let (Some(left), Some(right)) = (left, right) else {
            continue;
        };
        if a.active.as_ref() != Some(&id) || b.active.as_ref() != Some(&id) {
            facts.extend(Fact::of(
                format!("calibration of version {short}"),
                left.calibration.as_ref(),
                right.calibration.as_ref(),
            ));
        }
        facts.extend(Fact::of(
            format!("evaluation of version {short}"),
            left.evaluation.as_ref(),
            right.evaluation.as_ref(),
        ));
        facts.extend(Fact::of(
            format!("creation of version {short}"),
            Some(left.created_at.0),
            Some(right.created_at.0),
        ));
    }
    facts
}

/// Which vectors rows refer to in versions that are not served in both.
pub(super) async fn bindings(
    pair: Pair<'_>,
    a: &CollectionStatus,
    b: &CollectionStatus,
) -> Result<Vec<Fact>, SyncError> {
    let mut facts = Vec::new();
    for id in ids(a, b) {
        let served = a.active.as_ref() == Some(&id) && b.active.as_ref() == Some(&id);
        if served || a.version(&id).is_none() || b.version(&id).is_none() {
            continue;
        }
        let (_, bound_a) = pair.a.bindings(&a.name, &id).await?;
        let (_, bound_b) = pair.b.bindings(&a.name, &id).await?;
        if bound_a == bound_b {
            continue;
        }
        let bound: BTreeMap<_, _> = bound_b.iter().map(|(key, vector)| (key, vector)).collect();
        let same = bound_a
            .iter()
            .filter(|(key, vector)| bound.get(key) == Some(&vector))
            .count();
        let shown = |count: usize| Some(format!("{count} rows, {same} of them as in the other"));
        facts.push(Fact {
            what: format!("vectors of version {}", id.short()),
            a: shown(bound_a.len()),
            b: shown(bound_b.len()),
        });
    }
    Ok(facts)
}

/// Where rows come from.
pub(super) async fn sources(pair: Pair<'_>, name: &CollectionName) -> Result<Vec<Fact>, SyncError> {
    let by_id = |sources: Vec<Source>| -> BTreeMap<String, String> {
        let described = sources.into_iter().map(|source| {
            let place = format!("{} {}", source.kind, source.location);
            (source.id.as_str().to_owned(), place)
        });
        described.collect()
    };
    let a = by_id(pair.a.sources(name).await?);
    let b = by_id(pair.b.sources(name).await?);
    let ids: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let compared = ids
        .into_iter()
        .filter_map(|id| Fact::of(format!("source {id}"), a.get(id), b.get(id)));
    Ok(compared.collect())
}

/// What no collection shows: vectors of all spaces bit for bit, canaries, the ledger.
pub(super) async fn beyond(
    pair: Pair<'_>,
    a: &StoreStatus,
    b: &StoreStatus,
    names: &BTreeSet<CollectionName>,
    options: &DiffOptions,
) -> Result<Vec<Fact>, SyncError> {
    let mut facts = Vec::new();
    let used = |status: &StoreStatus| -> BTreeSet<SpaceId> {
        match &options.collections {
            None => status.spaces.iter().map(|space| space.id.clone()).collect(),
            Some(_) => {
                let wanted = status.collections.iter();
                let wanted = wanted.filter(|collection| names.contains(&collection.name));
                let versions = wanted.flat_map(|collection| &collection.versions);
                versions.map(|version| version.space.clone()).collect()
            }
        }
    };
    let contained = options.depth == Depth::Contained;
    let mut spaces = used(a);
    if !contained {
        spaces.append(&mut used(b));
    }
    for id in &spaces {
        let label = |status: &StoreStatus| status.space(id).map(|space| space.model.to_string());
        let named = label(a).or_else(|| label(b)).unwrap_or_default();
        let shown = |status: &StoreStatus| status.space(id).map(|_| "registered");
        facts.extend(Fact::of(format!("space of {named}"), shown(a), shown(b)));
        facts.extend(vectors(pair, id, &named, options).await?);
        facts.extend(canaries(pair, id, &named, contained).await?);
    }
    facts.extend(ledger(pair, names, options).await?);
    Ok(facts)
}

/// What is known of a space's provider.
async fn canaries(
    pair: Pair<'_>,
    space: &SpaceId,
    named: &str,
    contained: bool,
) -> Result<Option<Fact>, SyncError> {
    let (a, b) = (pair.a.canaries(space).await?, pair.b.canaries(space).await?);
    let held = a.texts.iter().all(|canary| b.texts.contains(canary));
    if a == b || (contained && held && a.checked_at <= b.checked_at) {
        return Ok(None);
    }
    let shown = |canaries: &Canaries| {
        let checked = canaries.checked_at.map_or(0, |at| at.0);
        let texts = canaries.texts.len();
        Some(format!("{texts} texts, checked at {checked}"))
    };
    Ok(Some(Fact {
        what: format!("canaries of {named}"),
        a: shown(&a),
        b: shown(&b),
    }))
}

/// What was done and paid.
async fn ledger(
    pair: Pair<'_>,
    names: &BTreeSet<CollectionName>,
    options: &DiffOptions,
) -> Result<Option<Fact>, SyncError> {
    let by_id = |runs: Vec<RunRecord>| -> BTreeMap<String, RunRecord> {
        let wanted = runs
            .into_iter()
            .filter(|run| options.collections.is_none() || names.contains(&run.collection));
        wanted
            .map(|run| (run.id.as_str().to_owned(), run))
            .collect()
    };
    let (a, b) = (by_id(pair.a.ledger().await?), by_id(pair.b.ledger().await?));
    let same = a.iter().filter(|(id, run)| b.get(*id) == Some(run)).count();
    if a == b || (options.depth == Depth::Contained && same == a.len()) {
        return Ok(None);
    }
    let shown = |runs: usize| Some(format!("{runs} runs, {same} of them as in the other"));
    Ok(Some(Fact {
        what: "ledger".to_owned(),
        a: shown(a.len()),
        b: shown(b.len()),
    }))
}

/// Compares all vectors of a space, bit for bit, as they come. A collection may share its space with others that are not
/// looked at: then what is in one store only says nothing.
async fn vectors(
    pair: Pair<'_>,
    space: &SpaceId,
    named: &str,
    options: &DiffOptions,
) -> Result<Option<Fact>, SyncError> {
    let (mut kept_a, mut kept_b) = (pair.a.vectors(space), pair.b.vectors(space));
    let (mut next_a, mut next_b) = (kept_a.try_next().await?, kept_b.try_next().await?);
    let (mut count_a, mut count_b, mut both, mut same) = (0_u64, 0_u64, 0_u64, 0_u64);
    loop {
        let order = match (&next_a, &next_b) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.vector.key.cmp(&b.vector.key),
        };
        if let (Ordering::Equal, Some(a), Some(b)) = (order, &next_a, &next_b) {
            both += 1;
            same += u64::from(same_bits(&a.vector.embedding, &b.vector.embedding));
        }
        if order != Ordering::Greater {
            count_a += 1;
            next_a = kept_a.try_next().await?;
        }
        if order != Ordering::Less {
            count_b += 1;
            next_b = kept_b.try_next().await?;
        }
    }
    let shown = |count: u64| Some(format!("{count} vectors, {same} of them as in the other"));
    let whole = options.collections.is_none();
    let lacking = same != count_a || (options.depth == Depth::Everything && same != count_b);
    let differs = same != both || (whole && lacking);
    Ok(differs.then(|| Fact {
        what: format!("vectors of {named}"),
        a: shown(count_a),
        b: shown(count_b),
    }))
}
