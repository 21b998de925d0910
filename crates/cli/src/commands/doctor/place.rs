//! What the operating system says of a path, without changing anything there.

use std::path::{Path, PathBuf};

use crate::output::shell_word;

/// Permission bits, where there are such.
pub(super) fn mode(path: &Path) -> Option<u32> {
    let metadata = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    return Some(std::os::unix::fs::MetadataExt::mode(&metadata) & 0o777);
    #[cfg(not(unix))]
    {
        drop(metadata);
        None
    }
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    shell_word(&path.display().to_string())
}

/// The nearest directory above a path that is there, in full.
pub(super) fn standing_directory(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let found = path.ancestors().skip(1).find(|above| above.is_dir())?;
    std::fs::canonicalize(found).ok()
}

/// Whether this process may write there; `None` where the system does not tell.
#[cfg(unix)]
pub(super) fn may_write(path: &Path) -> Option<bool> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    use rustix::io::Errno;
    let wanted = if path.is_dir() {
        Access::WRITE_OK | Access::EXEC_OK
    } else {
        Access::WRITE_OK
    };
    match accessat(CWD, path, wanted, AtFlags::empty()) {
        Ok(()) => Some(true),
        Err(Errno::ACCESS | Errno::ROFS | Errno::PERM) => Some(false),
        Err(_) => None,
    }
}

/// Whether this process may write there; `None` where the system does not tell.
#[cfg(not(unix))]
pub(super) fn may_write(_path: &Path) -> Option<bool> {
    None
}

/// Bytes that this process may still write on the file system of a path.
#[cfg(unix)]
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Bytes that this process may still write on the file system of a path.
#[cfg(not(unix))]
pub(super) fn free_bytes(_path: &Path) -> Option<u64> {
    None
}

/// The kind of the file system that holds a path, as the system's table of mounts has it.
pub(super) fn file_system(path: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    kind_of_mount(&mounts, path).map(ToOwned::to_owned)
}

/// The deepest mount above the path; of two at one place the later one, which hides the other.
fn kind_of_mount<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(point), Some(kind)) = (words.next(), words.next()) else {
            continue;
        };
        let point = point.replace(r"\040", " ");
        let depth = Path::new(&point).components().count();
        if path.starts_with(&point) && best.is_none_or(|(deepest, _)| depth >= deepest) {
            best = Some((depth, kind));
        }
    }
    best.map(|(_, kind)| kind)
}

/// File systems that are shared between machines: locks and shared memory between them cannot be relied on.
pub(super) fn is_shared(kind: &str) -> bool {
    [
        "nfs",
        "cifs",
        "smb",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "fuse.sshfs",
    ]
    .iter()
    .any(|shared| kind.starts_with(shared))
}

/// The program that holds SQLite's lock for writing, by number and name, as the system's table of locks has it.
/// `shared_memory` is the file beside the store that ends in `-shm`.
#[cfg(unix)]
pub(super) fn database_writer(shared_memory: &Path) -> Option<String> {
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(shared_memory).ok()?);
    let table = std::fs::read_to_string("/proc/locks").ok()?;
    let process = holder_of_lock(&table, inode)?;
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    Some(format!("pid {process} ({})", name.trim()))
}

/// The program that holds SQLite's lock for writing, where the system has a table of locks.
#[cfg(not(unix))]
pub(super) fn database_writer(_shared_memory: &Path) -> Option<String> {
    None
}

/// SQLite locks byte 120 of the shared memory for as long as it writes to the log.
#[cfg_attr(not(unix), allow(dead_code, reason = "only unix has the table"))]
fn holder_of_lock(table: &str, inode: u64) -> Option<&str> {
    const WRITE_LOCK: u64 = 120;
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, "WRITE", process, file, start, end] = words[..] else {
            return None;
        };
        let here = file.rsplit(':').next()?.parse() == Ok(inode);
        let end = if end == "EOF" {
            u64::MAX
        } else {
            end.parse().ok()?
        };
        let covers = (start.parse::<u64>().ok()?..=end).contains(&WRITE_LOCK);
        (here && covers).then_some(process)
    })
}

/// Whether a process of that number is alive on this machine; `None` where the system does not tell.
pub(super) fn is_alive(process: &str) -> Option<bool> {
    let table = Path::new("/proc");
    table
        .join("self")
        .exists()
        .then(|| table.join(process).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_counts() {
        let mounts = "/dev/vda / ext4 rw 0 0\nserver:/x /srv/my\\040data nfs4 rw 0 0\ntmpfs /srv tmpfs rw 0 0\n\
                      tmpfs /srv ramfs rw 0 0\n";
        let kind = |path: &str| kind_of_mount(mounts, Path::new(path)).unwrap();
        assert_eq!(kind("/home/a"), "ext4");
        assert_eq!(kind("/srv/my data/a.db"), "nfs4");
        assert_eq!(kind("/srv/other"), "ramfs");
        assert!(is_shared("nfs4") && is_shared("cifs") && !is_shared("ext4"));
    }

    #[test]
    fn a_path_can_be_pasted() {
        assert_eq!(quoted(Path::new("/a/b-1.db")), "/a/b-1.db");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
