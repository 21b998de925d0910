//! The one place for printing: results on stdout, everything else on stderr.

use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write};
use std::sync::LazyLock;

use indicatif::MultiProgress;
use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::args::{GlobalArgs, LogFormat, When};
use crate::exit::Failure;

/// Bars that are on the screen; log lines go above them.
pub(crate) static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// How results are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    colour: bool,
    bars: bool,
}

/// The first key of every document says which contract it keeps.
#[derive(Serialize)]
struct Document<'a, T: Serialize> {
    schema: u32,
    #[serde(flatten)]
    body: &'a T,
}

impl Output {
    /// Reads the flags and sets up logging for the whole process.
    pub(crate) fn new(global: &GlobalArgs, service: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let wanted = |terminal: bool| match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                terminal
                    && !set("NO_COLOR")
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        let colour = wanted(std::io::stderr().is_terminal());
        init_logging(global, colour, service);
        Self {
            json: global.json,
            quiet: global.quiet,
            colour: wanted(std::io::stdout().is_terminal()),
            bars: std::io::stderr().is_terminal()
                && !global.quiet
                && global.log_format == LogFormat::Text,
        }
    }

    /// Whether bars may be drawn.
    pub(crate) fn has_bars(self) -> bool {
        self.bars
    }

    /// Prints a result for a person; nothing with `--json`.
    pub(crate) fn print(self, text: impl fmt::Display) {
        if !self.json {
            self.write(&text.to_string());
        }
    }

    /// Prints a line that a person who asked for quiet does not need.
    pub(crate) fn say(self, text: impl fmt::Display) {
        if !self.quiet {
            self.print(text);
        }
    }

    /// Prints a result for a program; nothing without `--json`.
    pub(crate) fn document<T: Serialize>(self, body: &T) -> Result<(), Failure> {
        if self.json {
            let document = Document { schema: 1, body };
            let text = serde_json::to_string_pretty(&document).map_err(std::io::Error::from)?;
            self.write(&text);
        }
        Ok(())
    }

    /// Prints text that is the same for people and programs, such as a completion script.
    pub(crate) fn raw(self, text: &str) {
        self.write(text.trim_end_matches('\n'));
    }

    /// A tick or a cross, in colour where that is wanted.
    pub(crate) fn mark(self, ok: bool) -> &'static str {
        match (ok, self.colour) {
            (true, true) => "\x1b[32m✓\x1b[0m",
            (true, false) => "✓",
            (false, true) => "\x1b[31m✗\x1b[0m",
            (false, false) => "✗",
        }
    }

    fn write(self, text: &str) {
        // A reader that has seen enough (`| head`) is no failure of ours.
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
}

/// A word of a command as a shell takes it.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "/._-+=:,@%".contains(char);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Prints a failure on stderr: even when the settings could not be read, so before or without any [`Output`].
pub(crate) fn print_failure(failure: &Failure) {
    print_error(failure);
}

/// Prints why the process ends, from wherever that is known.
pub(crate) fn print_error(why: impl fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "error: {why}");
}

fn init_logging(global: &GlobalArgs, colour: bool, service: bool) {
    // Our own steps are what a person wants to see; the libraries' only when asked for.
    let default = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn,smart_support=info,server=info",
        (false, 1) => {
            "warn,smart_support=debug,server=debug,sync_engine=info,embedder_client=info,storage_sqlite=info,storage_postgres=info,\
             local_model=info"
        }
        (false, 2) => {
            "info,smart_support=debug,server=debug,sync_engine=debug,embedder_client=debug,storage_sqlite=debug,storage_postgres=debug,\
             local_model=debug"
        }
        (false, _) => "debug",
    };
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::new(directives),
        _ => EnvFilter::new(default),
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(AboveBars);
    let registry = tracing_subscriber::registry();
    let outcome = match global.log_format {
        LogFormat::Json => registry.with(layer.json().with_filter(filter)).try_init(),
        LogFormat::Text if service => registry
            .with(
                // The colours are those of the lines; what is in their fields stays plain.
                layer
                    .with_ansi(false)
                    .event_format(ServiceLines { colour })
                    .with_filter(filter),
            )
            .try_init(),
        LogFormat::Text => registry
            .with(layer.event_format(Lines { colour }).with_filter(filter))
            .try_init(),
    };
    // A second subscriber could only come from a test that runs two commands in one process.
    let _ = outcome;
}

/// Writes log lines to stderr, above any bars.
struct AboveBars;

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = AboveBarsWriter;

    fn make_writer(&'a self) -> Self::Writer {
        AboveBarsWriter
    }
}

struct AboveBarsWriter;

impl Write for AboveBarsWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        BARS.suspend(|| std::io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Log lines as people know them: `[INFO] Found 201 templates across 6 categories`.
struct Lines {
    colour: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (word, code) = level(*event.metadata().level());
        if self.colour {
            write!(writer, "[\x1b[{code}m{word}\x1b[0m] ")?;
        } else {
            write!(writer, "[{word}] ")?;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        writeln!(writer, "{}{}", fields.message, fields.others)
    }
}

/// A level's word and colour.
fn level(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::ERROR => ("ERROR", "31"),
        Level::WARN => ("WARN", "33"),
        Level::INFO => ("INFO", "32"),
        Level::DEBUG => ("DEBUG", "34"),
        Level::TRACE => ("TRACE", "35"),
    }
}

/// Log lines of a service, which runs for long: the time first, and the request that a line is about.
struct ServiceLines {
    colour: bool,
}

impl<S, N> FormatEvent<S, N> for ServiceLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (word, code) = level(*event.metadata().level());
        let (dim, paint, reset) = if self.colour {
            ("\x1b[2m", format!("\x1b[{code}m"), "\x1b[0m")
        } else {
            ("", String::new(), "")
        };
        let now = humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string();
        // Who looks at a terminal knows the date.
        let now = if self.colour {
            now.get(11..23).unwrap_or(&now)
        } else {
            &now
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        write!(
            writer,
            "{dim}{now}{reset} {paint}{word:<5}{reset} {}{}",
            fields.message, fields.others
        )?;
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<N>>() {
                let id = fields.fields.trim_start_matches("id=");
                write!(writer, "  {dim}{id}{reset}")?;
            }
        }
        writeln!(writer)
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.others, " {name}={value:?}"),
        };
    }
}
