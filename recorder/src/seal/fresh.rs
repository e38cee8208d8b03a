//! The rollups of one day, made anew from the rows in tables of their own, compared with the ones in use, and put in
//! their place.

use std::time::Duration;

use clickhouse::Row;
use schemas::rollups::{Family, Grain, Rows};
use serde::Deserialize;

use super::days::Day;
use super::{Error, unfinished};
use crate::record::Shared;
use crate::room;

/// Longest wait for one statement: the rows of a day are read at once.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Sent with every insert: a table of a job has no tokens to remember, and rows of one key are to be one.
const SETTINGS: [(&str, &str); 5] = [
    ("async_insert", "0"),
    ("insert_deduplicate", "0"),
    ("optimize_on_insert", "1"),
    ("max_partitions_per_insert_block", "1"),
    ("do_not_merge_across_partitions_select_final", "1"),
];

/// A day of a family, made anew.
pub(super) struct Fresh<'a> {
    shared: &'a Shared,
    family: Family,
    day: Day,
    closed_until: i64,
    job: String,
}

/// What a comparison brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Seconds since 1970, in order.
    pub(super) differing_hours: Vec<i64>,
    /// Requests or candidates that the hourly rollup held.
    pub(super) counted_before: u64,
    /// How many there are.
    pub(super) counted: u64,
    /// Nothing but [`Family::later`] differs: rows from before these columns hold what an upgrade could tell of them.
    pub(super) is_of_upgrade: bool,
}

impl Found {
    /// Whether both lack or have too much of the same, however many came to both sides in between.
    pub(super) fn is_same_difference(&self, other: &Self) -> bool {
        let lacks = |found: &Self| i128::from(found.counted) - i128::from(found.counted_before);
        self.differing_hours == other.differing_hours && lacks(self) == lacks(other)
    }
}

/// What an hour of a table holds, in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Row, Deserialize)]
pub(super) struct Digest {
    pub(super) hour: i64,
    pub(super) digest: u64,
    pub(super) counted: u64,
}

impl<'a> Fresh<'a> {
    /// Sums up the rows of a day that were received before `closed_until`.
    pub(super) async fn make(shared: &'a Shared, family: Family, day: Day, closed_until: i64) -> Result<Self, Error> {
        let job = uuid::Uuid::now_v7().simple().to_string();
        let fresh = Self { shared, family, day, closed_until, job };
        match fresh.fill().await {
            Ok(()) => Ok(fresh),
            Err(error) => {
                fresh.remove().await?;
                Err(error)
            }
        }
    }

    async fn fill(&self) -> Result<(), Error> {
        within(room::check(&self.shared.clickhouse)).await??;
        for grain in Grain::ALL {
            let (table, like) = (self.table(grain), self.family.table(grain));
            self.execute(&format!("CREATE TABLE {table} AS {like}")).await?;
        }
        // Was there room all the time? A table without its definition must not be there when ClickHouse starts again.
        within(room::check(&self.shared.clickhouse)).await??;
        self.sum_up(self.day.start(), self.closed_until).await
    }

    /// Adds the hours that are not closed, so that the day is whole.
    pub(super) async fn add_open_hours(&self, from: i64) -> Result<(), Error> {
        self.sum_up(from, self.day.end()).await
    }

    /// Compares the closed hours with what is in use.
    pub(super) async fn compare(&self) -> Result<Found, Error> {
        let mut found = self.compare_except(&[]).await?;
        let later = self.family.later();
        if !found.differing_hours.is_empty() && !later.is_empty() {
            found.is_of_upgrade = self.compare_except(later).await?.differing_hours.is_empty();
        }
        Ok(found)
    }

    async fn compare_except(&self, except: &[&str]) -> Result<Found, Error> {
        let mut found = Found::default();
        for grain in Grain::ALL {
            // Of an open day the one bucket of the day is not closed.
            if grain == Grain::Day && self.closed_until < self.day.end() {
                continue;
            }
            let used = self.digests(&self.family.table(grain), grain, except).await?;
            let fresh = self.digests(&self.table(grain), grain, except).await?;
            found.differing_hours.extend(differing(&used, &fresh));
            if grain == Grain::Hour {
                found.counted_before = used.iter().map(|digest| digest.counted).sum();
                found.counted = fresh.iter().map(|digest| digest.counted).sum();
            }
        }
        found.differing_hours.sort_unstable();
        found.differing_hours.dedup();
        Ok(found)
    }

    /// Puts the day in the place of the one in use, table by table.
    pub(super) async fn replace(&self) -> Result<(), Error> {
        for grain in Grain::ALL {
            let (used, fresh) = (self.family.table(grain), self.table(grain));
            let partition = self.day.number();
            self.execute(&format!("ALTER TABLE {used} REPLACE PARTITION ID '{partition}' FROM {fresh}")).await?;
        }
        Ok(())
    }

    /// Removes the tables of the job.
    pub(super) async fn remove(self) -> Result<(), Error> {
        for grain in Grain::ALL {
            self.execute(&format!("DROP TABLE IF EXISTS {}", self.table(grain))).await?;
        }
        Ok(())
    }

    fn table(&self, grain: Grain) -> String {
        unfinished(self.family, grain, &self.job)
    }

    /// Rows into minutes, and minutes into hours and days: the engine adds up what has one key.
    async fn sum_up(&self, from: i64, until: i64) -> Result<(), Error> {
        let condition = format!(
            "r.received_at >= toDateTime64({from}, 6, 'UTC') AND r.received_at < toDateTime64({until}, 6, 'UTC')"
        );
        let minutes = self.table(Grain::Minute);
        for source in self.family.sources() {
            let rows = Some(Rows { condition: &condition });
            let select = source.rollup(self.family, Grain::Minute, source.table, rows);
            self.execute(&format!("INSERT INTO {minutes} ({}) {select}", source.columns(self.family))).await?;
        }
        for grain in [Grain::Hour, Grain::Day] {
            let bucket = grain.bucket("bucket");
            self.execute(&format!(
                "INSERT INTO {} SELECT * REPLACE ({bucket} AS bucket) FROM {minutes} \
                 WHERE bucket >= toDateTime({from}, 'UTC') AND bucket < toDateTime({until}, 'UTC')",
                self.table(grain)
            ))
            .await?;
        }
        Ok(())
    }

    async fn digests(&self, table: &str, grain: Grain, except: &[&str]) -> Result<Vec<Digest>, Error> {
        let quantiles = self.family.quantiles();
        let values: Vec<String> = quantiles.iter().map(|state| format!("finalizeAggregation({state})")).collect();
        let (from, until) = (self.day.start(), if grain == Grain::Day { self.day.end() } else { self.closed_until });
        let sql = format!(
            "SELECT toInt64(toUnixTimestamp(toStartOfHour(bucket))) AS hour, \
                    groupBitXor(cityHash64(toString(tuple(* EXCEPT ({}), {})))) AS digest, \
                    {} AS counted \
             FROM {table} FINAL \
             WHERE bucket >= toDateTime({from}, 'UTC') AND bucket < toDateTime({until}, 'UTC') \
             GROUP BY hour ORDER BY hour",
            [quantiles, except].concat().join(", "),
            values.join(", "),
            self.family.counted(),
        );
        within(self.shared.clickhouse.query_raw(&sql).fetch_all()).await
    }

    async fn execute(&self, sql: &str) -> Result<(), Error> {
        execute(self.shared, sql).await
    }
}

/// The hours of which two tables do not hold the same.
pub(super) fn differing(used: &[Digest], fresh: &[Digest]) -> Vec<i64> {
    let lacking = |ours: &[Digest], theirs: &[Digest]| -> Vec<i64> {
        ours.iter().filter(|digest| !theirs.contains(digest)).map(|digest| digest.hour).collect()
    };
    [lacking(used, fresh), lacking(fresh, used)].concat()
}

/// Removes what jobs have left behind that were killed: their tables are older than any job can be.
pub(super) async fn remove_left_behind(shared: &Shared) -> Result<(), Error> {
    let database = &shared.config.clickhouse.database;
    let sql = format!(
        "SELECT name FROM system.tables WHERE database = '{database}' AND match(name, '_1[mhd]_seal_[0-9a-f]{{32}}$') \
         AND metadata_modification_time < now() - INTERVAL 1 DAY"
    );
    let tables: Vec<String> = within(shared.clickhouse.query_raw(&sql).fetch_all()).await?;
    for table in tables {
        execute(shared, &format!("DROP TABLE IF EXISTS {table}")).await?;
    }
    Ok(())
}

async fn execute(shared: &Shared, sql: &str) -> Result<(), Error> {
    let mut query = shared.clickhouse.query_raw(sql);
    for (name, value) in SETTINGS {
        query = query.with_setting(name, value);
    }
    within(query.execute()).await
}

/// A statement's answer, if it comes in time.
pub(super) async fn within<T>(future: impl Future<Output = Result<T, clickhouse::error::Error>>) -> Result<T, Error> {
    Ok(tokio::time::timeout(TIMEOUT, future).await.map_err(|_| Error::Late(TIMEOUT))??)
}
