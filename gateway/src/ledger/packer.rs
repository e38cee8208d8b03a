//! From events to packs. Pure: no clock but the one passed in, no I/O.
//!
//! A pack's id names its first event, and a retry must send identical bytes under the same id, also after a restart.
//! So a pack's boundary is journaled before its first publish, and a packer that starts over follows the journal.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use schemas::outcome::Kind;
use schemas::pack::{LINGER, PackBuilder};
use serde::{Deserialize, Serialize};

/// The events of one kind and partition that one pack holds: all with `first <= seq <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boundary {
    /// Their partition.
    pub partition: u16,
    /// Their kind.
    pub kind: Kind,
    /// The first number.
    pub first: u64,
    /// The last number, inclusive.
    pub last: u64,
}

impl Boundary {
    pub(super) fn decode(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

/// A finished pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Which events it holds; its id is made of it.
    pub boundary: Boundary,
    /// Their numbers.
    pub seqs: Vec<u64>,
    /// The payload.
    pub bytes: Vec<u8>,
    /// Whether the journal already has its boundary.
    pub journaled: bool,
}

/// Partition and kind: what a pack holds is all of one lane.
pub type Lane = (u16, Kind);

#[derive(Debug, Default)]
struct Filling {
    builder: PackBuilder,
    since: Option<Instant>,
    /// The pack was journaled with this last number: it ends there and nowhere else.
    until: Option<u64>,
    /// The last number pushed.
    last: u64,
}

/// Packs being filled, one per partition and kind.
#[derive(Debug, Default)]
pub struct Packer {
    lanes: BTreeMap<Lane, Filling>,
    journal: BTreeMap<Lane, VecDeque<Boundary>>,
}

impl Packer {
    /// A packer that repeats the packs of the journal before it makes any of its own.
    pub fn new(journaled: Vec<Boundary>) -> Self {
        let mut journal: BTreeMap<Lane, VecDeque<Boundary>> = BTreeMap::new();
        for boundary in journaled {
            journal.entry((boundary.partition, boundary.kind)).or_default().push_back(boundary);
        }
        Self { lanes: BTreeMap::new(), journal }
    }

    /// Adds an event. Returns the packs that this completes, at most two.
    pub fn push(&mut self, lane: Lane, seq: u64, line: &[u8], now: Instant) -> Vec<Pack> {
        let mut finished = Vec::new();
        let filling = self.lanes.entry(lane).or_default();
        let journal = self.journal.entry(lane).or_default();
        // Journaled packs whose events were all trimmed away have nothing left to say.
        while journal.front().is_some_and(|boundary| boundary.last < seq && filling.until != Some(boundary.last)) {
            journal.pop_front();
        }
        if filling.builder.is_empty() {
            filling.until = journal.front().filter(|boundary| boundary.first <= seq).map(|boundary| boundary.last);
            filling.since = Some(now);
        }
        if filling.until.is_none() && !filling.builder.push(seq, line) {
            finished.extend(finish(lane, filling));
            filling.since = Some(now);
            filling.builder.push(seq, line);
        } else if filling.until.is_some() {
            filling.builder.push_journaled(seq, line);
        }
        filling.last = seq;
        if filling.until == Some(seq) {
            finished.extend(finish(lane, filling));
            journal.pop_front();
        }
        finished
    }

    /// Packs whose first event has waited for long enough.
    pub fn due(&mut self, now: Instant) -> Vec<Pack> {
        self.take(|filling| filling.since.is_some_and(|since| now.duration_since(since) >= LINGER))
    }

    /// Everything that is left, however young.
    pub fn flush(&mut self) -> Vec<Pack> {
        self.take(|_| true)
    }

    /// When the next pack is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.lanes
            .values()
            .filter(|filling| !filling.builder.is_empty())
            .filter_map(|f| f.since)
            .min()
            .map(|s| s + LINGER)
    }

    fn take(&mut self, ready: impl Fn(&Filling) -> bool) -> Vec<Pack> {
        self.lanes
            .iter_mut()
            .filter(|(_, filling)| !filling.builder.is_empty() && ready(filling))
            .filter_map(|(lane, filling)| finish(*lane, filling))
            .collect()
    }
}

fn finish((partition, kind): Lane, filling: &mut Filling) -> Option<Pack> {
    let first = filling.builder.first_seq()?;
    let journaled = filling.until.take().is_some_and(|last| last == filling.last);
    let (bytes, seqs) = filling.builder.take();
    filling.since = None;
    let boundary = Boundary { partition, kind, first, last: filling.last };
    Some(Pack { boundary, seqs, bytes, journaled })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Lane = (0, Kind::Stream);

    fn fill(packer: &mut Packer, seqs: impl Iterator<Item = u64>, now: Instant) -> Vec<Pack> {
        seqs.flat_map(|seq| packer.push(LANE, seq, format!("{{\"seq\":{seq}}}").as_bytes(), now)).collect()
    }

    #[test]
    fn a_pack_is_due_when_its_first_event_has_waited() {
        let (mut packer, start) = (Packer::default(), Instant::now());
        assert!(fill(&mut packer, [1, 4, 5].into_iter(), start).is_empty());
        assert!(packer.due(start).is_empty());
        assert_eq!(packer.next_due(), Some(start + LINGER));
        let packs = packer.due(start + LINGER);
        assert_eq!(packs.len(), 1);
        assert_eq!((packs[0].boundary.first, packs[0].boundary.last, packs[0].seqs.len()), (1, 5, 3));
        assert_eq!(packer.next_due(), None);
    }

    #[test]
    fn a_restarted_packer_repeats_the_journaled_packs_to_the_byte() {
        let start = Instant::now();
        let mut first = Packer::default();
        let mut sent = fill(&mut first, 1..=300, start);
        sent.extend(first.due(start + LINGER));
        sent.extend(fill(&mut first, 301..=310, start));
        sent.extend(first.flush());
        assert_eq!(sent.len(), 3);

        // The dead process had journaled these three and appended 20 events more.
        let mut second = Packer::new(sent.iter().map(|pack| pack.boundary).collect());
        let mut again = fill(&mut second, 1..=330, start);
        again.extend(second.flush());
        assert_eq!(again.len(), 4);
        for (pack, repeated) in sent.iter().zip(&again) {
            assert_eq!((pack.boundary, &pack.bytes), (repeated.boundary, &repeated.bytes));
            assert!(repeated.journaled && !pack.journaled);
        }
        assert_eq!((again[3].boundary.first, again[3].boundary.last, again[3].journaled), (311, 330, false));
    }

    #[test]
    fn a_journaled_pack_whose_head_was_trimmed_away_gets_a_name_of_its_own() {
        let boundary = |first, last| Boundary { partition: 0, kind: Kind::Stream, first, last };
        let mut packer = Packer::new(vec![boundary(1, 3), boundary(4, 9), boundary(10, 12)]);
        let packs = fill(&mut packer, 7..=12, Instant::now());
        let bounds: Vec<_> = packs.iter().map(|pack| (pack.boundary.first, pack.boundary.last)).collect();
        assert_eq!(bounds, [(7, 9), (10, 12)]);
    }
}
