//! Recognises a URL that a password breaks, and shows how it is written, without showing the password.

use storage_core::StoreError;

use super::configuration;

/// What has a meaning of its own in a URL.
pub(super) const SPECIAL: &[char] = &['@', ':', '/', '#', '?', '%', '[', ']', '&', '='];

/// Refuses what follows the scheme of a URL when characters of a password cut it into the wrong pieces.
pub(super) fn check(scheme: &str, rest: &str) -> Result<(), StoreError> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let ends = user_ends(rest);
    let torn = if authority.matches('@').count() > 1 {
        true
    } else if let Some((userinfo, _)) = authority.split_once('@') {
        // `user:p@ss/word@host`: the first piece has an `@`, and so has what looks like a database.
        !percents_are_whole(userinfo) || rest.contains('#') || ends.is_some_and(|at| at > end)
    } else {
        // `user:pa/ss@host`: what stands before the slash looks like a host and its port, and the host comes later.
        let after_colon = authority.split_once(':').map(|(_, port)| port);
        let is_port = after_colon.is_none_or(|port| port.parse::<u16>().is_ok());
        ends.is_some_and(|at| at > end)
            && (!is_port || rest[end..].starts_with(['/', '#']))
            && !authority.starts_with('[')
    };
    if !torn {
        return if rest.contains('#') {
            Err(configuration(
                "a # in a URL of PostgreSQL has no meaning; write it as %23 where it belongs to a name",
            ))
        } else {
            Ok(())
        };
    }
    let at = ends.unwrap_or(rest.len());
    let (userinfo, place) = rest.split_at(at);
    let (user, password) = userinfo.split_once(':').unwrap_or(("", userinfo));
    let mut found: Vec<char> = password
        .char_indices()
        .filter(|(at, char)| match char {
            '%' => !is_escape(&password[*at..]),
            char => SPECIAL.contains(char),
        })
        .map(|(_, char)| char)
        .collect();
    found.sort_unstable();
    found.dedup();
    let list: Vec<String> = found
        .iter()
        .map(|char| format!("{char} as %{:02X}", u32::from(*char)))
        .collect();
    // Only the host and the database: what follows may hold anything.
    let place = place.split(['?', '#']).next().unwrap_or_default();
    let user = if user.contains(SPECIAL) { "***" } else { user };
    Err(configuration(format!(
        "the password in the URL holds characters that end it; write {}, so that it reads \
         {scheme}{user}:{}{place}, or leave it out and set POSTGRES_PASSWORD",
        list.join(", "),
        mask(password),
    )))
}

/// Where the `@` is that stands before the host: the last one before the parameters.
fn user_ends(rest: &str) -> Option<usize> {
    let first = rest.find('@')?;
    let is_parameter = |text: &str| {
        let name = text.split(['=', '&', '@', '/']).next().unwrap_or_default();
        text[name.len()..].starts_with('=')
            && !name.is_empty()
            && name
                .chars()
                .all(|char| char.is_ascii_alphabetic() || matches!(char, '_' | '-'))
    };
    let parameters = rest[first..]
        .match_indices('?')
        .map(|(at, _)| first + at)
        .find(|at| is_parameter(&rest[at + 1..]))
        .unwrap_or(rest.len());
    rest[..parameters].rfind('@')
}

fn is_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 3 && bytes[1..3].iter().all(u8::is_ascii_hexdigit)
}

fn percents_are_whole(text: &str) -> bool {
    text.match_indices('%')
        .all(|(at, _)| is_escape(&text[at..]))
}

/// The password as it is to be written, with everything masked that is not in the way.
fn mask(password: &str) -> String {
    let mut masked = String::new();
    for (at, char) in password.char_indices() {
        let in_the_way = match char {
            '%' => !is_escape(&password[at..]),
            char => SPECIAL.contains(&char),
        };
        if in_the_way {
            masked.push_str(&format!("%{:02X}", u32::from(char)));
        } else if !masked.ends_with("***") {
            masked.push_str("***");
        }
    }
    masked
}
