//! Owns the rule on feature gates: they stand on `mod` lines and nowhere else, so that reading a file needs no list of
//! features beside it. Integration tests may gate what they like.

use super::Finding;

/// Checks one Rust file.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    if path.starts_with("tests/") || path.contains("/tests/") {
        return Vec::new();
    }
    let lines: Vec<String> = text.lines().map(code_of).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut findings = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        if !line.starts_with("#[") && !line.starts_with("#![") {
            // `cfg!(…)`, or an attribute behind something else on the line.
            if names_feature(line) {
                findings.push(finding(path, at));
            }
            at += 1;
            continue;
        }
        let end = attribute_end(&lines, at);
        let attribute = lines[at..=end].join(" ");
        if names_feature(&attribute)
            && !(attribute.starts_with("#[cfg(") && gates_module(&lines, at, end))
        {
            findings.push(finding(path, at));
        }
        at = end + 1;
    }
    findings
}

fn finding(path: &str, at: usize) -> Finding {
    let message =
        "a feature gate may stand on a `mod` line only: put the gated code in a module of its own";
    Finding::new(path, at + 1, message)
}

/// The line without indentation, comment and the insides of its strings: only what the compiler sees as code.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut in_string = false;
    let mut rest = line.trim();
    while let Some(character) = rest.chars().next() {
        // Two characters that mean something only together.
        let pair = if in_string && character == '\\' {
            rest.chars().nth(1)
        } else {
            None
        };
        if !in_string && rest.starts_with("//") {
            break;
        }
        let quoted_quote = !in_string && rest.starts_with("'\"'");
        let length = match pair {
            _ if quoted_quote => 3,
            Some(escaped) => 1 + escaped.len_utf8(),
            None => character.len_utf8(),
        };
        if character == '"' {
            in_string = !in_string;
            code.push('"');
        } else if !in_string && !quoted_quote {
            code.push(character);
        }
        rest = &rest[length..];
    }
    code.trim_end().to_owned()
}

/// True for `cfg(… feature = …)` in any of its spellings.
fn names_feature(code: &str) -> bool {
    ["cfg(", "cfg!(", "cfg_attr("].iter().any(|start| {
        let Some((_, inside)) = code.split_once(start) else {
            return false;
        };
        inside.match_indices("feature").any(|(at, word)| {
            let before = inside[..at].chars().next_back().unwrap_or('(');
            let after = inside[at + word.len()..].trim_start();
            matches!(before, '(' | ',' | ' ') && after.starts_with('=')
        })
    })
}

/// Index of the line on which the attribute that starts at `at` closes.
fn attribute_end(lines: &[&str], at: usize) -> usize {
    let mut depth = 0_i32;
    for (offset, line) in lines[at..].iter().enumerate() {
        for character in line.chars() {
            match character {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => continue,
            }
            if depth == 0 {
                return at + offset;
            }
        }
    }
    lines.len() - 1
}

/// True when a `mod` follows the attribute, on its own line or the next ones, past other attributes and comments.
fn gates_module(lines: &[&str], at: usize, end: usize) -> bool {
    let same_line = lines[at..=end].join(" ");
    let rest = same_line
        .rsplit_once(']')
        .map_or("", |(_, rest)| rest)
        .trim();
    if !rest.is_empty() {
        return is_module(rest);
    }
    let mut next = end + 1;
    while let Some(line) = lines.get(next) {
        if line.starts_with("#[") {
            next = attribute_end(lines, next) + 1;
        } else if line.is_empty() {
            next += 1;
        } else {
            return is_module(line);
        }
    }
    false
}

fn is_module(line: &str) -> bool {
    let line = match line.strip_prefix("pub") {
        None => line,
        Some(rest) if rest.starts_with('(') => rest.split_once(')').map_or("", |(_, rest)| rest),
        Some(rest) => rest,
    };
    line.trim_start().starts_with("mod ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_stand_on_modules() {
        let cases = [
            ("#[cfg(feature = \"a\")]\nmod a;", ""),
            ("#[cfg(feature = \"a\")]\npub mod a;", ""),
            ("#[cfg(feature = \"a\")]\npub(crate) mod a;", ""),
            ("#[cfg(feature = \"a\")] mod a;", ""),
            (
                "#[cfg(not(feature = \"a\"))]\n#[path = \"a_absent.rs\"]\nmod a;",
                "",
            ),
            ("#[cfg(feature = \"a\")]\n/// What it is.\nmod a;", ""),
            (
                "#[cfg(any(\n    feature = \"a\",\n    test,\n))]\nmod a;",
                "",
            ),
            (
                "#[cfg(any(test, feature = \"testing\"))]\npub mod testing;",
                "",
            ),
            ("#[cfg(test)]\nfn f() {}", ""),
            ("// #[cfg(feature = \"a\")]\nfn f() {}", ""),
            ("f(\"#[cfg(feature = \\\"a\\\")]\");", ""),
            ("let quote = '\"'; // cfg!(feature = \"a\")", ""),
            ("let url = \"https://x\"; if cfg!(feature = \"a\") {}", "1"),
            ("#![cfg_attr(docsrs, feature(doc_cfg))]", ""),
            ("#[cfg(feature = \"a\")]\nfn f() {}", "1"),
            ("#[cfg(feature = \"a\")]\npub use a::A;", "1"),
            ("#[cfg(feature = \"a\")]\nmodule_like!();", "1"),
            (
                "fn f() {\n    #[cfg(any(\n        feature = \"a\"\n    ))]\n    g();\n}",
                "2",
            ),
            ("if cfg!(feature = \"a\") {}", "1"),
            ("#![cfg(feature=\"a\")]\nmod a;", "1"),
            (
                "#[cfg_attr(feature = \"a\", derive(Debug))]\nstruct S;",
                "1",
            ),
            ("enum E {\n    #[cfg(not(feature = \"a\"))]\n    A,\n}", "2"),
        ];
        for (text, expected) in cases {
            let found: Vec<String> = check("src/lib.rs", text)
                .iter()
                .map(|finding| finding.line.to_string())
                .collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn integration_tests_may() {
        let text = "#[cfg(feature = \"a\")]\nfn f() {}";
        assert!(check("tests/it/main.rs", text).is_empty());
        assert!(check("crates/x/tests/it.rs", text).is_empty());
        assert_eq!(check("crates/x/src/tests.rs", text).len(), 1);
    }
}
