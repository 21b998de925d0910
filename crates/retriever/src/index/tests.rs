//! An index answers as the store does that it was read from, bit by bit.

use std::collections::BTreeMap;

use proptest::prelude::*;
use storage_core::testing::fixture::{
    change, collection, document, documents, embedding, faq, fill, generation, model, put, row,
    sheet, source, source_id, version_of,
};
use storage_core::{
    Comparison, Document, EmbeddingStore, Filter, Locator, MemoryStore, MetadataPredicate,
    MetadataValue, StoreErrorKind,
};

use super::SearchIndex;
use crate::{SearchOptions, search_store};

const DIMENSIONS: u32 = 37;

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// Documents of one to three chunks, in categories of two spellings, with metadata of every type.
fn varied(count: usize) -> Vec<Document> {
    let mut rows = Vec::new();
    for (n, mut document) in documents(count).into_iter().enumerate() {
        document.category =
            [None, Some("Карты"), Some("КАРТЫ"), Some("Счета")][n % 4].map(str::to_owned);
        document.subcategory = (n % 3 == 0).then(|| format!("под {}", n % 2));
        let list = MetadataValue::List(vec![
            MetadataValue::Bool(true),
            MetadataValue::I64(n as i64),
        ]);
        document.metadata = match n % 5 {
            0 => BTreeMap::new(),
            1 => BTreeMap::from([("year".to_owned(), MetadataValue::I64(2000 + n as i64))]),
            2 => BTreeMap::from([
                ("year".to_owned(), MetadataValue::String("2010".to_owned())),
                ("tags".to_owned(), list),
            ]),
            3 => BTreeMap::from([("price".to_owned(), MetadataValue::F64(-0.5))]),
            _ => BTreeMap::from([("category".to_owned(), MetadataValue::String("x".to_owned()))]),
        };
        document.locator = Locator {
            sheet: (n % 2 == 0).then(|| "Лист".to_owned()),
            row: Some(n as u64),
            page: (n % 7 == 0).then_some(u32::MAX),
            span: (n % 3 == 1).then_some((n as u64, i64::MAX as u64)),
        };
        for chunk in 0..=(n as u32 % 3) {
            let mut chunked = document.clone();
            chunked.key.chunk = 2 * chunk;
            chunked.title = format!("{} {chunk}", document.title);
            rows.push(chunked);
        }
    }
    rows
}

async fn store_of(rows: &[Document]) -> MemoryStore {
    let store = MemoryStore::new();
    let version = version_of(model("m", DIMENSIONS), "");
    fill(&store, &version, rows).await;
    store
}

fn filters() -> Vec<Filter> {
    let any = Filter::default;
    let condition = |key: &str, comparison, value| MetadataPredicate {
        key: key.to_owned(),
        comparison,
        value,
    };
    vec![
        any(),
        Filter {
            category: Some("карты".to_owned()),
            ..any()
        },
        Filter {
            category: Some("нет такой".to_owned()),
            ..any()
        },
        Filter {
            document: Some("id-0007".to_owned()),
            ..any()
        },
        Filter {
            document: Some("id-".to_owned()),
            ..any()
        },
        Filter {
            document: Some("id-0006".to_owned()),
            category: Some("Карты".to_owned()),
            ..any()
        },
        Filter {
            contains: Some("ВОПРОС 1".to_owned()),
            ..any()
        },
        Filter {
            metadata: vec![condition(
                "year",
                Comparison::Greater,
                MetadataValue::I64(2010),
            )],
            ..any()
        },
        Filter {
            metadata: vec![condition("tags", Comparison::Equal, MetadataValue::I64(7))],
            category: Some("Счета".to_owned()),
            ..any()
        },
        Filter {
            metadata: vec![
                condition(
                    "category",
                    Comparison::NotEqual,
                    MetadataValue::String("X".to_owned()),
                ),
                condition(
                    "subcategory",
                    Comparison::Equal,
                    MetadataValue::String("ПОД 0".to_owned()),
                ),
            ],
            contains: Some("ответ".to_owned()),
            ..any()
        },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn an_index_answers_as_its_store_does(
        count in 0usize..90,
        questions in prop::collection::vec((0usize..10, 0usize..4, prop::option::of(-0.3f32..0.3), any::<u16>()), 1..12),
    ) {
        run(async {
            let store = store_of(&varied(count)).await;
            let index = SearchIndex::load(&store, &faq(), None).await.unwrap();
            let questions: Vec<_> = questions
                .into_iter()
                .map(|(filter, top_k, threshold, seed)| {
                    let top_k = [1, 5, 300, usize::MAX][top_k];
                    let options = SearchOptions { top_k, threshold, filter: filters().swap_remove(filter) };
                    (embedding(&seed.to_string(), DIMENSIONS), options)
                })
                .collect();
            let together = index.search_many(&questions);
            prop_assert_eq!(together.len(), questions.len());
            for ((question, options), together) in questions.iter().zip(together) {
                let expected = search_store(&store, &faq(), None, question, options).await.unwrap();
                let alone = index.search(question, options).unwrap();
                let bits = |found: &crate::Searched| -> Vec<u32> { found.hits.iter().map(|hit| hit.score.to_bits()).collect() };
                prop_assert_eq!(bits(&alone), bits(&expected));
                prop_assert_eq!(&alone, &expected);
                prop_assert_eq!(&together.unwrap(), &expected);
            }
            Ok(())
        })?;
    }
}

#[test]
fn rows_come_back_as_they_went_in() {
    run(async {
        let rows = varied(40);
        let store = store_of(&rows).await;
        let index = SearchIndex::load(&store, &faq(), None).await.unwrap();
        assert_eq!((index.len(), index.document_count()), (rows.len(), 40));
        let status = store.status().await.unwrap();
        assert_eq!(index.generation(), generation(&store, &faq()).await);
        assert_eq!(index.store_generation(), status.generation);
        assert_eq!(
            index.version(),
            status.collection(&faq()).unwrap().active.as_ref()
        );
        assert_eq!(index.vectors().shape(), [rows.len(), DIMENSIONS as usize]);
        for (position, (row, entry)) in rows.iter().zip(index.entries()).enumerate() {
            assert_eq!(entry.decode().as_ref(), Some(row));
            assert_eq!(index.get(&row.key).as_ref(), Some(row));
            assert_eq!(index.position(&row.key), Some(position));
            assert_eq!((entry.position(), entry.key()), (position, row.key.clone()));
            assert_eq!((entry.title(), entry.body()), (&*row.title, &*row.body));
            assert_eq!(entry.category(), row.category.as_deref());
            assert_eq!(entry.subcategory(), row.subcategory.as_deref());
            assert_eq!(entry.source(), Some(&row.source));
        }
        let mut next = 0;
        for document in index.documents() {
            assert_eq!(document.rows.start, next);
            assert_eq!(index.rows_of(document.id), document.rows);
            let own = rows[document.rows.clone()].iter();
            assert!(own.clone().all(|row| row.key.document == document.id) && own.len() > 0);
            next = document.rows.end;
        }
        assert_eq!(next, rows.len());
        let mut absent = rows[0].key.clone();
        absent.chunk = 1;
        assert_eq!(index.get(&absent), None);
        absent = rows[0].key.clone();
        absent.collection = collection("other");
        assert_eq!(index.get(&absent), None);
        assert!(index.rows_of("id-").is_empty() && index.entry(rows.len()).is_none());
    });
}

#[test]
fn a_collection_that_is_not_there_is_an_empty_index() {
    run(async {
        let index = SearchIndex::load(&MemoryStore::new(), &faq(), None).await;
        let index = index.unwrap();
        assert!(index.is_empty() && index.version().is_none());
        assert_eq!(index.vectors().shape(), [0, 0]);
        let options = SearchOptions {
            top_k: 3,
            threshold: None,
            filter: Filter::default(),
        };
        let found = index.search(&embedding("q", 5), &options).unwrap();
        assert!(found.hits.is_empty() && found.scanned == 0);
    });
}

#[test]
fn a_question_of_another_length_fails_alone() {
    run(async {
        let store = store_of(&documents(3)).await;
        let index = SearchIndex::load(&store, &faq(), None).await.unwrap();
        let options = SearchOptions {
            top_k: 1,
            threshold: None,
            filter: Filter::default(),
        };
        let ask = |dimensions| (embedding("q", dimensions), options.clone());
        let answers = index.search_many(&[ask(DIMENSIONS), ask(8), ask(DIMENSIONS)]);
        let hits: Vec<_> = answers
            .iter()
            .map(|answer| answer.as_ref().map(|found| found.hits.len()))
            .collect();
        assert!(
            matches!(hits[..], [Ok(1), Err(error), Ok(1)] if error.kind() == StoreErrorKind::Model)
        );
        assert!(index.search_many(&[]).is_empty());
    });
}

#[test]
fn what_changed_in_the_store_is_told_by_row() {
    run(async {
        let rows = documents(6);
        let store = store_of(&rows).await;
        let index = SearchIndex::load(&store, &faq(), None).await.unwrap();
        let fingerprints = store.fingerprints(&faq()).await.unwrap().1;
        assert!(index.drift(&fingerprints).is_empty());
        assert!(index.compare(&store).await.unwrap().is_empty());

        let version = version_of(model("m", DIMENSIONS), "");
        let edited = document("id-0002", "Вопрос 2?", "Другой ответ.");
        let new = document("id-0003a", "Новый?", "Да.");
        put(&store, &version, &[edited.clone(), new.clone()]).await;
        let mut changes = change(generation(&store, &faq()).await);
        changes.upserts = vec![row(&edited, &[&version]), row(&new, &[&version])];
        changes.deletes = vec![rows[0].key.clone(), rows[5].key.clone()];
        store.apply(changes).await.unwrap();

        let fingerprints = store.fingerprints(&faq()).await.unwrap().1;
        let drift = index.drift(&fingerprints);
        assert_eq!(drift.missing, std::slice::from_ref(&new.key));
        assert_eq!(drift.stale, std::slice::from_ref(&edited.key));
        assert_eq!(drift.ghosts, [rows[0].key.clone(), rows[5].key.clone()]);
        assert_eq!(drift.len(), 4);
        assert_eq!(index.compare(&store).await.unwrap(), drift);
        let again = SearchIndex::load(&store, &faq(), None).await.unwrap();
        assert!(again.generation() > index.generation());
        assert!(again.compare(&store).await.unwrap().is_empty());
    });
}

#[test]
fn rows_of_several_sources_keep_their_owners() {
    run(async {
        let mut rows = documents(4);
        let store = store_of(&rows[..2]).await;
        let version = version_of(model("m", DIMENSIONS), "");
        for row in &mut rows[2..] {
            row.source = source_id("other");
        }
        put(&store, &version, &rows[2..]).await;
        let mut changes = change(generation(&store, &faq()).await);
        changes.source = Some(source(&faq(), "other"));
        changes.upserts = rows[2..].iter().map(|one| row(one, &[&version])).collect();
        store.apply(changes).await.unwrap();
        let index = SearchIndex::load(&store, &faq(), None).await.unwrap();
        let owners: Vec<_> = index.entries().filter_map(|entry| entry.source()).collect();
        assert_eq!(
            owners,
            [&sheet(), &sheet(), &source_id("other"), &source_id("other")]
        );
    });
}
