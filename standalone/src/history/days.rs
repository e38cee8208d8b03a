//! How many requests a day has, and in which pieces they are inserted. Pure.

use schemas::time::Timestamp;

const DAY_MICROS: i64 = 86_400_000_000;
/// Rows of one insert: one block, and no more than fits into a little memory with its sums.
const ROWS_MAX: u64 = 250_000;
/// What each day of a week has beside the others, from Thursday, the first day of 1970.
const OF_WEEKDAYS: [u64; 7] = [100, 92, 48, 42, 90, 100, 104];
/// Use grows by this much a day, in parts of ten thousand.
const GROWTH: u64 = 80;

/// Requests that are inserted at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Number of the first request.
    pub(super) first: u64,
    /// How many.
    pub(super) count: u64,
    /// Days since 1970.
    pub(super) day: u32,
    /// Number of the first request of the day.
    pub(super) first_of_day: u64,
    /// How many the day has.
    pub(super) rows_of_day: u64,
}

impl Chunk {
    pub(super) fn day_start(&self) -> Timestamp {
        Timestamp::from_micros(i64::from(self.day) * DAY_MICROS)
    }
}

/// All chunks of `days` days before the day of `until`, oldest first. Together they have exactly `rows` requests.
pub(super) fn chunks(rows: u64, days: u32, until: Timestamp) -> Vec<Chunk> {
    let end = u32::try_from(until.as_micros().div_euclid(DAY_MICROS)).unwrap_or(0);
    let first_day = end.saturating_sub(days);
    let weight = |day: u32| {
        let of_weekday = OF_WEEKDAYS.get((day % 7) as usize).copied().unwrap_or(1);
        of_weekday * (10_000 + GROWTH * u64::from(day - first_day))
    };
    let total: u64 = (first_day..end).map(weight).sum();
    let mut chunks = Vec::new();
    let (mut seen, mut first) = (0, 0);
    for day in first_day..end {
        seen += weight(day);
        // Rounded down for the sum so far, so that nothing is lost between the days.
        let next = u128::from(rows) * u128::from(seen) / u128::from(total.max(1));
        let next = u64::try_from(next).unwrap_or(rows);
        let (first_of_day, rows_of_day) = (first, next - first);
        while first < next {
            let count = ROWS_MAX.min(next - first);
            chunks.push(Chunk { first, count, day, first_of_day, rows_of_day });
            first += count;
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_in_one_chunk_of_one_day() {
        let until: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        for (rows, days) in [(1, 1), (10, 30), (3_333_333, 7), (100_000_000, 45)] {
            let chunks = chunks(rows, days, until);
            assert_eq!(chunks.iter().map(|chunk| chunk.count).sum::<u64>(), rows);
            let mut next = 0;
            for chunk in &chunks {
                assert_eq!(chunk.first, next);
                assert!(chunk.count > 0 && chunk.count <= ROWS_MAX);
                assert!(
                    chunk.first_of_day <= chunk.first && next + chunk.count <= chunk.first_of_day + chunk.rows_of_day
                );
                next += chunk.count;
            }
            let last = chunks.last().unwrap();
            assert_eq!(last.day_start().to_string(), "2026-11-20T00:00:00.000000Z");
        }
        let busy = |day: &str| {
            let day: Timestamp = day.parse().unwrap();
            chunks(1_000_000, 30, until).iter().find(|chunk| chunk.day_start() == day).unwrap().rows_of_day
        };
        assert!(busy("2026-11-14T00:00:00Z") * 2 < busy("2026-11-13T00:00:00Z") * 3 / 2, "a Saturday and its Friday");
    }
}
