//! Writes `fixtures/stores/schema-N.db`, and beside it what the build that made it said of it:
//! `make-store [BINARY]`. Without a binary today's is asked. What there is already is never replaced.

use std::path::Path;
use std::process::ExitCode;

use integration_tests::{Place, history};

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<(), String> {
    let api = history::api();
    let mut place = Place::stub(&api);
    if let Some(binary) = std::env::args_os().nth(1) {
        let binary = std::path::absolute(binary).map_err(|error| error.to_string())?;
        place.use_binary(binary);
    }
    // Builds of schema 1 cannot list versions. The recipe that `other` had before is not known after an upgrade.
    let known = place.run(&["model", "list", "--help"]).code == 0;
    let counted: &[(&str, &[u64])] = if known {
        &[]
    } else {
        &[("faq", &[7, 6]), ("other", &[4])]
    };
    let left = history::live(&place, counted);
    let schema = integration_tests::scalar(&place.store(), "PRAGMA user_version");
    if place.path("data/embeddings.db-wal").exists() {
        return Err("the store is not closed".to_owned());
    }
    let path = history::directory().join(format!("schema-{schema}.db"));
    let fault = |error: std::io::Error| format!("{}: {error}", path.display());
    if path.exists() {
        return Err(format!("{} is there already", path.display()));
    }
    std::fs::create_dir_all(history::directory()).map_err(fault)?;
    shrink(&place.store()).map_err(|error| error.to_string())?;
    std::fs::copy(place.store(), &path).map_err(fault)?;
    std::fs::write(path.with_extension("json"), history::written(&left)).map_err(fault)?;
    complain(&format!("{} written", path.display()));
    Ok(())
}

/// Pages are chosen for vectors of a thousand numbers; with eight, nine tenths of the file would be empty.
fn shrink(store: &Path) -> rusqlite::Result<()> {
    let connection = rusqlite::Connection::open(store)?;
    connection.pragma_update(None, "journal_mode", "delete")?;
    connection.pragma_update(None, "page_size", 4096)?;
    connection.execute_batch("VACUUM")?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.close().map_err(|(_, error)| error)
}

#[allow(clippy::print_stderr, reason = "a tool talks to who runs it")]
fn complain(text: &str) {
    eprintln!("make-store: {text}");
}
