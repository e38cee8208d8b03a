//! What a segment holds, and when it is not needed any more. Pure.

use std::collections::BTreeMap;

/// What a segment holds, for trimming.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentInfo {
    pub(super) number: u64,
    pub(super) bytes: u64,
    /// The part of `bytes` that captured bodies take.
    pub(super) body_bytes: u64,
    /// Highest number of each partition.
    last_seq: BTreeMap<u16, u64>,
    /// Requests opened here that have no terminal event yet.
    pub(super) open_requests: usize,
}

impl SegmentInfo {
    /// An empty segment.
    pub fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    /// An event with this number is in it.
    pub fn saw(&mut self, partition: u16, seq: u64) {
        let last = self.last_seq.entry(partition).or_default();
        *last = (*last).max(seq);
    }

    fn is_done(&self, committed: &BTreeMap<u16, u64>) -> bool {
        let covered = |(partition, last): (&u16, &u64)| committed.get(partition).is_some_and(|seq| seq >= last);
        self.open_requests == 0 && self.last_seq.iter().all(covered)
    }
}

/// How many of the oldest segments can go: every event in them is committed, no request of theirs is open. The open
/// segment, the last one, stays whatever it holds.
pub fn done(segments: &[SegmentInfo], committed: &BTreeMap<u16, u64>) -> usize {
    let done = segments.iter().take_while(|info| info.is_done(committed)).count();
    done.min(segments.len().saturating_sub(1))
}
