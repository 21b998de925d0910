use std::time::{Duration, Instant};

use faq_source::SourceErrorKind;

use super::{ChildProcess, serve_one, wire};
use crate::{DocumentKind, DocumentLimits, Extracted, Extraction};

fn limits() -> DocumentLimits {
    DocumentLimits {
        text_bytes: 10_000,
        pages: 10,
        child_wall: Duration::from_secs(30),
        ..DocumentLimits::default()
    }
}

/// A child that runs a script instead of a parser.
fn ask(script: &str, limits: &DocumentLimits) -> Result<Extracted, faq_source::SourceError> {
    let child = ChildProcess {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
    };
    child.extract(DocumentKind::Pdf, &vec![b' '; 1 << 20], limits)
}

#[test]
fn what_a_document_says_goes_through_the_pipes_unchanged() {
    let mut request = wire::request(DocumentKind::Markdown, &limits());
    request.extend_from_slice("# Карты\n\nТекст \"с кавычками\".\n".as_bytes());
    let mut answer = Vec::new();
    let mut confined = None;
    serve_one(&request[..], &mut answer, |limits| confined = Some(*limits)).unwrap();
    assert_eq!(confined.unwrap().text_bytes, 10_000);
    let read = wire::answer(&answer, &limits()).unwrap();
    assert_eq!(read.text, "Текст \"с кавычками\".");
    assert_eq!(read.pieces[0].heading, "Карты");
}

#[test]
fn only_plain_text_is_read_by_the_one_who_asks() {
    let child = ChildProcess {
        program: "/nowhere/smart-support".into(),
        arguments: Vec::new(),
    };
    let read = |kind| child.extract(kind, b"word", &limits());
    for kind in DocumentKind::ALL {
        match (kind, read(kind)) {
            (DocumentKind::Text, read) => assert_eq!(read.unwrap().text, "word"),
            (kind, read) => assert_eq!(
                read.unwrap_err().kind(),
                SourceErrorKind::Unavailable,
                "{kind:?}: an attribute list or a row of asterisks is enough to take all time or memory"
            ),
        }
    }
}

#[test]
fn a_text_without_an_empty_line_is_refused_as_soon_as_it_is_too_long() {
    let text = "слово в строке\n".repeat(10_000);
    let (bytes, ..) = encoding_rs::WINDOWS_1251.encode(&text);
    let error = crate::InProcess
        .extract(DocumentKind::Text, &bytes, &limits())
        .unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Limit);
    assert!(error.to_string().contains("more than 10000 B"), "{error}");
}

#[test]
fn a_refusal_goes_through_the_pipes_with_its_kind() {
    let mut request = wire::request(DocumentKind::Text, &limits());
    request.extend(std::iter::repeat_n(b'x', 20_000));
    let mut answer = Vec::new();
    serve_one(&request[..], &mut answer, |_| ()).unwrap();
    let error = wire::answer(&answer, &limits()).unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Limit);
    assert!(error.to_string().contains("more than 10000 B"), "{error}");
    assert!(serve_one(&b"not a request\n"[..], Vec::new(), |_| ()).is_err());
}

#[cfg(unix)]
#[test]
fn a_child_that_misbehaves_is_a_document_that_cannot_be_read() {
    let check = |script: &str, kind: SourceErrorKind, message: &str| {
        let error = ask(script, &limits()).unwrap_err();
        assert_eq!(error.kind(), kind, "{script}: {error}");
        assert!(error.to_string().contains(message), "{script}: {error}");
    };
    let text = |text: &str| format!("cat >/dev/null; printf '%s' '{text}'");
    check(
        "kill -SEGV $$",
        SourceErrorKind::Format,
        "512 MiB of memory",
    );
    check(
        "kill -XCPU $$",
        SourceErrorKind::Limit,
        "20 s of processor time",
    );
    check("exit 101", SourceErrorKind::Format, "damaged");
    check(
        "exec cat /dev/zero",
        SourceErrorKind::Limit,
        "more than 10000 B",
    );
    check("exit 0", SourceErrorKind::Format, "its answer is none");
    check(&text("{}"), SourceErrorKind::Format, "its answer is none");
    let answer = |pieces: &str, failed: &str| {
        text(&format!(
            r#"{{"text":{{"text":"слово","pieces":{pieces},"title":null,"pages":1,"notices":[],"failed":{failed}}}}}"#
        ))
    };
    for (pieces, failed) in [
        (r#"[[9,1,""]]"#, "[]"),
        (r#"[[1,1,""],[10,1,""]]"#, "[]"),
        (r#"[[11,1,""]]"#, "[]"),
        (r#"[[10,0,""]]"#, "[]"),
        (r#"[[10,11,""]]"#, "[]"),
        (r#"[[10,1,"\u001b[31m"]]"#, "[]"),
        (r#"[[10,1,""]]"#, r#"[[99,"x"]]"#),
    ] {
        check(
            &answer(pieces, failed),
            SourceErrorKind::Format,
            "contradicts itself",
        );
    }
    let sound = ask(
        &answer(r#"[[10,1,""]]"#, r#"[[1,"\u001b[31mred"]]"#),
        &limits(),
    )
    .unwrap();
    assert_eq!(
        sound.failed[0].problem, "[31mred",
        "nothing steers the terminal"
    );
}

#[cfg(unix)]
#[test]
fn a_child_that_hangs_is_ended() {
    let limits = DocumentLimits {
        child_wall: Duration::from_millis(300),
        ..limits()
    };
    let begun = Instant::now();
    let error = ask("exec sleep 600", &limits).unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Limit);
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[cfg(unix)]
#[test]
fn a_child_that_closes_its_answer_and_stays_is_ended() {
    let limits = DocumentLimits {
        child_wall: Duration::from_millis(300),
        ..limits()
    };
    for script in [
        // With the document unread in the pipe, and without.
        "printf x; exec 1>&-; exec sleep 600",
        "cat >/dev/null; printf x; exec 1>&-; exec sleep 600",
    ] {
        let begun = Instant::now();
        let error = ask(script, &limits).unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Limit, "{script}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{script}");
    }
}

#[cfg(unix)]
#[test]
fn a_program_that_is_not_there_is_said() {
    let child = ChildProcess {
        program: "/nowhere/smart-support".into(),
        arguments: Vec::new(),
    };
    let error = child
        .extract(DocumentKind::Docx, b"PK", &limits())
        .unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Unavailable);
}
