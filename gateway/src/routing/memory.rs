//! A bounded memory of where things are, for a time.
//!
//! It is a table of small sets, each with its own lock, held for a few comparisons: as good as never contended. In a full
//! set the entry that ends soonest goes.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Sets, and entries in each: 131,072 entries in 3.3 MB.
const SETS: usize = 16_384;
const WAYS: usize = 8;

/// Where things are.
#[derive(Debug)]
pub(super) struct Memory {
    sets: Box<[Mutex<Set>]>,
    origin: Instant,
}

type Set = [Entry; WAYS];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    key: u64,
    place: u64,
    /// Milliseconds from the origin; 0 in an entry that was never used.
    until_ms: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self { sets: (0..SETS).map(|_| Mutex::default()).collect(), origin: Instant::now() }
    }
}

impl Memory {
    /// Where this is.
    pub(super) fn find(&self, key: u64, now: Instant) -> Option<u64> {
        let now_ms = self.millis(now);
        let is_it = |entry: &&Entry| entry.key == key && entry.until_ms > now_ms;
        self.with_set(key, |set| set.iter().find(is_it).map(|entry| entry.place))
    }

    /// It is there until then.
    pub(super) fn keep(&self, key: u64, place: u64, (now, until): (Instant, Instant)) {
        let (now_ms, until_ms) = (self.millis(now), self.millis(until));
        self.with_set(key, |set| {
            let at = room(set, key, now_ms);
            if let Some(entry) = set.get_mut(at) {
                *entry = Entry { key, place, until_ms };
            }
        });
    }

    /// It is not there any more.
    pub(super) fn forget(&self, key: u64, place: u64) {
        self.with_set(key, |set| {
            let gone = set.iter_mut().find(|entry| entry.key == key && entry.place == place);
            gone.into_iter().for_each(|entry| *entry = Entry::default());
        });
    }

    fn with_set<T: Default>(&self, key: u64, work: impl FnOnce(&mut Set) -> T) -> T {
        let set = usize::try_from(key).ok().and_then(|key| self.sets.get(key % SETS));
        set.map_or_else(T::default, |set| work(&mut set.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn millis(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.origin).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Where an entry goes: where it is, else where none counts any more, else where one ends soonest.
fn room(set: &Set, key: u64, now_ms: u64) -> usize {
    let rank = |entry: &Entry| (entry.key != key, entry.until_ms > now_ms, entry.until_ms);
    set.iter().enumerate().min_by_key(|(_, entry)| rank(entry)).map_or(0, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_full_set_loses_what_would_have_ended_first() {
        let now_ms = 50;
        let entry = |key, until_ms| Entry { key, place: 1, until_ms };
        let mut set: Set = std::array::from_fn(|at| entry(at as u64 + 1, 100 + at as u64));
        assert_eq!(room(&set, 3, now_ms), 2, "its own");
        assert_eq!(room(&set, 99, now_ms), 0, "the soonest");
        set[5] = entry(6, 40);
        assert_eq!(room(&set, 99, now_ms), 5, "what counts no more");
    }

    #[test]
    fn it_is_bounded() {
        assert!(size_of::<Mutex<Set>>() * SETS <= 3_500_000);
        let (memory, now) = (Memory::default(), Instant::now());
        let key = |id: u64| {
            let mut hash = DefaultHasher::new();
            id.hash(&mut hash);
            hash.finish()
        };
        (0..200_000).for_each(|id| memory.keep(key(id), 1, (now, now + Duration::from_secs(300))));
        let held = (0..200_000).filter(|id| memory.find(key(*id), now).is_some()).count();
        assert!((100_000..=SETS * WAYS).contains(&held), "{held}");
    }
}
