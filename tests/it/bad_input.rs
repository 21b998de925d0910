//! Every mistake has its exit code, names the next step, and leaves the store exactly as it was.

use integration_tests::{Faq, Place, Reply, Sheet, StubApi, rows};

use crate::support::{DIMENSIONS, unauthorized, unavailable};

fn sheet(name: &str, rows: &[&[&str]]) -> Vec<u8> {
    let rows = rows
        .iter()
        .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect());
    Sheet {
        name: name.to_owned(),
        rows: rows.collect(),
    }
    .bytes()
}

/// An encrypted workbook, as far as anybody without the password sees it.
fn encrypted() -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[..8].copy_from_slice(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]);
    let name = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes);
    for (place, byte) in bytes[1024..].iter_mut().zip(name) {
        *place = byte;
    }
    bytes
}

#[test]
fn a_source_that_cannot_be_used_is_explained() {
    let place = Place::hash();
    place.save("faq.csv", &Faq::of(5));
    place.migrate("faq.csv", &[]);
    place.save("good.xlsx", &Faq::of(5));
    place.write("folder/inside.txt", "");
    place.write("encrypted.xlsx", encrypted());
    place.write("nothing.xlsx", sheet("FAQ", &[]));
    place.write("zero.csv", "");
    place.write("noise.xlsx", [0, 159, 146, 150, 7, 0, 1, 2]);
    place.write("page.xlsx", "<!doctype html><title>Войдите</title>");
    place.write(
        "columns.xlsx",
        sheet("FAQ", &[&["Тема", "Вопрсо", "Раздел"], &["а", "б", "в"]]),
    );
    place.write("columns.csv", "Тема,Вопрсо клиента,Раздел\nа,б,в\n");
    let before = place.data();

    // (source, more flags, what the message says)
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("nowhere.csv", &[], &["nowhere.csv"]),
        ("fag.csv", &[], &["fag.csv", "did you mean \"faq.csv\""]),
        ("nodir/faq.csv", &[], &["no directory"]),
        (
            "folder",
            &[],
            &["inside.txt cannot be read: the file is empty"],
        ),
        (
            "good.xlsx",
            &["--sheet", "FAK"],
            &["no sheet \"FAK\"", "did you mean --sheet \"FAQ\""],
        ),
        (
            "columns.xlsx",
            &[],
            &[
                "no question column",
                "did you mean --map question=\"Вопрсо\"",
            ],
        ),
        (
            "columns.csv",
            &[],
            &["no question column", "--map question="],
        ),
        (
            "good.xlsx",
            &["--map", "question=Примр вопроса"],
            &["did you mean", "Пример вопроса"],
        ),
        (
            "good.xlsx",
            &["--map", "queston=Пример вопроса"],
            &["did you mean --map question="],
        ),
        (
            "good.xlsx",
            &["--map", "question"],
            &["--map question=COLUMN"],
        ),
        ("good.xlsx", &["--embed-text", "{вопрос}"], &["{вопрос}"]),
        ("good.xlsx", &["--embed-text", "{question"], &["{question"]),
        ("nothing.xlsx", &[], &["nothing.xlsx"]),
        ("zero.csv", &[], &["empty"]),
        ("noise.xlsx", &[], &["no workbook", ".xlsx"]),
        ("page.xlsx", &[], &["web page"]),
        ("encrypted.xlsx", &[], &["password", "remove the password"]),
    ];
    for (source, flags, says) in cases {
        for command in ["migrate", "sync"] {
            let run = place.run(&[&[command, "--faq-path", source, "--json"], *flags].concat());
            let run = run.expect(2).prints_nothing();
            assert!(
                run.error().contains(source) || !flags.is_empty(),
                "{}",
                run.error()
            );
            run.says(says);
            assert!(
                place.data() == before,
                "{command} {source} {flags:?} wrote to the store"
            );
        }
    }
}

#[test]
fn a_mistyped_command_line_is_explained() {
    let place = Place::hash();
    place.save("faq.csv", &Faq::of(5));
    place.save("other.csv", &Faq::of(4));
    place.migrate("faq.csv", &[]);
    let before = place.data();
    let faq = ["migrate", "--faq-path", "faq.csv"];
    let with = |more: &[&'static str]| [&faq[..], more].concat();
    let cases: &[(Vec<&str>, &[&str])] = &[
        (
            vec!["migrate", "--faq-pth", "faq.csv"],
            &["--faq-pth", "--faq-path"],
        ),
        (vec!["serch", "карта"], &["serch", "search"]),
        (vec!["migrate"], &["--faq-path", "FAQ_PATH"]),
        (
            with(&["--input", "other.csv"]),
            &["two sources", "other.csv"],
        ),
        (
            with(&["--force-recompute", "--incremental"]),
            &["--incremental"],
        ),
        (with(&["--batch-size", "many"]), &["batch-size", "many"]),
        (with(&["--batch-size", "0"]), &["batch-size"]),
        (with(&["--concurrency", "0"]), &["concurrency"]),
        (
            with(&["--allow-delete", "some"]),
            &["--allow-delete", "50%"],
        ),
        (with(&["--collection", ""]), &["collection"]),
        (with(&["--wait", "long"]), &["30s"]),
        (
            with(&["--storage-backend", "sqlit"]),
            &["did you mean sqlite"],
        ),
        (with(&["--store", "mysql:host"]), &["sqlite:PATH"]),
        (with(&["--config", "none.toml"]), &["none.toml"]),
        (with(&["--env-file", "none.env"]), &["none.env"]),
        (vec!["search"], &["no question", "--query-vector"]),
        (vec!["search", "карта", "--filter", "year"], &["KEY=VALUE"]),
        (vec!["search", "карта", "--filter", "=2020"], &["KEY=VALUE"]),
        (vec!["search", "карта", "--top-k", "0"], &["top-k"]),
        (vec!["search", "карта", "--threshold", "2"], &["threshold"]),
        (vec!["search", "--query-vector", "none.f32"], &["none.f32"]),
        (
            vec!["search", "карта", "--query-vector", "none.f32"],
            &["--query-vector"],
        ),
        (vec!["eval", "none.jsonl"], &["none.jsonl"]),
        (vec!["cache", "prune", "--older-than", "soon"], &["90d"]),
        (vec!["completions", "basch"], &["bash"]),
    ];
    for (args, says) in cases {
        place.run(args).expect(2).prints_nothing().says(says);
        assert!(place.data() == before, "{args:?} wrote to the store");
    }
}

#[test]
fn an_unknown_provider_is_explained() {
    let mut place = Place::new();
    place.save("faq.csv", &Faq::of(5));
    place.set("EMBEDDING_PROVIDER", "opnai");
    let run = place.run(&["migrate", "--faq-path", "faq.csv"]).expect(2);
    run.says(&["opnai", "openai"]);
    place.set("EMBEDDING_PROVIDER", "openai");
    let run = place.run(&["migrate", "--faq-path", "faq.csv"]).expect(2);
    run.says(&["EMBEDDING_BASE_URL"]);
    assert!(!place.store().exists(), "a store was created for nothing");
}

#[test]
fn a_provider_that_fails_is_told_from_one_that_refuses() {
    let status = |code, body: &str| Reply::Status(code, Vec::new(), body.to_owned());
    let cases: Vec<(Reply, i32, &[&str])> = vec![
        (unauthorized(), 2, &["EMBEDDING_API_KEY"]),
        (status(403, ""), 2, &["403"]),
        (status(404, ""), 2, &["404", "EMBEDDING_"]),
        (unavailable(), 75, &["503"]),
        (status(429, ""), 75, &["429"]),
        (
            // What a broken gateway sends passes; an answer of the wrong shape does not.
            Reply::Body("<html>gateway</html>".to_owned()),
            75,
            &["web page"],
        ),
        (Reply::Body(String::new()), 75, &["empty"]),
        (Reply::Body(r#"{"hello":"world"}"#.to_owned()), 1, &[]),
        (Reply::Body(r#"{"data":[]}"#.to_owned()), 1, &[]),
        (
            Reply::Body(r#"{"data":[{"index":7,"embedding":[1.0]}]}"#.to_owned()),
            1,
            &["index"],
        ),
        (Reply::Raw(b"220 smtp ready\r\n".to_vec()), 75, &[]),
    ];
    for (reply, code, says) in cases {
        let good = crate::support::api();
        let mut place = Place::stub(&good);
        let faq = Faq::with_ids(5);
        place.save("faq.csv", &faq);
        place.migrate("faq.csv", &[]);
        let before = rows(&place.store(), "faq");
        // Several rows: nonsense about one text is that row's failure, about every text it is the provider's.
        let edited = faq.edited(|entries| {
            for entry in entries {
                entry.answer.push('!');
            }
        });
        place.save("faq.csv", &edited);

        let shown = format!("{reply:?}");
        let bad = StubApi::scripted(DIMENSIONS, std::time::Duration::ZERO, move |_, _| {
            reply.clone()
        });
        place.use_stub(&bad);
        for args in [&["sync", "--faq-path", "faq.csv"][..], &["search", "карта"]] {
            let run = place.run(args);
            assert_eq!(run.code, code, "{shown} in {}: {}", run.command, run.stderr);
            run.prints_nothing().says(says);
        }
        assert_eq!(rows(&place.store(), "faq"), before, "{shown}");
    }
}

#[test]
fn a_provider_that_is_down_means_try_again() {
    // A port that was free a moment ago: nobody listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut place = Place::stub(&crate::support::api());
    place.set("EMBEDDING_BASE_URL", format!("http://{address}/v1"));
    place.save("faq.csv", &Faq::of(5));
    let run = place.run(&["migrate", "--faq-path", "faq.csv"]).expect(75);
    run.prints_nothing().says(&[&address.to_string()]);
}
