//! What was used within the last minute: this minute's count, and of the last one's the part that still counts. Pure.
//!
//! The minutes are those of the clock, so that gateways can add up what they count. Of the last minute as much counts as
//! of it lies within the last sixty seconds, as if its use had been even.

use std::time::Duration;

use schemas::time::Timestamp;

const MINUTE_MICROS: i64 = 60_000_000;

/// A count over the last minute, here and at the other gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Minutes {
    minute: i64,
    current: Count,
    previous: Count,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    here: u64,
    elsewhere: u64,
}

impl Count {
    fn all(self) -> u64 {
        self.here.saturating_add(self.elsewhere)
    }
}

/// The minute of a time, counted from 1970.
pub(super) fn minute_of(now: Timestamp) -> i64 {
    now.as_micros().div_euclid(MINUTE_MICROS)
}

impl Minutes {
    /// Takes the turn of the minute. A clock that was set back changes nothing until it has caught up.
    pub(super) fn roll(&mut self, minute: i64) {
        match minute.saturating_sub(self.minute) {
            ..=0 => return,
            1 => self.previous = std::mem::take(&mut self.current),
            2.. => (self.previous, self.current) = (Count::default(), Count::default()),
        }
        self.minute = minute;
    }

    /// What counts now.
    pub(super) fn used(&self, now: Timestamp) -> u64 {
        self.current.all().saturating_add(self.remembered(self.into(now)))
    }

    /// What of the last minute still counts so far into this one, rounded up.
    fn remembered(&self, into_micros: i64) -> u64 {
        if self.previous == Count::default() {
            return 0;
        }
        let (all, left) = (self.previous.all(), (MINUTE_MICROS - into_micros).unsigned_abs());
        let minute = MINUTE_MICROS.unsigned_abs();
        // A quarter of a trillion tokens fit; a division of 128 bits takes many times as long.
        all.checked_mul(left).map_or_else(
            || {
                let share = (u128::from(all) * u128::from(left)).div_ceil(u128::from(minute));
                u64::try_from(share).unwrap_or(u64::MAX)
            },
            |product| product.div_ceil(minute),
        )
    }

    fn into(&self, now: Timestamp) -> i64 {
        (now.as_micros() - self.minute.saturating_mul(MINUTE_MICROS)).clamp(0, MINUTE_MICROS)
    }

    /// Counts here.
    pub(super) fn add(&mut self, count: u64) {
        self.current.here = self.current.here.saturating_add(count);
    }

    /// Puts the truth in place of an estimate that was counted in `minute`. When that minute counts no longer, what
    /// exceeds the estimate counts now, and what falls short of it is as good as forgotten.
    pub(super) fn correct(&mut self, minute: i64, estimate: u64, truth: u64) {
        let cell = match self.minute.saturating_sub(minute) {
            ..=0 => &mut self.current.here,
            1 => &mut self.previous.here,
            2.. => return self.add(truth.saturating_sub(estimate)),
        };
        *cell = cell.saturating_sub(estimate).saturating_add(truth);
    }

    /// What was counted here: in this minute, and in the one before.
    pub(super) fn here(&self) -> [u64; 2] {
        [self.current.here, self.previous.here]
    }

    /// What was counted elsewhere, in the same order.
    pub(super) fn hear(&mut self, [current, previous]: [u64; 2]) {
        (self.current.elsewhere, self.previous.elsewhere) = (current, previous);
    }

    /// Whether nothing counts any more.
    pub(super) fn is_empty(&self) -> bool {
        (self.current.all(), self.previous.all()) == (0, 0)
    }

    /// How long until `count` more fit within `limit`, if nothing else is counted; `None`: they never do.
    pub(super) fn wait_for(&self, count: u64, limit: u64, now: Timestamp) -> Option<Duration> {
        let room = limit.checked_sub(count)?;
        let into = self.into(now);
        let wait = match room.checked_sub(self.current.all()) {
            // The last minute has to be forgotten far enough,
            Some(room) => forgotten_at(self.previous.all(), room) - into,
            // or this one, once it is the last.
            None => MINUTE_MICROS - into + forgotten_at(self.current.all(), room),
        };
        Some(Duration::from_micros(wait.max(0).unsigned_abs()))
    }

    /// How long until nothing counts any more.
    pub(super) fn empty_after(&self, now: Timestamp) -> Duration {
        let minutes = match (self.current.all(), self.previous.all()) {
            (0, 0) => return Duration::ZERO,
            (0, _) => 1,
            _ => 2,
        };
        Duration::from_micros((minutes * MINUTE_MICROS - self.into(now)).unsigned_abs())
    }
}

/// How far into a minute no more than `room` of the `count` of the one before is left.
fn forgotten_at(count: u64, room: u64) -> i64 {
    if count <= room {
        return 0;
    }
    // left / minute * count <= room
    let left = u128::from(MINUTE_MICROS.unsigned_abs()) * u128::from(room) / u128::from(count);
    MINUTE_MICROS - i64::try_from(left).unwrap_or(MINUTE_MICROS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(1_000 * MINUTE_MICROS + second * 1_000_000)
    }

    fn rolled(mut minutes: Minutes, now: Timestamp) -> Minutes {
        minutes.roll(minute_of(now));
        minutes
    }

    #[test]
    fn the_last_minute_fades_and_the_one_before_is_gone() {
        let mut minutes = rolled(Minutes::default(), at(0));
        minutes.add(60);
        for (second, used) in [(0, 60), (59, 60), (60, 60), (75, 45), (90, 30), (119, 1), (120, 0), (1_000, 0)] {
            assert_eq!(rolled(minutes, at(second)).used(at(second)), used, "{second}");
        }
        assert_eq!(minutes.used(at(-30)), 60, "a clock that was set back");
    }

    #[test]
    fn what_others_count_counts() {
        let mut minutes = rolled(Minutes::default(), at(0));
        minutes.add(1);
        minutes.hear([20, 60]);
        assert_eq!(minutes.used(at(30)), 51);
        assert_eq!(minutes.here(), [1, 0]);
        assert_eq!(rolled(minutes, at(60)).used(at(60)), 21);
    }

    #[test]
    fn the_truth_takes_the_place_of_an_estimate_in_its_own_minute() {
        let mut minutes = rolled(Minutes::default(), at(0));
        minutes.add(100);
        minutes.correct(1_000, 100, 30);
        assert_eq!(minutes.here(), [30, 0]);
        minutes.add(100);
        let mut next = rolled(minutes, at(61));
        next.correct(1_000, 100, 250);
        assert_eq!(next.here(), [0, 280]);
        let mut later = rolled(minutes, at(200));
        later.correct(1_000, 100, 30);
        assert_eq!(later.here(), [0, 0], "no credit for what counts no longer");
        later.correct(1_000, 100, 250);
        assert_eq!(later.here(), [150, 0]);
    }

    #[test]
    fn counts_of_any_size_fade_alike() {
        for count in [60, 1 << 38, 1 << 39, 1 << 60, u64::MAX / 60 * 60] {
            let mut minutes = rolled(Minutes::default(), at(0));
            minutes.add(count);
            assert_eq!(rolled(minutes, at(75)).used(at(75)), count / 4 * 3, "{count}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// After the wait that is told, and not before, what was refused fits.
        #[test]
        fn the_wait_that_is_told_is_enough_and_no_longer_than_needed(
            previous in 0_u64..1_000, current in 0_u64..1_000, second in 0_i64..60, count in 1_u64..100, limit in 1_u64..1_000
        ) {
            let mut minutes = rolled(Minutes::default(), at(second - 60));
            minutes.add(previous);
            minutes.roll(1_000);
            minutes.add(current);
            let now = at(second);
            match minutes.wait_for(count, limit, now) {
                None => prop_assert!(count > limit),
                Some(wait) => {
                    let then = Timestamp::from_micros(now.as_micros() + i64::try_from(wait.as_micros()).unwrap());
                    prop_assert!(rolled(minutes, then).used(then) + count <= limit);
                    if wait > Duration::from_micros(1) {
                        let before = Timestamp::from_micros(then.as_micros() - 1_000_000);
                        if before >= now {
                            prop_assert!(rolled(minutes, before).used(before) + count >= limit);
                        }
                        prop_assert!(minutes.used(now) + count > limit);
                    }
                }
            }
        }
    }
}
