//! Legacy records moved in: what moves, what stays, what is refused, and how it is undone.

mod rollback;

use std::num::NonZeroU32;
use std::sync::Arc;

use embedder_client::testing::FakeEmbedder;
use embedder_client::{Embedder, Meter, Purpose};
use futures_util::{StreamExt, stream};
use storage_core::{
    CollectionName, Embedding, EmbeddingStore, ImportError, ImportErrorKind, ImportFault,
    ImportSource, Imported, ImportedCollection, ImportedRecord, Locator, MetadataValue, Metric,
    RunId, Timestamp,
};
use sync_engine::{
    FieldMap, ImportContext, ImportOptions, ImportReport, ModelCheck, NoImportProgress, SyncError,
    SyncErrorKind, SyncPolicy, import,
};

use crate::world::{World, faq, row, snapshot, with_ids};

const WIDTH: u32 = 4;

/// A legacy collection in memory.
#[derive(Debug, Clone)]
struct Legacy {
    described: ImportedCollection,
    items: Vec<Imported>,
    /// After so many items the source breaks.
    breaks_after: Option<usize>,
}

impl Legacy {
    fn new(name: &str, items: Vec<Imported>) -> Self {
        Self {
            described: ImportedCollection {
                kind: "chroma",
                name: name.to_owned(),
                location: format!("old/{name}"),
                total: items.len() as u64,
                dimensions: NonZeroU32::new(WIDTH),
                metric: Metric::Cosine,
                model: None,
                lossy: None,
                notes: Vec::new(),
            },
            items,
            breaks_after: None,
        }
    }
}

impl ImportSource for Legacy {
    fn collection(&self) -> &ImportedCollection {
        &self.described
    }

    fn read(&self) -> stream::BoxStream<'static, Result<Vec<Imported>, ImportError>> {
        let mut batches: Vec<Result<Vec<Imported>, ImportError>> = self
            .items
            .iter()
            .take(self.breaks_after.unwrap_or(usize::MAX))
            .map(|item| Ok(vec![item.clone()]))
            .collect();
        if self.breaks_after.is_some() {
            let error = ImportError::new(ImportErrorKind::Damaged, "the index ends early");
            batches.push(Err(error));
        }
        stream::iter(batches).boxed()
    }
}

fn vector(seed: f32) -> Embedding {
    Embedding::new(vec![seed, 1.0, -0.5, 0.25]).unwrap()
}

fn record(id: &str, text: Option<&str>, seed: f32) -> ImportedRecord {
    ImportedRecord {
        document: id.to_owned(),
        chunk: 0,
        text: text.map(str::to_owned),
        category: None,
        metadata: [
            ("n".to_owned(), MetadataValue::I64(7)),
            ("x".to_owned(), MetadataValue::F64(3.0)),
            ("yes".to_owned(), MetadataValue::Bool(true)),
        ]
        .into(),
        embedding: vector(seed),
        locator: Locator::default(),
    }
}

fn item(id: &str, text: &str, seed: f32) -> Imported {
    Imported::Record(Box::new(record(id, Some(text), seed)))
}

fn options() -> ImportOptions {
    ImportOptions {
        collection: faq(),
        model: Some("old-model".to_owned()),
        provider: None,
        dimensions: None,
        batch: 2,
        overwrite: false,
        verify: true,
        dry_run: false,
        fields: FieldMap::default(),
        embed_text: None,
    }
}

async fn run(
    world: &World,
    source: &Legacy,
    options: &ImportOptions,
    name: &str,
) -> Result<ImportReport, SyncError> {
    run_asking(world, source, options, name, None).await
}

async fn run_asking(
    world: &World,
    source: &Legacy,
    options: &ImportOptions,
    name: &str,
    embedder: Option<Arc<dyn Embedder>>,
) -> Result<ImportReport, SyncError> {
    let context = ImportContext {
        store: &*world.store,
        source,
        ask: embedder.is_some(),
        embedder,
        progress: &NoImportProgress,
        clock: &*world.clock,
        run: RunId::new(name).unwrap(),
        meter: Meter::default(),
    };
    import(&context, options).await
}

#[tokio::test]
async fn records_move_with_every_bit_and_every_type() {
    let world = World::new();
    let source = Legacy::new("old", vec![item("a", "one", 0.1), item("b", "two", 0.2)]);
    let report = run(&world, &source, &options(), "r1").await.unwrap();
    assert_eq!((report.added, report.faults.len()), (2, 0));
    assert_eq!(report.check, ModelCheck::NotAsked);
    let verified = report.verified.unwrap();
    assert_eq!((verified.rows, verified.differing), (2, 0));
    let rows = world.rows().await;
    assert_eq!(rows[0].embedding, vector(0.1));
    assert_eq!(rows[0].document.body, "one");
    assert_eq!(rows[0].document.metadata["x"], MetadataValue::F64(3.0));
    assert_eq!(world.embedder.texts().len(), 0);
}

#[tokio::test]
async fn a_second_import_moves_nothing_and_raises_no_generation() {
    let world = World::new();
    let source = Legacy::new("old", vec![item("a", "one", 0.1), item("b", "two", 0.2)]);
    run(&world, &source, &options(), "r1").await.unwrap();
    let before = world.store.status().await.unwrap().generation;
    let report = run(&world, &source, &options(), "r2").await.unwrap();
    assert_eq!((report.added, report.unchanged), (0, 2));
    assert!(!report.applied);
    assert_eq!(world.store.status().await.unwrap().generation, before);
}

#[tokio::test]
async fn what_changed_in_the_source_changes_in_the_store() {
    let world = World::new();
    let source = Legacy::new("old", vec![item("a", "one", 0.1), item("b", "two", 0.2)]);
    run(&world, &source, &options(), "r1").await.unwrap();
    let source = Legacy::new("old", vec![item("a", "uno", 0.1)]);
    let report = run(&world, &source, &options(), "r2").await.unwrap();
    assert_eq!((report.replaced, report.gone), (1, 1));
    let texts: Vec<String> = world
        .rows()
        .await
        .into_iter()
        .map(|row| row.document.body)
        .collect();
    assert_eq!(texts, ["uno", "two"]);
}

#[tokio::test]
async fn equal_texts_keep_their_own_vectors() {
    let world = World::new();
    let source = Legacy::new("old", vec![item("a", "same", 0.1), item("b", "same", 0.2)]);
    let report = run(&world, &source, &options(), "r1").await.unwrap();
    assert_eq!(report.verified.unwrap().differing, 0);
    let rows = world.rows().await;
    assert_eq!(rows[0].embedding, vector(0.1));
    assert_eq!(rows[1].embedding, vector(0.2));
}

#[tokio::test]
async fn a_row_without_text_moves_and_is_counted() {
    let world = World::new();
    let items = vec![
        Imported::Record(Box::new(record("a", None, 0.1))),
        Imported::Record(Box::new(record("b", None, 0.2))),
        item("c", "three", 0.3),
    ];
    let report = run(&world, &Legacy::new("old", items), &options(), "r1")
        .await
        .unwrap();
    assert_eq!((report.added, report.without_text), (3, 2));
    assert_eq!(world.rows().await[1].embedding, vector(0.2));
}

#[tokio::test]
async fn faults_and_second_ids_are_listed_and_the_rest_moves() {
    let world = World::new();
    let fault = ImportFault {
        id: Some("x".to_owned()),
        row: Some(9),
        reason: "no vector".to_owned(),
    };
    let mut wide = record("w", Some("wide"), 0.4);
    wide.embedding = Embedding::new(vec![1.0, 2.0]).unwrap();
    let items = vec![
        item("a", "one", 0.1),
        Imported::Fault(fault.clone()),
        item("a", "again", 0.2),
        Imported::Record(Box::new(wide)),
        item("n", "nul \0 inside", 0.5),
    ];
    let report = run(&world, &Legacy::new("old", items), &options(), "r1")
        .await
        .unwrap();
    assert_eq!((report.added, report.duplicates), (1, 1));
    let ids: Vec<_> = report
        .faults
        .iter()
        .filter_map(|fault| fault.id.clone())
        .collect();
    assert_eq!(ids, ["x", "a", "w", "n"]);
    assert!((report.coverage() - 0.2).abs() < 1e-9);
    assert_eq!(report.faults[0], fault);
}

#[tokio::test]
async fn a_source_that_breaks_changes_nothing_that_readers_see() {
    let world = World::new();
    let mut source = Legacy::new(
        "old",
        vec![
            item("a", "one", 0.1),
            item("b", "two", 0.2),
            item("c", "three", 0.3),
        ],
    );
    source.breaks_after = Some(2);
    let error = run(&world, &source, &options(), "r1").await.unwrap_err();
    assert_eq!(
        error.kind(),
        SyncErrorKind::Import(ImportErrorKind::Damaged)
    );
    assert!(
        world
            .store
            .status()
            .await
            .unwrap()
            .collection(&faq())
            .is_none()
    );
    source.breaks_after = None;
    let report = run(&world, &source, &options(), "r2").await.unwrap();
    assert!(report.resumed);
    assert_eq!(report.added, 3);
}

#[tokio::test]
async fn a_source_that_gives_less_than_it_counts_is_not_whole() {
    let world = World::new();
    let mut source = Legacy::new("old", vec![item("a", "one", 0.1)]);
    source.described.total = 2;
    let report = run(&world, &source, &options(), "r1").await.unwrap();
    assert_eq!(report.faults.len(), 1);
    assert!((report.coverage() - 0.5).abs() < 1e-9);
}

#[tokio::test]
async fn nobody_guesses_the_model() {
    let world = World::new();
    let source = Legacy::new("old", vec![item("a", "one", 0.1)]);
    let nameless = ImportOptions {
        model: None,
        ..options()
    };
    let error = run(&world, &source, &nameless, "r1").await.unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::ModelUnknown);
    assert!(error.to_string().contains("--model"), "{error}");
}

#[tokio::test]
async fn vectors_of_another_model_do_not_join_a_collection() {
    let world = World::new();
    world
        .sync(snapshot("faq.csv", with_ids(vec![row("q", "a")])))
        .await;
    let source = Legacy::new("old", vec![item("z", "one", 0.1)]);
    let error = run(&world, &source, &options(), "r1").await.unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Model);
    assert!(error.to_string().contains("--collection"), "{error}");
}

fn of_width(mut source: Legacy, width: u32) -> Legacy {
    source.described.dimensions = NonZeroU32::new(width);
    source
}

#[tokio::test]
async fn the_provider_is_asked_whether_the_vectors_are_its_own() {
    let world = World::new();
    let embedder: Arc<dyn Embedder> = Arc::new(FakeEmbedder::new("m", WIDTH, false));
    let told = ImportOptions {
        model: Some("m".to_owned()),
        ..options()
    };
    let wrong = Legacy::new("old", vec![item("a", "one", 0.1)]);
    let error = run_asking(&world, &wrong, &told, "r1", Some(Arc::clone(&embedder)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Model);
    assert!(error.to_string().contains("--offline"), "{error}");
    assert!(
        world
            .store
            .status()
            .await
            .unwrap()
            .collection(&faq())
            .is_none()
    );

    let mut answer = embedder
        .embed(&["one".to_owned()], Purpose::Passage, &Meter::default())
        .await
        .unwrap();
    let mut right = record("a", Some("one"), 0.0);
    right.embedding = answer.vectors.remove(0);
    let right = Legacy::new("old", vec![Imported::Record(Box::new(right))]);
    let report = run_asking(&world, &right, &told, "r2", Some(embedder))
        .await
        .unwrap();
    assert!(matches!(report.check, ModelCheck::Agrees { texts: 1, .. }));
    assert_eq!(report.requests, 1);
}

#[tokio::test]
async fn mapped_fields_are_shown_and_the_embedded_text_stays_what_it_was() {
    let world = World::new();
    let mut with_title = record("a", Some("the text"), 0.1);
    let metadata = &mut with_title.metadata;
    metadata.insert(
        "title".to_owned(),
        MetadataValue::String("A question?".to_owned()),
    );
    metadata.insert(
        "category".to_owned(),
        MetadataValue::String("cards".to_owned()),
    );
    let mut fields = FieldMap::default();
    assert!(fields.set("question", "title"));
    assert!(!fields.set("titel", "title"));
    let mapped = ImportOptions {
        fields,
        ..options()
    };
    let source = Legacy::new("old", vec![Imported::Record(Box::new(with_title))]);
    let report = run(&world, &source, &mapped, "r1").await.unwrap();
    assert_eq!(report.embed_text.unwrap().as_str(), "{answer}");
    let row = world.rows().await.remove(0).document;
    assert_eq!(
        (row.title.as_str(), row.category.as_deref()),
        ("A question?", Some("cards"))
    );
    assert_eq!(row.metadata.len(), 5);
    assert!(world.store.check().await.unwrap().is_ok());
}

#[tokio::test]
async fn an_empty_legacy_collection_is_nothing_to_do() {
    let world = World::new();
    let mut empty = Legacy::new("empty", Vec::new());
    empty.described.dimensions = None;
    let nameless = ImportOptions {
        model: None,
        collection: CollectionName::new("other").unwrap(),
        ..options()
    };
    let report = run(&world, &empty, &nameless, "r1").await.unwrap();
    assert!(report.faults.is_empty() && !report.applied);
    assert!((report.coverage() - 1.0).abs() < 1e-9);
    world.set_clock(1);
    assert_eq!((world.clock)(), Timestamp(1));
}

#[tokio::test]
async fn a_rehearsal_writes_nothing_and_counts_everything() {
    let world = World::new();
    let source = Legacy::new("old", vec![item("a", "one", 0.1), item("a", "two", 0.2)]);
    let dry = ImportOptions {
        dry_run: true,
        ..options()
    };
    let report = run(&world, &source, &dry, "r1").await.unwrap();
    assert_eq!((report.added, report.duplicates), (1, 1));
    let status = world.store.status().await.unwrap();
    assert!(status.spaces.is_empty() && status.collections.is_empty());
    assert!(world.store.ledger().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_recompute_refuses_rows_that_have_no_text_to_embed() {
    let world = World::new();
    world
        .sync(snapshot("faq.csv", with_ids(vec![row("q", "a")])))
        .await;
    let told = ImportOptions {
        model: Some("m".to_owned()),
        ..options()
    };
    let mut textless = record("z", None, 0.0);
    textless.embedding = Embedding::new(vec![1.0; 32]).unwrap();
    let source = Legacy::new("old", vec![Imported::Record(Box::new(textless))]);
    run(&world, &of_width(source, 32), &told, "r1")
        .await
        .unwrap();
    let before = world.rows().await;
    let forced = SyncPolicy {
        force_recompute: true,
        ..SyncPolicy::default()
    };
    let again = snapshot("faq.csv", with_ids(vec![row("q", "a")]));
    let error = world.sync_with(again, forced).await.unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Model);
    assert!(error.to_string().contains("import rollback"), "{error}");
    assert_eq!(world.rows().await, before);
}

#[tokio::test]
async fn a_record_without_text_never_passes_for_a_text_that_is_shown_in_its_place() {
    let world = World::new();
    let mut textless = record("a", None, 0.1);
    let shown = MetadataValue::String("q".to_owned());
    textless.metadata.insert("title".to_owned(), shown);
    textless.embedding = Embedding::new(vec![1.0; 32]).unwrap();
    let mut fields = FieldMap::default();
    fields.set("question", "title");
    let mapped = ImportOptions {
        fields,
        model: Some("m".to_owned()),
        collection: CollectionName::new("old").unwrap(),
        ..options()
    };
    let source = Legacy::new("old", vec![Imported::Record(Box::new(textless))]);
    let report = run(&world, &of_width(source, 32), &mapped, "r1")
        .await
        .unwrap();
    assert_eq!(report.without_text, 1);
    let before = world.embedder.texts().len();
    world
        .sync(snapshot("faq.csv", with_ids(vec![row("q", "")])))
        .await;
    assert_eq!(world.sent(before), ["q"]);
}

#[tokio::test]
async fn another_place_of_the_same_name_writes_over_nothing_unasked() {
    let world = World::new();
    let source = Legacy::new("index", vec![item("0", "one", 0.1)]);
    run(&world, &source, &options(), "r1").await.unwrap();
    let mut other = Legacy::new("index", vec![item("0", "other", 0.7)]);
    other.described.location = "elsewhere/index".to_owned();
    let report = run(&world, &other, &options(), "r2").await.unwrap();
    assert_eq!((report.conflicts, report.replaced), (1, 0));
    assert!(
        report.faults[0].reason.contains("old/index"),
        "{:?}",
        report.faults
    );
    assert_eq!(world.rows().await[0].document.body, "one");
    let force = ImportOptions {
        overwrite: true,
        ..options()
    };
    let report = run(&world, &other, &force, "r3").await.unwrap();
    assert_eq!(report.replaced, 1);
}

#[tokio::test]
async fn what_a_provider_knows_of_its_model_is_kept_when_it_is_not_asked() {
    let world = World::new();
    let embedder: Arc<dyn Embedder> = Arc::new(FakeEmbedder::new("m", WIDTH, true));
    let told = ImportOptions {
        model: Some("m".to_owned()),
        ..options()
    };
    let source = Legacy::new("old", vec![item("a", "one", 0.1)]);
    let context = ImportContext {
        store: &*world.store,
        source: &source,
        embedder: Some(Arc::clone(&embedder)),
        ask: false,
        progress: &NoImportProgress,
        clock: &*world.clock,
        run: RunId::new("r1").unwrap(),
        meter: Meter::default(),
    };
    let report = import(&context, &told).await.unwrap();
    assert_eq!(report.check, ModelCheck::NotAsked);
    assert!(embedder.spec().is(&report.model.unwrap()));
}
