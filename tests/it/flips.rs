//! What another version loses and wins, question by question, and the gate that a loss closes.

use integration_tests::{Place, StubApi, fixture_path, workspace};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::api;

/// Questions of the entries are about one thing, answers about another, so a recipe decides which words find them.
const THINGS: [&str; 13] = [
    "карту",
    "вклад",
    "кредит",
    "ипотеку",
    "перевод",
    "лимит",
    "полис",
    "сейф",
    "кошелёк",
    "терминал",
    "овердрафт",
    "облигацию",
    "рассылку",
];
const BEASTS: [&str; 13] = [
    "жираф",
    "бегемот",
    "крокодил",
    "енот",
    "попугай",
    "дятел",
    "муравей",
    "хорёк",
    "ястреб",
    "щука",
    "цапля",
    "ёж",
    "сова",
];

fn fill(place: &Place) {
    let lines = THINGS.iter().zip(BEASTS).enumerate().map(|(number, (thing, beast))| {
        let line = json!({"id": format!("e{number:02}"), "question": thing, "answer": beast, "category": "К"});
        format!("{line}\n")
    });
    place.write("faq.jsonl", lines.collect::<String>());
    place.migrate("faq.jsonl", &["--embed-text", "{question}"]);
}

/// Of ten questions, three name the thing and seven the beast.
fn golden() -> String {
    let line = |query: &str, number: usize| {
        let line =
            json!({"id": format!("q{number}"), "query": query, "gold": [format!("e{number:02}")]});
        format!("{line}\n")
    };
    let things = (10..13).map(|number| line(THINGS[number], number));
    let beasts = (3..10).map(|number| line(BEASTS[number], number));
    things.chain(beasts).collect()
}

/// A store with a version by questions, which is served, and one by answers beside it.
fn two_versions() -> (Place, String, String) {
    let place = Place::hash();
    fill(&place);
    place.write("golden.jsonl", golden());
    let built = place.json(&["model", "build", "--embed-text", "{answer}"]);
    let active = place.json(&["model", "list"])["active"].clone();
    (place, text(&active), text(&built["version"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn ids(flips: &Value) -> Vec<String> {
    let flips = flips.as_array().unwrap().iter();
    flips.map(|flip| text(&flip["id"])).collect()
}

fn version<'l>(list: &'l Value, id: &str) -> &'l Value {
    let mut versions = list["versions"].as_array().unwrap().iter();
    versions.find(|version| version["id"] == id).unwrap()
}

#[test]
fn questions_lost_and_won_are_named() {
    let (place, active, built) = two_versions();
    let args = [
        "eval",
        "golden.jsonl",
        "--candidate",
        &built,
        "--baseline",
        "active",
    ];
    let report = place.json(&args);
    assert_eq!(report["model"]["version"], built);
    let flips = &report["flips"];
    assert_eq!(flips["baseline"], active);
    assert_eq!(flips["questions"], 10);
    assert_eq!(ids(&flips["lost"]), ["q10", "q11", "q12"]);
    let won = ids(&flips["won"]);
    assert!(won.len() >= 5, "{won:?}");
    let lost = &flips["lost"][0];
    assert_eq!(lost["query"], THINGS[10]);
    assert_eq!(lost["rank_before"], 1);
    assert_eq!(lost["before"][0], "e10");
    assert!(!lost["after"].as_array().unwrap().contains(&json!("e10")));
    let difference = &flips["top3_difference"];
    let figure = |key: &str| difference[key].as_f64().unwrap();
    let net = i32::try_from(won.len()).unwrap() - 3;
    assert!((figure("value") - f64::from(net) / 10.0).abs() < 1e-9);
    assert!((figure("after") - report["top3"].as_f64().unwrap()).abs() < 1e-9);
    assert!(figure("low") < figure("value") && figure("value") < figure("high"));

    // The same again is the same: chance is not a reason for another answer.
    assert_eq!(place.json(&args)["flips"], report["flips"]);
    // The other way round, it is the mirror image.
    let back = place.json(&["eval", "golden.jsonl", "--baseline", &built]);
    assert_eq!(ids(&back["flips"]["won"]), ["q10", "q11", "q12"]);
    assert_eq!(ids(&back["flips"]["lost"]), won);

    // For a person: in words, and kept for later.
    place.run(&args).ok().prints(&[
        "95 % interval",
        "Lost among the best three: 3",
        "q10: овердрафт",
    ]);
    let list = place.json(&["model", "list"]);
    assert_eq!(version(&list, &active)["evaluation"]["queries"], 10);
    let kept = &version(&list, &built)["evaluation"];
    assert_eq!(kept["baseline"]["version"], active);
    assert_eq!(kept["baseline"]["lost"], 3);
    assert_eq!(kept["golden"], "golden.jsonl");
    assert!(kept.get("outcomes").is_none(), "{kept}");
}

#[test]
fn a_baseline_that_is_none_is_explained() {
    let (place, active, built) = two_versions();
    for (args, says) in [
        (&["--baseline", "last"][..], "no evaluation was kept"),
        (&["--baseline", "active"], "--baseline last"),
        (&["--baseline", "ffff"], "model list"),
        (&["--candidate", "ffff"], "model list"),
        (
            &["--candidate", &built, "--baseline", &built[..8]],
            "the one that is measured",
        ),
    ] {
        let args: Vec<&str> = ["eval", "golden.jsonl"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        place.run(&args).expect(2).prints_nothing().says(&[says]);
    }
    // Other questions than those that were kept.
    place.json(&["eval", "golden.jsonl"]);
    place.write(
        "other.jsonl",
        r#"{"query": "щука", "gold": ["e09"], "id": "new"}"#,
    );
    let list = place.json(&["model", "list"]);
    assert!(version(&list, &active)["evaluation"].is_object());
    let run = place.run(&["eval", "other.jsonl", "--baseline", "last"]);
    run.ok();
    place.write("other.jsonl", r#"{"query": "лось", "gold": ["e01"]}"#);
    place.json(&["eval", "golden.jsonl"]);
    let run = place.run(&["eval", "other.jsonl", "--baseline", "last"]);
    run.expect(2)
        .prints_nothing()
        .says(&["golden.jsonl", "--baseline VERSION"]);
}

fn filled_by_stub(api: &StubApi) -> Place {
    let place = Place::stub(api);
    fill(&place);
    place.write("golden.jsonl", golden());
    place
}

#[test]
fn the_last_evaluation_is_compared_with_at_no_further_cost() {
    let api = api();
    let place = filled_by_stub(&api);
    place.json(&["eval", "golden.jsonl"]);
    let before = api.requests();
    let again = place.json(&["eval", "golden.jsonl", "--baseline", "last"]);
    assert_eq!(api.requests() - before, 1, "ten questions are one call");
    assert_eq!(again["flips"]["questions"], 10);
    assert!(again["flips"]["baseline_at"].is_string());
    assert_eq!(again["flips"]["lost"], json!([]));

    // Versions of one model with another recipe share the questions' vectors.
    let built = text(&place.json(&["model", "build", "--embed-text", "{answer}"])["version"]);
    let before = api.requests();
    place.json(&["eval", "golden.jsonl", "--baseline", &built]);
    assert_eq!(api.requests() - before, 1);

    // What was edited since the last evaluation shows; so it does in another file with some of the questions.
    let hash = Place::hash();
    fill(&hash);
    hash.write("golden.jsonl", golden());
    hash.json(&["eval", "golden.jsonl"]);
    let edited = std::fs::read_to_string(hash.path("faq.jsonl")).unwrap();
    hash.write(
        "faq.jsonl",
        edited.replace("\"овердрафт\"", "\"рассрочку\""),
    );
    hash.json(&["sync", "--faq-path", "faq.jsonl"]);
    hash.write(
        "fewer.jsonl",
        golden().lines().take(2).collect::<Vec<_>>().join("\n"),
    );
    let report = hash.json(&["eval", "fewer.jsonl", "--baseline", "last"]);
    assert_eq!(report["flips"]["questions"], 2);
    assert_eq!(ids(&report["flips"]["lost"]), ["q10"]);
}

#[test]
fn after_a_promotion_the_last_evaluation_is_that_of_the_version_before() {
    let (place, active, built) = two_versions();
    place.json(&["eval", "golden.jsonl"]);
    place.json(&["model", "promote", &built]);
    let report = place.json(&["eval", "golden.jsonl", "--baseline", "last"]);
    assert_eq!(report["flips"]["baseline"], active);
    assert_eq!(ids(&report["flips"]["lost"]), ["q10", "q11", "q12"]);
}

#[test]
fn figures_that_cannot_be_kept_are_printed_all_the_same() {
    let (place, ..) = two_versions();
    let held = Connection::open(place.store()).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let run = place
        .run(&["eval", "golden.jsonl", "--json", "--wait", "0s"])
        .ok();
    assert_eq!(run.json()["queries"], 10);
    run.says(&["not kept"]);
    drop(held);
    let list = place.json(&["model", "list"]);
    assert!(list["versions"][0]["evaluation"].is_null());
}

#[test]
fn a_kept_evaluation_that_is_damaged_is_replaced_by_the_next() {
    let (place, ..) = two_versions();
    place.json(&["eval", "golden.jsonl"]);
    for damaged in [r#"{"schema":1,"queries"#, "", r#"{"schema":9}"#] {
        let store = Connection::open(place.store()).unwrap();
        store
            .execute(
                "UPDATE collection_versions SET evaluation = ?1 WHERE evaluation IS NOT NULL",
                [damaged],
            )
            .unwrap();
        drop(store);
        place.json(&["model", "list"]);
        let run = place.run(&["eval", "golden.jsonl", "--baseline", "last"]);
        run.expect(2)
            .prints_nothing()
            .says(&["cannot be compared with", "without --baseline"]);
        place.json(&["eval", "golden.jsonl"]);
        place.json(&["eval", "golden.jsonl", "--baseline", "last"]);
    }
}

#[test]
fn a_version_that_loses_is_not_promoted() {
    let (place, active, built) = two_versions();
    let promote = ["model", "promote", &built, "--golden", "golden.jsonl"];
    let with =
        |more: &[&'static str]| -> Vec<&str> { promote.iter().chain(more).copied().collect() };
    let run = place.run(&promote).expect(5);
    run.prints(&["q10: овердрафт", "q11: облигацию", "q12: рассылку"])
        .says(&["3 questions lost", "not promoted", &active[..8]]);
    let run = place.run(&with(&["--max-lost", "2", "--json"])).expect(5);
    let report = run.json();
    assert_eq!(report["gate"]["passed"], false);
    assert_eq!(report["active"], active);
    assert_eq!(ids(&report["gate"]["flips"]["lost"]), ["q10", "q11", "q12"]);
    let run = place.run(&with(&["--max-lost", "3", "--min-top3", "0.99"]));
    run.expect(5).says(&["0.99"]);
    let list = place.json(&["model", "list"]);
    assert_eq!(list["active"], active);
    // The figures are worth as much when the gate closes.
    assert_eq!(version(&list, &built)["evaluation"]["baseline"]["lost"], 3);

    let report = place.json(&with(&["--max-lost", "3", "--min-top3", "40%"]));
    assert_eq!(report["active"], built);
    assert_eq!(report["gate"]["passed"], true);
    // Back again, the loss is the other way round.
    let run = place.run(&["model", "promote", &active, "--golden", "golden.jsonl"]);
    run.expect(5);
    place.json(&["model", "rollback"]);
}

#[test]
fn a_gate_with_unknown_ids_asks_nobody() {
    let api = api();
    let place = filled_by_stub(&api);
    let built = text(&place.json(&["model", "build", "--embed-text", "{answer}"])["version"]);
    let unknown: String = (0..12)
        .map(|number| {
            format!(
                "{}\n",
                json!({"query": "карту", "gold": ["e00", format!("x{number:02}")]})
            )
        })
        .collect();
    place.write("unknown.jsonl", unknown);
    let (before, list) = (api.requests(), place.json(&["model", "list"]));
    let run = place.run(&["model", "promote", &built, "--golden", "unknown.jsonl"]);
    run.expect(2)
        .prints_nothing()
        .says(&["unknown.jsonl", "12 ids", "x00", "x09 and 2 more"]);
    let run = place.run(&["model", "promote", &built, "--golden", "nowhere.jsonl"]);
    run.expect(2).prints_nothing().says(&["nowhere.jsonl"]);
    assert_eq!(api.requests(), before);
    assert_eq!(place.json(&["model", "list"]), list);
}

#[test]
fn the_fixtures_questions_tell_two_recipes_apart() {
    let place = Place::hash();
    let golden = workspace().join("fixtures/golden.jsonl");
    place.migrate(fixture_path().to_str().unwrap(), &[]);
    let built = text(&place.json(&["model", "build", "--embed-text", "{question}"])["version"]);
    let golden = golden.to_str().unwrap();
    let report = place.json(&[
        "eval",
        golden,
        "--candidate",
        &built,
        "--baseline",
        "active",
    ]);
    let flips = &report["flips"];
    assert_eq!(flips["questions"], 244);
    let (lost, won) = (ids(&flips["lost"]).len(), ids(&flips["won"]).len());
    assert!(lost > 0 && won > 0, "{lost} lost, {won} won");
    let value = flips["top3_difference"]["value"].as_f64().unwrap();
    assert!((value * 244.0 + lost as f64 - won as f64).abs() < 1e-6);
}
