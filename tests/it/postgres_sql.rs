//! Rows that people write by SQL, beside those of the workbook.

use integration_tests::{Backend, Faq, Place};

use crate::support::{api, counts};

const SYNC: [&str; 3] = ["sync", "--faq-path", "faq.csv"];

/// A place with twenty rows of a workbook, and one written by SQL with the vector of `t7`.
fn written() -> Option<Place> {
    let place = Backend::Postgres
        .is_there()
        .then(|| Backend::Postgres.hash())?;
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    place.execute(
        "SELECT upsert_embedding('mine', 'Написано в psql', '{\"category\": \"Прочее\"}',
            (SELECT embedding FROM embeddings WHERE id = 't7'))",
    );
    Some(place)
}

#[test]
fn a_row_written_by_sql_is_found_reported_taken_in_and_kept() {
    let Some(place) = written() else { return };
    // At once, by everybody.
    let question = Faq::with_ids(20).0[7].text();
    let found = place.search(&[&question, "-k", "2"]);
    assert_eq!(found, ["mine", "t7"]);
    assert_eq!(place.json(&["status"])["collections"][0]["records"], 21);
    let run = place.run(&["validate"]).expect(4);
    run.prints(&["✗ content_hashes", "written by SQL", "smart-support sync"]);

    let report = place.run(&[&SYNC[..], &["--json", "-v"]].concat()).ok();
    let report = report
        .says(&["adopted rows that were written by SQL: 1"])
        .json();
    counts(
        &report,
        &[
            ("unchanged", 20),
            ("deleted", 0),
            ("requests", 0),
            ("embedded", 0),
        ],
    );
    place.run(&["validate"]).ok();
    // The workbook may lose rows: that one is not of it.
    place.save("faq.csv", &Faq::with_ids(18));
    counts(&place.json(&SYNC), &[("deleted", 2)]);
    assert_eq!(place.search(&[&question, "-k", "2"]), ["mine", "t7"]);
    place.run(&["validate", "--faq-path", "faq.csv"]).ok();
    assert_eq!(place.rows("faq").len(), 19);
    place.execute("SELECT delete_embedding('mine')");
    assert_eq!(place.search(&[&question, "-k", "1"]), ["t7"]);
    place.run(&SYNC).ok();
    place.run(&["validate"]).ok();
}

#[test]
fn what_was_written_by_sql_is_copied_only_after_it_was_taken_in() {
    let Some(place) = written() else { return };
    let postgres = place.postgres().url();
    for args in [
        &["copy", &postgres, "sqlite:copy.db", "--no-verify"][..],
        &["diff", &postgres, &postgres],
    ] {
        let run = place.run(args).expect(2).prints_nothing();
        run.says(&["written by SQL", "`smart-support sync`"]);
    }
    place
        .run(&["copy", &postgres, "sqlite:copy.db"])
        .expect(1)
        .says(&["written by SQL", "`smart-support sync`"]);
    place.run(&SYNC).ok();
    let report = place.json(&["copy", &postgres, "sqlite:copied.db"]);
    counts(&report["copied"], &[("rows", 21)]);
    place.run(&["validate", "--store", "sqlite:copied.db"]).ok();
    let question = Faq::with_ids(20).0[7].text();
    let found = place.search(&[&question, "-k", "2", "--store", "sqlite:copied.db"]);
    assert_eq!(found, ["mine", "t7"]);
}

#[test]
fn another_model_embeds_what_was_written_by_sql_too() {
    if !Backend::Postgres.is_there() {
        return;
    }
    let api = api();
    let place = Backend::Postgres.stub(&api);
    place.save("faq.csv", &Faq::with_ids(5));
    place.migrate("faq.csv", &[]);
    place.execute(
        "SELECT upsert_embedding('mine', 'Написано в psql', '{}',
            (SELECT embedding FROM embeddings WHERE id = 't3'))",
    );
    counts(
        &place.json(&["model", "build", "other-model"]),
        &[("rows", 6), ("embedded", 6)],
    );
    place.json(&["model", "promote", "other-model"]);
    assert_eq!(place.search(&["Написано в psql", "-k", "1"]), ["mine"]);
    place.run(&["validate"]).ok();
}
