//! The product's binary, run with nothing of the caller's settings.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Where xtask says the binary is.
const BINARY_VARIABLE: &str = "SMART_SUPPORT_BIN";
/// All that a child sees of our environment: to find programs, and the weights at their usual place.
const KEPT_VARIABLES: [&str; 5] = ["PATH", "HOME", "XDG_DATA_HOME", "LD_LIBRARY_PATH", "TMPDIR"];

/// The binary.
#[derive(Debug)]
pub(crate) struct Product {
    binary: PathBuf,
}

/// Which embedder a run has.
#[derive(Debug, Clone)]
pub(crate) enum Provider {
    Hash,
    /// The default model in process.
    Local,
    /// The model in process that reads English.
    English,
    /// An OpenAI-compatible API at this address.
    Api(String),
}

impl Provider {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Local | Self::English => "local",
            Self::Api(_) => "openai",
        }
    }

    /// The model to name, where the provider has more than one.
    pub(crate) fn model(&self) -> Option<&'static str> {
        match self {
            Self::Local => Some("multilingual-e5-small"),
            Self::English => Some("all-MiniLM-L6-v2"),
            Self::Hash | Self::Api(_) => None,
        }
    }
}

/// A finished run.
#[derive(Debug)]
pub(crate) struct Ran {
    /// From the start of the process to its end, in ms.
    pub(crate) wall_ms: f64,
    /// What it printed.
    pub(crate) json: Value,
}

impl Ran {
    /// A number of the document, by its path such as `/seconds/total`.
    pub(crate) fn number(&self, pointer: &str) -> Result<f64> {
        number(&self.json, pointer)
    }
}

/// A number in a document.
pub(crate) fn number(json: &Value, pointer: &str) -> Result<f64> {
    let found = json.pointer(pointer).and_then(Value::as_f64);
    found.with_context(|| format!("the output has no number at {pointer}"))
}

/// What a store takes on the disk once its process has ended, a log that stayed included.
pub(crate) fn disk_bytes(store: &Path) -> Result<f64> {
    let mut bytes = std::fs::metadata(store)?.len();
    for suffix in ["-wal", "-shm"] {
        let mut beside = store.as_os_str().to_owned();
        beside.push(suffix);
        bytes += std::fs::metadata(beside).map_or(0, |file| file.len());
    }
    #[allow(clippy::cast_precision_loss, reason = "files are far below 2^52 bytes")]
    Ok(bytes as f64)
}

impl Product {
    pub(crate) fn find() -> Result<Self> {
        let binary = std::env::var_os(BINARY_VARIABLE)
            .map(PathBuf::from)
            .with_context(|| {
                format!("{BINARY_VARIABLE} names no binary; run this as `cargo xtask bench`")
            })?;
        if !binary.is_file() {
            bail!("no binary at {}", binary.display());
        }
        let binary = std::path::absolute(binary)?;
        Ok(Self { binary })
    }

    /// A command on a store, in the directory of the store.
    pub(crate) fn command<I>(&self, store: &Path, provider: &Provider, args: I) -> Command
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let directory = store.parent().unwrap_or(Path::new("."));
        let mut command = self.anywhere(directory, provider, args);
        command.arg("--sqlite-path").arg(store);
        command
    }

    fn anywhere<I>(&self, directory: &Path, provider: &Provider, args: I) -> Command
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let mut command = Command::new(&self.binary);
        clean(&mut command, directory);
        command.env("EMBEDDING_PROVIDER", provider.name());
        if let Some(model) = provider.model() {
            command.env("EMBEDDING_MODEL_NAME", model);
        }
        if let Provider::Api(url) = provider {
            command.env("EMBEDDING_BASE_URL", format!("{url}/v1"));
            command.env("EMBEDDING_API_KEY", "bench");
        }
        command.args(args).arg("--quiet").arg("--json");
        command
    }

    /// Runs a command on the store at an address and reads its document.
    pub(crate) fn run_on<I>(&self, url: &str, provider: &Provider, args: I) -> Result<Ran>
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let mut command = self.anywhere(&std::env::temp_dir(), provider, args);
        // Not as an argument, which every process may read.
        command.env("DATABASE_URL", url);
        finish(&mut command)
    }

    /// Runs a command and reads its document.
    pub(crate) fn run<I>(&self, store: &Path, provider: &Provider, args: I) -> Result<Ran>
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        finish(&mut self.command(store, provider, args))
    }
}

/// Takes the caller's settings away from a command.
fn clean(command: &mut Command, directory: &Path) {
    command.env_clear();
    for name in KEPT_VARIABLES {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("XDG_CONFIG_HOME", directory);
    command.current_dir(directory).stdin(Stdio::null());
}

/// Runs a command to its end; anything but success is an error with what it said.
fn finish(command: &mut Command) -> Result<Ran> {
    let started = Instant::now();
    let output = command.output().context("cannot start the binary")?;
    let wall_ms = started.elapsed().as_secs_f64() * 1e3;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}: {}", output.status, said.trim());
    }
    let json = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{command:?} printed no JSON"))?;
    Ok(Ran { wall_ms, json })
}
