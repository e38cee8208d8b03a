//! Which events of a range are recorded now, and how the state in KV stays bounded.
//!
//! An event that would make the state too large is *put off*: it is not recorded and not remembered, as if the stream
//! had lost it. Its number stays uncommitted, so its gateway keeps it and sends it again once the recorder has read
//! everything. Nothing waits for that: the packs that close the holes lie further on in the same stream.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemas::progress::SeqSet;
use schemas::time::Timestamp;
use uuid::Uuid;

/// Bounds of the epochs in a [`schemas::progress::Progress`], which must fit into one value of NATS KV (1 MiB).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most ranges beyond watermarks, over all epochs. One takes 2 to 16 bytes, mostly 2 to 8.
    pub ranges: usize,
    /// Most epochs. One takes about 70 bytes.
    pub epochs: usize,
}

/// The bounds that recorders keep to.
pub const BOUNDS: Bounds = Bounds { ranges: 50_000, epochs: 4_000 };

/// A ledger that has been finished for this long can be retired.
pub const RETIRE_AFTER: Duration = Duration::from_secs(86_400);
/// An unknown ledger that is older than this is looked up. Less than [`RETIRE_AFTER`], since clocks differ.
const LOOK_UP_AFTER: Duration = Duration::from_secs(86_400 / 2);

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is recorded with this range, and known from now on.
    New,
    /// It was recorded before.
    Known,
    /// There is no room to remember it: its gateway will send it again.
    PutOff,
}

/// Decides event by event. The decisions depend on the epochs and the order of the events alone, so a range that is
/// repeated from the same state gets the same ones.
#[derive(Clone, Debug)]
pub struct Admitter {
    epochs: BTreeMap<Uuid, SeqSet>,
    ranges: usize,
    bounds: Bounds,
}

impl Default for Admitter {
    fn default() -> Self {
        Self::new(BTreeMap::new(), BOUNDS)
    }
}

impl Admitter {
    /// Goes on from what is recorded.
    pub fn new(epochs: BTreeMap<Uuid, SeqSet>, bounds: Bounds) -> Self {
        let ranges = epochs.values().map(|set| set.ahead.len()).sum();
        Self { epochs, ranges, bounds }
    }

    /// Decides about an event.
    pub fn admit(&mut self, epoch: Uuid, seq: u64) -> Admission {
        let known = self.epochs.len();
        let Some(set) = self.epochs.get_mut(&epoch) else {
            if known >= self.bounds.epochs || (seq != 1 && self.ranges >= self.bounds.ranges) {
                return Admission::PutOff;
            }
            let set = self.epochs.entry(epoch).or_default();
            set.insert(seq);
            self.ranges += set.ahead.len();
            return Admission::New;
        };
        if set.contains(seq) {
            return Admission::Known;
        }
        let joins = seq == set.contiguous + 1 || set.contains(seq - 1) || set.contains(seq + 1);
        if !joins && self.ranges >= self.bounds.ranges {
            return Admission::PutOff;
        }
        self.ranges -= set.ahead.len();
        set.insert(seq);
        self.ranges += set.ahead.len();
        Admission::New
    }

    /// What is recorded with the events that were admitted.
    pub fn into_epochs(self) -> BTreeMap<Uuid, SeqSet> {
        self.epochs
    }
}

/// Forgets ledgers that are wholly recorded and whose gateways are gone; `finished` holds their last numbers. Should one
/// of them come back after all, [`look_up`] asks ClickHouse for it.
pub fn retire(epochs: &mut BTreeMap<Uuid, SeqSet>, finished: &BTreeMap<Uuid, u64>, now: Timestamp) {
    epochs.retain(|epoch, set| {
        let whole = set.ahead.is_empty() && finished.get(epoch) == Some(&set.contiguous);
        !(whole && is_older(*epoch, RETIRE_AFTER, now))
    });
}

/// Forgets the oldest ledgers without holes when there are more than can be kept: after KV was lost, ClickHouse names
/// every ledger there ever was.
pub fn keep_within(epochs: &mut BTreeMap<Uuid, SeqSet>, bounds: Bounds, now: Timestamp) {
    // A UUIDv7 begins with its time, so the oldest come first; some room stays for those that are to come.
    let mut surplus = epochs.len().saturating_sub(bounds.epochs / 2);
    epochs.retain(|epoch, set| {
        let goes = surplus > 0 && set.ahead.is_empty() && is_older(*epoch, RETIRE_AFTER, now);
        surplus -= usize::from(goes);
        !goes
    });
}

/// Those of the ledgers in `found` that `known` does not hold and that may have been retired from it: ClickHouse must be
/// asked before their events count as new.
pub fn look_up<'a>(
    found: impl Iterator<Item = &'a Uuid>,
    known: &BTreeMap<Uuid, SeqSet>,
    now: Timestamp,
) -> BTreeSet<Uuid> {
    found.filter(|epoch| !known.contains_key(epoch) && is_older(**epoch, LOOK_UP_AFTER, now)).copied().collect()
}

/// Whether a ledger was created that long ago. One whose id does not tell is as old as anything.
fn is_older(epoch: Uuid, age: Duration, now: Timestamp) -> bool {
    created(epoch).is_none_or(|created| now.millis_since(created) > age.as_millis() as f64)
}

/// When a ledger was created, by its own id; `None` if that is no UUIDv7.
pub fn created(epoch: Uuid) -> Option<Timestamp> {
    let (seconds, nanos) = Some(epoch).filter(|epoch| epoch.get_version_num() == 7)?.get_timestamp()?.to_unix();
    let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
    Some(Timestamp::from_micros(micros + i64::from(nanos) / 1000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EPOCH: Uuid = Uuid::from_u128(7);

    fn seqs(contiguous: u64, ahead: &[(u64, u64)]) -> SeqSet {
        SeqSet { contiguous, ahead: ahead.to_vec() }
    }

    #[test]
    fn what_would_make_the_state_too_large_is_put_off_and_what_closes_a_hole_never_is() {
        let bounds = Bounds { ranges: 2, epochs: 2 };
        let mut admitter = Admitter::new(BTreeMap::from([(EPOCH, seqs(3, &[(6, 6), (9, 9)]))]), bounds);
        assert_eq!(admitter.admit(EPOCH, 6), Admission::Known);
        assert_eq!(admitter.admit(EPOCH, 20), Admission::PutOff);
        assert_eq!(admitter.admit(EPOCH, 10), Admission::New);
        assert_eq!(admitter.admit(EPOCH, 8), Admission::New);
        assert_eq!(admitter.admit(Uuid::from_u128(8), 2), Admission::PutOff);
        assert_eq!(admitter.admit(Uuid::from_u128(8), 1), Admission::New);
        assert_eq!(admitter.admit(Uuid::from_u128(9), 1), Admission::PutOff, "a third ledger");
        assert_eq!([4, 5].map(|seq| admitter.admit(EPOCH, seq)), [Admission::New; 2]);
        assert_eq!(admitter.admit(EPOCH, 20), Admission::New, "there is room again");
        assert_eq!(admitter.into_epochs()[&EPOCH], seqs(6, &[(8, 10), (20, 20)]));
    }

    #[test]
    fn only_finished_ledgers_of_long_ago_are_retired_and_all_such_are_looked_up() {
        let old = Uuid::from_u128(0x019a_0000_0000_7000_8000_0000_0000_0001);
        let now = Timestamp::from_micros(created(old).unwrap().as_micros() + 90_000 * 1_000_000);
        let young = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, now.as_micros() as u64 / 1_000_000, 0));
        let all = BTreeMap::from([(old, seqs(5, &[])), (young, seqs(5, &[])), (EPOCH, seqs(5, &[(7, 7)]))]);
        let retired = |finished: &[(Uuid, u64)]| {
            let mut epochs = all.clone();
            retire(&mut epochs, &finished.iter().copied().collect(), now);
            all.keys().filter(|epoch| !epochs.contains_key(epoch)).copied().collect::<Vec<_>>()
        };
        assert_eq!(retired(&[(old, 5), (young, 5), (EPOCH, 5)]), [old]);
        assert_eq!(retired(&[(old, 6)]), Vec::<Uuid>::new(), "an event of it is not recorded");
        assert_eq!(look_up(all.keys(), &BTreeMap::new(), now), BTreeSet::from([old, EPOCH]));
        assert_eq!(look_up(all.keys(), &all, now), BTreeSet::new());
        let mut epochs = all.clone();
        keep_within(&mut epochs, Bounds { ranges: 9, epochs: 4 }, now);
        assert_eq!(epochs.keys().copied().collect::<Vec<_>>(), [EPOCH, young]);
    }

    proptest! {
        #[test]
        fn the_bound_holds_and_what_is_put_off_is_all_that_is_missing(
            events in proptest::collection::vec((0u128..4, 1u64..60), 0..200),
        ) {
            let bounds = Bounds { ranges: 3, epochs: 3 };
            let mut admitter = Admitter::new(BTreeMap::new(), bounds);
            let mut model = BTreeSet::new();
            for (epoch, seq) in events {
                let admission = admitter.admit(Uuid::from_u128(epoch), seq);
                prop_assert_eq!(admission == Admission::Known, model.contains(&(epoch, seq)));
                if admission == Admission::New {
                    model.insert((epoch, seq));
                }
            }
            let epochs = admitter.into_epochs();
            prop_assert!(epochs.len() <= 3 && epochs.values().map(|set| set.ahead.len()).sum::<usize>() <= 3);
            for (epoch, seq) in (0..4).flat_map(|epoch| (1..60).map(move |seq| (epoch, seq))) {
                let held = epochs.get(&Uuid::from_u128(epoch)).is_some_and(|set| set.contains(seq));
                prop_assert_eq!(held, model.contains(&(epoch, seq)));
            }
        }
    }
}
