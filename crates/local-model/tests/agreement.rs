//! The forward pass and the tokenizers against an independent reference: 50 texts for each model.
//!
//! The references are made by `make_reference.py` in `tests/data/e5` and `tests/data/minilm`.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test, with a figure that is wanted

mod common;

use std::path::{Path, PathBuf};

use embedder_client::{Embedder, Meter, Purpose};
use local_model::{ALL_MINILM_L6_V2, KnownModel, LocalEmbedder, LocalModel, MULTILINGUAL_E5_SMALL};

fn model(known: &'static KnownModel) -> Option<LocalModel> {
    let path = common::weights(known)?;
    Some(LocalModel::open(known, &path).expect("the weights load"))
}

fn data(folder: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(folder)
        .join(name)
}

fn lines(folder: &str, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(data(folder, name)).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn ids(folder: &str, name: &str) -> Vec<Vec<u32>> {
    lines(folder, name)
        .iter()
        .map(|line| line.split(' ').map(|id| id.parse().unwrap()).collect())
        .collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum()
}

#[test]
fn vectors_and_tokens_of_e5_agree_with_the_reference() {
    agrees(&MULTILINGUAL_E5_SMALL, "e5");
}

#[test]
fn vectors_and_tokens_of_minilm_agree_with_the_reference() {
    agrees(&ALL_MINILM_L6_V2, "minilm");
}

fn agrees(known: &'static KnownModel, folder: &str) {
    let Some(model) = model(known) else { return };
    assert_eq!(model.revision(), known.revision);
    let sentences = lines(folder, "sentences.txt");
    let sentences: Vec<String> = sentences
        .iter()
        .map(|line| line.replace("\\n", "\n"))
        .collect();
    let ids = ids(folder, "token_ids.txt");
    assert_eq!((sentences.len(), ids.len()), (50, 50));
    for (text, ids) in sentences.iter().zip(&ids) {
        assert_eq!(&model.token_ids(text), ids, "tokens of {text:?}");
        let count = model.token_count(text).min(known.max_tokens);
        assert_eq!(count + 2, ids.len());
    }

    let bytes = std::fs::read(data(folder, "vectors.f32")).unwrap();
    let (words, _) = bytes.as_chunks::<4>();
    let reference: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    assert_eq!(reference.len(), 50 * known.dimensions);
    let vectors = model.embed(&sentences).unwrap();
    let mut least = 1.0f64;
    for ((text, vector), expected) in sentences
        .iter()
        .zip(&vectors)
        .zip(reference.chunks_exact(known.dimensions))
    {
        assert!(
            (cosine(vector, vector) - 1.0).abs() < 1e-5,
            "length of {text:?}"
        );
        let agreement = cosine(vector, expected);
        least = least.min(agreement);
        assert!(
            agreement >= 0.999,
            "{text:?} has cosine {agreement} with the reference"
        );
    }
    eprintln!("least cosine with the reference: {least:.9}");

    // One at a time, every text has the vector that it has among others.
    for (text, vector) in sentences.iter().zip(&vectors) {
        let alone = model.embed(std::slice::from_ref(text)).unwrap();
        let largest = alone[0]
            .iter()
            .zip(vector)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(largest < 1e-5, "{text:?} alone differs by {largest}");
    }
}

#[test]
fn tricky_texts_have_the_tokens_of_the_reference() {
    let Some(model) = model(&ALL_MINILM_L6_V2) else {
        return;
    };
    let texts = lines("minilm", "tricky.jsonl");
    let ids = ids("minilm", "tricky_ids.txt");
    assert_eq!(texts.len(), ids.len());
    for (line, ids) in texts.iter().zip(&ids) {
        let text: String = serde_json::from_str(line).unwrap();
        let read = ids.len().min(ALL_MINILM_L6_V2.max_tokens + 1);
        assert_eq!(model.token_ids(&text)[..read], ids[..read], "{line}");
        assert_eq!(model.token_count(&text) + 2, ids.len(), "{line}");
    }
}

#[test]
fn minilm_reads_english_and_says_what_it_does_not_read() {
    let Some(model) = model(&ALL_MINILM_L6_V2) else {
        return;
    };
    for text in [
        "How do I block a lost card?",
        "Überweisung nach España, s'il vous plaît",
    ] {
        assert!(model.unknown_share(text) < 0.3, "{text}");
    }
    for text in ["Как заблокировать карту?", "ቋንቋ ነው"] {
        assert!(model.unknown_share(text) > 0.3, "{text}");
    }
    let texts = [
        "",
        "\0",
        "[SEP]",
        &"word ".repeat(5_000),
        &"x".repeat(1 << 20),
    ]
    .map(str::to_owned);
    let vectors = model.embed(&texts).unwrap();
    assert!(
        vectors
            .iter()
            .all(|vector| (cosine(vector, vector) - 1.0).abs() < 1e-5)
    );
    assert_eq!(model.token_ids(&texts[3]).len(), 256);
    assert!(!model.token_ids(&texts[2])[1..4].contains(&102));
}

#[test]
fn odd_texts_have_vectors() {
    let Some(model) = model(&MULTILINGUAL_E5_SMALL) else {
        return;
    };
    let long = "слово ".repeat(5_000);
    let texts: Vec<String> = [
        "",
        " ",
        "\0\u{1}",
        "</s><s><pad><mask>",
        "\u{10ffff}\u{10ffff}",
        "и\u{306}",
        "й",
        "a".repeat(100_000).as_str(),
        &long,
    ]
    .map(str::to_owned)
    .to_vec();
    let vectors = model.embed(&texts).unwrap();
    assert!(
        vectors
            .iter()
            .all(|vector| vector.len() == MULTILINGUAL_E5_SMALL.dimensions
                && (cosine(vector, vector) - 1.0).abs() < 1e-5)
    );
    assert!(model.embed(&[]).unwrap().is_empty());
    // Composed and decomposed spellings are one text.
    assert_eq!(model.token_ids(&texts[5]), model.token_ids(&texts[6]));
    // Control pieces cannot be typed.
    assert!(
        model.token_ids(&texts[3])[1..]
            .iter()
            .rev()
            .skip(1)
            .all(|id| ![0, 1, 2, 250_001].contains(id))
    );
    assert_eq!(
        model.token_ids(&long).len(),
        MULTILINGUAL_E5_SMALL.max_tokens + 2
    );
    assert_eq!(model.token_count(&long), 5_001);
    assert_eq!(model.unknown_share(&texts[4]), 1.0);
    assert_eq!(model.unknown_share("обычный ordinary común"), 0.0);
}

#[test]
fn the_provider_adds_the_prefix_that_the_purpose_asks_for() {
    let Some(model) = model(&MULTILINGUAL_E5_SMALL) else {
        return;
    };
    let text = "where is my card?".to_owned();
    let expected = model
        .embed(&[format!("query: {text}"), format!("passage: {text}")])
        .unwrap();
    let provider = LocalEmbedder::new(model);
    assert_eq!(
        (provider.provider(), provider.spec().revision.as_str()),
        ("local", MULTILINGUAL_E5_SMALL.revision)
    );
    assert_eq!(provider.token_count("п", Purpose::Query), Some(6));
    assert_eq!(
        provider.token_count(&"слово ".repeat(5_000), Purpose::Passage),
        Some(512)
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for (purpose, expected) in [Purpose::Query, Purpose::Passage]
        .into_iter()
        .zip(&expected)
    {
        let inputs = std::slice::from_ref(&text);
        let embedded = runtime
            .block_on(provider.embed(inputs, purpose, &Meter::default()))
            .unwrap();
        assert_eq!((embedded.vectors.len(), embedded.requests), (1, 1));
        assert!(cosine(embedded.vectors[0].as_slice(), expected) > 0.999_999);
    }
}
