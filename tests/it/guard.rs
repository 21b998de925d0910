//! A broken export must not empty a store.

use integration_tests::{Backend, Entry, Faq, Place, on_every_store};

use crate::support::counts;

fn filled(backend: Backend, rows: usize) -> (Place, Faq) {
    let place = backend.hash();
    let faq = Faq::with_ids(rows);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    (place, faq)
}

fn more_than_a_fifth_is_not_deleted_unasked(backend: Backend) {
    // (rows left of 20, flags, exit code)
    let cases: &[(usize, &[&str], i32)] = &[
        (16, &[], 0),
        (15, &[], 6),
        (15, &["--allow-delete", "4"], 6),
        (15, &["--allow-delete", "5"], 0),
        (15, &["--allow-delete", "24%"], 6),
        (15, &["--allow-delete", "25%"], 0),
        (1, &["--allow-delete", "95%"], 0),
    ];
    for (left, flags, code) in cases {
        let (place, faq) = filled(backend, 20);
        place.save("faq.csv", &faq.edited(|entries| entries.truncate(*left)));
        let before = place.data();
        for command in ["sync", "migrate"] {
            let run = place.run(&[&[command, "--faq-path", "faq.csv"], *flags].concat());
            let run = run.expect(*code);
            if *code == 6 {
                let gone = 20 - left;
                let remedy = format!("--allow-delete {gone}");
                run.prints_nothing()
                    .says(&[&format!("{gone} of 20 rows"), &remedy]);
                assert!(place.data() == before, "a refused sync wrote to the store");
            } else {
                assert_eq!(place.rows("faq").len(), *left);
            }
        }
    }
}

fn an_empty_source_deletes_nothing_unasked(backend: Backend) {
    for name in ["faq.csv", "faq.xlsx"] {
        let place = backend.hash();
        // Five rows of a thousand would pass for a share; nothing at all never does.
        place.save(name, &Faq::of(5));
        place.migrate(name, &[]);
        let before = place.data();
        place.save(name, &Faq::default());
        let run = place.run(&["sync", "--faq-path", name]).expect(6);
        run.prints_nothing()
            .says(&["the source is empty", "--allow-delete 5"]);
        assert!(place.data() == before);
        let report = place.json(&["sync", "--faq-path", name, "--allow-delete", "5"]);
        counts(&report, &[("deleted", 5), ("total", 0)]);
        assert_eq!(place.rows("faq").len(), 0);
    }
}

fn a_source_that_cannot_be_read_in_full_deletes_nothing(backend: Backend) {
    let place = backend.hash();
    let faq = Faq::of(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let before = place.rows("faq");
    // Row 4 of the file has lost its texts, row 21 is gone: either may be any of the stored ones.
    let broken = faq.edited(|entries| {
        entries[2].question.clear();
        entries[2].answer.clear();
        entries.pop();
        entries.push(Entry::number(100));
    });
    place.save("faq.csv", &broken);
    let run = place
        .run(&["sync", "--faq-path", "faq.csv", "--json"])
        .expect(3);
    let report = run.json();
    counts(
        &report,
        &[
            ("new", 1),
            ("deleted", 0),
            ("withheld", 2),
            ("unchanged", 18),
        ],
    );
    let failed = report["failed"].as_array().unwrap();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["row"], 4);
    assert!(!failed[0]["reason"].as_str().unwrap().is_empty());
    assert!(report["coverage"].as_f64().unwrap() < 1.0);
    let after = place.rows("faq");
    assert_eq!(after.len(), 21);
    assert!(before.keys().all(|id| after.contains_key(id)));
}

fn a_broken_row_with_an_id_protects_only_itself(backend: Backend) {
    let (place, faq) = filled(backend, 20);
    let broken = faq.edited(|entries| {
        entries[2].question.clear();
        entries[2].answer.clear();
        entries.pop();
    });
    place.save("faq.csv", &broken);
    let run = place
        .run(&["sync", "--faq-path", "faq.csv", "--json"])
        .expect(3);
    let report = run.json();
    counts(&report, &[("deleted", 1), ("withheld", 1)]);
    assert_eq!(report["failed"][0]["id"], "t2");
    let after = place.rows("faq");
    assert!(after.contains_key("t2") && !after.contains_key("t19"));
}

fn a_text_that_the_provider_refuses_costs_only_itself(backend: Backend) {
    use crate::support::DIMENSIONS;
    use integration_tests::{Reply, StubApi};
    let poison = Entry::number(13).question;
    let api = StubApi::scripted(DIMENSIONS, std::time::Duration::ZERO, move |_, texts| {
        if texts.iter().any(|text| text.contains(&poison)) {
            let body = r#"{"error":{"message":"input is too long"}}"#;
            return Reply::Status(400, Vec::new(), body.to_owned());
        }
        Reply::Vectors
    });
    let place = backend.stub(&api);
    place.save("faq.csv", &Faq::with_ids(30));
    let run = place
        .run(&["migrate", "--faq-path", "faq.csv", "--json"])
        .expect(3);
    let report = run.json();
    counts(&report, &[("new", 29), ("embedded", 29)]);
    assert_eq!(report["failed"][0]["id"], "t13");
    assert_eq!(report["failed"][0]["row"], 15);
    assert_eq!(place.rows("faq").len(), 29);
    crate::support::billed_once(&api, 29);
}

on_every_store! {
    more_than_a_fifth_is_not_deleted_unasked,
    an_empty_source_deletes_nothing_unasked,
    a_source_that_cannot_be_read_in_full_deletes_nothing,
    a_broken_row_with_an_id_protects_only_itself,
    a_text_that_the_provider_refuses_costs_only_itself,
}
