//! Owns what is kept between runs: trees of server programs, and the certificates of test servers. A tree is there as
//! a whole or not at all: it is built beside its place, marked, and renamed.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

const VARIABLE: &str = "SMART_SUPPORT_PG_CACHE";
/// A server that root starts runs as another account, which cannot look into root's home.
const OF_ROOT: &str = "/var/cache/smart-support/pg";
/// Written last.
const MARK: &str = "OK";

/// The directory of kept things.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Where it is, made where it is missing.
    pub(crate) fn open() -> Result<Self> {
        let is_root = postgres_harness::is_root();
        let root = place(
            &|name| std::env::var_os(name).filter(|value| !value.is_empty()),
            is_root,
        )
        .with_context(|| {
            format!("there is no home directory to keep servers in; set {VARIABLE}")
        })?;
        let root = std::path::absolute(root).context("cannot find the current directory")?;
        make_readable(&root)?;
        Ok(Self { root })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// What is kept under this name and recipe.
    pub(crate) fn find(&self, name: &str, recipe: &str) -> Option<PathBuf> {
        let path = self.path(&directory_name(name, recipe));
        path.join(MARK).is_file().then_some(path)
    }

    /// The same, built by `build` where it is missing. Whatever that writes outside its directory is lost.
    pub(crate) fn find_or_build(
        &self,
        name: &str,
        recipe: &str,
        build: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let _lock = self.lock(name)?;
        if let Some(found) = self.find(name, recipe) {
            return Ok(found);
        }
        let place = self.path(&directory_name(name, recipe));
        self.remove_unfinished(name)?;
        if place.exists() {
            std::fs::remove_dir_all(&place)
                .with_context(|| format!("cannot remove {}", place.display()))?;
        }
        let unfinished = self.path(&format!(
            "{}.tmp-{}",
            directory_name(name, recipe),
            std::process::id()
        ));
        make_readable(&unfinished)?;
        let built = build(&unfinished).and_then(|()| {
            std::fs::write(unfinished.join(MARK), recipe).context("cannot mark it as whole")?;
            std::fs::rename(&unfinished, &place)
                .with_context(|| format!("cannot move {}", unfinished.display()))
        });
        if built.is_err() {
            // What it left is in nobody's way, and goes with the next build.
            let _ = std::fs::remove_dir_all(&unfinished);
        }
        built.map(|()| place)
    }

    /// Held until the value is dropped; somebody else's is waited for.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        let path = self.path(&format!("{name}.lock"));
        let open = || File::options().create(true).append(true).open(&path);
        let lock = open().with_context(|| format!("cannot write {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => {
                eprintln!("pg: waiting for another run that holds {}", path.display());
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        lock.lock()
            .with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(lock)
    }

    /// Only called with the lock held: whoever began these is gone.
    fn remove_unfinished(&self, name: &str) -> Result<()> {
        let entries = std::fs::read_dir(&self.root)
            .with_context(|| format!("cannot list {}", self.root.display()))?;
        for entry in entries.flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            if file.starts_with(&format!("{name}-")) && file.contains(".tmp-") {
                std::fs::remove_dir_all(entry.path())
                    .with_context(|| format!("cannot remove {}", entry.path().display()))?;
            }
        }
        Ok(())
    }
}

/// `debian-0123456789abcdef`: another recipe is another tree.
fn directory_name(name: &str, recipe: &str) -> String {
    let digest = Sha256::digest(format!("{recipe}\n{}", std::env::consts::ARCH));
    let hex: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{name}-{hex}")
}

fn place(variable: &dyn Fn(&str) -> Option<OsString>, is_root: bool) -> Option<PathBuf> {
    if let Some(path) = variable(VARIABLE) {
        return Some(path.into());
    }
    if is_root {
        return Some(OF_ROOT.into());
    }
    let caches = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let caches = caches.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")))?;
    Some(caches.join("smart-support/pg"))
}

/// Another account runs what is in there, whatever the umask.
fn make_readable(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_readable(parent)?;
    }
    let made = DirBuilder::new().mode(0o755).create(path);
    match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.with_context(|| format!("cannot create {}", path.display()))?,
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o755))
        .with_context(|| format!("cannot open {} to others", path.display()))
}

/// Runs a program of a build; what it says is only shown when it fails.
pub(crate) fn quietly(command: &mut std::process::Command) -> Result<()> {
    let shown = crate::process::describe(command);
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let last = lines[lines.len().saturating_sub(5)..].join("; ");
        bail!("`{shown}` failed: {}: {last}", output.status);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_the_users_own_unless_root_must_share_it() {
        let home = ("HOME", "/h");
        let cases = [
            (vec![(VARIABLE, "/c"), home], false, Some("/c")),
            (vec![(VARIABLE, "/c")], true, Some("/c")),
            (vec![home], true, Some(OF_ROOT)),
            (vec![home], false, Some("/h/.cache/smart-support/pg")),
            (
                vec![home, ("XDG_CACHE_HOME", "/x")],
                false,
                Some("/x/smart-support/pg"),
            ),
            (vec![], false, None),
        ];
        for (variables, is_root, expected) in cases {
            let variable = |wanted: &str| {
                let found = variables.iter().find(|(name, _)| *name == wanted);
                found.map(|(_, value)| OsString::from(value))
            };
            let found = place(&variable, is_root);
            assert_eq!(
                found,
                expected.map(PathBuf::from),
                "{variables:?} {is_root}"
            );
        }
    }

    #[test]
    fn another_recipe_is_another_tree() {
        assert_eq!(directory_name("wheel", "1"), directory_name("wheel", "1"));
        assert_ne!(directory_name("wheel", "1"), directory_name("wheel", "2"));
        assert!(directory_name("wheel", "1").starts_with("wheel-"));
    }

    #[test]
    fn what_was_not_finished_is_not_found_and_is_built_anew() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache {
            root: place.path().to_owned(),
        };
        let failed = cache.find_or_build("a", "1", |path| {
            std::fs::write(path.join("half"), "")?;
            bail!("no more room")
        });
        assert!(format!("{:#}", failed.unwrap_err()).contains("no more room"));
        assert_eq!(cache.find("a", "1"), None);
        // A build that was killed leaves its directory.
        std::fs::create_dir(cache.path(&format!("{}.tmp-1", directory_name("a", "1")))).unwrap();
        let built = cache
            .find_or_build("a", "1", |path| Ok(std::fs::write(path.join("whole"), "")?))
            .unwrap();
        assert!(built.join("whole").is_file() && !built.join("half").exists());
        let again = cache.find_or_build("a", "1", |_| bail!("it is there"));
        assert_eq!(again.unwrap(), built);
        let names: Vec<_> = std::fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains(".tmp-"))
            .collect();
        assert!(names.is_empty(), "{names:?}");
    }
}
