//! Stores as builds of the product left them, one a schema: `fixtures/stores`. Each lies beside what its own build
//! said of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Faq, Place, StubApi, workspace};

/// Numbers per vector: few, so that the files stay small.
pub const DIMENSIONS: usize = 8;

/// What a build said of the store that it left.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Left {
    /// The collections by name.
    pub collections: BTreeMap<String, LeftCollection>,
    /// Sources by file name, as the store holds them.
    pub sources: BTreeMap<String, String>,
}

/// One collection that a build left.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeftCollection {
    /// The source it was filled from.
    pub source: String,
    /// Its line of `status`.
    pub status: Value,
    /// The recipe it serves.
    pub embed_text: String,
    /// Rows with a vector in each version that an upgrade keeps, the one that is served first.
    pub versions: Vec<u64>,
    /// Questions, and what they found.
    pub answers: Vec<Answer>,
}

/// A question and what it found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// The question's vector.
    pub vector: Vec<f32>,
    /// Id, score, question, answer and category of each entry, best first.
    pub hits: Value,
}

/// The directory of the stores.
#[must_use]
pub fn directory() -> PathBuf {
    workspace().join("fixtures/stores")
}

/// A server that embeds for these stores.
#[must_use]
pub fn api() -> StubApi {
    StubApi::start(DIMENSIONS, Duration::ZERO)
}

/// Lets a build live a little in an empty place: two collections, an edit, a category that is renamed, a deletion, a
/// recompute by the same recipe and one by another, and an edit that the version before has not seen.
///
/// `versions` are the rows that `model list` will count where the build has no such command.
pub fn live(place: &Place, versions: &[(&str, &[u64])]) -> Left {
    let faq = Faq::with_ids(8);
    let other = Faq(Faq::of(12).0.split_off(8));
    let save = |name: &str, faq: &Faq| drop(place.save(name, faq));
    let sync = |file: &str, collection: &str, more: &[&str]| {
        let args = ["migrate", "--faq-path", file, "--collection", collection];
        drop(place.run(&[&args, more].concat()).ok());
    };
    save("faq.csv", &faq);
    save("other.csv", &other);
    sync("faq.csv", "faq", &[]);
    sync("other.csv", "other", &[]);
    let faq = faq.edited(|entries| {
        entries[1].answer = "Теперь иначе.".to_owned();
        entries[2].category = "Переименовано".to_owned();
        entries.remove(7);
    });
    save("faq.csv", &faq);
    sync("faq.csv", "faq", &["--allow-delete", "1"]);
    sync("faq.csv", "faq", &["--force-recompute"]);
    let recipe = "{question}";
    let again = ["--force-recompute", "--embed-text", recipe];
    sync("other.csv", "other", &again);
    let faq = faq.edited(|entries| entries[3].answer = "И ещё раз иначе.".to_owned());
    save("faq.csv", &faq);
    sync("faq.csv", "faq", &[]);

    let status = place.json(&["status"]);
    let collection = |name: &str, source: &str, embed_text: &str| {
        let listed = status["collections"].as_array().unwrap();
        let found = listed.iter().find(|found| found["name"] == name).unwrap();
        let counted = versions.iter().find(|(counted, _)| *counted == name);
        let keys = ["name", "records", "categories", "documents", "missing"];
        LeftCollection {
            source: source.to_owned(),
            status: keys.iter().map(|key| (*key, found[key].clone())).collect(),
            embed_text: embed_text.to_owned(),
            versions: counted
                .map_or_else(|| listed_versions(place, name), |(_, rows)| rows.to_vec()),
            answers: (0..4).map(|number| ask(place, name, number)).collect(),
        }
    };
    let collections = [
        collection("faq", "faq.csv", "{question}\\n{answer}"),
        collection("other", "other.csv", recipe),
    ];
    let read = |name: &&str| std::fs::read_to_string(place.path(name)).unwrap();
    Left {
        collections: ["faq", "other"]
            .map(str::to_owned)
            .into_iter()
            .zip(collections)
            .collect(),
        sources: ["faq.csv", "other.csv"]
            .iter()
            .map(|name| ((*name).to_owned(), read(name)))
            .collect(),
    }
}

/// Rows with a vector in each version of a collection, the one that is served first, then the one before.
pub fn listed_versions(place: &Place, collection: &str) -> Vec<u64> {
    let list = place.json(&["model", "list", "--collection", collection]);
    let mut versions = list["versions"].as_array().unwrap().clone();
    let roles = ["active", "previous"];
    versions.sort_by_key(|version| {
        roles
            .iter()
            .position(|role| version["state"] == *role)
            .unwrap_or(9)
    });
    versions
        .iter()
        .map(|version| version["records"].as_u64().unwrap())
        .collect()
}

fn ask(place: &Place, collection: &str, number: u16) -> Answer {
    let vector: Vec<f32> = (0..8u16)
        .map(|at| f32::from((number * 37 + at * 23 + at * at * 11) % 64) / 32.0 - 1.0)
        .collect();
    let hits = search(place, collection, &vector);
    Answer { vector, hits }
}

/// What a vector finds in a collection.
pub fn search(place: &Place, collection: &str, vector: &[f32]) -> Value {
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    place.write("question.f32", bytes);
    let args = [
        "--query-vector",
        "question.f32",
        "--threshold",
        "-1",
        "--top-k",
        "3",
    ];
    let found = place.json(&[&["search", "--collection", collection], &args[..]].concat());
    let hits = found["hits"].as_array().unwrap().iter();
    let kept = ["id", "score", "question", "answer", "category"];
    hits.map(|hit| {
        kept.iter()
            .map(|key| (*key, hit[*key].clone()))
            .collect::<Value>()
    })
    .collect()
}

/// The stores with what was said of them, oldest first.
#[must_use]
pub fn stores() -> Vec<(PathBuf, Left)> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "db"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "fixtures/stores holds no store");
    let said = |path: &Path| {
        let text = std::fs::read_to_string(path.with_extension("json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    found
        .into_iter()
        .map(|path| (path.clone(), said(&path)))
        .collect()
}

/// A new place that holds such a store and its sources.
#[must_use]
pub fn place(api: &StubApi, store: &Path, left: &Left) -> Place {
    let place = Place::stub(api);
    place.write("data/embeddings.db", std::fs::read(store).unwrap());
    for (name, text) in &left.sources {
        place.write(name, text);
    }
    place
}

/// What is written beside a store.
#[must_use]
pub fn written(left: &Left) -> String {
    let mut text = serde_json::to_string_pretty(&json!(left)).unwrap();
    text.push('\n');
    text
}
