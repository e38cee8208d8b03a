//! Finding out that NATS has lost what it had acknowledged, and sending it again.
//!
//! An acknowledged event is lost when the recorder has recorded everything that the stream holds and the event is not
//! among it. That covers a wiped store, a stream that was re-created, and a tail that was rolled back by a power loss.
//! A false alarm does no harm: what arrives twice is dropped by its number.

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use schemas::events::Head;
use schemas::progress::SeqSet;

use super::cursor::Cursor;
use super::packer::{Lane, Pack, Packer};
use super::{Ledger, record};

/// Ranges `[first, last]` of one partition.
pub type Ranges = Vec<(u64, u64)>;

/// What a shipper knows of the fate of its events, per partition.
#[derive(Debug, Default)]
pub struct Fate {
    /// Acknowledged by NATS since this process started.
    acked: BTreeMap<u16, SeqSet>,
    /// Committed to ClickHouse.
    committed: BTreeMap<u16, SeqSet>,
    /// Found missing by the last look.
    suspects: BTreeMap<u16, SeqSet>,
}

impl Fate {
    /// NATS has acknowledged these.
    pub fn acknowledged(&mut self, partition: u16, seqs: &[u64]) {
        let acked = self.acked.entry(partition).or_default();
        for seq in seqs {
            acked.insert(*seq);
        }
    }

    /// The recorder says what it has committed. It may forget after a loss of its own; what was committed stays so.
    pub fn committed(&mut self, partition: u16, seqs: &SeqSet) {
        let known = self.committed.entry(partition).or_default();
        if seqs.contiguous >= known.contiguous {
            known.clone_from(seqs);
        }
    }

    /// The watermarks up to which everything is committed.
    pub fn watermarks(&self) -> BTreeMap<u16, u64> {
        self.committed.iter().map(|(partition, seqs)| (*partition, seqs.contiguous)).collect()
    }

    /// Whether something acknowledged is not committed yet: then it is worth asking how far the recorder is.
    pub fn is_waiting(&self, partition: u16) -> bool {
        !self.outstanding(partition).is_empty()
    }

    /// Looks at a partition of which the recorder has recorded everything (`caught_up`) or not. Returns what was
    /// missing at two looks in a row: one look may fall between a commit and its being seen here.
    pub fn lost(&mut self, partition: u16, caught_up: bool) -> Ranges {
        let suspects = self.suspects.remove(&partition).unwrap_or_default();
        if !caught_up {
            return Ranges::new();
        }
        let missing = SeqSet::of_ranges(&self.outstanding(partition));
        let lost = missing.without(&SeqSet::of_ranges(&missing.without(&suspects)));
        self.suspects.insert(partition, missing);
        lost
    }

    fn outstanding(&self, partition: u16) -> Ranges {
        let nothing = SeqSet::default();
        let committed = self.committed.get(&partition).unwrap_or(&nothing);
        self.acked.get(&partition).map_or_else(Ranges::new, |acked| acked.without(committed))
    }
}

/// Packs of lost events, while the ledger is read again from its beginning.
#[derive(Debug)]
pub struct Again<'a> {
    lost: &'a BTreeMap<u16, Ranges>,
    packs_max: usize,
    now: Instant,
    packer: Packer,
    packs: Vec<Pack>,
}

impl<'a> Again<'a> {
    /// Of these losses, at most so many packs: the rest comes at the next look.
    pub fn new(lost: &'a BTreeMap<u16, Ranges>, packs_max: usize, now: Instant) -> Self {
        Self { lost, packs_max, now, packer: Packer::default(), packs: Vec::new() }
    }

    /// Whether there is room for more.
    pub fn has_room(&self) -> bool {
        self.packs.len() < self.packs_max
    }

    /// Takes the next event of the ledger, if it is lost.
    pub fn push(&mut self, lane: Lane, seq: u64, line: &[u8]) {
        let lost = self.lost.get(&lane.0);
        if lost.is_some_and(|ranges| ranges.iter().any(|(first, last)| (*first..=*last).contains(&seq))) {
            self.packs.extend(self.packer.push(lane, seq, line, self.now));
        }
    }

    /// The packs. The journal keeps the boundaries of first sendings only: a restart sends by those.
    pub fn finish(mut self) -> Vec<Pack> {
        self.packs.extend(self.packer.flush());
        self.packs.iter_mut().for_each(|pack| pack.journaled = true);
        self.packs
    }
}

/// Reads lost events from the ledger again, as packs; at most `packs_max` of them.
pub(super) fn reread(ledger: &Ledger, lost: &BTreeMap<u16, Ranges>, packs_max: usize) -> io::Result<Vec<Pack>> {
    let mut cursor = Cursor::at_start(ledger.dir())?;
    let tail = ledger.tail();
    let mut again = Again::new(lost, packs_max, Instant::now());
    while again.has_room() {
        let Some(payload) = cursor.next(tail)? else { break };
        if matches!(payload.first(), Some(&record::PACK | &record::CHECKPOINT)) {
            continue;
        }
        let Ok(head) = serde_json::from_slice::<Head>(&payload) else { continue };
        again.push((head.partition, head.kind), head.seq, &payload);
    }
    Ok(again.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seqs(contiguous: u64, ahead: &[(u64, u64)]) -> SeqSet {
        SeqSet { contiguous, ahead: ahead.to_vec() }
    }

    #[test]
    fn what_stays_missing_though_the_recorder_has_everything_is_lost() {
        let mut fate = Fate::default();
        fate.acknowledged(0, &(1..=10).collect::<Vec<_>>());
        fate.committed(0, &seqs(4, &[(7, 8)]));
        assert!(fate.is_waiting(0));
        assert!(fate.lost(0, true).is_empty(), "the first look only suspects");
        fate.committed(0, &seqs(5, &[(7, 8)]));
        assert_eq!(fate.lost(0, true), [(6, 6), (9, 10)]);
        fate.committed(0, &seqs(10, &[]));
        assert!(fate.lost(0, true).is_empty() && !fate.is_waiting(0));
    }

    #[test]
    fn a_recorder_that_lags_loses_nothing() {
        let mut fate = Fate::default();
        fate.acknowledged(0, &[1, 2, 3]);
        for _ in 0..5 {
            assert!(fate.lost(0, false).is_empty());
        }
        assert!(fate.lost(0, true).is_empty());
        assert!(fate.lost(0, false).is_empty());
        assert!(fate.lost(0, true).is_empty(), "suspicion starts anew");
    }

    #[test]
    fn a_recorder_that_forgets_does_not_bring_back_what_was_committed() {
        let mut fate = Fate::default();
        fate.acknowledged(0, &[1, 2, 3]);
        fate.committed(0, &seqs(3, &[]));
        fate.committed(0, &seqs(0, &[]));
        assert_eq!(fate.watermarks()[&0], 3);
        assert!(!fate.is_waiting(0));
    }
}
