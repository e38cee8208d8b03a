//! Reading the ledger from its oldest segment to its growing end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::record::{self, Read};
use super::{Tail, segments};

/// Bytes read at once. Bounds what the shipper holds beside its packs.
const CHUNK_BYTES: usize = 256 << 10;

/// A position in the ledger, and the bytes read ahead from there.
#[derive(Debug)]
pub(super) struct Cursor {
    dir: PathBuf,
    segment: u64,
    /// Offset in the segment of `buffer[0]`.
    offset: u64,
    /// Bytes of the buffer that were handed out.
    consumed: usize,
    buffer: Vec<u8>,
    file: Option<File>,
}

impl Cursor {
    /// A cursor at the oldest segment.
    pub(super) fn at_start(dir: &Path) -> io::Result<Self> {
        let first = segments::list(dir).map_err(io::Error::other)?.first().copied().unwrap_or(1);
        Ok(Self { dir: dir.to_owned(), segment: first, offset: 0, consumed: 0, buffer: Vec::new(), file: None })
    }

    /// The next record before `tail`; `None` when there is none yet.
    ///
    /// Only bytes below the tail are read: those were written whole, under the writer's lock.
    pub(super) fn next(&mut self, tail: Tail) -> io::Result<Option<Vec<u8>>> {
        loop {
            let unread = self.buffer.get(self.consumed..).unwrap_or_default();
            match record::read(unread) {
                Read::Record(payload, length) => {
                    let payload = payload.to_vec();
                    self.consumed += length;
                    return Ok(Some(payload));
                }
                Read::Short => {
                    if !self.fill(tail)? {
                        return Ok(None);
                    }
                }
                Read::Broken => {
                    let at = self.offset + self.consumed as u64;
                    let message = format!("segment {} cannot be read at byte {at}", self.segment);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
            }
        }
    }

    /// Reads on. `false` when the end of what was written is reached.
    fn fill(&mut self, tail: Tail) -> io::Result<bool> {
        self.buffer.drain(..self.consumed);
        self.offset += self.consumed as u64;
        self.consumed = 0;
        let from = self.offset + self.buffer.len() as u64;
        if self.segment == tail.segment && from >= tail.len {
            return Ok(false);
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => match File::open(segments::path(&self.dir, self.segment)) {
                Ok(file) => file,
                // Committed in an earlier life, and trimmed before it was read in this one.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.skip_trimmed(tail)? => return Ok(true),
                Err(error) => return Err(error),
            },
        };
        let mut wanted = CHUNK_BYTES;
        if self.segment == tail.segment {
            wanted = wanted.min(usize::try_from(tail.len - from).unwrap_or(CHUNK_BYTES));
        }
        let held = self.buffer.len();
        self.buffer.resize(held + wanted, 0);
        let read = file.read_at(self.buffer.get_mut(held..).unwrap_or_default(), from)?;
        self.buffer.truncate(held + read);
        self.file = Some(file);
        if read > 0 {
            return Ok(true);
        }
        if self.segment >= tail.segment {
            return Ok(false);
        }
        // A closed segment is read to its end: recovery has cut what was torn, so nothing is left over here.
        *self = Self { dir: std::mem::take(&mut self.dir), segment: self.segment + 1, ..Self::empty() };
        Ok(true)
    }

    /// Goes to the oldest segment that is left, if that is a later one.
    fn skip_trimmed(&mut self, tail: Tail) -> io::Result<bool> {
        let left = segments::list(&self.dir).map_err(io::Error::other)?;
        let Some(next) = left.into_iter().find(|number| *number > self.segment && *number <= tail.segment) else {
            return Ok(false);
        };
        *self = Self { dir: std::mem::take(&mut self.dir), segment: next, ..Self::empty() };
        Ok(true)
    }

    fn empty() -> Self {
        Self { dir: PathBuf::new(), segment: 1, offset: 0, consumed: 0, buffer: Vec::new(), file: None }
    }
}
