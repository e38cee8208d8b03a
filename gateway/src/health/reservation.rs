//! The share of a target's slots that is kept for conversations whose prompts it has cached (R29). Pure.
//!
//! A newcomer can go anywhere and pays for reading its prompt once wherever it goes; a conversation that loses its place
//! pays for all of it again. So newcomers leave some room, the more the fuller the target is and the better its limit is
//! known.

use std::collections::VecDeque;
use std::time::Duration;

/// Kept from the beginning, and always.
const SHARE_MIN: f64 = 0.10;
/// Kept at most, with all confidence under full load.
const SHARE_MAX: f64 = 0.35;
/// Until then nothing is known of a target.
const ANSWERS_MIN: u32 = 100;
/// Load from which more than the least is kept, and from which all of it is.
const LOAD: (f64, f64) = (0.5, 0.8);
/// After this long without a 429 a limit is trusted as far as time can tell.
const QUIET: Duration = Duration::from_secs(24 * 3600);
/// What the confidence is made of: good answers, quiet, a steady limit.
const WEIGHTS: (f64, f64, f64) = (0.4, 0.3, 0.3);
/// Limits that are looked at.
const LIMITS: usize = 20;
/// How much of the success rate each answer makes.
const ANSWER_WEIGHT: f64 = 0.02;

/// What a target has shown so far.
#[derive(Clone, Debug)]
pub(super) struct Record {
    answers: u32,
    success_rate: f64,
    limits: VecDeque<u32>,
}

impl Default for Record {
    fn default() -> Self {
        Self { answers: 0, success_rate: 1.0, limits: VecDeque::new() }
    }
}

impl Record {
    pub(super) fn answer(&mut self, is_good: bool) {
        self.answers = self.answers.saturating_add(1);
        let now = if is_good { 1.0 } else { 0.0 };
        self.success_rate += (now - self.success_rate) * ANSWER_WEIGHT;
    }

    /// A limit that was learned.
    pub(super) fn limit(&mut self, limit: u32) {
        if self.limits.len() == LIMITS {
            self.limits.pop_front();
        }
        self.limits.push_back(limit);
    }

    /// 1 for limits that are all alike, 0 for those that differ by as much as they are.
    fn steadiness(&self) -> f64 {
        let count = self.limits.len() as f64;
        let mean = self.limits.iter().copied().map(f64::from).sum::<f64>() / count;
        let variance = self.limits.iter().map(|limit| (f64::from(*limit) - mean).powi(2)).sum::<f64>() / count;
        if self.limits.len() < 2 { 1.0 } else { (1.0 - variance.sqrt() / mean).clamp(0.0, 1.0) }
    }
}

/// The share that newcomers leave, of a target under this load (1: full) whose last 429 is so long ago.
pub(super) fn reserved_share(record: &Record, load: f64, since_limited: Option<Duration>) -> f64 {
    if record.answers < ANSWERS_MIN {
        return SHARE_MIN;
    }
    let quiet = since_limited.map_or(1.0, |since| (since.as_secs_f64() / QUIET.as_secs_f64()).min(1.0));
    let (answers, time, limits) = WEIGHTS;
    let confidence = answers * record.success_rate + time * quiet + limits * record.steadiness();
    let fullness = ((load - LOAD.0) / (LOAD.1 - LOAD.0)).clamp(0.0, 1.0);
    SHARE_MIN + (SHARE_MAX - SHARE_MIN) * confidence * fullness
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(good: usize, bad: usize, limits: &[u32]) -> Record {
        let mut record = Record::default();
        (0..good).for_each(|_| record.answer(true));
        (0..bad).for_each(|_| record.answer(false));
        limits.iter().for_each(|limit| record.limit(*limit));
        record
    }

    fn percent(record: &Record, load: f64, since_limited: Option<Duration>) -> f64 {
        (reserved_share(record, load, since_limited) * 1000.0).round() / 10.0
    }

    #[test]
    fn a_tenth_is_kept_of_what_nobody_knows_or_uses() {
        assert_eq!(percent(&record(99, 0, &[]), 1.0, None), 10.0, "too few answers");
        assert_eq!(percent(&record(100, 0, &[]), 0.5, None), 10.0, "half empty");
    }

    #[test]
    fn more_is_kept_the_fuller_it_is_and_the_better_its_limit_is_known() {
        let known = record(100, 0, &[20, 20]);
        assert_eq!(percent(&known, 0.65, None), 22.5);
        assert_eq!((percent(&known, 0.8, None), percent(&known, 1.0, None)), (35.0, 35.0));
        assert_eq!(percent(&known, 1.0, Some(Duration::ZERO)), 27.5, "a 429 just now");
        assert_eq!(percent(&known, 1.0, Some(QUIET / 2)), 31.3);
        // A mean of 20, a deviation of 10.
        assert_eq!(percent(&record(100, 0, &[10, 30]), 1.0, None), 31.3);
        assert!(percent(&record(100, 500, &[]), 1.0, None) < 25.1, "nothing but failures");
    }

    #[test]
    fn it_is_never_less_than_a_tenth_nor_more_than_a_third_and_a_bit() {
        for record in [record(0, 1000, &[3, 200, 3, 200]), record(1000, 0, &[7; 40]), record(100, 100, &[1, 1000])] {
            assert!(record.limits.len() <= LIMITS);
            for load in [0.0, 0.3, 0.6, 0.9, 1.0, 2.0] {
                let share = reserved_share(&record, load, Some(Duration::from_secs(5)));
                assert!((SHARE_MIN..=SHARE_MAX).contains(&share), "{share}");
            }
        }
    }
}
