//! What is no file, or far too large for one.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::process::Command;

use integration_tests::skip;

use super::Range;

/// Two GiB that take no room: a sparse file.
fn sparse(path: &str, beginning: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(beginning).unwrap();
    file.set_len(2 << 30).unwrap();
}

#[test]
fn two_gib_are_refused_unread() {
    let range = Range::new();
    for (file, beginning) in [
        ("field.csv", &b"question,answer\nq,\""[..]),
        ("zeros.csv", b""),
        ("line.jsonl", b"{\"question\":\""),
        ("book.xlsx", b"PK\x03\x04"),
        ("old.xls", b"\xd0\xcf\x11\xe0"),
    ] {
        let source = range.put(file, b"");
        sparse(&source, beginning);
        range.refuses(&source, &["larger than 64 MiB"]);
    }
}

#[test]
fn directories_without_documents_and_devices_are_refused() {
    let range = Range::new();
    let directory = range.place.home("folder.csv");
    std::fs::create_dir(&directory).unwrap();
    range.refuses(
        directory.to_str().unwrap(),
        &["no documents there", "pdf, docx, html"],
    );
    for (device, says) in [
        ("/dev/zero", "larger than 64 MiB"),
        ("/dev/full", "larger than 64 MiB"),
        ("/dev/null", "the file is empty"),
    ] {
        range.refuses(device, &[says]);
    }
}

#[test]
fn a_pipe_that_never_ends_is_refused_and_one_that_ends_is_read() {
    let range = Range::new();
    let pipe = range.place.home("pipe.csv");
    let made = Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        return skip("mkfifo cannot make a pipe here");
    }
    let source = pipe.to_str().unwrap().to_owned();
    // The reader hangs up, and writing fails: that is how each round ends.
    let feed = |beginning: &'static [u8], endless: bool| {
        let pipe = pipe.clone();
        std::thread::spawn(move || {
            let mut pipe = OpenOptions::new().write(true).open(pipe).unwrap();
            let mut written = pipe.write_all(beginning);
            let more = vec![b'x'; 64 << 10];
            while endless && written.is_ok() {
                written = pipe.write_all(&more);
            }
        })
    };
    let feeder = feed(b"question,answer\nq,\"", true);
    let args = ["sync", "--dry-run", "--faq-path", &source];
    range.run(&args).expect(2).says(&["larger than 64 MiB"]);
    feeder.join().unwrap();
    let feeder = feed(b"question,answer\nq,a\n", false);
    range
        .run(&["sync", "--dry-run", "--force", "--faq-path", &source])
        .ok();
    feeder.join().unwrap();
    range.untouched("a pipe");
}

#[test]
fn a_file_that_may_not_be_read_is_refused() {
    let range = Range::new();
    let source = range.put("secret.csv", b"question\nq\n");
    let set = Command::new("chmod").args(["000", &source]).status();
    assert!(set.is_ok_and(|status| status.success()));
    for command in [&["sync", "--dry-run"][..], &["migrate"]] {
        let run = range
            .place
            .run_with_permissions(&[command, &["--faq-path", &source]].concat());
        if run.stderr.contains("setpriv") {
            return skip("setpriv cannot take away an administrator's rights here");
        }
        let run = run.expect(2).says(&["no permission to read", "chmod u+r"]);
        range.untouched(&run.command);
    }
}
