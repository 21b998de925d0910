//! `lint`: what is wrong with a source, before anything is paid for. No store and no embedder takes part.

mod reject;

use std::collections::BTreeSet;

use faq_source::{Finding, Length, LintOptions, SourceRow, SourceSnapshot};
use storage_core::{CollectionName, Document, DocumentKey, EmbedText, SourceId};
use sync_engine::estimated_tokens;

use crate::app::App;
use crate::args::LintArgs;
use crate::commands::source;
use crate::exit::{ExitCode, Failure};
use crate::output::Output;
use crate::parts;
use crate::settings::SourceSettings;
use crate::wire;

pub(crate) fn run(app: &App, args: &LintArgs) -> Result<ExitCode, Failure> {
    let reject = args.reject.as_deref().map(reject::Target::of).transpose()?;
    let named = source::named(app, &args.source)?;
    if let Some(target) = &reject {
        target.check(named.file())?;
    }
    let snapshot = source::read_silently(&named)?;
    for notice in &snapshot.notices {
        tracing::info!("{notice}");
    }
    let recipe = recipe(&named);
    let tokens = |row: &SourceRow| estimated_tokens(embedded(&recipe, row).len() as u64);
    // Whatever is wrong with the embedder's settings is no business of a source.
    let embedder = app.settings.embedder().ok();
    let limit = embedder.as_ref().and_then(parts::token_limit);
    let options = LintOptions {
        length: limit.as_ref().map(|(model, limit)| Length {
            limit: *limit,
            model,
            tokens: &tokens,
        }),
    };
    let mut findings = faq_source::lint(&snapshot, &options);
    findings.retain(|finding| {
        (args.only.is_empty() || args.only.contains(&finding.kind))
            && !args.ignore.contains(&finding.kind)
    });
    print(app.output, &snapshot, &findings);
    if let Some(target) = reject {
        target.write(&snapshot, &findings)?;
    }
    app.output.document(&wire::Lint::of(&snapshot, &findings))?;
    Ok(if findings.is_empty() {
        ExitCode::Done
    } else {
        ExitCode::FaultsFound
    })
}

/// What is embedded of a row, as far as the source and its settings tell.
fn recipe(named: &SourceSettings) -> EmbedText {
    let own = named.embed_text.clone();
    own.or_else(|| source::first_embed_text(named))
        .unwrap_or_default()
}

fn embedded(recipe: &EmbedText, row: &SourceRow) -> String {
    let (Ok(collection), Ok(source)) = (CollectionName::new("lint"), SourceId::new("lint")) else {
        return String::new();
    };
    let row = row.clone();
    recipe.render(&Document {
        key: DocumentKey {
            collection,
            document: String::new(),
            chunk: row.chunk,
        },
        source,
        title: row.question,
        body: row.answer,
        category: row.category,
        subcategory: row.subcategory,
        metadata: row.metadata.into(),
        locator: row.locator,
    })
}

/// `row 57  duplicate-id  the id "T-041" stands in row 12 already`, a line a finding; at the end, how many.
fn print(output: Output, snapshot: &SourceSnapshot, findings: &[Finding]) {
    let place = |finding: &Finding| {
        let locator = &finding.locator;
        match (locator.row, &finding.id, locator.page) {
            (Some(row), ..) => format!("row {row}"),
            (None, Some(id), Some(page)) => format!("{id}, page {page}"),
            (None, Some(id), None) => id.clone(),
            (None, None, _) => "source".to_owned(),
        }
    };
    let width = findings
        .iter()
        .map(|finding| place(finding).chars().count())
        .max();
    let width = width.unwrap_or_default();
    let kinds = findings.iter().map(|finding| finding.kind.as_str().len());
    let kind_width = kinds.max().unwrap_or_default();
    for finding in findings {
        let column = match &finding.column {
            Some(column) => format!("{column}: "),
            None => String::new(),
        };
        output.print(format!(
            "{:<width$}  {:<kind_width$}  {column}{}",
            place(finding),
            finding.kind,
            finding.message
        ));
    }
    let read = counted(snapshot.entries(), "row");
    let of = format!("{read} read from {}", snapshot.location);
    if findings.is_empty() {
        output.print(format!("{} Nothing found: {of}", output.mark(true)));
        return;
    }
    let rows: BTreeSet<_> = findings.iter().map(place).collect();
    let kinds = faq_source::counts(findings);
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    output.print(format!(
        "\n{} {} in {}: {}; {of}",
        output.mark(false),
        counted(findings.len(), "finding"),
        counted(rows.len(), "row"),
        kinds.join(", ")
    ));
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
