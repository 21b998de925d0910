//! What a document is: by its name, and by its first bytes where the name does not say or plainly lies.

use std::path::Path;

/// The kinds of documents that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DocumentKind {
    /// Fixed pages.
    Pdf,
    /// A word processor's document.
    Docx,
    /// A web page.
    Html,
    /// Markdown.
    Markdown,
    /// Text without any form.
    Text,
}

impl DocumentKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Pdf,
        Self::Docx,
        Self::Html,
        Self::Markdown,
        Self::Text,
    ];

    /// The word in metadata and on command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Html => "html",
            Self::Markdown => "markdown",
            Self::Text => "text",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What a file's name says. Files of other names in a directory are no documents.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let extension = Path::new(name).extension()?.to_str()?.to_lowercase();
        Some(match extension.as_str() {
            "pdf" => Self::Pdf,
            "docx" => Self::Docx,
            "html" | "htm" | "xhtml" => Self::Html,
            "md" | "markdown" => Self::Markdown,
            "txt" | "text" => Self::Text,
            _ => return None,
        })
    }

    /// What the first bytes show beyond doubt.
    #[must_use]
    pub fn of_bytes(head: &[u8]) -> Option<Self> {
        const HEAD: usize = 1024;
        let head = &head[..head.len().min(HEAD)];
        // Some programs put a line in front; every reader of PDF looks for the mark within the first kilobyte.
        if head.windows(5).any(|window| window == b"%PDF-") && !looks_like_markup(head) {
            return Some(Self::Pdf);
        }
        if head.starts_with(b"PK\x03\x04") {
            return Some(Self::Docx);
        }
        looks_like_markup(head).then_some(Self::Html)
    }

    /// What the name says, unless the first bytes are of a format that it cannot be.
    #[must_use]
    pub fn of(name: &str, bytes: &[u8]) -> Option<Self> {
        let shown = Self::of_bytes(bytes);
        match (Self::of_name(name), shown) {
            // Text that speaks of HTML begins like it.
            (Some(named @ (Self::Markdown | Self::Text)), Some(Self::Html)) => Some(named),
            (_, Some(shown)) => Some(shown),
            (named, None) => named,
        }
    }
}

fn looks_like_markup(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = text.trim_ascii_start();
    [&b"<!doctype html"[..], b"<html"].iter().any(|mark| {
        text.get(..mark.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(mark))
    })
}

#[cfg(test)]
mod tests {
    use super::DocumentKind as Kind;

    #[test]
    fn the_name_says_the_kind_and_the_first_bytes_have_the_last_word() {
        let check = |name: &str, bytes: &[u8], kind: Option<Kind>| {
            assert_eq!(Kind::of(name, bytes), kind, "{name}");
        };
        check("a.PDF", b"%PDF-1.7", Some(Kind::Pdf));
        check("a.txt", b"\n%PDF-1.7", Some(Kind::Pdf));
        check("a.pdf", b"  <!DOCTYPE HTML><p>sorry", Some(Kind::Html));
        check("a.md", b"<html> in markdown", Some(Kind::Markdown));
        check("A.Htm", b"no tag", Some(Kind::Html));
        check("guide", b"%PDF-1.4", Some(Kind::Pdf));
        check("guide", b"words", None);
        check("a.docx", b"PK\x03\x04", Some(Kind::Docx));
        check("a.xlsx", b"", None);
    }
}
