//! `key`: keys of the service. What is kept of one is its hash.

use secrecy::SecretString;
use serde::Serialize;

use crate::app::App;
use crate::args::{KeyCommand, KeyRole};
use crate::exit::{ExitCode, Failure, usage};
use crate::parts;

/// Random bytes of a key.
const BYTES: usize = 32;

#[derive(Serialize)]
struct NewKey<'a> {
    key: &'a str,
    keep: &'a str,
    setting: &'a str,
}

pub(crate) fn run(app: &App, command: &KeyCommand) -> Result<ExitCode, Failure> {
    let KeyCommand::New { role, name } = command;
    if let Some(name) = name {
        let is_plain = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !is_plain {
            return Err(usage(format!(
                "--name {name:?}: a key's name is 1 to 64 letters of English, digits, dots, dashes and underscores"
            )));
        }
    }
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            format!("the system gives no random numbers: {error}"),
        )
    })?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("sk-{digits}");
    let hash = parts::hash_key(&SecretString::from(key.clone()))?;
    let (setting, word) = match role {
        KeyRole::Read => ("SMART_SUPPORT_READ_KEY", "read"),
        KeyRole::Admin => ("SMART_SUPPORT_API_KEY", "admin"),
    };
    let name = name.as_deref().unwrap_or(word);
    let keep = format!("{name}:blake3:{hash}");
    app.output.print(format!(
        "{key}\n\nThis is the only time that it is shown. Clients send it in the header X-API-Key. The service needs its \
         hash only:\n\n{setting}={keep}"
    ));
    app.output.document(&NewKey {
        key: &key,
        keep: &keep,
        setting,
    })?;
    Ok(ExitCode::Done)
}
