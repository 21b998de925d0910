//! How a sync looks while it runs: two bars on a terminal, else a line per tenth or per ten seconds.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sync_engine::{Progress, SyncMode, SyncPlan};

use crate::output::{BARS, Output};

/// Hears a sync and tells the user.
pub(crate) struct Reporter {
    output: Output,
    /// What the provider counts as one call.
    batch_size: usize,
    model: String,
    bars: Mutex<Option<Bars>>,
}

struct Bars {
    computing: Counter,
    storing: Counter,
}

impl Reporter {
    pub(crate) fn new(output: Output, batch_size: usize, model: String) -> Self {
        Self {
            output,
            batch_size,
            model,
            bars: Mutex::new(None),
        }
    }

    fn with(&self, change: impl FnOnce(&mut Bars)) {
        if let Some(bars) = self
            .bars
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .as_mut()
        {
            change(bars);
        }
    }
}

impl Progress for Reporter {
    fn planned(&self, plan: &SyncPlan) {
        if plan.mode != SyncMode::Initial {
            tracing::info!("Analyzing FAQ changes...");
        }
        for line in plan_lines(plan) {
            tracing::info!("{line}");
        }
    }

    fn embedding(&self, reused: usize, to_embed: usize, resumed: bool) {
        if to_embed == 0 {
            tracing::info!("No text to embed: {reused} vectors found by content");
            return;
        }
        if reused > 0 {
            let calls = to_embed.div_ceil(self.batch_size);
            let all = reused + to_embed;
            let what = if resumed { "Resuming" } else { "Reusing" };
            tracing::info!(
                "{what}: {reused} of {all} vectors already paid for, {to_embed} to embed ({calls} requests)"
            );
        }
        tracing::info!(
            "Computing {to_embed} embeddings with {} (batch size: {})",
            self.model,
            self.batch_size
        );
        let bars = Bars {
            computing: Counter::new("Computing embeddings", to_embed, self.output.has_bars()),
            storing: Counter::new("Storing embeddings", to_embed, self.output.has_bars()),
        };
        *self
            .bars
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(bars);
    }

    fn embedded(&self, texts: usize) {
        self.with(|bars| bars.computing.add(texts));
    }

    fn stored(&self, vectors: usize) {
        self.with(|bars| bars.storing.add(vectors));
    }

    fn applying(&self, rows: usize) {
        self.with(|bars| {
            bars.computing.finish();
            bars.storing.finish();
        });
        tracing::debug!("Applying {rows} changes in one transaction");
    }
}

/// The counts that are shown before any work.
pub(crate) fn plan_lines(plan: &SyncPlan) -> Vec<String> {
    let mut lines = vec![
        format!("├─ New templates: {}", plan.added()),
        format!("├─ Modified templates: {}", plan.modified()),
        format!(
            "├─ Relabelled templates: {}",
            plan.relabelled() + plan.renamed()
        ),
        format!("├─ Deleted templates: {}", plan.deletes.len()),
        format!("└─ Unchanged: {}", plan.unchanged),
    ];
    if plan.withheld > 0 {
        lines.push(format!(
            "{} stored templates are no longer in the source, but it could not be read in full: they stay",
            plan.withheld
        ));
    }
    lines
}

/// One bar, or the lines in its place.
pub(crate) struct Counter {
    label: &'static str,
    total: usize,
    done: usize,
    said: usize,
    said_at: Instant,
    bar: Option<ProgressBar>,
}

impl Counter {
    pub(crate) fn new(label: &'static str, total: usize, bars: bool) -> Self {
        let bar = bars.then(|| {
            let style = ProgressStyle::with_template(
                "{msg:22} {bar:30} {pos}/{len} ({percent}%) | {elapsed} elapsed",
            )
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("█▉▊▋▌▍▎▏ ");
            let bar = BARS.add(
                ProgressBar::new(total as u64)
                    .with_style(style)
                    .with_message(label),
            );
            bar.tick();
            bar
        });
        Self {
            label,
            total,
            done: 0,
            said: 0,
            said_at: Instant::now(),
            bar,
        }
    }

    /// Counts, and shows it when that is worth a line.
    pub(crate) fn add(&mut self, count: usize) {
        self.done += count;
        if let Some(bar) = &self.bar {
            bar.inc(count as u64);
            return;
        }
        let tenth = |count: usize| count * 10 / self.total.max(1);
        let due = tenth(self.done) > tenth(self.said)
            || self.said_at.elapsed() >= Duration::from_secs(10);
        if due {
            let percent = self.done * 100 / self.total.max(1);
            tracing::info!("{}: {}/{} ({percent}%)", self.label, self.done, self.total);
            self.said = self.done;
            self.said_at = Instant::now();
        }
    }

    /// Leaves the bar as it stands.
    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A download: a bar of bytes, or the lines in its place.
#[allow(dead_code, reason = "only a build with the local model downloads")]
pub(crate) struct Transfer {
    counter: Counter,
    done: u64,
}

#[allow(dead_code, reason = "only a build with the local model downloads")]
impl Transfer {
    pub(crate) fn new(label: &'static str, total_bytes: u64, bars: bool) -> Self {
        let kilobytes = usize::try_from(total_bytes / 1000).unwrap_or(usize::MAX);
        let counter = Counter::new(label, kilobytes, bars);
        if let Some(bar) = &counter.bar {
            let style = ProgressStyle::with_template(
                "{msg:22} {bar:30} {percent}% of {len} kB | {elapsed} elapsed",
            );
            bar.set_style(
                style
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("█▉▊▋▌▍▎▏ "),
            );
        }
        Self { counter, done: 0 }
    }

    /// So many bytes have arrived in all.
    pub(crate) fn set(&mut self, done_bytes: u64) {
        let kilobytes = done_bytes / 1000;
        self.counter
            .add(usize::try_from(kilobytes.saturating_sub(self.done)).unwrap_or_default());
        self.done = self.done.max(kilobytes);
    }
}
