//! Random operations on a file end as they end in the reference store: same answers, same refusals, same contents.

use std::collections::BTreeSet;

use proptest::prelude::*;
use storage_core::testing::fixture::{self, Made};
use storage_core::testing::snapshot;
use storage_core::{
    Binding, Canary, ChangeSet, ContentHash, Document, EmbedText, EmbeddingStore, Generation,
    Locator, MemoryStore, MetadataValue, Relocation, Row, StoreErrorKind, StoredVector, Timestamp,
    VersionNote,
};
use storage_sqlite::{SqliteOptions, create_or_open, open};

/// Few names, so that operations meet.
const COLLECTIONS: [&str; 2] = ["faq", "other"];
const SOURCES: [&str; 2] = ["sheet", "upload"];
const VERSIONS: [&str; 3] = ["one", "two", "three"];

#[derive(Debug, Clone)]
enum Step {
    Register(usize),
    Put(usize, Vec<(Text, bool)>, i64),
    Apply(Box<Change>),
    Prune(i64),
    Delete(usize, usize, bool),
    Note(usize, usize, i64),
    Canary(usize, Text, i64),
    Reopen,
}

#[derive(Debug, Clone, Copy)]
struct Text(u8);

/// Document, chunk, text, source, and vectors as version and whether imported.
type Upsert = (u8, u32, Text, usize, Vec<(usize, bool)>);

#[derive(Debug, Clone)]
struct Change {
    collection: usize,
    stale: bool,
    source: Option<usize>,
    upserts: Vec<Upsert>,
    deletes: Vec<(u8, u32)>,
    relocations: Vec<(u8, u32, u64)>,
    binds: Vec<(u8, u32, usize, Text)>,
    register: Option<usize>,
    complete: Option<usize>,
    activate: Option<usize>,
}

fn text() -> impl Strategy<Value = Text> {
    (0u8..6).prop_map(Text)
}

fn change() -> impl Strategy<Value = Change> {
    let key = || (0u8..5, 0u32..2);
    let vectors = prop::collection::vec((0usize..3, prop::bool::weighted(0.1)), 1..3);
    let upsert = (0u8..5, 0u32..2, text(), 0usize..2, vectors);
    (
        0usize..2,
        prop::bool::weighted(0.05),
        prop::option::of(0usize..2),
        prop::collection::vec(upsert, 0..4),
        prop::collection::vec(key(), 0..2),
        prop::collection::vec((0u8..5, 0u32..2, 0u64..9), 0..2),
        prop::collection::vec((0u8..5, 0u32..2, 0usize..3, text()), 0..3),
        (
            prop::option::weighted(0.7, 0usize..3),
            prop::option::weighted(0.1, 0usize..3),
            prop::option::weighted(0.5, 0usize..3),
        ),
    )
        .prop_map(
            |(collection, stale, source, upserts, deletes, relocations, binds, versions)| Change {
                collection,
                stale,
                source,
                upserts,
                deletes,
                relocations,
                binds,
                register: versions.0,
                complete: versions.1,
                activate: versions.2,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let vectors = prop::collection::vec((text(), prop::bool::weighted(0.1)), 0..6);
    prop_oneof![
        2 => (0usize..3).prop_map(Step::Register),
        5 => (0usize..3, vectors, 0i64..50).prop_map(|(version, texts, at)| Step::Put(version, texts, at)),
        8 => change().prop_map(|change| Step::Apply(Box::new(change))),
        1 => (0i64..60).prop_map(Step::Prune),
        1 => (0usize..2, 0usize..3, prop::bool::ANY).prop_map(|(c, v, abandoned)| Step::Delete(c, v, abandoned)),
        1 => (0usize..2, 0usize..3, 0i64..9).prop_map(|(c, v, n)| Step::Note(c, v, n)),
        1 => (0usize..3, text(), 0i64..9).prop_map(|(v, text, at)| Step::Canary(v, text, at)),
        1 => Just(Step::Reopen),
    ]
}

/// Two spaces, and a second recipe in the first of them that makes the same texts.
fn version(n: usize) -> Made {
    let dimensions = [8, 3, 8][n];
    let mut made = fixture::version_of(fixture::model(VERSIONS[n], dimensions), "");
    made.space.created_at = Timestamp(i64::try_from(n).unwrap());
    if n < 2 {
        return made;
    }
    let recipe = EmbedText::parse("{question}\n{answer}").unwrap();
    fixture::made(version(0).space, recipe)
}

fn document(collection: usize, id: u8, chunk: u32, text: Text, source: usize) -> Document {
    let mut document = fixture::document(
        &format!("d{id}"),
        &format!("Вопрос {}?", text.0),
        &format!("Ответ {}.", text.0),
    );
    document.key.collection = fixture::collection(COLLECTIONS[collection]);
    document.key.chunk = chunk;
    document.source = fixture::source_id(SOURCES[source]);
    document.category = (!text.0.is_multiple_of(3)).then(|| format!("К{}", text.0 % 3));
    document
        .metadata
        .insert("n".into(), MetadataValue::F64(f64::from(text.0) / 3.0));
    document
}

fn vector(version: &Made, text: Text, imported: bool) -> StoredVector {
    let document = document(0, 0, 0, text, 0);
    let mut stored = fixture::stored_vector(version, &document);
    if imported {
        stored.key.variant = Some(ContentHash::of(&stored.embedding.to_le_bytes()));
    }
    stored
}

fn binding_of(n: usize, text: Text, imported: bool) -> Binding {
    let version = version(n);
    Binding {
        vector: vector(&version, text, imported).key,
        version: version.id,
    }
}

async fn changes(store: &dyn EmbeddingStore, change: &Change) -> ChangeSet {
    let collection = fixture::collection(COLLECTIONS[change.collection]);
    let base = fixture::generation(store, &collection).await;
    let key = |id: u8, chunk| document(change.collection, id, chunk, Text(0), 0).key;
    ChangeSet {
        base: Generation(base.0 + u64::from(change.stale)),
        source: change
            .source
            .map(|source| fixture::source(&collection, SOURCES[source])),
        upserts: change
            .upserts
            .iter()
            .map(|(id, chunk, text, source, vectors)| {
                let document = document(change.collection, *id, *chunk, *text, *source);
                let vectors = vectors
                    .iter()
                    .map(|(version, imported)| binding_of(*version, *text, *imported));
                Row::new(document, vectors.collect())
            })
            .collect(),
        deletes: change
            .deletes
            .iter()
            .map(|(id, chunk)| key(*id, *chunk))
            .collect(),
        relocations: change
            .relocations
            .iter()
            .map(|(id, chunk, row)| Relocation {
                key: key(*id, *chunk),
                locator: Locator {
                    row: Some(*row),
                    ..Locator::default()
                },
            })
            .collect(),
        binds: change
            .binds
            .iter()
            .map(|(id, chunk, version, text)| {
                (key(*id, *chunk), binding_of(*version, *text, false))
            })
            .collect(),
        register: change.register.map(|n| version(n).spec),
        complete: change.complete.map(|n| version(n).id),
        activate: change.activate.map(|n| version(n).id),
        collection,
        ..fixture::change(Generation(0))
    }
}

/// What an operation said: its value, or the kind of its refusal. A change that breaks several rules may be refused
/// for any of them.
fn said<T: std::fmt::Debug>(outcome: storage_core::Result<T>) -> String {
    match outcome {
        Ok(value) => format!("{value:?}"),
        Err(error)
            if matches!(
                error.kind(),
                StoreErrorKind::Model | StoreErrorKind::Invalid
            ) =>
        {
            "refused".to_owned()
        }
        Err(error) => format!("{:?}", error.kind()),
    }
}

async fn run(store: &dyn EmbeddingStore, step: &Step) -> String {
    match step {
        Step::Register(n) => said(store.register_space(&version(*n).space).await),
        Step::Put(n, texts, at) => {
            let version = version(*n);
            let batch: Vec<_> = texts
                .iter()
                .map(|(text, imported)| vector(&version, *text, *imported))
                .collect();
            said(
                store
                    .put_embeddings(&batch, &fixture::unpaid("run"), Timestamp(*at))
                    .await,
            )
        }
        Step::Apply(change) => {
            let changes = changes(store, change).await;
            said(store.apply(changes.clone()).await)
        }
        Step::Prune(before) => said(store.prune(Timestamp(*before)).await),
        Step::Delete(collection, n, abandoned) => {
            let collection = fixture::collection(COLLECTIONS[*collection]);
            let id = version(*n).id;
            said(store.delete_version(&collection, &id, *abandoned).await)
        }
        Step::Note(collection, n, what) => {
            let collection = fixture::collection(COLLECTIONS[*collection]);
            let text = format!("{{\"n\":{what}}}");
            let note = if what % 2 == 0 {
                VersionNote::Calibration(&text)
            } else {
                VersionNote::Evaluation(&text)
            };
            said(store.annotate(&collection, &version(*n).id, note).await)
        }
        Step::Canary(n, text, at) => {
            let version = version(*n);
            let canary = Canary {
                text: format!("{}", text.0),
                embedding: vector(&version, *text, false).embedding,
            };
            let new = [canary];
            said(
                store
                    .record_canaries(&version.space.id, &new, Timestamp(*at))
                    .await,
            )
        }
        Step::Reopen => String::new(),
    }
}

async fn compare(steps: Vec<Step>) {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteOptions::file(directory.path().join("store.db"));
    let mut file = create_or_open(&options).unwrap();
    let memory = MemoryStore::new();
    let every_text: BTreeSet<_> = (0..6)
        .map(|text| binding_of(0, Text(text), false).vector.input)
        .collect();
    // Two versions from the start: else most of a short history is refused.
    for n in 0..2 {
        let step = Step::Put(n, (0..5).map(|text| (Text(text), false)).collect(), 5);
        for step in [Step::Register(n), step] {
            assert_eq!(run(&file, &step).await, run(&memory, &step).await);
        }
    }
    for step in steps {
        if matches!(step, Step::Reopen) {
            drop(file);
            file = open(&options).unwrap();
        }
        assert_eq!(
            run(&file, &step).await,
            run(&memory, &step).await,
            "{step:?}"
        );
        assert_eq!(snapshot(&file).await, snapshot(&memory).await, "{step:?}");
        for n in 0..3 {
            assert_eq!(
                file.stored_vectors(&version(n).space.id, &every_text)
                    .await
                    .unwrap(),
                memory
                    .stored_vectors(&version(n).space.id, &every_text)
                    .await
                    .unwrap()
            );
        }
    }
    let (found, expected) = (file.check().await.unwrap(), memory.check().await.unwrap());
    for (found, expected) in found.checks.iter().zip(&expected.checks) {
        assert_eq!(
            (found.name, found.ok),
            (expected.name, expected.ok),
            "{found:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_does_what_the_reference_does(steps in prop::collection::vec(step(), 1..25)) {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(compare(steps));
    }
}
