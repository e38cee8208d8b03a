//! The cache folder: one folder per package and version, filled all at once by one process at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::FetchError;
use super::pin::Pin;
use super::progress::Progress;

/// Beginning of the names of folders that are being filled.
const PARTIAL: &str = ".partial-";

/// Where a file is, or will be.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    version: &'static str,
    file: &'static str,
    needed_mb: u64,
}

/// A place that this process alone may fill. Whatever is left in `folder` is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Claimed<'p> {
    place: &'p Place,
    filling: TempDir,
    /// Held until the end; a process that dies lets go of it.
    _lock: File,
}

impl Place {
    pub(super) fn of(pin: &Pin) -> Result<Self, FetchError> {
        let cache = root(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
            .ok_or(FetchError::NoCache)?;
        Ok(Self::within(&cache, pin))
    }

    fn within(cache: &Path, pin: &Pin) -> Self {
        Self { folder: cache.join(pin.cache_name), version: pin.version, file: pin.file, needed_mb: pin.needed_mb() }
    }

    /// The file, there or not.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.join(self.version).join(self.file)
    }

    /// Waits until no other process is filling this place, and makes a folder to fill it from.
    pub(super) async fn claim(&self, progress: &Progress) -> Result<Claimed<'_>, FetchError> {
        std::fs::create_dir_all(&self.folder).map_err(|source| self.failed(&self.folder, source))?;
        let path = self.folder.join(".lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| self.failed(&path, source))?;
        let lock = match lock.try_lock() {
            Ok(()) => lock,
            Err(TryLockError::WouldBlock) => {
                let step = progress.begin(format!("waiting for another process that is fetching {}", self.file), 0);
                let waited =
                    tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await.map_err(io::Error::other);
                let lock = waited.flatten().map_err(|source| self.failed(&path, source))?;
                step.done("it has finished");
                lock
            }
            Err(TryLockError::Error(source)) => return Err(self.failed(&path, source)),
        };
        self.sweep();
        let filling = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(&self.folder);
        Ok(Claimed { place: self, filling: filling.map_err(|source| self.failed(&self.folder, source))?, _lock: lock })
    }

    /// Removes what a killed process has left. Only the holder of the lock may.
    fn sweep(&self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PARTIAL)) {
            // What cannot be removed costs space and does no other harm.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }

    fn failed(&self, path: &Path, source: io::Error) -> FetchError {
        FetchError::Cache { path: path.to_owned(), source, needed_mb: self.needed_mb }
    }
}

impl Claimed<'_> {
    /// Where things can be put while they are not complete.
    pub(super) fn folder(&self) -> &Path {
        self.filling.path()
    }

    /// Moves the complete and checked file to its place.
    pub(super) fn keep(&self, file: &Path) -> Result<(), FetchError> {
        let target = self.place.file();
        let moved =
            target.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::rename(file, &target));
        moved.map_err(|source| self.place.failed(&target, source))
    }
}

/// The cache of this user.
fn root(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    variable("WEIR_CACHE_DIR")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("weir")))
        .or_else(|| Some(variable("HOME")?.join(".cache").join("weir")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(cache: &Path) -> Place {
        Place { folder: cache.join("thing"), version: "1", file: "thing.so", needed_mb: 1 }
    }

    #[test]
    fn the_cache_is_where_the_user_wants_it() {
        let root = |set: &[(&str, &str)]| {
            root(|name| set.iter().find(|(set, _)| *set == name).map(|(_, value)| PathBuf::from(value)))
        };
        assert_eq!(root(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x"), ("WEIR_CACHE_DIR", "/w")]), Some("/w".into()));
        assert_eq!(root(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Some("/x/weir".into()));
        assert_eq!(root(&[("HOME", "/h")]), Some("/h/.cache/weir".into()));
        assert_eq!(root(&[]), None);
    }

    #[tokio::test]
    async fn one_after_the_other_and_nothing_half_done() {
        let cache = tempfile::tempdir().expect("a folder");
        let first = place(cache.path());
        let claimed = first.claim(&Progress::silent()).await.expect("the place");
        let left_behind = claimed.folder().to_owned();
        std::fs::write(claimed.folder().join("unpacked"), "complete").expect("written");

        let second = place(cache.path());
        let waiting = tokio::spawn(async move {
            let _claimed = second.claim(&Progress::silent()).await.expect("the place");
            std::fs::read_to_string(second.file())
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished() && !first.file().exists());
        claimed.keep(&claimed.folder().join("unpacked")).expect("kept");
        drop(claimed);
        assert_eq!(waiting.await.expect("the second").expect("the file"), "complete");
        assert!(!left_behind.exists());
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_swept() {
        let cache = tempfile::tempdir().expect("a folder");
        let place = place(cache.path());
        let left = cache.path().join("thing").join(".partial-dead");
        std::fs::create_dir_all(&left).expect("a folder");
        drop(place.claim(&Progress::silent()).await.expect("the place"));
        assert!(!left.exists());
    }
}
