//! The source: readable, clean, and what the store has.

use super::finding::Finding;
use super::place;
use super::remedy;
use super::store::Opened;
use crate::app::App;
use crate::args::DoctorArgs;
use crate::commands::source;

const SOURCE: &str = "source";
const ROWS: &str = "source_rows";
const FRESH: &str = "freshness";

/// Faults that are named; the count tells of the others.
const NAMED: usize = 3;

pub(super) async fn look(app: &App, args: &DoctorArgs, opened: Option<&Opened>) -> Vec<Finding> {
    let skipped = |names: &[&'static str], why: &str| {
        names
            .iter()
            .map(|name| Finding::skipped(name, why))
            .collect::<Vec<_>>()
    };
    let named = match app.settings.source(&args.source) {
        Ok(Some(named)) => named,
        Ok(None) => {
            return skipped(
                &[SOURCE, ROWS, FRESH],
                "no source is named; --faq-path FILE compares one with the store",
            );
        }
        // The settings' finding says why.
        Err(_) => {
            return skipped(
                &[SOURCE, ROWS, FRESH],
                "the source's settings cannot be read",
            );
        }
    };
    let snapshot = match source::read(&named) {
        Ok(read) => read.snapshot,
        Err(failure) => {
            let mut findings = vec![Finding::failure(
                SOURCE,
                &failure,
                "name a file that can be read with --faq-path FILE, its sheet with --sheet NAME, its columns with \
                 --map question=COLUMN --map answer=COLUMN",
            )];
            findings.extend(skipped(&[ROWS, FRESH], "the source cannot be read"));
            return findings;
        }
    };
    let mut findings = vec![Finding::fine(
        SOURCE,
        format!(
            "{} entries in {} categories read from {}",
            snapshot.rows.len(),
            snapshot.categories(),
            snapshot.location
        ),
    )];
    let issues: Vec<String> = snapshot
        .issues
        .iter()
        .map(|issue| {
            let place = source::place(
                issue.locator.sheet.as_deref(),
                issue.locator.row,
                issue.column.as_deref(),
            );
            format!("{place}: {}", issue.problem)
        })
        .collect();
    findings.push(if issues.is_empty() {
        Finding::fine(ROWS, "every row can be used")
    } else {
        let more = issues.len().saturating_sub(NAMED);
        let tail = if more > 0 {
            format!(", and {more} more")
        } else {
            String::new()
        };
        Finding::fault(
            ROWS,
            format!("{}{tail}", issues[..issues.len().min(NAMED)].join("; ")),
            match named.file() {
                Some(path) => format!("mend these rows in {}", place::quoted(path)),
                None => format!("mend these rows in {}", snapshot.location),
            },
        )
    });
    let Some(Opened { store, .. }) = opened else {
        findings.extend(skipped(&[FRESH], "there is no open store to compare with"));
        return findings;
    };
    findings.push(
        match source::against_store(app, &**store, &named, snapshot).await {
            Ok(found) if found.check.ok => Finding::fine(FRESH, found.check.detail),
            Ok(found) => Finding::fault(
                FRESH,
                found.check.detail,
                remedy::with_source(app, args, "sync"),
            ),
            Err(failure) => {
                Finding::failure(FRESH, &failure, "smart-support validate --faq-path FILE")
            }
        },
    );
    findings
}
