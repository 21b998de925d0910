//! `status`: what a store holds.

use crate::app::App;
use crate::args::StatusArgs;
use crate::commands::running;
use crate::exit::{ExitCode, Failure};
use crate::parts::{self, Access};
use crate::wire;

pub(crate) async fn run(app: &App, args: &StatusArgs) -> Result<ExitCode, Failure> {
    let service = match &args.service {
        Some(url) => Some(running::drift(app, url).await?),
        None => None,
    };
    let opened = app.open_or_memory(Access::Read, None).await?;
    let status = opened.store.status().await?;
    let bytes = opened.store.bytes().await?;
    let cache = opened.store.cache_stats().await?;
    let document = wire::Status {
        store: parts::describe(&app.settings.store),
        store_origin: parts::origin(&app.settings.store),
        backend: status.backend,
        schema_version: status.schema_version,
        generation: status.generation.0,
        model: wire::Model::active(&status, app.collection()),
        collections: wire::Collection::all(&status),
        bytes: wire::Bytes {
            file: bytes.file,
            vectors: bytes.vectors,
            text: bytes.text,
            cache: cache.unreferenced_bytes,
        },
        writer: parts::writer(&app.settings.store).await,
        last_run: opened
            .store
            .runs(app.collection(), 1)
            .await?
            .first()
            .map(wire::Run::of),
        read_from: opened.store.read_from().await?.map(Into::into),
        degraded: opened.degraded,
        service,
    };
    print(app, &document);
    app.output.document(&document)?;
    Ok(ExitCode::Done)
}

fn print(app: &App, status: &wire::Status) {
    let output = app.output;
    output.print(format!(
        "Store       {} ({})",
        status.store, status.store_origin
    ));
    output.print(format!(
        "Backend     {}, schema {}, generation {}",
        status.backend, status.schema_version, status.generation
    ));
    if let Some(reason) = &status.degraded {
        output.print(format!("DEGRADED    {reason}"));
    }
    if let Some(read) = &status.read_from {
        let behind = match read.behind {
            Some(0) => "as far as the primary".to_owned(),
            Some(behind) => format!("{behind} behind the primary"),
            None => "the primary cannot be asked how far it is".to_owned(),
        };
        let sort = if read.standby { ", a standby" } else { "" };
        output.print(format!(
            "Read from   {}{sort}: generation {}, {behind}",
            read.place, read.generation
        ));
    }
    if let Some(writer) = &status.writer {
        output.print(format!("Writer      {writer}"));
    }
    let bytes = &status.bytes;
    output.print(format!(
        "Size        {} on disk: vectors {}, text {}, unreferenced vectors {}",
        size(bytes.file),
        size(bytes.vectors),
        size(bytes.text),
        size(bytes.cache)
    ));
    for collection in &status.collections {
        output.print(format!(
            "\nCollection  {}: {} templates in {} documents, generation {}, coverage {:.1}%",
            collection.name,
            collection.records,
            collection.documents,
            collection.generation,
            collection.coverage * 100.0
        ));
        if let Some(model) = &collection.model {
            output.print(format!(
                "Model       {} of {} ({} dimensions)",
                model.name, model.provider, model.dimensions
            ));
        }
        for count in &collection.records_by_category {
            output.print(format!(
                "  {:>6}  {}",
                count.records,
                count.category.as_deref().unwrap_or("(no category)")
            ));
        }
    }
    if let Some(service) = &status.service {
        output.print(format!("\nService     {}: {service}", service.url));
    }
    if let Some(run) = &status.last_run {
        let how = match run.state {
            "finished" => "finished",
            "failed" => "stopped; to resume, run the same command again",
            _ if status.writer.is_some() => "under way",
            _ => "not finished; to resume, run the same command again",
        };
        output.print(format!(
            "\nLast run    {} of {}: {} requests, {} texts, {} tokens, {how}",
            run.kind, run.started_at, run.requests, run.texts, run.tokens
        ));
    }
    if status.collections.is_empty() {
        output
            .print("\nNo entries yet; fill the store with `smart-support migrate --faq-path FILE`");
    }
}

/// Bytes for a person: `1.1 MB`.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
