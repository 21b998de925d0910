//! From small numbers to what stores take: rows, vectors, versions, questions. Vectors are chosen so that two scores
//! are either equal for a reason or far apart, which a test below holds them to.

use storage_core::testing::fixture::{self, Made};
use storage_core::{
    Binding, Canary, CollectionName, ContentHash, Document, DocumentKey, EmbedText, Embedding,
    EmbeddingSpace, Filter, MetadataPredicate, MetadataValue, RunId, StoredVector, Timestamp,
};

use super::operation::{
    CATEGORIES, COLLECTIONS, Entry, Key, RUNS, SOURCES, SPACES, TEXTS, VERSIONS, Wanted,
};

pub(super) fn collection(n: usize) -> CollectionName {
    fixture::collection(COLLECTIONS[n])
}

pub(super) fn run(n: usize) -> RunId {
    fixture::run(RUNS[n])
}

pub(super) fn space(n: usize) -> EmbeddingSpace {
    let (name, dimensions) = SPACES[n];
    // The first two are of one instant: their ids decide.
    let at = i64::from(n == 2);
    EmbeddingSpace::new(fixture::model(name, dimensions), "", "hash", Timestamp(at))
}

pub(super) fn version(n: usize) -> Made {
    let (space_of, recipe) = VERSIONS[n];
    fixture::made(space(space_of), EmbedText::parse(recipe).unwrap())
}

pub(super) fn key(collection_of: usize, key: Key) -> DocumentKey {
    DocumentKey {
        collection: collection(collection_of),
        document: format!("d{}", key.document),
        chunk: key.chunk,
    }
}

pub(super) fn document(collection_of: usize, entry: &Entry) -> Document {
    let mut document = fixture::document(
        "",
        &format!("Вопрос {}?", entry.text),
        &format!("Ответ {}.", entry.text),
    );
    document.key = key(collection_of, entry.key);
    document.source = fixture::source_id(SOURCES[entry.source]);
    document.category = entry.category.map(|n| CATEGORIES[n].to_owned());
    document.subcategory = entry.text.is_multiple_of(2).then(|| "чёт".to_owned());
    let number = i64::try_from(entry.text).unwrap();
    document
        .metadata
        .insert("n".into(), MetadataValue::I64(number));
    document
}

/// Which text a row holds.
pub(super) fn text_of(document: &Document) -> usize {
    let Some(MetadataValue::I64(text)) = document.metadata.get("n") else {
        panic!("every row holds the number of its text");
    };
    usize::try_from(*text).unwrap()
}

/// The vector of a text, as we would compute it or as somebody brought it.
pub(super) fn vector(version_of: usize, text: usize, imported: bool) -> StoredVector {
    let entry = Entry {
        key: Key {
            document: 0,
            chunk: 0,
        },
        text,
        category: None,
        source: 0,
    };
    let mut key = fixture::vector_key(&version(version_of), &document(0, &entry));
    let embedding = numbers(version_of, text, imported);
    if imported {
        key.variant = Some(ContentHash::of(&embedding.to_le_bytes()));
    }
    StoredVector { key, embedding }
}

pub(super) fn binding(version_of: usize, text: usize, imported: bool) -> Binding {
    Binding {
        version: version(version_of).id,
        vector: vector(version_of, text, imported).key,
    }
}

/// A known text of a space; `steady` is the vector it always had.
pub(super) fn canary(space_of: usize, text: usize, steady: bool) -> Canary {
    Canary {
        text: format!("канарейка {text}"),
        embedding: fixture::embedding(&format!("{text} {steady}"), SPACES[space_of].1),
    }
}

/// The last two texts have one vector, but for its length: equal cosines, to the last bit.
fn numbers(version_of: usize, text: usize, imported: bool) -> Embedding {
    let direction = text.min(TEXTS - 2);
    let (space_of, recipe) = VERSIONS[version_of];
    let dimensions = SPACES[space_of].1;
    // Versions that embed one text in one space name one vector.
    let text_of = if recipe == "{question}" {
        "question"
    } else {
        "both"
    };
    let seed = format!("{space_of} {text_of} {direction} {imported}");
    let found = fixture::embedding(&seed, dimensions);
    let factor = if text == TEXTS - 1 { 4.0 } else { 1.0 };
    let numbers: Vec<f32> = found.as_slice().iter().map(|n| n * factor).collect();
    Embedding::new(numbers).unwrap()
}

/// A question's vector; the last one is of another length than the first two versions.
pub(super) fn question(n: usize) -> Embedding {
    fixture::embedding(&format!("question {n}"), if n == 3 { 3 } else { 8 })
}

pub(super) fn filter(wanted: &Wanted) -> Filter {
    Filter {
        category: wanted.category.map(|n| CATEGORIES[n].to_uppercase()),
        document: wanted.document.map(|n| format!("d{n}")),
        contains: wanted.contains.map(|(text, question)| {
            if question {
                format!("вОПРОС {text}")
            } else {
                format!("ОТВЕТ {text}")
            }
        }),
        metadata: wanted
            .number
            .map(|(comparison, number)| MetadataPredicate {
                key: "n".into(),
                comparison,
                value: MetadataValue::I64(number),
            })
            .into_iter()
            .collect(),
    }
}

/// The cosine as a textbook has it.
pub(super) fn cosine(left: &Embedding, right: &Embedding) -> f64 {
    let dot = |left: &Embedding, right: &Embedding| -> f64 {
        left.as_slice()
            .iter()
            .zip(right.as_slice())
            .map(|(left, right)| f64::from(*left) * f64::from(*right))
            .sum()
    };
    dot(left, right) / dot(left, left).sqrt() / dot(right, right).sqrt()
}

#[test]
fn scores_are_equal_for_a_reason_or_far_apart() {
    use super::operation::{QUESTIONS, THRESHOLDS};
    for asked in 0..QUESTIONS {
        for (version_of, (space_of, _)) in VERSIONS.iter().enumerate() {
            if question(asked).dimensions() != SPACES[*space_of].1 {
                continue;
            }
            let mut scores: Vec<f64> = THRESHOLDS.iter().map(|n| f64::from(*n)).collect();
            for text in 0..TEXTS - 1 {
                for imported in [false, true] {
                    let vector = numbers(version_of, text, imported);
                    scores.push(cosine(&question(asked), &vector));
                }
            }
            scores.sort_by(f64::total_cmp);
            for pair in scores.windows(2) {
                assert!(pair[1] - pair[0] > 1e-4, "{asked} {version_of}: {pair:?}");
            }
            let [last, longer] = [TEXTS - 2, TEXTS - 1]
                .map(|text| cosine(&question(asked), &numbers(version_of, text, false)));
            assert!((last - longer).abs() < f64::EPSILON);
        }
    }
}
