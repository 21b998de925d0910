use super::*;

#[test]
fn texts_are_trimmed_and_judged() {
    let limits = SourceLimits {
        text_chars: 4,
        ..SourceLimits::default()
    };
    for (text, expected) in [
        ("\u{feff} \u{200b}жук\n", Ok("жук")),
        ("a\tb", Ok("a\tb")),
        ("\u{1}b", Ok("\u{1}b")),
        ("жуки", Ok("жуки")),
        ("жуков", Err(IssueKind::TooLong)),
        ("a\0", Err(IssueKind::BadText)),
    ] {
        let found = checked(text.to_owned(), &limits);
        assert_eq!(
            found.as_deref().map_err(|(kind, _)| *kind),
            expected,
            "{text:?}"
        );
    }
}
