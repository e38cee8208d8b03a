//! What an error of ClickHouse means for the rows, and how long to wait before the next try. Pure.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use clickhouse::error::Error;

/// What to do with the rows of a failed insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The outcome is unknown or the fault is not the rows': the same rows again under the same token.
    Again,
    /// ClickHouse will never take these rows as they are: find the guilty ones.
    Refused(String),
}

/// Codes by which ClickHouse refuses a value. Only those that no network fault, overload or wrong deployment can cause:
/// a fault of the table must hold the rows back, not send them all to the dead letters.
const REFUSALS: [u32; 7] = [
    69,  // ARGUMENT_OUT_OF_BOUND
    128, // TOO_LARGE_ARRAY_SIZE
    131, // TOO_LARGE_STRING_SIZE
    321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
    349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
    407, // DECIMAL_OVERFLOW
    469, // VIOLATED_CONSTRAINT
];

/// Judges an error.
pub fn classify(error: &Error) -> Verdict {
    match error {
        Error::BadResponse(text) if code_of(text).is_some_and(|code| REFUSALS.contains(&code)) => {
            Verdict::Refused(text.chars().take(500).collect())
        }
        _ => Verdict::Again,
    }
}

/// The code in `Code: 53. DB::Exception: ...`.
pub(crate) fn code_of(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Growing waits with jitter, so that many partitions do not come back in one moment.
#[derive(Clone, Debug)]
pub struct Backoff {
    tries: u32,
    first: Duration,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { tries: 0, first: Duration::from_millis(100), longest: Duration::from_secs(5) }
    }
}

impl Backoff {
    /// The next wait: half of it fixed, half of it random.
    pub fn next_wait(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.tries.min(16)).min(self.longest);
        self.tries = self.tries.saturating_add(1);
        // Every RandomState has keys of its own.
        let random = RandomState::new().build_hasher().finish();
        let half_ms = u64::try_from(full.as_millis() / 2).unwrap_or(u64::MAX).max(1);
        full / 2 + Duration::from_millis(random % half_ms)
    }

    /// How many waits there were.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Starts anew after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Verdict {
        classify(&Error::BadResponse(text.to_owned()))
    }

    #[test]
    fn only_a_refused_value_is_held_against_the_rows() {
        let refused =
            "Code: 469. DB::Exception: Constraint `c` for table weir.requests is violated. (VIOLATED_CONSTRAINT)";
        assert_eq!(answer(refused), Verdict::Refused(refused.to_owned()));
        for text in [
            "Code: 252. DB::Exception: Too many parts (3000). (TOO_MANY_PARTS)",
            "Code: 60. DB::Exception: Table weir.requests does not exist. (UNKNOWN_TABLE)",
            "Code: 117. DB::Exception: Type of 'seq' must be Int8, not UInt64. (INCORRECT_DATA)",
            "Code: 4690. DB::Exception: some other code",
            "502 Bad Gateway",
            "",
        ] {
            assert_eq!(answer(text), Verdict::Again, "{text}");
        }
        assert_eq!(classify(&Error::TimedOut), Verdict::Again);
    }

    #[test]
    fn waits_grow_to_their_bound_and_are_never_zero() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..20).map(|_| backoff.next_wait()).collect();
        assert!(waits.iter().all(|wait| *wait >= Duration::from_millis(50) && *wait <= Duration::from_secs(5)));
        assert!(waits.last().is_some_and(|wait| *wait >= Duration::from_millis(2500)));
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
