//! `config show`: every setting, and with `--origin` where its value comes from.

use std::borrow::Cow;

use serde::Serialize;

use crate::app::App;
use crate::args::ConfigCommand;
use crate::exit::{ExitCode, Failure};
use crate::parts;

#[derive(Serialize)]
struct Row {
    key: Cow<'static, str>,
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
        key: setting.key.into(),
        value: value.map(|value| {
            if setting.secret {
                "********".to_owned()
            } else if setting.address {
                without_secrets(&value.text)
            } else {
                value.text.clone()
            }
        }),
        origin: value
            .filter(|_| *origin)
            .map(|value| value.origin.to_string()),
        variables: setting.variables,
    });
    let prices = app.settings.layers.prices().map(|(model, value)| Row {
        key: format!("prices.{model:?}").into(),
        value: Some(value.text.clone()),
        origin: origin.then(|| value.origin.to_string()),
        variables: &[],
    });
    let document = Document {
        store: parts::describe(&app.settings.store),
        settings: rows.chain(prices).collect(),
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

/// An address without what may be secret in it: everything before the last `@` of the host, and the query.
fn without_secrets(text: &str) -> String {
    const HIDDEN: &str = "********";
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + 3),
        None => ("", text),
    };
    // A password may hold any sign, a question mark too: the last `@` comes first.
    let (hidden, rest) = match rest.rfind('@') {
        Some(at) => (HIDDEN, &rest[at..]),
        None => ("", rest),
    };
    let (rest, query) = match rest.find(['?', '#']) {
        Some(at) => (&rest[..=at], HIDDEN),
        None => (rest, ""),
    };
    format!("{scheme}{hidden}{rest}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (address, shown) in [
            ("https://api.example/v1", "https://api.example/v1"),
            (
                "https://u:SECRET@api.example/v1",
                "https://********@api.example/v1",
            ),
            (
                "https://u:SEC?RET@api.example/v1",
                "https://********@api.example/v1",
            ),
            (
                "https://api.example/v1?key=SECRET",
                "https://api.example/v1?********",
            ),
            (
                "https://api.example/v1#SECRET",
                "https://api.example/v1#********",
            ),
            ("u:SECRET@api.example", "********@api.example"),
            ("sqlite:data/faq.db", "sqlite:data/faq.db"),
        ] {
            assert_eq!(without_secrets(address), shown);
        }
    }
}
