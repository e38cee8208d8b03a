//! The users of one client, each with a meter of its own, in bounded memory whatever users a client invents. Pure but for
//! the room that all clients share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use schemas::config::RateLimits;
use schemas::time::Timestamp;

use super::meter::{Meter, Use};
use crate::hashed::Hashed;

/// Most users with a meter of their own, over all clients of a gateway: about 15 MB.
pub(super) const USERS_MAX: usize = 100_000;

/// The users that were seen within the last two minutes, or have a request under way.
#[derive(Debug)]
pub(super) struct Users {
    /// By a hash of the user's name.
    meters: HashMap<u64, Meter, Hashed>,
    /// For users that came when there was no room: they share what one user may use.
    rest: Meter,
    /// Those that others told of, so that it can be taken back.
    heard: Vec<u64>,
    swept: Timestamp,
    /// Places that are left, of all clients.
    room: Arc<AtomicUsize>,
}

/// Where a user's request is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    Own(u64),
    Shared,
}

/// The number that stands for a user, the same at every gateway: FNV-1a
/// (<https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>). It is cheap, and that a client could invent users of the
/// same number gains it nothing: they share what one user may use.
pub(super) fn id_of(user: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    user.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// Between two sweeps for users that are gone, in microseconds.
const SWEEP_MICROS: i64 = 1_000_000;

impl Users {
    pub(super) fn new(room: Arc<AtomicUsize>) -> Self {
        Self {
            meters: HashMap::default(),
            rest: Meter::default(),
            heard: Vec::new(),
            swept: Timestamp::default(),
            room,
        }
    }

    /// The user's meter, brought up to this minute.
    pub(super) fn meter(&mut self, user: u64, now: Timestamp) -> (Seat, &mut Meter) {
        let seat = if self.meters.contains_key(&user) || self.make_room(now) { Seat::Own(user) } else { Seat::Shared };
        let meter = self.at(seat);
        meter.roll(now);
        (seat, meter)
    }

    /// The meter of a seat.
    pub(super) fn at(&mut self, seat: Seat) -> &mut Meter {
        match seat {
            Seat::Own(user) => self.meters.entry(user).or_default(),
            Seat::Shared => &mut self.rest,
        }
    }

    /// Takes a place for a new user, if there is one or one can be freed.
    fn make_room(&mut self, now: Timestamp) -> bool {
        let take = |room: &AtomicUsize| {
            room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        };
        if take(&self.room) {
            return true;
        }
        // A client that invents users must not have all of them looked through at each request.
        now.as_micros() - self.swept.as_micros() >= SWEEP_MICROS && self.sweep(now) > 0 && take(&self.room)
    }

    /// Forgets users of whom nothing counts any more. Returns how many.
    pub(super) fn sweep(&mut self, now: Timestamp) -> usize {
        self.swept = now;
        let before = self.meters.len();
        self.meters.retain(|_, meter| {
            meter.roll(now);
            !meter.is_idle()
        });
        let gone = before - self.meters.len();
        self.room.fetch_add(gone, Ordering::Relaxed);
        gone
    }

    /// What others tell, instead of what they told before.
    pub(super) fn hear(&mut self, told: &HashMap<u64, Use>, now: Timestamp) {
        for user in std::mem::take(&mut self.heard) {
            if let Some(meter) = self.meters.get_mut(&user) {
                meter.hear(Use::default());
            }
        }
        for (user, used) in told {
            let (seat, meter) = self.meter(*user, now);
            if seat != Seat::Shared {
                meter.hear(*used);
                self.heard.push(*user);
            }
        }
    }

    /// Users who have used at least a tenth of one of their limits here, and how much.
    pub(super) fn here(&mut self, limits: &RateLimits, now: Timestamp) -> Vec<(u64, Use)> {
        let of = |(user, meter): (&u64, &mut Meter)| {
            meter.roll(now);
            let here = meter.here();
            (here.share(limits) >= 100).then_some((*user, here))
        };
        self.meters.iter_mut().filter_map(of).collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.meters.len()
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        self.room.fetch_add(self.meters.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    #[test]
    fn invented_users_share_one_meter_when_there_is_no_room_and_make_room_when_they_are_gone() {
        let room = Arc::new(AtomicUsize::new(10));
        let mut users = Users::new(Arc::clone(&room));
        for user in 0..1_000 {
            let (seat, meter) = users.meter(user, at(1_000));
            assert_eq!(seat, if user < 10 { Seat::Own(user) } else { Seat::Shared });
            meter.take(5);
        }
        assert_eq!((users.len(), users.at(Seat::Shared).here().requests[0]), (10, 990));
        // Those under way keep their place however long they take.
        for user in 1..10 {
            users.at(Seat::Own(user)).settle(16, 5, 5);
        }
        assert_eq!(users.meter(5_000, at(1_200)).0, Seat::Own(5_000));
        assert_eq!((users.len(), room.load(Ordering::Relaxed)), (2, 8));
        drop(users);
        assert_eq!(room.load(Ordering::Relaxed), 10);
    }

    #[test]
    fn a_user_has_the_number_that_the_standard_gives_it() {
        assert_eq!(id_of(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(id_of("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(id_of("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn what_others_told_is_replaced_by_what_they_tell_next() {
        let mut users = Users::new(Arc::new(AtomicUsize::new(10)));
        let used = Use { requests: [3, 0], tokens: [0, 0], under_way: 1 };
        users.hear(&HashMap::from([(1, used), (2, used)]), at(0));
        users.hear(&HashMap::from([(2, used)]), at(0));
        assert!(users.at(Seat::Own(1)).is_idle() && !users.at(Seat::Own(2)).is_idle());
        let limits = RateLimits { requests_per_minute: 4, ..RateLimits::default() };
        assert!(users.at(Seat::Own(2)).check(&limits, 0, at(0)).is_ok());
        users.at(Seat::Own(2)).take(0);
        assert!(users.at(Seat::Own(2)).check(&limits, 0, at(0)).is_err());
        assert_eq!(users.here(&limits, at(0)).len(), 1, "only what was used here is told");
    }
}
