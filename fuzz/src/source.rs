//! Sources, as if they were uploaded under a name of their format.

use faq_source::{Identity, SourceLimits, SourceOptions, SourceSnapshot, open_bytes};

/// Reads a workbook.
pub fn xlsx(data: &[u8]) {
    read("faq.xlsx", data);
}

/// Reads a table of text.
pub fn csv(data: &[u8]) {
    read("faq.csv", data);
}

/// Reads records.
pub fn jsonl(data: &[u8]) {
    read("faq.jsonl", data);
}

fn read(name: &str, data: &[u8]) {
    let limits = SourceLimits::default();
    let read = open_bytes(name, data.to_vec(), &SourceOptions::default())
        .and_then(|mut source| source.read(&limits));
    match read {
        Ok(snapshot) => check(&snapshot, &limits),
        Err(error) => one_line(&error.to_string()),
    }
}

/// What every reader promises about whatever it yields.
fn check(snapshot: &SourceSnapshot, limits: &SourceLimits) {
    for row in &snapshot.rows {
        let texts = [
            row.id.as_deref(),
            Some(row.question.as_str()),
            Some(row.answer.as_str()),
            row.category.as_deref(),
            row.subcategory.as_deref(),
        ];
        for text in texts.into_iter().flatten() {
            assert!(!text.contains('\0'), "a text holds NUL");
            assert!(
                text.chars().count() <= limits.text_chars,
                "a text is too long"
            );
            assert_eq!(text.trim(), text, "a text is not trimmed");
        }
        assert!(
            row.id.is_some() == (snapshot.identity == Identity::Given),
            "{row:?} does not keep {:?}",
            snapshot.identity
        );
        assert!(row.locator.row.is_some(), "{row:?} stands nowhere");
    }
    assert!(snapshot.rows.len() as u64 + snapshot.rejected().count() as u64 <= 2 * limits.rows);
    for issue in &snapshot.issues {
        one_line(&issue.problem);
    }
    snapshot.notices.iter().for_each(|notice| one_line(notice));
}

/// What is shown to a person is one line, and no bytes of the file steer the terminal.
pub(crate) fn one_line(message: &str) {
    assert!(!message.is_empty());
    assert!(
        !message.chars().any(char::is_control),
        "the message {message:?} holds a control character"
    );
}
