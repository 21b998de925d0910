//! Fetching from a mirror, with the real file where it is at hand.
#![allow(clippy::unwrap_used)] // a test

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use local_model::{
    FILE_BYTES, FetchProgress, Fetched, Location, ModelErrorKind, Source, ensure, fetch, verify,
};

fn mirror(path: &Path, source: &Path) -> Location {
    Location {
        path: path.to_owned(),
        source: Source::Mirror(source.display().to_string()),
    }
}

/// Names in the directory of `path`.
fn beside(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path.parent().unwrap()).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_wrong_file_is_refused_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong.bin");
    fs::write(&wrong, b"not the model").unwrap();
    let target = directory.path().join("models/deep/e5.bin");
    let error = fetch(&mirror(&target, &wrong), &mut |_| ()).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Mismatch);
    let text = error.to_string();
    // The digest of "not the model", and both that would have done.
    for expected in [
        "13 bytes",
        "sha256",
        "1571fc98",
        "f4b89df3",
        "smart-support model fetch",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(beside(&target).is_empty(), "{:?}", beside(&target));

    // What was there stays.
    fs::write(&target, b"old").unwrap();
    fetch(&mirror(&target, &wrong), &mut |_| ()).unwrap_err();
    assert_eq!(fs::read(&target).unwrap(), b"old");
    assert_eq!(
        ensure(&mirror(&target, &wrong), &mut |_| ()).unwrap(),
        Fetched::AlreadyThere
    );
    assert_eq!(
        verify(&target).unwrap_err().kind(),
        ModelErrorKind::Mismatch
    );
}

#[test]
fn what_cannot_be_read_is_named_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("e5.bin");
    for (url, kind, named) in [
        (
            "/no/such/file",
            ModelErrorKind::Unavailable,
            "/no/such/file",
        ),
        (
            "file:///no/such%20file",
            ModelErrorKind::Unavailable,
            "/no/such file",
        ),
        (
            "ftp://user:hush@mirror.invalid/e5.bin",
            ModelErrorKind::Unavailable,
            "ftp",
        ),
        (
            "http://user:hush@127.0.0.1:1/e5.bin?key=hush",
            ModelErrorKind::Unavailable,
            "http://127.0.0.1:1/e5.bin",
        ),
    ] {
        let location = Location {
            path: target.clone(),
            source: Source::Mirror(url.to_owned()),
        };
        let error = fetch(&location, &mut |_| ()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(named), "{error}");
        assert!(
            !format!("{error} {error:?} {location:?}").contains("hush"),
            "{error:?}"
        );
    }
    let nowhere = Location {
        path: target.clone(),
        source: Source::Nowhere,
    };
    assert_eq!(
        ensure(&nowhere, &mut |_| ()).unwrap_err().kind(),
        ModelErrorKind::Missing
    );
    assert!(beside(&target).is_empty());
}

#[test]
fn the_pinned_file_is_copied_once() {
    let Some(source) = common::weights() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("e5.bin");
    let location = mirror(&target, &source);
    // Two at once, as two containers on one volume.
    let mut last = FetchProgress {
        done_bytes: 0,
        total_bytes: 0,
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| fetch(&location, &mut |_| ()));
        fetch(&location, &mut |progress| last = progress).unwrap();
        other.join().unwrap().unwrap();
    });
    assert!(
        last.done_bytes == last.total_bytes && [0, FILE_BYTES].contains(&last.total_bytes),
        "{last:?}"
    );
    verify(&target).unwrap();
    assert_eq!(beside(&target), ["e5.bin"]);
    assert_eq!(
        fetch(&location, &mut |_| ()).unwrap(),
        Fetched::AlreadyThere
    );
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&target).unwrap().permissions())
            & 0o777,
        0o600
    );
}

#[test]
fn an_http_mirror_is_read_through_python() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        for (status, body) in [("200 OK", "not the model"), ("404 Not Found", "")] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /e5.bin HTTP/1.1\r\n"));
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + body).as_bytes()).unwrap();
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("e5.bin");
    let location = Location {
        path: target.clone(),
        source: Source::Mirror(format!("http://{address}/e5.bin")),
    };
    let error = fetch(&location, &mut |_| ()).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Mismatch, "{error}");
    assert!(error.to_string().contains("13 bytes"), "{error}");
    let error = fetch(&location, &mut |_| ()).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("404"), "{error}");
    assert!(beside(&target).is_empty());
    server.join().unwrap();
}
