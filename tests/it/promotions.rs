//! Searches while another version is served again and again: every answer is one version's or the other's, whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use integration_tests::{Faq, Place, StubApi};
use retriever::{SearchIndex, SearchOptions, Searched, search_store};
use serde_json::Value;
use storage_core::testing::fixture::{self, Made};
use storage_core::{Embedding, EmbeddingStore, Filter};
use storage_sqlite::{SqliteOptions, SqliteStore};
use tokio::runtime::{Builder, Runtime};

use crate::support::DIMENSIONS;

/// Several pages of a scan.
const ROWS: usize = 400;

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// A store with two complete versions of its rows; the first is served.
async fn filled(options: &SqliteOptions) -> (SqliteStore, [Made; 2]) {
    let store = storage_sqlite::create_or_open(options).unwrap();
    let (one, two) = (fixture::version("one"), fixture::version("two"));
    let rows = fixture::documents(ROWS);
    fixture::fill(&store, &one, &rows).await;
    fixture::put(&store, &two, &rows).await;
    let mut changes = fixture::change(fixture::generation(&store, &fixture::faq()).await);
    changes.binds = rows
        .iter()
        .map(|row| (row.key.clone(), fixture::binding(&two, row)))
        .collect();
    changes.register = Some(two.spec.clone());
    changes.complete = Some(two.id.clone());
    store.apply(changes).await.unwrap();
    (store, [one, two])
}

/// Serves the other version until somebody says that it is enough; how often.
async fn flip(store: &SqliteStore, versions: &[Made; 2], enough: &AtomicBool) -> usize {
    let mut flips = 0;
    while !enough.load(Ordering::Relaxed) {
        flips += 1;
        let mut changes = fixture::change(fixture::generation(store, &fixture::faq()).await);
        changes.activate = Some(versions[flips % 2].id.clone());
        store.apply(changes).await.unwrap();
    }
    flips
}

#[test]
fn a_search_beside_promotions_sees_one_version_whole() {
    const SEARCHES: usize = 40;
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteOptions::file(directory.path().join("store.db"));
    let (store, versions) = runtime().block_on(filled(&options));
    let reader = storage_sqlite::open_read_only(&options).unwrap();
    let question = fixture::embedding("question", fixture::DIMENSIONS);
    let all = SearchOptions {
        top_k: ROWS,
        threshold: None,
        filter: Filter::default(),
    };
    let ask = async |store: &dyn EmbeddingStore, version: Option<&Made>, question: &Embedding| {
        let version = version.map(|version| &version.id);
        search_store(store, &fixture::faq(), version, question, &all)
            .await
            .unwrap()
    };
    let expected: Vec<Searched> = runtime().block_on(async {
        let [one, two] = &versions;
        vec![
            ask(&store, Some(one), &question).await,
            ask(&store, Some(two), &question).await,
        ]
    });
    assert_eq!(expected[0].hits.len(), ROWS);
    let scores = |found: &Searched| -> BTreeSet<u32> {
        found.hits.iter().map(|hit| hit.score.to_bits()).collect()
    };
    assert!(
        scores(&expected[0]).is_disjoint(&scores(&expected[1])),
        "a score tells its version"
    );

    let enough = AtomicBool::new(false);
    let seen = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let whole = |road: &str, found: &Searched| {
        let version = expected.iter().position(|expected| expected == found);
        let version = version.unwrap_or_else(|| panic!("{road} mixes versions: {found:?}"));
        seen[version].fetch_add(1, Ordering::Relaxed);
    };
    let flips = std::thread::scope(|scope| {
        let flips = scope.spawn(|| runtime().block_on(flip(&store, &versions, &enough)));
        let searches: Vec<_> = [("the writer", &store), ("a reader", &reader)]
            .into_iter()
            .map(|(road, store)| {
                let (ask, whole, question) = (&ask, &whole, &question);
                let (versions, expected, all) = (&versions, &expected, &all);
                scope.spawn(move || {
                    runtime().block_on(async {
                        for _ in 0..SEARCHES {
                            whole(road, &ask(store, None, question).await);
                            let index = SearchIndex::load(store, &fixture::faq(), None).await;
                            let found = index.unwrap().search(question, all).unwrap();
                            whole(&format!("an index from {road}"), &found);
                            // Whoever names a version gets it, whichever is served.
                            for (version, expected) in versions.iter().zip(expected) {
                                assert_eq!(ask(store, Some(version), question).await, *expected);
                            }
                        }
                    });
                })
            })
            .collect();
        let ended: Vec<_> = searches.into_iter().map(|search| search.join()).collect();
        enough.store(true, Ordering::Relaxed);
        let flips = flips.join().unwrap();
        assert!(ended.iter().all(Result::is_ok), "a search failed");
        flips
    });
    let seen = seen.map(AtomicUsize::into_inner);
    assert_eq!(seen.iter().sum::<usize>(), 4 * SEARCHES);
    assert!(flips > 1, "nothing was promoted beside the searches");
    assert!(seen.iter().all(|seen| *seen > 0), "{seen:?} of {flips}");
}

/// What an answer says of itself, and what it found.
fn answer(found: &Value) -> (String, Value) {
    let hits = found["hits"].as_array().unwrap().iter();
    let hits = hits.map(|hit| serde_json::json!([hit["id"], hit["score"]]));
    let version = found["model"]["version"].as_str().unwrap();
    (version.to_owned(), hits.collect())
}

/// The provider takes its time, so that promotions come between the question's vector and the rows.
#[test]
fn a_question_beside_promotions_is_asked_of_the_model_that_answers() {
    const SEARCHES: usize = 24;
    let api = StubApi::start(DIMENSIONS, Duration::from_millis(5));
    let place = Place::stub(&api);
    place.save("faq.csv", &Faq::with_ids(100));
    place.migrate("faq.csv", &[]);
    place.json(&["model", "build", "other-model"]);
    let search = [
        "search",
        "Как закрыть вклад?",
        "-k",
        "100",
        "--threshold",
        "-1",
        "--json",
    ];
    let mut expected = BTreeMap::new();
    for _ in 0..2 {
        expected.extend([answer(&place.run(&search).ok().json())]);
        let status = place.json(&["model", "list"]);
        let other = status["versions"].as_array().unwrap().iter();
        let other = other.filter(|version| version["state"] != "active");
        let other = other.map(|version| version["id"].as_str().unwrap().to_owned());
        let other: Vec<_> = other.collect();
        place.json(&["model", "promote", &other[0]]);
    }
    assert_eq!(expected.len(), 2);
    let answers: Vec<_> = expected.values().collect();
    assert_ne!(answers[0], answers[1], "two models answer alike");

    let enough = AtomicBool::new(false);
    let mut seen = BTreeSet::new();
    let mut busy = 0;
    std::thread::scope(|scope| {
        let flips = scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                place.run(&["model", "rollback"]).ok();
            }
        });
        let searches = scope.spawn(|| {
            let mut found = Vec::new();
            for _ in 0..SEARCHES {
                found.push(place.run(&search));
            }
            found
        });
        let found = searches.join();
        enough.store(true, Ordering::Relaxed);
        flips.join().unwrap();
        for run in found.unwrap() {
            if run.code == 75 {
                busy += 1;
                continue;
            }
            let (version, hits) = answer(&run.ok().json());
            assert_eq!(hits, expected[&version], "an answer mixes versions");
            seen.insert(version);
        }
    });
    assert!(busy * 2 < SEARCHES, "{busy} of {SEARCHES} found no moment");
    assert!(!seen.is_empty());
}
