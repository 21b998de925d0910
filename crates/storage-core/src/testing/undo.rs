//! Undoing a run: what it replaced is kept, told, restored, and forgotten again.

use std::collections::BTreeMap;

use super::fixture::{
    Made, binding, change, collection, document, documents, embedding, faq, fill, filled,
    generation, key, put, row, run, source_id, unpaid, version,
};
use super::versions::bind;
use super::{CollectionSnapshot, Harness, refused, snapshot};
use crate::{
    Binding, ChangeSet, ContentHash, Document, EmbeddingStore, Generation, Locator, MetadataValue,
    Relocation, Row, RunId, StoreErrorKind, StoredVector, Timestamp, UndoPolicy, UndoRow,
};

/// A change of [`faq`] by a run that keeps what it replaces.
pub(super) async fn keeping(store: &dyn EmbeddingStore, by: &str) -> ChangeSet {
    let mut changes = change(generation(store, &faq()).await);
    changes.source = None;
    changes.undo = UndoPolicy::Keep;
    changes.run = run(by);
    changes.applied_at = Timestamp(5_000);
    changes
}

/// Writes these rows with their vectors by a run that keeps.
pub(super) async fn write(store: &dyn EmbeddingStore, by: &str, version: &Made, rows: &[Document]) {
    put(store, version, rows).await;
    let mut changes = keeping(store, by).await;
    changes.upserts = rows.iter().map(|text| row(text, &[version])).collect();
    store.apply(changes.clone()).await.unwrap();
}

/// Deletes these rows by a run that keeps.
pub(super) async fn delete(store: &dyn EmbeddingStore, by: &str, rows: &[&str]) {
    let mut changes = keeping(store, by).await;
    changes.deletes = rows.iter().map(|id| key(id)).collect();
    store.apply(changes.clone()).await.unwrap();
}

/// What a run would be undone by: deletes of what it created, upserts of what it replaced.
fn planned(base: Generation, told: Vec<UndoRow>, undone: &RunId) -> ChangeSet {
    let mut changes = change(base);
    changes.source = None;
    changes.run = run("undoing");
    changes.undo = UndoPolicy::Of(undone.clone());
    changes.applied_at = Timestamp(9_000);
    for row in told {
        if row.changed_since {
            continue;
        }
        match row.replaced {
            Some(replaced) => {
                changes.deletes.push(row.key);
                changes.upserts.push(replaced);
            }
            None => changes.deletes.push(row.key),
        }
    }
    changes
}

async fn told(store: &dyn EmbeddingStore, by: &str) -> Vec<UndoRow> {
    store.undo(&faq(), &run(by)).await.unwrap().1
}

/// Keys as they are told: `+` created, `=` replaced or deleted, with `!` where somebody has changed them since.
pub(super) async fn marks(store: &dyn EmbeddingStore, by: &str) -> Vec<String> {
    let mark = |row: UndoRow| {
        let what = if row.replaced.is_some() { "=" } else { "+" };
        let since = if row.changed_since { "!" } else { "" };
        format!("{what}{}{since}", row.key.document)
    };
    told(store, by).await.into_iter().map(mark).collect()
}

pub(super) async fn undo(store: &dyn EmbeddingStore, by: &str) {
    let (base, rows) = store.undo(&faq(), &run(by)).await.unwrap();
    store
        .apply(planned(base, rows, &run(by)).clone())
        .await
        .unwrap();
}

/// Rows, vectors, places and counts of [`faq`]: everything but its counter.
pub(super) async fn content(store: &dyn EmbeddingStore) -> CollectionSnapshot {
    let mut found = snapshot(store)
        .await
        .collections
        .into_iter()
        .find(|found| found.status.name == faq())
        .unwrap();
    found.status.generation = Generation(0);
    found
}

fn rich(id: &str) -> Document {
    let mut rich = document(id, "Вопрос \"с кавычками\"?", "Ответ\nв две строки.");
    rich.category = None;
    rich.subcategory = Some("Под".to_owned());
    rich.metadata = BTreeMap::from([
        ("whole".to_owned(), MetadataValue::I64(1)),
        ("real".to_owned(), MetadataValue::F64(0.1 + 0.2)),
        (
            "list".to_owned(),
            MetadataValue::List(vec![MetadataValue::Bool(true), MetadataValue::F64(1.0)]),
        ),
    ]);
    rich.locator = Locator {
        sheet: Some("Лист".to_owned()),
        row: Some(3),
        page: Some(4),
        span: Some((5, 6)),
    };
    rich
}

/// Fields, places, metadata types and the vectors of every version come back bit for bit, also after reopening.
pub async fn replaced_and_deleted_rows_come_back<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, two) = (version("one"), version("two"));
    let mut rows = documents(4);
    rows[1] = rich("id-0001");
    fill(store, &one, &rows).await;
    let flip = bind(store, &two, &rows).await;
    store.apply(flip).await.unwrap();
    // One of them has a vector that came from elsewhere.
    let numbers = embedding("elsewhere", 8);
    let mut variant = binding(&one, &rows[1]);
    variant.vector.variant = Some(ContentHash::of(&numbers.to_le_bytes()));
    let vector = StoredVector {
        key: variant.vector.clone(),
        embedding: numbers,
    };
    store
        .put_embeddings(&[vector], &unpaid("run"), Timestamp(1))
        .await
        .unwrap();
    let mut rebound = change(generation(store, &faq()).await);
    rebound.binds = vec![(rows[1].key.clone(), variant)];
    store.apply(rebound).await.unwrap();
    let before = content(store).await;
    let bound = store.bindings(&faq(), &two.id).await.unwrap().1;

    let mut other = document("id-0001", "Иначе?", "Да.");
    other.metadata = BTreeMap::from([("whole".to_owned(), MetadataValue::F64(1.0))]);
    let new = document("new", "Новый?", "Да.");
    write(store, "moving", &one, &[other, new]).await;
    delete(store, "moving", &["id-0000", "absent"]).await;
    assert_ne!(content(store).await, before);
    let harness = harness.reopen().await;
    let store = harness.store();
    assert_eq!(
        marks(store, "moving").await,
        ["=id-0000", "=id-0001", "+new"]
    );
    let told = told(store, "moving").await;
    let replaced = told[1].replaced.as_ref().unwrap();
    assert_eq!(replaced.document(), &rows[1]);
    assert_eq!(replaced.vectors().len(), 2);
    undo(store, "moving").await;
    assert_eq!(content(store).await, before);
    assert_eq!(store.bindings(&faq(), &two.id).await.unwrap().1, bound);
    assert!(marks(store, "moving").await.is_empty());
    assert!(store.check().await.unwrap().is_ok());
}

/// Over several changes of one run, what was there before the run is what comes back.
pub async fn the_first_row_is_kept_once_a_run<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 3).await;
    let before = content(store).await;
    for answer in ["Первый.", "Второй.", "Третий."] {
        let texts = [
            document("id-0000", "Вопрос?", answer),
            document("new", "Новый?", answer),
        ];
        write(store, "moving", &one, &texts).await;
    }
    delete(store, "moving", &["id-0000"]).await;
    delete(store, "moving", &["id-0001"]).await;
    write(
        store,
        "moving",
        &one,
        &[document("id-0001", "Опять?", "Да.")],
    )
    .await;
    assert_eq!(
        marks(store, "moving").await,
        ["=id-0000", "=id-0001", "+new"]
    );
    let found = told(store, "moving").await;
    for (told, document) in found.iter().zip(&rows[..2]) {
        assert_eq!(told.replaced, Some(row(document, &[&one])));
    }
    undo(store, "moving").await;
    assert_eq!(content(store).await, before);
}

/// A row that the run created and then took away again is nobody's business.
pub async fn a_run_keeps_nothing_of_its_own<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 1).await;
    let new = document("new", "Новый?", "Да.");
    write(store, "moving", &one, std::slice::from_ref(&new)).await;
    delete(store, "moving", &["new"]).await;
    assert!(marks(store, "moving").await.is_empty());
    write(store, "moving", &one, &[new]).await;
    assert_eq!(marks(store, "moving").await, ["+new"]);
}

/// What another run has written or deleted since is told as such, and what it only moved is not.
pub async fn rows_changed_since_are_told<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 6).await;
    let other = |id: &str| document(id, "Иначе?", "Да.");
    let texts: Vec<_> = ["id-0000", "id-0001", "id-0002", "new-1", "new-2"]
        .map(other)
        .to_vec();
    write(store, "moving", &one, &texts).await;
    delete(store, "moving", &["id-0003", "id-0004"]).await;

    put(store, &one, &rows).await;
    let mut since = change(generation(store, &faq()).await);
    since.run = run("since");
    since.upserts = vec![
        row(&document("id-0000", "Вопрос 0?", "Ответ 0."), &[&one]),
        row(&rows[3], &[&one]),
        row(&document("new-1", "Вопрос 0?", "Ответ 0."), &[&one]),
    ];
    since.deletes = vec![key("id-0001")];
    since.relocations = vec![Relocation {
        key: key("id-0002"),
        locator: Locator {
            row: Some(7),
            ..Locator::default()
        },
    }];
    store.apply(since.clone()).await.unwrap();
    assert_eq!(
        marks(store, "moving").await,
        [
            "=id-0000!",
            "=id-0001!",
            "=id-0002",
            "=id-0003!",
            "=id-0004",
            "+new-1!",
            "+new-2"
        ]
    );
    let (current, _) = store.undo(&faq(), &run("moving")).await.unwrap();
    assert_eq!(current, generation(store, &faq()).await);
    undo(store, "moving").await;
    let left = content(store).await;
    let left: Vec<_> = left
        .records
        .iter()
        .map(|record| (&*record.document.key.document, &*record.document.body))
        .collect();
    let expected = [
        ("id-0000", "Ответ 0."),
        ("id-0002", "Ответ 2."),
        ("id-0003", "Ответ 3."),
        ("id-0004", "Ответ 4."),
        ("id-0005", "Ответ 5."),
        ("new-1", "Ответ 0."),
    ];
    assert_eq!(left, expected);
    assert!(marks(store, "moving").await.is_empty());
}

/// A vector that only a kept row names is not pruned while it is kept, and is counted so; afterwards it is.
pub async fn prune_spares_what_is_kept<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 2).await;
    let before = content(store).await;
    write(
        store,
        "moving",
        &one,
        &[document("id-0000", "Иначе?", "Да.")],
    )
    .await;
    delete(store, "moving", &["id-0001"]).await;
    assert_eq!(store.cache_stats().await.unwrap().unreferenced, 0);
    assert_eq!(store.prune(Timestamp(i64::MAX)).await.unwrap(), 0);
    undo(store, "moving").await;
    assert_eq!(content(store).await, before);
    // The imported one is all that nobody needs now.
    assert_eq!(store.cache_stats().await.unwrap().unreferenced, 1);
    assert_eq!(store.prune(Timestamp(i64::MAX)).await.unwrap(), 1);

    // An undo that leaves a row as it is lets go of what was kept all the same.
    write(
        store,
        "moving",
        &one,
        &[document("id-0000", "Иначе?", "Да.")],
    )
    .await;
    let mut forget = change(generation(store, &faq()).await);
    forget.undo = UndoPolicy::Of(run("moving"));
    store.apply(forget).await.unwrap();
    assert_eq!(store.prune(Timestamp(i64::MAX)).await.unwrap(), 1);
    assert!(store.check().await.unwrap().is_ok());
}

/// Of a version that was deleted nothing is restored, and its vectors are not held back; a vector that a kept row has
/// in another version outlives it.
pub async fn a_deleted_version_is_not_restored<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2).await;
    let (two, three) = (version("two"), version("three"));
    write(
        store,
        "moving",
        &one,
        &[document("id-0000", "Иначе?", "Да.")],
    )
    .await;
    let now = [document("id-0000", "Иначе?", "Да."), rows[1].clone()];
    for version in [&two, &three] {
        let mut flip = bind(store, version, &now).await;
        flip.activate = Some(version.id.clone());
        store.apply(flip).await.unwrap();
    }
    store.delete_version(&faq(), &one.id, false).await.unwrap();
    assert_eq!(marks(store, "moving").await, ["=id-0000"]);
    let kept = told(store, "moving").await.remove(0).replaced.unwrap();
    assert_eq!((kept.document(), kept.vectors()), (&rows[0], &[][..]));
    assert!(store.check().await.unwrap().is_ok());
    // Registered again by the same name, it has none of its old vectors.
    let again = bind(store, &one, &rows[1..]).await;
    store.apply(again).await.unwrap();
    let kept = told(store, "moving").await.remove(0).replaced.unwrap();
    assert!(kept.vectors().is_empty());
    // The engine has computed a vector where none is left.
    put(store, &three, &rows[..1]).await;
    let (base, _) = store.undo(&faq(), &run("moving")).await.unwrap();
    let mut changes = change(base);
    changes.undo = UndoPolicy::Of(run("moving"));
    changes.upserts = vec![row(&rows[0], &[&three])];
    store.apply(changes).await.unwrap();
    assert_eq!(content(store).await.records[0].document, rows[0]);

    // Both versions of one space name one vector: deleting one leaves it to what is kept of the other.
    let shared = super::fixture::made(
        three.space.clone(),
        crate::EmbedText::parse(r"{question}\n{answer}{code}").unwrap(),
    );
    let both = Row::new(
        rows[0].clone(),
        vec![
            binding(&three, &rows[0]),
            Binding {
                version: shared.id.clone(),
                vector: binding(&three, &rows[0]).vector,
            },
        ],
    );
    let mut changes = change(generation(store, &faq()).await);
    changes.register = Some(shared.spec.clone());
    changes.upserts = vec![both];
    store.apply(changes).await.unwrap();
    write(store, "again", &three, &now[..1]).await;
    store
        .delete_version(&faq(), &shared.id, true)
        .await
        .unwrap();
    let kept = told(store, "again").await.remove(0).replaced.unwrap();
    assert_eq!(kept.vectors(), [binding(&three, &rows[0])]);
    undo(store, "again").await;
    assert!(store.check().await.unwrap().is_ok());
}

/// Undone in the order back, two runs leave what was before the first; a row that an undo restored is not changed by it.
pub async fn runs_are_undone_one_after_another<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 2).await;
    let before = content(store).await;
    let texts =
        |answer: &str| ["id-0000", "new"].map(|id| document(id, &format!("Вопрос {id}?"), answer));
    write(store, "first", &one, &texts("Первый.")).await;
    let between = content(store).await;
    write(store, "second", &one, &texts("Второй.")).await;
    assert_eq!(marks(store, "first").await, ["=id-0000!", "+new!"]);
    assert_eq!(marks(store, "second").await, ["=id-0000", "=new"]);
    undo(store, "second").await;
    assert_eq!(content(store).await, between);
    assert_eq!(marks(store, "first").await, ["=id-0000", "+new"]);
    undo(store, "first").await;
    assert_eq!(content(store).await, before);
    assert_eq!(marks(store, "run").await, ["+id-0000", "+id-0001"]);
    assert!(store.check().await.unwrap().is_ok());
}

/// A change that fails keeps nothing, and an undo that fails forgets nothing.
pub async fn a_failed_undo_keeps_everything<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 2).await;
    let unstored = row(&document("zzz", "Без вектора?", "Да."), &[&one]);
    let mut failing = keeping(store, "moving").await;
    failing.deletes = vec![key("id-0000")];
    failing.upserts = vec![unstored.clone()];
    refused(store.apply(failing).await, StoreErrorKind::Model);
    assert!(marks(store, "moving").await.is_empty());

    write(
        store,
        "moving",
        &one,
        &[document("id-0000", "Иначе?", "Да.")],
    )
    .await;
    let (base, rows) = store.undo(&faq(), &run("moving")).await.unwrap();
    let mut broken = planned(base, rows.clone(), &run("moving"));
    broken.upserts.push(unstored);
    refused(store.apply(broken).await, StoreErrorKind::Model);
    let mut stale = planned(base, rows.clone(), &run("moving"));
    stale.base = Generation(0);
    refused(store.apply(stale).await, StoreErrorKind::Conflict);
    let harness = harness.reopen().await;
    assert_eq!(told(harness.store(), "moving").await, rows);
}

/// What is kept belongs to its collection and its run; of one that is not known nothing is told.
pub async fn other_collections_are_untouched<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 1).await;
    let mut foreign = rows[0].clone();
    foreign.key.collection = collection("other");
    let mut changes = change(Generation(0));
    changes.collection = collection("other");
    changes.source = None;
    changes.register = Some(one.spec.clone());
    changes.activate = Some(one.id.clone());
    changes.upserts = vec![row(&foreign, &[&one])];
    store.apply(changes.clone()).await.unwrap();
    let mut replacing = changes;
    replacing.base = Generation(1);
    replacing.undo = UndoPolicy::Keep;
    replacing.run = run("moving");
    foreign.body = "Иначе.".to_owned();
    let mut text = document("id-0000", &foreign.title, "Иначе.");
    put(store, &one, std::slice::from_ref(&text)).await;
    replacing.upserts = vec![row(&foreign, &[&one])];
    store.apply(replacing).await.unwrap();
    assert!(marks(store, "moving").await.is_empty());
    text.body = "По-другому.".to_owned();
    write(store, "moving", &one, &[text]).await;
    undo(store, "moving").await;
    let of_other = store.undo(&collection("other"), &run("moving")).await;
    let (_, of_other) = of_other.unwrap();
    assert_eq!(of_other.len(), 1);
    assert!(of_other[0].replaced.is_some());

    assert!(marks(store, "nobody").await.is_empty());
    let nowhere = store.undo(&collection("nowhere"), &run("moving")).await;
    assert_eq!(nowhere.unwrap(), (Generation(0), Vec::new()));
    let mut changes = change(generation(store, &faq()).await);
    changes.undo = UndoPolicy::Of(run("nobody"));
    store.apply(changes).await.unwrap();
}

/// Without being asked to, a store keeps nothing: only what the run wrote last is known as its own.
pub async fn what_nobody_asked_to_keep_is_gone<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 2).await;
    let text = document("id-0000", "Иначе?", "Да.");
    put(store, &one, std::slice::from_ref(&text)).await;
    let mut changes = change(generation(store, &faq()).await);
    changes.run = run("sync");
    changes.upserts = vec![row(&text, &[&one])];
    changes.deletes = vec![key("id-0001")];
    store.apply(changes).await.unwrap();
    assert_eq!(marks(store, "sync").await, ["+id-0000"]);
    assert_eq!(store.cache_stats().await.unwrap().unreferenced, 2);
}

/// A row that changed hands goes back to the source it was of.
pub async fn a_row_of_another_source_comes_back<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2).await;
    let before = content(store).await;
    let mut taken = rows[0].clone();
    taken.source = source_id("legacy");
    let mut changes = keeping(store, "moving").await;
    changes.deletes = vec![taken.key.clone()];
    changes.upserts = vec![row(&taken, &[&one])];
    store.apply(changes).await.unwrap();
    assert_eq!(marks(store, "moving").await, ["=id-0000"]);
    // Deleted by somebody else, it is not one that the run deleted.
    let (base, rows_told) = store.undo(&faq(), &run("moving")).await.unwrap();
    undo(store, "moving").await;
    let mut after = content(store).await;
    after.sources.clone_from(&before.sources);
    assert_eq!(after, before);
    assert_eq!(rows_told.len(), 1);
    assert!(base < generation(store, &faq()).await);

    let mut changes = keeping(store, "moving").await;
    changes.deletes = vec![taken.key.clone()];
    changes.upserts = vec![row(&taken, &[&one])];
    store.apply(changes).await.unwrap();
    let mut since = change(generation(store, &faq()).await);
    since.run = run("since");
    since.deletes = vec![taken.key.clone()];
    store.apply(since).await.unwrap();
    assert_eq!(marks(store, "moving").await, ["=id-0000!"]);
}

/// Some thousand rows at once: as many as no single statement should be asked for.
pub async fn many_rows_come_back<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2_500).await;
    let before = content(store).await;
    let mut texts: Vec<_> = rows[..2_200].to_vec();
    for text in &mut texts {
        text.body.push_str(" Иначе.");
    }
    texts.extend((0..300).map(|n| document(&format!("new-{n}"), &format!("Новый {n}?"), "Да.")));
    write(store, "moving", &one, &texts).await;
    let found = told(store, "moving").await;
    assert_eq!(found.len(), 2_500);
    assert!(found.is_sorted_by(|left, right| left.key < right.key));
    assert_eq!(store.prune(Timestamp(i64::MAX)).await.unwrap(), 0);
    undo(store, "moving").await;
    assert_eq!(content(store).await, before);
}
