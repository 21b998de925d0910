//! Whole stores copied and compared, whatever they went through before.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use proptest::prelude::*;
use storage_core::testing::fixture::{
    change, collection, document, documents, faq, fill, generation, key, put, run, stored_vector,
    unpaid, version,
};
use storage_core::testing::life::{Step, live};
use storage_core::testing::{Snapshot, snapshot};
use storage_core::{
    Binding, CollectionName, ContentHash, Embedding, EmbeddingStore, Generation, MemoryStore,
    Timestamp, VersionState,
};
use sync_engine::{
    CopyOptions, CopyProgress, Depth, DiffOptions, Field, QuietCopy, SyncErrorKind, copy, diff,
    plan_copy,
};

fn options() -> CopyOptions {
    CopyOptions {
        collections: None,
        verify: true,
        run: run("copy"),
        at: Timestamp(90_000),
    }
}

/// What readers see, without what counts up in every store by itself.
async fn seen(store: &dyn EmbeddingStore) -> Snapshot {
    let mut seen = snapshot(store).await;
    seen.generation = Generation(0);
    for collection in &mut seen.collections {
        collection.status.generation = Generation(0);
        let status = &mut collection.status;
        if status.previous.is_none() {
            // Nothing was ever served before, so the pointer leaves no trace to copy.
            for version in &mut status.versions {
                if version.state == VersionState::Retired {
                    version.state = VersionState::Ready;
                }
            }
        }
    }
    seen
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(future)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any::<Step>(), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// A copy is what it was copied from: rows, vectors, versions, pointers, notes, canaries, ledger, times.
    #[test]
    fn a_copy_of_any_store_is_that_store(steps in steps()) {
        block_on(async {
            let (source, target) = (MemoryStore::new(), MemoryStore::new());
            live(&source, &steps).await;
            let before = snapshot(&source).await;
            let report = copy(&source, &target, &options(), &QuietCopy).await.unwrap();
            assert!(report.difference.unwrap().is_equal());
            assert_eq!(seen(&target).await, seen(&source).await);
            assert_eq!(snapshot(&source).await, before, "the source is only read");
            assert!(target.check().await.unwrap().is_ok());
            let everything = DiffOptions { depth: Depth::Everything, ..DiffOptions::default() };
            assert!(diff(&source, &target, &everything).await.unwrap().is_equal());
            assert!(diff(&target, &source, &everything).await.unwrap().is_equal());
            // Again: nothing is transferred, nothing changes.
            let before = snapshot(&target).await;
            copy(&source, &target, &options(), &QuietCopy).await.unwrap();
            assert_eq!(snapshot(&target).await, before);
        });
    }

    /// Two stores that went different ways are told apart exactly when readers see a difference.
    #[test]
    fn what_readers_see_differs_exactly_when_diff_says_so(first in steps(), last in prop::collection::vec(any::<Step>(), 0..4)) {
        block_on(async {
            let (a, b) = (MemoryStore::new(), MemoryStore::new());
            live(&a, &first).await;
            live(&b, &first).await;
            live(&b, &last).await;
            let served = |snapshot: Snapshot| -> Vec<_> {
                let collections = snapshot.collections.into_iter();
                collections.map(|found| {
                    let version = found.status.active_version().cloned();
                    let version = version.map(|version| (version.id, version.calibration));
                    (found.status.name, version, found.records, found.fingerprints)
                }).collect()
            };
            let same = served(snapshot(&a).await) == served(snapshot(&b).await);
            let found = diff(&a, &b, &DiffOptions::default()).await.unwrap();
            assert_eq!(found.is_equal(), same, "{found:#?}");
        });
    }

    /// Whatever a copy was cut off at, the next one ends where an undisturbed one does.
    #[test]
    fn one_collection_is_copied_with_what_it_needs(steps in steps()) {
        block_on(async {
            let (source, target) = (MemoryStore::new(), MemoryStore::new());
            live(&source, &steps).await;
            if source.status().await.unwrap().collection(&faq()).is_none() {
                return;
            }
            let only = CopyOptions { collections: Some(BTreeSet::from([faq()])), ..options() };
            let report = copy(&source, &target, &only, &QuietCopy).await.unwrap();
            assert!(report.difference.unwrap().is_equal());
            let (all, one) = (seen(&source).await, seen(&target).await);
            assert_eq!(one.collections.len(), 1);
            let wanted = all.collections.into_iter().find(|found| found.status.name == faq());
            assert_eq!(Some(one.collections[0].clone()), wanted);
            assert_eq!(target.cache_stats().await.unwrap().unreferenced, 0, "nobody else's vectors");
        });
    }
}

#[tokio::test]
async fn a_target_with_other_rows_is_refused_and_untouched() {
    let (source, target) = (MemoryStore::new(), MemoryStore::new());
    fill(&source, &version("one"), &documents(5)).await;
    fill(&target, &version("one"), &documents(4)).await;
    let before = snapshot(&target).await;
    let error = copy(&source, &target, &options(), &QuietCopy)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Occupied);
    assert!(error.to_string().contains("faq"), "{error}");
    assert_eq!(snapshot(&target).await, before);
    // A collection of another name is nobody's business.
    let only = CopyOptions {
        collections: Some(BTreeSet::from([collection("docs")])),
        ..options()
    };
    let error = copy(&source, &target, &only, &QuietCopy).await.unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Selection);
}

#[tokio::test]
async fn what_the_target_has_besides_stays() {
    let (source, target) = (MemoryStore::new(), MemoryStore::new());
    fill(&source, &version("one"), &documents(5)).await;
    let mut other = documents(3);
    for row in &mut other {
        row.key.collection = collection("docs");
    }
    put(&target, &version("one"), &other).await;
    put(&target, &version("two"), &other).await;
    let report = copy(&source, &target, &options(), &QuietCopy)
        .await
        .unwrap();
    assert!(report.difference.unwrap().is_equal());
    // Equal texts are equal vectors: three of the five were there.
    assert_eq!((report.vectors, report.vectors_there), (2, 3));
    assert_eq!(target.cache_stats().await.unwrap().vectors, 8);
}

#[tokio::test]
async fn a_plan_writes_nothing() {
    let (source, target) = (MemoryStore::new(), MemoryStore::new());
    fill(&source, &version("one"), &documents(5)).await;
    let before = snapshot(&target).await;
    let plan = plan_copy(&source, &target, &options()).await.unwrap();
    assert_eq!((plan.vectors, plan.vector_bytes), (5, 5 * 8 * 4));
    assert_eq!(plan.collections[0].rows, 5);
    assert!(!plan.collections[0].there);
    assert_eq!(snapshot(&target).await, before);
    copy(&source, &target, &options(), &QuietCopy)
        .await
        .unwrap();
    let plan = plan_copy(&source, &target, &options()).await.unwrap();
    assert!(plan.collections[0].there);
}

/// A writer that adds a row to the source whenever a collection is about to become visible in the target.
struct Writer<'a> {
    source: &'a MemoryStore,
    left: AtomicUsize,
}

impl CopyProgress for Writer<'_> {
    fn applying(&self, _: &CollectionName, _: u64) {
        let left = self.left.load(Ordering::SeqCst);
        if left == 0 {
            return;
        }
        self.left.store(left - 1, Ordering::SeqCst);
        let new = document(&format!("new-{left}"), &format!("Новый {left}?"), "Да.");
        let mut moved = documents(3);
        moved[1].body.push_str(&format!(" Правка {left}."));
        moved.push(new);
        let one = version("one");
        let written = async {
            fill(self.source, &one, &moved).await;
            let mut gone = change(generation(self.source, &faq()).await);
            gone.deletes = vec![key("id-0000")];
            self.source.apply(gone).await.unwrap();
        };
        written
            .now_or_never()
            .expect("a store in memory never waits");
    }
}

#[tokio::test]
async fn a_source_that_is_written_to_is_caught_up_with() {
    let (source, target) = (MemoryStore::new(), MemoryStore::new());
    fill(&source, &version("one"), &documents(5)).await;
    let writer = Writer {
        source: &source,
        left: AtomicUsize::new(2),
    };
    let report = copy(&source, &target, &options(), &writer).await.unwrap();
    assert_eq!(report.rounds, 3);
    assert!(report.difference.unwrap().is_equal());
    assert_eq!(report.rows, 6, "two came, one went");
    assert_eq!(seen(&target).await, seen(&source).await);
    assert_eq!(report.source, source.status().await.unwrap().generation);
}

#[tokio::test]
async fn a_source_that_never_stands_still_is_told_so() {
    let (source, target) = (MemoryStore::new(), MemoryStore::new());
    fill(&source, &version("one"), &documents(5)).await;
    let writer = Writer {
        source: &source,
        left: AtomicUsize::new(usize::MAX),
    };
    let error = copy(&source, &target, &options(), &writer)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Conflict);
    assert!(
        error.to_string().contains("what was copied stays"),
        "{error}"
    );
}

/// A copy that was cut off before anybody saw a row has versions that serve nothing, and is gone on with.
#[tokio::test]
async fn a_collection_without_rows_is_what_a_cut_off_copy_left() {
    let (source, target) = (MemoryStore::new(), MemoryStore::new());
    for name in ["one", "two", "three"] {
        fill(&source, &version(name), &documents(4)).await;
    }
    let mut begun = change(Generation(0));
    let one = version("one");
    put(&target, &one, &documents(2)).await;
    begun.source = None;
    begun.register = Some(one.spec.clone());
    begun.activate = Some(one.id.clone());
    target.apply(begun).await.unwrap();
    let report = copy(&source, &target, &options(), &QuietCopy)
        .await
        .unwrap();
    assert_eq!((report.vectors, report.vectors_there), (10, 2));
    assert_eq!(
        seen(&target).await.collections[0].records,
        seen(&source).await.collections[0].records
    );
    let found = target.status().await.unwrap();
    let found = found.collection(&faq()).unwrap();
    assert_eq!(found.previous, Some(version("two").id));
    assert_eq!(found.version(&one.id).unwrap().state, VersionState::Retired);
}

#[tokio::test]
async fn a_vector_that_differs_in_one_bit_is_found() {
    let (a, b) = (MemoryStore::new(), MemoryStore::new());
    let (one, rows) = (version("one"), documents(4));
    fill(&a, &one, &rows).await;
    // The same name, and a number that is off by the least there is.
    let mut vector = stored_vector(&one, &rows[2]);
    let mut numbers = vector.embedding.as_slice().to_vec();
    numbers[3] = f32::from_bits(numbers[3].to_bits() ^ 1);
    vector.embedding = Embedding::new(numbers).unwrap();
    b.register_space(&one.space).await.unwrap();
    b.put_embeddings(&[vector], &unpaid("run"), Timestamp(1))
        .await
        .unwrap();
    fill(&b, &one, &rows).await;
    let options = DiffOptions {
        rows: 10,
        ..DiffOptions::default()
    };
    let found = diff(&a, &b, &options).await.unwrap();
    let found = &found.collections[0];
    assert_eq!((found.same, found.different), (3, 1));
    assert_eq!(found.rows[0].key, rows[2].key);
    assert_eq!(found.rows[0].fields, [Field::Vector]);
    // A copy into such a store is told apart from its source, too.
    let error = copy(&a, &b, &self::options(), &QuietCopy).await.unwrap();
    assert!(!error.difference.unwrap().is_equal());
}

#[tokio::test]
async fn an_imported_vector_is_another_reference() {
    let (a, b) = (MemoryStore::new(), MemoryStore::new());
    let (one, rows) = (version("one"), documents(2));
    for store in [&a, &b] {
        fill(store, &one, &rows).await;
    }
    let mut imported = stored_vector(&one, &rows[0]);
    imported.key.variant = Some(ContentHash::of(&imported.embedding.to_le_bytes()));
    b.put_embeddings(&[imported.clone()], &unpaid("import"), Timestamp(1))
        .await
        .unwrap();
    let mut bind = change(Generation(1));
    bind.binds = vec![(
        rows[0].key.clone(),
        Binding {
            version: one.id.clone(),
            vector: imported.key,
        },
    )];
    b.apply(bind).await.unwrap();
    let options = DiffOptions {
        rows: 10,
        ..DiffOptions::default()
    };
    let found = diff(&a, &b, &options).await.unwrap();
    assert_eq!(found.collections[0].rows[0].fields, [Field::Reference]);
}
