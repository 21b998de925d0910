//! pgbouncer for tests: the one that is installed, or Debian's in a directory of ours. The steps are in `pgbouncer.sh`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use postgres_harness::BouncerProgram;

use super::cache::{Cache, quietly};
use super::debian;

const NAME: &str = "pgbouncer";
const SCRIPT: &str = include_str!("pgbouncer.sh");

/// The program, unpacked where it is neither installed nor kept.
pub(super) fn program(cache: &Cache) -> Result<BouncerProgram> {
    if let Some(path) = installed() {
        let program = BouncerProgram {
            path,
            libraries: None,
        };
        runs(&program)?;
        return Ok(program);
    }
    let tree = cache.find_or_build(NAME, SCRIPT, |directory| {
        for program in ["apt-get", "dpkg-deb"] {
            if let Err(error) = quietly(Command::new(program).arg("--version")) {
                bail!("install pgbouncer (it is neither on PATH nor can it be unpacked, which needs {program}: {error:#})");
            }
        }
        let (_, file) = debian::mirror()?;
        eprintln!("pg: unpacking Debian's pgbouncer");
        quietly(
            Command::new("sh")
                .args(["-c", SCRIPT, "pgbouncer.sh"])
                .args([directory, &file]),
        )?;
        runs(&unpacked(directory)?)
    })?;
    unpacked(&tree)
}

fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Where Debian keeps it, whoever asks.
    places.push("/usr/sbin".into());
    let mut files = places.into_iter().map(|place| place.join(NAME));
    files.find(|file| file.is_file())
}

fn unpacked(tree: &Path) -> Result<BouncerProgram> {
    let usr = tree.join("tree/usr");
    let mut libraries = OsString::from(usr.join("lib"));
    let places = std::fs::read_dir(usr.join("lib"));
    for place in places.into_iter().flatten().flatten() {
        if place.path().is_dir() {
            libraries.push(":");
            libraries.push(place.path());
        }
    }
    let path = usr.join("sbin").join(NAME);
    if !path.is_file() {
        bail!("there is no {}", path.display());
    }
    Ok(BouncerProgram {
        path,
        libraries: Some(libraries),
    })
}

/// One whose libraries are missing says so now and not in a test.
fn runs(program: &BouncerProgram) -> Result<()> {
    quietly(program.command().arg("--version")).context("pgbouncer does not run")
}
