//! The models in process, from outside: chosen by name, fetched whole, refused where they are not what they should be.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use integration_tests::{Outcome, Place, binary, skip};
use serde_json::Value;

const E5: &str = "multilingual-e5-small";
const MINILM: &str = "all-MiniLM-L6-v2";
/// As its authors write it.
const MINILM_OF: &str = "sentence-transformers/all-MiniLM-L6-v2";
const FETCH_MINILM: &str = "smart-support model fetch all-MiniLM-L6-v2";
const FAQ: &str = "id,question,answer,category\n\
                   block,How do I block my card?,Open the app and tap Freeze.,cards\n\
                   rate,What is the exchange rate?,Rates are on the page Currencies.,money\n\
                   close,How do I close my deposit early?,Interest is lost when it is closed early.,money\n";

/// Where the machine that runs the tests keeps a model's weights, fetched where they are not yet. `None` if they cannot
/// be had.
fn weights(model: &str) -> Option<PathBuf> {
    static E5_PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    static MINILM_PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = match model {
        E5 => &E5_PATH,
        _ => &MINILM_PATH,
    };
    let found = found.get_or_init(|| fetched(model)).clone();
    if found.is_none() {
        skip(&format!("no weights of {model}, and none can be fetched"));
    }
    found
}

/// With the caller's directories and nothing else of theirs.
fn fetched(model: &str) -> Option<PathBuf> {
    let mut command = Command::new(binary());
    command.env_clear();
    for name in [
        "PATH",
        "HOME",
        "XDG_DATA_HOME",
        "PIP_INDEX_URL",
        "PIP_CONFIG_FILE",
    ] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let nowhere = std::env::temp_dir();
    command
        .current_dir(nowhere)
        .args(["model", "fetch", model, "--json"]);
    let output = command.output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).ok()?;
    Some(PathBuf::from(document["path"].as_str()?))
}

/// A place that has the FAQ and a model's weights, its own copies, where the product looks for them.
fn with(model: &str) -> Option<(Place, PathBuf)> {
    let weights = weights(model)?;
    let mut place = Place::new();
    place.write("faq.csv", FAQ);
    place.set("EMBEDDING_PROVIDER", "local");
    place.set("EMBEDDING_MODEL_NAME", model);
    let target = give(&place, model, &weights);
    Some((place, target))
}

fn give(place: &Place, model: &str, weights: &Path) -> PathBuf {
    let models = place.home(".local/smart-support/models");
    let directory = if model == E5 {
        models
    } else {
        models.join(model)
    };
    fs::create_dir_all(&directory).unwrap();
    let mut names = vec![weights.file_name().unwrap()];
    if model == MINILM {
        names.push("tokenizer.json".as_ref());
    }
    for name in names {
        fs::copy(weights.with_file_name(name), directory.join(name)).unwrap();
    }
    directory.join(weights.file_name().unwrap())
}

/// A first sync without the network.
fn migrate(place: &Place) -> Outcome {
    place.run(&["migrate", "--faq-path", "faq.csv", "--offline"])
}

/// The doctor finds a fault and tells this of it.
fn doctor_says(place: &Place, text: &str) {
    let run = place.run(&["doctor", "--offline"]).expect(4);
    assert!(run.stdout.contains(text), "{}", run.stdout);
}

/// Changes one byte, and only that.
fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
}

#[test]
fn a_model_is_chosen_by_any_of_its_names() {
    let Some((mut place, _)) = with(MINILM) else {
        return;
    };
    place.set("EMBEDDING_MODEL_NAME", MINILM_OF);
    let report = place.migrate("faq.csv", &["--offline"]);
    assert_eq!(report["model"]["provider"], "local");
    assert_eq!(report["model"]["name"], MINILM);
    assert_eq!(report["model"]["dimensions"], 384);
    assert_eq!(report["embedded"], 3);
    let question = [
        "my wallet was stolen, stop the plastic",
        "--offline",
        "-k",
        "1",
    ];
    assert_eq!(place.search(&question), ["block"]);
    // Neither the name's spelling nor a provider left unset is another model.
    place.set("EMBEDDING_MODEL_NAME", "ALL-minilm-l6-v2");
    place.unset("EMBEDDING_PROVIDER");
    assert_eq!(place.migrate("faq.csv", &["--offline"])["embedded"], 0);
    assert_eq!(place.search(&question), ["block"]);
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let mut place = Place::new();
    place.write("faq.csv", FAQ);
    place.set("EMBEDDING_PROVIDER", "local");
    place.set("EMBEDDING_MODEL_NAME", "all-MiniLM-L6-v3");
    for args in [
        &["migrate", "--faq-path", "faq.csv"][..],
        &["model", "fetch", "--offline"],
        &["model", "fetch", "all-MiniLM-L6-v3", "--offline"],
    ] {
        let run = place.run(args).expect(2).prints_nothing();
        run.says(&["all-MiniLM-L6-v3", E5, MINILM, "did you mean"]);
    }
    assert!(!place.store().exists());
}

#[test]
fn without_weights_and_without_the_network_the_command_to_type_is_named() {
    let mut place = Place::new();
    place.write("faq.csv", FAQ);
    place.set("EMBEDDING_PROVIDER", "local");
    place.set("EMBEDDING_MODEL_NAME", MINILM_OF);
    let run = migrate(&place).expect(2).prints_nothing();
    run.says(&[
        "no model weights",
        "all-MiniLM-L6-v2/model.safetensors",
        FETCH_MINILM,
    ]);
    // A name that is given counts more than the one that is set.
    let run = place.run(&["model", "fetch", E5, "--offline"]).expect(2);
    run.says(&[
        "e5-small-q4.bin",
        "smart-support model fetch multilingual-e5-small",
    ]);
    let run = place.run(&["model", "warm", "--offline"]).expect(2);
    run.says(&["model.safetensors", FETCH_MINILM]);
}

#[test]
fn weights_that_were_cut_are_refused_with_the_remedy() {
    let Some((place, weights)) = with(MINILM) else {
        return;
    };
    for length in [90_868_375, 20_000, 5_000, 7, 0] {
        let file = OpenOptions::new().write(true).open(&weights).unwrap();
        file.set_len(length).unwrap();
        let run = migrate(&place).expect(2).prints_nothing();
        run.says(&["model.safetensors", FETCH_MINILM]);
        doctor_says(&place, FETCH_MINILM);
    }
    assert!(!place.store().exists());
}

#[test]
fn one_wrong_byte_is_refused_with_the_remedy() {
    let Some((place, weights)) = with(MINILM) else {
        return;
    };
    place.migrate("faq.csv", &["--offline"]);
    let search = ["search", "my card", "--offline"];
    place.run(&search).expect(0);
    // In a word's row, in the middle of a layer, in the header, in the last tensor that is read.
    for at in [5_000_001, 60_000_003, 20, 90_270_000] {
        flip(&weights, at);
        let run = place.run(&search).expect(2).prints_nothing();
        run.says(&[FETCH_MINILM]);
        let run = place.run(&["model", "fetch", "--offline"]).expect(2);
        run.says(&["53aa51172d142c89", FETCH_MINILM]);
        doctor_says(&place, FETCH_MINILM);
        flip(&weights, at);
    }
    place.run(&search).expect(0);
}

#[test]
fn a_tokenizer_that_is_missing_or_anothers_is_refused() {
    let Some((place, weights)) = with(MINILM) else {
        return;
    };
    place.migrate("faq.csv", &["--offline"]);
    let tokenizer = weights.with_file_name("tokenizer.json");
    let right = fs::read_to_string(&tokenizer).unwrap();
    let search = ["search", "my card", "--offline"];
    let wrong = [
        ("{}".to_owned(), "tokenizer.json"),
        (right[..right.len() / 2].to_owned(), "tokenizer.json"),
        // The same number of pieces, two of them the other way round.
        (
            right
                .replace("\"card\":", "\"##card2\":")
                .replace("\"[unused7]\":", "\"card\":"),
            "revision",
        ),
        (
            right.replace("\"lowercase\":true", "\"lowercase\":false"),
            "tokenizer.json",
        ),
        (
            right.replace("\"type\":\"WordPiece\",\"unk", "\"type\":\"BPE\",\"unk"),
            "tokenizer.json",
        ),
    ];
    for (file, said) in wrong {
        assert_ne!(file, right);
        fs::write(&tokenizer, file).unwrap();
        let run = place.run(&search).expect(2).prints_nothing();
        run.says(&[said, FETCH_MINILM]);
    }
    fs::remove_file(&tokenizer).unwrap();
    let run = place.run(&search).expect(2).prints_nothing();
    run.says(&["no tokenizer.json", FETCH_MINILM]);
    doctor_says(&place, "no tokenizer.json");
    fs::write(&tokenizer, right).unwrap();
    place.run(&search).expect(0);
}

#[test]
fn a_path_names_the_file_or_its_directory() {
    let (Some(minilm), Some(e5)) = (weights(MINILM), weights(E5)) else {
        return;
    };
    let mut place = Place::new();
    place.write("faq.csv", FAQ);
    place.set("EMBEDDING_PROVIDER", "local");
    place.set("EMBEDDING_MODEL_NAME", MINILM);
    for path in [&*minilm, minilm.parent().unwrap()] {
        place.set("SMART_SUPPORT_MODEL_PATH", path);
        migrate(&place).expect(0);
        place.run(&["search", "my card", "--offline"]).expect(0);
    }
    // A file of the other model says which name reads it.
    let e5 = e5.to_str().unwrap();
    let run = place.run(&["search", "my card", "--offline", "--model-path", e5]);
    run.expect(2)
        .says(&["EMBEDDING_MODEL_NAME=multilingual-e5-small"]);
    place.set("EMBEDDING_MODEL_NAME", E5);
    let run = place.run(&[
        "search",
        "my card",
        "--offline",
        "--model-path",
        minilm.to_str().unwrap(),
    ]);
    run.expect(2)
        .says(&["EMBEDDING_MODEL_NAME=all-MiniLM-L6-v2"]);
    // A directory without it.
    place.unset("SMART_SUPPORT_MODEL_PATH");
    place.set("EMBEDDING_MODEL_NAME", MINILM);
    let empty = place.home("");
    let run = place.run(&["search", "my card", "--model-path", empty.to_str().unwrap()]);
    run.expect(2).says(&["model.safetensors", "--model-path"]);
}

#[test]
fn a_mirror_serves_either_model() {
    let Some(minilm) = weights(MINILM) else {
        return;
    };
    let mut place = Place::new();
    place.set("EMBEDDING_PROVIDER", "local");
    place.set(
        "SMART_SUPPORT_MODEL_URL",
        format!("file://{}/", minilm.parent().unwrap().display()),
    );
    let document = place.json(&["model", "fetch", "all-minilm"]);
    assert_eq!(
        (&document["model"], &document["downloaded"]),
        (&MINILM.into(), &true.into())
    );
    let document = place.json(&["model", "fetch", MINILM_OF]);
    assert_eq!(document["downloaded"], false);
    let directory = place.home(".local/smart-support/models/all-MiniLM-L6-v2");
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["model.safetensors", "tokenizer.json"]);
    // It does not have the default model, and nothing of it is left.
    let run = place.run(&["model", "fetch"]);
    assert_ne!(run.code, 0);
    run.says(&["e5-small-q4.bin"]);
    assert!(
        !place
            .home(".local/smart-support/models/e5-small-q4.bin")
            .exists()
    );
    // The wrong model's file is told from a damaged one.
    place.set("SMART_SUPPORT_MODEL_URL", &minilm);
    let run = place.run(&["model", "fetch", E5]);
    run.says(&["it is of all-MiniLM-L6-v2"]);
}

#[test]
fn two_models_of_one_width_are_never_mixed() {
    let Some((mut place, _)) = with(MINILM) else {
        return;
    };
    let Some(e5) = weights(E5) else { return };
    give(&place, E5, &e5);
    place.set("EMBEDDING_MODEL_NAME", E5);
    place.migrate("faq.csv", &["--offline"]);
    let before = place.data();
    place.set("EMBEDDING_MODEL_NAME", MINILM_OF);
    for args in [
        &["search", "my card", "--offline"][..],
        &["sync", "--faq-path", "faq.csv", "--offline"],
    ] {
        let run = place.run(args).expect(6).prints_nothing();
        run.says(&[E5, MINILM]);
    }
    assert!(place.data() == before);
    // The way back is a name.
    place.unset("EMBEDDING_MODEL_NAME");
    assert_eq!(
        place.search(&["block my card", "--offline", "-k", "1"]),
        ["block"]
    );
}

#[test]
fn a_dry_run_counts_tokens_with_the_models_own_tokenizer_where_its_weights_are_at_hand() {
    for model in [E5, MINILM] {
        let Some((place, weights)) = with(model) else {
            return;
        };
        let dry = ["migrate", "--faq-path", "faq.csv", "--offline", "--dry-run"];
        let exact = place.json(&dry)["estimate"].clone();
        assert_eq!(exact["tokens_by"], "tokenizer", "{model}: {exact:#}");
        assert_eq!(exact["cost"], 0.0, "what runs in process is free");
        // Three short texts, of about ten words each, with marks and prefixes.
        let tokens = exact["tokens"].as_u64().unwrap();
        assert!((30..=120).contains(&tokens), "{model}: {tokens}");
        let text = place.run(&dry).ok().stdout;
        assert!(text.contains("(by the model's tokenizer)"), "{text}");

        // Nothing is fetched to count better.
        fs::remove_file(weights).unwrap();
        let guess = place.json(&dry)["estimate"].clone();
        assert_eq!(guess["tokens_by"], "estimate", "{model}: {guess:#}");
        assert_eq!(guess["texts"], exact["texts"]);
    }
}
