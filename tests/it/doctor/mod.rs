//! `doctor`: each broken situation made for real, found, and mended by the very command that it names.

mod embedder;
mod postgres;
mod settings;
mod store;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use integration_tests::{Faq, Outcome, Place};
use serde_json::Value;

/// The check of that name in a report.
#[track_caller]
fn check(report: &Value, name: &str) -> Value {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    found
        .unwrap_or_else(|| panic!("no check {name} in {report:#}"))
        .clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The run found this fault, says these words of it, and names this remedy, which is returned.
#[track_caller]
fn finds(run: Outcome, name: &str, details: &[&str], remedy: &str) -> String {
    let report = run.expect(4).json();
    assert_eq!(report["ok"], false);
    let found = check(&report, name);
    assert_eq!(found["ok"], false, "{found:#}");
    assert_eq!(found["skipped"], false);
    for part in details {
        assert!(text(&found["detail"]).contains(part), "{part} in {found:#}");
    }
    assert!(
        text(&found["remedy"]).contains(remedy),
        "{remedy} in {found:#}"
    );
    text(&found["remedy"]).to_owned()
}

/// Runs `doctor` and looks for a fault.
#[track_caller]
fn sick(place: &Place, args: &[&str], name: &str, details: &[&str], remedy: &str) -> String {
    finds(doctor(place, args), name, details, remedy)
}

/// That check holds now.
#[track_caller]
fn well(place: &Place, args: &[&str], name: &str) -> String {
    let found = check(&doctor(place, args).json(), name);
    assert_eq!(found["ok"], true, "{found:#}");
    assert_eq!(found["skipped"], false, "{found:#}");
    assert_eq!(found["remedy"], Value::Null);
    text(&found["detail"]).to_owned()
}

fn doctor(place: &Place, args: &[&str]) -> Outcome {
    place.run(&[&["doctor", "--json"], args].concat())
}

/// Types the part of a remedy that begins so, up to the end of that command.
#[track_caller]
fn follow(place: &Place, remedy: &str, begins: &str) {
    let from = remedy.find(begins).unwrap();
    let end = remedy[from..]
        .find([';', ','])
        .map_or(remedy.len(), |at| from + at);
    let typed = &remedy[from..end];
    let mut shell = Command::new("sh");
    shell.args(["-c", typed]);
    place.prepare(&mut shell);
    // The command is typed as it stands, so it must be found.
    let binaries = integration_tests::binary().parent().unwrap().display();
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("PATH", format!("{binaries}:{path}"));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{typed}: {output:?}");
}

fn filled() -> Place {
    let place = Place::hash();
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    place
}

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_healthy_store_has_no_finding_and_nothing_is_written() {
    let place = filled();
    let before = place.files();
    let run = place.run(&["doctor", "--faq-path", "faq.csv"]).ok();
    assert!(
        run.stdout.contains("Nothing found that needs mending"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("✓ entries: 20 entries"),
        "{}",
        run.stdout
    );
    let report = place.json(&["doctor", "--faq-path", "faq.csv"]);
    assert_eq!(report["schema"], 1);
    assert_eq!(report["ok"], true);
    for found in report["checks"].as_array().unwrap() {
        assert_eq!(found["ok"], true, "{found:#}");
    }
    let quiet = place.run(&["doctor", "-q"]).ok().stdout;
    assert!(!quiet.contains('✓'), "{quiet}");
    assert!(place.files() == before);
}

#[test]
fn a_source_is_read_and_compared() {
    let place = filled();
    let absent = ["--faq-path", "fqa.csv"];
    sick(&place, &absent, "source", &["fqa.csv"], "faq.csv");

    place.write("plain.csv", "a,b\n1,2\n");
    let remedy = sick(
        &place,
        &["--faq-path", "plain.csv"],
        "source",
        &["column"],
        "--map",
    );
    assert!(!remedy.is_empty());

    let doubled = Faq::with_ids(20).edited(|entries| entries[5].id = Some("t4".into()));
    place.save("doubled.csv", &doubled);
    let args = ["--faq-path", "doubled.csv"];
    sick(
        &place,
        &args,
        "source_rows",
        &["row 7", "t4"],
        "mend these rows in doubled.csv",
    );
    place.save("doubled.csv", &Faq::with_ids(20));
    well(&place, &args, "source_rows");

    let edited = Faq::with_ids(21).edited(|entries| entries[5].answer.push('!'));
    place.save("faq.csv", &edited);
    let args = ["--faq-path", "faq.csv"];
    let details = ["19 equal, 1 new, 1 modified"];
    let remedy = sick(&place, &args, "freshness", &details, "smart-support sync");
    follow(&place, &remedy, "smart-support sync");
    well(&place, &args, "freshness");
}

#[test]
fn what_a_killed_run_left_lying_about_is_named() {
    let place = filled();
    let mut gone = Command::new("true").spawn().unwrap();
    let number = gone.id();
    gone.wait().unwrap();
    let report = place.write(&format!(".smart-support-report.{number}.tmp"), "{");
    // Somebody is still writing this one.
    let alive = format!(".smart-support-report.{}.tmp", std::process::id());
    place.write(&alive, "{");
    let name = report.file_name().unwrap().to_str().unwrap();
    let remedy = sick(&place, &[], "leftovers", &[name], "rm -r");
    assert!(!remedy.contains(&alive), "{remedy}");
    follow(&place, &remedy, "rm -r");
    assert!(!report.exists());
    well(&place, &[], "leftovers");
}
