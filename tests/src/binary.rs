//! Finds the product.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The repository.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The product: `SMART_SUPPORT_BIN`, else the one beside the test executable, else built now.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = variable("SMART_SUPPORT_BIN") {
            assert!(path.is_file(), "SMART_SUPPORT_BIN names no file: {path:?}");
            return path;
        }
        let path = beside_tests().join(format!("smart-support{}", std::env::consts::EXE_SUFFIX));
        if !path.is_file() {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
            let mut command = Command::new(cargo);
            command
                .args(["build", "-p", "cli"])
                .current_dir(workspace());
            assert!(
                command.status().unwrap().success(),
                "the product does not build"
            );
        }
        assert!(path.is_file(), "no binary at {path:?}");
        path
    })
}

/// The product built with SQLite only, where `cargo xtask test` built one.
#[must_use]
pub fn slim_binary() -> Option<PathBuf> {
    variable("SMART_SUPPORT_SLIM_BIN")
}

fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    // Tests run the binary from other directories.
    Some(std::path::absolute(value).unwrap())
}

/// `target/debug`: test executables are in `deps` below it, other binaries of this package in it.
fn beside_tests() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let directory = executable.parent().unwrap();
    if directory.ends_with("deps") {
        directory.parent().unwrap().to_owned()
    } else {
        directory.to_owned()
    }
}
