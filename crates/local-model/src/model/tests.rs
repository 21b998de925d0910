//! Tiny weights files made up here, whole, cut short and with wrong bytes.

mod safetensors;

use super::*;
use crate::packing::{BLOCK_LENGTH, Packing};

const HIDDEN: usize = 64;
const INNER: usize = 96;
const POSITIONS: usize = 16;

/// Pseudo-random numbers, the same every time (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// The file, and where its weights begin: before that lie numbers that the reader follows.
fn tiny_file() -> (Vec<u8>, usize) {
    let pieces: [(&str, f32); 13] = [
        ("<s>", 0.0),
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("\u{2581}", -2.0),
        ("\u{2581}a", -3.0),
        ("a", -3.0),
        ("b", -3.0),
        ("ab", -3.5),
        ("\u{2581}abb", -12.0),
        ("ж", -4.0),
        ("bb", -9.0),
        ("c", -5.0),
    ];
    let mut file = b"E5S1".to_vec();
    let words = |file: &mut Vec<u8>, numbers: &[usize]| {
        numbers
            .iter()
            .for_each(|number| file.extend((*number as u32).to_le_bytes()));
    };
    words(&mut file, &[1, HIDDEN, 2, 2, INNER, 14, POSITIONS, 2]);
    file.extend(1e-12f32.to_le_bytes());
    words(&mut file, &[BLOCK_LENGTH, pieces.len(), 0, 2, 1, 3]);
    let blob: String = pieces.iter().map(|(piece, _)| *piece).collect();
    file.extend((blob.len() as u64).to_le_bytes());
    let mut end = 0;
    words(&mut file, &[0]);
    for (piece, _) in pieces {
        end += piece.len();
        words(&mut file, &[end]);
    }
    pieces
        .iter()
        .for_each(|(_, score)| file.extend(score.to_le_bytes()));
    file.extend(blob.as_bytes());
    // Line feed becomes a space, a soft hyphen goes, "℀" becomes "a/c".
    let mut folds = Vec::new();
    for (from, to) in [(0x0a, " "), (0xad, ""), (0x2100, "a/c")] {
        words(&mut folds, &[from]);
        folds.push(to.len() as u8);
        to.chars()
            .for_each(|character| words(&mut folds, &[character as usize]));
    }
    words(&mut file, &[3, folds.len()]);
    file.extend(folds);

    let mut tensors = vec![("emb.word".to_owned(), 1u8, 14 * HIDDEN)];
    let mut add = |name: String, kind, elements| tensors.push((name, kind, elements));
    add("emb.pos".into(), 0, POSITIONS * HIDDEN);
    add("emb.type".into(), 0, 2 * HIDDEN);
    for norm in ["emb.ln", "l0.aln", "l0.oln", "l1.aln", "l1.oln"] {
        add(format!("{norm}.w"), 0, HIDDEN);
        add(format!("{norm}.b"), 0, HIDDEN);
    }
    for layer in 0..2 {
        for (part, inputs, outputs) in [
            ("q", HIDDEN, HIDDEN),
            ("k", HIDDEN, HIDDEN),
            ("v", HIDDEN, HIDDEN),
            ("ao", HIDDEN, HIDDEN),
            ("fi", HIDDEN, INNER),
            ("fo", INNER, HIDDEN),
        ] {
            add(format!("l{layer}.{part}.w"), 1, inputs * outputs);
            add(format!("l{layer}.{part}.b"), 0, outputs);
        }
    }
    words(&mut file, &[tensors.len()]);
    let weights_at = file.len()
        + tensors
            .iter()
            .map(|(name, ..)| name.len() + 23)
            .sum::<usize>();
    let mut random = Random(7);
    let mut weights = Vec::new();
    for (name, kind, elements) in tensors {
        let offset = weights_at + weights.len();
        let bytes = if kind == 1 {
            Packing::Q4.bytes(elements)
        } else {
            elements * 4
        };
        file.extend((name.len() as u16).to_le_bytes());
        file.extend(name.as_bytes());
        file.push(kind);
        words(&mut file, &[elements]);
        file.extend((offset as u64).to_le_bytes());
        file.extend((bytes as u64).to_le_bytes());
        if kind == 1 {
            for _ in 0..elements / BLOCK_LENGTH {
                weights.extend(0x2c00u16.to_le_bytes()); // 1/16
                weights.extend((0..16).map(|_| random.next() as u8));
            }
        } else {
            (0..elements)
                .for_each(|_| weights.extend((random.next() as u8 as f32 / 256.0).to_le_bytes()));
        }
    }
    assert_eq!(file.len(), weights_at);
    file.extend(weights);
    (file, weights_at)
}

/// A model as `known`, but of the width that the files here have.
fn narrow(known: &KnownModel) -> &'static KnownModel {
    Box::leak(Box::new(KnownModel {
        dimensions: HIDDEN,
        ..*known
    }))
}

fn load(bytes: Vec<u8>) -> Result<LocalModel, ModelError> {
    let known = narrow(&MULTILINGUAL_E5_SMALL);
    Ok(LocalModel::from_bytes(known, [bytes])?.with_threads(NonZeroUsize::MIN))
}

#[test]
fn a_whole_file_loads_and_only_the_real_width_is_the_model() {
    let (file, _) = tiny_file();
    let model = load(file.clone()).unwrap();
    let texts: Vec<String> = ["", "ab", "a b ж", "abc".repeat(40).as_str()]
        .map(str::to_owned)
        .to_vec();
    let vectors = model.embed(&texts).unwrap();
    assert!(vectors.iter().all(|vector| vector.len() == HIDDEN));
    assert_eq!(model.token_ids(&texts[3]).len(), POSITIONS);
    assert!(model.revision().ends_with("-other"));
    let error = LocalModel::from_bytes(&MULTILINGUAL_E5_SMALL, [file]).unwrap_err();
    assert_eq!(error.kind(), ModelErrorKind::Damaged);
    assert!(
        error.to_string().contains("64 dimensions, not 384"),
        "{error}"
    );
}

#[test]
fn texts_are_cut_into_the_best_pieces() {
    let (file, _) = tiny_file();
    let model = load(file).unwrap();
    for (text, ids) in [
        ("", vec![4]),
        // "\u{2581}" + "ab" + "b" at -8.5; "\u{2581}a" + "b" + "b" at -9; "\u{2581}abb" at -12.
        ("abb", vec![4, 8, 7]),
        ("ab", vec![4, 8]),
        ("  a \n\n b", vec![5, 4, 7]),
        ("a\u{ad}b", vec![4, 8]),
        ("\u{2100}", vec![5, 3, 12]),
        // Neighbours that are unknown are one token, but not across a space.
        ("xyz xy", vec![4, 3, 4, 3]),
        ("жx", vec![4, 10, 3]),
        ("<s>", vec![4, 3]),
    ] {
        let expected: Vec<u32> = [0].into_iter().chain(ids).chain([2]).collect();
        assert_eq!(model.token_ids(text), expected, "{text:?}");
    }
    assert_eq!(model.unknown_share("ax by"), 0.5);
    assert_eq!(model.token_count(&"a ".repeat(100)), 101);
}

#[test]
fn a_file_cut_short_is_an_error() {
    let (file, weights_at) = tiny_file();
    for length in (0..weights_at).chain((weights_at..file.len()).step_by(97)) {
        let error = load(file[..length].to_vec()).unwrap_err();
        assert_eq!(error.kind(), ModelErrorKind::Damaged, "{length}: {error}");
        assert!(
            error
                .to_string()
                .contains("smart-support model fetch multilingual-e5-small"),
            "{error}"
        );
    }
}

#[test]
fn wrong_bytes_never_panic() {
    let (file, weights_at) = tiny_file();
    let texts = ["ab жab\n℀ xyz".to_owned(), "abb".repeat(9)];
    let mut loaded = 0;
    let mut attempt = |bytes: Vec<u8>| {
        if let Ok(model) = load(bytes) {
            loaded += 1;
            // Vectors of wrong weights are wrong, but they are vectors or an error.
            if let Ok(vectors) = model.embed(&texts) {
                assert!(vectors.iter().flatten().all(|number| number.is_finite()));
            }
        }
    };
    for at in 0..weights_at {
        for value in [0x00, 0x7f, 0x80, 0xff, file[at] ^ 1] {
            let mut bytes = file.clone();
            bytes[at] = value;
            attempt(bytes);
        }
    }
    let mut random = Random(99);
    for _ in 0..2_000 {
        let mut bytes = file.clone();
        for _ in 0..1 + random.next() % 8 {
            let at = random.next() as usize % bytes.len();
            bytes[at] = random.next() as u8;
        }
        attempt(bytes);
    }
    assert!(loaded > 0);
}
