//! Small builders, so that a case reads as what it is about.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::Harness;
use crate::{
    Applied, Binding, ChangeSet, CollectionName, Document, DocumentKey, EmbedText, Embedding,
    EmbeddingModel, EmbeddingSpace, EmbeddingStore, Generation, InputHash, Locator, Row, RunId,
    Source, SourceId, Spend, StoredVector, Timestamp, UndoPolicy, VectorKey, VersionId,
    VersionSpec,
};

/// Numbers per vector in most cases.
pub const DIMENSIONS: u32 = 8;

/// The collection most cases work in.
#[must_use]
pub fn faq() -> CollectionName {
    collection("faq")
}

/// A collection name.
#[must_use]
pub fn collection(name: &str) -> CollectionName {
    CollectionName::new(name).unwrap()
}

/// The source most cases work with.
#[must_use]
pub fn sheet() -> SourceId {
    source_id("sheet")
}

/// A source id.
#[must_use]
pub fn source_id(id: &str) -> SourceId {
    SourceId::new(id).unwrap()
}

/// A run id.
#[must_use]
pub fn run(id: &str) -> RunId {
    RunId::new(id).unwrap()
}

/// A run that pays for nothing.
#[must_use]
pub fn unpaid(id: &str) -> Spend {
    Spend::nothing(run(id))
}

/// A source of a collection.
#[must_use]
pub fn source(collection: &CollectionName, id: &str) -> Source {
    Source {
        id: source_id(id),
        collection: collection.clone(),
        kind: "xlsx".to_owned(),
        location: format!("/data/{id}.xlsx"),
    }
}

/// The key of chunk 0 of a document of [`faq`].
#[must_use]
pub fn key(document: &str) -> DocumentKey {
    DocumentKey {
        collection: faq(),
        document: document.to_owned(),
        chunk: 0,
    }
}

/// A row of [`faq`] and [`sheet`], with a question and an answer.
#[must_use]
pub fn document(id: &str, question: &str, answer: &str) -> Document {
    Document {
        key: key(id),
        source: sheet(),
        title: question.to_owned(),
        body: answer.to_owned(),
        category: Some("Счета".to_owned()),
        subcategory: None,
        metadata: BTreeMap::new(),
        locator: Locator::default(),
    }
}

/// Rows `id-0000`, `id-0001`, … with texts of their own.
#[must_use]
pub fn documents(count: usize) -> Vec<Document> {
    (0..count)
        .map(|n| {
            document(
                &format!("id-{n:04}"),
                &format!("Вопрос {n}?"),
                &format!("Ответ {n}."),
            )
        })
        .collect()
}

/// A model of that name.
#[must_use]
pub fn model(name: &str, dimensions: u32) -> EmbeddingModel {
    EmbeddingModel {
        name: name.to_owned(),
        dimensions: NonZeroU32::new(dimensions).unwrap(),
        revision: "r1".to_owned(),
        query_prefix: "query: ".to_owned(),
        passage_prefix: String::new(),
        normaliser: crate::NORMALISER,
    }
}

/// A version that may be registered, with its space.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// Its name.
    pub id: VersionId,
    /// Its space.
    pub space: EmbeddingSpace,
    /// Its space and recipe by name.
    pub spec: VersionSpec,
}

/// A version of a space by a recipe.
#[must_use]
pub fn made(space: EmbeddingSpace, embed_text: EmbedText) -> Made {
    let spec = VersionSpec {
        space: space.id.clone(),
        embed_text,
    };
    Made {
        id: spec.id(),
        space,
        spec,
    }
}

/// A version of a model of that name with [`DIMENSIONS`], by the default recipe.
#[must_use]
pub fn version(name: &str) -> Made {
    version_of(model(name, DIMENSIONS), "")
}

/// A version of a model, by the default recipe.
#[must_use]
pub fn version_of(model: EmbeddingModel, nonce: &str) -> Made {
    let space = EmbeddingSpace::new(model, nonce, "hash", Timestamp(1_000));
    made(space, EmbedText::default())
}

/// The hash of the text a row is embedded with under the default recipe.
#[must_use]
pub fn input(document: &Document) -> InputHash {
    InputHash::of(&EmbedText::default().render(document))
}

/// The name of the computed vector of a row.
#[must_use]
pub fn vector_key(version: &Made, document: &Document) -> VectorKey {
    VectorKey {
        space: version.space.id.clone(),
        input: InputHash::of(&version.spec.embed_text.render(document)),
        variant: None,
    }
}

/// The computed vector of a row, as its vector in a version.
#[must_use]
pub fn binding(version: &Made, document: &Document) -> Binding {
    Binding {
        version: version.id.clone(),
        vector: vector_key(version, document),
    }
}

/// A vector that follows from a seed, of any length.
#[must_use]
pub fn embedding(seed: &str, dimensions: u32) -> Embedding {
    let mut reader = blake3::Hasher::new().update(seed.as_bytes()).finalize_xof();
    let numbers: Vec<f32> = (0..dimensions)
        .map(|_| {
            let mut bytes = [0; 2];
            reader.fill(&mut bytes);
            f32::from(i16::from_le_bytes(bytes)) / 32_768.0 + 1e-3
        })
        .collect();
    Embedding::new(numbers).unwrap()
}

/// The vector of a row in a version, ready to store.
#[must_use]
pub fn stored_vector(version: &Made, document: &Document) -> StoredVector {
    let key = vector_key(version, document);
    let seed = format!("{} {}", version.space.id, key.input.to_hex());
    StoredVector {
        embedding: embedding(&seed, version.space.model.dimensions.get()),
        key,
    }
}

/// A row with its computed vector in each of these versions.
#[must_use]
pub fn row(document: &Document, versions: &[&Made]) -> Row {
    Row::new(
        document.clone(),
        versions
            .iter()
            .map(|version| binding(version, document))
            .collect(),
    )
}

/// A change of [`faq`] that does nothing yet.
#[must_use]
pub fn change(base: Generation) -> ChangeSet {
    ChangeSet {
        collection: faq(),
        base,
        source: Some(source(&faq(), "sheet")),
        upserts: Vec::new(),
        deletes: Vec::new(),
        relocations: Vec::new(),
        binds: Vec::new(),
        register: None,
        complete: None,
        activate: None,
        undo: UndoPolicy::Forget,
        run: run("run"),
        applied_at: Timestamp(2_000),
    }
}

/// Registers the space of a version and stores the vectors of these rows.
pub async fn put(store: &dyn EmbeddingStore, version: &Made, documents: &[Document]) {
    store.register_space(&version.space).await.unwrap();
    let vectors: Vec<_> = documents
        .iter()
        .map(|document| stored_vector(version, document))
        .collect();
    store
        .put_embeddings(&vectors, &unpaid("run"), Timestamp(1_500))
        .await
        .unwrap();
}

/// The generation of a collection.
pub async fn generation(store: &dyn EmbeddingStore, collection: &CollectionName) -> Generation {
    store
        .status()
        .await
        .unwrap()
        .collection(collection)
        .map_or(Generation(0), |status| status.generation)
}

/// Stores these rows of [`faq`] with their vectors and serves that version.
pub async fn fill(store: &dyn EmbeddingStore, version: &Made, documents: &[Document]) -> Applied {
    put(store, version, documents).await;
    let mut changes = change(generation(store, &faq()).await);
    changes.upserts = documents
        .iter()
        .map(|document| row(document, &[version]))
        .collect();
    changes.register = Some(version.spec.clone());
    changes.activate = Some(version.id.clone());
    store.apply(changes.clone()).await.unwrap()
}

/// A store of `H` filled with `count` rows, and what was put there.
pub async fn filled<H: Harness>(harness: &H, count: usize) -> (Made, Vec<Document>) {
    let (version, documents) = (version("one"), documents(count));
    fill(harness.store(), &version, &documents).await;
    (version, documents)
}
