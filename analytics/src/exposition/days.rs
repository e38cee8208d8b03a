//! The totals, day by day: only the days whose data has changed are read again, so that a scrape costs what today costs.

use std::collections::BTreeMap;

use schemas::outcome::Outcome;

use super::series::{Adds, Metric, Part, Series, TOKEN_BOUNDS};
use crate::clickhouse::{ClickHouse, Error};
use crate::queries::{self, CandidateTotals, Names, Partition, RequestTotals, TokenTotals};

/// Days read by one statement, so that the first reading of a long history stays within a statement's limits.
const DAYS_AT_ONCE: usize = 8;

/// What one day of one table adds.
struct Day {
    fingerprint: u64,
    adds: Vec<(Series, i128)>,
    last_recorded_at: i64,
}

/// What all days add, by table and partition.
pub(super) struct Days {
    days: BTreeMap<(String, String), Day>,
    sums: BTreeMap<Series, i128>,
}

impl Default for Days {
    /// The series whose labels are known beforehand begin at 0: a counter that appears with its first event has no rate.
    fn default() -> Self {
        let zero = |metric, labels| (Series { metric, labels, part: Part::Value }, 0);
        let mut sums = BTreeMap::from([
            zero(Metric::UnpricedRequests, Vec::new()),
            zero(Metric::UnknownUsageRequests, Vec::new()),
        ]);
        sums.extend(Outcome::ALL.iter().map(|outcome| zero(Metric::Requests, vec![("outcome", outcome.to_string())])));
        Self { days: BTreeMap::new(), sums }
    }
}

impl Days {
    /// Reads what has changed since the last time.
    pub(super) async fn update(&mut self, clickhouse: &ClickHouse, names: &Names) -> Result<(), Error> {
        // The fingerprints come first: what arrives while days are being read changes them again.
        let partitions = queries::partitions(clickhouse).await?;
        self.forget_missing(&partitions);
        let changed: Vec<Partition> = partitions.into_iter().filter(|partition| self.has_changed(partition)).collect();
        let (requests, candidates): (Vec<_>, Vec<_>) =
            changed.into_iter().partition(|partition| partition.table == "requests");
        for batch in requests.chunks(DAYS_AT_ONCE) {
            let ids = ids(batch);
            let (totals, tokens) = tokio::try_join!(
                queries::request_totals(clickhouse, &ids, names),
                queries::token_totals(clickhouse, &ids, names, &TOKEN_BOUNDS),
            )?;
            self.replace(batch, |day| of_requests(day, &totals, &tokens));
        }
        for batch in candidates.chunks(DAYS_AT_ONCE) {
            let totals = queries::candidate_totals(clickhouse, &ids(batch)).await?;
            self.replace(batch, |day| of_candidates(day, &totals));
        }
        Ok(())
    }

    /// The sums of all days.
    pub(super) fn sums(&self) -> &BTreeMap<Series, i128> {
        &self.sums
    }

    /// When the newest row was recorded, in microseconds; `None` without rows.
    pub(super) fn last_recorded_at(&self) -> Option<i64> {
        self.days.values().map(|day| day.last_recorded_at).max().filter(|micros| *micros > 0)
    }

    fn has_changed(&self, partition: &Partition) -> bool {
        self.days.get(&key(partition)).is_none_or(|day| day.fingerprint != partition.fingerprint)
    }

    fn forget_missing(&mut self, partitions: &[Partition]) {
        let present: std::collections::BTreeSet<_> = partitions.iter().map(key).collect();
        let missing: Vec<_> = self.days.keys().filter(|day| !present.contains(day)).cloned().collect();
        for day in missing {
            if let Some(day) = self.days.remove(&day) {
                self.add(&day.adds, -1);
            }
        }
    }

    fn replace(&mut self, batch: &[Partition], read: impl Fn(&Partition) -> Day) {
        for partition in batch {
            let day = read(partition);
            self.add(&day.adds, 1);
            if let Some(old) = self.days.insert(key(partition), day) {
                self.add(&old.adds, -1);
            }
        }
    }

    fn add(&mut self, adds: &[(Series, i128)], sign: i128) {
        for (series, value) in adds {
            *self.sums.entry(series.clone()).or_default() += sign * value;
        }
    }
}

fn key(partition: &Partition) -> (String, String) {
    (partition.table.clone(), partition.partition_id.clone())
}

fn ids(batch: &[Partition]) -> Vec<String> {
    batch.iter().map(|partition| partition.partition_id.clone()).collect()
}

fn of_requests(day: &Partition, totals: &[RequestTotals], tokens: &[TokenTotals]) -> Day {
    let totals = totals.iter().filter(|row| row.partition_id == day.partition_id);
    let tokens = tokens.iter().filter(|row| row.partition_id == day.partition_id);
    let last_recorded_at = totals.clone().map(|row| row.last_recorded_at).max().unwrap_or(0);
    let adds = totals.flat_map(Adds::adds).chain(tokens.flat_map(Adds::adds)).collect();
    Day { fingerprint: day.fingerprint, adds: merged(adds), last_recorded_at }
}

fn of_candidates(day: &Partition, totals: &[CandidateTotals]) -> Day {
    let adds = totals.iter().filter(|row| row.partition_id == day.partition_id).flat_map(Adds::adds).collect();
    Day { fingerprint: day.fingerprint, adds: merged(adds), last_recorded_at: 0 }
}

/// One entry per series.
fn merged(adds: Vec<(Series, i128)>) -> Vec<(Series, i128)> {
    let mut sums: BTreeMap<Series, i128> = BTreeMap::new();
    for (series, value) in adds {
        *sums.entry(series).or_default() += value;
    }
    sums.into_iter().collect()
}

#[cfg(test)]
impl Days {
    /// Takes over a day as if it had been read.
    pub(super) fn insert(&mut self, day: Partition, totals: &[RequestTotals], tokens: &[TokenTotals]) {
        self.replace(&[day], |day| of_requests(day, totals, tokens));
    }

    /// Forgets what is not among these.
    pub(super) fn keep(&mut self, partitions: &[Partition]) {
        self.forget_missing(partitions);
    }
}
