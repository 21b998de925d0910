//! What people who speak SQL can do, and what becomes of what they write.

use futures_util::TryStreamExt;
use storage_core::testing::fixture::{self, Made, faq};
use storage_core::{
    EmbeddingStore, IntegrityReport, MetadataValue, NearestNeighbours, UndoPolicy, check_names,
};
use storage_postgres::PostgresStore;

use crate::server::{self, Schema};

/// A vector as SQL writes it.
fn literal(seed: &str) -> String {
    let vector = fixture::embedding(seed, fixture::DIMENSIONS);
    let numbers: Vec<String> = vector.as_slice().iter().map(f32::to_string).collect();
    format!("'[{}]'", numbers.join(","))
}

async fn filled(schema: &Schema, count: usize) -> (PostgresStore, Made) {
    let store = storage_postgres::create_or_open(&schema.options)
        .await
        .unwrap();
    let version = fixture::version("one");
    fixture::fill(&store, &version, &fixture::documents(count)).await;
    (store, version)
}

async fn reopened(schema: &Schema, store: PostgresStore) -> PostgresStore {
    drop(store);
    storage_postgres::open(
        &schema
            .options
            .clone()
            .with_wait(std::time::Duration::from_secs(60)),
    )
    .await
    .unwrap()
}

fn assert_sound(report: &IntegrityReport) {
    let faults: Vec<_> = report.checks.iter().filter(|check| !check.ok).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// What PostgreSQL said instead.
async fn refusal(schema: &Schema, sql: &str) -> String {
    let wrapped = format!(
        "DO $test$ BEGIN PERFORM {}; RAISE EXCEPTION 'nothing was refused'; \
         EXCEPTION WHEN OTHERS THEN PERFORM set_config('test.said', SQLERRM, false); END $test$; \
         SELECT current_setting('test.said')",
        sql
    );
    schema.sql(&wrapped).await[0][0].clone().unwrap()
}

#[tokio::test]
async fn a_row_written_by_sql_is_found_at_once_and_adopted_by_the_next_writer() {
    if server::url().is_none() {
        return;
    }
    let schema = Schema::new();
    let (store, _) = filled(&schema, 3).await;
    let before = fixture::generation(&store, &faq()).await;
    schema
        .sql(&format!(
            "SELECT upsert_embedding('mine', 'Первая строка', \
             '{{\"category\": \"Карты\", \"year\": 2023, \"none\": null, \"a\": [1, \"b\"]}}', {})",
            literal("mine")
        ))
        .await;
    let status = store.status().await.unwrap();
    let found = status.collection(&faq()).unwrap();
    assert_eq!((found.records, found.documents, found.missing), (4, 4, 0));
    assert_eq!(found.generation.0, before.0 + 1);
    let cards = found
        .categories
        .iter()
        .find(|count| count.category.as_deref() == Some("Карты"));
    assert_eq!(cards.unwrap().records, 1);
    let key = fixture::key("mine");
    let written = store
        .documents(std::slice::from_ref(&key))
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (written.title.as_str(), written.body.as_str()),
        ("", "Первая строка")
    );
    assert_eq!(written.category.as_deref(), Some("Карты"));
    assert_eq!(written.metadata["year"], MetadataValue::I64(2023));
    assert_eq!(written.metadata.len(), 2);
    assert_eq!(written.source.as_str(), "sql");

    // The report names it, until a writer comes.
    let report = store.check().await.unwrap();
    let hashes = report
        .checks
        .iter()
        .find(|check| check.name == check_names::CONTENT_HASHES);
    assert!(!hashes.unwrap().ok, "{report:#?}");
    let (_, planned) = store.fingerprints(&faq()).await.unwrap();
    let store = reopened(&schema, store).await;
    assert_sound(&store.check().await.unwrap());
    let (generation, adopted) = store.fingerprints(&faq()).await.unwrap();
    assert_eq!(
        generation.0,
        before.0 + 1,
        "nothing that readers see has changed"
    );
    assert_eq!(
        planned, adopted,
        "a plan made before the adoption holds after it"
    );
    assert_eq!(store.documents(&[key]).await.unwrap(), [written]);
    let unadopted = schema
        .sql("SELECT sum(unadopted) FROM embedding_stats")
        .await;
    assert_eq!(unadopted[0][0].as_deref(), Some("0"));

    // Once more, and nothing is left of what it had before.
    schema
        .sql(&format!(
            "SELECT upsert_embedding('mine', 'Другая', '{{}}', {})",
            literal("other")
        ))
        .await;
    schema
        .sql(&format!(
            "SELECT upsert_embedding('mine', 'Третья', '{{}}', {})",
            literal("third")
        ))
        .await;
    let store = reopened(&schema, store).await;
    assert_sound(&store.check().await.unwrap());
    let vectors = schema
        .sql("SELECT count(*) FROM embedding_vectors WHERE checksum IS NULL")
        .await;
    assert_eq!(vectors[0][0].as_deref(), Some("0"));
    drop(store);
}

/// The recipe takes the category too, so one unhashed vector becomes two.
#[tokio::test]
async fn rows_of_one_content_and_two_recipes_results_are_adopted_apart() {
    if server::url().is_none() {
        return;
    }
    let schema = Schema::new();
    let store = storage_postgres::create_or_open(&schema.options)
        .await
        .unwrap();
    let recipe = storage_core::EmbedText::parse("{category} {question} {answer}").unwrap();
    let version = fixture::made(fixture::version("one").space, recipe);
    fixture::fill(&store, &version, &fixture::documents(2)).await;
    for (id, category) in [("a", "X"), ("b", "Y"), ("c", "X")] {
        schema
            .sql(&format!(
                "SELECT upsert_embedding('{id}', 'same', '{{\"category\": \"{category}\"}}', {})",
                literal("same")
            ))
            .await;
    }
    let store = reopened(&schema, store).await;
    assert_sound(&store.check().await.unwrap());
    let (_, fingerprints) = store.fingerprints(&faq()).await.unwrap();
    let vector = |id: &str| {
        let found = fingerprints.iter().find(|row| row.key.document == id);
        found.unwrap().vector.clone().unwrap()
    };
    assert_eq!(vector("a"), vector("c"));
    assert_ne!(vector("a").input, vector("b").input);
}

#[tokio::test]
async fn rows_written_by_sql_are_no_part_of_other_sources() {
    if server::url().is_none() {
        return;
    }
    let schema = Schema::new();
    let (store, version) = filled(&schema, 3).await;
    schema
        .sql(&format!(
            "SELECT upsert_embedding('mine', 'x', NULL, {})",
            literal("mine")
        ))
        .await;
    let said = refusal(
        &schema,
        &format!("upsert_embedding('id-0001', 'x', '{{}}', {})", literal("x")),
    )
    .await;
    assert!(said.contains("belongs to source \"sheet\""), "{said}");
    let said = refusal(&schema, "delete_embedding('id-0001')").await;
    assert!(said.contains("belongs to source \"sheet\""), "{said}");
    // What a sync of the other source does: everything of its own is deleted, and written anew.
    let (base, rows) = store.fingerprints(&faq()).await.unwrap();
    let mut change = fixture::change(base);
    let own = rows.iter().filter(|row| row.source == fixture::sheet());
    change.deletes = own.map(|row| row.key.clone()).collect();
    assert_eq!(change.deletes.len(), 3);
    store.apply(change).await.unwrap();
    fixture::fill(&store, &version, &fixture::documents(2)).await;
    let store = reopened(&schema, store).await;
    let (_, rows) = store.fingerprints(&faq()).await.unwrap();
    let ids: Vec<&str> = rows.iter().map(|row| row.key.document.as_str()).collect();
    assert_eq!(ids, ["id-0000", "id-0001", "mine"]);
    assert_sound(&store.check().await.unwrap());
    let gone = schema
        .sql("SELECT delete_embedding('mine'), delete_embedding('mine')")
        .await;
    assert_eq!(gone[0], [Some("t".to_owned()), Some("f".to_owned())]);
    assert_sound(&store.check().await.unwrap());
}

#[tokio::test]
async fn many_sessions_write_at_once_and_every_count_is_right() {
    if server::url().is_none() {
        return;
    }
    let schema = Schema::new();
    let (store, _) = filled(&schema, 2).await;
    let before = store.status().await.unwrap().generation;
    let writers = (0..8).map(|writer| {
        let schema = &schema;
        async move {
            for turn in 0..10 {
                // Shared and own ids, so that rows are made, changed and deleted.
                let id = format!("d{}", (writer + turn) % 5);
                let vector = literal(&format!("{writer} {turn}"));
                schema
                    .sql(&format!(
                        "SELECT upsert_embedding('{id}', 'text {turn}', '{{\"category\": \"c{}\"}}', {vector})",
                        turn % 3
                    ))
                    .await;
            }
        }
    });
    futures_util::future::join_all(writers).await;
    let after = store.status().await.unwrap().generation;
    assert_eq!(after.0, before.0 + 80);
    let store = reopened(&schema, store).await;
    let status = store.status().await.unwrap();
    assert_eq!(status.collection(&faq()).unwrap().records, 7);
    assert_sound(&store.check().await.unwrap());
}

#[tokio::test]
async fn what_a_row_cannot_hold_is_refused_with_its_name() {
    if server::url().is_none() {
        return;
    }
    let schema = Schema::new();
    let (_store, _) = filled(&schema, 1).await;
    let right = literal("x");
    for (call, expected) in [
        (
            format!("upsert_embedding('z', ' ', '{{}}', {right})"),
            "is empty",
        ),
        (
            format!("upsert_embedding('', 'x', '{{}}', {right})"),
            "needs an id",
        ),
        (
            format!("upsert_embedding('z', 'x', '[1]', {right})"),
            "must be a JSON object",
        ),
        (
            format!("upsert_embedding('z', 'x', '{{\"a\": {{\"b\": 1}}}}', {right})"),
            "no plain value under \"a\"",
        ),
        (
            format!("upsert_embedding('z', 'x', '{{\"a\": [1e400]}}', {right})"),
            "no plain value under \"a\"",
        ),
        (
            "upsert_embedding('z', 'x', '{}', '[1,2]')".to_owned(),
            "embedding dimension mismatch",
        ),
        (
            "upsert_embedding('z', 'x', '{}', '[0,0,0,0,0,0,0,0]')".to_owned(),
            "which no angle can be measured with",
        ),
        (
            format!("upsert_embedding('z', 'x', '{{}}', {right}, 'other')"),
            "there is no collection \"other\"",
        ),
        (
            "search_embeddings('[1,2]')".to_owned(),
            "embedding dimension mismatch",
        ),
        (
            format!("search_embeddings({right}, 3, 'other')"),
            "there is no collection",
        ),
        (format!("search_embeddings({right}, -1)"), "match_count"),
        (
            format!("search_embeddings({right}, filter => '[]')"),
            "must be a JSON object",
        ),
        (
            "product_similarity('nobody', 'id-0000')".to_owned(),
            "there is no row \"nobody\"",
        ),
    ] {
        let said = refusal(&schema, &call).await;
        assert!(said.contains(expected), "{call}: {said}");
    }
    let status = schema.sql("SELECT generation FROM store_state").await;
    assert_eq!(
        status[0][0].as_deref(),
        Some("1"),
        "a refusal changes nothing"
    );
}

#[tokio::test]
async fn search_in_sql_finds_what_search_in_memory_finds() {
    if server::url().is_none() {
        return;
    }
    let schema = Schema::new();
    let (store, _) = filled(&schema, 200).await;
    let question = fixture::embedding("question", fixture::DIMENSIONS);
    let options = retriever::SearchOptions {
        top_k: 10,
        threshold: None,
        filter: storage_core::Filter::default(),
    };
    let right = retriever::search_store(&store, &faq(), None, &question, &options)
        .await
        .unwrap();
    let ids: Vec<String> = right
        .hits
        .iter()
        .map(|hit| hit.document.key.document.clone())
        .collect();
    for built in [false, true] {
        if built {
            let plan = storage_core::IndexPlan::default();
            let at = storage_core::Timestamp(5);
            store.build_index(&faq(), plan, at, &|_| ()).await.unwrap();
        }
        let vector = literal("question");
        let rows = schema
            .sql(&format!(
                "SET enable_seqscan = off; SET enable_sort = off; \
                 SELECT id, similarity, content FROM search_embeddings({vector})"
            ))
            .await;
        let found: Vec<&str> = rows.iter().filter_map(|row| row[0].as_deref()).collect();
        assert_eq!(found, ids);
        let score: f32 = rows[0][1].as_ref().unwrap().parse().unwrap();
        assert!((score - right.hits[0].score).abs() < 1e-5);
        assert!(rows[0][2].as_ref().unwrap().contains("?\nОтвет"));
        // Its own settings are gone afterwards.
        let scan = schema
            .sql(&format!(
                "SELECT count(*) FROM search_embeddings({vector}); SHOW hnsw.iterative_scan"
            ))
            .await;
        assert_eq!(scan[1][0].as_deref(), Some("off"));
    }
    let near = schema
        .sql("SELECT id FROM find_similar_products('id-0007', 3)")
        .await;
    assert_eq!(near.len(), 3);
    assert!(near.iter().all(|row| row[0].as_deref() != Some("id-0007")));
    let same = schema
        .sql("SELECT round(product_similarity('id-0007', 'id-0007')::numeric, 6)")
        .await;
    assert_eq!(same[0][0].as_deref(), Some("1.000000"));
}

#[tokio::test]
async fn coverage_and_freshness_count_what_is_missing() {
    if server::url().is_none() {
        return;
    }
    let schema = Schema::new();
    let (_store, _) = filled(&schema, 4).await;
    schema
        .sql(
            "DELETE FROM record_inputs WHERE record_id = \
             (SELECT record_id FROM embedding_records WHERE document = 'id-0002')",
        )
        .await;
    let rows = schema
        .sql(
            "SELECT total_products, with_embeddings, missing_embeddings, coverage_percent \
             FROM product_embedding_stats",
        )
        .await;
    let shown: Vec<&str> = rows[0].iter().filter_map(Option::as_deref).collect();
    assert_eq!(shown, ["4", "3", "1", "75.0"]);
    let rows = schema
        .sql("SELECT id FROM embeddings WHERE embedding IS NULL")
        .await;
    assert_eq!(rows[0][0].as_deref(), Some("id-0002"));
    let rows = schema
        .sql("SELECT records, missing_embedding, model FROM embedding_stats")
        .await;
    let shown: Vec<&str> = rows[0].iter().filter_map(Option::as_deref).collect();
    assert_eq!(shown, ["4", "1", "one"]);
}

#[tokio::test]
async fn a_row_written_by_sql_comes_back_when_the_import_that_replaced_it_is_undone() {
    if server::url().is_none() {
        return;
    }
    let schema = Schema::new();
    let (store, one) = filled(&schema, 2).await;
    let written = format!(
        "SELECT upsert_embedding('mine', 'Своя строка', '{{\"year\": 2023}}', {})",
        literal("mine")
    );
    schema.sql(&written).await;
    let before = store.documents(&[fixture::key("mine")]).await.unwrap();
    let sql = fixture::run("moving");
    let text = fixture::document("mine", "Иначе?", "Да.");
    fixture::put(&store, &one, std::slice::from_ref(&text)).await;
    let mut changes = fixture::change(fixture::generation(&store, &faq()).await);
    changes.undo = UndoPolicy::Keep;
    changes.run = sql.clone();
    changes.deletes = vec![text.key.clone()];
    changes.upserts = vec![fixture::row(&text, &[&one])];
    store.apply(changes).await.unwrap();
    assert_eq!(
        store
            .prune(storage_core::Timestamp(i64::MAX))
            .await
            .unwrap(),
        0
    );

    let (base, mut told) = store.undo(&faq(), &sql).await.unwrap();
    let row = told.remove(0).replaced.unwrap();
    assert_eq!(row.document(), &before[0]);
    assert_eq!(row.vectors().len(), 1);
    let mut undo = fixture::change(base);
    undo.undo = UndoPolicy::Of(sql);
    undo.deletes = vec![text.key.clone()];
    undo.upserts = vec![row];
    store.apply(undo).await.unwrap();
    let found = store.documents(&[text.key]).await.unwrap();
    assert_eq!(found, before);
    let nearest = store
        .scan(&faq(), None, storage_core::Filter::default())
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
    let mine = nearest.iter().find(|found| found.document == before[0]);
    assert_eq!(
        mine.unwrap().embedding,
        fixture::embedding("mine", fixture::DIMENSIONS)
    );
    assert_sound(&store.check().await.unwrap());
}
