//! `lint`: what is found in a source before money is spent, with its row; and the file of rows to mend.

use integration_tests::{Outcome, Place, fixture_path};
use serde_json::Value;

/// One of each finding. Row 1 is the header.
const FAQ: &str = "id,category,question,answer,note
a1,Вклады,Как закрыть вклад?,В отделении.,
a2,Вклады,Как открыть вклад?,Онлайн.,
a3,Вклады,как закрыть вклад,В отделении.,twice
a4,Вклады,Как закрыть вклад?,Никак.,
a5,Вклады,Как можно закрыть вклады?,По телефону.,
a1,Вклады,Другой вопрос о картах?,Ответ.,
a7,Вклаты,Где найти выписку по счёту?,,
a8,Вклады,,Ответ без вопроса.,
a9,Вклады,Как заблокировать Kарту?,=Позвоните <b>нам</b>&nbsp;,
a10,Вклады,Сколько стоит пере\u{200b}вод?,Ничего.,
,Вклады,Вопрос без имени строки?,Ответ.,
a12,Вклады,Что входит в пакет?,OVERLONG,
";

fn place() -> Place {
    let mut place = Place::hash();
    // A model whose limit is known, and which nobody asks: there is none at this address.
    place.set("EMBEDDING_PROVIDER", "openai");
    place.set("EMBEDDING_BASE_URL", "http://127.0.0.1:9/v1");
    place.set("EMBEDDING_MODEL", "text-embedding-3-small");
    let long = "очень длинный ответ ".repeat(1500);
    place.write("faq.csv", FAQ.replace("OVERLONG", long.trim()));
    place
}

/// `row kind` of each finding.
fn lines(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|found| format!("{} {}", found["row"], found["kind"].as_str().unwrap()))
        .collect()
}

fn lint(place: &Place, args: &[&str]) -> Outcome {
    place.run(&[&["lint", "faq.csv"], args].concat())
}

#[test]
fn each_finding_has_its_row() {
    let place = place();
    let report = lint(&place, &["--json"]).expect(4).json();
    assert_eq!(
        lines(&report),
        [
            "4 duplicate-question",
            "5 conflicting-answers",
            "6 near-duplicate",
            "7 duplicate-id",
            "8 empty-answer",
            "8 category-typo",
            "9 empty-question",
            "10 mixed-script",
            "10 html",
            "11 invisible",
            "12 missing-id",
            "13 over-long",
        ]
    );
    assert_eq!(report["schema"], 1);
    assert_eq!(report["rows"], 10);
    assert_eq!(report["source"], "faq.csv");
    assert_eq!(report["counts"]["html"], 1);
    let mixed = &report["findings"][7];
    assert_eq!(mixed["column"], "question");
    assert_eq!(mixed["id"], "a9");
    assert_eq!(
        mixed["message"],
        r#""Kарту" has the Latin "K"; "Карту" is meant"#
    );
    lint(&place, &[]).expect(4).prints(&[
        "row 7   duplicate-id         the id \"a1\" stands in row 2 already",
        "12 findings in 10 rows: ",
    ]);
    assert!(
        !place.store().exists(),
        "a source is looked at without a store"
    );
}

#[test]
fn kinds_are_chosen() {
    let place = place();
    let only = lint(
        &place,
        &["--json", "--only", "html", "--only", "empty-answer"],
    );
    assert_eq!(lines(&only.expect(4).json()), ["8 empty-answer", "10 html"]);
    let ignored = lint(&place, &["--json", "--only", "html", "--ignore", "html"]);
    assert_eq!(lines(&ignored.expect(0).json()), [""; 0]);
    lint(&place, &["--only", "htlm"])
        .expect(2)
        .says(&["no such kind"]);
}

#[test]
fn the_reject_file_holds_the_rows_whole_and_harmless() {
    let place = place();
    lint(&place, &["--reject", "reject.csv"]).expect(4);
    let text = std::fs::read_to_string(place.path("reject.csv")).unwrap();
    let mut rows = text.trim_start_matches('\u{feff}').lines();
    assert_eq!(
        rows.next(),
        Some("sheet,row,page,chunk,findings,reasons,id,question,answer,category,subcategory,note")
    );
    assert!(text.contains(",4,,,duplicate-question,question: question and answer stand in row 2 too,a3,как закрыть вклад,В отделении.,Вклады,,twice\r\n"), "{text}");
    assert!(text.contains("'=Позвоните <b>нам</b>"), "{text}");
    assert_eq!(rows.count(), 10);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(place.path("reject.csv"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    lint(&place, &["--reject", "reject.jsonl"]).expect(4);
    let text = std::fs::read_to_string(place.path("reject.jsonl")).unwrap();
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 10);
    assert_eq!(rows[4]["findings"], "empty-answer, category-typo");
    assert_eq!(rows[0]["metadata"]["note"], "twice");
    lint(&place, &["--reject", "reject.xlsx"])
        .expect(2)
        .says(&["workbooks are not written", ".csv"]);
}

#[test]
fn a_reject_file_that_is_the_source_or_another_file_of_yours_destroys_nothing() {
    let place = place();
    let source = std::fs::read_to_string(place.path("faq.csv")).unwrap();
    for itself in ["faq.csv", "./faq.csv"] {
        lint(&place, &["--reject", itself])
            .expect(2)
            .says(&["is the source itself", "name another file"]);
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(place.path("faq.csv"), place.path("link.csv")).unwrap();
        place
            .run(&["lint", "link.csv", "--reject", "faq.csv"])
            .expect(2)
            .says(&["is the source itself"]);
    }
    assert_eq!(
        std::fs::read_to_string(place.path("faq.csv")).unwrap(),
        source
    );
    for (other, text) in [
        ("other.csv", "id,question,answer\n1,a,b\n"),
        ("other.jsonl", "{\"question\":\"a\"}\n"),
    ] {
        place.write(other, text);
        lint(&place, &["--reject", other])
            .expect(2)
            .says(&["no lint has written"]);
        assert_eq!(std::fs::read_to_string(place.path(other)).unwrap(), text);
    }
    // Its own file is written anew each time.
    for _ in 0..2 {
        lint(&place, &["--reject", "reject.csv"]).expect(4);
        lint(&place, &["--reject", "reject.jsonl"]).expect(4);
    }
    std::fs::create_dir(place.path("docs")).unwrap();
    place.write("docs/a.md", "# A\n\ntext\n");
    place
        .run(&["lint", "docs", "--reject", "docs/reports/reject.csv"])
        .expect(2)
        .says(&["lies in the source"]);
    assert!(!place.path("docs/reports").exists());
}

#[test]
fn a_source_without_faults_or_that_cannot_be_read() {
    let place = Place::hash();
    place.write(
        "good.csv",
        "question,answer\nКак закрыть вклад?,В отделении\n",
    );
    place
        .run(&["lint", "good.csv"])
        .expect(0)
        .prints(&["Nothing found: 1 row read from good.csv"]);
    // A file of an earlier run does not stay.
    place.write(
        "reject.jsonl",
        "{\"sheet\":null,\"row\":2,\"findings\":\"html\",\"reasons\":\"old\"}\n",
    );
    place
        .run(&["lint", "good.csv", "--reject", "reject.jsonl"])
        .expect(0);
    assert_eq!(
        std::fs::read_to_string(place.path("reject.jsonl")).unwrap(),
        ""
    );
    place
        .run(&["lint", "none.csv"])
        .expect(2)
        .says(&["no file"]);
    place.run(&["lint"]).expect(2).says(&["no source is named"]);
    place.write("data.csv", "a,b\n1,<br>\n");
    place
        .run(&["lint", "data.csv"])
        .expect(2)
        .says(&["no question column"]);
    place
        .run(&["lint", "--input", "data.csv"])
        .expect(4)
        .prints(&["row 2  html"]);
}

/// The bank's own workbook: what is found in it is there.
#[test]
fn the_fixture_holds_no_false_alarm() {
    let place = Place::hash();
    let path = fixture_path();
    let report = place.run(&["lint", path.to_str().unwrap(), "--json"]);
    let report = report.json();
    assert_eq!(report["rows"], 201);
    let found = lines(&report);
    assert_eq!(found, [""; 0], "{report:#}");
}
