//! Sources that were built to hurt: each is refused with the limit it broke, in bounded time and memory, and leaves the
//! store byte for byte as it was. Everything here is made while the tests run.
//!
//! Memory and processor time are what the kernel says about the product's process. The time allowed is ten times the 2 s
//! that a source may take: tests run a build that is hardly optimised.

mod container;
mod files;
mod records;
mod tables;
mod workbooks;

use std::time::Duration;

use integration_tests::{Faq, Outcome, Place, Snapshot};

/// Resident memory that the product may take for a source it refuses.
const MEMORY: u64 = 256 << 20;
const TIME: Duration = Duration::from_secs(20);

/// A hostile source: a file's name, what is in it, and what the message must say.
struct Case {
    file: &'static str,
    bytes: Vec<u8>,
    says: &'static [&'static str],
}

fn case(file: &'static str, bytes: impl Into<Vec<u8>>, says: &'static [&'static str]) -> Case {
    Case {
        file,
        bytes: bytes.into(),
        says,
    }
}

/// A place with a store that must not change. Sources are put beside the working directory, which is looked at whole.
struct Range {
    place: Place,
    before: Snapshot,
}

impl Range {
    fn new() -> Self {
        let place = Place::hash();
        place.save("faq.csv", &Faq::with_ids(5));
        place.migrate("faq.csv", &[]);
        let before = place.files();
        Self { place, before }
    }

    /// Writes a source and gives its path.
    fn put(&self, file: &str, bytes: &[u8]) -> String {
        let path = self.place.home(file);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs the product and checks what holds for every source.
    #[track_caller]
    fn run(&self, args: &[&str]) -> Outcome {
        let peak = env!("CARGO_BIN_EXE_peak");
        let (run, usage) = self.place.run_measured(peak, args);
        assert!(
            usage.resident <= MEMORY && usage.processor <= TIME,
            "{} took {} MiB and {:?}\n{}",
            run.command,
            usage.resident >> 20,
            usage.processor,
            run.stderr
        );
        for panic in ["panicked", "RUST_BACKTRACE", "overflowed its stack"] {
            assert!(
                !run.stderr.contains(panic),
                "{}\n{}",
                run.command,
                run.stderr
            );
        }
        run
    }

    #[track_caller]
    fn untouched(&self, what: &str) {
        assert!(
            self.place.files() == self.before,
            "{what} changed the working directory"
        );
    }

    /// `sync --dry-run` and `migrate` both refuse the source and say why.
    #[track_caller]
    fn refuses(&self, source: &str, says: &[&str]) {
        for command in [&["sync", "--dry-run"][..], &["migrate"]] {
            let run = self.run(&[command, &["--faq-path", source]].concat());
            let run = run.expect(2).says(says);
            assert!(
                run.error().contains(source),
                "{} does not name its source",
                run.error()
            );
            assert!(
                run.error().len() < 1_000,
                "a page of an error: {}",
                run.error()
            );
            self.untouched(&run.command);
        }
    }

    /// Refuses every case, one after the other.
    #[track_caller]
    fn refuses_all(&self, cases: Vec<Case>) {
        for Case { file, bytes, says } in cases {
            let source = self.put(file, &bytes);
            drop(bytes);
            self.refuses(&source, says);
            std::fs::remove_file(source).unwrap();
        }
    }

    /// Takes the source but for some rows, about which it says this; nothing at all where that is empty.
    #[track_caller]
    fn takes(&self, Case { file, bytes, says }: Case) {
        let source = self.put(file, &bytes);
        let args = ["sync", "--dry-run", "--force", "--faq-path", &source];
        let code = if says.is_empty() { 0 } else { 3 };
        let run = self.run(&args).expect(code).says(says);
        self.untouched(&run.command);
    }
}
