//! Commands to type: with the source, the store and the collection that this run was given by flags, so that what is
//! mended is what was looked at.

use super::place;
use crate::app::App;
use crate::args::DoctorArgs;
use crate::env;
use crate::parts;
use crate::settings::Origin;

/// `smart-support` with this command, on the same store.
pub(super) fn command(app: &App, words: &str) -> String {
    let typed = |key| {
        app.settings
            .layers
            .get(key)
            .is_some_and(|value| value.origin == Origin::Flag)
    };
    let mut command = format!("smart-support {words}");
    if typed(env::STORE) || typed(env::SQLITE_PATH) || typed(env::STORAGE_BACKEND) {
        let store = parts::describe(&app.settings.store);
        command.push_str(&format!(" --store {}", place::quoted(store.as_ref())));
    }
    if typed(env::COLLECTION) {
        let name = app.collection().as_str();
        command.push_str(&format!(" --collection {}", place::quoted(name.as_ref())));
    }
    command
}

/// The same, reading the source that was named; `FILE` where none was.
pub(super) fn with_source(app: &App, args: &DoctorArgs, words: &str) -> String {
    let (flag, value) = match app.settings.source(&args.source) {
        Ok(Some(named)) => {
            let (flag, value) = named.flag();
            (flag, place::quoted(value.as_ref()))
        }
        _ => ("--faq-path", "FILE".to_owned()),
    };
    command(app, &format!("{words} {flag} {value}"))
}
