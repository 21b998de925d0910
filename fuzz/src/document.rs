//! Documents, as if they were uploaded under a name of their format.

use document_source::{DocumentOptions, InProcess, document};

use crate::source::one_line;

/// Reads a PDF.
pub fn pdf(data: &[u8]) {
    read("guide.pdf", data);
}

/// Reads a docx.
pub fn docx(data: &[u8]) {
    read("guide.docx", data);
}

/// Reads a web page.
pub fn html(data: &[u8]) {
    read("guide.html", data);
}

/// Reads Markdown.
pub fn markdown(data: &[u8]) {
    read("guide.md", data);
}

fn read(name: &str, data: &[u8]) {
    let options = DocumentOptions::default();
    match document(name, name, data, &options, &InProcess) {
        Ok(snapshot) => {
            for row in &snapshot.rows {
                for text in [&row.question, &row.answer] {
                    assert!(!text.contains('\0'), "a text holds NUL");
                    assert_eq!(text.trim(), text, "a text is not trimmed");
                }
                assert!(!row.answer.is_empty(), "a chunk holds nothing");
                let size = row.answer.chars().count();
                assert!(
                    size <= options.chunking.size,
                    "a chunk has {size} characters"
                );
                let (start, end) = row.locator.span.unwrap_or_default();
                assert_eq!(
                    end - start,
                    row.answer.len() as u64,
                    "a span is not the chunk's"
                );
            }
            for issue in &snapshot.issues {
                one_line(&issue.problem);
            }
            snapshot.notices.iter().for_each(|notice| one_line(notice));
        }
        Err(error) => one_line(&error.to_string()),
    }
}
