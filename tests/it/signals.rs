//! Ctrl-C and SIGTERM: a clean stop that keeps what is paid for and says how to go on.

use std::process::{Child, Stdio};

use integration_tests::{Backend, Faq, Outcome, Place, Reply, on_every_store};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{billed_once, counts, stopping_at};

const ARGS: [&str; 5] = ["migrate", "--faq-path", "faq.xlsx", "--concurrency", "1"];

fn start(place: &Place, args: &[&str]) -> Child {
    let mut command = place.command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_child(child);
    kill_process(pid, signal).unwrap();
}

fn end(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    Outcome::new("the interrupted run", output)
}

fn the_first_signal_keeps_what_arrives_and_says_how_to_resume(backend: Backend) {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let server = stopping_at(5, Reply::Vectors);
        let place = backend.stub(&server.api);
        place.save("faq.xlsx", &Faq::of(201));
        let mut child = start(&place, &ARGS);
        server.wait();
        send(&child, signal);
        // The call is in flight and paid for: it is awaited, however long it takes.
        wait_for(&mut child, "Stopping: nothing more is sent");
        server.release();
        let run = end(child).expect(code).prints_nothing();
        assert!(
            run.error().contains(
                "interrupted; 60 of 201 vectors are stored and stay paid for; to resume, run the same command again"
            ),
            "{}",
            run.error()
        );
        assert_eq!(
            server.api.requests(),
            6,
            "nothing was sent after the signal"
        );
        assert_eq!(place.scalar("SELECT count(*) FROM embedding_records"), 0);
        let again = place.run(&[&ARGS[..], &["--json"]].concat()).ok();
        let again = again
            .says(&["Resuming: 60 of 201 vectors already paid for, 141 to embed (15 requests)"]);
        counts(
            &again.json(),
            &[("new", 201), ("embedded", 141), ("reused", 60)],
        );
        billed_once(&server.api, 201);
    }
}

/// Reads the child's log until it says so; the rest stays for the end.
#[track_caller]
fn wait_for(child: &mut Child, text: &str) {
    use std::io::{BufRead, BufReader};
    let stderr = child.stderr.take().unwrap();
    let mut lines = BufReader::with_capacity(1, stderr);
    let mut seen = String::new();
    while !seen.contains(text) {
        assert!(
            lines.read_line(&mut seen).unwrap() > 0,
            "the run ends without saying {text:?}:\n{seen}"
        );
    }
    child.stderr = Some(lines.into_inner());
}

fn the_second_signal_leaves_at_once_and_loses_nothing_that_was_stored(backend: Backend) {
    let server = stopping_at(5, Reply::Vectors);
    let place = backend.stub(&server.api);
    place.save("faq.xlsx", &Faq::of(201));
    let mut child = start(&place, &ARGS);
    server.wait();
    send(&child, Signal::INT);
    wait_for(&mut child, "Stopping: nothing more is sent");
    send(&child, Signal::INT);
    let run = end(child).expect(130);
    assert!(run.error().contains("stays paid for"), "{}", run.error());
    server.release();
    let report = place.json(&ARGS);
    counts(&report, &[("new", 201), ("embedded", 151), ("reused", 50)]);
    assert_eq!(place.json(&["validate"])["ok"], true);
}

fn a_wait_for_the_next_attempt_is_cut_short(backend: Backend) {
    let patient = Reply::Status(429, vec!["Retry-After: 25".to_owned()], String::new());
    let server = stopping_at(2, patient);
    let mut place = backend.stub(&server.api);
    place.set("EMBEDDING_MAX_RETRIES", "3");
    place.save("faq.xlsx", &Faq::of(201));
    let mut child = start(&place, &ARGS);
    server.wait();
    server.release();
    send(&child, Signal::TERM);
    wait_for(&mut child, "Stopping: nothing more is sent");
    let run = end(child).expect(143);
    assert!(
        run.error().contains("20 of 201 vectors are stored"),
        "{}",
        run.error()
    );
    assert_eq!(server.api.requests(), 3);
}

fn a_daily_sync_that_is_stopped_leaves_readers_what_they_had(backend: Backend) {
    let server = stopping_at(12, Reply::Vectors);
    let place = backend.stub(&server.api);
    let faq = Faq::with_ids(100);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let before = place.rows("faq");
    place.save(
        "faq.csv",
        &faq.edited(|entries| {
            for entry in entries.iter_mut() {
                entry.answer.push_str(" Это бесплатно.");
            }
        }),
    );
    let args = ["sync", "--faq-path", "faq.csv", "--concurrency", "1"];
    let mut child = start(&place, &args);
    server.wait();
    send(&child, Signal::INT);
    wait_for(&mut child, "Stopping: nothing more is sent");
    server.release();
    end(child).expect(130);
    assert_eq!(place.rows("faq"), before);
    counts(
        &place.json(&args),
        &[("modified", 100), ("reused", 30), ("embedded", 70)],
    );
    billed_once(&server.api, 200);
}

on_every_store! {
    the_first_signal_keeps_what_arrives_and_says_how_to_resume,
    the_second_signal_leaves_at_once_and_loses_nothing_that_was_stored,
    a_wait_for_the_next_attempt_is_cut_short,
    a_daily_sync_that_is_stopped_leaves_readers_what_they_had,
}
