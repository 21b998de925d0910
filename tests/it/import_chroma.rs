//! Directories that real versions of Chroma wrote, moved in: every id, text, metadata value and vector.

use integration_tests::{Backend, Place, on_every_store};
use serde_json::Value;

use crate::import_support::{CHROMA, Chroma, bytes_of, held};

fn import(place: &Place, more: &[&str]) -> Value {
    let base = ["import", "chroma", "legacy/db", "--model", "old-model"];
    place.json(&[&base[..], more].concat())
}

/// The row's vector finds the row, by the same command that everybody asks with.
fn finds_itself(place: &Place, collection: &str, id: &str, numbers: &[f32]) {
    let bytes: Vec<u8> = numbers.iter().flat_map(|one| one.to_le_bytes()).collect();
    place.write("query.f32", bytes);
    let args = [
        "search",
        "--query-vector",
        "query.f32",
        "--collection",
        collection,
        "-k",
        "3",
    ];
    let found = place.json(&args);
    let hits = found["hits"].as_array().unwrap();
    let best = hits[0]["score"].as_f64().unwrap();
    assert!(best > 0.9999, "{collection} {id}: {best}");
    let same = |hit: &&Value| hit["score"].as_f64().unwrap() > best - 1e-6;
    let found = hits.iter().filter(same).any(|hit| hit["id"] == id);
    assert!(found, "{collection} {id}: {hits:#?}");
}

fn every_version_moves_in_whole(backend: Backend) {
    for version in CHROMA {
        let place = backend.place();
        let chroma = Chroma::unpack(&place, version);
        let before = bytes_of(&place.path("legacy/db"));
        let report = import(&place, &["--database", "default_database"]);
        let listed = chroma.collections("default_database");
        let total: u64 = listed.iter().map(|(_, count)| count).sum();
        assert_eq!(report["source_total"], total, "{version} {report:#}");
        assert_eq!(report["imported"], total, "{version}");
        assert_eq!(report["errors"], serde_json::json!([]), "{version}");
        assert_eq!(report["coverage"], 1.0, "{version}");
        assert_eq!(report["lossy"], false, "{version}");
        assert_eq!(report["spot_checks"], total, "{version}");
        assert_eq!(report["requests"], 0, "{version}");
        let mut textless = 0;
        for (name, count) in &listed {
            let what = format!("{version} {name}");
            let expected = chroma.expected("default_database", name);
            let rows = held(&place, backend, name);
            assert_eq!(rows.len() as u64, *count, "{what}");
            let entry = report["collections"].as_array().unwrap().iter();
            let entry = entry.clone().find(|entry| entry["name"] == **name).unwrap();
            // A cosine index keeps vectors divided by their length; its scale comes from where it is still known.
            let tolerance = if entry["metric"] == "cosine" {
                1e-6
            } else {
                0.0
            };
            for (id, wanted) in &expected {
                let row = &rows[id];
                wanted.compare(&format!("{what} {id}"), row, tolerance);
                assert_eq!(row.metadata(), wanted.metadata, "{what} {id}");
                textless += u64::from(wanted.text.is_none());
            }
            for (id, _) in expected.iter().step_by(1 + expected.len() / 3) {
                finds_itself(&place, name, id, &rows[id].numbers());
            }
        }
        assert_eq!(report["without_text"], textless, "{version}");
        assert_eq!(bytes_of(&place.path("legacy/db")), before, "{version}");
        assert_eq!(place.json(&["validate"])["ok"], true, "{version}");

        // Again: nothing is left to do, and nothing is done.
        let data = place.data();
        let again = import(&place, &["--database", "default_database"]);
        assert_eq!(again["imported"], 0, "{version}");
        assert_eq!(again["skipped"], total, "{version}");
        let rows_now = |place: &Place| {
            let listed = listed.iter().map(|(name, _)| held(place, backend, name));
            listed.collect::<Vec<_>>()
        };
        let after = rows_now(&place);
        import(&place, &["--database", "default_database"]);
        assert_eq!(rows_now(&place), after, "{version}");
        drop(data);
    }
}

fn one_of_two_collections_of_one_name_goes_where_it_is_told(backend: Backend) {
    let place = backend.place();
    let chroma = Chroma::unpack(&place, "1.0.21");
    let report = import(
        &place,
        &[
            "--from-collection",
            "support/faq_main",
            "--collection",
            "help",
        ],
    );
    let expected = chroma.expected("support", "faq_main");
    assert_eq!(report["imported"], expected.len() as u64);
    let rows = held(&place, backend, "help");
    assert!(rows.keys().eq(expected.keys()));
    // The plain name is the one in the default database, and joins the collection that was asked for.
    let report = import(
        &place,
        &["--from-collection", "faq_main", "--collection", "plain"],
    );
    let plain = chroma.expected("default_database", "faq_main");
    assert_eq!(report["imported"], plain.len() as u64);
    // Both come in under names of their own.
    let named = [
        "--from-collection",
        "faq_main",
        "--from-collection",
        "support/faq_main",
    ];
    let report = import(&place, &named);
    assert_eq!(report["collections"].as_array().unwrap().len(), 2);
    for (database, name) in [
        ("default_database", "faq_main"),
        ("support", "support/faq_main"),
    ] {
        let rows = held(&place, backend, name);
        assert!(
            rows.keys().eq(chroma.expected(database, "faq_main").keys()),
            "{name}"
        );
    }
    // Into one they would be mixed.
    let both = [
        "import",
        "chroma",
        "legacy/db",
        "--model",
        "m",
        "--collection",
        "one",
    ];
    let run = place.run(&[&both[..], &named].concat()).expect(2);
    assert!(run.error().contains("--from-collection"), "{}", run.error());
}

fn a_collection_that_is_not_there_is_answered_with_the_one_that_was_meant(backend: Backend) {
    let place = backend.place();
    Chroma::unpack(&place, "1.5.9");
    let args = [
        "import",
        "chroma",
        "legacy/db",
        "--model",
        "m",
        "--from-collection",
        "readed",
    ];
    let run = place.run(&args);
    assert_ne!(run.code, 0);
    let run = run.prints_nothing();
    assert!(
        run.error().contains("did you mean `readded`?"),
        "{}",
        run.error()
    );
    let missing = place.run(&["import", "chroma", "legacy/bd", "--model", "m"]);
    assert_ne!(missing.code, 0);
    assert!(missing.error().contains("legacy/bd"), "{}", missing.error());
}

fn a_damaged_directory_leaves_the_store_as_it_was(backend: Backend) {
    let place = backend.place();
    Chroma::unpack(&place, "1.5.9");
    import(&place, &["--from-collection", "macros_ip"]);
    let before = held(&place, backend, "faq");
    let large = std::fs::read_dir(place.path("legacy/db"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("index_metadata.pickle"))
        .filter(|path| path.exists())
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    let pickle = std::fs::read(&large).unwrap();
    std::fs::write(&large, &pickle[..pickle.len() / 2]).unwrap();
    let args = [
        "import",
        "chroma",
        "legacy/db",
        "--model",
        "old-model",
        "--from-collection",
        "kb_large",
    ];
    let run = place.run(&args);
    assert_ne!(run.code, 0, "{}", run.stderr);
    assert!(run.error().contains("--salvage"), "{}", run.error());
    assert_eq!(held(&place, backend, "faq"), before);
    assert_eq!(place.json(&["validate"])["ok"], true);

    // What the log still proves can be had, and the rest is listed.
    let into = [&args[..], &["--salvage", "--collection", "kb", "--json"]].concat();
    let run = place.run(&into).expect(3);
    let report = run.json();
    let (moved, lost) = (
        report["imported"].as_u64().unwrap(),
        report["errors"].as_array().unwrap().len() as u64,
    );
    assert!(moved > 0 && lost > 0, "{report:#}");
    assert_eq!(report["source_total"], moved + lost);
    assert!(report["coverage"].as_f64().unwrap() < 1.0);
    assert_eq!(held(&place, backend, "kb").len() as u64, moved);

    // A page of its database: refused by name, whatever it hit.
    std::fs::write(&large, &pickle).unwrap();
    let database = place.path("legacy/db/chroma.sqlite3");
    let bytes = std::fs::read(&database).unwrap();
    std::fs::write(&database, &bytes[..bytes.len() / 2]).unwrap();
    let run = place.run(&args);
    assert_ne!(run.code, 0, "{}", run.stderr);
    assert!(run.error().contains("chroma"), "{}", run.error());
    assert_eq!(held(&place, backend, "faq"), before);
}

on_every_store! {
    every_version_moves_in_whole,
    one_of_two_collections_of_one_name_goes_where_it_is_told,
    a_collection_that_is_not_there_is_answered_with_the_one_that_was_meant,
    a_damaged_directory_leaves_the_store_as_it_was,
}
