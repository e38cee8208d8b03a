//! How far a partition has been recorded: what a recorder keeps in NATS KV, and a gateway trims its ledger by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Timestamp;

/// The state of one partition. Every write is a compare-and-set on the key's revision, and carries the fence of the
/// lease that it is made under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Names the stream's incarnation: raised when it was re-created or rolled back, so that a sequence range never names
    /// two different sets of rows. It starts at the clock's seconds, so that it differs also after this state was lost.
    pub incarnation: u32,
    /// When the stream that this state belongs to was created: the server's time in RFC 3339 with microseconds.
    pub stream_created: String,
    /// Last stream sequence whose rows are in ClickHouse; 0 before the first.
    pub done: u64,
    /// `Nats-Msg-Id` of the message at `done`; empty before the first.
    pub done_id: String,
    /// A range being written: whoever finds it repeats exactly this range with the same tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// Which recorder wrote last.
    pub owner: String,
    /// The fence of its lease: a recorder whose lease has a lower one has lost the partition and may not write.
    #[serde(default)]
    pub fence: u64,
    /// When it did.
    pub updated_at: Timestamp,
    /// Per gateway epoch: which event numbers are in ClickHouse.
    #[serde(default)]
    pub epochs: BTreeMap<Uuid, SeqSet>,
}

/// A range of stream sequences about to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// First stream sequence.
    pub from: u64,
    /// Last stream sequence, inclusive.
    pub to: u64,
    /// Messages in the range.
    pub messages: u64,
    /// A hash over the range's messages in order: the range read again must be the range written.
    pub fingerprint: String,
    /// A random number in the tokens of this intent, so that no other ever uses them: not even one of the same range, made
    /// after NATS has come back with a state from before. 0 in intents of earlier releases.
    #[serde(default)]
    pub nonce: u64,
}

/// A set of event numbers: everything up to a watermark, and ranges beyond it that arrived early.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeqSet {
    /// Every number from 1 to this one is in the set.
    pub contiguous: u64,
    /// Disjoint, ascending, not adjacent ranges `[first, last]` above `contiguous + 1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::ranges")]
    pub ahead: Vec<(u64, u64)>,
}

/// How many numbers ranges hold, both ends included, that do not overlap.
pub fn count(ranges: impl IntoIterator<Item = (u64, u64)>) -> u64 {
    ranges.into_iter().map(|(first, last)| last - first + 1).sum()
}

impl SeqSet {
    /// The set of ranges `[first, last]` that are ascending and neither overlap nor touch; all numbers are above 0.
    pub fn of_ranges(ranges: &[(u64, u64)]) -> Self {
        match ranges.split_first() {
            Some(((1, last), rest)) => Self { contiguous: *last, ahead: rest.to_vec() },
            _ => Self { contiguous: 0, ahead: ranges.to_vec() },
        }
    }

    /// Whether the number is in the set.
    pub fn contains(&self, seq: u64) -> bool {
        if seq <= self.contiguous {
            return true;
        }
        let after = self.ahead.partition_point(|range| range.0 <= seq);
        after > 0 && self.ahead.get(after - 1).is_some_and(|range| seq <= range.1)
    }

    /// Adds a number; `false` if it was there already.
    pub fn insert(&mut self, seq: u64) -> bool {
        if seq == 0 || self.contains(seq) {
            return false;
        }
        let at = self.ahead.partition_point(|range| range.0 < seq);
        let joins_left = at > 0 && self.ahead.get(at - 1).is_some_and(|range| range.1 + 1 == seq);
        let joins_right = self.ahead.get(at).is_some_and(|range| range.0 == seq + 1);
        match (joins_left, joins_right) {
            (true, true) => {
                let right = self.ahead.remove(at);
                self.ahead[at - 1].1 = right.1;
            }
            (true, false) => self.ahead[at - 1].1 = seq,
            (false, true) => self.ahead[at].0 = seq,
            (false, false) => self.ahead.insert(at, (seq, seq)),
        }
        if self.ahead.first().is_some_and(|range| range.0 == self.contiguous + 1) {
            self.contiguous = self.ahead.remove(0).1;
        }
        true
    }

    /// The highest number in the set; 0 when it is empty.
    pub fn highest(&self) -> u64 {
        self.ahead.last().map_or(self.contiguous, |range| range.1)
    }

    /// What this set has and the other has not, as ascending ranges `[first, last]`.
    pub fn without(&self, other: &Self) -> Vec<(u64, u64)> {
        let mut left = Vec::new();
        let mut others = other.ranges().peekable();
        for (first, last) in self.ranges() {
            let mut next = first;
            while let Some(&(from, to)) = others.peek().filter(|range| range.0 <= last) {
                if from > next {
                    left.push((next, from - 1));
                }
                next = next.max(to + 1);
                if to > last {
                    // It goes on into the next range.
                    break;
                }
                others.next();
            }
            if next <= last {
                left.push((next, last));
            }
        }
        left
    }

    /// All of the set as ascending ranges `[first, last]`.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let base = (self.contiguous > 0).then_some((1, self.contiguous));
        base.into_iter().chain(self.ahead.iter().copied())
    }

    /// The holes below [`SeqSet::highest`], as ranges `[first, last]`.
    pub fn gaps(&self) -> Vec<(u64, u64)> {
        let mut next = self.contiguous + 1;
        self.ahead
            .iter()
            .map(|range| {
                let gap = (next, range.0 - 1);
                next = range.1 + 1;
                gap
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_plain_set_in_any_order(
            seqs in proptest::collection::vec(1u64..60, 0..120),
            others in proptest::collection::vec(1u64..60, 0..120),
        ) {
            let (mut set, mut model) = (SeqSet::default(), BTreeSet::new());
            for seq in seqs {
                prop_assert_eq!(set.insert(seq), model.insert(seq));
            }
            for seq in 0..70 {
                prop_assert_eq!(set.contains(seq), seq == 0 || model.contains(&seq));
            }
            let missing: Vec<u64> = set.gaps().into_iter().flat_map(|(first, last)| first..=last).collect();
            let highest = model.last().copied().unwrap_or(0);
            prop_assert_eq!(set.highest(), highest);
            prop_assert_eq!(missing, (1..highest).filter(|seq| !model.contains(seq)).collect::<Vec<_>>());
            let mut other = SeqSet::default();
            for seq in others {
                other.insert(seq);
            }
            let left: Vec<u64> = set.without(&other).into_iter().flat_map(|(first, last)| first..=last).collect();
            prop_assert_eq!(left, model.iter().copied().filter(|seq| !other.contains(*seq)).collect::<Vec<_>>());
            prop_assert!(set.ahead.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            let json = serde_json::to_string(&set).unwrap();
            prop_assert_eq!(serde_json::from_str::<SeqSet>(&json).unwrap(), set);
        }
    }

    #[test]
    fn states_of_earlier_releases_are_read_and_many_holes_take_little_room() {
        let old = r#"{"incarnation":7,"stream_created":"x","done":3,"done_id":"i","owner":"o",
            "updated_at":"2026-01-01T00:00:00Z",
            "epochs":{"00000000-0000-0000-0000-000000000007":{"contiguous":4,"ahead":[[6,7],[9,9]]}}}"#;
        let progress: Progress = serde_json::from_str(old).unwrap();
        assert_eq!((progress.fence, progress.intent), (0, None));
        assert_eq!(progress.epochs[&Uuid::from_u128(7)], SeqSet { contiguous: 4, ahead: vec![(6, 7), (9, 9)] });

        // Every other event is of a kind whose packs were lost.
        let ahead = (0..50_000).map(|hole| (1_000_000_000 + 2 * hole, 1_000_000_000 + 2 * hole)).collect();
        let json = serde_json::to_string(&SeqSet { contiguous: 1, ahead }).unwrap();
        assert!(json.len() < 101_000, "{} bytes", json.len());
    }
}
