//! Owns what `--pg` may say.

use std::str::FromStr;

/// Where a server can come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Provider {
    /// A server that runs already, named by `TEST_DATABASE_URL`.
    Url,
    /// Programs with pgvector that are installed.
    System,
    /// Debian's packages in a directory of ours, and pgvector compiled from Debian's source.
    Debian,
    /// A Python wheel with server and pgvector in it.
    Wheel,
    /// A container.
    Docker,
}

/// All of them, in the order in which `auto` asks.
pub(crate) const PROVIDERS: [Provider; 5] = [
    Provider::Url,
    Provider::System,
    Provider::Debian,
    Provider::Wheel,
    Provider::Docker,
];

/// The servers that CI tests against: the oldest and the newest that are supported.
const ALL: [Provider; 2] = [Provider::Debian, Provider::Wheel];

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The first that works.
    Auto,
    /// No server.
    None,
    /// Each of these.
    These(Vec<Provider>),
}

impl Choice {
    /// What CI asks for.
    pub(crate) fn all() -> Self {
        Self::These(ALL.to_vec())
    }
}

impl Provider {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::System => "system",
            Self::Debian => "debian",
            Self::Wheel => "wheel",
            Self::Docker => "docker",
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "none" => return Ok(Self::None),
            "all" => return Ok(Self::all()),
            _ => {}
        }
        let mut chosen = Vec::new();
        for word in text.split(',') {
            let found = PROVIDERS.into_iter().find(|known| known.name() == word);
            let provider = found.ok_or_else(|| {
                let names = PROVIDERS.map(Provider::name).join(", ");
                format!("`{word}` is none of auto, none, all, {names}")
            })?;
            if chosen.contains(&provider) {
                return Err(format!("`{word}` is there twice"));
            }
            chosen.push(provider);
        }
        Ok(Self::These(chosen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_several_or_none_can_be_chosen() {
        use Provider::{Debian, Docker, Url, Wheel};
        let cases = [
            ("auto", Ok(Choice::Auto)),
            ("none", Ok(Choice::None)),
            ("all", Ok(Choice::These(vec![Debian, Wheel]))),
            ("url", Ok(Choice::These(vec![Url]))),
            ("wheel,docker", Ok(Choice::These(vec![Wheel, Docker]))),
            ("wheel,wheel", Err("twice")),
            ("", Err("none of auto")),
            ("wheel,auto", Err("`auto` is none of")),
            ("oracle", Err("`oracle` is none of")),
        ];
        for (text, expected) in cases {
            match (text.parse::<Choice>(), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        }
    }
}
