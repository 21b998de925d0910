//! Where values come from, and that nobody has to guess.

use integration_tests::{Faq, Place};
use serde_json::Value;

use crate::support::api;

fn setting(place: &Place, key: &str, flags: &[&str]) -> (Value, Value) {
    let document = place.json(&[&["config", "show", "--origin"], flags].concat());
    let rows = document["settings"].as_array().unwrap();
    let row = rows.iter().find(|row| row["key"] == key).unwrap();
    (row["value"].clone(), row["origin"].clone())
}

#[test]
fn flag_beats_environment_beats_env_file_beats_settings_file_beats_user_file_beats_default() {
    let mut place = Place::new();
    let project = "[storage]\nsqlite-path = \"project.db\"\n";
    place.write("smart-support.toml", project);
    place.write(".env", "SQLITE_DB_PATH=dotenv.db\n");
    place.set("SQLITE_DB_PATH", "environment.db");
    let user = place.home(".config/smart-support/smart-support.toml");
    std::fs::create_dir_all(user.parent().unwrap()).unwrap();
    std::fs::write(&user, project.replace("project", "user")).unwrap();
    let look = |place: &Place, flags: &[&str]| {
        let (value, origin) = setting(place, "storage.sqlite-path", flags);
        let store = place.json(&[&["config", "show"], flags].concat())["store"].clone();
        assert_eq!(store, format!("sqlite:{}", value.as_str().unwrap()));
        (
            value.as_str().unwrap().to_owned(),
            origin.as_str().unwrap().to_owned(),
        )
    };

    let (value, origin) = look(&place, &["--sqlite-path", "flag.db"]);
    assert_eq!((&*value, &*origin), ("flag.db", "flag"));
    let (value, origin) = look(&place, &[]);
    assert_eq!(
        (&*value, &*origin),
        ("environment.db", "environment SQLITE_DB_PATH")
    );
    // An empty variable is an unset one.
    place.set("SQLITE_DB_PATH", "");
    let (value, origin) = look(&place, &[]);
    assert_eq!(value, "dotenv.db");
    assert!(origin.ends_with(".env SQLITE_DB_PATH"), "{origin}");
    std::fs::remove_file(place.path(".env")).unwrap();
    let (value, origin) = look(&place, &[]);
    assert_eq!((&*value, &*origin), ("project.db", "smart-support.toml"));
    std::fs::remove_file(place.path("smart-support.toml")).unwrap();
    let (value, origin) = look(&place, &[]);
    assert_eq!(
        (value, origin),
        ("user.db".to_owned(), user.display().to_string())
    );
    std::fs::remove_file(user).unwrap();
    let (value, origin) = look(&place, &[]);
    assert_eq!((&*value, &*origin), ("data/embeddings.db", "default"));
}

#[test]
fn a_value_is_what_the_command_then_does() {
    let mut place = Place::hash();
    place.save("faq.csv", &Faq::of(20));
    place.set("FAQ_PATH", "faq.csv");
    place.write(".env", "SQLITE_DB_PATH=from-dotenv.db\nRAG_TOP_K=7\n");
    place.write(
        "smart-support.toml",
        "collection = \"cards\"\n[search]\ntop-k = 5\n",
    );
    let report = place.json(&["migrate"]);
    assert_eq!(report["collection"], "cards");
    assert_eq!(report["new"], 20);
    assert!(place.path("from-dotenv.db").is_file());
    assert!(!place.store().exists());
    assert_eq!(place.search(&["карта"]).len(), 7);
    assert_eq!(place.search(&["карта", "--top-k", "2"]).len(), 2);
    place.set("RAG_TOP_K", "4");
    assert_eq!(place.search(&["карта"]).len(), 4);
}

#[test]
fn a_source_is_chosen_by_the_nearest_word() {
    let mut place = Place::hash();
    place.save("a.csv", &Faq::of(3));
    place.save("b.csv", &Faq::of(4));
    place.set("INPUT_DATASET", "a.csv");
    let total = |place: &Place, flags: &[&str]| {
        place.json(&[&["migrate", "--dry-run"], flags].concat())["total"].clone()
    };
    assert_eq!(total(&place, &[]), 3);
    assert_eq!(total(&place, &["--input", "b.csv"]), 4);
    assert_eq!(total(&place, &["--faq-path", "b.csv"]), 4);
    place.set("FAQ_PATH", "b.csv");
    let run = place.run(&["migrate", "--dry-run"]).expect(2);
    run.says(&["FAQ_PATH", "INPUT_DATASET", "a.csv", "b.csv"]);
    assert_eq!(total(&place, &["--input", "a.csv"]), 3);
}

#[test]
fn the_store_is_chosen_by_the_nearest_word() {
    let mut place = Place::new();
    let store = |place: &Place, flags: &[&str]| {
        place.json(&[&["config", "show"], flags].concat())["store"].clone()
    };
    assert_eq!(store(&place, &[]), "sqlite:data/embeddings.db");
    place.set("DATABASE_URL", "postgres://user:hush@db.example/faq");
    let url = "postgres://user@db.example:5432/faq";
    assert_eq!(store(&place, &[]), url);
    place.set("STORAGE_BACKEND", "sqlite");
    assert_eq!(store(&place, &[]), "sqlite:data/embeddings.db");
    assert_eq!(store(&place, &["--storage-backend", "postgres"]), url);
    assert_eq!(store(&place, &["--sqlite-path", "x.db"]), "sqlite:x.db");
    place.set("STORAGE_BACKEND", "postgres");
    assert_eq!(store(&place, &["--sqlite-path", "x.db"]), "sqlite:x.db");
    let all = [
        "--store",
        "sqlite:y.db",
        "--storage-backend",
        "postgres",
        "--sqlite-path",
        "x.db",
    ];
    assert_eq!(store(&place, &all), "sqlite:y.db");
}

#[test]
fn a_database_url_that_is_passed_over_is_named_once_and_without_its_password() {
    let mut place = Place::new();
    place.set("DATABASE_URL", "postgres://user:hush@db.example/faq");
    for flags in [
        &["--store", "sqlite:y.db"][..],
        &["--storage-backend", "sqlite"],
    ] {
        let run = place.run(&[&["config", "show"], flags].concat()).ok();
        let named = run
            .stderr
            .lines()
            .filter(|line| line.contains("DATABASE_URL"));
        assert_eq!(named.count(), 1, "{}", run.stderr);
        assert!(!run.stderr.contains("hush") && !run.stdout.contains("hush"));
    }
    // Not passed over, it is meant: and nobody knows a server of that name.
    let run = place.run(&["status"]).expect(75).prints_nothing();
    assert!(!run.stderr.contains("hush"));
    run.says(&["db.example"]);
}

#[test]
fn secrets_are_masked_and_read_from_files() {
    let mut place = Place::new();
    place.set("EMBEDDING_API_KEY", "sk-hush");
    let (value, origin) = setting(&place, "embedding.api-key", &[]);
    assert_eq!(
        (value, origin),
        ("********".into(), "environment EMBEDDING_API_KEY".into())
    );
    assert!(
        !place
            .run(&["config", "show", "--origin"])
            .ok()
            .stdout
            .contains("hush")
    );

    let api = crate::support::api();
    let mut place = Place::stub(&api);
    place.unset("EMBEDDING_API_KEY");
    let path = place.write("key", "sk-from-file\n");
    place.set("EMBEDDING_API_KEY_FILE", &path);
    let (value, origin) = setting(&place, "embedding.api-key", &[]);
    assert_eq!(
        (value, origin),
        (
            "********".into(),
            "environment EMBEDDING_API_KEY_FILE".into()
        )
    );
    place.save("faq.csv", &Faq::of(3));
    place.migrate("faq.csv", &[]);
    let sent = api.ledger()[0].authorization.clone();
    assert_eq!(sent.as_deref(), Some("Bearer sk-from-file"));

    place.set("EMBEDDING_API_KEY_FILE", place.path("nowhere"));
    let run = place.run(&["status"]).expect(2);
    run.says(&["EMBEDDING_API_KEY_FILE", "nowhere"]);
}

#[test]
fn a_mistake_in_a_settings_file_is_explained() {
    let place = Place::new();
    let cases: &[(&str, &[&str])] = &[
        (
            "[storage]\nsqlite-pth = \"x\"\n",
            &["storage.sqlite-pth", "did you mean storage.sqlite-path"],
        ),
        ("storage = \n", &["smart-support.toml"]),
        (
            "[search]\ntop-k = \"many\"\n",
            &["search.top-k", "many", "smart-support.toml"],
        ),
    ];
    for (text, says) in cases {
        place.write("smart-support.toml", text);
        place
            .run(&["search", "карта"])
            .expect(2)
            .prints_nothing()
            .says(says);
    }
}

#[test]
fn a_broken_env_file_does_not_print_its_lines() {
    let place = Place::new();
    place.write(".env", "EMBEDDING_API_KEY sk-hush\n");
    let run = place.run(&["status"]).expect(2);
    assert!(!run.stderr.contains("hush"), "{}", run.stderr);
    run.says(&[".env"]);
}

#[test]
fn a_proxy_and_plain_http_are_used_when_asked_for_in_so_many_words() {
    let proxy = api();
    let mut place = Place::stub(&proxy);
    place.save("faq.csv", &Faq::of(3));
    let far = "http://embeddings.example:8080/v1";
    place.set("EMBEDDING_BASE_URL", far);
    let run = ["migrate", "--faq-path", "faq.csv"];
    let refused = place.run(&run).expect(2);
    for part in ["embeddings.example", "EMBEDDING_ALLOW_PLAIN_HTTP=true"] {
        assert!(refused.error().contains(part), "{}", refused.error());
    }
    place.set("EMBEDDING_ALLOW_PLAIN_HTTP", "true");
    // What other programs go through is nothing that we go through.
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        place.set(name, proxy.url());
    }
    place.run(&run).expect(75);
    assert_eq!(proxy.requests(), 0);
    place.set("EMBEDDING_PROXY", proxy.url());
    place.run(&run).ok();
    assert_eq!(proxy.ledger()[0].path, format!("{far}/embeddings"));
}
