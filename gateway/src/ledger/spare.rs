//! Room on the disk that the ledger keeps for itself, so that a full one still takes what remains to be said of requests
//! that were let in. It is a file of zeros that becomes the next segment when nothing else is left: it is never given back,
//! because whoever has filled the disk would take it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::segments;

/// More is not kept: that is the ends of thousands of requests.
const BYTES_MAX: u64 = 8 << 20;
/// A full disk is tried again this often.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// So much must be free beside the spare for a disk to count as one with room.
const PROBE_BYTES: u64 = 64 << 10;

/// The room, kept or given up.
#[derive(Debug)]
pub(super) struct Spare {
    path: PathBuf,
    bytes: u64,
    /// When the disk was last seen full.
    full_since: Option<Instant>,
    /// The segment that it has become.
    segment: Option<u64>,
}

impl Spare {
    /// Takes the room, or goes on with what an earlier process has taken.
    pub(super) fn keep(dir: &Path, reserve_bytes: u64) -> Self {
        let mut spare =
            Self { path: dir.join("spare"), bytes: reserve_bytes.min(BYTES_MAX), full_since: None, segment: None };
        spare.look();
        spare
    }

    /// Whether the disk has room for more than what is kept.
    pub(super) fn has_room(&mut self) -> bool {
        if self.full_since.is_some_and(|since| since.elapsed() >= TRY_EVERY) {
            self.look();
        }
        self.full_since.is_none()
    }

    /// The disk was full just now.
    pub(super) fn note_full(&mut self) {
        if self.full_since.replace(Instant::now()).is_none() {
            tracing::error!(
                path = %self.path.display(),
                "the disk of the ledger is full: what was let in can still be settled, until there is room again"
            );
        }
    }

    /// Makes it the segment `number`. `false` when there is none any more.
    pub(super) fn become_segment(&mut self, dir: &Path, number: u64) -> bool {
        let became = fs::rename(&self.path, segments::path(dir, number)).is_ok();
        self.segment = Some(number).filter(|_| became).or(self.segment);
        became
    }

    /// Whether a segment has room of its own, beyond its first `len` bytes, that a full disk cannot give elsewhere.
    pub(super) fn is_under(&mut self, segment: u64, len: u64) -> bool {
        self.segment == Some(segment) && len < self.bytes && !self.has_room()
    }

    /// Takes the room again if it can be had, and a little more on trial.
    fn look(&mut self) {
        let probe = self.path.with_extension("probe");
        let taken = hold(&self.path, self.bytes).and_then(|()| hold(&probe, PROBE_BYTES));
        let _ = fs::remove_file(&probe);
        match taken {
            Err(error) if self.full_since.is_none() && !is_full(&error) => {
                tracing::warn!(%error, path = %self.path.display(), "no room can be kept on the ledger's disk");
            }
            Err(error) if is_full(&error) => self.note_full(),
            _ if self.full_since.take().is_some() => tracing::info!("the disk of the ledger has room again"),
            _ => {}
        }
    }
}

/// Whether an error says that the disk, or our share of it, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes sure that a file of that many zeros is there, or no file.
fn hold(path: &Path, bytes: u64) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|file| file.len() == bytes) {
        return Ok(());
    }
    let zeros = [0; 64 << 10];
    let write = || {
        let mut file = File::create(path)?;
        let mut left = bytes;
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(zeros.len()).min(zeros.len());
            file.write_all(zeros.get(..part).unwrap_or_default())?;
            left -= part as u64;
        }
        Ok(())
    };
    // Half of it would be taken for all of it by nobody, but would lie there for nothing.
    write().inspect_err(|_| drop(fs::remove_file(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_kept_over_restarts_given_once_and_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spare");
        let length = || fs::metadata(&path).map_or(0, |file| file.len());
        let mut spare = Spare::keep(dir.path(), 100_000);
        assert_eq!((length(), spare.has_room()), (100_000, true));
        spare.note_full();
        assert!(!spare.has_room() && spare.become_segment(dir.path(), 7) && !spare.become_segment(dir.path(), 8));
        assert_eq!((length(), fs::metadata(segments::path(dir.path(), 7)).unwrap().len()), (0, 100_000));
        assert!(spare.is_under(7, 99_999) && !spare.is_under(7, 100_000) && !spare.is_under(6, 0));
        spare.full_since = Instant::now().checked_sub(TRY_EVERY);
        assert_eq!((spare.has_room(), length(), spare.is_under(7, 0)), (true, 100_000, false));
        assert_eq!(Spare::keep(dir.path(), u64::MAX).bytes, BYTES_MAX);
        assert_eq!((length(), dir.path().join("probe").exists()), (BYTES_MAX, false));
    }
}
