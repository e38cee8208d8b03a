//! The ledger's folder: a lock, the epoch, and numbered segment files.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::recovery::RecoveryError;

/// Takes the folder for this process.
pub(super) fn lock(dir: &Path) -> Result<File, RecoveryError> {
    fs::create_dir_all(dir).map_err(|error| RecoveryError::io("create the folder", dir, error))?;
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| RecoveryError::io("open", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RecoveryError::Locked(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(RecoveryError::io("lock", &path, error)),
    }
}

/// The epoch of the folder's ledger; a new one where there is none.
pub(super) fn epoch(dir: &Path) -> Result<Uuid, RecoveryError> {
    let path = dir.join("epoch");
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| RecoveryError::Epoch(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Segments without their epoch would be numbered again from 1 under another identity: refuse instead.
            if !list(dir)?.is_empty() {
                return Err(RecoveryError::Epoch(path));
            }
            let epoch = Uuid::now_v7();
            write_whole(&path, epoch.to_string().as_bytes()).map_err(|e| RecoveryError::io("write", &path, e))?;
            Ok(epoch)
        }
        Err(error) => Err(RecoveryError::io("read", &path, error)),
    }
}

/// Writes a file so that it is there whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(draft, path)
}

/// The file of a segment.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.segment"))
}

/// The numbers of the segments that exist, ascending.
pub(super) fn list(dir: &Path) -> Result<Vec<u64>, RecoveryError> {
    let entries = fs::read_dir(dir).map_err(|error| RecoveryError::io("list", dir, error))?;
    let mut numbers = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| RecoveryError::io("list", dir, error))?;
        let name = entry.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_suffix(".segment")).and_then(|stem| stem.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Opens a segment for writing, at a place that the writer names.
pub(super) fn open(dir: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path(dir, number))
}
