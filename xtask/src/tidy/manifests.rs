//! Owns the rules on manifests: lints, version and publishing come from the workspace, third-party versions stand in
//! the root only, and a crate's folder has its name.

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use super::{Files, Finding};

const ROOT: &str = "Cargo.toml";

/// Checks the root's manifest and every member's.
pub(super) fn check(files: &Files) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (path, bytes) in files
        .iter()
        .filter(|(path, _)| is_member(path) || *path == ROOT)
    {
        let text = str::from_utf8(bytes).with_context(|| format!("{path} is not UTF-8"))?;
        findings.extend(if path == ROOT {
            check_root(text)?
        } else {
            check_member(path, text)?
        });
    }
    Ok(findings)
}

/// `crates/*/Cargo.toml`, and those of the folders beside `crates`.
fn is_member(path: &str) -> bool {
    match path.split('/').collect::<Vec<_>>().as_slice() {
        [folder, ROOT] => ["fuzz", "tests", "xtask"].contains(folder),
        ["crates", _, ROOT] => true,
        _ => false,
    }
}

fn check_root(text: &str) -> Result<Vec<Finding>> {
    let table: Table = text.parse().context("the root manifest is not TOML")?;
    let package = table
        .get("workspace")
        .and_then(|workspace| workspace.get("package"));
    let mut findings = Vec::new();
    if package
        .and_then(|package| package.get("version"))
        .and_then(Value::as_str)
        != Some("0.0.0")
    {
        findings.push(Finding::new(
            ROOT,
            line_of(text, "version"),
            "the workspace's version is 0.0.0: nothing is published",
        ));
    }
    if package
        .and_then(|package| package.get("publish"))
        .and_then(Value::as_bool)
        != Some(false)
    {
        findings.push(Finding::new(
            ROOT,
            line_of(text, "publish"),
            "the workspace must say publish = false",
        ));
    }
    Ok(findings)
}

fn check_member(path: &str, text: &str) -> Result<Vec<Finding>> {
    let table: Table = text
        .parse()
        .with_context(|| format!("{path} is not TOML"))?;
    let mut findings = Vec::new();
    let mut report =
        |key: &str, message: String| findings.push(Finding::new(path, line_of(text, key), message));
    if !table.get("lints").is_some_and(inherited) {
        report("[lints]", "needs [lints] workspace = true".to_owned());
    }
    let package = table
        .get("package")
        .and_then(Value::as_table)
        .with_context(|| format!("{path} has no [package]"))?;
    for (key, literal) in [
        ("version", Value::String("0.0.0".to_owned())),
        ("publish", Value::Boolean(false)),
    ] {
        if !package
            .get(key)
            .is_some_and(|value| inherited(value) || *value == literal)
        {
            report(key, format!("needs {key}.workspace = true"));
        }
    }
    let name = package
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if let ["crates", folder, _] = path.split('/').collect::<Vec<_>>().as_slice()
        && *folder != name
    {
        report(
            "name",
            format!("package {name} must have the name of its folder, {folder}"),
        );
    }
    let targets = table
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::values);
    for owner in targets.filter_map(Value::as_table).chain([&table]) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let dependencies = owner
                .get(kind)
                .and_then(Value::as_table)
                .into_iter()
                .flatten();
            for (dependency, _) in dependencies.filter(|(_, value)| !inherited(value)) {
                report(
                    dependency,
                    format!(
                        "{dependency} needs workspace = true, its version stands in the root manifest"
                    ),
                );
            }
        }
    }
    Ok(findings)
}

/// `{ workspace = true, … }`
fn inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

/// Number of the first line that starts with the key, for a message to point at.
fn line_of(text: &str, key: &str) -> usize {
    let starts = |line: &str| {
        let rest = line.trim_start().strip_prefix(key)?;
        (!rest.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_')).then_some(())
    };
    text.lines()
        .position(|line| starts(line).is_some())
        .map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]
name = \"a\"
version.workspace = true
publish.workspace = true
[lints]
workspace = true
[dependencies]
serde.workspace = true
clap = { workspace = true, optional = true }
";

    fn found(text: &str) -> String {
        let findings = check_member("crates/a/Cargo.toml", text).unwrap();
        findings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn members_inherit() {
        assert_eq!(found(GOOD), "");
        let cases = [
            ("[lints]\nworkspace = true\n", "", "needs [lints]"),
            (
                "version.workspace = true",
                "version = '1.0.0'",
                "Cargo.toml:3: needs version.workspace",
            ),
            ("publish.workspace = true", "", "needs publish.workspace"),
            (
                "name = \"a\"",
                "name = \"b\"",
                "Cargo.toml:2: package b must have the name of its folder, a",
            ),
            (
                "serde.workspace = true",
                "serde = \"1\"",
                "Cargo.toml:8: serde needs workspace = true",
            ),
            (
                "serde.workspace = true",
                "serde = { path = '../x' }",
                "serde needs workspace = true",
            ),
            (
                "[dependencies]",
                "[target.'cfg(unix)'.dev-dependencies]\nrustix = '1'\n[dependencies]",
                "rustix needs",
            ),
        ];
        for (from, to, expected) in cases {
            let found = found(&GOOD.replace(from, to));
            assert!(
                found.contains(expected) && found.lines().count() == 1,
                "{to}: {found}"
            );
        }
    }

    #[test]
    fn the_root_is_not_published() {
        let good = "[workspace.package]\nversion = '0.0.0'\npublish = false\n";
        assert!(check_root(good).unwrap().is_empty());
        assert_eq!(check_root("[workspace]\nmembers = []\n").unwrap().len(), 2);
    }

    #[test]
    fn members_are_told_from_other_manifests() {
        let cases = [
            ("crates/a/Cargo.toml", true),
            ("xtask/Cargo.toml", true),
            ("Cargo.toml", false),
            ("crates/a/fuzz/Cargo.toml", false),
        ];
        for (path, expected) in cases {
            assert_eq!(is_member(path), expected, "{path}");
        }
    }
}
