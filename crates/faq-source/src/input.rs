//! From a path to a reader: is there a file, what is it really, and its bytes within the limit.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::columns::Mapping;
use crate::suggest::{list, nearest};
use crate::{FaqSource, SourceError, SourceErrorKind, SourceLimits, delimited, json, limits, xlsx};

/// What the user said about a source beyond its path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceOptions {
    /// The worksheet, by name or by its number from 1; the first visible one with a question column otherwise.
    pub sheet: Option<String>,
    /// The row of the headers, counted from 1; found among the first 20 rows otherwise.
    pub header_row: Option<u32>,
    /// Field (`question`, `answer`, `category`, `subcategory`, `id`) and the column that is it, whatever it is called.
    /// An empty column switches the field off.
    pub mapping: Vec<(String, String)>,
    /// Further columns that an embed-text recipe names: they must exist, and an error cell in them rejects the row.
    pub required_columns: Vec<String>,
    /// Read a table that has neither a question nor an answer as a data set, instead of refusing it: each row becomes an
    /// entry whose answer is the row, `year=2023 indicator=CPI value=121.0`.
    pub data_set: bool,
}

/// Opens a source: the reader is chosen by the file's extension, and by its first bytes where the extension is
/// unknown or plainly wrong. `-` is standard input (CSV or JSON lines).
///
/// # Errors
/// When there is no such file, when it may not be read, when it is empty, protected by a password or of another
/// format, or when the build has no reader for it.
pub fn open(path: &Path, options: &SourceOptions) -> Result<Box<dyn FaqSource>, SourceError> {
    let location = path.display().to_string();
    if location == "-" {
        let data = limited(io::stdin().lock(), &location, &SourceLimits::default())?;
        return choose(SourceFile::of_bytes(location, data), options);
    }
    let file = File::open(path).map_err(|error| not_opened(path, error))?;
    let kind = file
        .metadata()
        .map_err(|error| not_opened(path, error))?
        .file_type();
    if kind.is_dir() {
        return Err(SourceError::new(
            SourceErrorKind::Unreadable,
            format!("{location:?} is a directory; name the file in it"),
        ));
    }
    if !kind.is_file() {
        // A pipe gives its bytes once, so they are taken now.
        let data = limited(file, &location, &SourceLimits::default())?;
        return choose(SourceFile::of_bytes(location, data), options);
    }
    let name = path.file_name().map_or_else(
        || location.clone(),
        |name| name.to_string_lossy().into_owned(),
    );
    let source = SourceFile {
        location,
        name,
        data: Data::Path(path.to_owned()),
        notices: Vec::new(),
    };
    choose(source, options)
}

/// Opens bytes that are at hand already, an upload for instance. The name stands for the file's name.
///
/// # Errors
/// As [`open`], but for what concerns the file.
pub fn open_bytes(
    name: &str,
    bytes: Vec<u8>,
    options: &SourceOptions,
) -> Result<Box<dyn FaqSource>, SourceError> {
    choose(SourceFile::of_bytes(name.to_owned(), bytes), options)
}

/// A file that a reader was chosen for.
pub(crate) struct SourceFile {
    pub(crate) location: String,
    pub(crate) name: String,
    data: Data,
    pub(crate) notices: Vec<String>,
}

enum Data {
    Path(PathBuf),
    Bytes(Vec<u8>),
}

/// Without the bytes: they are customers' texts.
impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceFile")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl SourceFile {
    fn of_bytes(location: String, bytes: Vec<u8>) -> Self {
        Self {
            name: location.clone(),
            location,
            data: Data::Bytes(bytes),
            notices: Vec::new(),
        }
    }

    /// The whole content, within the limit.
    pub(crate) fn load(&self, limits: &SourceLimits) -> Result<Cow<'_, [u8]>, SourceError> {
        match &self.data {
            Data::Bytes(bytes) if bytes.len() as u64 > limits.file_bytes => {
                Err(too_large(&self.location, limits))
            }
            Data::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Data::Path(path) => {
                let file = File::open(path).map_err(|error| not_opened(path, error))?;
                // What is plainly too large is not read at all. It may still grow meanwhile, or have no length.
                if file
                    .metadata()
                    .is_ok_and(|data| data.len() > limits.file_bytes)
                {
                    return Err(too_large(&self.location, limits));
                }
                limited(file, &self.location, limits).map(Cow::Owned)
            }
        }
    }

    fn head(&self) -> Result<Vec<u8>, SourceError> {
        const HEAD: u64 = 4096;
        let mut head = Vec::new();
        match &self.data {
            Data::Bytes(bytes) => head.extend(bytes.iter().take(HEAD as usize)),
            Data::Path(path) => {
                let file = File::open(path).map_err(|error| not_opened(path, error))?;
                let read = file.take(HEAD).read_to_end(&mut head);
                read.map_err(|error| not_opened(path, error))?;
            }
        }
        Ok(head)
    }
}

fn limited(
    reader: impl Read,
    location: &str,
    limits: &SourceLimits,
) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    let allowed = limits.file_bytes.saturating_add(1);
    reader
        .take(allowed)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            SourceError::new(
                SourceErrorKind::Unreadable,
                format!("cannot read {location:?}"),
            )
            .with_source(error)
        })?;
    if bytes.len() as u64 > limits.file_bytes {
        return Err(too_large(location, limits));
    }
    Ok(bytes)
}

fn too_large(location: &str, limits: &SourceLimits) -> SourceError {
    SourceError::new(
        SourceErrorKind::Limit,
        format!(
            "{location:?} is larger than {}; split it, or take pictures out of it",
            limits::bytes(limits.file_bytes)
        ),
    )
}

enum Format {
    Workbook,
    Delimited,
    Json,
}

fn choose(
    mut file: SourceFile,
    options: &SourceOptions,
) -> Result<Box<dyn FaqSource>, SourceError> {
    Mapping::new(options)?;
    let head = file.head()?;
    let format = detect(&mut file, &head).map_err(|error| error.located(&file.location))?;
    let location = file.location.clone();
    let options = options.clone();
    match format {
        Format::Workbook => xlsx::open(file, options),
        Format::Delimited => delimited::open(file, options),
        Format::Json => json::open(file, options),
    }
    .map_err(|error| error.located(&location))
}

fn detect(file: &mut SourceFile, head: &[u8]) -> Result<Format, SourceError> {
    let fault = |kind, message: &str| Err(SourceError::new(kind, message));
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = text.trim_ascii_start();
    if text.is_empty() {
        return fault(SourceErrorKind::Empty, "the file is empty");
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(Format::Workbook);
    }
    if head.starts_with(b"\xd0\xcf\x11\xe0") {
        return Err(compound(&file.load(&SourceLimits::default())?));
    }
    let wide = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    let extension = Path::new(&file.name)
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let json = text.starts_with(b"{") || text.starts_with(b"[");
    match extension.as_str() {
        "csv" | "tsv" | "tab" => return Ok(Format::Delimited),
        "jsonl" | "ndjson" | "json" if json => return Ok(Format::Json),
        "jsonl" | "ndjson" | "json" if wide => {
            return fault(
                SourceErrorKind::Format,
                "the JSON is in UTF-16; save it as UTF-8",
            );
        }
        "xlsx" | "xlsm" | "xls" | "xlsb" => {
            if text.starts_with(b"<") {
                return fault(
                    SourceErrorKind::Format,
                    "the file is a web page or XML under a workbook's name; open it in a spreadsheet program and save it as .xlsx",
                );
            }
            if head.contains(&0) && !wide {
                return fault(
                    SourceErrorKind::Format,
                    "the file is no workbook, or is damaged; open it in a spreadsheet program and save it as .xlsx",
                );
            }
        }
        _ if head.starts_with(b"%PDF") => {
            return fault(
                SourceErrorKind::Format,
                "the file is a PDF, not a table; save the table as .xlsx or .csv",
            );
        }
        _ => {}
    }
    let (format, name) = match text.first() {
        Some(b'{') => (Format::Json, "JSON lines"),
        Some(b'[') if array_of_objects(text) => (Format::Json, "JSON"),
        _ => (Format::Delimited, "CSV"),
    };
    if !matches!(extension.as_str(), "" | "txt") {
        file.notices
            .push(format!("read as {name}: the content is no .{extension}"));
    }
    Ok(format)
}

/// CSV may begin with a bracket too; an array that we read begins with an object.
fn array_of_objects(text: &[u8]) -> bool {
    let rest = text.get(1..).unwrap_or_default().trim_ascii_start();
    matches!(rest.first(), Some(b'{' | b']') | None)
}

/// An OLE2 file: workbooks from before 2007, and the shell around an encrypted new one, which names its streams in
/// UTF-16.
fn compound(bytes: &[u8]) -> SourceError {
    let holds = |name: &str| {
        let name = name
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<_>>();
        bytes.windows(name.len()).any(|window| window == name)
    };
    let message = if holds("EncryptedPackage") {
        "the workbook is protected by a password; open it, remove the password under File > Info, save, and run again"
    } else if holds("Workbook") || holds("Book") {
        "the workbook has the format of Excel 97-2003 (.xls); open it, save it as .xlsx, and run again"
    } else {
        "the file is an old Office document, no workbook; save the table as .xlsx"
    };
    SourceError::new(SourceErrorKind::Format, message)
}

fn not_opened(path: &Path, error: io::Error) -> SourceError {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let typed = path.display().to_string();
    let message = match error.kind() {
        io::ErrorKind::NotFound => format!(
            "no file {typed:?} (tried {}){}",
            absolute.display(),
            similar(&absolute)
        ),
        io::ErrorKind::PermissionDenied => format!(
            "no permission to read {typed:?} ({}); run: chmod u+r {typed:?}",
            absolute.display()
        ),
        _ => format!("cannot open {typed:?} ({})", absolute.display()),
    };
    SourceError::new(SourceErrorKind::Unreadable, message).with_source(error)
}

/// What the directory offers instead: a near name, the tables in it, or that there is no such directory.
fn similar(absolute: &Path) -> String {
    const LOOKED_AT: usize = 1000;
    let Some(directory) = absolute.parent() else {
        return String::new();
    };
    let Ok(entries) = fs::read_dir(directory) else {
        return format!("; there is no directory {}", directory.display());
    };
    let mut names = entries
        .take(LOOKED_AT)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect::<Vec<_>>();
    names.sort();
    let asked = absolute
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    if let Some(near) = nearest(&asked, names.iter().map(String::as_str)) {
        return format!("; did you mean {near:?}");
    }
    let tables = names
        .iter()
        .map(String::as_str)
        .filter(|name| {
            let extension = Path::new(name).extension().and_then(|e| e.to_str());
            matches!(extension, Some("xlsx" | "csv" | "tsv" | "jsonl" | "json"))
        })
        .collect::<Vec<_>>();
    if tables.is_empty() {
        return String::new();
    }
    format!("; tables there: {}", list(tables))
}
