//! The checkout: where it is, how cargo is called in it, which files it has, and building the product.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::metadata::Metadata;
use crate::process;

/// Package and binary that every command builds.
pub(crate) const PRODUCT_PACKAGE: &str = "cli";
pub(crate) const PRODUCT_BINARY: &str = "smart-support";

/// One checkout.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

/// How to build the product.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) release: bool,
    /// `--features`, `--no-default-features`
    pub(crate) feature_args: Vec<String>,
    /// A target directory of its own, so that it does not replace the usual binary.
    pub(crate) target_dir: Option<PathBuf>,
}

impl Workspace {
    /// The checkout this xtask was started from, else the one it was built in.
    pub(crate) fn locate() -> Result<Self> {
        let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
            .map(PathBuf::from)
            .filter(|dir| dir.ends_with("xtask"))
            .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let root = manifest_dir
            .parent()
            .context("xtask has no folder above it")?
            .to_owned();
        if !root.join("Cargo.toml").is_file() {
            bail!("no workspace at {}", root.display());
        }
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside the checkout.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Reads a text file of the checkout.
    pub(crate) fn read(&self, relative: &str) -> Result<String> {
        std::fs::read_to_string(self.path(relative))
            .with_context(|| format!("cannot read {relative}"))
    }

    /// Where a program that users mean for this checkout works: the current directory if it lies elsewhere, else the
    /// root, so that `data/` is the checkout's.
    pub(crate) fn working_dir(&self) -> Result<PathBuf> {
        let current = std::env::current_dir().context("cannot find the current directory")?;
        let inside = match (current.canonicalize(), self.root.canonicalize()) {
            (Ok(current), Ok(root)) => current.starts_with(root),
            _ => current.starts_with(&self.root),
        };
        Ok(if inside { self.root.clone() } else { current })
    }

    /// Cargo, started in the root.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        forget_cargo_run(&mut command);
        command
    }

    /// What the manifests say. Resolves nothing, so it needs neither network nor lock file.
    pub(crate) fn metadata(&self) -> Result<Metadata> {
        let json =
            process::output(
                self.cargo()
                    .args(["metadata", "--format-version", "1", "--no-deps"]),
            )?;
        Metadata::parse(&json)
    }

    /// Paths of the checkout's files as git sees them, tracked or about to be, relative and with `/`.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let mut git = Command::new("git");
        git.current_dir(&self.root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let mut files: Vec<String> = process::output(&mut git)?
            .split('\0')
            .filter(|path| !path.is_empty() && self.path(path).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Builds the product, with cargo's own output on stderr, and returns the path of the binary.
    pub(crate) fn build(&self, build: &Build) -> Result<PathBuf> {
        let mut cargo = self.cargo();
        cargo.args(["build", "-p", PRODUCT_PACKAGE, "--bin", PRODUCT_BINARY]);
        cargo.args(["--message-format", "json-render-diagnostics"]);
        cargo.args(build.release.then_some("--release"));
        cargo.args(&build.feature_args);
        if let Some(dir) = &build.target_dir {
            cargo.arg("--target-dir").arg(dir);
        }
        let messages = process::output(&mut cargo)?;
        executable(&messages, PRODUCT_BINARY).with_context(|| {
            format!("cargo built no binary `{PRODUCT_BINARY}` in package `{PRODUCT_PACKAGE}`")
        })
    }
}

/// Takes away what `cargo run` told xtask about xtask: some build scripts would run again for it, and it is wrong for
/// any other program.
pub(crate) fn forget_cargo_run(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(OsString::from(&name));
        }
    }
}

/// Finds a binary in cargo's messages.
fn executable(messages: &str, binary: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| {
            message["reason"] == "compiler-artifact" && message["target"]["name"] == binary
        })
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_found_among_messages() {
        let messages = concat!(
            "not json\n",
            r#"{"reason":"compiler-artifact","target":{"name":"cli"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"smart-support"},"executable":"/t/smart-support"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(
            executable(messages, "smart-support"),
            Some(PathBuf::from("/t/smart-support"))
        );
        assert_eq!(executable(messages, "other"), None);
    }
}
