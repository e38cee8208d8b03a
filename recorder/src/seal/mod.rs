//! Seals the rollups: every closed hour is made anew from the rows and compared with what the views have summed up.
//!
//! The views are right as long as every row comes once. A repeated insert is dropped by its token, in the rollups too;
//! but a token is forgotten one day, and a row that comes again after that is one row in `FINAL` and two in a sum. So a
//! day whose tables have changed is computed from the rows once more, and replaced where it differs. Both the result
//! and the replacement are the same however often they are made, so that a job that was killed is simply done again.
//!
//! One recorder does it: the one that records partition 0.

mod days;
mod fresh;
mod note;
mod pending;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use self::note::{BackfillRow, SealRow};

pub use self::days::CLOSED_AFTER_SECONDS;
pub use self::pending::{Pending, pending};

use std::time::{Duration, Instant};

use schemas::rollups::{Family, Grain};
use schemas::time::Timestamp;
use tokio_util::sync::CancellationToken;

use self::fresh::{Found, Fresh};
use crate::health::Health;
use crate::metrics::{SealVerdict, Stage};
use crate::record::Shared;
use crate::retry::Backoff;
use crate::telemetry::with_causes;

/// What is being written is waited for this long before a day is replaced. While ClickHouse takes no rows there is
/// nothing to gain by waiting longer.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two comparisons of an open day: an insert and its views are through by then.
const SETTLING: Duration = Duration::from_secs(2);

/// Recording waits this long for today's rollups to be filled in. What stands in the way, a damaged part for example, must
/// not keep events from being recorded: the passes go on trying.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a pass broke off; the next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ClickHouse did not do something.
    #[error("ClickHouse: {0}")]
    ClickHouse(#[from] clickhouse::error::Error),
    /// It said nothing.
    #[error("ClickHouse did not answer within {0:?}")]
    Late(Duration),
    /// Its disk is nearly full.
    #[error(transparent)]
    Full(#[from] crate::room::Full),
    /// An insert took too long.
    #[error("an insert is under way for more than {LOCK_TIMEOUT:?}")]
    Busy,
    /// The password cannot be read.
    #[error("clickhouse.password: {0}")]
    Password(String),
}

/// The job.
pub struct Seal {
    shared: Shared,
    health: Health,
    /// Whether the open days have been filled in.
    is_prepared: bool,
}

impl Seal {
    /// A job that has not begun.
    pub fn new(shared: Shared, health: Health) -> Self {
        Self { shared, health, is_prepared: false }
    }

    /// Before anything is recorded: fills in the days that are not closed yet, if there are rows from before the views.
    /// Days that are closed are filled in by the job itself, and so are the open ones if this takes too long. `false` when
    /// shutdown came first.
    pub async fn prepare(&mut self, shutdown: &CancellationToken) -> bool {
        let (mut backoff, begun) = (Backoff::default(), Instant::now());
        while begun.elapsed() < PREPARE_TIMEOUT {
            let prepared = tokio::select! {
                prepared = self.fill_in_open_days() => prepared,
                () = shutdown.cancelled() => return false,
            };
            let Err(error) = prepared else {
                self.is_prepared = true;
                return true;
            };
            self.failed(&error);
            tracing::warn!(error = with_causes(&error), "the rollups of today cannot be filled in yet: trying again");
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = shutdown.cancelled() => return false,
            }
        }
        tracing::error!("the rollups of today are not filled in: recording begins without, reports read the rows");
        true
    }

    /// Looks over what has closed or changed, pass by pass, until shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let every = self.shared.config.recorder.seal_every.0;
        let mut failing = false;
        loop {
            if self.health.is_recording(0) {
                let started = Instant::now();
                let passed = tokio::select! {
                    passed = self.pass() => passed,
                    () = shutdown.cancelled() => return,
                };
                match &passed {
                    Ok(()) => self.shared.metrics.sealed(Timestamp::now()),
                    Err(error) => {
                        self.failed(error);
                        if !failing {
                            tracing::warn!(
                                error = with_causes(error),
                                "the rollups could not all be checked: trying again"
                            );
                        }
                    }
                }
                failing = passed.is_err();
                self.shared.metrics.stage_took(Stage::Seal, started.elapsed());
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    fn failed(&self, error: &Error) {
        if let Error::ClickHouse(error) = error {
            self.shared.suspicion.of(error);
        }
        self.shared.metrics.failed(Stage::Seal);
    }

    async fn fill_in_open_days(&self) -> Result<(), Error> {
        for family in Family::ALL {
            if note::is_backfilled(&self.shared.clickhouse, family).await? {
                continue;
            }
            let days = changed(&self.shared, family).await?;
            if days.is_empty() {
                // There are views and no rows: whatever comes goes through the views.
                note::backfilled(&self.shared, family).await?;
                continue;
            }
            for day in days::open(days, Timestamp::now()) {
                let fresh = Fresh::make(&self.shared, family, day, day.end()).await?;
                let replaced = fresh.replace().await;
                fresh.remove().await?;
                replaced?;
                tracing::info!(family = family.as_str(), day = day.number(), "filled in the rollups of a day");
            }
        }
        Ok(())
    }

    async fn pass(&mut self) -> Result<(), Error> {
        fresh::remove_left_behind(&self.shared).await?;
        for family in Family::ALL {
            let now = Timestamp::now();
            for due in days::due(changed(&self.shared, family).await?, now) {
                self.check(family, due, now).await?;
            }
        }
        if !self.is_prepared {
            let writing = self.shared.writing.write();
            let _nothing_is_written = tokio::time::timeout(LOCK_TIMEOUT, writing).await.map_err(|_| Error::Busy)?;
            self.fill_in_open_days().await?;
            self.is_prepared = true;
        }
        for family in Family::ALL {
            if !note::is_backfilled(&self.shared.clickhouse, family).await? {
                note::backfilled(&self.shared, family).await?;
            }
        }
        Ok(())
    }

    async fn check(&self, family: Family, due: days::Due, checked_at: Timestamp) -> Result<(), Error> {
        let fresh = Fresh::make(&self.shared, family, due.day, due.closed_until).await?;
        let checked = self.compare_and_replace(&fresh, due).await;
        fresh.remove().await?;
        let found = checked?;
        let verdict = if found.differing_hours.is_empty() { SealVerdict::Equal } else { SealVerdict::Replaced };
        let (family_name, day, hours) = (family.as_str(), due.day.number(), found.differing_hours.len());
        if found.is_of_upgrade {
            tracing::info!(
                family = family_name,
                day,
                hours,
                "counted in the rollups of a day what an upgrade has added"
            );
        } else if verdict == SealVerdict::Replaced {
            tracing::warn!(
                family = family_name,
                day,
                hours,
                counted_before = found.counted_before,
                counted = found.counted,
                "the rollups of a day differed from its rows and were made anew"
            );
        }
        // Whoever watches differences wants to know of answers that were wrong.
        let told = if found.is_of_upgrade { (SealVerdict::Equal, 0) } else { (verdict, hours as u64) };
        self.shared.metrics.day_sealed(told.0, told.1);
        note::checked(&self.shared, family, due, checked_at, (verdict, found)).await
    }

    async fn compare_and_replace(&self, fresh: &Fresh<'_>, due: days::Due) -> Result<fresh::Found, Error> {
        let found = fresh.compare().await?;
        if found.differing_hours.is_empty() {
            return Ok(found);
        }
        // Rows that came between the computation and the replacement would be lost to the rollups until the next pass.
        let writing = self.shared.writing.write();
        let _nothing_is_written = tokio::time::timeout(LOCK_TIMEOUT, writing).await.map_err(|_| Error::Busy)?;
        if due.closed_until < due.day.end() {
            fresh.add_open_hours(due.closed_until).await?;
        }
        fresh.replace().await?;
        Ok(found)
    }
}

async fn changed(shared: &Shared, family: Family) -> Result<Vec<days::Changed>, Error> {
    days::changed(&shared.clickhouse, &shared.config.clickhouse.database, family).await
}

/// Whether a partition has rows of open days from before an incarnation, which is named by the second in which it began:
/// then it is not the first one, and NATS has lost data.
pub(crate) async fn has_rows_from_before(shared: &Shared, incarnation: (u16, u32)) -> Result<bool, Error> {
    let (partition, began) = incarnation;
    let sql = format!(
        "SELECT count() FROM (SELECT 1 FROM requests WHERE received_at > now() - INTERVAL 25 HOUR \
         AND partition = {partition} AND recorded_at < toDateTime({began}) LIMIT 1)"
    );
    let count: u64 = fresh::within(shared.clickhouse.query_raw(&sql).fetch_one()).await?;
    Ok(count > 0)
}

/// Makes the rollups of days that are not closed anew where they differ from their rows, and tells whether any did: after rows
/// were lost, recorded a second time, or recognised without their views. This recorder writes nothing meanwhile. What
/// others have just written may be in the rows and not in the rollups yet, so that only a difference that is found twice is
/// one; what they write while a day is replaced is found by the next call, or when the hour closes.
pub(crate) async fn remake_open_days(shared: &Shared) -> Result<bool, Error> {
    let mut remade = false;
    for family in Family::ALL {
        for day in days::open(changed(shared, family).await?, Timestamp::now()) {
            let Some(found) = remake(shared, (family, day), None).await? else { continue };
            tokio::time::sleep(SETTLING).await;
            remade |= remake(shared, (family, day), Some(found)).await?.is_some();
        }
    }
    Ok(remade)
}

/// Compares an open day, and makes it anew where the difference is the expected one. Returns the difference.
async fn remake(shared: &Shared, day: (Family, days::Day), expected: Option<Found>) -> Result<Option<Found>, Error> {
    let (family, day) = day;
    let writing = shared.writing.write();
    let _nothing_is_written = tokio::time::timeout(LOCK_TIMEOUT, writing).await.map_err(|_| Error::Busy)?;
    let fresh = Fresh::make(shared, family, day, day.end()).await?;
    let remade = async {
        let found = fresh.compare().await?;
        if found.differing_hours.is_empty() {
            return Ok(None);
        }
        if expected.is_some_and(|expected| expected.is_same_difference(&found)) {
            fresh.replace().await?;
            tracing::warn!(family = family.as_str(), day = day.number(), "made the rollups of an open day anew");
        }
        Ok::<_, Error>(Some(found))
    };
    let remade = remade.await;
    fresh.remove().await?;
    remade
}

/// The table of a family's grain while a day of it is being made.
fn unfinished(family: Family, grain: Grain, job: &str) -> String {
    format!("{}_seal_{job}", family.table(grain))
}
