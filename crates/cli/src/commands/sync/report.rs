//! What a sync says when it is done.

use std::path::Path;

use sync_engine::{SyncMode, SyncReport};

use super::terms::dollars;
use super::{Entrance, Request, Work};
use crate::commands::{source, validate};
use crate::exit::{ExitCode, Failure};
use crate::{parts, private_file, wire};

impl Work<'_> {
    pub(super) async fn finish(
        mut self,
        request: &Request<'_>,
        report: &SyncReport,
        validation: Option<(storage_core::IntegrityReport, f64)>,
        read_seconds: f64,
        source_read: Option<wire::SourceRead>,
    ) -> Result<ExitCode, Failure> {
        let output = self.app.output;
        let mut document = wire::Sync::of(report, self.collection.as_str(), self.describe());
        document.model = self.model().await?;
        document.degraded.clone_from(&self.degraded);
        document.cost = self.spend.cost(report.tokens);
        document.seconds.read = read_seconds;
        document.source = source_read;
        if let Some((checks, seconds)) = &validation {
            document.validation = Some(checks.into());
            document.seconds.verify = *seconds;
            validate::print(output, checks, &self.store.status().await?);
        }
        for row in &report.failed {
            let place = source::place(
                row.locator.sheet.as_deref(),
                row.locator.row,
                row.column.as_deref(),
            );
            output.print(format!("{} {place}: {}", output.mark(false), row.reason));
        }
        let store = std::mem::replace(&mut self.store, parts::memory());
        document.bytes = parts::bytes_on_disk(&self.app.settings.store, store).await;
        document.seconds.total = self.app.started.elapsed().as_secs_f64();
        self.print_report(
            request.entrance,
            report,
            document.seconds.total,
            document.bytes,
        );
        if let Some(directory) = request.metadata_dir {
            write_report(directory, &document)?;
        }
        output.document(&document)?;
        let valid = validation.is_none_or(|(checks, _)| checks.is_ok());
        Ok(match (valid, report.failed.is_empty()) {
            (false, _) => ExitCode::FaultsFound,
            (true, false) => ExitCode::SomeRowsFailed,
            (true, true) => ExitCode::Done,
        })
    }

    fn print_report(&self, entrance: Entrance, report: &SyncReport, seconds: f64, bytes: u64) {
        let output = self.app.output;
        let title = match (report.mode, report.applied) {
            (_, false) if !report.failed.is_empty() => {
                "Nothing was applied: every change failed, or the new version is not complete."
            }
            (_, false) => "Up to date: nothing changed.",
            (SyncMode::Initial, _) if entrance == Entrance::Migrate => "Migration complete!",
            (SyncMode::Initial, _) => "Sync complete!",
            (SyncMode::Incremental, _) => "Incremental update complete!",
            (SyncMode::Forced, _) => "Recompute complete: the new version is live.",
        };
        let total = report.total + report.failed.len();
        let saved = total.saturating_sub(report.embedded);
        #[allow(
            clippy::cast_precision_loss,
            reason = "row counts and file sizes are far below 2^52"
        )]
        let (percent, megabytes) = (
            saved as f64 * 100.0 / total.max(1) as f64,
            bytes as f64 / 1e6,
        );
        output.say("");
        output.say(title);
        output.say(format!("├─ Total time: {seconds:.1} seconds"));
        output.say(format!("├─ Templates processed: {}", report.total));
        output.say(format!(
            "├─ API calls saved: {saved} of {total} templates ({percent:.1}%), {} requests made",
            report.requests
        ));
        if report.tokens > 0 {
            output.say(format!(
                "├─ Billed: {} tokens{}",
                report.tokens,
                dollars(self.spend.cost(report.tokens))
            ));
        }
        if !report.failed.is_empty() {
            output.say(format!("├─ Failed: {} (listed above)", report.failed.len()));
        }
        output.say(format!("├─ Database size: {megabytes:.1} MB"));
        output.say(format!("└─ Storage path: {}", self.describe()));
        if entrance == Entrance::Migrate && self.degraded.is_none() {
            output.say("\nNext steps:");
            output.say("1. Ask: smart-support search \"QUESTION\"");
            output.say("2. After the FAQ has changed: smart-support sync --faq-path FILE");
            output.say("3. Check the store at any time: smart-support validate");
        }
    }
}

/// Writes the JSON report beside others.
fn write_report(directory: &Path, document: &wire::Sync) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document).map_err(std::io::Error::from)?;
    private_file::report(directory, "smart-support-report.json", &text)
}
