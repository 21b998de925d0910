//! Owns the few facts of `cargo metadata --no-deps` that the checks look at, as plain values.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The workspace as its manifests describe it.
#[derive(Debug, Clone)]
pub(crate) struct Metadata {
    pub(crate) target_directory: PathBuf,
    pub(crate) members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Relative to the root, with `/`.
    pub(crate) manifest: String,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    /// On other members only.
    pub(crate) edges: Vec<Edge>,
}

/// A dependency on a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) to: String,
    pub(crate) kind: EdgeKind,
    pub(crate) default_features: bool,
    pub(crate) features: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EdgeKind {
    Normal,
    Build,
    Dev,
}

impl Metadata {
    /// Reads cargo's JSON.
    pub(crate) fn parse(json: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(json).context("cargo metadata is not JSON")?;
        let root = text(&json, "workspace_root")?;
        let members = list(&json, "packages")?
            .iter()
            .map(|package| member(package, &root))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            target_directory: text(&json, "target_directory")?.into(),
            members,
        })
    }
}

fn member(package: &Value, root: &str) -> Result<Member> {
    let name = text(package, "name")?;
    let manifest = text(package, "manifest_path")?;
    let manifest = manifest
        .strip_prefix(root)
        .unwrap_or(&manifest)
        .replace('\\', "/");
    let features = package["features"]
        .as_object()
        .context("a package without a table of features")?
        .iter()
        .map(|(feature, brings)| (feature.clone(), texts(brings)))
        .collect();
    // A dependency with a path is one on a member: the workspace has no other paths.
    let edges = list(package, "dependencies")?
        .iter()
        .filter(|dependency| dependency["path"].is_string())
        .map(edge)
        .collect::<Result<Vec<_>>>()?;
    Ok(Member {
        name,
        manifest: manifest.trim_start_matches('/').to_owned(),
        features,
        edges,
    })
}

fn edge(dependency: &Value) -> Result<Edge> {
    Ok(Edge {
        to: text(dependency, "name")?,
        kind: match dependency["kind"].as_str() {
            Some("dev") => EdgeKind::Dev,
            Some("build") => EdgeKind::Build,
            _ => EdgeKind::Normal,
        },
        default_features: dependency["uses_default_features"]
            .as_bool()
            .unwrap_or(true),
        features: texts(&dependency["features"]),
    })
}

fn text(value: &Value, key: &str) -> Result<String> {
    value[key]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("cargo metadata has no `{key}`"))
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key]
        .as_array()
        .with_context(|| format!("cargo metadata has no list `{key}`"))
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_their_edges_are_read() {
        let json = r#"{
            "workspace_root": "/x", "target_directory": "/t",
            "packages": [{
                "name": "a", "manifest_path": "/x/crates/a/Cargo.toml", "features": {"default": ["f"], "f": []},
                "dependencies": [
                    {"name": "b", "kind": null, "path": "/x/crates/b", "uses_default_features": false, "features": ["g"]},
                    {"name": "c", "kind": "dev", "path": "/x/crates/c", "uses_default_features": true, "features": []},
                    {"name": "serde", "kind": null, "uses_default_features": true, "features": []}
                ]
            }]
        }"#;
        let metadata = Metadata::parse(json).unwrap();
        assert_eq!(metadata.target_directory, PathBuf::from("/t"));
        let [a] = metadata.members.as_slice() else {
            panic!()
        };
        assert_eq!(
            (a.name.as_str(), a.manifest.as_str()),
            ("a", "crates/a/Cargo.toml")
        );
        assert_eq!(a.features["default"], ["f"]);
        assert_eq!(
            a.edges,
            [
                Edge {
                    to: "b".into(),
                    kind: EdgeKind::Normal,
                    default_features: false,
                    features: vec!["g".into()]
                },
                Edge {
                    to: "c".into(),
                    kind: EdgeKind::Dev,
                    default_features: true,
                    features: vec![]
                },
            ]
        );
    }
}
