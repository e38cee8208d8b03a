//! What one recorder makes of the board. Pure: the board as it was read and the time come in, the board as it should be
//! goes out; only a board that was written counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::{Board, Lease, Member, Times};

/// A recorder that has beaten this often is reckoned with: one that dies again and again right after its start must not
/// make the others give up partitions each time.
const SETTLED_BEATS: u64 = 3;

/// A lease in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    fence: u64,
    /// It is to be given to another recorder as soon as the range in hand is recorded.
    leaving: bool,
}

/// One recorder's view.
#[derive(Clone, Debug)]
pub struct Keeper {
    me: String,
    partitions: u16,
    times: Times,
    /// Per recorder its beat, and since when it stands still.
    seen: BTreeMap<String, (u64, Instant)>,
    /// Leases in this recorder's name that it did not take, as far as it knows, and since when.
    phantoms: BTreeMap<u16, Instant>,
    looked_at: Option<Instant>,
    held: BTreeMap<u16, Held>,
    valid_until: Option<Instant>,
    /// Partitions in whose state a higher fence was found than on the board.
    floors: BTreeMap<u16, u64>,
    takeovers: u64,
}

impl Keeper {
    /// A recorder that holds nothing. Its name is its own for ever: a restarted one has another.
    pub fn new(me: String, partitions: u16, times: Times) -> Self {
        Self {
            me,
            partitions,
            times,
            seen: BTreeMap::new(),
            phantoms: BTreeMap::new(),
            looked_at: None,
            held: BTreeMap::new(),
            valid_until: None,
            floors: BTreeMap::new(),
            takeovers: 0,
        }
    }

    /// This recorder's name.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// Looks at the board as it is now.
    pub fn look(&mut self, board: &Board, now: Instant) {
        // Whoever did not look for a while has not seen anybody be silent: everyone gets the whole time again.
        let blind = self.looked_at.is_none_or(|at| now.duration_since(at) > self.times.silence / 2);
        self.looked_at = Some(now);
        let seen = std::mem::take(&mut self.seen);
        let since = |name: &String, member: &Member| {
            let before = seen.get(name).filter(|(beat, _)| !blind && *beat == member.beat);
            (member.beat, before.map_or(now, |(_, since)| *since))
        };
        self.seen = board.members.iter().map(|(name, member)| (name.clone(), since(name, member))).collect();
        self.held.retain(|partition, held| match board.leases.get(partition) {
            Some(lease) => lease.holder.as_ref() == Some(&self.me) && lease.fence == held.fence,
            // The board was lost. Nobody else has the partition as far as can be known.
            None => true,
        });
        let in_my_name = board.leases.iter().filter(|(_, lease)| lease.holder.as_ref() == Some(&self.me));
        let phantoms = in_my_name.map(|(partition, _)| *partition).filter(|number| !self.held.contains_key(number));
        let since = |partition: u16| self.phantoms.get(&partition).filter(|_| !blind).copied().unwrap_or(now);
        self.phantoms = phantoms.map(|partition| (partition, since(partition))).collect();
    }

    /// The board as it should be: with this recorder's beat, without those that are silent, with what this recorder
    /// takes and gives. `idle` are the partitions on which it does not work at this moment.
    pub fn propose(&mut self, board: &Board, idle: &BTreeSet<u16>, now: Instant) -> Board {
        let mut next = board.clone();
        next.members.retain(|name, _| *name == self.me || !self.is_silent(name, now));
        next.members.entry(self.me.clone()).or_default().beat += 1;
        for partition in 0..self.partitions {
            let lease = next.leases.entry(partition).or_default();
            let is_gone = match &lease.holder {
                Some(holder) if *holder == self.me => self.is_phantom(partition, now),
                Some(holder) => !next.members.contains_key(holder),
                None => false,
            };
            if is_gone {
                lease.holder = None;
            }
            match self.held.get(&partition) {
                Some(held) => {
                    let fence = held.fence.max(lease.fence).max(self.raised(partition).unwrap_or(0));
                    *lease = Lease { holder: Some(self.me.clone()), fence };
                }
                None => lease.fence = lease.fence.max(self.floors.get(&partition).copied().unwrap_or(0)),
            }
        }
        let quota = self.quota(&next);
        self.mark_leaving(quota);
        self.give(&mut next, idle);
        self.claim(&mut next, quota);
        next
    }

    /// The board as it should be when this recorder ends: `idle` are the partitions that it has let go of in order. As
    /// long as it may still be writing to others it stays a member, and those are taken when it has been silent.
    pub fn farewell(&self, board: &Board, idle: &BTreeSet<u16>) -> Board {
        let mut next = board.clone();
        let mine = |lease: &Lease| lease.holder.as_ref() == Some(&self.me);
        let free = next.leases.iter_mut().filter(|(partition, lease)| mine(lease) && idle.contains(partition));
        free.for_each(|(_, lease)| lease.holder = None);
        if !next.leases.values().any(mine) {
            next.members.remove(&self.me);
        }
        next
    }

    /// The board was written as proposed, in a request that was begun at `sent_at`.
    pub fn written(&mut self, before: &Board, after: &Board, sent_at: Instant) {
        let leaving = |partition: &u16| self.held.get(partition).is_some_and(|held| held.leaving);
        let mine = after.leases.iter().filter(|(_, lease)| lease.holder.as_ref() == Some(&self.me));
        let held: BTreeMap<u16, Held> = mine
            .filter(|(partition, _)| {
                !self.phantoms.contains_key(*partition) || self.was_freed(before, after, **partition)
            })
            .map(|(partition, lease)| (*partition, Held { fence: lease.fence, leaving: leaving(partition) }))
            .collect();
        let from_another = |partition: &u16| {
            let holder = before.leases.get(partition).and_then(|lease| lease.holder.as_ref());
            holder.is_some_and(|holder| *holder != self.me)
        };
        self.takeovers += held.keys().filter(|partition| from_another(partition)).count() as u64;
        self.phantoms.retain(|partition, _| !held.contains_key(partition));
        self.held = held;
        self.floors.retain(|partition, floor| after.leases.get(partition).is_some_and(|lease| lease.fence < *floor));
        self.valid_until = Some(sent_at + self.times.valid);
    }

    /// In the state of a partition that this recorder holds there was a higher fence: the board is not the one that the
    /// partition was taken by.
    pub fn found_fence(&mut self, partition: u16, fence: u64) {
        let floor = self.floors.entry(partition).or_default();
        *floor = (*floor).max(fence);
    }

    /// The leases in hand: partition, fence, and whether it is to be given away.
    pub fn held(&self) -> impl Iterator<Item = (u16, u64, bool)> + '_ {
        self.held.iter().map(|(partition, held)| (*partition, held.fence, held.leaving))
    }

    /// Until when the leases in hand may be used.
    pub fn valid_until(&self) -> Option<Instant> {
        self.valid_until
    }

    /// How many leases were taken from recorders that had gone silent.
    pub fn takeovers(&self) -> u64 {
        self.takeovers
    }

    fn is_silent(&self, name: &str, now: Instant) -> bool {
        self.seen.get(name).is_some_and(|(_, since)| now.duration_since(*since) >= self.times.silence)
    }

    fn is_phantom(&self, partition: u16, now: Instant) -> bool {
        self.phantoms.get(&partition).is_some_and(|since| now.duration_since(*since) >= self.times.silence)
    }

    fn was_freed(&self, before: &Board, after: &Board, partition: u16) -> bool {
        before.leases.get(&partition).map(|lease| lease.fence) != after.leases.get(&partition).map(|lease| lease.fence)
    }

    /// The fence that is needed for a partition whose state holds a higher one than its lease.
    fn raised(&self, partition: u16) -> Option<u64> {
        self.floors.get(&partition).map(|floor| floor + 1)
    }

    /// How many partitions this recorder should have: as many as the others, and where that leaves some over, those have
    /// one more that have more already, so that nothing moves without need.
    fn quota(&self, board: &Board) -> usize {
        let held = |name: &String| board.leases.values().filter(|lease| lease.holder.as_ref() == Some(name)).count();
        let counted = |(name, member): &(&String, &Member)| **name == self.me || member.beat >= SETTLED_BEATS;
        let mut ranked: Vec<(usize, &String)> =
            board.members.iter().filter(counted).map(|(name, _)| (held(name), name)).collect();
        ranked.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
        let (all, members) = (usize::from(self.partitions), ranked.len().max(1));
        let rank = ranked.iter().position(|(_, name)| **name == self.me).unwrap_or(members);
        all / members + usize::from(rank < all % members)
    }

    fn mark_leaving(&mut self, quota: usize) {
        for (index, held) in self.held.values_mut().enumerate() {
            held.leaving = index >= quota;
        }
    }

    fn give(&mut self, board: &mut Board, idle: &BTreeSet<u16>) {
        let gone = |(partition, held): (&u16, &Held)| (held.leaving && idle.contains(partition)).then_some(*partition);
        let gone: Vec<u16> = self.held.iter().filter_map(gone).collect();
        for partition in gone {
            if let Some(lease) = board.leases.get_mut(&partition) {
                lease.holder = None;
            }
        }
    }

    fn claim(&self, board: &mut Board, quota: usize) {
        let held = board.leases.values().filter(|lease| lease.holder.as_ref() == Some(&self.me)).count();
        let given = |partition: u16| self.held.get(&partition).is_some_and(|held| held.leaving);
        let is_ours = |partition: u16| partition < self.partitions && !given(partition);
        let free = board.leases.iter_mut().filter(|(partition, lease)| lease.holder.is_none() && is_ours(**partition));
        for (_, lease) in free.take(quota.saturating_sub(held)) {
            *lease = Lease { holder: Some(self.me.clone()), fence: lease.fence + 1 };
        }
    }
}
