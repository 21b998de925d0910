//! Indexes that the real FAISS wrote, alone and with what is kept beside them, moved in.

use integration_tests::{Backend, on_every_store};
use serde_json::Value;

use crate::import_support::{bytes_of, expected_of_faiss, faiss, held};

/// Every case, and how far a vector may be from what the library gives back; 0 is bit for bit.
const EXACT: [&str; 16] = [
    "flat_ip",
    "flat_ip_old",
    "flat_l2",
    "flat_l2_old",
    "hnsw_flat",
    "hnsw_flat_old",
    "idmap2_flat",
    "idmap2_flat_old",
    "idmap_flat",
    "idmap_flat_old",
    "idmap_hnsw",
    "idmap_hnsw_old",
    "ivf_flat",
    "ivf_flat_old",
    "ivf_flat_sparse",
    "ivf_flat_sparse_old",
];
const LOSSY: [(&str, f32); 7] = [
    ("sq_fp16", 0.0),
    ("pq", 0.0),
    ("sq_4bit", 1e-6),
    ("sq_6bit", 1e-6),
    ("sq_8bit", 1e-6),
    ("sq_8bit_uniform", 1e-6),
    ("pretransform_norm", 1e-6),
];
const WITH_TEXTS: [(&str, f32); 6] = [
    ("langchain", 0.0),
    ("langchain_old", 0.0),
    ("langchain_norm", 1e-6),
    ("hybrid_list", 0.0),
    ("hybrid_object", 0.0),
    ("hybrid_gaps", 0.0),
];

fn exact_indexes_move_in_bit_for_bit(backend: Backend) {
    let place = backend.place();
    for case in EXACT {
        let path = faiss(case).join("index.faiss");
        let path = path.to_str().unwrap();
        let args = [
            "import",
            "faiss",
            path,
            "--model",
            "old-model",
            "--collection",
            case,
        ];
        let report = place.json(&args);
        let expected = expected_of_faiss(case);
        assert_eq!(report["imported"], expected.len() as u64, "{case}");
        assert_eq!(report["coverage"], 1.0, "{case}");
        assert_eq!(report["lossy"], false, "{case}");
        // An index knows no texts: its rows are found, and can never be embedded again.
        assert_eq!(report["without_text"], expected.len() as u64, "{case}");
        let rows = held(&place, backend, case);
        assert!(rows.keys().eq(expected.keys()), "{case}");
        for (id, wanted) in &expected {
            wanted.compare(&format!("{case} {id}"), &rows[id], 0.0);
        }
        let (id, wanted) = expected.iter().next_back().unwrap();
        let query: Vec<u8> = wanted
            .embedding
            .iter()
            .flat_map(|one| one.to_le_bytes())
            .collect();
        place.write("query.f32", query);
        let args = [
            "search",
            "--query-vector",
            "query.f32",
            "--collection",
            case,
            "-k",
            "1",
        ];
        let found = place.json(&args);
        assert_eq!(found["hits"][0]["id"], **id, "{case}");
        assert_eq!(found["hits"][0]["re_embeddable"], false, "{case}");
    }
    assert_eq!(place.json(&["validate"])["ok"], true);
}

fn rounded_vectors_move_in_only_when_that_is_known(backend: Backend) {
    let place = backend.place();
    for (case, tolerance) in LOSSY {
        let path = faiss(case).join("index.faiss");
        let path = path.to_str().unwrap();
        let args = [
            "import",
            "faiss",
            path,
            "--model",
            "old-model",
            "--collection",
            case,
        ];
        let run = place.run(&args).expect(6).prints_nothing();
        assert!(run.error().contains("--allow-lossy"), "{}", run.error());
        let report = place.json(&[&args[..], &["--allow-lossy"]].concat());
        assert_eq!(report["lossy"], true, "{case}");
        let expected = expected_of_faiss(case);
        let rows = held(&place, backend, case);
        assert!(rows.keys().eq(expected.keys()), "{case}");
        for (id, wanted) in &expected {
            wanted.compare(&format!("{case} {id}"), &rows[id], tolerance);
        }
    }
    assert_eq!(place.json(&["validate"])["ok"], true);
}

fn what_is_kept_beside_an_index_moves_in_with_it(backend: Backend) {
    let place = backend.place();
    for (case, tolerance) in WITH_TEXTS {
        let before = bytes_of(&faiss(case));
        let path = faiss(case);
        let path = path.to_str().unwrap();
        let mut args = vec!["import", "faiss", path, "--collection", case, "--json"];
        if case.starts_with("langchain") {
            args.extend(["--model", "old-model"]);
        }
        let run = place.run(&args);
        // One of them has vectors without a row and rows without a vector: they are listed.
        let gaps = case == "hybrid_gaps";
        let run = run.expect(if gaps { 3 } else { 0 });
        let report = run.json();
        let expected = expected_of_faiss(case);
        assert_eq!(report["imported"], expected.len() as u64, "{case}");
        let errors = report["errors"].as_array().unwrap();
        assert_eq!(errors.is_empty(), !gaps, "{errors:#?}");
        assert_eq!(report["coverage"] == 1.0, !gaps, "{case}");
        let rows = held(&place, backend, case);
        assert_eq!(rows.len(), expected.len(), "{case}");
        for (id, wanted) in &expected {
            let row = rows
                .get(id.strip_suffix(":0").unwrap_or(id))
                .or_else(|| rows.get(id));
            wanted.compare(&format!("{case} {id}"), row.unwrap(), tolerance);
            for (key, value) in wanted.metadata.as_object().into_iter().flatten() {
                let told_elsewhere = ["document_id", "chunk_index", "embedding_model"];
                let elsewhere = case.starts_with("hybrid") && told_elsewhere.contains(&&**key);
                if !elsewhere && !matches!(value, Value::Null | Value::Object(_) | Value::Array(_))
                {
                    assert_eq!(&row.unwrap().metadata()[key], value, "{case} {id} {key}");
                }
            }
        }
        assert_eq!(bytes_of(&faiss(case)), before, "{case}");
    }
    assert_eq!(place.json(&["validate"])["ok"], true);
}

fn an_index_that_cannot_be_read_is_refused_by_name(backend: Backend) {
    let place = backend.place();
    let import = |path: &str, more: &[&str]| {
        place.run(&[&["import", "faiss", path, "--model", "m"], more].concat())
    };
    let path = faiss("ivf_pq").join("index.faiss");
    let run = import(path.to_str().unwrap(), &["--allow-lossy"]);
    assert_ne!(run.code, 0);
    assert!(run.error().contains("IwPQ"), "{}", run.error());
    let whole = std::fs::read(faiss("flat_l2").join("index.faiss")).unwrap();
    for cut in [0, 3, 20, whole.len() / 2, whole.len() - 1] {
        place.write("cut.faiss", &whole[..cut]);
        let run = import("cut.faiss", &[]);
        assert_ne!(run.code, 0, "{cut}");
        assert!(run.error().contains("cut.faiss"), "{cut}: {}", run.error());
    }
    let run = import("cut.fais", &[]);
    assert!(run.error().contains("cut.faiss"), "{}", run.error());
    let status = place.run(&["status", "--json"]);
    assert!(status.code != 0 || status.json()["records"].as_u64().unwrap_or(0) == 0);
}

on_every_store! {
    exact_indexes_move_in_bit_for_bit,
    rounded_vectors_move_in_only_when_that_is_known,
    what_is_kept_beside_an_index_moves_in_with_it,
    an_index_that_cannot_be_read_is_refused_by_name,
}
