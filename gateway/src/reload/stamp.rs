//! Whether a file has changed and is written whole.
//!
//! The file is looked at by its path, time and again: that sees a file that was written in place, one that was put in
//! its place (most editors), and a link that leads elsewhere now (Kubernetes), on every file system, mounted or not.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// What changes with a file: `None` while there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, u64, u64, Option<SystemTime>)>);

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        let told = std::fs::metadata(path).ok();
        Self(told.map(|file| (file.dev(), file.ino(), file.len(), file.modified().ok())))
    }
}

/// Decides when to read. A file that is being written may be well-formed half-way: it is read only after it has been the
/// same at two looks.
#[derive(Debug)]
pub(super) struct Watch {
    read: Stamp,
    last: Stamp,
}

impl Watch {
    /// `read`: of the file as it was read last.
    pub(super) fn new(read: Stamp) -> Self {
        Self { read, last: read }
    }

    /// Whether to read the file now.
    pub(super) fn is_due(&mut self, now: Stamp) -> bool {
        let is_settled = self.last == now;
        self.last = now;
        is_settled && self.read != now
    }

    /// It was read as it is.
    pub(super) fn was_read(&mut self, stamp: Stamp) {
        *self = Self::new(stamp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(len: u64) -> Stamp {
        Stamp(Some((1, 1, len, None)))
    }

    #[test]
    fn a_file_is_read_once_for_every_change_and_only_when_it_is_at_rest() {
        let mut watch = Watch::new(stamp(1));
        assert!(!watch.is_due(stamp(1)), "it has not changed");
        assert!(!watch.is_due(stamp(0)) && !watch.is_due(stamp(2)) && !watch.is_due(stamp(3)), "it is being written");
        assert!(watch.is_due(stamp(3)));
        watch.was_read(stamp(3));
        assert!(!watch.is_due(stamp(3)));
        assert!(!watch.is_due(Stamp(None)) && watch.is_due(Stamp(None)), "that it has gone is a change too");
    }

    #[test]
    fn a_change_that_is_taken_back_in_time_was_none() {
        let mut watch = Watch::new(stamp(1));
        assert!(!watch.is_due(stamp(2)) && !watch.is_due(stamp(1)) && !watch.is_due(stamp(1)));
    }

    #[test]
    fn a_file_put_in_the_place_of_another_is_told_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("weir.toml"), folder.path().join("weir.toml.new"));
        assert_eq!(Stamp::of(&path), Stamp(None));
        std::fs::write(&path, "a").unwrap();
        let before = Stamp::of(&path);
        assert_eq!(Stamp::of(&path), before);
        std::fs::write(&other, "b").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_ne!(Stamp::of(&path), before);
    }
}
