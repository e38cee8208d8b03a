//! Which days are to be checked: those that have closed hours and whose tables have changed since they were found equal.

use clickhouse::{Client, Row};
use schemas::rollups::{Family, Grain};
use schemas::time::Timestamp;
use serde::Deserialize;

use super::Error;
use super::fresh::within;

const DAY_SECONDS: i64 = 86_400;
const HOUR_SECONDS: i64 = 3_600;
/// An hour is closed when this much has passed since its end: what comes later is late, and has its day checked again.
pub const CLOSED_AFTER_SECONDS: i64 = 300;

/// What the tables of a family hold of each day, and what was last found there. Merging parts changes neither the highest
/// block nor the mutation, so that a day is looked at again only if rows came or a rollup was replaced.
const CHANGED: &str = "\
SELECT
    toUInt32(parts.partition_id) AS day,
    parts.fingerprint AS fingerprint,
    CAST(ifNull(seals.verdict, '') = 'equal', 'Bool') AS is_equal,
    ifNull(seals.fingerprint, 0) AS sealed_fingerprint,
    ifNull(seals.closed_until, 0) AS sealed_until
FROM (
    SELECT
        partition_id,
        cityHash64(arraySort(groupArray((table, last_block, mutation)))) AS fingerprint,
        has(groupArray(table), '{rows}') AS has_rows
    FROM (
        SELECT table, partition_id, max(max_block_number) AS last_block, max(data_version) AS mutation
        FROM system.parts
        WHERE database = '{database}' AND active AND table IN ({tables})
        GROUP BY table, partition_id
    )
    GROUP BY partition_id
    HAVING has_rows
) AS parts
LEFT JOIN (
    SELECT
        toNullable(toYYYYMMDD(seals.day)) AS day,
        toNullable(argMax(seals.verdict, seals.checked_at)) AS verdict,
        toNullable(argMax(seals.fingerprint, seals.checked_at)) AS fingerprint,
        toNullable(toInt64(toUnixTimestamp(argMax(seals.closed_until, seals.checked_at)))) AS closed_until
    FROM seals
    WHERE seals.family = '{family}'
    GROUP BY seals.day
) AS seals ON seals.day = toUInt32(parts.partition_id)
ORDER BY day DESC";

/// A UTC day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day {
    number: u32,
    /// Seconds since 1970.
    start: i64,
}

/// A day as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Row, Deserialize)]
pub(super) struct Changed {
    pub(super) day: u32,
    pub(super) fingerprint: u64,
    pub(super) is_equal: bool,
    pub(super) sealed_fingerprint: u64,
    pub(super) sealed_until: i64,
}

/// A day to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) day: Day,
    /// Seconds since 1970: the end of its closed hours.
    pub(super) closed_until: i64,
    pub(super) fingerprint: u64,
}

impl Day {
    /// From `yyyymmdd`; `None` if there is no such day.
    pub(super) fn from_number(number: u32) -> Option<Self> {
        let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
        let start: Timestamp = format!("{year:04}-{month:02}-{day:02}T00:00:00Z").parse().ok()?;
        Some(Self { number, start: start.as_micros().div_euclid(1_000_000) })
    }

    /// `yyyymmdd`, which is also the partition's id.
    pub(super) const fn number(self) -> u32 {
        self.number
    }

    /// Its first second.
    pub(super) const fn start(self) -> i64 {
        self.start
    }

    /// The first second after it.
    pub(super) const fn end(self) -> i64 {
        self.start + DAY_SECONDS
    }
}

/// The end of the hours that are closed by now.
fn closed_until(now: Timestamp) -> i64 {
    let seconds = now.as_micros().div_euclid(1_000_000) - CLOSED_AFTER_SECONDS;
    seconds - seconds.rem_euclid(HOUR_SECONDS)
}

/// The days to check, latest first. Of a day that is still open its newly closed hours are a reason, and rows are none:
/// they come all the time.
pub(super) fn due(changed: Vec<Changed>, now: Timestamp) -> Vec<Due> {
    let closed = closed_until(now);
    let due = changed.into_iter().filter_map(|stored| {
        let day = Day::from_number(stored.day)?;
        let closed_until = closed.min(day.end());
        let is_open = closed_until < day.end();
        let same = stored.sealed_until == closed_until && (is_open || stored.sealed_fingerprint == stored.fingerprint);
        let is_due = closed_until > day.start() && !(stored.is_equal && same);
        is_due.then_some(Due { day, closed_until, fingerprint: stored.fingerprint })
    });
    due.collect()
}

/// Of the days to check those that are closed as a whole.
pub(super) fn closed(due: &[Due]) -> impl Iterator<Item = Day> {
    due.iter().filter(|due| due.closed_until == due.day.end()).map(|due| due.day)
}

/// The days that are not closed as a whole.
pub(super) fn open(changed: Vec<Changed>, now: Timestamp) -> Vec<Day> {
    let days = changed.into_iter().filter_map(|stored| Day::from_number(stored.day));
    days.filter(|day| day.end() > closed_until(now)).collect()
}

/// All days that a family has rows of.
pub(super) async fn changed(client: &Client, database: &str, family: Family) -> Result<Vec<Changed>, Error> {
    let sources = family.sources().iter().map(|source| source.table.to_owned());
    let tables: Vec<String> = sources.chain(Grain::ALL.map(|grain| family.table(grain))).collect();
    let tables: Vec<String> = tables.iter().map(|table| format!("'{table}'")).collect();
    let rows = family.sources().first().map_or("", |source| source.table);
    let sql = CHANGED
        .replace("{database}", database)
        .replace("{tables}", &tables.join(", "))
        .replace("{rows}", rows)
        .replace("{family}", family.as_str());
    within(client.query_raw(&sql).fetch_all()).await
}
