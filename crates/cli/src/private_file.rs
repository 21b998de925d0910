//! Files of ours, written so that nobody ever sees half of one and nobody else sees one at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::exit::{ExitCode, Failure};

/// What the name of a file begins with while it is being written; the number of the process follows.
pub(crate) const PREFIX: &str = ".smart-support-report.";

/// Writes a report into the directory that was named for reports, and says where.
pub(crate) fn report(directory: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let path = directory.join(name);
    write(&path, text.as_bytes()).map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            format!(
                "the report cannot be written into {}: {error}",
                directory.display()
            ),
        )
    })?;
    tracing::info!("Report written to {}", path.display());
    Ok(())
}

/// Writes a file for its owner only: beside it first, to the disk, and then under its name. Creates its directory.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = directory(path);
    fs::create_dir_all(&directory)?;
    let temporary = directory.join(format!("{PREFIX}{}.tmp", std::process::id()));
    // Of an earlier process with this number, or somebody's link to elsewhere: neither is written through.
    let _ = fs::remove_file(&temporary);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // The name is durable with its directory; some file systems cannot sync one, and the file is there all the same.
    let _ = File::open(&directory).and_then(|directory| directory.sync_all());
    Ok(())
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
