//! One writer at a time, who says so; readers never notice.

use std::process::Stdio;

use integration_tests::{Backend, Entry, Faq, Place, Reply, on_every_store};

use crate::support::{counts, stopping_at};

fn a_second_writer_is_told_who_works_and_readers_go_on(backend: Backend) {
    let server = stopping_at(14, Reply::Vectors);
    let place = backend.stub(&server.api);
    let faq = Faq::with_ids(100);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    place.save(
        "faq.csv",
        &faq.edited(|entries| {
            for entry in entries.iter_mut() {
                entry.answer.push_str(" Это бесплатно.");
            }
        }),
    );
    let first = ["sync", "--faq-path", "faq.csv", "--concurrency", "1"];
    let mut child = place
        .command(&first)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    server.wait();

    let holder = format!("the store is busy: held by pid {} on ", child.id());
    for args in [
        &["sync", "--faq-path", "faq.csv", "--wait", "0s"][..],
        &["migrate", "--faq-path", "faq.csv", "--wait", "0s", "--json"],
        &[
            "migrate",
            "--faq-path",
            "faq.csv",
            "--force-recompute",
            "--wait",
            "200ms",
        ],
        &["cache", "prune", "--wait", "0s"],
    ] {
        let refused = place.run(args).expect(75).prints_nothing();
        let error = refused.error();
        assert!(error.contains(&holder), "{error}");
        for part in [" since 20", "(smart-support sync)", "--wait 60s"] {
            assert!(error.contains(part), "{error}");
        }
    }
    // Whoever only reads is not held up, and sees what was there before.
    let found = place.json(&["search", &faq.0[7].text(), "-k", "1"]);
    assert_eq!(found["hits"][0]["id"], faq.0[7].id.as_deref().unwrap());
    assert_eq!(place.json(&["validate"])["ok"], true);
    let status = place.json(&["status"]);
    assert_eq!(status["generation"], 1);
    let writer = status["writer"].as_str().unwrap();
    assert!(writer.contains(&child.id().to_string()), "{writer}");
    let shown = place.run(&["status"]).ok().stdout;
    assert!(shown.contains("under way"), "{shown}");
    assert_eq!(
        place.json(&["sync", "--faq-path", "faq.csv", "--dry-run"])["modified"],
        100
    );

    // Whoever waits comes next, and finds everything paid for.
    let mut waiting = place.command(&["sync", "--faq-path", "faq.csv", "--wait", "120s", "--json"]);
    let waiting = waiting
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    server.release();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    counts(
        &report,
        &[("unchanged", 100), ("embedded", 0), ("requests", 0)],
    );
    // Two hundred passages, and the question, which asks for one of them.
    let mut billed = server.api.billed();
    assert_eq!(billed.len(), 201);
    billed.sort_unstable();
    billed.dedup();
    assert_eq!(billed.len(), 200);
}

fn a_killed_writer_holds_nobody_up(backend: Backend) {
    let server = stopping_at(3, Reply::Vectors);
    let place = backend.stub(&server.api);
    place.save("faq.csv", &Faq::with_ids(100));
    let args = [
        "migrate",
        "--faq-path",
        "faq.csv",
        "--concurrency",
        "1",
        "--wait",
        "0s",
    ];
    let mut child = place
        .command(&args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    server.wait();
    child.kill().unwrap();
    child.wait().unwrap();
    server.release();
    counts(
        &place.json(&args),
        &[("new", 100), ("reused", 30), ("embedded", 70)],
    );
}

fn a_search_tells_the_generation_that_its_hits_are_of(backend: Backend) {
    let server = stopping_at(10, Reply::Vectors);
    let place = backend.stub(&server.api);
    let faq = Faq::with_ids(100);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    // The provider thinks about the question while somebody else's sync begins and ends.
    let new = Entry::number(100).text();
    let child = place
        .command(&["search", &new, "-k", "1", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    server.wait();
    place.save(
        "faq.csv",
        &faq.edited(|entries| {
            entries.push(Entry {
                id: Some("t100".to_owned()),
                ..Entry::number(100)
            });
        }),
    );
    place.run(&["sync", "--faq-path", "faq.csv"]).ok();
    server.release();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["hits"][0]["id"], "t100");
    assert_eq!(found["generation"], 2);
}

#[test]
fn a_wait_without_end_is_a_wait() {
    let place = Place::hash();
    place.save("faq.csv", &Faq::with_ids(3));
    let wait = format!("{}s", u64::MAX);
    for wait in ["9223372036854775807s", &wait] {
        place.migrate("faq.csv", &["--wait", wait]);
    }
}

on_every_store! {
    a_second_writer_is_told_who_works_and_readers_go_on,
    a_killed_writer_holds_nobody_up,
    a_search_tells_the_generation_that_its_hits_are_of,
}
