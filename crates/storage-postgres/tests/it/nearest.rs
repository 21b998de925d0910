//! Search in the database finds what comparing every row in memory finds: the same rows, the same scores.

use std::collections::BTreeMap;

use retriever::{SearchOptions, Searched, Trial, TrialFilter, search_inside, search_store, tune};
use storage_core::testing::fixture::{self, Made, faq};
use storage_core::testing::refused;
use storage_core::{
    Comparison, Document, Effort, Embedding, Filter, FoundBy, IndexPlan, MetadataPredicate,
    MetadataValue, NearestNeighbours, StoreErrorKind, Timestamp,
};
use storage_postgres::{PostgresOptions, PostgresStore};

use crate::server::{self, Schema};

/// Numbers that look drawn (xorshift64*), so that a failure can be repeated with `SEED=`.
struct Random(u64);

impl Random {
    #[allow(clippy::print_stderr, reason = "a failure is repeated with it")]
    fn seeded() -> Self {
        let drawn = || u64::from(std::process::id()) * 0x9e37_79b9;
        let seed = std::env::var("SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(drawn).max(1);
        eprintln!("SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound
    }

    fn of<T: Clone>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())].clone()
    }
}

const CATEGORIES: [&str; 5] = ["Счета", "СЧЕТА", "Cards", "İstanbul", "Straße"];
const WORDS: [&str; 8] = [
    "банк",
    "БАНК",
    "Kelvin \u{212a}",
    "ΟΔΟΣ",
    "a.b*c",
    "100 %",
    "i\u{307}",
    "",
];

fn values() -> Vec<MetadataValue> {
    use MetadataValue::{Bool, F64, I64, List, String};
    vec![
        I64(7),
        I64(-3),
        F64(7.0),
        F64(1e300),
        F64(0.1),
        Bool(true),
        String("7".into()),
        String(" 7.0 ".into()),
        String("Acme".into()),
        String("ACME".into()),
        String("nan".into()),
        String("Δ\"quoted\"\\".into()),
        List(vec![String("acme".into()), I64(7)]),
        List(vec![]),
    ]
}

fn documents(random: &mut Random, count: usize) -> Vec<Document> {
    let mut documents = Vec::new();
    for n in 0..count {
        // Few texts, so that many rows share a vector and ties are broken by key.
        let text = format!("{} {}", random.of(&WORDS), random.below(count / 2));
        let mut document = fixture::document(&format!("d{:03}", n / 2), &text, random.of(&WORDS));
        document.key.chunk = u32::try_from(n % 2).unwrap();
        document.category = (random.below(4) > 0).then(|| random.of(&CATEGORIES).to_owned());
        document.subcategory = (random.below(4) == 0).then(|| random.of(&CATEGORIES).to_owned());
        for key in ["brand", "price", "category"] {
            if random.below(3) == 0 {
                document
                    .metadata
                    .insert(key.to_owned(), random.of(&values()));
            }
        }
        documents.push(document);
    }
    documents
}

fn filter(random: &mut Random) -> Filter {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let mut filter = Filter::default();
    if random.below(3) == 0 {
        filter.category = Some(
            random
                .of(&["счета", "CARDS", "i\u{307}stanbul", "none", "STRASSE"])
                .to_owned(),
        );
    }
    if random.below(10) == 0 {
        filter.document = Some(format!("d{:03}", random.below(60)));
    }
    if random.below(3) == 0 {
        filter.contains = Some(
            random
                .of(&[
                    "банк", "k", "ΟΔΟΣ", "οδος", ".b*", "İ", "0 %", "i", "\0", "",
                ])
                .to_owned(),
        );
    }
    for _ in 0..random.below(3) {
        filter.metadata.push(MetadataPredicate {
            key: random
                .of(&["brand", "price", "category", "subcategory", "absent", "\0"])
                .to_owned(),
            comparison: random.of(&[Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual]),
            value: random.of(&values()),
        });
    }
    filter
}

fn shown(found: &Searched) -> Vec<(String, u32, u32)> {
    found
        .hits
        .iter()
        .map(|hit| {
            let key = &hit.document.key;
            (key.document.clone(), key.chunk, hit.score.to_bits())
        })
        .collect()
}

async fn filled(schema: &Schema, documents: &[Document]) -> (PostgresStore, Made) {
    let store = storage_postgres::create_or_open(&schema.options)
        .await
        .unwrap();
    let version = fixture::version("one");
    fixture::fill(&store, &version, documents).await;
    (store, version)
}

/// The same store, by a server that would rather follow an index than sort: tables of tests are small.
async fn eager(schema: &Schema) -> PostgresStore {
    let url = server::url().unwrap();
    let sign = if url.contains('?') { '&' } else { '?' };
    let settings = "options=-c%20enable_sort%3Doff%20-c%20enable_seqscan%3Doff";
    let options = PostgresOptions::parse(&format!("{url}{sign}{settings}"))
        .and_then(|options| options.with_schema(&schema.name))
        .unwrap();
    storage_postgres::open_read_only(&options).await.unwrap()
}

async fn build(store: &PostgresStore) -> String {
    store
        .build_index(&faq(), IndexPlan::default(), Timestamp(5), &|_| ())
        .await
        .unwrap()
}

#[tokio::test]
async fn filters_take_the_same_rows_with_the_same_scores_as_in_memory() {
    if server::url().is_none() {
        return;
    }
    let mut random = Random::seeded();
    let schema = Schema::new();
    let documents = documents(&mut random, 120);
    let (store, _) = filled(&schema, &documents).await;
    build(&store).await;
    // So that the graph is searched whole: what is tested is the filters.
    let effort = Effort {
        candidates: 1_000,
        visits: 1_000_000,
    };
    store.keep_effort(&faq(), effort, "{}").await.unwrap();
    let eager = eager(&schema).await;
    let mut by_index = 0;
    for turn in 0..250 {
        let options = SearchOptions {
            top_k: 1 + random.below(12),
            threshold: (random.below(5) == 0).then_some(0.2),
            filter: filter(&mut random),
        };
        let question = fixture::embedding(&format!("question {turn}"), fixture::DIMENSIONS);
        let right = search_store(&store, &faq(), None, &question, &options)
            .await
            .unwrap();
        for (store, exact) in [(&store, true), (&store, false), (&eager, false)] {
            let found = search_inside(store, &faq(), None, &question, &options, exact)
                .await
                .unwrap();
            by_index += usize::from(found.found_by != FoundBy::Comparison);
            assert_eq!(
                shown(&found.searched),
                shown(&right),
                "{options:?} by {}",
                found.found_by
            );
        }
    }
    assert!(by_index > 0, "no search followed the index");
}

#[tokio::test]
async fn an_index_is_followed_once_it_is_built_and_left_alone_once_it_is_damaged() {
    if server::url().is_none() {
        return;
    }
    let schema = Schema::new();
    let (store, _) = filled(&schema, &fixture::documents(200)).await;
    let report = store.indexes(&faq()).await.unwrap();
    assert_eq!((report.vectors, report.indexes.len()), (200, 0));
    let first = build(&store).await;
    let eager = eager(&schema).await;
    let question = fixture::embedding("question", fixture::DIMENSIONS);
    let ask = async |exact| {
        let options = SearchOptions {
            top_k: 5,
            threshold: None,
            filter: Filter::default(),
        };
        let found = search_inside(&eager, &faq(), None, &question, &options, exact)
            .await
            .unwrap();
        (found.searched.hits.len(), found.found_by)
    };
    assert_eq!(ask(false).await, (5, FoundBy::Index(first.clone())));
    assert_eq!(ask(true).await, (5, FoundBy::Comparison));
    let report = eager.indexes(&faq()).await.unwrap();
    assert!(report.indexes[0].used && report.indexes[0].valid);
    // What a killed build leaves.
    schema
        .sql(&format!(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{first}'::regclass"
        ))
        .await;
    assert_eq!(ask(false).await, (5, FoundBy::Comparison));
    let report = store.indexes(&faq()).await.unwrap();
    assert!(!report.indexes[0].valid);
    assert!(report.warnings.iter().any(|why| why.contains("unfinished")));
    let second = build(&store).await;
    assert_ne!(first, second);
    let report = store.indexes(&faq()).await.unwrap();
    assert_eq!(report.indexes.len(), 1, "what was left is dropped");
    assert_eq!(report.indexes[0].name, second);
    let plan = report.indexes[0].plan.unwrap();
    assert_eq!((plan.neighbours, plan.candidates), (16, 64));
    // Anew: the old one goes only when the new one is there.
    let third = build(&store).await;
    let report = store.indexes(&faq()).await.unwrap();
    assert_eq!(report.indexes.len(), 1);
    assert_eq!(report.indexes[0].name, third);
    assert_eq!(store.drop_indexes(&faq()).await.unwrap(), [third]);
    assert_eq!(ask(false).await.1, FoundBy::Comparison);
}

#[tokio::test]
async fn only_one_session_builds_at_a_time() {
    let Some(url) = server::url() else {
        return;
    };
    let schema = Schema::new();
    let (store, _) = filled(&schema, &fixture::documents(3)).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let name = schema.name.replace('\'', "''");
    let taken = client
        .query_one(
            &format!(
                "SELECT pg_try_advisory_lock(hashtextextended('smart-support index {name}', 0))"
            ),
            &[],
        )
        .await
        .unwrap();
    assert!(taken.get::<_, bool>(0));
    let built = store
        .build_index(&faq(), IndexPlan::default(), Timestamp(5), &|_| ())
        .await;
    refused(built, StoreErrorKind::Busy);
    refused(store.drop_indexes(&faq()).await, StoreErrorKind::Busy);
}

#[tokio::test]
async fn what_was_tuned_is_kept_until_the_index_is_built_anew() {
    if server::url().is_none() {
        return;
    }
    let schema = Schema::new();
    let (store, version) = filled(&schema, &fixture::documents(300)).await;
    let effort = Effort {
        candidates: 77,
        visits: 30_000,
    };
    refused(
        store.keep_effort(&faq(), effort, "{}").await,
        StoreErrorKind::Invalid,
    );
    build(&store).await;
    let eager = eager(&schema).await;
    let queries = store.sample(&faq(), 20).await.unwrap();
    assert_eq!(queries.len(), 20);
    assert_eq!(queries, store.sample(&faq(), 20).await.unwrap());
    let filters =
        [("all", None), ("20 %", Some(5)), ("1 %", Some(100))].map(|(name, one_in)| TrialFilter {
            name: name.to_owned(),
            filter: Filter::default(),
            one_in,
        });
    let trial = Trial {
        collection: &faq(),
        version: &version.id,
        queries: &queries,
        filters: &filters,
        top_k: 10,
        target: 0.95,
    };
    let tried = tune(&eager, &trial, &|_| ()).await.unwrap();
    let last = tried.last().unwrap();
    assert!(last.worst() >= 0.95, "{tried:?}");
    assert!(last.filters.iter().all(|filter| filter.short == 0));
    assert!(last.filters[0].by_index > 0);
    store.keep_effort(&faq(), effort, "{}").await.unwrap();
    let kept = |report: storage_core::IndexReport| report.indexes[0].effort;
    assert_eq!(kept(store.indexes(&faq()).await.unwrap()), Some(effort));
    build(&store).await;
    assert_eq!(kept(store.indexes(&faq()).await.unwrap()), None);
}

#[tokio::test]
async fn a_question_of_another_length_and_a_version_of_nobody_are_refused() {
    if server::url().is_none() {
        return;
    }
    let schema = Schema::new();
    let (store, _) = filled(&schema, &fixture::documents(3)).await;
    let options = SearchOptions {
        top_k: 3,
        threshold: None,
        filter: Filter::default(),
    };
    let short = Embedding::new(vec![1.0f32; 3]).unwrap();
    let found = search_inside(&store, &faq(), None, &short, &options, false).await;
    refused(found, StoreErrorKind::Model);
    let right = fixture::embedding("q", fixture::DIMENSIONS);
    let other = fixture::version("other").id;
    let found = search_inside(&store, &faq(), Some(&other), &right, &options, false).await;
    refused(found, StoreErrorKind::Model);
    let nothing = fixture::collection("nothing");
    let found = search_inside(&store, &nothing, None, &right, &options, false).await;
    assert!(found.unwrap().searched.hits.is_empty());
    refused(store.indexes(&nothing).await, StoreErrorKind::Model);
}

#[tokio::test]
async fn metadata_of_every_type_is_asked_as_it_was_written() {
    if server::url().is_none() {
        return;
    }
    let schema = Schema::new();
    let mut rows = Vec::new();
    for (n, value) in values().into_iter().enumerate() {
        let mut document = fixture::document(&format!("d{n}"), &format!("q{n}"), "a");
        document.metadata = BTreeMap::from([("key".to_owned(), value)]);
        rows.push(document);
    }
    let (store, _) = filled(&schema, &rows).await;
    for value in values() {
        let filter = Filter {
            metadata: vec![MetadataPredicate {
                key: "key".to_owned(),
                comparison: Comparison::Equal,
                value,
            }],
            ..Filter::default()
        };
        let expected = rows.iter().filter(|row| filter.matches(row)).count();
        let options = SearchOptions {
            top_k: 100,
            threshold: None,
            filter,
        };
        let question = fixture::embedding("q", fixture::DIMENSIONS);
        let found = search_inside(&store, &faq(), None, &question, &options, false)
            .await
            .unwrap();
        assert_eq!(found.searched.hits.len(), expected, "{options:?}");
    }
}
