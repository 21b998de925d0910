//! Owns `cargo xtask migrate` and `run`: building the product for an environment and becoming it.
//!
//! On a fresh checkout `migrate` names the fixture workbook as the source. It must never do so when anything else
//! names one, or the fixture would be synced into somebody's store.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::environment::Environment;
use crate::process;
use crate::workspace::{PRODUCT_BINARY, Workspace, forget_cargo_run};

/// The workbook of a fresh checkout.
const FIXTURE: &str = "fixtures/smart_support_vtb_belarus_faq_final.xlsx";

/// Flags of `smart-support migrate` that name a source.
const SOURCE_FLAGS: [&str; 4] = ["--faq-path", "--input", "--source-sql", "--source-url"];
/// Flags with which it reads none, or only when asked.
const SOURCELESS_FLAGS: [&str; 6] = [
    "--migrate-schema",
    "--validate",
    "--help",
    "-h",
    "--version",
    "-V",
];
/// Variables that name a source, also as keys of `.env` and of the settings file.
const SOURCE_VARIABLES: [&str; 2] = ["FAQ_PATH", "INPUT_DATASET"];

/// Runs `smart-support migrate ARGS`.
pub(crate) fn migrate(
    workspace: &Workspace,
    environment: &str,
    args: Vec<OsString>,
) -> Result<ExitCode> {
    let binary = build(workspace, environment)?;
    let dir = working_dir(workspace)?;
    let mut command = Command::new(binary);
    command.current_dir(&dir).arg("migrate");
    if needs_fixture(&args, &dir, |name| std::env::var_os(name)) {
        let fixture = if dir == workspace.root() {
            PathBuf::from(FIXTURE)
        } else {
            workspace.path(FIXTURE)
        };
        eprintln!("xtask: no source named; taking {}", fixture.display());
        command.arg("--faq-path").arg(fixture);
    }
    command.args(args);
    forget_cargo_run(&mut command);
    process::become_program(command)
}

/// Runs `smart-support ARGS`.
pub(crate) fn run(
    workspace: &Workspace,
    environment: &str,
    args: Vec<OsString>,
) -> Result<ExitCode> {
    let mut command = Command::new(build(workspace, environment)?);
    command.current_dir(working_dir(workspace)?).args(args);
    forget_cargo_run(&mut command);
    process::become_program(command)
}

/// Builds the release binary of an environment.
pub(crate) fn build(workspace: &Workspace, environment: &str) -> Result<PathBuf> {
    let environment = Environment::load(workspace, environment)?;
    if !workspace
        .metadata()?
        .target_directory
        .join("release")
        .join(PRODUCT_BINARY)
        .exists()
    {
        eprintln!(
            "xtask: building {PRODUCT_BINARY} ({}); the first build takes some minutes",
            environment.name
        );
    }
    environment.build(workspace, true)
}

fn working_dir(workspace: &Workspace) -> Result<PathBuf> {
    let dir = workspace.working_dir()?;
    if std::env::current_dir().is_ok_and(|current| current != dir) {
        eprintln!("xtask: relative paths count from {}", dir.display());
    }
    Ok(dir)
}

/// True when nothing names a source: no flag, no variable, no `.env`, no settings file.
fn needs_fixture(
    args: &[OsString],
    dir: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> bool {
    let by_flag = SOURCE_FLAGS
        .iter()
        .any(|flag| value_of(args, flag).is_some());
    let not_wanted = args
        .iter()
        .any(|arg| SOURCELESS_FLAGS.iter().any(|flag| arg == flag));
    let by_variable = SOURCE_VARIABLES
        .iter()
        .any(|name| variable(name).is_some_and(|value| !value.is_empty()));
    let by_file = [
        value_of(args, "--env-file").unwrap_or_else(|| ".env".into()),
        value_of(args, "--config").unwrap_or_else(|| "smart-support.toml".into()),
    ]
    .iter()
    .any(|file| std::fs::read_to_string(dir.join(file)).is_ok_and(|text| file_names_source(&text)));
    !(by_flag || not_wanted || by_variable || by_file)
}

/// The value of `--flag VALUE` or `--flag=VALUE`.
fn value_of(args: &[OsString], flag: &str) -> Option<OsString> {
    let with_equals = format!("{flag}=");
    args.iter().enumerate().find_map(|(at, arg)| {
        if arg == flag {
            return Some(args.get(at + 1).cloned().unwrap_or_default());
        }
        arg.to_str()?
            .strip_prefix(&with_equals)
            .map(|value| OsStr::new(value).to_owned())
    })
}

/// True when a line of a `.env` or TOML file gives a source variable a value.
fn file_names_source(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((key, value)) = line.split_once('=') else {
            return false;
        };
        let key = key.trim().to_uppercase().replace('-', "_");
        SOURCE_VARIABLES.contains(&key.as_str())
            && !value.trim().trim_matches(['"', '\'']).is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `variable` is `NAME=VALUE`.
    fn needs(args: &str, dir: &Path, variable: &str) -> bool {
        let args: Vec<OsString> = args.split_whitespace().map(Into::into).collect();
        needs_fixture(&args, dir, |name| {
            let (known, value) = variable.split_once('=')?;
            (known == name).then(|| value.into())
        })
    }

    #[test]
    fn the_fixture_is_taken_only_when_nothing_names_a_source() {
        let dir = tempfile::tempdir().unwrap();
        let cases = [
            ("", "", true),
            ("--dry-run --json", "", true),
            ("--sqlite-path x.db", "", true),
            ("--faq-path x.xlsx", "", false),
            ("--faq-path=x.xlsx", "", false),
            ("--input x.csv", "", false),
            ("--source-url=x", "", false),
            ("--migrate-schema", "", false),
            ("--validate", "", false),
            ("", "FAQ_PATH=x.xlsx", false),
            ("", "INPUT_DATASET=x.csv", false),
            ("", "FAQ_PATH=", true),
        ];
        for (args, variable, expected) in cases {
            assert_eq!(
                needs(args, dir.path(), variable),
                expected,
                "{args} {variable}"
            );
        }
    }

    #[test]
    fn files_name_a_source() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("other"), "INPUT_DATASET=x.csv").unwrap();
        assert!(needs("", dir.path(), ""));
        assert!(!needs("--env-file other", dir.path(), ""));
        std::fs::write(dir.path().join(".env"), "FAQ_PATH=x.xlsx\n").unwrap();
        assert!(!needs("", dir.path(), ""));
    }

    #[test]
    fn lines_that_name_a_source() {
        let cases = [
            ("FAQ_PATH=x", true),
            ("A=b\nexport FAQ_PATH = 'x y'", true),
            ("faq-path = \"x.xlsx\"", true),
            ("faq_path = \"x.xlsx\"", true),
            ("# FAQ_PATH=x", false),
            ("FAQ_PATH=", false),
            ("FAQ_PATH=\"\"", false),
            ("MY_FAQ_PATH=x", false),
        ];
        for (text, expected) in cases {
            assert_eq!(file_names_source(text), expected, "{text}");
        }
    }
}
