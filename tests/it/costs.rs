//! Every call is counted: what changes in a FAQ decides what is paid, and nothing else does.

use integration_tests::{Backend, Entry, Faq, Place, on_every_store};

use crate::support::{api, billed_once, counts};

/// A place with a FAQ of 201 templates that is paid for.
fn paid(backend: Backend, faq: &Faq, api: &integration_tests::StubApi, more: &[&str]) -> Place {
    let place = backend.stub(api);
    place.save("faq.xlsx", faq);
    let args = ["--batch-size", "10", "--concurrency", "4"];
    let report = place.migrate("faq.xlsx", &[&args, more].concat());
    counts(
        &report,
        &[("new", 201), ("embedded", 201), ("requests", 21)],
    );
    assert_eq!(api.requests(), 21);
    billed_once(api, 201);
    place
}

/// What an edit costs, in requests; and what the report says.
struct Case {
    what: &'static str,
    ids: bool,
    recipe: Option<&'static str>,
    edit: fn(&mut Vec<Entry>),
    requests: usize,
    report: &'static [(&'static str, u64)],
}

const CASES: &[Case] = &[
    Case {
        what: "five new, two changed, one deleted",
        ids: false,
        recipe: None,
        edit: |entries| {
            entries.remove(100);
            entries[3].answer.push_str(" Это бесплатно.");
            entries[4].question = "Где взять карту?".to_owned();
            entries.extend((201..206).map(Entry::number));
        },
        requests: 1,
        report: &[
            ("new", 5),
            ("modified", 2),
            ("deleted", 1),
            ("unchanged", 198),
            ("embedded", 7),
            ("requests", 1),
            ("generation", 2),
        ],
    },
    Case {
        what: "another category and another priority",
        ids: false,
        recipe: None,
        edit: |entries| {
            entries[7].category = "Разное".to_owned();
            entries[8].priority = "срочный".to_owned();
            entries[9].audience = "все".to_owned();
            entries[10].subcategory = "Прочее".to_owned();
        },
        requests: 0,
        report: &[
            ("new", 0),
            ("modified", 0),
            ("relabelled", 4),
            ("deleted", 0),
            ("embedded", 0),
            ("requests", 0),
        ],
    },
    Case {
        what: "other answers where only questions are embedded",
        ids: false,
        recipe: Some("{question}"),
        edit: |entries| {
            for entry in &mut entries[..50] {
                entry.answer.push_str(" Готово.");
            }
        },
        requests: 0,
        report: &[
            ("modified", 0),
            ("relabelled", 50),
            ("embedded", 0),
            ("requests", 0),
        ],
    },
    Case {
        what: "every row elsewhere",
        ids: false,
        recipe: None,
        edit: |entries| entries.reverse(),
        requests: 0,
        report: &[
            ("new", 0),
            ("modified", 0),
            ("deleted", 0),
            ("unchanged", 201),
            ("embedded", 0),
            ("requests", 0),
        ],
    },
    Case {
        what: "every row elsewhere, in a source with ids",
        ids: true,
        recipe: None,
        edit: |entries| entries.reverse(),
        requests: 0,
        report: &[("unchanged", 201), ("embedded", 0), ("requests", 0)],
    },
    Case {
        what: "other ids",
        ids: true,
        recipe: None,
        edit: |entries| {
            for entry in entries.iter_mut() {
                entry.id = entry.id.as_ref().map(|id| format!("new-{id}"));
            }
        },
        requests: 0,
        report: &[
            ("new", 0),
            ("modified", 0),
            ("relabelled", 201),
            ("deleted", 0),
            ("embedded", 0),
            ("requests", 0),
        ],
    },
    Case {
        what: "two texts that swap their ids",
        ids: true,
        recipe: None,
        edit: |entries| {
            let id = entries[0].id.take();
            entries[0].id = entries[1].id.take();
            entries[1].id = id;
        },
        requests: 0,
        report: &[("deleted", 0), ("embedded", 0), ("requests", 0)],
    },
];

fn an_edit_costs_what_it_changes(backend: Backend) {
    for case in CASES {
        let api = api();
        let faq = if case.ids {
            Faq::with_ids(201)
        } else {
            Faq::of(201)
        };
        let recipe = case
            .recipe
            .map_or_else(Vec::new, |recipe| vec!["--embed-text", recipe]);
        let place = paid(backend, &faq, &api, &recipe);
        let edited = faq.edited(case.edit);
        place.save("faq.xlsx", &edited);
        let report = place.json(&["sync", "--faq-path", "faq.xlsx"]);
        assert_eq!(
            api.requests() - 21,
            case.requests,
            "requests for {}",
            case.what
        );
        for (key, value) in case.report {
            assert_eq!(report[*key], *value, "{key} for {}: {report:#}", case.what);
        }
        assert_eq!(report["coverage"], 1.0, "{}", case.what);

        let stored = place.rows("faq");
        assert_eq!(stored.len(), edited.0.len(), "{}", case.what);
        let place_of = |row: &integration_tests::StoredRow| {
            let at = edited
                .0
                .iter()
                .position(|entry| entry.question == row.question);
            i64::try_from(at.unwrap_or_else(|| panic!("{} keeps {row:?}", case.what))).unwrap() + 2
        };
        for row in stored.values() {
            assert_eq!(
                row.row,
                Some(place_of(row)),
                "the citation of a row, for {}",
                case.what
            );
        }
        // And once more: what was paid stays paid.
        let before = place.data();
        let report = place.json(&["sync", "--faq-path", "faq.xlsx"]);
        counts(
            &report,
            &[
                ("embedded", 0),
                ("requests", 0),
                ("unchanged", edited.0.len() as u64),
            ],
        );
        assert!(place.data() == before, "{}", case.what);
    }
}

fn hits_cite_the_row_where_the_answer_stands_now(backend: Backend) {
    let place = backend.hash();
    let faq = Faq::of(30);
    place.save("faq.xlsx", &faq);
    place.migrate("faq.xlsx", &[]);
    let cited = || {
        let found = place.json(&["search", &faq.0[4].question, "-k", "1"]);
        (
            found["hits"][0]["id"].clone(),
            found["hits"][0]["source_row"].as_u64().unwrap(),
        )
    };
    let (id, row) = cited();
    assert_eq!(row, 6);
    place.save(
        "faq.xlsx",
        &faq.edited(|entries| entries.insert(0, Entry::number(100))),
    );
    place.migrate("faq.xlsx", &[]);
    assert_eq!(cited(), (id, 7));
}

fn identical_texts_are_billed_once(backend: Backend) {
    let api = api();
    let place = backend.stub(&api);
    let mut faq = Faq::with_ids(10);
    for number in 5..10 {
        let id = faq.0[number].id.clone();
        faq.0[number] = Entry {
            id,
            ..faq.0[number - 5].clone()
        };
    }
    place.save("faq.csv", &faq);
    let report = place.migrate("faq.csv", &[]);
    counts(&report, &[("new", 10), ("embedded", 5), ("requests", 1)]);
    billed_once(&api, 5);
    assert_eq!(place.rows("faq").len(), 10);
}

fn a_second_collection_of_the_same_faq_costs_nothing(backend: Backend) {
    let api = api();
    let place = paid(backend, &Faq::of(201), &api, &[]);
    let first = place.rows("faq");
    let report = place.migrate("faq.xlsx", &["--collection", "copy"]);
    counts(
        &report,
        &[
            ("new", 201),
            ("embedded", 0),
            ("requests", 0),
            ("reused", 201),
            ("generation", 1),
        ],
    );
    assert_eq!(report["collection"], "copy");
    assert_eq!(api.requests(), 21);
    assert_eq!(place.rows("faq"), first);
    assert_eq!(place.rows("copy").len(), 201);

    // A sync is of one collection: an edit shows in that one only.
    place.save("faq.xlsx", &Faq::of(190));
    let report = place.migrate("faq.xlsx", &["--collection", "copy"]);
    counts(&report, &[("deleted", 11), ("requests", 0)]);
    assert_eq!(place.rows("faq"), first);
}

fn a_second_source_of_a_collection_touches_nothing_of_the_first(backend: Backend) {
    for ids in [false, true] {
        let api = api();
        let place = backend.stub(&api);
        let all = if ids { Faq::with_ids(40) } else { Faq::of(40) };
        let (first, second) = (Faq(all.0[..20].to_vec()), Faq(all.0[20..].to_vec()));
        place.save("first.csv", &first);
        place.save("second.csv", &second);
        place.migrate("first.csv", &[]);
        let before = place.rows("faq");
        let report = place.migrate("second.csv", &[]);
        counts(
            &report,
            &[
                ("new", 20),
                ("deleted", 0),
                ("modified", 0),
                ("embedded", 20),
            ],
        );
        place.save("second.csv", &second.edited(|entries| entries.truncate(18)));
        let report = place.migrate("second.csv", &[]);
        counts(&report, &[("deleted", 2), ("requests", 0)]);
        let after = place.rows("faq");
        assert_eq!(after.len(), 38);
        for (id, row) in before {
            assert_eq!(after.get(&id), Some(&row));
        }
        billed_once(&api, 40);
    }
}

fn an_id_of_another_source_is_not_taken_over(backend: Backend) {
    let place = backend.hash();
    place.save("first.csv", &Faq::with_ids(5));
    place.migrate("first.csv", &[]);
    let mut second = Faq(vec![Entry::number(50), Entry::number(51)]);
    second.0[0].id = Some("t1".to_owned());
    second.0[1].id = Some("u1".to_owned());
    place.save("second.csv", &second);
    let before = place.data();
    place
        .run(&["migrate", "--faq-path", "second.csv"])
        .expect(2)
        .says(&["t1", "--collection"]);
    assert!(place.data() == before);
}

on_every_store! {
    an_edit_costs_what_it_changes,
    hits_cite_the_row_where_the_answer_stands_now,
    identical_texts_are_billed_once,
    a_second_collection_of_the_same_faq_costs_nothing,
    a_second_source_of_a_collection_touches_nothing_of_the_first,
    an_id_of_another_source_is_not_taken_over,
}
