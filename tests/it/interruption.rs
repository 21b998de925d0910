//! Runs that end before their time: what was paid stays paid, readers notice nothing, and running again is right.

use integration_tests::{Backend, Faq, Outcome, Place, on_every_store};

use crate::support::{
    Failing, Stopping, api, billed_once, counts, stopping_at, unauthorized, unavailable,
};

fn a_first_run_that_fails_is_resumed(backend: Backend) {
    for (failure, code) in [(unauthorized(), 2), (unavailable(), 75)] {
        let provider = Failing::after(5, failure);
        let place = backend.stub(&provider.api);
        place.save("faq.xlsx", &Faq::of(201));
        let run = place.run(&["migrate", "--faq-path", "faq.xlsx", "--json"]);
        run.expect(code)
            .prints_nothing()
            .says(&["50 of 201 vectors are stored"]);
        // Nothing is visible before everything is there.
        assert_eq!(place.scalar("SELECT count(*) FROM embedding_records"), 0);
        assert_eq!(place.json(&["validate"])["ok"], true);

        provider.mend();
        let run = place
            .run(&["migrate", "--faq-path", "faq.xlsx", "--json"])
            .ok();
        let run =
            run.says(&["Resuming: 50 of 201 vectors already paid for, 151 to embed (16 requests)"]);
        counts(
            &run.json(),
            &[
                ("new", 201),
                ("embedded", 151),
                ("requests", 16),
                ("reused", 50),
            ],
        );
        billed_once(&provider.api, 201);
    }
}

fn a_daily_sync_that_fails_leaves_readers_what_they_had(backend: Backend) {
    let provider = Failing::after(usize::MAX, unavailable());
    let place = backend.stub(&provider.api);
    let faq = Faq::with_ids(100);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let before = place.rows("faq");
    place.save(
        "faq.csv",
        &faq.edited(|entries| {
            for entry in &mut entries[..30] {
                entry.answer.push_str(" Это бесплатно.");
            }
        }),
    );
    provider.fail_after(2);
    let run = place.run(&["sync", "--faq-path", "faq.csv"]).expect(75);
    run.says(&["20 of 30 vectors are stored"]);
    assert_eq!(place.rows("faq"), before);
    provider.mend();
    let report = place.json(&["sync", "--faq-path", "faq.csv"]);
    counts(
        &report,
        &[
            ("modified", 30),
            ("embedded", 10),
            ("requests", 1),
            ("reused", 20),
        ],
    );
    billed_once(&provider.api, 130);
}

fn a_recompute_pays_everything_once_and_flips_at_once(backend: Backend) {
    let api = api();
    let place = backend.stub(&api);
    place.save("faq.xlsx", &Faq::of(201));
    let first = place.migrate("faq.xlsx", &[]);
    let report = place.migrate("faq.xlsx", &["--force-recompute"]);
    assert_eq!(report["mode"], "forced");
    counts(
        &report,
        &[
            ("total", 201),
            ("embedded", 201),
            ("requests", 21),
            ("reused", 0),
            ("deleted", 0),
        ],
    );
    assert_eq!(api.requests(), 42);
    let version =
        |report: &serde_json::Value| report["model"]["version"].as_str().unwrap().to_owned();
    assert_ne!(version(&first), version(&report));
    assert_eq!(
        place.json(&["validate", "--faq-path", "faq.xlsx"])["ok"],
        true
    );

    let report = place.migrate("faq.xlsx", &["--incremental"]);
    counts(&report, &[("unchanged", 201), ("requests", 0)]);
    // The familiar short name is the same flag.
    let report = place.migrate("faq.xlsx", &["--force"]);
    assert_eq!(report["mode"], "forced");
}

fn a_recompute_that_fails_is_resumed_and_readers_keep_the_old_version(backend: Backend) {
    let provider = Failing::after(usize::MAX, unauthorized());
    let place = backend.stub(&provider.api);
    let faq = Faq::of(201);
    place.save("faq.xlsx", &faq);
    let first = place.migrate("faq.xlsx", &[]);
    let before = place.rows("faq");

    provider.fail_after(5);
    let args = [
        "migrate",
        "--faq-path",
        "faq.xlsx",
        "--force-recompute",
        "--json",
    ];
    place.run(&args).expect(2).prints_nothing();
    assert_eq!(place.rows("faq"), before);
    provider.mend();
    let found = place.json(&["search", &faq.0[7].text(), "-k", "1"]);
    assert_eq!(found["hits"][0]["question"], faq.0[7].question.as_str());
    assert_eq!(found["model"]["version"], first["model"]["version"]);
    let questions = 1;

    let run = place.run(&args).ok();
    let run =
        run.says(&["Resuming: 50 of 201 vectors already paid for, 151 to embed (16 requests)"]);
    counts(
        &run.json(),
        &[("embedded", 151), ("requests", 16), ("reused", 50)],
    );
    assert_ne!(run.json()["model"]["version"], first["model"]["version"]);
    assert_eq!(provider.api.billed().len(), 201 + questions + 201);
}

/// Starts a run, kills it without warning while a call is under way, and meanwhile lets the caller look around.
fn kill_during_call(place: &Place, server: &Stopping, args: &[&str], meanwhile: impl FnOnce()) {
    let mut command = place.command(args);
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    server.wait();
    meanwhile();
    child.kill().unwrap();
    child.wait().unwrap();
    server.release();
}

fn a_killed_first_run_is_resumed(backend: Backend) {
    let server = stopping_at(5, unavailable());
    let place = backend.stub(&server.api);
    place.save("faq.xlsx", &Faq::of(201));
    let args = ["migrate", "--faq-path", "faq.xlsx", "--concurrency", "1"];
    kill_during_call(&place, &server, &args, || {});
    let run: Outcome = place.run(&[&args[..], &["--json"]].concat()).ok();
    let run = run.says(&["Resuming: 50 of 201 vectors already paid for"]);
    counts(
        &run.json(),
        &[("new", 201), ("embedded", 151), ("reused", 50)],
    );
    billed_once(&server.api, 201);
    assert_eq!(
        place.json(&["validate", "--faq-path", "faq.xlsx"])["ok"],
        true
    );
}

fn a_killed_recompute_is_resumed_and_readers_never_see_a_mixture(backend: Backend) {
    let paid = api();
    let mut place = backend.stub(&paid);
    let faq = Faq::of(201);
    place.save("faq.xlsx", &faq);
    let first = place.migrate("faq.xlsx", &[]);

    let server = stopping_at(5, unavailable());
    place.use_stub(&server.api);
    let mut reader = backend.stub(&paid);
    reader.share_store_of(&place);
    let args = [
        "migrate",
        "--faq-path",
        "faq.xlsx",
        "--concurrency",
        "1",
        "--force-recompute",
    ];
    let reads_the_old = || {
        let found = reader.json(&["search", &faq.0[7].text(), "-k", "1"]);
        assert_eq!(found["hits"][0]["question"], faq.0[7].question.as_str());
        assert!(found["hits"][0]["score"].as_f64().unwrap() > 0.999);
        assert_eq!(found["model"]["version"], first["model"]["version"]);
    };
    kill_during_call(&place, &server, &args, reads_the_old);
    reads_the_old();

    let report = place.json(&args);
    assert_eq!(report["mode"], "forced");
    counts(&report, &[("embedded", 151), ("reused", 50)]);
    assert_ne!(report["model"]["version"], first["model"]["version"]);
    billed_once(&server.api, 201);
}

fn two_runs_at_once_end_in_one_complete_store(backend: Backend) {
    let place = backend.hash();
    place.save("faq.csv", &Faq::with_ids(100));
    place.run(&["schema", "migrate"]).ok();
    let mut children: Vec<_> = (0..3)
        .map(|_| {
            let mut command = place.command(&["migrate", "--faq-path", "faq.csv", "--wait", "60s"]);
            command
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null());
            command.spawn().unwrap()
        })
        .collect();
    for child in &mut children {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    assert_eq!(place.rows("faq").len(), 100);
    assert_eq!(
        place.json(&["validate", "--faq-path", "faq.csv"])["ok"],
        true
    );
}

on_every_store! {
    a_first_run_that_fails_is_resumed,
    a_daily_sync_that_fails_leaves_readers_what_they_had,
    a_recompute_pays_everything_once_and_flips_at_once,
    a_recompute_that_fails_is_resumed_and_readers_keep_the_old_version,
    a_killed_first_run_is_resumed,
    a_killed_recompute_is_resumed_and_readers_never_see_a_mixture,
    two_runs_at_once_end_in_one_complete_store,
}
