//! The provider `debian`: Debian 12's own PostgreSQL 15 in a directory of ours, with pgvector compiled from Debian's
//! source package. It speaks TLS. The steps are in `debian.sh`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use postgres_harness::Programs;

use super::cache::{Cache, quietly};
use super::smoke;

const NAME: &str = "debian";
const SCRIPT: &str = include_str!("debian.sh");
/// The release whose server the script unpacks.
const CODENAME: &str = "bookworm";

/// The programs, if they were built before.
pub(super) fn cached(cache: &Cache) -> Option<Programs> {
    programs(&cache.find(NAME, SCRIPT)?).ok()
}

/// The programs, built where they are missing.
pub(super) fn programs_of(cache: &Cache) -> Result<Programs> {
    let tree = cache.find_or_build(NAME, SCRIPT, |directory| {
        let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        if !system
            .lines()
            .any(|line| line == format!("VERSION_CODENAME={CODENAME}"))
        {
            bail!(
                "this is not Debian 12; install PostgreSQL with pgvector (postgresql-NN-pgvector) and use --pg system"
            );
        }
        for (program, package) in [("apt-get", "apt"), ("dpkg-deb", "dpkg"), ("cc", "gcc libc6-dev")] {
            if let Err(error) = quietly(Command::new(program).arg("--version")) {
                bail!("needs {program} (apt-get install {package}): {error:#}");
            }
        }
        let (mirror, file) = mirror()?;
        eprintln!("pg: building Debian's PostgreSQL 15 with pgvector, half a minute");
        quietly(
            Command::new("sh")
                .args(["-c", SCRIPT, "debian.sh"])
                .args([directory, Path::new(&mirror), &file]),
        )?;
        smoke::test(&programs(directory)?)
    })?;
    programs(&tree)
}

fn programs(tree: &Path) -> Result<Programs> {
    let triplet = std::fs::read_to_string(tree.join("triplet")).context("the tree is damaged")?;
    let triplet = triplet.trim();
    let usr = tree.join("tree/usr/lib");
    let mut libraries = OsString::from(usr.join(triplet));
    libraries.push(":");
    libraries.push(tree.join("tree/lib").join(triplet));
    Ok(Programs {
        bin: usr.join("postgresql/15/bin"),
        libraries: Some(libraries),
    })
}

/// The mirror that this machine takes Debian itself from, and the file that names it.
pub(super) fn mirror() -> Result<(String, PathBuf)> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let parts = std::fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten();
    files.extend(parts.flatten().map(|entry| entry.path()));
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let name = file.to_string_lossy();
        let found = if name.ends_with(".sources") {
            stanza_mirror(&text)
        } else if name.ends_with(".list") {
            line_mirror(&text)
        } else {
            None
        };
        if let Some(mirror) = found {
            return Ok((mirror, file));
        }
    }
    bail!("no apt source of this machine has the suite {CODENAME} with the component main")
}

/// Reads the format of `*.sources`: stanzas of `Key: value`.
fn stanza_mirror(text: &str) -> Option<String> {
    let without_comments = text.lines().filter(|line| !line.starts_with('#'));
    let text: Vec<&str> = without_comments.collect();
    text.join("\n").split("\n\n").find_map(|stanza| {
        let field = |key: &str| {
            stanza.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case(key)
                    .then(|| value.split_whitespace())
            })
        };
        let is_debian = field("Types")?.any(|word| word == "deb")
            && field("Suites")?.any(|word| word == CODENAME)
            && field("Components")?.any(|word| word == "main")
            && field("Enabled").is_none_or(|mut value| value.next() != Some("no"));
        is_debian.then(|| field("URIs")?.next().map(str::to_owned))?
    })
}

/// Reads the format of `*.list`: `deb [options] URI suite component…`.
fn line_mirror(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        let mirror = words.next()?;
        let suite = words.next()?;
        (suite == CODENAME && words.any(|word| word == "main")).then(|| mirror.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_one_debian_itself_comes_from() {
        let lines = "\
            # deb http://commented.example/debian bookworm main\n\
            deb https://vendor.example/apt cloud-bookworm main\n\
            deb http://security.example/debian bookworm-security main\n\
            deb [arch=amd64 signed-by=/k] http://mirror.example/debian bookworm main contrib\n";
        assert_eq!(
            line_mirror(lines).as_deref(),
            Some("http://mirror.example/debian")
        );
        assert_eq!(
            line_mirror("deb https://d.example/linux bookworm stable"),
            None
        );
        let stanzas = "\
            Types: deb\nURIs: http://security.example/debian\nSuites: bookworm-security\nComponents: main\n\n\
            Types: deb deb-src\n# http://snapshot.example\nURIs: http://mirror.example/debian http://second.example\n\
            Suites: bookworm bookworm-updates\nComponents: main\n";
        assert_eq!(
            stanza_mirror(stanzas).as_deref(),
            Some("http://mirror.example/debian")
        );
        assert_eq!(
            stanza_mirror(&format!("Enabled: no\n{}", &stanzas[93..])),
            None
        );
        assert_eq!(
            stanza_mirror("Types: deb\nURIs: x\nSuites: trixie\nComponents: main"),
            None
        );
    }
}
