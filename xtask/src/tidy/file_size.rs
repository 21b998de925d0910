//! Owns the limit on a file's length: a longer one asks to be split by subject.

use super::{Files, Finding};

/// In lines that are neither blank nor only a comment.
const LIMIT: usize = 500;

/// Kinds of file that people read as code.
const CODE: [&str; 8] = [".rs", ".sql", ".js", ".mjs", ".css", ".html", ".py", ".sh"];

/// Longer files that stay whole, each with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Checks one file.
pub(super) fn check(path: &str, text: &str) -> Option<Finding> {
    let lines = code_lines(path, text);
    let excepted = EXCEPTIONS.iter().any(|(known, _)| *known == path);
    (lines > LIMIT && !excepted).then(|| {
        Finding::new(
            path,
            1,
            format!("{lines} lines of code, {LIMIT} is the limit: split it by subject"),
        )
    })
}

/// An exception that is no longer needed is a fault too.
pub(super) fn check_exceptions(files: &Files) -> Vec<Finding> {
    let needed = |path: &str| {
        let text = files.get(path).and_then(|bytes| str::from_utf8(bytes).ok());
        text.is_some_and(|text| code_lines(path, text) > LIMIT)
    };
    let stale = EXCEPTIONS.iter().filter(|(path, _)| !needed(path));
    stale
        .map(|(path, _)| {
            Finding::new(
                *path,
                1,
                "needs no exception in xtask/src/tidy/file_size.rs any more",
            )
        })
        .collect()
}

fn code_lines(path: &str, text: &str) -> usize {
    if !CODE.iter().any(|ending| path.ends_with(ending)) {
        return 0;
    }
    let comment = match path.rsplit('.').next() {
        Some("sql") => "--",
        Some("py" | "sh") => "#",
        _ => "//",
    };
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(comment))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_code_count() {
        let code = "let x = 1;\n".repeat(LIMIT);
        let cases = [
            ("a.rs", code.clone(), true),
            ("a.rs", format!("{code}// why\n\n    /// what\n"), true),
            ("a.rs", format!("{code}x\n"), false),
            ("a.sql", format!("{code}-- why\n"), true),
            ("a.sql", format!("{code}// not a comment here\n"), false),
            ("a.md", code.repeat(2), true),
        ];
        for (path, text, expected) in cases {
            assert_eq!(check(path, &text).is_none(), expected, "{path}");
        }
    }
}
