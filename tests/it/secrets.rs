//! A key is sent to the provider and shows up nowhere else. Every run of the whole suite is with marked secrets, and
//! fails when one is in its output or in a file; here are the ways in, and the ways out that other tests do not take.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use integration_tests::{Faq, KEY, MARK, Outcome, Place, Reply, StubApi, skip};

use crate::support::{DIMENSIONS, api, stopping_at};

/// Every command, and flags that make it write or tell more.
const COMMANDS: &[&[&str]] = &[
    &[
        "migrate",
        "--faq-path",
        "faq.csv",
        "--metadata-dir",
        "reports",
    ],
    &[
        "migrate",
        "--faq-path",
        "faq.csv",
        "--force-recompute",
        "--json",
    ],
    &["sync", "--faq-path", "faq.csv", "--dry-run"],
    &["sync", "--faq-path", "faq.csv", "--log-format", "json"],
    &["validate", "--faq-path", "faq.csv"],
    &["search", "карта"],
    &["search", "вклад", "--json", "--log-format", "json"],
    &["eval", "golden.jsonl"],
    &["status", "--json"],
    &["schema", "status"],
    &["schema", "migrate"],
    &["cache", "stats"],
    &["config", "show", "--origin"],
    &["config", "show", "--json"],
    &["model", "fetch", "--offline"],
    &["completions", "bash"],
    &["migrate", "--help"],
    &["__reference", "reference"],
];

/// Runs every command as loudly as can be; that nothing is told and nothing written is checked by the harness.
#[track_caller]
fn run_everything(place: &mut Place, more: &[&str], way: &str) {
    place.save("faq.csv", &Faq::of(12));
    place.write("golden.jsonl", r#"{"query": "карта", "gold": []}"#);
    place.set("RUST_LOG", "trace");
    place.set("RUST_BACKTRACE", "full");
    for args in COMMANDS {
        let run = place.run(&[args, &["-vvv"][..], more].concat());
        assert_ne!(run.code, 101, "{way}: {}", run.stderr);
        let found = place.files_with_secrets();
        assert!(found.is_empty(), "{way}: {} wrote {found:?}", run.command);
    }
}

/// That the secret of this way is one that is used, or the test would prove nothing.
#[track_caller]
fn key_arrives(api: &StubApi, way: &str) {
    let ledger = api.ledger();
    assert!(!ledger.is_empty(), "{way}: nothing was asked");
    for request in ledger {
        let sent = request.authorization.unwrap_or_default();
        assert_eq!(sent, format!("Bearer {KEY}"), "{way}");
    }
}

#[test]
fn a_key_is_told_by_no_command_whichever_way_it_came() {
    type Way = (&'static str, fn(&mut Place), &'static [&'static str]);
    let ways: [Way; 9] = [
        (
            "EMBEDDING_API_KEY",
            |place| place.set("EMBEDDING_API_KEY", KEY),
            &[],
        ),
        (
            "SCIBOX_API_KEY",
            |place| place.set("SCIBOX_API_KEY", KEY),
            &[],
        ),
        (
            "OPENAI_API_KEY",
            |place| place.set("OPENAI_API_KEY", KEY),
            &[],
        ),
        (
            "EMBEDDING_API_KEY_FILE",
            |place| {
                let path = place.write("key", format!("{KEY}\n"));
                place.set("EMBEDDING_API_KEY_FILE", path);
            },
            &[],
        ),
        (
            ".env",
            |place| drop(place.write(".env", format!("EMBEDDING_API_KEY={KEY}\n"))),
            &[],
        ),
        (
            "--env-file",
            |place| drop(place.write("other.env", format!("OPENAI_API_KEY=\"{KEY}\"\n"))),
            &["--env-file", "other.env"],
        ),
        (
            "smart-support.toml",
            |place| {
                drop(place.write(
                    "smart-support.toml",
                    format!("[embedding]\napi-key = \"{KEY}\"\n"),
                ))
            },
            &[],
        ),
        (
            "--config",
            |place| drop(place.write("other.toml", format!("embedding.api-key = \"{KEY}\"\n"))),
            &["--config", "other.toml"],
        ),
        (
            "the user's settings",
            |place| {
                let text = format!("[embedding]\napi-key = \"{KEY}\"\n");
                place.write_home(".config/smart-support/smart-support.toml", text);
            },
            &[],
        ),
    ];
    for (way, set, more) in ways {
        let api = api();
        let mut place = Place::stub(&api);
        place.unset("EMBEDDING_API_KEY");
        set(&mut place);
        run_everything(&mut place, more, way);
        key_arrives(&api, way);
    }
}

#[test]
fn a_password_in_an_address_is_told_by_no_command() {
    // A proxy that was chosen is used, with its password.
    let (server, proxy) = (api(), api());
    let with_password =
        |api: &StubApi| api.url().replace("http://", &format!("http://user:{KEY}@"));
    let mut place = Place::stub(&server);
    place.set("EMBEDDING_PROXY", with_password(&proxy));
    run_everything(&mut place, &[], "EMBEDDING_PROXY");
    assert_eq!(server.requests(), 0, "everything went through the proxy");
    key_arrives(&proxy, "EMBEDDING_PROXY");

    // A proxy that only the environment knows is not.
    let (server, proxy) = (api(), api());
    let mut place = Place::stub(&server);
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        place.set(name, with_password(&proxy));
    }
    run_everything(&mut place, &[], "HTTP_PROXY");
    assert_eq!(proxy.requests(), 0, "no proxy was chosen");
    key_arrives(&server, "HTTP_PROXY");

    // In the address of the API, where it does not belong; and in the query, where some want it.
    let server = api();
    let mut place = Place::stub(&server);
    place.set(
        "EMBEDDING_BASE_URL",
        format!("{}/v1", with_password(&server)),
    );
    run_everything(&mut place, &[], "a password in EMBEDDING_BASE_URL");
    assert_eq!(server.requests(), 0, "it is refused");
    place.set(
        "EMBEDDING_BASE_URL",
        format!("{}/v1?api-key={KEY}", server.url()),
    );
    run_everything(&mut place, &[], "a key in the query");
    key_arrives(&server, "a key in the query");
    // Nobody there: the error has an address to tell.
    let down = StubApi::closed(DIMENSIONS, Duration::ZERO, |_, _| Reply::Vectors);
    place.set(
        "EMBEDDING_BASE_URL",
        format!("{}/v1?api-key={KEY}", down.url()),
    );
    place.run(&["search", "карта", "-vvv"]).expect(75);
}

#[test]
fn a_database_password_is_told_by_no_command() {
    let url = format!("postgres://user:{KEY}@db.example/faq");
    let foreign = format!("mysql://user:{KEY}@db.example/faq");
    let ways: [(&str, Option<&str>, Vec<&str>); 5] = [
        ("DATABASE_URL", Some(&url), vec![]),
        ("a foreign DATABASE_URL", Some(&foreign), vec![]),
        ("--store", None, vec!["--store", &url]),
        ("a foreign --store", None, vec!["--store", &foreign]),
        (
            "--postgres-password",
            None,
            vec!["--postgres-password", KEY],
        ),
    ];
    for (way, variable, more) in ways {
        let mut place = Place::hash();
        if let Some(url) = variable {
            place.set("DATABASE_URL", url);
        }
        run_everything(&mut place, &more, way);
    }
    let place = Place::new();
    place
        .run(&["config", "show", "--origin", "--postgres-password", KEY])
        .ok()
        .says(&["--postgres-password", "POSTGRES_PASSWORD"]);
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let mut place = Place::new();
    // The key where the path of its file belongs.
    place.set("EMBEDDING_API_KEY_FILE", KEY);
    place
        .run(&["status"])
        .expect(2)
        .says(&["EMBEDDING_API_KEY_FILE", "takes a path"]);
    place.unset("EMBEDDING_API_KEY_FILE");
    place.write(".env", format!("EMBEDDING_API_KEY {KEY}\n"));
    place.run(&["status"]).expect(2).says(&["NAME=VALUE"]);
    std::fs::remove_file(place.path(".env")).unwrap();
    for line in [
        format!("embedding.api-key = {KEY}\n"),
        format!("embedding.api-key = \"{KEY}\n"),
        format!("embedding.api-key = '{KEY}'\nembedding.api-key = '{KEY}'\n"),
        format!("[embedding.api-key.{KEY}\n"),
    ] {
        place.write("smart-support.toml", line);
        place.run(&["status"]).expect(2).says(&["settings file"]);
    }
    std::fs::remove_file(place.path("smart-support.toml")).unwrap();
    for args in [
        &["status", "--api-key", KEY][..],
        &["status", &format!("--api-key={KEY}")],
        &["status", &format!("--postgres-pasword={KEY}")],
    ] {
        place.run(args).expect(2);
    }
}

#[test]
fn a_key_that_everybody_may_read_is_remarked_upon() {
    let mut place = Place::hash();
    let path = place.write("key", KEY);
    place.set("OPENAI_API_KEY_FILE", &path);
    place.unset("EMBEDDING_API_KEY");
    for (mode, told) in [(0o644, true), (0o640, false), (0o600, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let run = place.run(&["config", "show"]).ok();
        let warned = run
            .stderr
            .contains(&format!("chmod 600 {}", path.display()));
        assert_eq!(warned, told, "{mode:o}: {}", run.stderr);
    }
}

#[test]
fn a_provider_that_repeats_the_key_does_not_make_us_print_it() {
    let said = format!("Incorrect API key provided: {KEY}. You can find your key at …");
    let json = serde_json::json!({ "error": { "message": said } }).to_string();
    let headers = vec![format!("x-request-id: {KEY}")];
    let refusal = |status| Reply::Status(status, headers.clone(), json.clone());
    let mut replies: Vec<_> = [400, 401, 403, 404, 418, 429, 500, 503].map(refusal).into();
    replies.extend([
        Reply::Status(401, Vec::new(), said.clone()),
        Reply::Status(302, vec![format!("Location: /{KEY}")], String::new()),
        Reply::Status(
            302,
            vec![format!("Location: https://{KEY}.example/")],
            String::new(),
        ),
        Reply::Body(json.clone()),
        Reply::Body(format!("<html>{KEY}</html>")),
        Reply::Body(format!(r#"{{"data":"{KEY}"}}"#)),
        Reply::Raw(format!("HTTP/1.1 200 {KEY}\r\n{KEY}: {KEY}\r\n{KEY}").into_bytes()),
    ]);
    for reply in replies {
        let shown = format!("{reply:?}");
        let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, move |_, _| reply.clone());
        let mut place = Place::stub(&api);
        place.set("RUST_LOG", "trace");
        place.save("faq.csv", &Faq::of(3));
        let run = place.run(&["migrate", "--faq-path", "faq.csv", "-vvv"]);
        assert_ne!(run.code, 0, "{shown}");
        key_arrives(&api, &shown);
    }
}

#[test]
fn the_process_list_shows_no_key() {
    if !std::path::Path::new("/proc/self/cmdline").is_file() {
        return skip("there is no /proc to see a process list in");
    }
    let server = stopping_at(1, Reply::Vectors);
    let place = Place::stub(&server.api);
    place.save("faq.csv", &Faq::of(30));
    let mut command = place.command(&["migrate", "--faq-path", "faq.csv", "--concurrency", "1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    server.wait();
    let process = format!("/proc/{}", child.id());
    let line = std::fs::read_to_string(format!("{process}/cmdline")).unwrap();
    assert!(line.contains("migrate") && !line.contains(MARK), "{line}");
    for task in std::fs::read_dir(format!("{process}/task")).unwrap() {
        let name = std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap();
        assert!(!name.contains("SECRET"), "{name}");
    }
    server.release();
    Outcome::new("migrate", child.wait_with_output().unwrap()).ok();
}

#[test]
fn a_child_that_fetches_the_model_is_given_no_key() {
    let mut place = Place::new();
    let fake = "#!/bin/sh\nenv > child-environment\ntr '\\0' '\\n' < /proc/$$/cmdline > child-arguments\n\
                read url\necho \"ERROR: cannot open ${url#*:}\" >&2\nexit 1\n";
    let python = place.write("bin/python3", fake);
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    place.set(
        "PATH",
        format!("{}:{path}", python.parent().unwrap().display()),
    );
    place.set("EMBEDDING_PROVIDER", "local");
    for name in [
        "EMBEDDING_API_KEY",
        "OPENAI_API_KEY",
        "SCIBOX_API_KEY",
        "POSTGRES_PASSWORD",
        "PGPASSWORD",
    ] {
        place.set(name, KEY);
    }
    place.set(
        "DATABASE_URL",
        format!("postgres://user:{KEY}@db.example/faq"),
    );
    place.set(
        "EMBEDDING_PROXY",
        format!("http://user:{KEY}@proxy.example:3128"),
    );
    // pip needs these, and with them its own passwords.
    place.set("PIP_INDEX_URL", "https://index.example/simple");
    let mirror = format!("http://user:{KEY}@mirror.example/e5.bin?token={KEY}");
    for mirror in [None, Some(mirror)] {
        if let Some(mirror) = mirror {
            place.set("SMART_SUPPORT_MODEL_URL", mirror);
        }
        let run = place.run(&["--sqlite-path", "data/faq.db", "model", "fetch", "-vvv"]);
        if run.stderr.contains("feature `local-model`") {
            return skip("this build has no local model to fetch");
        }
        assert_ne!(run.code, 0);
        let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
        let (environment, arguments) = (read("child-environment"), read("child-arguments"));
        assert!(environment.contains("PIP_INDEX_URL=https://index.example/simple"));
        assert!(environment.contains("HOME="), "{environment}");
        assert!(!environment.contains(MARK), "{environment}");
        assert!(
            arguments.contains("python3") && !arguments.contains(MARK),
            "{arguments}"
        );
    }
}

#[test]
fn a_crash_tells_no_key() {
    let api = api();
    let mut place = Place::stub(&api);
    place.set("RUST_BACKTRACE", "full");
    place.set("RUST_LOG", "trace");
    place.save("faq.csv", &Faq::of(30));
    // Too little memory: it panics and aborts wherever it happens to be.
    let mut crashed = 0;
    for kilobytes in (20_000..400_000).step_by(20_000) {
        let mut command = Command::new("sh");
        let script = format!("ulimit -v {kilobytes}; exec \"$0\" \"$@\"");
        command.args(["-c", &script]);
        let product = place.command(&["migrate", "--faq-path", "faq.csv", "-vvv"]);
        command.arg(product.get_program()).args(product.get_args());
        place.prepare(&mut command);
        let output = command.output().unwrap();
        crashed += usize::from(!output.status.success());
        let _ = Outcome::new(format!("migrate with {kilobytes} KiB"), output);
    }
    assert!(crashed > 0, "the limits are not felt");
    assert!(place.files_with_secrets().is_empty());
}

#[test]
fn a_core_file_holds_no_key() {
    // A shell that aborts shows whether this machine writes core files at all.
    let place = Place::new();
    let mut control = Command::new("sh");
    control.args(["-c", "ulimit -c unlimited; kill -ABRT $$"]);
    place.prepare(&mut control);
    if !control.status().unwrap().core_dumped() {
        return skip("this machine writes no core files");
    }
    // Its environment was in it, where the core file was written to this directory.
    for core in place.files_with_secrets() {
        std::fs::remove_file(core).unwrap();
    }

    let server = stopping_at(1, Reply::Vectors);
    let place = Place::stub(&server.api);
    place.save("faq.csv", &Faq::of(30));
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\""]);
    let product = place.command(&["migrate", "--faq-path", "faq.csv", "--concurrency", "1"]);
    command.arg(product.get_program()).args(product.get_args());
    place.prepare(&mut command);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    server.wait();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT).unwrap();
    let status = child.wait().unwrap();
    server.release();
    assert_eq!(status.signal(), Some(6));
    assert!(!status.core_dumped(), "its memory was written down");
    assert!(place.files_with_secrets().is_empty());
}

#[test]
fn customers_texts_are_in_no_log() {
    let api = api();
    let mut place = Place::stub(&api);
    place.set(
        "RUST_LOG",
        "trace,hyper=info,h2=info,reqwest=info,hyper_util=info",
    );
    let mut faq = Faq::of(3);
    faq.0[0].answer = "Примета-4711".to_owned();
    place.save("faq.csv", &faq);
    for args in [
        &["migrate", "--faq-path", "faq.csv", "-vvv"][..],
        &["search", "Примета-4711", "-vvv"],
    ] {
        let run = place.run(args).ok();
        assert!(!run.stderr.contains("4711"), "{}", run.stderr);
    }
}
