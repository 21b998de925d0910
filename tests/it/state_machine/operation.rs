//! What can happen to a store, in small numbers: few names, so that operations meet, and every list shrinks.

use proptest::prelude::*;
use storage_core::{Comparison, RunKind, RunState};

pub(super) const COLLECTIONS: [&str; 2] = ["faq", "other"];
pub(super) const SOURCES: [&str; 2] = ["sheet", "upload"];
/// Model and numbers per vector.
pub(super) const SPACES: [(&str, u32); 3] = [("one", 8), ("two", 8), ("three", 3)];
/// Space and recipe. The last two share a space with the first: one makes the same texts and shares its vectors, the
/// other makes texts of its own.
pub(super) const VERSIONS: [(usize, &str); 5] = [
    (0, r"{question}\n{answer}"),
    (1, r"{question}\n{answer}"),
    (2, r"{question}\n{answer}"),
    (0, r"{title}\n{body}"),
    (0, "{question}"),
];
pub(super) const DOCUMENTS: usize = 5;
pub(super) const CHUNKS: u32 = 2;
pub(super) const TEXTS: usize = 8;
pub(super) const CATEGORIES: [&str; 3] = ["Счета", "Карты", "кредиты"];
pub(super) const RUNS: [&str; 3] = ["run-a", "run-b", "run-c"];
pub(super) const QUESTIONS: usize = 4;
pub(super) const THRESHOLDS: [f32; 3] = [-0.5, 0.0, 0.25];

/// One row's name within a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) document: usize,
    pub(super) chunk: u32,
}

/// One row as its source has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) text: usize,
    pub(super) category: Option<usize>,
    pub(super) source: usize,
}

/// A change as somebody may ask for it, right or wrong.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) collection: usize,
    pub(super) source: Option<usize>,
    /// Rows, and the vectors they name: of which version, imported or not.
    pub(super) upserts: Vec<(Entry, Vec<(usize, bool)>)>,
    pub(super) deletes: Vec<Key>,
    pub(super) relocations: Vec<(Key, u64)>,
    /// Rows, if they exist, to be given their own text's vector of a version.
    pub(super) binds: Vec<(Key, usize)>,
    pub(super) register: Option<usize>,
    pub(super) complete: Option<usize>,
    pub(super) activate: Option<usize>,
    pub(super) fault: Option<Fault>,
}

/// What makes a change wrong for certain.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    StaleBase,
    FutureBase,
    RowOfAnotherCollection,
    SourceOfAnotherCollection,
    RowTwice,
    NulInAText,
    TwoVectorsOfOneVersion,
    VectorNeverStored,
    DocumentOfTwoSources,
    MoveOfAnAbsentRow,
    BindOfAnAbsentRow,
    VectorOfAnotherSpace,
    SpaceNeverRegistered,
    VersionNeverRegistered,
    CompletedButNeverRegistered,
}

/// Which rows a search takes.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) category: Option<usize>,
    pub(super) document: Option<usize>,
    /// The question or the answer of this text.
    pub(super) contains: Option<(usize, bool)>,
    /// The metadata number of a row.
    pub(super) number: Option<(Comparison, i64)>,
}

/// One step in a store's life.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    RegisterSpace(usize),
    /// Pays for texts: `(text, imported)`.
    PutVectors {
        version: usize,
        texts: Vec<(usize, bool)>,
        /// The last vector has one number too many.
        spoiled: bool,
        run: usize,
        at: i64,
    },
    /// What a sync does: pays for what is missing, then makes the source's rows these.
    Sync {
        collection: usize,
        source: usize,
        version: usize,
        entries: Vec<Entry>,
        at: i64,
    },
    /// The same rows under another version, in one change.
    Flip {
        collection: usize,
        version: usize,
        at: i64,
    },
    /// A further part of a version, built beside the one that is served.
    Build {
        collection: usize,
        version: usize,
        /// Rows that get their vector in this step, at most.
        rows: usize,
        complete: bool,
        at: i64,
    },
    /// The pointer alone.
    Promote {
        collection: usize,
        version: usize,
    },
    /// The pointer, back to where it was.
    RollBack {
        collection: usize,
    },
    DeleteVersion {
        collection: usize,
        version: usize,
        abandoned: bool,
    },
    Note {
        collection: usize,
        version: usize,
        evaluation: bool,
        number: u64,
    },
    /// Known texts of a space: `(text, whether its vector is as it always was)`.
    Canaries {
        space: usize,
        texts: Vec<(usize, bool)>,
        /// The last vector has one number too many.
        spoiled: bool,
        at: i64,
    },
    Apply(Box<Change>),
    Prune {
        before: i64,
    },
    RecordRun {
        run: usize,
        collection: usize,
        kind: RunKind,
        state: RunState,
        counts: u64,
        started_at: i64,
    },
    /// Closed and opened again.
    Reopen,
    /// Looked at by a second process, for reading only.
    ReadBeside,
    /// `PRAGMA wal_checkpoint(TRUNCATE)` and `VACUUM` by a second process.
    Compact,
    Search {
        collection: usize,
        /// The one that is served if none is named.
        version: Option<usize>,
        question: usize,
        top_k: usize,
        threshold: Option<usize>,
        wanted: Wanted,
    },
}

fn key() -> impl Strategy<Value = Key> {
    // Mostly first chunks: a document with two owners or two chunks is the exception.
    (0..DOCUMENTS, prop_oneof![3 => Just(0), 1 => 0..CHUNKS])
        .prop_map(|(document, chunk)| Key { document, chunk })
}

fn entry() -> impl Strategy<Value = Entry> {
    let category = prop::option::weighted(0.8, 0..CATEGORIES.len());
    let source = prop_oneof![4 => Just(0), 1 => 0..SOURCES.len()];
    (key(), 0..TEXTS, category, source).prop_map(|(key, text, category, source)| Entry {
        key,
        text,
        category,
        source,
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    use Fault::{
        BindOfAnAbsentRow, CompletedButNeverRegistered, DocumentOfTwoSources, FutureBase,
        MoveOfAnAbsentRow, NulInAText, RowOfAnotherCollection, RowTwice, SourceOfAnotherCollection,
        SpaceNeverRegistered, StaleBase, TwoVectorsOfOneVersion, VectorNeverStored,
        VectorOfAnotherSpace, VersionNeverRegistered,
    };
    prop::sample::select(vec![
        StaleBase,
        StaleBase,
        StaleBase,
        FutureBase,
        RowOfAnotherCollection,
        SourceOfAnotherCollection,
        RowTwice,
        NulInAText,
        TwoVectorsOfOneVersion,
        VectorNeverStored,
        DocumentOfTwoSources,
        MoveOfAnAbsentRow,
        BindOfAnAbsentRow,
        VectorOfAnotherSpace,
        SpaceNeverRegistered,
        VersionNeverRegistered,
        CompletedButNeverRegistered,
    ])
}

fn change() -> impl Strategy<Value = Change> {
    let vectors = prop::collection::vec((version(), prop::bool::weighted(0.1)), 1..3);
    (
        collection(),
        prop::option::of(0..SOURCES.len()),
        prop::collection::vec((entry(), vectors), 0..4),
        prop::collection::vec(key(), 0..3),
        prop::collection::vec((key(), 0u64..9), 0..2),
        prop::collection::vec((key(), version()), 0..3),
        (
            prop::option::weighted(0.6, version()),
            prop::option::weighted(0.1, version()),
            prop::option::weighted(0.4, version()),
        ),
        prop::option::weighted(0.25, fault()),
    )
        .prop_map(
            |(collection, source, upserts, deletes, relocations, binds, versions, fault)| Change {
                collection,
                source,
                upserts,
                deletes,
                relocations,
                binds,
                register: versions.0,
                complete: versions.1,
                activate: versions.2,
                fault,
            },
        )
}

fn wanted() -> impl Strategy<Value = Wanted> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let comparison = prop::sample::select(vec![
        Equal,
        NotEqual,
        Less,
        LessOrEqual,
        Greater,
        GreaterOrEqual,
    ]);
    (
        prop::option::weighted(0.3, 0..CATEGORIES.len()),
        prop::option::weighted(0.15, 0..DOCUMENTS),
        prop::option::weighted(0.15, (0..TEXTS, any::<bool>())),
        prop::option::weighted(0.3, (comparison, 0..8i64)),
    )
        .prop_map(|(category, document, contains, number)| Wanted {
            category,
            document,
            contains,
            number,
        })
}

fn collection() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 1 => 0..COLLECTIONS.len()]
}

fn version() -> impl Strategy<Value = usize> {
    prop_oneof![2 => Just(0), 1 => 0..VERSIONS.len()]
}

fn run() -> impl Strategy<Value = Operation> {
    let kind = prop::sample::select(vec![RunKind::Sync, RunKind::Recompute, RunKind::Import]);
    let state = prop::sample::select(vec![
        RunState::Started,
        RunState::Finished,
        RunState::Failed,
    ]);
    (0..RUNS.len(), collection(), kind, state, 0u64..9, 0i64..5).prop_map(
        |(run, collection, kind, state, counts, started_at)| Operation::RecordRun {
            run,
            collection,
            kind,
            state,
            counts,
            started_at,
        },
    )
}

/// A version's life beside the rows'.
fn of_versions() -> impl Strategy<Value = Operation> {
    // All alike: what goes with the last version of a space is met in small ones.
    let named = || (collection(), 0..VERSIONS.len());
    let texts = prop::collection::vec((0..TEXTS, prop::bool::weighted(0.8)), 0..4);
    prop_oneof![
        5 => (named(), 1..6usize, any::<bool>(), 0i64..50).prop_map(
            |((collection, version), rows, complete, at)| Operation::Build {
                collection, version, rows, complete, at,
            },
        ),
        3 => named().prop_map(|(collection, version)| Operation::Promote { collection, version }),
        2 => collection().prop_map(|collection| Operation::RollBack { collection }),
        4 => (named(), prop::bool::weighted(0.7)).prop_map(|((collection, version), abandoned)| {
            Operation::DeleteVersion { collection, version, abandoned }
        }),
        1 => (named(), any::<bool>(), 0u64..9).prop_map(
            |((collection, version), evaluation, number)| Operation::Note {
                collection, version, evaluation, number,
            },
        ),
        3 => (0..SPACES.len(), texts, prop::bool::weighted(0.1), 0i64..50).prop_map(
            |(space, texts, spoiled, at)| Operation::Canaries { space, texts, spoiled, at },
        ),
    ]
}

/// Any step.
pub(super) fn operation() -> impl Strategy<Value = Operation> {
    let at = || 0i64..50;
    let texts = prop::collection::vec((0..TEXTS, prop::bool::weighted(0.15)), 0..6);
    let entries = prop::collection::vec(entry(), 0..6);
    let search = (
        collection(),
        prop::option::weighted(0.3, version()),
        0..QUESTIONS,
        0..7usize,
        prop::option::weighted(0.3, 0..THRESHOLDS.len()),
        wanted(),
    );
    prop_oneof![
        2 => (0..SPACES.len()).prop_map(Operation::RegisterSpace),
        4 => (version(), texts, prop::bool::weighted(0.1), 0..RUNS.len(), at()).prop_map(
            |(version, texts, spoiled, run, at)| Operation::PutVectors {
                version, texts, spoiled, run, at,
            },
        ),
        8 => (collection(), 0..SOURCES.len(), version(), entries, at()).prop_map(
            |(collection, source, version, entries, at)| Operation::Sync {
                collection, source, version, entries, at,
            },
        ),
        2 => (collection(), version(), at()).prop_map(|(collection, version, at)| Operation::Flip {
            collection, version, at,
        }),
        10 => of_versions(),
        8 => change().prop_map(|change| Operation::Apply(Box::new(change))),
        2 => (0i64..60).prop_map(|before| Operation::Prune { before }),
        2 => run(),
        1 => Just(Operation::Reopen),
        1 => Just(Operation::ReadBeside),
        1 => Just(Operation::Compact),
        6 => search.prop_map(|(collection, version, question, top_k, threshold, wanted)| {
            Operation::Search { collection, version, question, top_k, threshold, wanted }
        }),
    ]
}
