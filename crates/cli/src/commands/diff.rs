//! `diff`: what two stores do not have in common.

use std::collections::BTreeSet;

use storage_core::Locator;
use sync_engine::{CollectionDifference, Depth, DiffOptions, Fact, Side, StoreDifference};

use crate::app::App;
use crate::args::DiffArgs;
use crate::exit::{ExitCode, Failure};
use crate::output::Output;
use crate::parts::{self, Access, Opening};
use crate::wire;

/// Rows of a collection that programs are told of.
const ROWS: usize = 1_000;

pub(crate) async fn run(app: &App, args: &DiffArgs) -> Result<ExitCode, Failure> {
    let (a, b) = (
        app.settings.store_at(&args.a)?,
        app.settings.store_at(&args.b)?,
    );
    let reading = || Opening {
        access: Access::Read,
        ..app.opening()
    };
    let (store_a, store_b) = (
        parts::open(&a, reading()).await?,
        parts::open(&b, reading()).await?,
    );
    let named = app.settings.named_collection();
    let options = DiffOptions {
        collections: named.map(|name| BTreeSet::from([name.clone()])),
        depth: match args.all_versions {
            true => Depth::Everything,
            false => Depth::Served,
        },
        rows: ROWS,
    };
    let found = sync_engine::diff(&*store_a, &*store_b, &options).await?;
    let (a, b) = (parts::describe(&a), parts::describe(&b));
    app.output.say(format!(
        "A  {a} (generation {})\nB  {b} (generation {})\n",
        found.generations.0.0, found.generations.1.0
    ));
    print(app.output, &found, args.limit.into());
    let seconds = app.started.elapsed().as_secs_f64();
    app.output
        .document(&wire::Diff::of(&found, a, b, seconds))?;
    Ok(match found.is_equal() {
        true => ExitCode::Done,
        false => ExitCode::FaultsFound,
    })
}

/// Prints a difference for a person.
pub(crate) fn print(output: Output, found: &StoreDifference, limit: usize) {
    if found.is_equal() {
        let rows: u64 = found
            .collections
            .iter()
            .map(|collection| collection.same)
            .sum();
        output.print(format!(
            "{} Equal: {} with {}, every field and every vector bit for bit",
            output.mark(true),
            counted(found.collections.len() as u64, "collection"),
            counted(rows, "row")
        ));
        return;
    }
    for fact in &found.facts {
        output.print(told(fact));
    }
    for collection in &found.collections {
        one(output, collection, limit);
    }
}

fn one(output: Output, found: &CollectionDifference, limit: usize) {
    let name = &found.name;
    let elsewhere = match found.side {
        Side::A => Some(("A", found.records.0)),
        Side::B => Some(("B", found.records.1)),
        Side::Both => None,
    };
    if let Some((side, rows)) = elsewhere {
        let rows = counted(rows, "row");
        output.print(format!("{name}: the collection is only in {side}, {rows}"));
        return;
    }
    if found.is_equal() {
        output.print(format!("{name}: equal, {}", counted(found.same, "row")));
        return;
    }
    output.print(format!(
        "{name}: {} only in A, {} only in B, {} different, {} the same",
        found.only_a, found.only_b, found.different, found.same
    ));
    for fact in &found.facts {
        output.print(format!("  {}", told(fact)));
    }
    for row in found.rows.iter().take(limit) {
        let chunk = match row.key.chunk {
            0 => String::new(),
            chunk => format!(" chunk {chunk}"),
        };
        let what = match row.side {
            Side::A => "only in A".to_owned(),
            Side::B => "only in B".to_owned(),
            Side::Both => {
                let fields: Vec<_> = row.fields.iter().map(|field| field.as_str()).collect();
                fields.join(", ")
            }
        };
        let place = place(&row.locator);
        output.print(format!("  {}{chunk}{place}: {what}", row.key.document));
    }
    let left = found.rows_that_differ() - found.rows.len().min(limit) as u64;
    if left > 0 && limit > 0 {
        output.print(format!(
            "  and {left} more; list more of them with --limit or --json"
        ));
    }
}

fn told(fact: &Fact) -> String {
    let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    format!(
        "{}: {} in A, {} in B",
        fact.what,
        side(&fact.a),
        side(&fact.b)
    )
}

fn place(locator: &Locator) -> String {
    match (&locator.sheet, locator.row) {
        (Some(sheet), Some(row)) => format!(" ({sheet}, row {row})"),
        (None, Some(row)) => format!(" (row {row})"),
        _ => String::new(),
    }
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    let ending = match (count, what.ends_with("ch")) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{count} {what}{ending}")
}
