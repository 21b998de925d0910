//! A sync as a plan on disk: what is written of it, and how it is carried out.

use std::fs::File;
use std::path::{Path, PathBuf};

use embedder_client::Embedder;
use serde::{Deserialize, Serialize};
use storage_core::{CollectionName, EmbedText, StoreErrorKind, StoreStatus};
use sync_engine::{Change, SyncPlan};

use super::terms::PolicyWords;
use super::{Entrance, Means, Request, perform};
use crate::app::App;
use crate::args::ApplyArgs;
use crate::commands::source;
use crate::env;
use crate::exit::{ExitCode, Failure, usage};
use crate::output::shell_word;
use crate::parts::Access;
use crate::plan_file::{self, Ground, PlanFile, stale, stale_words};
use crate::settings::{ChunkSettings, Origin, SourceFrom, SourceSettings, StoreLocation};

/// The body of a plan of kind `sync`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Body {
    /// `migrate` or `sync`.
    command: String,
    mode: String,
    source: PlannedSource,
    policy: PolicyWords,
    counts: Counts,
    /// Digest of all that changes, texts included.
    changes: String,
    rows: Vec<Line>,
}

/// A source, and how it is read.
#[derive(Debug, Serialize, Deserialize)]
struct PlannedSource {
    path: PathBuf,
    /// Of the file's bytes.
    digest: String,
    map: Vec<(String, String)>,
    sheet: Option<String>,
    header_row: Option<u32>,
    /// How documents are cut, where somebody chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chunk_size: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chunk_overlap: Option<usize>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    chunk_by_tokens: bool,
    embed_text: Option<String>,
    #[serde(default)]
    data_set: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Counts {
    total: usize,
    new: usize,
    modified: usize,
    relabelled: usize,
    renamed: usize,
    rebound: usize,
    deleted: usize,
    withheld: usize,
    unchanged: usize,
    failed: usize,
}

/// What becomes of one row.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    id: String,
    #[serde(default, skip_serializing_if = "is_first")]
    chunk: u32,
    change: String,
    /// The id it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_first(chunk: &u32) -> bool {
    *chunk == 0
}

impl Body {
    pub(super) fn of(request: &Request<'_>, path: &Path, digest: String, plan: &SyncPlan) -> Self {
        let SourceSettings {
            from: _,
            map,
            sheet,
            header_row,
            chunking,
            embed_text,
            data_set,
        } = &request.source;
        let written = plan.rows.iter().map(|row| Line {
            id: row.document.key.document.clone(),
            chunk: row.document.key.chunk,
            change: row.change.as_str().to_owned(),
            from: match &row.change {
                Change::Renamed { from } => Some(from.document.clone()),
                _ => None,
            },
        });
        let deleted = plan.deletes.iter().map(|key| Line {
            id: key.document.clone(),
            chunk: key.chunk,
            change: "deleted".to_owned(),
            from: None,
        });
        Self {
            command: match request.entrance {
                Entrance::Migrate => "migrate",
                Entrance::Sync => "sync",
            }
            .to_owned(),
            mode: crate::wire::mode(plan.mode).to_owned(),
            source: PlannedSource {
                path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
                digest,
                map: map.clone(),
                sheet: sheet.clone(),
                header_row: *header_row,
                chunk_size: chunking.size,
                chunk_overlap: chunking.overlap,
                chunk_by_tokens: chunking.tokens,
                embed_text: embed_text.as_ref().map(|recipe| recipe.as_str().to_owned()),
                data_set: *data_set,
            },
            policy: request.policy.clone(),
            counts: Counts {
                total: plan.total,
                new: plan.added(),
                modified: plan.modified(),
                relabelled: plan.relabelled(),
                renamed: plan.renamed(),
                rebound: plan.count(|change| *change == Change::Rebound),
                deleted: plan.deletes.len(),
                withheld: plan.withheld,
                unchanged: plan.unchanged,
                failed: plan.failed.len(),
            },
            changes: plan.digest().to_hex(),
            rows: written.chain(deleted).collect(),
        }
    }

    fn entrance(&self) -> Entrance {
        match self.command.as_str() {
            "migrate" => Entrance::Migrate,
            _ => Entrance::Sync,
        }
    }

    /// The command that makes this plan of what is there now.
    fn again(&self, collection: &str, file: &Path) -> String {
        let mut words = vec!["smart-support".to_owned(), self.command.clone()];
        let mut flag = |name: &str, value: &str| {
            words.push(name.to_owned());
            words.push(shell_word(value));
        };
        let PlannedSource {
            path,
            map,
            sheet,
            header_row,
            chunk_size,
            chunk_overlap,
            chunk_by_tokens,
            embed_text,
            data_set,
            digest: _,
        } = &self.source;
        let named = if *data_set { "--input" } else { "--faq-path" };
        flag(named, &path.display().to_string());
        if collection != "faq" {
            flag("--collection", collection);
        }
        for (field, column) in map {
            flag("--map", &format!("{field}={column}"));
        }
        let header_row = header_row.map(|row| row.to_string());
        let chunk_size = chunk_size.map(|size| size.to_string());
        let chunk_overlap = chunk_overlap.map(|overlap| overlap.to_string());
        let chunk_by = chunk_by_tokens.then(|| "tokens".to_owned());
        let PolicyWords {
            allow_delete,
            only,
            category,
            force,
            missing,
            stale,
        } = &self.policy;
        for (name, value) in [
            ("--sheet", sheet),
            ("--header-row", &header_row),
            ("--chunk-size", &chunk_size),
            ("--chunk-overlap", &chunk_overlap),
            ("--chunk-by", &chunk_by),
            ("--embed-text", embed_text),
            ("--category", category),
            ("--allow-delete", allow_delete),
        ] {
            if let Some(value) = value {
                flag(name, value);
            }
        }
        for id in only {
            flag("--only", id);
        }
        flag("--plan-out", &file.display().to_string());
        for (given, name) in [
            (force, "--force-recompute"),
            (missing, "--missing"),
            (stale, "--stale"),
        ] {
            if *given {
                words.push(name.to_owned());
            }
        }
        words.join(" ")
    }
}

/// Whether a plan of this can be written there and carried out later at all; gives the source's file.
pub(super) fn check<'a>(
    app: &App,
    request: &'a Request<'_>,
    path: &Path,
) -> Result<&'a Path, Failure> {
    if app.settings.store == StoreLocation::SqliteMemory {
        return Err(usage(
            "a store in memory is gone with the command, so a plan for it could never be applied; leave --plan-out out, or \
             name a file with --store sqlite:PATH",
        ));
    }
    let Some(source) = request.source.file() else {
        return Err(usage(
            "a plan needs a source that can be read again as it is now, and rows of a database change; leave --plan-out \
             out, or save the rows into a file and name that",
        ));
    };
    if std::fs::metadata(source).is_ok_and(|found| !found.is_file()) || source == Path::new("-") {
        return Err(usage(format!(
            "a plan needs a source that can be read again, and {} is no file; save it into one and name that",
            source.display()
        )));
    }
    plan_file::check_target(path)?;
    Ok(source)
}

/// Digest of a source's bytes.
pub(super) fn source_digest(path: &Path) -> Result<String, Failure> {
    let mut hasher = blake3::Hasher::new();
    let hashed = File::open(path).and_then(|file| hasher.update_reader(file).map(drop));
    hashed.map_err(|error| {
        usage(format!(
            "the source {} cannot be read: {error}",
            path.display()
        ))
    })?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// A plan that somebody agreed on, and what it is compared with.
pub(super) struct Agreed<'a> {
    file: &'a Path,
    plan: &'a PlanFile,
    body: &'a Body,
    collection: &'a CollectionName,
    location: &'a StoreLocation,
    again: String,
}

impl Agreed<'_> {
    /// Refuses when source, store or model are not what the plan was made on.
    pub(super) fn check(
        &self,
        status: Option<&StoreStatus>,
        embedder: &dyn Embedder,
    ) -> Result<(), Failure> {
        let mut moved = Vec::new();
        let source = &self.body.source;
        if source_digest(&source.path)? != source.digest {
            moved.push(format!("the source {} has changed", source.path.display()));
        }
        moved.extend(self.plan.head.moved(&Ground {
            location: self.location,
            status,
            collection: self.collection,
            embedder,
        }));
        if moved.is_empty() {
            return Ok(());
        }
        Err(stale(self.file, &moved, &self.again))
    }

    /// Refuses when what would be done now is not what the plan says, whatever the reason.
    pub(super) fn approve(&self, plan: &SyncPlan) -> Result<(), String> {
        if plan.base.0 == self.plan.head.base() && plan.digest().to_hex() == self.body.changes {
            return Ok(());
        }
        let moved = "source and store come to other changes than it lists".to_owned();
        Err(stale_words(self.file, &[moved], &self.again))
    }
}

/// Carries a plan out, as the command would have that made it.
pub(crate) async fn apply(
    app: &App,
    args: &ApplyArgs,
    plan: &PlanFile,
) -> Result<ExitCode, Failure> {
    let body: Body = plan.body(&args.file)?;
    let collection = CollectionName::new(plan.head.collection.clone())
        .map_err(|error| usage(error.to_string()))?;
    let named = app.settings.layers.get(env::COLLECTION);
    let named = named.filter(|value| value.origin != Origin::Default);
    if let Some(other) = named.filter(|value| value.text != collection.as_str()) {
        return Err(Failure::new(
            ExitCode::Refused,
            format!(
                "the plan {} is for collection {collection}, not for {} ({}); leave --collection out",
                args.file.display(),
                other.text,
                other.origin
            ),
        ));
    }
    let embed_text = body.source.embed_text.as_deref().map(EmbedText::parse);
    let embed_text = embed_text
        .transpose()
        .map_err(|error| usage(error.to_string()))?;
    let agreed = Agreed {
        file: &args.file,
        plan,
        again: body.again(collection.as_str(), &args.file),
        body: &body,
        collection: &collection,
        location: &app.settings.store,
    };
    let request = Request {
        entrance: body.entrance(),
        source: SourceSettings {
            from: SourceFrom::File(body.source.path.clone()),
            map: body.source.map.clone(),
            sheet: body.source.sheet.clone(),
            header_row: body.source.header_row,
            chunking: ChunkSettings {
                size: body.source.chunk_size,
                overlap: body.source.chunk_overlap,
                tokens: body.source.chunk_by_tokens,
            },
            embed_text,
            data_set: body.source.data_set,
        },
        policy: body.policy.clone(),
        collection: collection.clone(),
        no_verify: args.no_verify,
        metadata_dir: args.metadata_dir.as_deref(),
        agreed: Some(&agreed),
    };
    let policy = request.policy()?;
    let means = Means::of(app)?;
    // First without writing anything: opening for writing may create a store or upgrade it.
    let status = match app.open(Access::Read, means.dimensions()).await {
        Ok(store) => Some(store.status().await?),
        Err(failure) if failure.store == Some(StoreErrorKind::NotFound) => None,
        Err(failure) => return Err(failure),
    };
    let means = match &status {
        Some(status) => means.follow(app, &request, status)?,
        None => means,
    };
    agreed.check(status.as_ref(), &*means.embedder)?;
    let first = source::read(&request.source)?;
    perform(app, &request, policy, means, first).await
}
