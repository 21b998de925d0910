//! Embedders that are not there, not right, or not the store's.

use integration_tests::{Faq, Place, StubApi};

use super::{check, doctor, follow, sick, text, well};
use crate::support::{DIMENSIONS, Failing, api, unauthorized, unavailable};

#[test]
fn another_model_than_the_stores_is_found_by_name_and_by_dimensions() {
    let server = api();
    let mut place = Place::stub(&server);
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    well(&place, &[], "model");
    place.set("EMBEDDING_MODEL_NAME", "another-model");
    let details = ["stub-model", "another-model"];
    sick(
        &place,
        &[],
        "model",
        &details,
        "EMBEDDING_MODEL_NAME=stub-model",
    );
    place.set("EMBEDDING_MODEL_NAME", "stub-model");
    well(&place, &[], "model");

    // The same name, other numbers: only the provider's answer can tell.
    let wider = StubApi::start(DIMENSIONS * 2, std::time::Duration::ZERO);
    place.use_stub(&wider);
    let details = ["embedding dimension mismatch", "64", "128"];
    let remedy = sick(&place, &[], "model", &details, "--force-recompute");
    place.set("FAQ_PATH", "faq.csv");
    follow(&place, &remedy, "smart-support migrate --force-recompute");
    well(&place, &[], "model");
}

#[test]
fn the_provider_is_asked_once_and_not_at_all_offline() {
    let server = api();
    let place = Place::stub(&server);
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    let before = server.requests();
    let report = place.json(&["doctor", "--offline"]);
    assert_eq!(check(&report, "provider")["skipped"], true);
    assert_eq!(server.requests(), before);
    assert!(well(&place, &[], "provider").contains("one request"));
    assert_eq!(server.requests(), before + 1);
}

#[test]
fn a_provider_that_refuses_or_is_down_is_named_with_its_remedy() {
    for (reply, details, remedy) in [
        (unauthorized(), "wrong or missing key", "EMBEDDING_API_KEY"),
        (unavailable(), "503", "try again later"),
    ] {
        let provider = Failing::after(0, reply);
        let mut place = Place::stub(&provider.api);
        // Patience is for runs that have something to lose.
        place.set("EMBEDDING_MAX_RETRIES", "5");
        sick(&place, &[], "provider", &[details], remedy);
        assert_eq!(provider.api.requests(), 1);
        provider.mend();
        well(&place, &[], "provider");
    }
    let mut place = Place::new();
    place.set("EMBEDDING_PROVIDER", "ollama");
    place.set("EMBEDDING_BASE_URL", "http://127.0.0.1:9");
    sick(
        &place,
        &[],
        "provider",
        &["127.0.0.1:9"],
        "EMBEDDING_BASE_URL",
    );
}

#[test]
fn an_embedder_that_is_not_configured_is_named() {
    let mut place = Place::new();
    place.set("EMBEDDING_PROVIDER", "openai");
    let remedy = sick(
        &place,
        &[],
        "embedder",
        &["no address"],
        "EMBEDDING_BASE_URL",
    );
    assert!(remedy.starts_with("set "), "{remedy}");
    place.set("EMBEDDING_BASE_URL", "http://127.0.0.1:9/v1");
    well(&place, &["--offline"], "embedder");
}

#[test]
fn weights_that_are_not_there_are_fetched_ahead_of_time() {
    let mut place = Place::new();
    let args = ["--offline"];
    let remedy = sick(
        &place,
        &args,
        "weights",
        &["no model weights"],
        "smart-support model fetch",
    );
    assert!(!remedy.contains("; "), "{remedy}");
    // Ones of our own are taken as they are.
    let own = place.write("own.bin", "weights");
    place.set("SMART_SUPPORT_MODEL_PATH", &own);
    let found = check(&doctor(&place, &args).json(), "weights");
    assert_ne!(
        text(&found["remedy"]),
        "run `smart-support model fetch`",
        "{found:#}"
    );
}
