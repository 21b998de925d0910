//! Chroma's servers: a stand-in that answers as the real ones do, and as they should not.

use std::time::Duration;

use self::stub::{Answer, Asked, Stub, not_found, ok};
use crate::harness::read;
use importers::chroma::http::{ServerOptions, connect};
use secrecy::SecretString;
use serde_json::{Value, json};
use storage_core::{ImportError, ImportErrorKind, ImportSource, MetadataValue, Metric};

mod stub;

const ID: &str = "0f2c5736-3694-4283-9a01-52f5ef0e3c9c";

/// Records of a collection, as a server keeps them.
#[derive(Clone)]
struct Records(Vec<Record>);

/// Id, vector, document, metadata, uri.
type Record = (String, Option<Vec<f32>>, Value, Value, Value);

impl Records {
    fn numbered(count: u32) -> Self {
        let record = |at: u32| {
            let vector = vec![at as f32 + 0.1, -0.5, 3.0];
            (
                format!("id-{at} 😀"),
                Some(vector),
                if at == 3 {
                    Value::Null
                } else {
                    json!(format!("Текст {at}"))
                },
                if at == 4 {
                    Value::Null
                } else {
                    json!({"n": at, "x": 3.0, "list": ["a", "b"], "gone": null})
                },
                if at == 5 {
                    json!("file:///5")
                } else {
                    Value::Null
                },
            )
        };
        Self((0..count).map(record).collect())
    }

    /// Answers to `get` as the servers do: with nothing that was not asked for.
    fn get(&self, body: &Value) -> Answer {
        let include: Vec<&str> = body["include"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        let offset = body["offset"].as_u64().unwrap_or(0) as usize;
        let limit = body["limit"].as_u64().unwrap_or(u64::MAX) as usize;
        let chosen: Vec<_> = match body["ids"].as_array() {
            Some(ids) => self
                .0
                .iter()
                .filter(|record| ids.contains(&json!(record.0)))
                .collect(),
            None => self.0.iter().skip(offset).take(limit).collect(),
        };
        if include.contains(&"embeddings") && chosen.iter().any(|record| record.1.is_none()) {
            return (
                500,
                r#"{"error":"IndexError('list index out of range')"}"#.to_owned(),
            );
        }
        let column = |name: &str, of: &dyn Fn(usize) -> Value| match include.contains(&name) {
            true => (0..chosen.len()).map(of).collect::<Value>(),
            false => Value::Null,
        };
        ok(json!({
            "ids": chosen.iter().map(|record| &record.0).collect::<Vec<_>>(),
            "embeddings": column("embeddings", &|at| json!(chosen[at].1)),
            "documents": column("documents", &|at| chosen[at].2.clone()),
            "metadatas": column("metadatas", &|at| chosen[at].3.clone()),
            "uris": column("uris", &|at| chosen[at].4.clone()),
            "data": null,
            "include": include,
        }))
    }
}

/// A server of 1.x with two databases.
fn newer(records: Records) -> impl FnMut(&Asked) -> Answer + Send {
    let base = "/api/v2/tenants/default_tenant/databases";
    move |asked| {
        let path = asked.target.split('?').next().unwrap();
        match path {
            "/api/v2/heartbeat" => ok(json!({"nanosecond heartbeat": 1})),
            _ if path == base => {
                ok(json!([{"id": "1", "name": "default_database"}, {"id": "2", "name": "support"}]))
            }
            _ if path == format!("{base}/default_database/collections") => ok(json!([
                {"id": ID, "name": "faq", "dimension": 3, "metadata": {"hnsw:space": "l2"},
                 "configuration_json": {"hnsw": {"space": "cosine"}, "embedding_function": null}},
                {"id": "00000000-0000-0000-0000-000000000000", "name": "empty", "dimension": null, "metadata": null,
                 "configuration_json": {}}
            ])),
            _ if path == format!("{base}/support/collections") => ok(json!([
                {"id": "11111111-0000-0000-0000-000000000000", "name": "faq", "dimension": 3, "metadata": null,
                 "configuration_json": {"hnsw": {"space": "ip"}}}
            ])),
            _ if path == format!("{base}/default_database/collections/{ID}/count") => {
                ok(json!(records.0.len()))
            }
            _ if path == format!("{base}/default_database/collections/{ID}/get") => {
                records.get(&asked.body)
            }
            _ if path.ends_with("/count") => ok(json!(0)),
            _ if path.ends_with("/get") => Records(Vec::new()).get(&asked.body),
            _ => not_found(),
        }
    }
}

/// A server of 0.4.
fn older(records: Records) -> impl FnMut(&Asked) -> Answer + Send {
    move |asked| {
        let path = asked.target.split('?').next().unwrap();
        match path {
            "/api/v1/version" => ok(json!("0.4.24")),
            "/api/v1/collections" => ok(json!([
                {"id": ID, "name": "faq", "metadata": {"hnsw:space": "cosine"}, "tenant": "t", "database": "d"}
            ])),
            _ if path == format!("/api/v1/collections/{ID}/count") => ok(json!(records.0.len())),
            _ if path == format!("/api/v1/collections/{ID}/get") => records.get(&asked.body),
            _ => not_found(),
        }
    }
}

fn quick() -> ServerOptions {
    ServerOptions {
        pause: Duration::from_millis(1),
        timeout: Duration::from_secs(30),
        ..ServerOptions::default()
    }
}

fn sources(url: &str, options: &ServerOptions) -> Result<Vec<Box<dyn ImportSource>>, ImportError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(connect(url, options))
}

fn wanted(collection: &str) -> ServerOptions {
    ServerOptions {
        collections: vec![collection.to_owned()],
        ..quick()
    }
}

/// Two readings of a source are two of everything.
fn check_records(source: &dyn ImportSource, count: u32) {
    let found = read(source);
    assert!(found.error.is_none(), "{:?}", found.error);
    assert_eq!(found.faults, []);
    assert_eq!(found.records.len() as u32, count);
    for (at, record) in (0..count).zip(&found.records) {
        assert_eq!(record.document, format!("id-{at} 😀"));
        assert_eq!(record.embedding.as_slice(), [at as f32 + 0.1, -0.5, 3.0]);
        assert_eq!(record.text, (at != 3).then(|| format!("Текст {at}")));
        let mut keys = Vec::new();
        if at == 5 {
            keys.push("chroma:uri");
        }
        if at != 4 {
            keys.extend(["list", "n", "x"]);
            assert_eq!(record.metadata["n"], MetadataValue::I64(at.into()));
            assert_eq!(record.metadata["x"], MetadataValue::F64(3.0));
        }
        assert_eq!(record.metadata.keys().collect::<Vec<_>>(), keys);
        assert_eq!(record.locator.row, Some(at.into()));
    }
}

#[test]
fn a_server_of_today_is_read_page_by_page() {
    let stub = Stub::new(newer(Records::numbered(701)));
    let sources = sources(&format!("{}/", stub.url), &quick()).unwrap();
    let names: Vec<_> = sources
        .iter()
        .map(|source| &*source.collection().name)
        .collect();
    assert_eq!(names, ["empty", "faq", "support/faq"]);
    let about = sources[1].collection();
    assert_eq!(
        (about.kind, about.total, about.metric),
        ("chroma", 701, Metric::Cosine)
    );
    assert_eq!(about.dimensions.unwrap().get(), 3);
    assert_eq!(about.location, stub.url);
    assert_eq!(sources[2].collection().metric, Metric::InnerProduct);
    check_records(&*sources[1], 701);
    assert_eq!(read(&*sources[0]).records, []);
    let pages: Vec<_> = stub
        .asked()
        .iter()
        .filter(|asked| asked.method == "POST" && asked.target.contains(ID))
        .map(|asked| {
            (
                asked.body["limit"].as_u64().unwrap(),
                asked.body["offset"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(pages[..4], [(300, 0), (300, 300), (300, 600), (300, 701)]);
}

#[test]
fn a_server_of_the_first_language_is_read_as_well() {
    let stub = Stub::new(older(Records::numbered(12)));
    let sources = sources(&format!("{}/api/v1", stub.url), &wanted("faq")).unwrap();
    assert_eq!(sources[0].collection().metric, Metric::Cosine);
    assert_eq!(sources[0].collection().dimensions, None);
    check_records(&*sources[0], 12);
    let listing = stub
        .asked()
        .into_iter()
        .find(|asked| asked.target.contains("collections?"))
        .unwrap();
    // Both of limit and offset, or neither: old servers fail over one of them.
    assert!(
        listing
            .target
            .contains("limit=100&offset=0&tenant=default_tenant&database=default_database")
    );
}

#[test]
fn records_that_an_old_server_has_forgotten_are_faults_and_cost_nobody_else() {
    let mut records = Records::numbered(310);
    for at in [7, 305] {
        records.0[at].1 = None;
    }
    let stub = Stub::new(older(records));
    let sources = sources(&stub.url, &quick()).unwrap();
    let found = read(&*sources[0]);
    assert!(found.error.is_none(), "{:?}", found.error);
    assert_eq!(found.records.len(), 308);
    let lost: Vec<_> = found
        .faults
        .iter()
        .map(|fault| (fault.id.as_deref().unwrap(), fault.row))
        .collect();
    assert_eq!(lost, [("id-7 😀", Some(7)), ("id-305 😀", Some(305))]);
    assert!(
        found.faults[0]
            .reason
            .contains("import the server's directory")
    );
}

#[test]
fn vectors_that_are_none_are_faults_with_their_ids() {
    let mut rule = newer(Records(Vec::new()));
    let page = json!({
        "ids": ["nan", "short", "zero", "none", "object", "good"],
        "embeddings": [[1.0, null, 1.0], [1.0], [0.0, 0.0, 0.0], null, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]],
        "documents": null,
        "metadatas": [null, null, null, null, {"sparse": {"#type": "sparse_vector"}}, null],
    });
    let stub = Stub::new(move |asked: &Asked| match &asked.target {
        target if target.ends_with(&format!("{ID}/count")) => ok(json!(6)),
        target if target.ends_with(&format!("{ID}/get")) && asked.body["offset"] == 0 => {
            ok(page.clone())
        }
        _ => rule(asked),
    });
    let found = read(&*sources(&stub.url, &wanted("default_database/faq")).unwrap()[0]);
    assert!(found.error.is_none(), "{:?}", found.error);
    let faults: Vec<_> = found
        .faults
        .iter()
        .map(|fault| (fault.id.as_deref().unwrap(), &*fault.reason))
        .collect();
    for ((id, reason), (wanted, part)) in faults.iter().zip([
        ("nan", "not finite"),
        ("short", "1 numbers instead of 3"),
        ("zero", "norm"),
        ("none", "no vector"),
        ("object", "no plain value under \"sparse\""),
    ]) {
        assert_eq!(*id, wanted);
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!((faults.len(), found.records.len()), (5, 1));
}

#[test]
fn a_server_that_is_written_to_meanwhile_is_noticed() {
    // How much it says it holds, question by question; the sources ask once, a reading before and after.
    for counts in [vec![5, 6], vec![5, 5, 6], vec![9, 9, 9]] {
        let mut inner = newer(Records::numbered(5));
        let mut counts = counts.into_iter();
        let stub =
            Stub::new(
                move |asked: &Asked| match asked.target.ends_with(&format!("{ID}/count")) {
                    true => ok(json!(counts.next().unwrap_or(6))),
                    false => inner(asked),
                },
            );
        let source = &sources(&stub.url, &wanted("default_database/faq")).unwrap()[0];
        let error = first_error(&**source);
        assert_eq!(error.kind(), ImportErrorKind::Changing, "{error}");
    }
    // One id on two pages: something was inserted before it.
    let records = Records::numbered(301);
    let mut inner = newer(records.clone());
    let stub = Stub::new(move |asked: &Asked| {
        if asked.target.ends_with(&format!("{ID}/get")) && asked.body["offset"] == 300 {
            return records
                .get(&json!({"include": asked.body["include"], "offset": 299, "limit": 1}));
        }
        inner(asked)
    });
    let source = &sources(&stub.url, &wanted("default_database/faq")).unwrap()[0];
    assert_eq!(first_error(&**source).kind(), ImportErrorKind::Changing);
}

fn first_error(source: &dyn ImportSource) -> ImportError {
    crate::harness::once(source).error.unwrap()
}

#[test]
fn secrets_travel_in_headers_and_appear_nowhere_else() {
    let stub = Stub::new(newer(Records::numbered(1)));
    let with_token = ServerOptions {
        token: Some(SecretString::from("S3CRET")),
        ..quick()
    };
    assert!(!format!("{with_token:?}").contains("S3CRET"));
    let found = sources(&stub.url, &with_token).unwrap();
    assert!(!format!("{found:?}").contains("S3CRET"));
    for asked in stub.asked() {
        assert_eq!(asked.headers["authorization"], "Bearer S3CRET");
        assert_eq!(asked.headers["x-chroma-token"], "S3CRET");
        assert!(!asked.target.contains("S3CRET"));
    }
    // A user and a password, from the address.
    let stub = Stub::new(newer(Records::numbered(1)));
    let address = stub.url.replace("http://", "http://anna:S3%20CRET@");
    let found = sources(&format!("{address}/?token=S3CRET"), &quick()).unwrap();
    assert_eq!(found[0].collection().location, stub.url);
    for asked in stub.asked() {
        // anna:S3 CRET
        assert_eq!(asked.headers["authorization"], "Basic YW5uYTpTMyBDUkVU");
        assert!(!asked.target.contains("S3"));
    }
}

#[test]
fn a_server_that_refuses_is_not_asked_again_and_repeats_no_secret() {
    for (status, kind) in [
        (401, ImportErrorKind::Refused),
        (403, ImportErrorKind::Refused),
        (400, ImportErrorKind::Unsupported),
        (302, ImportErrorKind::Unsupported),
    ] {
        let stub = Stub::new(move |_| (status, "{\"error\":\"bad token S3CRET\"}".to_owned()));
        let options = ServerOptions {
            token: Some(SecretString::from("S3CRET")),
            ..quick()
        };
        let error = sources(&stub.url, &options).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(
            !format!("{error} {error:?}").contains("S3CRET"),
            "{error:?}"
        );
        assert_eq!(stub.asked().len(), 1);
    }
}

#[test]
fn what_may_pass_is_tried_again_and_not_for_ever() {
    for status in [500, 502, 503, 429] {
        let stub = Stub::new(move |_| (status, "overloaded".to_owned()));
        let error = sources(&stub.url, &quick()).unwrap_err();
        assert_eq!(error.kind(), ImportErrorKind::Unavailable, "{error}");
        assert_eq!(stub.asked().len(), 4);
        // Twice nothing, then everything.
        let (mut failures, mut inner) = (2, newer(Records::numbered(3)));
        let stub = Stub::new(move |asked: &Asked| {
            if failures > 0 {
                failures -= 1;
                return (status, String::new());
            }
            inner(asked)
        });
        assert_eq!(sources(&stub.url, &quick()).unwrap().len(), 3);
    }
    let nobody = {
        let stub = Stub::new(|_| not_found());
        stub.url.clone()
    };
    let error = sources(&nobody.replace("http://", "http://u:S3CRET@"), &quick()).unwrap_err();
    assert_eq!(error.kind(), ImportErrorKind::Unavailable);
    assert!(!error.to_string().contains("S3CRET"), "{error}");
}

#[test]
fn what_is_no_chroma_server_says_so() {
    for body in ["<html>hello</html>", "{}", "[1]"] {
        let stub = Stub::new(move |_| (200, body.to_owned()));
        let error = sources(&stub.url, &quick()).unwrap_err();
        assert_eq!(error.kind(), ImportErrorKind::Unsupported, "{error}");
    }
    let stub = Stub::new(|_| not_found());
    let error = sources(&stub.url, &quick()).unwrap_err();
    assert_eq!(error.kind(), ImportErrorKind::Unsupported);
    assert!(error.to_string().contains("no Chroma server"), "{error}");
    // Columns that do not fit each other, and more than was asked for.
    let pages = [
        json!({"ids": ["a", "b"], "embeddings": [[1.0]]}),
        json!({"ids": ["a"], "documents": []}),
        json!({"ids": (0..301).map(|at| at.to_string()).collect::<Vec<_>>()}),
        json!({"embeddings": []}),
        json!({"ids": ["a"], "embeddings": [["1.0"]]}),
    ];
    for page in pages {
        let mut inner = newer(Records::numbered(2));
        let stub = Stub::new(move |asked: &Asked| match asked.target.ends_with("/get") {
            true => ok(page.clone()),
            false => inner(asked),
        });
        let source = &sources(&stub.url, &wanted("default_database/faq")).unwrap()[0];
        assert_eq!(first_error(&**source).kind(), ImportErrorKind::Unsupported);
    }
}

#[test]
fn a_name_that_the_server_does_not_know_is_answered_with_those_it_does() {
    let stub = Stub::new(newer(Records::numbered(1)));
    let error = sources(&stub.url, &wanted("fak")).unwrap_err();
    assert_eq!(error.kind(), ImportErrorKind::NotFound);
    assert!(error.to_string().contains("did you mean `faq`?"), "{error}");
    let elsewhere = ServerOptions {
        database: Some("nowhere".to_owned()),
        ..quick()
    };
    let error = sources(&stub.url, &elsewhere).unwrap_err();
    assert_eq!(error.kind(), ImportErrorKind::NotFound);
    assert!(error.to_string().contains("`nowhere`"), "{error}");
}

#[test]
fn an_answer_that_is_too_large_is_asked_for_in_smaller_pages() {
    let records = Records::numbered(4);
    let mut inner = newer(records);
    let padding = " ".repeat(65 << 20);
    let stub = Stub::new(move |asked: &Asked| {
        let large = asked.target.ends_with("/get") && asked.body["limit"].as_u64() > Some(150);
        let (status, body) = inner(asked);
        (status, if large { body + &padding } else { body })
    });
    let source = &sources(&stub.url, &wanted("default_database/faq")).unwrap()[0];
    assert_eq!(crate::harness::once(&**source).records.len(), 4);
    // And what is too large however little is asked for ends.
    let mut inner = newer(Records::numbered(4));
    let padding = " ".repeat(65 << 20);
    let stub = Stub::new(move |asked: &Asked| {
        let (status, body) = inner(asked);
        (
            status,
            if asked.target.ends_with("/get") {
                body + &padding
            } else {
                body
            },
        )
    });
    let source = &sources(&stub.url, &wanted("default_database/faq")).unwrap()[0];
    assert_eq!(first_error(&**source).kind(), ImportErrorKind::TooLarge);
}

#[test]
fn secrets_do_not_travel_in_the_open_and_bad_addresses_are_not_repeated() {
    for address in [
        "",
        "S3CRET",
        "ftp://S3CRET@h",
        "http://u:S3CRET@example.com",
    ] {
        let error = sources(address, &quick()).unwrap_err();
        assert_eq!(error.kind(), ImportErrorKind::Refused, "{address}");
        assert!(!error.to_string().contains("S3CRET"), "{error}");
    }
}
