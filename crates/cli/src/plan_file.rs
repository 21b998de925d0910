//! A plan on disk: what was shown and agreed on, with what it stands on, so that it can be carried out later or not at
//! all.
//!
//! JSON, whose last key is a digest of every byte before it. The head is of every kind of plan; the body is the kind's
//! own. No secret is in it, and no vector.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use embedder_client::Embedder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use storage_core::{CollectionName, ModelSpec, StoreStatus};

use crate::exit::{ExitCode, Failure, usage};
use crate::settings::StoreLocation;
use crate::{app, parts, private_file, wire};

/// The format this build writes and reads.
const SCHEMA: u32 = 1;
/// The kind of a plan that brings a source into a store.
pub(crate) const SYNC: &str = "sync";
/// A version to be built.
pub(crate) const BUILD: &str = "build";
/// Bytes of a plan of a million rows, and some.
const LARGEST: u64 = 256 << 20;
/// What stands between the plan and its digest.
const BEFORE_DIGEST: &str = ",\n  \"digest\": \"";
const AFTER_DIGEST: &str = "\"\n}\n";

/// What every plan says of itself and of what it stands on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Head {
    schema: u32,
    pub(crate) kind: String,
    /// RFC 3339, UTC.
    made_at: String,
    made_by: String,
    store: PlannedStore,
    pub(crate) collection: String,
    /// The collection's generation.
    base: u64,
    /// The version that the collection serves.
    active: Option<String>,
    model: PlannedModel,
    estimate: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PlannedStore {
    /// `None` for a store that is yet to be created.
    id: Option<String>,
    location: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PlannedModel {
    provider: String,
    name: String,
    /// As far as it is known before the first answer.
    dimensions: Option<u32>,
    revision: String,
    query_prefix: String,
    passage_prefix: String,
    normaliser: u16,
}

impl PlannedModel {
    fn of(embedder: &dyn Embedder) -> Self {
        let ModelSpec {
            name,
            dimensions,
            revision,
            query_prefix,
            passage_prefix,
            normaliser,
        } = embedder.spec().clone();
        Self {
            provider: embedder.provider().to_owned(),
            name,
            dimensions: dimensions.map(std::num::NonZeroU32::get),
            revision,
            query_prefix,
            passage_prefix,
            normaliser,
        }
    }

    fn in_words(&self, other: &Self) -> String {
        let dimensions = self
            .dimensions
            .map_or_else(String::new, |count| format!(" ({count} dimensions)"));
        let mut words = format!("{} of {}{dimensions}", self.name, self.provider);
        if self.revision != other.revision {
            words.push_str(&format!(", revision {:?}", self.revision));
        }
        if (&self.query_prefix, &self.passage_prefix, self.normaliser)
            != (&other.query_prefix, &other.passage_prefix, other.normaliser)
        {
            words.push_str(&format!(
                ", prefixes {:?} and {:?}, normaliser {}",
                self.query_prefix, self.passage_prefix, self.normaliser
            ));
        }
        words
    }
}

/// What a plan stands on, as it is at this moment.
pub(crate) struct Ground<'a> {
    pub(crate) location: &'a StoreLocation,
    /// `None` where there is no store yet.
    pub(crate) status: Option<&'a StoreStatus>,
    pub(crate) collection: &'a CollectionName,
    pub(crate) embedder: &'a dyn Embedder,
}

impl Ground<'_> {
    /// The collection's generation.
    pub(crate) fn generation(&self) -> u64 {
        let known = self
            .status
            .and_then(|status| status.collection(self.collection));
        known.map_or(0, |known| known.generation.0)
    }

    fn active(&self) -> Option<String> {
        let known = self.status?.collection(self.collection)?;
        known.active.as_ref().map(ToString::to_string)
    }

    /// Where the store is, wherever the next command is run from.
    fn location(&self) -> String {
        match self.location {
            StoreLocation::Sqlite(path, _) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                format!("sqlite:{}", path.display())
            }
            other => parts::describe(other),
        }
    }
}

impl Head {
    /// The head of a plan made at this moment.
    pub(crate) fn new(
        kind: &str,
        ground: &Ground<'_>,
        estimate: &wire::Estimate,
    ) -> Result<Self, Failure> {
        Ok(Self {
            schema: SCHEMA,
            kind: kind.to_owned(),
            made_at: wire::time(app::now()),
            made_by: concat!("smart-support ", env!("CARGO_PKG_VERSION")).to_owned(),
            store: PlannedStore {
                id: ground.status.map(|status| status.store_id.clone()),
                location: ground.location(),
            },
            collection: ground.collection.to_string(),
            base: ground.generation(),
            active: ground.active(),
            model: PlannedModel::of(ground.embedder),
            estimate: serde_json::to_value(estimate).map_err(std::io::Error::from)?,
        })
    }

    /// The collection's generation that it was made on.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// What is not as it was when the plan was made, each in a few words; empty when the plan still stands.
    pub(crate) fn moved(&self, ground: &Ground<'_>) -> Vec<String> {
        let mut moved = Vec::new();
        let id = ground.status.map(|status| &status.store_id);
        let location = ground.location();
        let another = match (&self.store.id, id) {
            (Some(planned), Some(found)) => planned != found,
            (Some(_), None) => {
                moved.push(format!("there is no store at {location} any more"));
                return moved;
            }
            // Planned for a store that was yet to be created: a run that was cut off may have got that far.
            (None, _) => self.store.location != location,
        };
        if another {
            moved.push(format!(
                "it was made for another store ({}), not for {location}",
                self.store.location
            ));
            // Nothing else can be compared.
            return moved;
        }
        let model = PlannedModel::of(ground.embedder);
        if self.model != model {
            moved.push(format!(
                "the model is {} and was {}",
                model.in_words(&self.model),
                self.model.in_words(&model)
            ));
        }
        let name = |version: &Option<String>| {
            version.as_ref().map_or_else(
                || "none".to_owned(),
                |id| id.get(..8).unwrap_or(id).to_owned(),
            )
        };
        let active = ground.active();
        if self.active != active {
            moved.push(format!(
                "collection {} serves version {} and served {}",
                self.collection,
                name(&active),
                name(&self.active)
            ));
        }
        let generation = ground.generation();
        if self.base != generation {
            moved.push(format!(
                "the store has changed: collection {} is at generation {generation} and was at {}",
                self.collection, self.base
            ));
        }
        moved
    }
}

/// A refusal of a plan that no longer stands, with the command that makes a new one.
pub(crate) fn stale(path: &Path, moved: &[String], again: &str) -> Failure {
    Failure::new(ExitCode::Refused, stale_words(path, moved, again))
}

/// The words of that refusal.
pub(crate) fn stale_words(path: &Path, moved: &[String], again: &str) -> String {
    format!(
        "the plan {} does not stand any more: {}. Nothing was sent and nothing was written; make a new plan: {again}",
        path.display(),
        moved.join("; ")
    )
}

/// A plan as it was read: its head, and the body of its kind.
pub(crate) struct PlanFile {
    pub(crate) head: Head,
    text: String,
}

impl PlanFile {
    /// Reads a plan that nobody has touched since it was written.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Probe {
            schema: u64,
            kind: String,
        }
        const AGAIN: &str = "make a new one with `smart-support sync --plan-out FILE`";
        let shown = path.display();
        let text = read_limited(path)?;
        let probe: Probe = serde_json::from_str(&text).map_err(|error| {
            // The parser repeats what it did not expect; only the place is told.
            usage(format!(
                "{shown} is no plan, or a damaged one (line {}, column {}); {AGAIN}",
                error.line(),
                error.column()
            ))
        })?;
        if probe.schema != u64::from(SCHEMA) {
            return Err(Failure::new(
                ExitCode::Refused,
                format!(
                    "the plan {shown} has schema {}, this build reads {SCHEMA}; {AGAIN}",
                    probe.schema
                ),
            ));
        }
        if !is_whole(&text) {
            return Err(Failure::new(
                ExitCode::Refused,
                format!(
                    "the plan {shown} was edited or damaged since it was made: its digest does not fit; {AGAIN}"
                ),
            ));
        }
        if ![SYNC, BUILD].contains(&probe.kind.as_str()) {
            return Err(usage(format!(
                "the plan {shown} is of kind {:?}, which this build cannot apply",
                probe.kind
            )));
        }
        let head = parse(path, &text)?;
        Ok(Self { head, text })
    }

    /// The body, which is the kind's own.
    pub(crate) fn body<T: DeserializeOwned>(&self, path: &Path) -> Result<T, Failure> {
        parse(path, &self.text)
    }
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        usage(format!(
            "the plan {} lacks what this build needs ({error}); make a new one",
            path.display()
        ))
    })
}

fn read_limited(path: &Path) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| {
        usage(format!(
            "the plan {} cannot be read: {error}",
            path.display()
        ))
    };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(LARGEST + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > LARGEST {
        return Err(usage(too_large(path)));
    }
    Ok(text)
}

fn too_large(path: &Path) -> String {
    format!(
        "{} is larger than {} MiB, which no plan is; take a part with --only or --category",
        path.display(),
        LARGEST >> 20
    )
}

fn is_whole(text: &str) -> bool {
    text.rfind(BEFORE_DIGEST).is_some_and(|at| {
        let (plan, rest) = text.split_at(at);
        rest[BEFORE_DIGEST.len()..].strip_suffix(AFTER_DIGEST) == Some(&digest(plan.as_bytes()))
    })
}

fn digest(bytes: &[u8]) -> String {
    storage_core::ContentHash::of(bytes).to_hex()
}

/// Freezes a plan: for its owner only, and never over a file that is no plan.
pub(crate) fn write(path: &Path, head: &Head, body: &impl Serialize) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Whole<'a, T: Serialize> {
        #[serde(flatten)]
        head: &'a Head,
        #[serde(flatten)]
        body: &'a T,
    }
    let mut text =
        serde_json::to_string_pretty(&Whole { head, body }).map_err(std::io::Error::from)?;
    // The brace of the document makes way for the digest.
    text.truncate(text.len() - "\n}".len());
    let digest = digest(text.as_bytes());
    text.push_str(BEFORE_DIGEST);
    text.push_str(&digest);
    text.push_str(AFTER_DIGEST);
    if text.len() as u64 > LARGEST {
        return Err(usage(too_large(path)));
    }
    private_file::write(path, text.as_bytes()).map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            format!("the plan cannot be written to {}: {error}", path.display()),
        )
    })
}

/// Refuses a name that something else has already: a plan that replaces the source it was made of helps nobody.
pub(crate) fn check_target(path: &Path) -> Result<(), Failure> {
    let Ok(found) = std::fs::metadata(path) else {
        return Ok(());
    };
    let mut begun = [0; 16];
    let is_plan = found.is_file()
        && File::open(path)
            .and_then(|mut file| file.read_exact(&mut begun))
            .is_ok()
        && begun.starts_with(b"{\n  \"schema\": ");
    if is_plan {
        return Ok(());
    }
    Err(usage(format!(
        "--plan-out names {}, which is there and is no plan; name another file",
        path.display()
    )))
}
