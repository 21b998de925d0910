//! Owns `deploy/environments/*.toml`: which features a deployment is built with, and which crates it must not contain.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::workspace::{Build, Workspace};

/// The environment that `migrate` and `run` build unless told otherwise.
pub(crate) const DEFAULT: &str = "dev";

const FOLDER: &str = "deploy/environments";

/// One deployment's build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) default_features: bool,
    pub(crate) features: Vec<String>,
    pub(crate) forbidden: BTreeSet<String>,
}

impl Environment {
    /// Reads one file's text. Unknown keys are faults: a misspelt `forbidden` would forbid nothing.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self> {
        let table: toml::Table = text
            .parse()
            .with_context(|| format!("environment {name} is not TOML"))?;
        let known = ["description", "default-features", "features", "forbidden"];
        if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
            bail!(
                "environment {name} has an unknown key `{key}`; known are {}",
                known.join(", ")
            );
        }
        let description = table.get("description").and_then(toml::Value::as_str);
        let default_features = table.get("default-features").and_then(toml::Value::as_bool);
        Ok(Self {
            name: name.to_owned(),
            description: description
                .with_context(|| format!("environment {name} has no description"))?
                .to_owned(),
            default_features: default_features.with_context(|| {
                format!("environment {name} does not say default-features = true or false")
            })?,
            features: words(&table, name, "features")?,
            forbidden: words(&table, name, "forbidden")?.into_iter().collect(),
        })
    }

    /// Builds the product as this environment has it.
    pub(crate) fn build(&self, workspace: &Workspace, release: bool) -> Result<PathBuf> {
        workspace.build(&Build {
            release,
            feature_args: self.cargo_args(),
            target_dir: None,
        })
    }

    /// Reads the environment of this name.
    pub(crate) fn load(workspace: &Workspace, name: &str) -> Result<Self> {
        let names = names(workspace)?;
        if !names.iter().any(|known| known == name) {
            bail!(
                "no environment `{name}` in {FOLDER}; there are {}",
                names.join(", ")
            );
        }
        Self::parse(name, &workspace.read(&format!("{FOLDER}/{name}.toml"))?)
    }

    /// Reads all of them, by name.
    pub(crate) fn load_all(workspace: &Workspace) -> Result<Vec<Self>> {
        names(workspace)?
            .iter()
            .map(|name| Self::load(workspace, name))
            .collect()
    }

    /// What to tell cargo.
    pub(crate) fn cargo_args(&self) -> Vec<String> {
        feature_args(self.default_features, &self.features)
    }
}

/// `--no-default-features` and `--features`, as cargo takes them.
pub(crate) fn feature_args(default_features: bool, features: &[String]) -> Vec<String> {
    let mut args = Vec::new();
    if !default_features {
        args.push("--no-default-features".to_owned());
    }
    if !features.is_empty() {
        args.extend(["--features".to_owned(), features.join(",")]);
    }
    args
}

fn names(workspace: &Workspace) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(workspace.path(FOLDER))
        .with_context(|| format!("cannot list {FOLDER}"))?
    {
        let file = entry
            .with_context(|| format!("cannot list {FOLDER}"))?
            .file_name();
        names.extend(
            file.to_string_lossy()
                .strip_suffix(".toml")
                .map(str::to_owned),
        );
    }
    names.sort();
    Ok(names)
}

fn words(table: &toml::Table, name: &str, key: &str) -> Result<Vec<String>> {
    let Some(value) = table.get(key) else {
        return Ok(Vec::new());
    };
    let fault = || format!("environment {name}: `{key}` must be a list of strings");
    let items = value.as_array().with_context(fault)?;
    items
        .iter()
        .map(|item| item.as_str().map(str::to_owned).with_context(fault))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_become_cargo_arguments() {
        let cases = [
            ("default-features = true", ""),
            ("default-features = false", "--no-default-features"),
            ("default-features = true\nfeatures = ['a']", "--features a"),
            (
                "default-features = false\nfeatures = ['a', 'b']",
                "--no-default-features --features a,b",
            ),
        ];
        for (text, expected) in cases {
            let environment =
                Environment::parse("x", &format!("description = 'd'\n{text}")).unwrap();
            assert_eq!(environment.cargo_args().join(" "), expected, "{text}");
        }
    }

    #[test]
    fn faults_are_named() {
        let cases = [
            (
                "description = 'd'\ndefault-features = true\nforbiden = []",
                "unknown key `forbiden`",
            ),
            ("description = 'd'", "default-features"),
            ("default-features = true", "description"),
            (
                "description = 'd'\ndefault-features = true\nfeatures = 'a'",
                "list of strings",
            ),
        ];
        for (text, expected) in cases {
            let error = Environment::parse("x", text).unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn the_committed_environments_are_readable() {
        let all = Environment::load_all(&Workspace::locate().unwrap()).unwrap();
        assert!(all.iter().any(|environment| environment.name == DEFAULT));
    }
}
