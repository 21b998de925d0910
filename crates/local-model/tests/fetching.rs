//! Fetching from a mirror, with the real file where it is at hand.
#![allow(clippy::unwrap_used)] // a test

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use local_model::{
    ALL_MINILM_L6_V2, FetchProgress, Fetched, KnownModel, Location, MULTILINGUAL_E5_SMALL,
    ModelErrorKind, Source, ensure, fetch, verify,
};

fn mirror(path: &Path, source: &Path) -> Location {
    mirror_of(&MULTILINGUAL_E5_SMALL, path, source)
}

fn mirror_of(model: &'static KnownModel, path: &Path, source: &Path) -> Location {
    Location {
        model,
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
        verify(&mirror(&target, &wrong)).unwrap_err().kind(),
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
            model: &MULTILINGUAL_E5_SMALL,
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
        model: &MULTILINGUAL_E5_SMALL,
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
    let Some(source) = common::weights(&MULTILINGUAL_E5_SMALL) else {
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
        last.done_bytes == last.total_bytes
            && [0, MULTILINGUAL_E5_SMALL.weights().bytes].contains(&last.total_bytes),
        "{last:?}"
    );
    verify(&location).unwrap();
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
fn a_model_of_two_files_comes_whole_or_not_at_all() {
    let known = &ALL_MINILM_L6_V2;
    let Some(weights) = common::weights(known) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let served = directory.path().join("served");
    fs::create_dir(&served).unwrap();
    fs::copy(&weights, served.join("model.safetensors")).unwrap();
    let target = directory.path().join("here/model.safetensors");
    let location = mirror_of(known, &target, &served.join("model.safetensors"));

    // The weights alone are not the model, and are not kept.
    let error = fetch(&location, &mut |_| ()).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Unavailable);
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
    fs::write(served.join("tokenizer.json"), "{}").unwrap();
    let error = fetch(&location, &mut |_| ()).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Mismatch);
    for said in [
        "2 bytes",
        "be50c362",
        "smart-support model fetch all-MiniLM-L6-v2",
    ] {
        assert!(error.to_string().contains(said), "{error}");
    }
    assert!(beside(&target).is_empty());

    // By the file, and by the directory, of a mirror.
    let tokenizer = weights.with_file_name("tokenizer.json");
    fs::copy(tokenizer, served.join("tokenizer.json")).unwrap();
    assert_eq!(fetch(&location, &mut |_| ()).unwrap(), Fetched::Downloaded);
    verify(&location).unwrap();
    let mut names = beside(&target);
    names.sort();
    assert_eq!(names, ["model.safetensors", "tokenizer.json"]);

    // A file that is gone or wrong is got again.
    let location = mirror_of(known, &target, &served);
    fs::remove_file(target.with_file_name("tokenizer.json")).unwrap();
    let error = verify(&location).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Missing, "{error}");
    assert_eq!(ensure(&location, &mut |_| ()).unwrap(), Fetched::Downloaded);
    let file = fs::OpenOptions::new().write(true).open(&target).unwrap();
    file.set_len(1 << 20).unwrap();
    let error = verify(&location).unwrap_err();
    assert!(error.to_string().contains("1048576 bytes"), "{error}");
    assert_eq!(fetch(&location, &mut |_| ()).unwrap(), Fetched::Downloaded);
    assert_eq!(
        fetch(&location, &mut |_| ()).unwrap(),
        Fetched::AlreadyThere
    );

    // What a mirror has of another model is named.
    let error = fetch(
        &mirror(&directory.path().join("e5.bin"), &weights),
        &mut |_| (),
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("it is of all-MiniLM-L6-v2"),
        "{error}"
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
        model: &MULTILINGUAL_E5_SMALL,
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
