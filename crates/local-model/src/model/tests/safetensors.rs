//! The same for a tiny `model.safetensors` and `tokenizer.json`.

use serde_json::{Map, Value, json};

use super::{HIDDEN, INNER, POSITIONS, Random, narrow};
use crate::known::{ALL_MINILM_L6_V2, Format, KnownModel, MULTILINGUAL_E5_SMALL};
use crate::layout::Shape;
use crate::{LocalModel, ModelError, ModelErrorKind};

const PIECES: [&str; 16] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##b", "ab", "##ab", ".", "[", "]", "c", "##c", "sep",
    "é", "中",
];

fn known() -> &'static KnownModel {
    narrow(&KnownModel {
        format: Format::Safetensors(Shape {
            hidden: HIDDEN,
            layers: 2,
            heads: 2,
            feed_forward: INNER,
            positions: POSITIONS,
            token_types: 2,
            epsilon: 1e-12,
        }),
        ..ALL_MINILM_L6_V2
    })
}

/// Names and shapes as a BERT has them, and what is not read.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let mut tensors = vec![
        ("embeddings.position_ids".to_owned(), vec![1, POSITIONS]),
        (
            "embeddings.word_embeddings.weight".into(),
            vec![PIECES.len(), HIDDEN],
        ),
        (
            "embeddings.position_embeddings.weight".into(),
            vec![POSITIONS, HIDDEN],
        ),
        (
            "embeddings.token_type_embeddings.weight".into(),
            vec![2, HIDDEN],
        ),
        ("pooler.dense.weight".into(), vec![HIDDEN, HIDDEN]),
    ];
    let mut pair = |name: String, weight: &[usize]| {
        tensors.push((format!("{name}.weight"), weight.to_vec()));
        tensors.push((format!("{name}.bias"), weight[..1].to_vec()));
    };
    pair("embeddings.LayerNorm".into(), &[HIDDEN]);
    for layer in 0..2 {
        for (name, weight) in [
            ("attention.self.query", &[HIDDEN, HIDDEN][..]),
            ("attention.self.key", &[HIDDEN, HIDDEN]),
            ("attention.self.value", &[HIDDEN, HIDDEN]),
            ("attention.output.dense", &[HIDDEN, HIDDEN]),
            ("attention.output.LayerNorm", &[HIDDEN]),
            ("intermediate.dense", &[INNER, HIDDEN]),
            ("output.dense", &[HIDDEN, INNER]),
            ("output.LayerNorm", &[HIDDEN]),
        ] {
            pair(format!("encoder.layer.{layer}.{name}"), weight);
        }
    }
    tensors
}

/// The header as a table, and the data.
fn parts() -> (Map<String, Value>, Vec<u8>) {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let (mut data, mut random) = (Vec::new(), Random(11));
    for (name, shape) in tensors() {
        let begin = data.len();
        let ids = name.ends_with("position_ids");
        for _ in 0..shape.iter().product::<usize>() {
            match ids {
                true => data.extend(1u64.to_le_bytes()),
                false => data.extend((random.next() as u8 as f32 / 256.0 - 0.5).to_le_bytes()),
            }
        }
        let entry = json!({
            "dtype": if ids { "I64" } else { "F32" },
            "shape": shape,
            "data_offsets": [begin, data.len()],
        });
        header.insert(name, entry);
    }
    (header, data)
}

fn file(header: &Map<String, Value>, data: &[u8]) -> Vec<u8> {
    let header = Value::Object(header.clone()).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

fn whole() -> Vec<u8> {
    let (header, data) = parts();
    file(&header, &data)
}

fn tokenizer() -> Value {
    let vocabulary: Map<String, Value> = PIECES
        .iter()
        .enumerate()
        .map(|(id, piece)| ((*piece).to_owned(), json!(id)))
        .collect();
    json!({
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary},
    })
}

fn load(weights: Vec<u8>, tokenizer: &Value) -> Result<LocalModel, ModelError> {
    LocalModel::from_bytes(known(), [weights, tokenizer.to_string().into_bytes()])
}

/// The message of a file that is not the model.
fn damage(weights: Vec<u8>, tokenizer: &Value) -> String {
    let error = load(weights, tokenizer).expect_err("it is damaged");
    assert_eq!(error.kind(), ModelErrorKind::Damaged, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("smart-support model fetch all-MiniLM-L6-v2"),
        "{text}"
    );
    text
}

#[test]
fn words_are_cut_into_the_longest_pieces() {
    let model = load(whole(), &tokenizer()).unwrap();
    let long = format!("a{}", "b".repeat(99));
    let too_long = format!("a{}", "b".repeat(100));
    for (text, ids) in [
        ("", vec![]),
        (" \n\t\u{a0}\u{3000}", vec![]),
        ("ab", vec![6]),
        ("ABAB", vec![6, 7]),
        ("abb a", vec![6, 5, 4]),
        // Nothing of a word is kept where its end is not in the vocabulary.
        ("abx", vec![1]),
        ("a\u{0}b\u{ad}\u{fffd}\u{e000}", vec![6]),
        ("á\u{301}", vec![4]),
        // Accents go before the vocabulary is asked, which has one all the same.
        ("é", vec![1]),
        ("a.b", vec![4, 8, 1]),
        ("a中ab", vec![4, 15, 6]),
        // A mark cannot be typed.
        ("[SEP]", vec![9, 13, 10]),
        ("🙂 ж", vec![1, 1]),
        (long.as_str(), [vec![6], vec![5; 13]].concat()),
        (too_long.as_str(), vec![1]),
    ] {
        let expected: Vec<u32> = [2].into_iter().chain(ids).chain([3]).collect();
        assert_eq!(model.token_ids(text), expected, "{text:?}");
    }
    assert_eq!(model.token_count(&long), 99);
    assert_eq!(model.token_ids(&"c ".repeat(500)).len(), POSITIONS);
    assert_eq!(model.unknown_share("ab x"), 1.0 / 3.0);
    assert_eq!(model.unknown_share("accc ab ab"), 0.5);
}

#[test]
fn a_file_cut_short_is_an_error() {
    let (header, data) = parts();
    let file = file(&header, &data);
    let data_at = file.len() - data.len();
    for length in (0..data_at)
        .step_by(7)
        .chain((data_at..file.len()).step_by(997))
    {
        damage(file[..length].to_vec(), &tokenizer());
    }
    let mut longer = file.clone();
    longer.push(0);
    assert!(damage(longer, &tokenizer()).contains("are there"));
}

#[test]
fn wrong_headers_are_refused() {
    let (header, data) = parts();
    let changed = |name: &str, key: &str, value: Value| {
        let mut header = header.clone();
        header[name][key] = value;
        damage(file(&header, &data), &tokenizer())
    };
    let words = "embeddings.word_embeddings.weight";
    for (key, value, said) in [
        ("dtype", json!("F16"), "of F16"),
        ("shape", json!([PIECES.len(), HIDDEN + 1]), "expected"),
        ("shape", json!([usize::MAX, HIDDEN]), "bytes"),
        ("shape", json!([]), "no matrix"),
        ("shape", json!(-1), "shape"),
        ("data_offsets", json!([u64::MAX, 5]), "expected to begin at"),
        ("data_offsets", json!([0, 64]), "expected to begin at"),
        ("data_offsets", json!([1]), "data_offsets"),
    ] {
        let text = changed(words, key, value);
        assert!(text.contains(said) || text.contains(words), "{text}");
    }
    let mut without = header.clone();
    without.remove("encoder.layer.1.output.dense.bias");
    damage(file(&without, &data), &tokenizer());

    // Headers that are longer than the file, or than anybody's.
    for length in [0, 1, 1 << 19, 1 << 40, u64::MAX] {
        let mut bytes = whole();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        damage(bytes, &tokenizer());
    }
    // A header that is deep rather than long.
    let deep = [
        &(1u64 << 19).to_le_bytes()[..],
        &b"{\"a\":["[..],
        &[b'['; 1 << 19],
    ]
    .concat();
    damage(deep, &tokenizer());
}

#[test]
fn another_models_tokenizer_is_refused() {
    let change = |change: fn(&mut Value)| {
        let mut changed = tokenizer();
        change(&mut changed);
        let text = damage(whole(), &changed);
        assert!(text.starts_with("tokenizer.json"), "{text}");
    };
    change(|file| *file = json!({}));
    change(|file| file["normalizer"] = Value::Null);
    change(|file| file["normalizer"]["lowercase"] = json!(false));
    change(|file| file["model"]["type"] = json!("BPE"));
    change(|file| file["model"] = json!({"type": "Unigram", "unk_id": 0, "vocab": [["a", -1.0]]}));
    change(|file| file["model"]["vocab"]["more"] = json!(PIECES.len()));
    change(|file| file["model"]["vocab"]["ab"] = json!(3));
    change(|file| file["model"]["vocab"]["ab"] = json!(u32::MAX));
    change(|file| file["model"]["continuing_subword_prefix"] = json!(""));
    change(|file| {
        let vocabulary = file["model"]["vocab"].as_object_mut().unwrap();
        vocabulary.remove("[SEP]");
        vocabulary.insert("[sep]".to_owned(), json!(3));
    });
    let text = LocalModel::from_bytes(known(), [whole()])
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("tokenizer.json") && text.contains("missing"),
        "{text}"
    );
}

#[test]
fn every_byte_counts_in_the_revision() {
    let revision =
        |weights, tokenizer: &Value| load(weights, tokenizer).unwrap().revision().to_owned();
    let (header, mut data) = parts();
    let before = revision(file(&header, &data), &tokenizer());
    // The last byte is one of the last norm's.
    *data.last_mut().unwrap() ^= 1;
    assert_ne!(revision(file(&header, &data), &tokenizer()), before);
    let mut swapped = tokenizer();
    swapped["model"]["vocab"]["a"] = json!(11);
    swapped["model"]["vocab"]["c"] = json!(4);
    assert_ne!(revision(whole(), &swapped), before);
    // What is said about cutting and padding changes no vector.
    let mut other = tokenizer();
    other["truncation"] = json!({"max_length": 128});
    assert_eq!(revision(whole(), &other), before);
}

#[test]
fn wrong_bytes_never_panic() {
    let file = whole();
    let tokenizer = tokenizer();
    let texts = ["ab AB\n中 xyz.".to_owned(), "ab".repeat(9)];
    let mut loaded = 0;
    let mut random = Random(5);
    let header = u64::from_le_bytes(*file.first_chunk().unwrap()) + 8;
    for attempt in 0..3_000 {
        let mut bytes = file.clone();
        for _ in 0..1 + random.next() % 4 {
            let range = if attempt % 2 == 0 {
                header
            } else {
                bytes.len() as u64
            };
            bytes[(random.next() % range) as usize] = random.next() as u8;
        }
        if let Ok(model) = load(bytes, &tokenizer) {
            loaded += 1;
            if let Ok(vectors) = model.embed(&texts) {
                assert!(vectors.iter().flatten().all(|number| number.is_finite()));
            }
        }
    }
    assert!(loaded > 0);
}

#[test]
fn the_file_of_another_model_is_named() {
    let error = LocalModel::from_bytes(&MULTILINGUAL_E5_SMALL, [whole()]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("EMBEDDING_MODEL_NAME=all-MiniLM-L6-v2"),
        "{text}"
    );
    let text = damage(super::tiny_file().0, &tokenizer());
    assert!(
        text.contains("EMBEDDING_MODEL_NAME=multilingual-e5-small"),
        "{text}"
    );
}
