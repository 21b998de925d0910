//! Settings that cannot be read, fight, or tell secrets.

use integration_tests::{KEY, Place};

use super::{allow, doctor, filled, finds, follow, sick, well};

#[test]
fn settings_that_cannot_be_read_are_the_first_thing_to_mend() {
    let mut place = filled();
    place.unset("EMBEDDING_API_KEY");
    place.set("EMBEDDING_API_KEY_FILE", "no-such-file");
    let details = ["EMBEDDING_API_KEY_FILE", "cannot be read"];
    sick(&place, &[], "settings", &details, "it takes a path");
    place.write("no-such-file", "key");
    allow(&place.path("no-such-file"), 0o600);
    well(&place, &[], "settings");

    place.set("EMBEDDING_TIMEOUT", "soon");
    sick(
        &place,
        &[],
        "settings",
        &["soon", "EMBEDDING_TIMEOUT"],
        "expected a time such as 60s",
    );
    place.set("EMBEDDING_TIMEOUT", "5s");
    well(&place, &[], "settings");
}

#[test]
fn settings_that_fight_are_named() {
    let mut place = filled();
    place.set("DATABASE_URL", "postgresql://u:SECRET@host/db");
    place.set("STORAGE_BACKEND", "sqlite");
    let details = ["DATABASE_URL", "passed over"];
    sick(
        &place,
        &[],
        "settings_agree",
        &details,
        "unset DATABASE_URL",
    );
    place.unset("DATABASE_URL");
    well(&place, &[], "settings_agree");
    place.set("EMBEDDING_BASE_URL", "http://127.0.0.1:9/v1");
    sick(
        &place,
        &[],
        "settings_agree",
        &["hash"],
        "EMBEDDING_PROVIDER=openai",
    );
    place.unset("EMBEDDING_BASE_URL");
    well(&place, &[], "settings_agree");
}

#[test]
fn a_file_with_a_key_is_for_its_owner() {
    let mut place = filled();
    place.unset("EMBEDDING_API_KEY");
    let file = place.write(".env", format!("EMBEDDING_API_KEY={KEY}\n"));
    allow(&file, 0o644);
    let remedy = sick(
        &place,
        &[],
        "secrets_private",
        &[".env", "644"],
        "chmod 600",
    );
    follow(&place, &remedy, "chmod");
    well(&place, &[], "secrets_private");
}

#[test]
fn a_postgres_store_is_told_the_truth_and_its_password_is_not_shown() {
    let mut place = Place::hash();
    place.set(
        "DATABASE_URL",
        "postgresql://app:pa@SECRET:w/rd@db.example.com:5432/faq",
    );
    let run = doctor(&place, &[]).expect(4);
    assert!(!run.stdout.contains("SECRET") && !run.stderr.contains("SECRET"));
    let masked = "postgresql://app:***%40***%3A***%2F***@db.example.com:5432/faq";
    finds(
        run.clone(),
        "database_url",
        &["could not translate host name"],
        masked,
    );
    finds(
        run,
        "server_settings",
        &["the password in the URL holds characters that end it"],
        masked,
    );
    place.set(
        "DATABASE_URL",
        "postgresql://app:pa%40SECRET@db.example.com:5432/faq",
    );
    well(&place, &[], "database_url");
}
