//! Questions and the entries that answer them.

use std::path::Path;

use integration_tests::{Backend, Faq, Place, on_every_store, open};
use serde_json::{Value, json};

/// Articles with metadata of every type.
fn articles(backend: Backend) -> Place {
    let place = backend.hash();
    let articles = [
        json!({"id": "a", "question": "Как открыть вклад?", "answer": "В приложении.", "category": "Вклады",
            "year": 2019, "rate": 1.5, "active": true, "code": "007", "Приоритет": "высокий"}),
        json!({"id": "b", "question": "Как открыть счёт?", "answer": "В отделении, с паспортом.", "category": "Счета",
            "year": 2020, "rate": 2.0, "active": false, "code": "7", "Приоритет": "низкий"}),
        json!({"id": "c", "question": "Как закрыть вклад?", "answer": "В приложении или в отделении.",
            "category": "Вклады", "year": 2024, "rate": 3.25, "active": true}),
        json!({"id": "d", "question": "Где банкомат?", "answer": "На карте.", "category": "Карты"}),
    ];
    let lines: String = articles.iter().map(|line| format!("{line}\n")).collect();
    place.write("faq.jsonl", lines);
    place.migrate("faq.jsonl", &[]);
    place
}

fn sorted(mut ids: Vec<String>) -> String {
    ids.sort_unstable();
    ids.join(" ")
}

fn filters_are_typed(backend: Backend) {
    let place = articles(backend);
    let cases: &[(&[&str], &str)] = &[
        (&[], "a b c d"),
        (&["--filter", "year>=2020"], "b c"),
        (&["--filter", "year>2020"], "c"),
        (&["--filter", "year<2020"], "a"),
        (&["--filter", "year<=2020"], "a b"),
        (&["--filter", "year=2020"], "b"),
        (&["--filter", "year=2020.0"], "b"),
        (&["--filter", "rate<2.5"], "a b"),
        (&["--filter", "rate=2"], "b"),
        (&["--filter", "active=true"], "a c"),
        (&["--filter", "active=false"], "b"),
        (&["--filter", "code=\"007\""], "a"),
        (&["--filter", "Приоритет=высокий"], "a"),
        (&["--filter", "Приоритет = высокий"], "a"),
        (&["--filter", "nowhere=1"], ""),
        (
            &[
                "--filter",
                "year>=2019",
                "--filter",
                "active=true",
                "--filter",
                "rate>2",
            ],
            "c",
        ),
        (&["--category", "Вклады"], "a c"),
        (&["--category", "Вклады", "--filter", "year<2020"], "a"),
        (&["--category", "Нет такой"], ""),
        (&["--document", "b"], "b"),
        (&["--document", "nowhere"], ""),
        (&["--contains", "паспорт"], "b"),
        (&["--contains", "открыть"], "a b"),
        (&["--exact"], "a b c d"),
    ];
    for (flags, expected) in cases {
        let found = place.search(&[&["Как открыть вклад?", "-k", "10"], *flags].concat());
        assert_eq!(sorted(found), *expected, "{flags:?}");
    }
}

fn the_best_come_first_and_no_more_than_asked(backend: Backend) {
    let place = articles(backend);
    let found = place.json(&["search", "Как открыть вклад? В приложении.", "-k", "2"]);
    let hits = found["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 2);
    assert_eq!(hits[0]["id"], "a");
    let scores: Vec<f64> = hits
        .iter()
        .map(|hit| hit["score"].as_f64().unwrap())
        .collect();
    assert!(scores[0] > scores[1]);

    let between = format!("{:.4}", f64::midpoint(scores[0], scores[1]));
    assert_eq!(
        place.search(&["Как открыть вклад? В приложении.", "--threshold", &between]),
        ["a"]
    );
    let found = place.json(&["search", "Как открыть вклад?", "--threshold", "1"]);
    assert_eq!(found["hits"], json!([]));
    assert_eq!(
        place
            .search(&["вклад", "--threshold", "-1", "-k", "1000"])
            .len(),
        4
    );
}

fn entries_that_score_the_same_come_in_the_order_of_their_ids(backend: Backend) {
    let place = backend.hash();
    let mut lines = String::new();
    for id in ["z", "b", "m", "a", "y"] {
        let line = json!({"id": id, "question": "Как открыть вклад?", "answer": "В приложении."});
        lines += &format!("{line}\n");
    }
    place.write("faq.jsonl", lines);
    place.migrate("faq.jsonl", &[]);
    assert_eq!(place.search(&["вклад", "-k", "3"]), ["a", "b", "m"]);
    assert_eq!(
        place.search(&["вклад", "-k", "9"]),
        ["a", "b", "m", "y", "z"]
    );
}

fn an_entry_with_several_wordings_is_one_hit(backend: Backend) {
    let place = backend.hash();
    let lines = [
        json!({"id": "card", "question": "Как заблокировать карту?", "answer": "В приложении.",
            "variants": ["Украли карту, что делать?", "Потерял карту", "Карта пропала"]}),
        json!({"id": "loan", "question": "Как взять кредит?", "answer": "В отделении."}),
    ];
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    place.write("faq.jsonl", lines);
    place.migrate("faq.jsonl", &[]);
    let found = place.json(&["search", "Украли карту, что делать?"]);
    let hits = found["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 2, "{found:#}");
    assert_eq!(hits[0]["document"], "card");
    assert_eq!(hits[0]["question"], "Украли карту, что делать?");
    assert_eq!(hits[1]["document"], "loan");
}

/// The stored vector of a row.
fn vector(store: &Path, id: &str) -> Vec<u8> {
    open(store)
        .query_row(
            "SELECT v.embedding FROM embedding_records r JOIN record_inputs i USING (record_id)
             JOIN embedding_vectors v USING (vector_id) WHERE r.document = ?1",
            [id],
            |row| row.get(0),
        )
        .unwrap()
}

/// A `.npy` file, as numpy writes it.
fn npy(kind: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(padded).unwrap().to_le_bytes());
    bytes.extend(format!("{header:width$}\n", width = padded - 1).bytes());
    bytes.extend(body);
    bytes
}

#[test]
fn a_ready_vector_needs_no_embedder() {
    let mut place = articles(Backend::Sqlite);
    let raw = vector(&place.store(), "c");
    let (floats, _) = raw.as_chunks::<4>();
    let wide: Vec<u8> = floats
        .iter()
        .flat_map(|bytes| f64::from(f32::from_le_bytes(*bytes)).to_le_bytes())
        .collect();
    let count = floats.len();
    place.write("c.f32", &raw);
    place.write("c.npy", npy("<f4", &format!("({count},)"), &raw));
    place.write("row.npy", npy("<f4", &format!("(1, {count})"), &raw));
    place.write("wide.npy", npy("<f8", &format!("({count},)"), &wide));
    // Nothing here could embed.
    place.set("EMBEDDING_PROVIDER", "openai");
    for file in ["c.f32", "c.npy", "row.npy", "wide.npy"] {
        let found = place.json(&["search", "--query-vector", file, "-k", "1"]);
        assert_eq!(found["hits"][0]["id"], "c", "{file}");
        assert!(
            found["hits"][0]["score"].as_f64().unwrap() > 0.999,
            "{file}"
        );
    }

    place.write("short.f32", &raw[..raw.len() - 4]);
    place.write("odd.f32", &raw[..raw.len() - 1]);
    place.write("nan.f32", vec![0xff; raw.len()]);
    place.write("two.npy", npy("<f4", &format!("(2, {})", count / 2), &raw));
    place.write("ints.npy", npy("<i4", &format!("({count},)"), &raw));
    place.write("cut.npy", b"\x93NUMPY\x01\x00");
    for (file, code, says) in [
        ("short.f32", 6, "dimension"),
        ("odd.f32", 2, "odd.f32"),
        ("nan.f32", 2, "nan.f32"),
        ("two.npy", 2, "one vector"),
        ("ints.npy", 2, "f32"),
        ("cut.npy", 2, "cut off"),
    ] {
        let run = place.run(&["search", "--query-vector", file]).expect(code);
        run.prints_nothing().says(&[says]);
    }
}

fn a_collection_without_entries_answers_with_nothing(backend: Backend) {
    let place = articles(backend);
    for args in [
        &["search", "вклад", "--collection", "other"][..],
        &["search", "вклад"],
    ] {
        let empty = backend.hash();
        let place = if args.len() == 2 { &empty } else { &place };
        if args.len() == 2 {
            place.run(&["schema", "migrate"]).ok();
        }
        let run = place.run(&[args, &["--json"]].concat()).ok();
        let run = run.says(&["no entries", "smart-support migrate"]);
        let document: Value = run.json();
        assert_eq!(document["hits"], json!([]));
        assert_eq!(document["model"], Value::Null);
        assert_eq!(document["generation"], 0);
    }
}

fn searching_writes_nothing_at_all(backend: Backend) {
    let place = articles(backend);
    let before = place.files();
    place.run(&["search", "вклад"]).ok();
    place.run(&["status"]).ok();
    place.run(&["validate"]).ok();
    place.run(&["cache", "stats"]).ok();
    place.run(&["schema", "status"]).ok();
    assert!(place.files() == before);
}

fn an_edit_is_found_as_soon_as_it_is_synced(backend: Backend) {
    let place = backend.hash();
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let edited = faq.edited(|entries| entries[4].question = "Почему дождь мокрый?".to_owned());
    place.save("faq.csv", &edited);
    place.run(&["sync", "--faq-path", "faq.csv"]).ok();
    assert_eq!(place.search(&["почему дождь мокрый", "-k", "1"]), ["t4"]);
}

on_every_store! {
    filters_are_typed,
    the_best_come_first_and_no_more_than_asked,
    entries_that_score_the_same_come_in_the_order_of_their_ids,
    an_entry_with_several_wordings_is_one_hit,
    a_collection_without_entries_answers_with_nothing,
    searching_writes_nothing_at_all,
    an_edit_is_found_as_soon_as_it_is_synced,
}

#[test]
fn thresholds_of_other_programs_go_by_the_strategy() {
    let mut place = Backend::Sqlite.hash();
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &["--collection", "products"]);
    let asked = ["search", "Как оформить карту?", "--collection", "products"];
    let threshold = |place: &Place| place.json(&asked)["threshold"].as_f64();
    place.set("CHROMA_SIMILARITY_THRESHOLD", "0.25");
    assert_eq!(threshold(&place), Some(0.25));
    place.set("PGVECTOR_SIMILARITY_THRESHOLD", "0.75");
    assert_eq!(
        threshold(&place),
        Some(0.75),
        "nobody chose where to search"
    );
    place.set("PRODUCT_SEARCH_STRATEGY", "chroma_primary");
    assert_eq!(threshold(&place), Some(0.25));
    let run = place.run(&asked).ok();
    run.says(&[
        "search found 3 products (similarity >= 0.25)",
        "not calibrated, and environment CHROMA_SIMILARITY_THRESHOLD",
        "--calibrate",
    ]);
    let typed = [&asked[..], &["--threshold", "0.5"]].concat();
    let run = place.run(&typed).ok();
    run.says(&["(similarity >= 0.5)"]);
    let run = place.run(&typed).ok();
    assert!(!run.stderr.contains("not calibrated"), "{}", run.stderr);
    place.set("CHROMA_SIMILARITY_THRESHOLD", "high");
    place
        .run(&asked)
        .expect(2)
        .says(&["CHROMA_SIMILARITY_THRESHOLD", "from -1 to 1"]);
}
