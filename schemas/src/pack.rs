//! Packs: what one NATS message holds. Events of one kind and partition, one line of JSON each.

use std::io::BufRead;

/// Most events in a pack.
pub const EVENTS_MAX: usize = 256;
/// Most bytes in a pack, well under the server's default payload limit of 1 MiB. A single larger event travels alone.
pub const BYTES_MAX: usize = 256 * 1024;
/// Longest time an event waits for others to join its pack.
pub const LINGER: std::time::Duration = std::time::Duration::from_millis(10);

/// A pack being filled.
#[derive(Clone, Debug, Default)]
pub struct PackBuilder {
    bytes: Vec<u8>,
    seqs: Vec<u64>,
}

impl PackBuilder {
    /// Adds an event's line if it fits; otherwise the pack is full and must be sent first.
    pub fn push(&mut self, seq: u64, line: &[u8]) -> bool {
        let fits = self.seqs.len() < EVENTS_MAX && self.bytes.len() + line.len() < BYTES_MAX;
        if !fits && !self.seqs.is_empty() {
            return false;
        }
        self.push_journaled(seq, line);
        true
    }

    /// Adds an event to a pack whose content is settled already: its bounds held when it was made the first time.
    pub fn push_journaled(&mut self, seq: u64, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        self.seqs.push(seq);
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.seqs.is_empty()
    }

    /// The number of the first event.
    pub fn first_seq(&self) -> Option<u64> {
        self.seqs.first().copied()
    }

    /// The finished bytes and the numbers in them; the builder is empty afterwards.
    pub fn take(&mut self) -> (Vec<u8>, Vec<u64>) {
        (std::mem::take(&mut self.bytes), std::mem::take(&mut self.seqs))
    }
}

/// The lines of a pack, in order, without their line ends.
pub fn lines(pack: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = pack;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let from = rest;
            // Looks at many bytes at a time, as `split` does not. Reading from memory cannot fail.
            let length = rest.skip_until(b'\n').ok()?;
            let line = from.get(..length)?;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if !line.is_empty() {
                return Some(line);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_whatever_stands_around_them() {
        for (pack, expected) in [
            ("", &[][..]),
            ("\n\n", &[]),
            ("a", &["a"]),
            ("a\nbc\n", &["a", "bc"]),
            ("\n\na\n\nb c\r\nd", &["a", "b c\r", "d"]),
        ] {
            let expected: Vec<&[u8]> = expected.iter().map(|line| line.as_bytes()).collect();
            assert_eq!(lines(pack.as_bytes()).collect::<Vec<_>>(), expected, "{pack:?}");
        }
    }

    #[test]
    fn a_pack_ends_at_its_limits_and_an_oversized_event_travels_alone() {
        let mut pack = PackBuilder::default();
        assert!(pack.push(1, &vec![b'x'; BYTES_MAX * 2]));
        assert!(!pack.push(2, b"{}"));
        let (bytes, seqs) = pack.take();
        assert_eq!((lines(&bytes).count(), seqs), (1, vec![1]));
        for seq in 0..EVENTS_MAX as u64 {
            assert!(pack.push(seq, b"{}"));
        }
        assert!(!pack.push(999, b"{}"));
        assert_eq!(lines(&pack.take().0).count(), EVENTS_MAX);
        assert!(pack.is_empty());
    }
}
