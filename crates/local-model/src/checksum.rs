//! SHA-256 of files, as published checksums of the weights are given in it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

/// A SHA-256 in lower-case hexadecimal.
pub(crate) type Sha256Hex = String;

/// Copies everything from `reader` to `writer` and digests it on the way. `passed` hears of every piece, in bytes.
pub(crate) fn copy_and_digest(
    mut reader: impl Read,
    mut writer: impl Write,
    mut passed: impl FnMut(u64),
) -> io::Result<(u64, Sha256Hex)> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut total = 0;
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.update(&buffer[..count]);
        writer.write_all(&buffer[..count])?;
        total += count as u64;
        passed(count as u64);
    }
    Ok((total, hex(&digest.finalize())))
}

/// Length and digest of the file at `path`.
pub(crate) fn file_digest(path: &Path) -> io::Result<(u64, Sha256Hex)> {
    copy_and_digest(File::open(path)?, io::sink(), |_| ())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
