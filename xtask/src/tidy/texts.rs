//! Owns what must not stand in any tracked text: hosts of package registries, and places on one person's machine.

use super::Finding;

/// A text that may not occur, put together from pieces so that this file does not hold it.
struct Forbidden {
    text: &'static str,
    why: &'static str,
    /// Only where a path can start: `docs/work/` is no place on a machine.
    at_path_start: bool,
}

const REGISTRY: &str =
    "names a registry's host: say which package, and let its client know where from";
const MACHINE: &str = "names a place on one machine: make it relative to the checkout";

const FORBIDDEN: [Forbidden; 9] = [
    Forbidden {
        text: concat!("crates", ".io"),
        why: REGISTRY,
        at_path_start: false,
    },
    Forbidden {
        text: concat!("pypi", ".org"),
        why: REGISTRY,
        at_path_start: false,
    },
    Forbidden {
        text: concat!("python", "hosted.org"),
        why: REGISTRY,
        at_path_start: false,
    },
    Forbidden {
        text: concat!("npmjs", ".org"),
        why: REGISTRY,
        at_path_start: false,
    },
    Forbidden {
        text: concat!("npmjs", ".com"),
        why: REGISTRY,
        at_path_start: false,
    },
    Forbidden {
        text: concat!("proxy.golang", ".org"),
        why: REGISTRY,
        at_path_start: false,
    },
    Forbidden {
        text: concat!("deb.debian", ".org"),
        why: REGISTRY,
        at_path_start: false,
    },
    Forbidden {
        text: concat!("/wo", "rk/"),
        why: MACHINE,
        at_path_start: true,
    },
    Forbidden {
        text: concat!("/ro", "ot/"),
        why: MACHINE,
        at_path_start: true,
    },
];

/// Lock files name where their packages come from; that is their business.
const LOCK_FILES: [&str; 3] = ["Cargo.lock", "package-lock.json", "uv.lock"];

/// Checks one file.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    if path
        .rsplit('/')
        .next()
        .is_some_and(|name| LOCK_FILES.contains(&name))
    {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for forbidden in FORBIDDEN.iter().filter(|forbidden| occurs(line, forbidden)) {
            findings.push(Finding::new(
                path,
                at + 1,
                format!("`{}` {}", forbidden.text, forbidden.why),
            ));
        }
    }
    findings
}

fn occurs(line: &str, forbidden: &Forbidden) -> bool {
    line.match_indices(forbidden.text).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let inside_path = |c: char| c.is_alphanumeric() || "._-~*}>)$/".contains(c);
        !(forbidden.at_path_start && before.is_some_and(inside_path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_places_are_found() {
        let (registry, place) = (FORBIDDEN[0].text, FORBIDDEN[7].text);
        let cases = [
            (format!("see https://static.{registry}/x"), 1),
            (format!("`{place}main`"), 1),
            (format!("{place}main and {registry}"), 2),
            (format!("docs{place}x"), 0),
            (format!("./{place}x").replace("//", "/"), 0),
            ("target/debug".to_owned(), 0),
        ];
        for (text, expected) in cases {
            assert_eq!(check("a.md", &text).len(), expected, "{text}");
        }
        assert!(check("Cargo.lock", registry).is_empty());
        assert_eq!(
            check("a.md", &format!("\n{registry}"))[0]
                .to_string()
                .split(' ')
                .next(),
            Some("a.md:2:")
        );
    }
}
