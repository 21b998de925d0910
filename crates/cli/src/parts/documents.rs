//! Documents as a source: which paths are documents, how they are cut, and the process that reads them.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use document_source::{
    ChildProcess, ChunkBy, Chunking, DocumentKind, DocumentOptions, Documents, Extraction,
    is_pattern,
};
use faq_source::{FaqSource, SourceLimits, SourceOptions, SourceSnapshot};

use crate::exit::{Failure, usage};
use crate::settings::{ChunkSettings, SourceSettings};

/// Whether this build reads documents.
#[allow(dead_code, reason = "only the service asks")]
pub(crate) const AVAILABLE: bool = true;

/// What the process is called with that reads a document for another.
const COMMAND: &str = "extract-document";

/// Tokens of a chunk, and those it repeats, where nothing is said: as many as the usual characters make.
const TOKENS: (usize, usize) = (256, 32);

/// The documents at a path; `None` where it is a table, or where there is nothing: the readers of tables say that best.
pub(crate) fn open(
    path: &Path,
    settings: &SourceSettings,
) -> Result<Option<Box<dyn FaqSource>>, Failure> {
    let table = is_said_to_be_a_table(settings);
    if !are_documents(path, table) {
        return Ok(None);
    }
    for (flag, given) in [
        ("--sheet", settings.sheet.is_some()),
        ("--header-row", settings.header_row.is_some()),
        ("--map", !settings.map.is_empty()),
    ] {
        if given {
            return Err(usage(format!(
                "{flag} is for tables, and {} are documents; leave it out",
                path.display()
            )));
        }
    }
    let options = DocumentOptions {
        chunking: chunking(settings.chunking)?,
        ..DocumentOptions::default()
    };
    let documents = Documents::open(path, options, extraction())?;
    Ok(Some(Box::new(documents)))
}

/// How documents are cut, in the words of their reader.
pub(crate) fn chunking(settings: ChunkSettings) -> Result<Chunking, Failure> {
    let usual = Chunking::default();
    let (size, overlap, by) = if settings.tokens {
        let count = |text: &str| {
            usize::try_from(sync_engine::estimated_tokens(text.len() as u64)).unwrap_or(usize::MAX)
        };
        (TOKENS.0, TOKENS.1, ChunkBy::Tokens(Arc::new(count)))
    } else {
        (usual.size, usual.overlap, usual.by)
    };
    let size = settings.size.unwrap_or(size);
    let chunking = Chunking {
        size,
        // A number that nobody chose gives way to one that somebody did.
        overlap: settings.overlap.unwrap_or(overlap.min(size / 4)),
        by,
    };
    chunking
        .check()
        .map_err(|fault| usage(format!("{fault}; see --chunk-size and --chunk-overlap")))?;
    Ok(chunking)
}

/// Reads documents in processes of this very program.
pub(crate) fn extraction() -> Arc<dyn Extraction> {
    // On Linux the program that runs, even when another one has taken its place on the disk meanwhile.
    let running = PathBuf::from("/proc/self/exe");
    let program = if running.exists() {
        running
    } else {
        std::env::current_exe().unwrap_or_else(|_| PathBuf::from("smart-support"))
    };
    Arc::new(ChildProcess {
        program,
        arguments: vec![OsString::from(COMMAND)],
    })
}

/// One document that was sent, in chunks.
#[allow(dead_code, reason = "only the service is sent documents")]
pub(crate) fn read_document(
    name: &str,
    id: &str,
    bytes: &[u8],
    settings: ChunkSettings,
) -> Result<SourceSnapshot, Failure> {
    let options = DocumentOptions {
        chunking: chunking(settings)?,
        ..DocumentOptions::default()
    };
    Ok(document_source::document(
        name,
        id,
        bytes,
        &options,
        &*extraction(),
    )?)
}

/// The other side of [`extraction`].
pub(crate) fn extract() -> Result<(), Failure> {
    document_source::serve_one(
        io::stdin().lock(),
        io::stdout().lock(),
        document_source::confine,
    )
    .map_err(|error| usage(format!("{COMMAND} is for smart-support itself: {error}")))
}

/// Whether somebody says how the columns are called, or that there are some.
fn is_said_to_be_a_table(settings: &SourceSettings) -> bool {
    settings.sheet.is_some()
        || settings.header_row.is_some()
        || !settings.map.is_empty()
        || settings.data_set
}

fn are_documents(path: &Path, said_to_be_a_table: bool) -> bool {
    if path.is_dir() || is_pattern(path) {
        return true;
    }
    let Some(name) = path.to_str().filter(|_| path.is_file()) else {
        return false;
    };
    match DocumentKind::of_name(name) {
        Some(DocumentKind::Text) => !said_to_be_a_table && !is_table(path),
        Some(_) => true,
        // A workbook is a zip container too; only of PDF and HTML do the first bytes tell enough.
        None => {
            let shown = DocumentKind::of_bytes(&head(path));
            shown.is_some_and(|kind| kind != DocumentKind::Docx) && !names_a_table(name)
        }
    }
}

/// Spreadsheet programs export tables under the extension `.txt`: one with a question and an answer to it is one. A
/// single column proves nothing, since "Text" and "Question" are headings of prose too.
fn is_table(path: &Path) -> bool {
    let opened = faq_source::open(path, &SourceOptions::default());
    let read = opened.and_then(|mut table| table.read(&SourceLimits::default()));
    read.is_ok_and(|table| {
        let mut rows = table.rows.iter();
        rows.any(|row| !row.question.is_empty() && !row.answer.is_empty())
    })
}

/// What is called a table is the readers' of tables, whose message says what it is instead.
fn names_a_table(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|end| end.to_str());
    extension.is_some_and(|end| {
        let tables = [
            "xlsx", "xlsm", "xls", "xlsb", "csv", "tsv", "tab", "json", "jsonl", "ndjson",
        ];
        tables.iter().any(|table| end.eq_ignore_ascii_case(table))
    })
}

fn head(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    // What does not open has a reader with a message for it.
    if let Ok(file) = File::open(path) {
        let _ = file.take(1024).read_to_end(&mut head);
    }
    head
}
