//! Where calls go: the base address checked, and the provider's path put onto it. Pure.

use std::net::IpAddr;

use reqwest::Url;

use super::classify::Dialect;
use crate::settings::HttpSettings;
use crate::{EmbedError, EmbedErrorKind};

/// The address of the provider's one endpoint.
///
/// # Errors
/// `Configuration` for an address that is none, or for a key that would travel in the open.
pub(super) fn endpoint(
    settings: &HttpSettings,
    dialect: Dialect,
    has_key: bool,
) -> Result<Url, EmbedError> {
    let refuse = |message: String| Err(EmbedError::new(EmbedErrorKind::Configuration, message));
    let Ok(mut url) = settings.base_url.trim().parse::<Url>() else {
        return refuse(
            "EMBEDDING_BASE_URL is no address; write it like https://host/v1".to_owned(),
        );
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return refuse("EMBEDDING_BASE_URL must begin with https:// or http://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(
            "EMBEDDING_BASE_URL holds a user name or password; put the key into EMBEDDING_API_KEY"
                .to_owned(),
        );
    }
    if has_key && url.scheme() == "http" && !is_near(&url) && !settings.allow_plain_http {
        return refuse(format!(
            "the key would travel unencrypted to {}; use https:// in EMBEDDING_BASE_URL, or allow it \
             with EMBEDDING_ALLOW_PLAIN_HTTP=true",
            url.host_str().unwrap_or_default()
        ));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    let path = match dialect {
        Dialect::OpenAi if path.is_empty() => "/v1/embeddings".to_owned(),
        Dialect::OpenAi if path.ends_with("/embeddings") => path,
        Dialect::OpenAi => format!("{path}/embeddings"),
        Dialect::Ollama if path.ends_with("/api/embed") => path,
        Dialect::Ollama => format!("{path}/api/embed"),
    };
    url.set_path(&path);
    url.set_fragment(None);
    Ok(url)
}

/// This machine, or a network nobody else is on: where plain HTTP is usual.
fn is_near(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        // A name without a dot is a neighbour: a container, a machine of the same network.
        Err(_) => host == "localhost" || host.ends_with(".localhost") || !host.contains('.'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(base: &str, dialect: Dialect, has_key: bool) -> Result<String, EmbedErrorKind> {
        endpoint(&HttpSettings::new(base, "m"), dialect, has_key)
            .map(|url| url.to_string())
            .map_err(|error| error.kind())
    }

    #[test]
    fn the_path_is_completed() {
        for (base, openai, ollama) in [
            ("http://h", "http://h/v1/embeddings", "http://h/api/embed"),
            ("http://h/", "http://h/v1/embeddings", "http://h/api/embed"),
            (
                " http://h/v1/\n",
                "http://h/v1/embeddings",
                "http://h/v1/api/embed",
            ),
            (
                "http://h/a/embeddings?api-version=1",
                "http://h/a/embeddings?api-version=1",
                "http://h/a/embeddings/api/embed?api-version=1",
            ),
            (
                "http://h/api/embed",
                "http://h/api/embed/embeddings",
                "http://h/api/embed",
            ),
        ] {
            assert_eq!(at(base, Dialect::OpenAi, false).unwrap(), openai);
            assert_eq!(at(base, Dialect::Ollama, false).unwrap(), ollama);
        }
    }

    #[test]
    fn a_key_does_not_travel_in_the_open() {
        for (base, near) in [
            ("http://localhost:11434", true),
            ("http://127.0.0.1", true),
            ("http://[::1]:8080", true),
            ("http://[fd00::1]", true),
            ("http://10.0.0.1/v1", true),
            ("http://192.168.1.1", true),
            ("http://ollama:11434", true),
            ("https://example.com", true),
            ("http://example.com/v1", false),
            ("http://8.8.8.8", false),
            ("http://169.254.169.254", false),
            ("http://[2001:db8::1]", false),
        ] {
            assert_eq!(at(base, Dialect::OpenAi, true).is_ok(), near, "{base}");
            assert!(at(base, Dialect::OpenAi, false).is_ok(), "{base}");
        }
        let allowed = HttpSettings {
            allow_plain_http: true,
            ..HttpSettings::new("http://example.com/v1", "m")
        };
        assert!(endpoint(&allowed, Dialect::OpenAi, true).is_ok());
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for base in [
            "",
            "SECRET",
            "file:///etc/SECRET",
            "gopher://h",
            "https://u:SECRET@example.com/v1",
            "https://SECRET@example.com/v1",
        ] {
            let error = endpoint(&HttpSettings::new(base, "m"), Dialect::OpenAi, true).unwrap_err();
            assert_eq!(error.kind(), EmbedErrorKind::Configuration, "{base}");
            assert!(!error.to_string().contains("SECRET"), "{error}");
        }
    }
}
