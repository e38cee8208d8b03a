//! What was found, as rows of `seals` and `backfills`.

use clickhouse::{Client, Row};
use schemas::rollups::Family;
use schemas::time::Timestamp;
use serde::Serialize;

use super::Error;
use super::days::Due;
use super::fresh::{Found, within};
use crate::columns::Block;
use crate::metrics::SealVerdict;
use crate::record::Shared;
use crate::rows::TableRow;
use crate::write::Insert;

/// One row of `seals`.
#[derive(Debug, Row, Serialize)]
pub(crate) struct SealRow {
    family: &'static str,
    /// Days since 1970.
    day: u16,
    checked_at: i64,
    /// Seconds since 1970.
    closed_until: u32,
    fingerprint: u64,
    verdict: &'static str,
    differing_hours: Vec<u32>,
    counted_before: u64,
    counted: u64,
    recorder: String,
}

impl TableRow for SealRow {
    const TABLE: &'static str = "seals";
}

/// One row of `backfills`.
#[derive(Debug, Row, Serialize)]
pub(crate) struct BackfillRow {
    family: &'static str,
    completed_at: i64,
    recorder: String,
}

impl TableRow for BackfillRow {
    const TABLE: &'static str = "backfills";
}

/// Notes a check of a day.
pub(super) async fn checked(
    shared: &Shared,
    family: Family,
    due: Due,
    checked_at: Timestamp,
    (verdict, found): (SealVerdict, Found),
) -> Result<(), Error> {
    // `DateTime` ends in 2106, and so does this.
    let seconds = |time: i64| u32::try_from(time).unwrap_or(u32::MAX);
    let row = SealRow {
        family: family.as_str(),
        day: u16::try_from(due.day.start() / 86_400).unwrap_or(u16::MAX),
        checked_at: checked_at.as_micros(),
        closed_until: seconds(due.closed_until),
        fingerprint: due.fingerprint,
        verdict: verdict.as_str(),
        differing_hours: found.differing_hours.into_iter().map(seconds).collect(),
        counted_before: found.counted_before,
        counted: found.counted,
        recorder: shared.owner.clone(),
    };
    let token = format!("seal:{}:{}:{}:{}", row.family, row.day, row.checked_at, row.recorder);
    within(shared.writer.inserter().insert(&token, &Block::of(&[row]))).await
}

/// Whether a family's rollups hold what was recorded before their views were made.
pub(super) async fn is_backfilled(client: &Client, family: Family) -> Result<bool, Error> {
    let sql = format!("SELECT count() FROM backfills WHERE family = '{}'", family.as_str());
    Ok(within(client.query_raw(&sql).fetch_one::<u64>()).await? > 0)
}

/// Notes that they do.
pub(super) async fn backfilled(shared: &Shared, family: Family) -> Result<(), Error> {
    let completed_at = Timestamp::now().as_micros();
    let row = BackfillRow { family: family.as_str(), completed_at, recorder: shared.owner.clone() };
    let token = format!("backfill:{}:{}", row.family, row.completed_at);
    within(shared.writer.inserter().insert(&token, &Block::of(&[row]))).await?;
    tracing::info!(family = family.as_str(), "the rollups hold everything that is recorded");
    Ok(())
}
