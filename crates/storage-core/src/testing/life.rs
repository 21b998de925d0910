//! Any life of a store, from any bytes: for properties that must hold of every store there can be.

use super::fixture::{
    DIMENSIONS, Made, collection, document, embedding, generation, made, model, run, source,
    source_id, stored_vector, unpaid, vector_key,
};
use crate::{
    Binding, Canary, ChangeSet, CollectionName, ContentHash, Document, EmbedText, EmbeddingSpace,
    EmbeddingStore, Locator, Row, RunKind, RunRecord, RunState, StoredVector, Timestamp,
    UndoPolicy, VectorKey, VersionId, VersionNote, VersionState,
};

/// One step: what is done, and two numbers for to what.
pub type Step = (u8, u8, u8);

/// Does one step after the other. A step that makes no sense where the store stands is refused by it and left out.
///
/// # Panics
/// When the store cannot be read.
pub async fn live(store: &dyn EmbeddingStore, steps: &[Step]) {
    for (at, step) in (1_i64..).zip(steps) {
        Life {
            store,
            now: Timestamp(10_000 + 10 * at),
            run: format!("run-{at}"),
        }
        .step(*step)
        .await;
    }
}

struct Life<'a> {
    store: &'a dyn EmbeddingStore,
    now: Timestamp,
    run: String,
}

/// One of six versions: three models, two of which share a name, and two recipes.
fn versions(at: u8) -> Made {
    let at = at % 6;
    let recipe = match at % 2 {
        0 => EmbedText::default(),
        _ => EmbedText::parse("{question}").unwrap(),
    };
    let nonce = if at / 2 == 2 { "again" } else { "" };
    let name = if at / 2 == 0 { "one" } else { "two" };
    let space = EmbeddingSpace::new(
        model(name, DIMENSIONS),
        nonce,
        "hash",
        Timestamp(100 + i64::from(at / 2)),
    );
    made(space, recipe)
}

fn text(collection: &CollectionName, id: u8, edition: u8) -> Document {
    let mut row = document(
        &format!("id-{:02}", id % 24),
        // Few texts, so that rows share vectors.
        &format!("Вопрос {}?", id % 7),
        &format!("Ответ {}.", edition % 5),
    );
    row.key.collection = collection.clone();
    row.key.chunk = u32::from(id % 24 == 3) * u32::from(edition % 3);
    row.category = (!edition.is_multiple_of(4)).then(|| format!("К{}", edition % 4));
    row.source = source_id(if id % 24 < 12 { "sheet" } else { "other" });
    row.locator = Locator {
        row: Some(u64::from(id)),
        ..Locator::default()
    };
    row
}

impl Life<'_> {
    async fn step(&self, (what, x, y): Step) {
        let name = collection(["faq", "docs"][usize::from(x % 2)]);
        match what % 12 {
            0..=2 => self.sync(&name, x, y).await,
            3 => self.bind(&name, x, y).await,
            4 => self.activate(&name, Some(versions(y).id)).await,
            5 => self.roll_back(&name).await,
            6 => self.delete(&name, x, y).await,
            7 => self.note(&name, y).await,
            8 => self.canaries(x, y).await,
            9 => self.line(&name, x, y).await,
            10 => self.import(&name, x, y).await,
            _ => self.tidy(&name, x, y).await,
        }
    }

    async fn change(&self, name: &CollectionName) -> ChangeSet {
        ChangeSet {
            collection: name.clone(),
            base: generation(self.store, name).await,
            source: None,
            upserts: Vec::new(),
            deletes: Vec::new(),
            relocations: Vec::new(),
            binds: Vec::new(),
            register: None,
            complete: None,
            activate: None,
            undo: UndoPolicy::Forget,
            run: run(&self.run),
            applied_at: self.now,
        }
    }

    async fn put(&self, version: &Made, rows: &[Document]) {
        self.store.register_space(&version.space).await.unwrap();
        let vectors: Vec<StoredVector> =
            rows.iter().map(|row| stored_vector(version, row)).collect();
        self.store
            .put_embeddings(&vectors, &unpaid(&self.run), self.now)
            .await
            .unwrap();
    }

    /// The version that a collection serves, else the one that is named.
    async fn served(&self, name: &CollectionName, otherwise: u8) -> Made {
        let status = self.store.status().await.unwrap();
        let active = status
            .collection(name)
            .and_then(|found| found.active.clone());
        (0..6)
            .map(versions)
            .find(|made| Some(&made.id) == active.as_ref())
            .unwrap_or_else(|| versions(otherwise))
    }

    /// Writes rows; what else there is of them in other versions goes, but for one that is kept up.
    async fn sync(&self, name: &CollectionName, x: u8, y: u8) {
        let version = self.served(name, y).await;
        let beside = versions(x);
        let rows: Vec<_> = (0..y % 9)
            .map(|n| text(name, x.wrapping_add(n), y))
            .collect();
        self.put(&version, &rows).await;
        let status = self.store.status().await.unwrap();
        let kept_up = beside.id != version.id
            && status
                .collection(name)
                .is_some_and(|found| found.version(&beside.id).is_some());
        if kept_up {
            self.put(&beside, &rows).await;
        }
        let mut changes = self.change(name).await;
        let described = source(
            name,
            if x.is_multiple_of(3) {
                "other"
            } else {
                "sheet"
            },
        );
        changes.source = Some(described);
        changes.register = Some(version.spec.clone());
        changes.activate = Some(version.id.clone());
        let used: &[&Made] = match kept_up {
            true => &[&version, &beside],
            false => &[&version],
        };
        changes.upserts = rows
            .iter()
            .map(|row| super::fixture::row(row, used))
            .collect();
        changes
            .upserts
            .dedup_by_key(|row| row.document().key.clone());
        drop(self.store.apply(changes).await);
    }

    /// Gives rows their vector in another version: some of them, or all, and then it is complete.
    async fn bind(&self, name: &CollectionName, x: u8, y: u8) {
        let version = versions(y);
        let (_, prints) = self.store.fingerprints(name).await.unwrap();
        let part = match x % 4 {
            0 => prints.len() / 2,
            _ => prints.len(),
        };
        let keys: Vec<_> = prints[..part]
            .iter()
            .map(|print| print.key.clone())
            .collect();
        let rows = self.store.documents(&keys).await.unwrap();
        self.put(&version, &rows).await;
        let mut changes = self.change(name).await;
        changes.register = Some(version.spec.clone());
        changes.binds = rows
            .iter()
            .map(|row| (row.key.clone(), super::fixture::binding(&version, row)))
            .collect();
        changes.complete = (part == prints.len() && x % 4 == 1).then(|| version.id.clone());
        drop(self.store.apply(changes).await);
    }

    async fn activate(&self, name: &CollectionName, version: Option<VersionId>) {
        let mut changes = self.change(name).await;
        changes.activate = version;
        drop(self.store.apply(changes).await);
    }

    async fn roll_back(&self, name: &CollectionName) {
        let status = self.store.status().await.unwrap();
        let found = status.collection(name);
        self.activate(name, found.and_then(|found| found.previous.clone()))
            .await;
    }

    async fn delete(&self, name: &CollectionName, x: u8, y: u8) {
        let mut changes = self.change(name).await;
        changes.deletes = (0..y % 5)
            .map(|n| text(name, x.wrapping_add(n), y).key)
            .collect();
        drop(self.store.apply(changes).await);
    }

    async fn note(&self, name: &CollectionName, y: u8) {
        let note = format!("{{\"threshold\":0.{y}}}");
        let note = match y % 2 {
            0 => VersionNote::Calibration(&note),
            _ => VersionNote::Evaluation(&note),
        };
        drop(self.store.annotate(name, &versions(y).id, note).await);
    }

    async fn canaries(&self, x: u8, y: u8) {
        let canary = Canary {
            text: format!("Проба {}", y % 4),
            embedding: embedding(&format!("canary {y}"), DIMENSIONS),
        };
        let space = versions(x).space.id;
        drop(
            self.store
                .record_canaries(&space, &[canary], self.now)
                .await,
        );
    }

    async fn line(&self, name: &CollectionName, x: u8, y: u8) {
        let states = [RunState::Started, RunState::Finished, RunState::Failed];
        let of = if x.is_multiple_of(5) {
            collection("never")
        } else {
            name.clone()
        };
        let line = RunRecord {
            id: run(&format!("line-{}", y % 16)),
            kind: RunKind::Sync,
            collection: of,
            source: None,
            version: Some(versions(y).id),
            state: states[usize::from(y % 3)],
            requests: x.into(),
            texts: y.into(),
            tokens: 7,
            started_at: self.now,
            finished_at: None,
        };
        self.store.record_run(&line).await.unwrap();
    }

    /// A vector from elsewhere for a row, and one that no row gets.
    async fn import(&self, name: &CollectionName, x: u8, y: u8) {
        let version = self.served(name, y).await;
        let row = text(name, x, y);
        self.put(&version, &[]).await;
        let imported = |seed: u8| {
            let embedding = embedding(&format!("import {seed}"), DIMENSIONS);
            StoredVector {
                key: VectorKey {
                    variant: Some(ContentHash::of(&embedding.to_le_bytes())),
                    ..vector_key(&version, &row)
                },
                embedding,
            }
        };
        let vectors = [imported(y), imported(x)];
        self.store
            .put_embeddings(&vectors, &unpaid(&self.run), self.now)
            .await
            .unwrap();
        let mut changes = self.change(name).await;
        let binding = Binding {
            version: version.id.clone(),
            vector: vectors[0].key.clone(),
        };
        changes.upserts = vec![Row::new(row, vec![binding])];
        drop(self.store.apply(changes).await);
    }

    async fn tidy(&self, name: &CollectionName, x: u8, y: u8) {
        if x.is_multiple_of(3) {
            let before = Timestamp(10_000 + 10 * i64::from(y));
            self.store.prune(before).await.unwrap();
            return;
        }
        let status = self.store.status().await.unwrap();
        let found = status.collection(name);
        let old = found.into_iter().flat_map(|found| &found.versions);
        let old = old.filter(|version| version.state != VersionState::Ready);
        for version in old {
            let id = &version.id;
            drop(
                self.store
                    .delete_version(name, id, y.is_multiple_of(2))
                    .await,
            );
        }
    }
}
