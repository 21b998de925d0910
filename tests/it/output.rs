//! What goes to stdout and what does not.

use integration_tests::{Backend, Faq, Place, on_every_store};
use serde_json::Value;

/// A place with a store and everything that commands take.
fn filled(backend: Backend) -> Place {
    let place = backend.hash();
    place.save("faq.csv", &Faq::with_ids(20));
    place.write(
        "golden.jsonl",
        r#"{"query": "Как оформить карту?", "gold": ["t0"]}"#,
    );
    place.migrate("faq.csv", &[]);
    place
}

const COMMANDS: [&[&str]; 15] = [
    &["migrate", "--faq-path", "faq.csv"],
    &["migrate", "--faq-path", "faq.csv", "--dry-run"],
    &["migrate", "--faq-path", "faq.csv", "--force-recompute"],
    &["migrate", "--validate"],
    &["migrate", "--migrate-schema"],
    &["sync", "--faq-path", "faq.csv"],
    &["validate"],
    &["validate", "--faq-path", "faq.csv"],
    &["search", "карта"],
    &["status"],
    &["schema", "status"],
    &["schema", "migrate"],
    &["eval", "golden.jsonl"],
    &["config", "show", "--origin"],
    &["cache", "stats"],
];

fn json_is_one_document_with_the_schema_first(backend: Backend) {
    let place = filled(backend);
    for args in COMMANDS.into_iter().chain([&["cache", "prune"][..]]) {
        for more in [
            &["--json"][..],
            &["--json", "-vvv"],
            &["--json", "-q"],
            &["--json", "--color", "always"],
        ] {
            let run = place.run(&[args, more].concat()).ok();
            let start: String = run.stdout.split_whitespace().take(3).collect();
            assert_eq!(start, "{\"schema\":1,", "{}", run.command);
            assert!(run.json().is_object());
            assert!(!run.stdout.contains('\x1b'), "{}", run.command);
        }
    }
}

fn logs_as_json_are_one_object_a_line(backend: Backend) {
    let place = filled(backend);
    for args in [COMMANDS[0], COMMANDS[2], COMMANDS[8]] {
        let run = place.run(&[args, &["--log-format", "json"]].concat()).ok();
        assert!(!run.stderr.is_empty());
        for line in run.stderr.lines() {
            let line: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(line.is_object());
        }
    }
}

fn quiet_leaves_results_and_warnings(backend: Backend) {
    let place = filled(backend);
    let run = place.run(&["migrate", "--faq-path", "faq.csv", "-q"]).ok();
    assert_eq!(run.stderr, "");
    let run = place.run(&["search", "Как оформить карту?", "-q"]).ok();
    assert!(run.stdout.contains("Как оформить карту?"));
    assert_eq!(run.stderr, "");
}

#[test]
fn colour_is_for_terminals_and_on_request() {
    let mut place = filled(Backend::Sqlite);
    for args in COMMANDS {
        let run = place.run(args).ok();
        assert!(
            !run.stdout.contains('\x1b') && !run.stderr.contains('\x1b'),
            "{}",
            run.command
        );
    }
    let run = place.run(&["validate", "--color", "always"]).ok();
    assert!(run.stdout.contains('\x1b') && run.stderr.contains('\x1b'));
    place.set("NO_COLOR", "1");
    let run = place.run(&["validate", "--color", "never"]).ok();
    assert!(!run.stdout.contains('\x1b') && !run.stderr.contains('\x1b'));
    let run = place.run(&["validate"]).ok();
    assert!(!run.stdout.contains('\x1b') && !run.stderr.contains('\x1b'));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let place = filled(Backend::Sqlite);
    let mut command = place.command(&["config", "show"]);
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn help_names_the_commands_and_hides_the_password_flag() {
    let place = Place::new();
    let help = place.run(&["--help"]).ok();
    for command in [
        "migrate",
        "sync",
        "validate",
        "search",
        "status",
        "schema",
        "eval",
        "model",
        "config",
        "cache",
        "completions",
    ] {
        assert!(help.stdout.contains(command), "{command}");
    }
    for args in [&["--help"][..], &["migrate", "--help"]] {
        assert!(!place.run(args).ok().stdout.contains("--postgres-password"));
    }
    assert!(place.files().is_empty());
}

on_every_store! {
    json_is_one_document_with_the_schema_first,
    logs_as_json_are_one_object_a_line,
    quiet_leaves_results_and_warnings,
}
