//! Directories that are damaged: whatever happens to a file, a wrong vector is not an answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use importers::chroma::{ChromaOptions, open};
use storage_core::{ImportErrorKind, ImportedRecord};

use super::{Fixture, only, options};
use crate::harness::{Yield, bytes_of, once, read};

fn salvage(name: &str) -> ChromaOptions {
    ChromaOptions {
        salvage: true,
        ..options(&[name])
    }
}

/// The same damage without and with leave to go on: the error, and what is left.
fn damaged(fixture: &Fixture, name: &str) -> (String, Yield, Vec<String>) {
    let before = bytes_of(&fixture.db);
    let error = open(&fixture.db, &options(&[name])).unwrap_err();
    assert_eq!(error.kind(), ImportErrorKind::Damaged, "{error}");
    let message = error.to_string();
    assert!(message.contains("--salvage"), "{message}");
    let sources = open(&fixture.db, &salvage(name)).unwrap();
    assert_eq!(sources.len(), 1);
    let left = read(&*sources[0]);
    assert!(left.error.is_none(), "{:?}", left.error);
    assert_eq!(before, bytes_of(&fixture.db));
    (message, left, sources[0].collection().notes.clone())
}

fn by_id(records: Vec<ImportedRecord>) -> BTreeMap<String, ImportedRecord> {
    records
        .into_iter()
        .map(|record| (record.document.clone(), record))
        .collect()
}

#[test]
fn an_index_without_its_map_names_what_is_lost_and_leaves_what_the_log_has() {
    for end in [0, 1, 1000] {
        let fixture = Fixture::of("1.0.21");
        let whole = by_id(once(&*only(&fixture.db, "kb_large")).records);
        let pickle = fixture.segment("kb_large").join("index_metadata.pickle");
        let bytes = fs::read(&pickle).unwrap();
        fs::write(&pickle, &bytes[..end]).unwrap();
        let (message, left, notes) = damaged(&fixture, "kb_large");
        assert!(message.contains("the pickle ends too early"), "{message}");
        let lost = format!("{} of 1077 records lose their vectors", left.faults.len());
        assert!(
            message.contains(&lost) && message.contains(" more"),
            "{message}"
        );
        assert!(!left.faults.is_empty() && !left.records.is_empty());
        assert_eq!(left.faults.len() + left.records.len(), whole.len());
        for record in &left.records {
            assert_eq!(Some(record), whole.get(&record.document));
        }
        for fault in &left.faults {
            assert!(whole.contains_key(fault.id.as_deref().unwrap()));
            assert!(fault.reason.contains("damaged index"), "{fault:?}");
        }
        assert!(
            notes
                .iter()
                .any(|note| note.contains("the index is damaged"))
        );
    }
}

#[test]
fn a_log_that_has_everything_loses_nothing_with_the_index() {
    let fixture = Fixture::of("0.4.24");
    let whole = once(&*only(&fixture.db, "tickets_l2")).records;
    fs::remove_file(fixture.segment("tickets_l2").join("data_level0.bin")).unwrap();
    let (message, left, _) = damaged(&fixture, "tickets_l2");
    assert!(message.contains("data_level0.bin is missing"), "{message}");
    assert!(message.contains("no record loses its vector"), "{message}");
    assert_eq!(left.records, whole);
}

#[test]
fn elements_that_are_still_whole_are_still_proven() {
    let fixture = Fixture::of("1.0.21");
    let whole = by_id(once(&*only(&fixture.db, "kb_large")).records);
    let data = fixture.segment("kb_large").join("data_level0.bin");
    let bytes = fs::read(&data).unwrap();
    // 172 bytes an element of eight numbers: 132 + 4·8 + 8. The last of the first five hundred is cut.
    fs::write(&data, &bytes[..172 * 500 - 1]).unwrap();
    let (message, left, _) = damaged(&fixture, "kb_large");
    assert!(message.contains("ends after 499 of"), "{message}");
    assert!(
        left.records.len() > 400 && left.faults.len() > 300,
        "{}",
        left.faults.len()
    );
    for record in &left.records {
        assert_eq!(Some(record), whole.get(&record.document));
    }
}

#[test]
fn norms_that_are_missing_are_not_made_up() {
    let fixture = Fixture::of("1.0.21");
    let whole = by_id(once(&*only(&fixture.db, "kb_large")).records);
    let norms = fixture.segment("kb_large").join("length.bin");
    let bytes = fs::read(&norms).unwrap();
    fs::write(&norms, &bytes[..400]).unwrap();
    let (message, left, _) = damaged(&fixture, "kb_large");
    assert!(message.contains("length.bin has no norm"), "{message}");
    for record in &left.records {
        assert_eq!(Some(record), whole.get(&record.document));
    }
    fs::remove_file(&norms).unwrap();
    let (message, _, _) = damaged(&fixture, "kb_large");
    assert!(message.contains("length.bin is missing"), "{message}");
    // Where vectors are stored as they are, nobody looks at the file.
    fs::remove_file(fixture.segment("tickets_l2").join("length.bin")).unwrap();
    assert_eq!(once(&*only(&fixture.db, "tickets_l2")).records.len(), 148);
}

/// Multiplying by what `length.bin` holds for another distance would give garbage.
#[test]
fn a_collection_that_only_says_it_is_cosine_is_an_error() {
    let fixture = Fixture::of("1.0.21");
    let connection = rusqlite::Connection::open(fixture.db.join("chroma.sqlite3")).unwrap();
    let changed = connection
        .execute(
            "UPDATE collections SET config_json_str = replace(config_json_str, '\"l2\"', '\"cosine\"') WHERE name = 'tickets_l2'",
            [],
        )
        .unwrap();
    assert_eq!(changed, 1);
    drop(connection);
    let (message, left, _) = damaged(&fixture, "tickets_l2");
    assert!(message.contains("not normalised"), "{message}");
    // The one vector that the log still has.
    assert_eq!(left.records.len(), 1);
    assert_eq!(left.faults.len(), 147);
}

#[test]
fn a_collection_that_nobody_asked_for_may_be_of_any_form() {
    let fixture = Fixture::of("1.5.9");
    let connection = rusqlite::Connection::open(fixture.db.join("chroma.sqlite3")).unwrap();
    connection
        .execute(
            "UPDATE segments SET type = 'urn:chroma:segment/vector/hnsw-distributed' WHERE scope = 'VECTOR' \
             AND collection = (SELECT id FROM collections WHERE name = 'macros_ip')",
            [],
        )
        .unwrap();
    drop(connection);
    assert_eq!(open(&fixture.db, &options(&["readded"])).unwrap().len(), 1);
    let refused = open(&fixture.db, &options(&["macros_ip"])).unwrap_err();
    assert_eq!(refused.kind(), ImportErrorKind::Unsupported);
}

#[test]
fn words_that_are_not_known_are_refused_by_name() {
    for (sql, kind, words) in [
        (
            "UPDATE segments SET type = 'urn:chroma:segment/vector/hnsw-distributed' WHERE scope = 'VECTOR'",
            ImportErrorKind::Unsupported,
            "hnsw-distributed",
        ),
        (
            "UPDATE collections SET config_json_str = replace(config_json_str, 'cosine', 'hamming')",
            ImportErrorKind::Unsupported,
            "`hamming`",
        ),
        (
            "UPDATE segments SET id = '../../../../../../../../../../etc/xyz' WHERE scope = 'VECTOR'; ",
            ImportErrorKind::Damaged,
            "no UUID",
        ),
        (
            "UPDATE collections SET dimension = -5",
            ImportErrorKind::Damaged,
            "-5 numbers",
        ),
        (
            "UPDATE collections SET config_json_str = '{'",
            ImportErrorKind::Damaged,
            "no JSON",
        ),
        (
            "DELETE FROM segments WHERE scope = 'METADATA'",
            ImportErrorKind::Damaged,
            "0 metadata segments",
        ),
        (
            "DROP TABLE max_seq_id; CREATE VIEW max_seq_id AS SELECT 1 AS segment_id, 1 AS seq_id",
            ImportErrorKind::Unsupported,
            "no table max_seq_id",
        ),
    ] {
        let fixture = Fixture::of("1.0.21");
        let connection = rusqlite::Connection::open(fixture.db.join("chroma.sqlite3")).unwrap();
        // One segment: its id is the table's key.
        let sql = sql.replace(
            "'VECTOR'; ",
            "'VECTOR' AND collection = (SELECT id FROM collections WHERE name = 'readded')",
        );
        // As any tool may that does not look at references.
        connection
            .execute_batch("PRAGMA foreign_keys = OFF")
            .unwrap();
        connection.execute_batch(&sql).unwrap();
        drop(connection);
        let error = open(&fixture.db, &ChromaOptions::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// A source of numbers that gives the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % below.max(1)
    }
}

/// Every kind of file, cut and changed hundreds of times: never a panic, and what comes is either what was written, or
/// what no check can tell from it, or not there and said so.
#[test]
fn hundreds_of_damages_end_in_answers() {
    let seed: u64 = match std::env::var("SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => std::process::id().into(),
    };
    println!("SEED={seed}");
    let mut dice = Dice(seed | 1);
    for (version, name, rounds) in [
        ("1.0.21", "kb_large", 20),
        ("0.4.24", "tickets_l2", 20),
        ("0.6.3", "readded", 20),
    ] {
        let fixture = Fixture::of(version);
        let whole = by_id(once(&*only(&fixture.db, name)).records);
        let segment = fixture.segment(name);
        for file in [
            "index_metadata.pickle",
            "header.bin",
            "data_level0.bin",
            "length.bin",
            "../chroma.sqlite3",
        ] {
            let path = segment.join(file);
            let good = fs::read(&path).unwrap();
            for _ in 0..rounds {
                let mut bad = good.clone();
                let cut = dice.roll(3) == 0;
                if cut {
                    bad.truncate(dice.roll(good.len()));
                } else {
                    for _ in 0..=dice.roll(4) {
                        let at = dice.roll(bad.len());
                        bad[at] ^= 1 << dice.roll(8);
                    }
                }
                fs::write(&path, &bad).unwrap();
                let plain = examine(&fixture.db, &options(&[name]), &whole, file, cut);
                let salvaged = examine(&fixture.db, &salvage(name), &whole, file, cut);
                // What can be had without leave can be had with it.
                assert!(plain <= salvaged, "{version} {file}");
            }
            fs::write(&path, &good).unwrap();
        }
        assert_eq!(by_id(once(&*only(&fixture.db, name)).records), whole);
    }
}

/// How many records came.
fn examine(
    db: &Path,
    options: &ChromaOptions,
    whole: &BTreeMap<String, ImportedRecord>,
    file: &str,
    cut: bool,
) -> usize {
    let Ok(sources) = open(db, options) else {
        return 0;
    };
    let Some(source) = sources.first() else {
        return 0;
    };
    let found = once(&**source);
    // A database may hold another text or number where a bit was changed: it has no checks of its own. In the other
    // files, numbers of a vector that is not divided by its norm, and the norms themselves, have none either.
    let provable = cut || file.ends_with("pickle") || file.ends_with("header.bin");
    if provable && !file.ends_with("sqlite3") {
        for record in &found.records {
            assert_eq!(Some(record), whole.get(&record.document), "{file}");
        }
    }
    if found.error.is_none() {
        let total = source.collection().total;
        assert_eq!(
            (found.records.len() + found.faults.len()) as u64,
            total,
            "{file}"
        );
    }
    found.records.len()
}

/// What published exploits look like, put where Chroma would load it.
#[test]
fn a_map_of_ids_that_asks_for_a_call_is_refused_by_name() {
    let fixture = Fixture::of("0.6.3");
    let pickle = fixture.segment("kb_large").join("index_metadata.pickle");
    let marker = fixture.db.join("was-here");
    for (exploit, name) in exploits(&marker.display().to_string()) {
        fs::write(&pickle, &exploit).unwrap();
        let error = open(&fixture.db, &options(&["kb_large"])).unwrap_err();
        assert_eq!(error.kind(), ImportErrorKind::Damaged);
        assert!(error.to_string().contains(name), "{name}: {error}");
        // Salvage does not run it either.
        let sources = open(&fixture.db, &salvage("kb_large")).unwrap();
        assert!(
            sources[0]
                .collection()
                .notes
                .iter()
                .any(|note| note.contains(name))
        );
        assert!(!marker.exists());
    }
}

/// At least thirty shapes: the calls that are known to be used, each in the ways in which a pickle can ask for a call.
fn exploits(marker: &str) -> Vec<(Vec<u8>, &'static str)> {
    let command = format!("touch {marker}");
    let text = |text: &str| {
        let mut bytes = b"X".to_vec();
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    };
    let mut all = Vec::new();
    for (module, name, full) in [
        ("os", "system", "os.system"),
        ("posix", "system", "posix.system"),
        ("nt", "system", "nt.system"),
        ("os", "popen", "os.popen"),
        ("os", "execv", "os.execv"),
        ("subprocess", "Popen", "subprocess.Popen"),
        ("subprocess", "check_output", "subprocess.check_output"),
        ("builtins", "eval", "builtins.eval"),
        ("builtins", "exec", "builtins.exec"),
        ("__builtin__", "eval", "__builtin__.eval"),
        ("builtins", "getattr", "builtins.getattr"),
        ("builtins", "__import__", "builtins.__import__"),
        ("builtins", "open", "builtins.open"),
        ("pty", "spawn", "pty.spawn"),
        ("runpy", "_run_code", "runpy._run_code"),
        ("importlib", "import_module", "importlib.import_module"),
        ("webbrowser", "open", "webbrowser.open"),
        ("socket", "create_connection", "socket.create_connection"),
        ("pip", "main", "pip.main"),
        ("torch.serialization", "load", "torch.serialization.load"),
        (
            "numpy.testing._private.utils",
            "runstring",
            "numpy.testing._private.utils.runstring",
        ),
        ("timeit", "timeit", "timeit.timeit"),
        ("bdb", "Bdb.run", "bdb.Bdb.run"),
        ("operator", "attrgetter", "operator.attrgetter"),
        ("functools", "partial", "functools.partial"),
        ("types", "FunctionType", "types.FunctionType"),
        ("marshal", "loads", "marshal.loads"),
        ("copyreg", "_reconstructor", "copyreg._reconstructor"),
        ("shutil", "rmtree", "shutil.rmtree"),
        (
            "code",
            "InteractiveInterpreter.runcode",
            "code.InteractiveInterpreter.runcode",
        ),
        // What hangs on the class that is taken is not taken.
        (
            "chromadb.segment.impl.vector.local_persistent_hnsw",
            "PersistentData.load_from_file",
            "PersistentData.load_from_file",
        ),
    ] {
        // GLOBAL and REDUCE.
        let mut reduce = format!("\u{2}c{module}\n{name}\n").into_bytes();
        reduce.insert(0, 0x80);
        reduce.extend(text(&command));
        reduce.extend(b"\x85R.");
        all.push((reduce, full));
        // STACK_GLOBAL and REDUCE.
        let mut stacked = vec![0x80, 4];
        stacked.extend(text(module));
        stacked.extend(text(name));
        stacked.push(0x93);
        stacked.extend(text(&command));
        stacked.extend(b"\x85R.");
        all.push((stacked, full));
        // INST.
        let mut made = vec![0x80, 2, b'('];
        made.extend(text(&command));
        made.extend(format!("i{module}\n{name}\n.").into_bytes());
        all.push((made, full));
    }
    let class = b"cchromadb.segment.impl.vector.local_persistent_hnsw\nPersistentData\n";
    let with = |tail: &[u8]| {
        let mut bytes = vec![0x80, 4];
        bytes.extend(class);
        bytes.extend(tail);
        bytes
    };
    let mut object = vec![0x80, 2, b'('];
    object.extend(class);
    object.extend(b"o.");
    all.push((object, "OBJ"));
    all.push((with(b")}\x92."), "NEWOBJ_EX"));
    all.push((with(b"}b."), "no instance"));
    all.push((b"\x80\x02\x82\x01.".to_vec(), "EXT"));
    all.push((b"\x80\x02\x84\x01\0\0\0.".to_vec(), "EXT"));
    all.push((b"\x80\x02Pid\n.".to_vec(), "PERSID"));
    all.push((b"\x80\x02K\x01Q.".to_vec(), "PERSID"));
    all.push((b"\x80\x02K\x01K\x01\x85R.".to_vec(), "no class"));
    let mut deep = vec![0x80, 4];
    deep.extend([b']'; 100_000]);
    deep.extend([b'a'; 99_999]);
    deep.push(b'.');
    all.push((deep, "nests too deep"));
    let mut bomb = b"\x80\x04(](K\x01K\x02e\x94".to_vec();
    for level in 0..60_u8 {
        bomb.extend(b"](");
        bomb.extend([b'h', level].repeat(10));
        bomb.extend(b"e\x94");
    }
    bomb.extend(b"t.");
    all.push((bomb, "unfold to too much"));
    all.push((b"\x80\x04Nr\xff\xff\xff\x7f.".to_vec(), "too much memory"));
    all
}

#[test]
fn a_reading_that_meets_a_lost_page_says_so_and_keeps_what_it_had() {
    let fixture = Fixture::of("1.0.21");
    let path = fixture.db.join("chroma.sqlite3");
    let connection = rusqlite::Connection::open(&path).unwrap();
    // A leaf of the table of metadata, which is read only while records are handed over.
    let page: u32 = connection
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'embedding_metadata'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let size: u32 = connection
        .pragma_query_value(None, "page_size", |row| row.get(0))
        .unwrap();
    drop(connection);
    let (page, size) = (page as usize, size as usize);
    let mut bytes = fs::read(&path).unwrap();
    bytes[(page - 1) * size..page * size].fill(0xaa);
    fs::write(&path, &bytes).unwrap();
    let error = open(&fixture.db, &options(&["kb_large"])).unwrap_err();
    assert_eq!(error.kind(), ImportErrorKind::Damaged);
    assert!(
        error.to_string().contains("chroma.sqlite3 is damaged"),
        "{error}"
    );
    let sources = open(&fixture.db, &salvage("kb_large")).unwrap();
    let found = once(&*sources[0]);
    assert_eq!(found.error.unwrap().kind(), ImportErrorKind::Damaged);
}
