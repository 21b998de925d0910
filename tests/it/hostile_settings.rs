//! Settings files and `.env` files that were built to hurt, by somebody whose directory we stand below.

use std::time::Duration;

use integration_tests::Place;

const MEMORY: u64 = 256 << 20;
const TIME: Duration = Duration::from_secs(20);

#[track_caller]
fn refuses(place: &Place, args: &[&str], says: &[&str]) {
    let peak = env!("CARGO_BIN_EXE_peak");
    let args = [args, &["config", "show"]].concat();
    let (run, usage) = place.run_measured(peak, &args);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    let run = run.expect(2).says(says);
    assert!(
        run.error().len() < 1_000,
        "a page of an error: {}",
        run.error()
    );
    assert!(
        usage.resident <= MEMORY && usage.processor <= TIME,
        "{} took {usage:?}",
        run.command
    );
}

#[test]
fn variables_that_multiply_are_refused() {
    let place = Place::hash();
    let mut text = "A0=xxxxxxxxxxxxxxxx\n".to_owned();
    for number in 1..40 {
        let before = number - 1;
        text += &format!("A{number}=${{A{before}}}${{A{before}}}${{A{before}}}${{A{before}}}\n");
    }
    place.write(".env", text);
    refuses(&place, &[], &[".env cannot be read", "larger than 1 MiB"]);
    // Each of them within the limit, all of them not.
    let value = "x".repeat(500_000);
    let text = format!("A={value}\n") + &"B=$A\n".repeat(100);
    place.write(".env", text);
    refuses(&place, &[], &["the values are together larger than 1 MiB"]);
}

#[test]
fn files_without_end_are_refused() {
    let place = Place::hash();
    let large = "# remark\n".repeat(200_000);
    refuses(&place, &["--env-file", "/dev/zero"], &["larger than 1 MiB"]);
    place.write(".env", &large);
    refuses(&place, &[], &[".env cannot be read", "larger than 1 MiB"]);
    place.write(".env", "");
    place.write("smart-support.toml", &large);
    refuses(&place, &[], &["smart-support.toml", "larger than 1 MiB"]);
}

#[test]
fn a_key_file_without_end_is_refused() {
    let mut place = Place::hash();
    place.unset("EMBEDDING_API_KEY");
    place.set("EMBEDDING_API_KEY_FILE", "/dev/zero");
    refuses(
        &place,
        &[],
        &["EMBEDDING_API_KEY_FILE", "larger than 1 MiB"],
    );
}

#[test]
fn keys_that_multiply_or_steer_the_terminal_are_refused() {
    let place = Place::hash();
    let inner = (0..20_000).map(|number| format!("a{number} = 1"));
    let inner = inner.collect::<Vec<_>>().join(", ");
    place.write(
        "smart-support.toml",
        format!("{} = {{ {inner} }}\n", "k".repeat(500_000)),
    );
    refuses(&place, &[], &["a key is longer than 200 characters: kkk"]);
    place.write("smart-support.toml", "\"\\u001b[2Jstore\" = 1\n");
    refuses(&place, &[], &["unknown key \\u{1b}[2Jstore"]);
    place.write("smart-support.toml", format!("a = {}", "[".repeat(500_000)));
    refuses(&place, &[], &["smart-support.toml"]);
}

/// A password may hold dollar signs, and a mark at the beginning of a file is no part of the first name.
#[test]
fn ordinary_env_files_stay_readable() {
    let place = Place::hash();
    place.write(
        ".env",
        "\u{feff}RAG_TOP_K=7\nHOST=db\nURL=postgres://${USER}:'p$$w$rd$'@${HOST}/$HOST\n",
    );
    let run = place.run(&["config", "show"]).ok();
    assert!(run.stdout.contains("search.top-k = 7"), "{}", run.stdout);
}
