//! `config show`: every setting, and with `--origin` where its value comes from.

use serde::Serialize;

use crate::app::App;
use crate::args::ConfigCommand;
use crate::exit::{ExitCode, Failure};
use crate::parts;

#[derive(Serialize)]
struct Row {
    key: &'static str,
    value: Option<String>,
    origin: Option<String>,
    variables: &'static [&'static str],
}

#[derive(Serialize)]
struct Document {
    store: String,
    settings: Vec<Row>,
}

pub(crate) fn run(app: &App, command: &ConfigCommand) -> Result<ExitCode, Failure> {
    let ConfigCommand::Show { origin } = command;
    let rows = app.settings.layers.all().map(|(setting, value)| Row {
        key: setting.key,
        value: value.map(|value| {
            if setting.secret {
                "********".to_owned()
            } else {
                without_user(&value.text)
            }
        }),
        origin: value
            .filter(|_| *origin)
            .map(|value| value.origin.to_string()),
        variables: setting.variables,
    });
    let document = Document {
        store: parts::describe(&app.settings.store),
        settings: rows.collect(),
    };
    for row in &document.settings {
        let value = row.value.as_deref().unwrap_or("(unset)");
        let from = row
            .origin
            .as_ref()
            .map_or_else(String::new, |origin| format!("  [{origin}]"));
        app.output.print(format!("{} = {value}{from}", row.key));
    }
    app.output.document(&document)?;
    Ok(ExitCode::Done)
}

/// An address without the name and password in it.
fn without_user(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}********{}", &text[..scheme + 3], &text[at..])
        }
        _ => text.to_owned(),
    }
}
