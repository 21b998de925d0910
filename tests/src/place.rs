//! A place for one test: an empty directory with a home of its own, and an environment that holds nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::store::{self, StoredTexts};
use crate::{Faq, Outcome, PostgresStore, StubApi, binary, workspace};

/// What every secret of the suite holds: it must be in no output, and in no file that the product wrote.
pub const MARK: &str = "SECRET-MARK-5ca1ab1e";

/// The key that places use, unless a test sets another one.
pub const KEY: &str = "sk-SECRET-MARK-5ca1ab1e";
/// What a run took.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Peak resident memory in bytes.
    pub resident: u64,
    /// Processor time of all its threads.
    pub processor: Duration,
}

/// The files of a place, byte for byte.
pub type Snapshot = BTreeMap<PathBuf, Vec<u8>>;

/// An empty directory to run the product in.
#[derive(Debug)]
pub struct Place {
    root: TempDir,
    variables: BTreeMap<OsString, OsString>,
    binary: PathBuf,
    /// Files that the test itself wrote, and that may hold secrets therefore.
    written: Mutex<BTreeSet<PathBuf>>,
    /// Where its store is, if that is no file.
    postgres: Option<PostgresStore>,
}

/// Whatever a test was about: the product wrote no secret into any file, nor into its store.
impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let mut found = self.files_with_secrets();
            if let Some(postgres) = &self.postgres {
                found.extend(postgres.tables_with_secrets());
            }
            assert!(found.is_empty(), "a secret is in {found:?}");
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// A place without any embedder configured.
    #[must_use]
    pub fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("smart-support-test-")
            .tempdir()
            .unwrap();
        let mut place = Self {
            root,
            variables: BTreeMap::new(),
            binary: binary().to_owned(),
            written: Mutex::default(),
            postgres: None,
        };
        for directory in ["work", "home", "home/.config", "home/.cache", "home/.local"] {
            std::fs::create_dir(place.root.path().join(directory)).unwrap();
        }
        let home = place.root.path().join("home");
        place.set("HOME", &home);
        place.set("XDG_CONFIG_HOME", home.join(".config"));
        place.set("XDG_CACHE_HOME", home.join(".cache"));
        place.set("XDG_DATA_HOME", home.join(".local"));
        place.set("TZ", "UTC");
        place.set("POSTGRES_PASSWORD", KEY);
        if let Some(path) = std::env::var_os("PATH") {
            place.set("PATH", path);
        }
        place
    }

    /// A place with the provider `hash`.
    #[must_use]
    pub fn hash() -> Self {
        let mut place = Self::new();
        place.set("EMBEDDING_PROVIDER", "hash");
        place.set("EMBEDDING_API_KEY", KEY);
        place
    }

    /// A place that embeds with a stub of the API, with the model name `stub-model`.
    #[must_use]
    pub fn stub(api: &StubApi) -> Self {
        let mut place = Self::new();
        place.use_stub(api);
        place
    }

    /// Embeds with this stub from now on.
    pub fn use_stub(&mut self, api: &StubApi) {
        self.set("EMBEDDING_PROVIDER", "openai");
        self.set("EMBEDDING_BASE_URL", format!("{}/v1", api.url()));
        self.set("EMBEDDING_API_KEY", KEY);
        self.set("EMBEDDING_MODEL_NAME", "stub-model");
        // A script that fails means it; waiting for the next attempt would only cost time.
        self.set("EMBEDDING_MAX_RETRIES", "0");
    }

    /// Keeps the store in this database from now on.
    pub fn keep_in(&mut self, store: PostgresStore) {
        self.set("DATABASE_URL", store.url());
        self.postgres = Some(store);
    }

    /// Keeps the store where another place does.
    pub fn share_store_of(&mut self, other: &Self) {
        match &other.postgres {
            Some(store) => self.set("DATABASE_URL", store.url()),
            None => self.set("SQLITE_DB_PATH", other.store()),
        }
    }

    /// The database that its store is in.
    ///
    /// # Panics
    ///
    /// If it is a file.
    #[track_caller]
    #[must_use]
    pub fn postgres(&self) -> &PostgresStore {
        self.postgres.as_ref().expect("a store in PostgreSQL")
    }

    /// Runs another build of the product from now on.
    pub fn use_binary(&mut self, path: impl Into<PathBuf>) {
        self.binary = path.into();
    }

    /// Sets a variable for every run from now on.
    pub fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        self.variables
            .insert(name.as_ref().to_owned(), value.as_ref().to_owned());
    }

    /// Removes a variable.
    pub fn unset(&mut self, name: &str) {
        self.variables.remove(OsStr::new(name));
    }

    /// Whether the files stay when the place is dropped, for whoever looks into a failure.
    pub fn keep(&mut self, kept: bool) {
        self.root.disable_cleanup(kept);
    }

    /// The working directory, or a file in it.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path().join("work").join(name)
    }

    /// A file in the home directory.
    #[must_use]
    pub fn home(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path().join("home").join(name)
    }

    /// Where the product keeps its store when it is told nothing.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path("data/embeddings.db")
    }

    /// Writes a file in the working directory.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        self.write_to(self.path(name), bytes)
    }

    /// Writes a file in the home directory.
    pub fn write_home(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        self.write_to(self.home(name), bytes)
    }

    fn write_to(&self, path: PathBuf, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        self.written.lock().unwrap().insert(path.clone());
        path
    }

    /// Files with a secret in them that the test did not write itself.
    #[must_use]
    pub fn files_with_secrets(&self) -> Vec<PathBuf> {
        let found = grep(self.root.path());
        let written = self.written.lock().unwrap();
        let found = found.into_iter();
        found.filter(|path| !written.contains(path)).collect()
    }

    /// Writes a FAQ in the format that the name says.
    pub fn save(&self, name: &str, faq: &Faq) -> PathBuf {
        self.write(name, faq.bytes(name))
    }

    /// Every file of the directory `data`, and every table of the store.
    #[must_use]
    pub fn data(&self) -> Snapshot {
        self.with_tables(files(&self.path("data")))
    }

    /// Every file of the working directory, and every table of the store.
    #[must_use]
    pub fn files(&self) -> Snapshot {
        self.with_tables(files(&self.path("")))
    }

    fn with_tables(&self, mut files: Snapshot) -> Snapshot {
        if let Some(postgres) = &self.postgres {
            files.extend(postgres.snapshot());
        }
        files
    }

    /// The rows that readers of a collection see.
    #[must_use]
    pub fn rows(&self, collection: &str) -> StoredTexts {
        match &self.postgres {
            Some(postgres) => postgres.rows(collection),
            None => store::rows(&self.store(), collection),
        }
    }

    /// Id by question, of the collection `faq`.
    #[must_use]
    pub fn texts(&self) -> BTreeMap<String, String> {
        let rows = self.rows("faq").into_iter();
        rows.map(|(id, row)| (row.question, id)).collect()
    }

    /// The number that a query gives.
    #[track_caller]
    #[must_use]
    pub fn scalar(&self, query: &str) -> i64 {
        match &self.postgres {
            Some(postgres) => postgres.client().scalar(query).parse().unwrap(),
            None => store::scalar(&self.store(), query),
        }
    }

    /// Changes the store behind the product's back.
    #[track_caller]
    pub fn execute(&self, statement: &str) {
        match &self.postgres {
            Some(postgres) => postgres.client().run(statement),
            None => store::execute(&self.store(), statement),
        }
    }

    /// The command as it would be run: for tests that start it and do not wait.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args);
        self.prepare(&mut command);
        command
    }

    /// Gives any command the place's directory and environment.
    pub fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.path(""))
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null());
    }

    /// Runs the product to its end.
    #[track_caller]
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Outcome {
        Self::finish(
            self.command(args),
            &format!("smart-support {}", args.join(" ")),
        )
    }

    /// Runs the product without the power of an administrator to read and write whatever the permissions say.
    #[track_caller]
    #[must_use]
    pub fn run_with_permissions(&self, args: &[&str]) -> Outcome {
        let mut command = Command::new("setpriv");
        let capabilities = "-dac_override,-dac_read_search";
        command
            .args(["--bounding-set", capabilities, "--inh-caps", capabilities])
            .arg(&self.binary)
            .args(args);
        self.prepare(&mut command);
        Self::finish(command, &format!("smart-support {}", args.join(" ")))
    }

    /// Runs the product under the program `peak` (`env!("CARGO_BIN_EXE_peak")` in a test), which ends it when it hangs.
    /// The code is -1 where that or a signal ended it.
    #[track_caller]
    #[must_use]
    pub fn run_measured(&self, peak: &str, args: &[&str]) -> (Outcome, Usage) {
        /// Only a run that never ends takes so long, on the busiest machine.
        const SECONDS: &str = "120";
        let figures = self.root.path().join("figures");
        let mut command = Command::new(peak);
        command
            .arg(&figures)
            .arg(SECONDS)
            .arg(&self.binary)
            .args(args);
        self.prepare(&mut command);
        let shown = format!("smart-support {}", args.join(" "));
        let outcome = Self::finish(command, &shown);
        let figures = std::fs::read_to_string(figures).unwrap();
        let figures = figures
            .split(' ')
            .map(|figure| figure.parse::<i64>().unwrap());
        let [code, kib, milliseconds] = figures.collect::<Vec<_>>()[..] else {
            panic!("the program peak wrote other figures");
        };
        let usage = Usage {
            resident: kib.unsigned_abs() << 10,
            processor: Duration::from_millis(milliseconds.unsigned_abs()),
        };
        let code = i32::try_from(code).unwrap();
        (Outcome { code, ..outcome }, usage)
    }

    #[track_caller]
    fn finish(mut command: Command, shown: &str) -> Outcome {
        Outcome::new(shown, command.output().unwrap())
    }

    /// Runs the product with `--json`, which must succeed, and gives the document.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.push("--json");
        self.run(&args).ok().json()
    }

    /// Migrates a source, which must succeed.
    #[track_caller]
    pub fn migrate(&self, source: &str, more: &[&str]) -> Value {
        self.json(&[&["migrate", "--faq-path", source], more].concat())
    }

    /// Ids found for a question, best first.
    #[track_caller]
    #[must_use]
    pub fn search(&self, args: &[&str]) -> Vec<String> {
        let document = self.json(&[&["search"], args].concat());
        let hits = document["hits"].as_array().unwrap();
        let ids = hits
            .iter()
            .map(|hit| hit["id"].as_str().unwrap().to_owned());
        ids.collect()
    }

    /// Output with what differs from run to run taken out: the place's directory, times, sizes.
    #[must_use]
    pub fn stable(&self, text: &str) -> String {
        let root = self.root.path().to_string_lossy().into_owned();
        let text = text
            .replace(&root, "[PLACE]")
            .replace(&*workspace().to_string_lossy(), "[REPO]");
        let lines = text.lines().map(|line| {
            let words = line.split(' ').collect::<Vec<_>>();
            let word = |(at, word): (usize, &&str)| {
                let next = words.get(at + 1).copied().unwrap_or_default();
                let timed =
                    ["seconds", "MB", "kB", "B"].contains(&next.trim_end_matches([',', ')']));
                let clock = ["s", "s)", "s,"].iter().any(|end| {
                    word.strip_suffix(end)
                        .is_some_and(|digits| digits.contains('.'))
                });
                if timed && word.trim_start_matches('(').parse::<f64>().is_ok() {
                    "[N]".to_owned()
                } else if clock {
                    "[TIME]".to_owned()
                } else {
                    (*word).to_owned()
                }
            };
            words
                .iter()
                .enumerate()
                .map(word)
                .collect::<Vec<_>>()
                .join(" ")
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Files below a directory that hold the mark. By `grep`: a store is megabytes, and an unoptimised search of it seconds.
fn grep(root: &Path) -> Vec<PathBuf> {
    let search = |root: &Path| {
        let output = Command::new("grep")
            .args([
                "--recursive",
                "--files-with-matches",
                "--fixed-strings",
                "--null",
            ])
            .args([
                "--ignore-case",
                "--binary-files=text",
                "--devices=skip",
                MARK,
            ])
            .arg(root)
            .env("LC_ALL", "C")
            .output();
        let paths = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let paths = paths.unwrap_or_default();
        let paths = paths.split('\0').filter(|path| !path.is_empty());
        paths.map(PathBuf::from).collect::<Vec<_>>()
    };
    // Not every grep knows these options, and one that finds nothing would let everything pass.
    static FINDS: OnceLock<bool> = OnceLock::new();
    let finds = *FINDS.get_or_init(|| {
        let trial = tempfile::tempdir().unwrap();
        std::fs::write(trial.path().join("file"), format!("\0{MARK}\0")).unwrap();
        search(trial.path()).len() == 1
    });
    if !finds {
        crate::skip("there is no GNU grep to look for secrets in files with");
        return Vec::new();
    }
    search(root)
}

fn files(root: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    let mut open = BTreeSet::from([root.to_owned()]);
    while let Some(directory) = open.pop_first() {
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.insert(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}
