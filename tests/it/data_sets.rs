//! Tables without questions: every row is an entry, found by its values and told by its number.

use integration_tests::Place;
use serde_json::json;

use crate::support::counts;

const TABLE: &str = "year,indicator,value\n2023,CPI,121.0\n2022,CPI,118.1\n2021,CPI,114.3\n2023,\"GDP, nominal\",1822.9\n2023,CPI,121.0\n";

fn place() -> Place {
    let place = Place::hash();
    place.write("dosm.csv", TABLE);
    place
}

fn migrated() -> Place {
    let place = place();
    let report = place.json(&["migrate", "--input", "dosm.csv"]);
    // Rows may repeat; the text of two is paid for once.
    counts(&report, &[("total", 5), ("new", 5), ("embedded", 4)]);
    place
}

#[test]
fn rows_are_found_and_filtered_by_their_values() {
    let place = migrated();
    let found = place.json(&["search", "year=2021 indicator=CPI value=114.3", "-k", "5"]);
    let first = &found["hits"][0];
    assert_eq!(first["answer"], "year=2021 indicator=CPI value=114.3");
    assert_eq!(first["question"], "");
    assert_eq!(first["source_row"], 4);
    assert_eq!(
        first["metadata"],
        json!({"year": 2021, "indicator": "CPI", "value": 114.3})
    );
    for (filter, rows) in [
        ("year>=2022", 4),
        ("year<2022", 1),
        ("value>120", 3),
        ("indicator=cpi", 4),
        ("indicator=GDP, nominal", 1),
    ] {
        let found = place.json(&["search", "CPI", "-k", "10", "--filter", filter]);
        assert_eq!(found["hits"].as_array().unwrap().len(), rows, "{filter}");
    }
    let exact = place.json(&["validate", "--input", "dosm.csv"]);
    assert_eq!(
        (&exact["ok"], &exact["coverage"]),
        (&json!(true), &json!(1.0))
    );
}

#[test]
fn a_changed_row_is_one_text_and_a_new_one_above_moves_the_others_for_nothing() {
    let mut place = migrated();
    place.write("dosm.csv", TABLE.replace("118.1", "118.2"));
    let report = place.json(&["sync", "--input", "dosm.csv"]);
    counts(
        &report,
        &[
            ("modified", 1),
            ("deleted", 0),
            ("unchanged", 4),
            ("embedded", 1),
        ],
    );
    // The variable of those who come from elsewhere names it just as well.
    place.set("INPUT_DATASET", "dosm.csv");
    place.write(
        "dosm.csv",
        TABLE.replace("118.1", "118.2").replace(
            "2023,CPI,121.0\n2022",
            "2024,CPI,124.5\n2023,CPI,121.0\n2022",
        ),
    );
    let report = place.json(&["sync"]);
    counts(
        &report,
        &[
            ("new", 1),
            ("modified", 0),
            ("deleted", 0),
            ("unchanged", 5),
            ("embedded", 1),
        ],
    );
    let again = place.json(&["sync"]);
    counts(
        &again,
        &[("unchanged", 6), ("embedded", 0), ("requests", 0)],
    );
    let stale = place.run(&["validate", "--input", "dosm.csv"]);
    stale.expect(0);
}

/// A changed value was a deleted and a new row once: a day on which many values move met the guard against deletions.
#[test]
fn values_that_all_move_a_little_are_no_deletions() {
    let place = migrated();
    let moved = TABLE
        .replace("121.0", "121.5")
        .replace("118.1", "118.5")
        .replace("114.3", "114.5")
        .replace("1822.9", "1823.5");
    place.write("dosm.csv", moved);
    let report = place.json(&["sync", "--input", "dosm.csv"]);
    counts(&report, &[("modified", 5), ("deleted", 0), ("new", 0)]);
}

#[test]
fn a_faq_is_asked_for_where_one_is_meant() {
    let place = place();
    place
        .run(&["migrate", "--faq-path", "dosm.csv"])
        .expect(2)
        .says(&[
            "no question column",
            "is read as a data set with --input FILE",
        ]);
    // The other way round nothing is lost: a table with questions is a FAQ however it is named.
    place.write(
        "faq.csv",
        "question,answer\nКак закрыть вклад?,В отделении\n",
    );
    place.json(&["migrate", "--input", "faq.csv"]);
    let found = place.json(&["search", "Как закрыть вклад?"]);
    assert_eq!(found["hits"][0]["question"], "Как закрыть вклад?");
    assert_eq!(found["hits"][0]["answer"], "В отделении");
}

#[test]
fn a_plan_of_a_data_set_is_carried_out_as_one() {
    let place = place();
    place
        .run(&["migrate", "--input", "dosm.csv", "--plan-out", "plan.json"])
        .expect(0);
    let report = place.json(&["apply", "plan.json"]);
    counts(&report, &[("new", 5), ("embedded", 4)]);
}

#[test]
fn the_report_that_is_kept_names_the_source() {
    let place = place();
    let args = ["migrate", "--input", "dosm.csv", "--metadata-dir", "meta"];
    place.run(&args).expect(0);
    let text = std::fs::read_to_string(place.path("meta/smart-support-report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let source = &report["source"];
    assert_eq!(source["location"], "dosm.csv");
    assert_eq!(source["kind"], "dataset");
    assert_eq!(source["rows"], 5);
    assert_eq!(source["columns"], json!(["indicator", "value", "year"]));
    let digest =
        |report: &serde_json::Value| report["source"]["digest"].as_str().unwrap().to_owned();
    assert_eq!(digest(&report).len(), 64);
    place.write("dosm.csv", format!("{TABLE}2020,CPI,110.0\n"));
    assert_ne!(digest(&place.json(&args)), digest(&report));
    assert_eq!(report["model"]["dimensions"], 1024);
    assert_eq!(report["total"], 5);
    assert!(report["seconds"]["total"].is_number());
}
