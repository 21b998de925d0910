//! Settings: whether they can be read, whether two of them fight, whether secrets are for their owner only.

use std::path::{Path, PathBuf};

use super::finding::Finding;
use super::place;
use crate::app::App;
use crate::args::DoctorArgs;
use crate::env;
use crate::exit::Failure;
use crate::settings::{Origin, Provider, StoreLocation, is_mounted_secret};

const SETTINGS: &str = "settings";
const AGREE: &str = "settings_agree";
const PRIVATE: &str = "secrets_private";
const DATABASE_URL: &str = "database_url";

const CORRECT: &str = "correct it where it is set; `smart-support config show --origin` names the place of every value";

pub(super) fn look(app: &App, args: &DoctorArgs) -> Vec<Finding> {
    vec![readable(app, args), agree(app), private(app), url(app)]
}

/// The finding about settings that could not be resolved at all.
pub(super) fn unreadable(failure: &Failure) -> Finding {
    Finding::failure(
        SETTINGS,
        failure,
        "correct it in the place that is named, then run `smart-support doctor` again",
    )
}

/// Settings are read when a command asks for them: ask for all.
fn readable(app: &App, args: &DoctorArgs) -> Finding {
    let settings = &app.settings;
    let threshold = settings
        .layers
        .parse(env::THRESHOLD, "a number from -1 to 1", |text| {
            crate::settings::number(text, -1.0..=1.0f32)
        });
    let top_k = settings
        .layers
        .parse(env::TOP_K, "a number from 1", |text| {
            text.parse::<std::num::NonZeroUsize>().ok()
        });
    let asked = [
        settings.embedder().map(drop),
        settings.source(&args.source).map(drop),
        settings.batches().map(drop),
        settings.spend("").map(drop),
        threshold.map(drop),
        top_k.map(drop),
    ];
    match asked.into_iter().find_map(Result::err) {
        Some(failure) => Finding::failure(SETTINGS, &failure, CORRECT),
        None => Finding::fine(SETTINGS, "every setting can be read"),
    }
}

fn agree(app: &App) -> Finding {
    let layers = &app.settings.layers;
    // What every command says on stderr before its work, such as a DATABASE_URL that is passed over.
    // Those of the layers are about files with secrets, which have a finding of their own.
    let mut warnings = app.settings.warnings.iter();
    if let Some(warning) = warnings.find(|warning| !layers.warnings.contains(warning)) {
        let remedy = if warning.starts_with("DATABASE_URL") {
            "unset DATABASE_URL, or whatever names the store instead of it; `smart-support config show --origin` \
             tells which wins"
        } else {
            CORRECT
        };
        let (fact, advice) = warning.split_once("; ").unwrap_or((warning, remedy));
        return Finding::fault(AGREE, fact, advice);
    }
    let given = |key| {
        layers
            .get(key)
            .filter(|value| value.origin != Origin::Default)
    };
    let provider = app.settings.embedder().map(|embedder| embedder.provider);
    match provider {
        Ok(Provider::Ollama) => {
            if let (Some(general), Some(own)) = (given(env::MODEL), given(env::OLLAMA_MODEL))
                && general.text != own.text
            {
                return Finding::fault(
                    AGREE,
                    format!(
                        "two models are named: {} ({}) wins over {} ({})",
                        general.text, general.origin, own.text, own.origin
                    ),
                    "unset EMBEDDING_MODEL_NAME or OLLAMA_API_MODEL_EMBEDDING",
                );
            }
        }
        Ok(chosen @ (Provider::Local | Provider::Hash)) => {
            if let Some(address) = given(env::BASE_URL) {
                return Finding::fault(
                    AGREE,
                    format!(
                        "an embedding API is named ({}), and the provider {} does not call it",
                        address.origin,
                        chosen.name()
                    ),
                    "set EMBEDDING_PROVIDER=openai (or ollama) to use the API, or unset EMBEDDING_BASE_URL",
                );
            }
        }
        // What cannot be read is the finding before this one.
        Ok(Provider::OpenAi) | Err(_) => {}
    }
    Finding::fine(AGREE, "no two settings fight")
}

/// Files that hold a secret, and who else may read them.
fn private(app: &App) -> Finding {
    let layers = &app.settings.layers;
    let mut files: Vec<PathBuf> = layers.secret_files().to_vec();
    for (setting, value) in layers.all() {
        match value.map(|value| &value.origin) {
            Some(Origin::EnvFile(path, _) | Origin::File(path)) if setting.secret => {
                files.push(path.clone());
            }
            _ => {}
        }
    }
    files.retain(|path| !is_mounted_secret(path));
    files.sort();
    files.dedup();
    open_to_others(PRIVATE, &files).unwrap_or_else(|| {
        Finding::fine(
            PRIVATE,
            match files.len() {
                0 => "no file holds a secret".to_owned(),
                1 => format!("{} is for its owner only", files[0].display()),
                count => format!("{count} files with secrets are for their owner only"),
            },
        )
    })
}

/// The fault that others may read or write these files, if they may.
pub(super) fn open_to_others(name: &'static str, files: &[PathBuf]) -> Option<Finding> {
    let open: Vec<(&Path, u32)> = files
        .iter()
        .filter_map(|path| Some((path.as_path(), place::mode(path)?)))
        .filter(|(_, mode)| mode & 0o077 != 0)
        .collect();
    let (first, mode) = open.first()?;
    let names: Vec<String> = open.iter().map(|(path, _)| place::quoted(path)).collect();
    Some(Finding::fault(
        name,
        format!(
            "others on this machine may read or write {} (mode {mode:03o})",
            first.display()
        ),
        format!("chmod 600 {}", names.join(" ")),
    ))
}

/// A password with characters that mean something in an address breaks it in two: the classic "could not translate
/// host name".
fn url(app: &App) -> Finding {
    let layers = &app.settings.layers;
    let urls = [env::STORE, env::DATABASE_URL].map(|key| layers.get(key));
    let Some(value) = urls
        .into_iter()
        .flatten()
        .find(|value| value.text.starts_with("postgres"))
    else {
        return match &app.settings.store {
            StoreLocation::Postgres(_) => {
                Finding::skipped(DATABASE_URL, "PostgreSQL is chosen without an address")
            }
            _ => Finding::fine(DATABASE_URL, "no PostgreSQL address is set"),
        };
    };
    match encoded(&value.text) {
        Some(masked) => Finding::fault(
            DATABASE_URL,
            format!(
                "the password in the address ({}) holds characters that mean something there; servers then say \"could \
                 not translate host name\"",
                value.origin
            ),
            format!(
                "write them encoded (@ is %40, : is %3A, / is %2F, # is %23, ? is %3F, % is %25): {masked}"
            ),
        ),
        None => Finding::fine(DATABASE_URL, "the address needs no encoding"),
    }
}

/// The address with its password encoded and masked, where the password is not encoded; `None` where it is.
fn encoded(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    // The last one: whatever stands before it belongs to the password, meant or not.
    let (user, host) = rest.rsplit_once('@')?;
    let (user, password) = user.split_once(':')?;
    let mut masked = String::new();
    let (mut wrong, mut hidden) = (false, false);
    let bytes = password.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let escape = *byte == b'%'
            && bytes
                .get(at + 1..at + 3)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if b"@:/?#[]%".contains(byte) && !escape {
            wrong = true;
            hidden = false;
            masked.push_str(&format!("%{byte:02X}"));
        } else if !hidden {
            hidden = true;
            masked.push_str("***");
        }
    }
    wrong.then(|| format!("{scheme}://{user}:{masked}@{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_special_characters_of_a_password_are_shown() {
        for (url, expected) in [
            ("postgresql://u:plain@h/db", None),
            ("postgresql://u:done%40already@h/db", None),
            ("postgresql://h/db", None),
            ("postgres://u@h/db", None),
            (
                "postgresql://u:p@ss:w/rd@h:5432/db",
                Some("postgresql://u:***%40***%3A***%2F***@h:5432/db"),
            ),
            ("postgres://u:100%@h/db", Some("postgres://u:***%25@h/db")),
        ] {
            assert_eq!(encoded(url).as_deref(), expected, "{url}");
        }
    }
}
