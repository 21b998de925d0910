//! A build as a plan on disk: what is written of it, and how it is carried out.

use std::path::Path;

use embedder_client::Embedder;
use serde::{Deserialize, Serialize};
use storage_core::{CollectionName, EmbedText, StoreStatus, VersionId};
use sync_engine::{BuildOptions, BuildPlan};

use super::Spender;
use super::build::{Wanted, carry_out};
use crate::app::App;
use crate::args::ApplyArgs;
use crate::exit::{ExitCode, Failure, usage};
use crate::output::shell_word;
use crate::parts;
use crate::plan_file::{self, BUILD, Ground, Head, PlanFile, stale};
use crate::settings::StoreLocation;
use crate::wire;

/// The body of a plan of kind `build`.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    /// The model as the provider knows it.
    name: String,
    /// The version, where it was named or is known.
    version: Option<String>,
    embed_text: String,
    force_recompute: bool,
    /// Rows of the collection, and those without a vector in the version.
    records: u64,
    rows: usize,
    to_embed: usize,
    reused: usize,
}

/// Whether a plan can be written there and carried out later at all.
pub(super) fn check(app: &App, path: &Path) -> Result<(), Failure> {
    if app.settings.store == StoreLocation::SqliteMemory {
        return Err(usage(
            "a store in memory is gone with the command, so a plan for it could never be applied; leave --plan-out out, or \
             name a file with --store sqlite:PATH",
        ));
    }
    plan_file::check_target(path)
}

pub(super) fn write(
    path: &Path,
    ground: &Ground<'_>,
    estimate: &wire::Estimate,
    plan: &BuildPlan,
    options: &BuildOptions,
) -> Result<(), Failure> {
    let head = Head::new(BUILD, ground, estimate)?;
    let body = Body {
        name: ground.embedder.spec().name.clone(),
        version: options.version.as_ref().map(ToString::to_string),
        embed_text: plan.embed_text.as_str().to_owned(),
        force_recompute: options.force_recompute,
        records: plan.records,
        rows: plan.rows,
        to_embed: plan.estimate.texts,
        reused: plan.reused,
    };
    plan_file::write(path, &head, &body)
}

/// A plan that somebody agreed on.
pub(super) struct Agreed<'a> {
    file: &'a Path,
    plan: &'a PlanFile,
    collection: &'a CollectionName,
    location: &'a StoreLocation,
    again: String,
}

impl Agreed<'_> {
    /// Refuses when store or model are not what the plan was made on.
    pub(super) fn check(
        &self,
        status: &StoreStatus,
        embedder: &dyn Embedder,
    ) -> Result<(), Failure> {
        let moved = self.plan.head.moved(&Ground {
            location: self.location,
            status: Some(status),
            collection: self.collection,
            embedder,
        });
        if moved.is_empty() {
            return Ok(());
        }
        Err(stale(self.file, &moved, &self.again))
    }
}

/// Carries a plan out, as `model build` would have that made it.
pub(crate) async fn apply(
    app: &App,
    args: &ApplyArgs,
    plan: &PlanFile,
) -> Result<ExitCode, Failure> {
    let body: Body = plan.body(&args.file)?;
    let collection = CollectionName::new(plan.head.collection.clone())
        .map_err(|error| usage(error.to_string()))?;
    let embed_text =
        EmbedText::parse(&body.embed_text).map_err(|error| usage(error.to_string()))?;
    let mut settings = app.settings.embedder()?;
    settings.model = Some(body.name.clone());
    let spender = Spender::new(app, parts::embedder(&settings, app.output)?)?;
    let words = [
        "smart-support model build",
        &shell_word(body.version.as_deref().unwrap_or(&body.name)),
        "--embed-text",
        &shell_word(&body.embed_text),
        "--collection",
        collection.as_str(),
        "--plan-out",
        &shell_word(&args.file.display().to_string()),
    ];
    let forced = if body.force_recompute {
        " --force-recompute"
    } else {
        ""
    };
    let agreed = Agreed {
        file: &args.file,
        plan,
        collection: &collection,
        location: &app.settings.store,
        again: words.join(" ") + forced,
    };
    let wanted = Wanted {
        options: BuildOptions {
            embed_text: Some(embed_text),
            force_recompute: body.force_recompute,
            version: body.version.as_deref().map(VersionId::from_stored),
        },
        collection: collection.clone(),
    };
    carry_out(app, &wanted, spender, Some(&agreed)).await
}
