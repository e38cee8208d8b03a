//! What is still to be done until the rollups of closed days are what their rows add up to, as far as ClickHouse tells: for
//! those who compare the two.

use clickhouse::Client;
use schemas::config::Config;
use schemas::rollups::Family;
use schemas::time::Timestamp;

use super::days::{self, closed, due};
use super::fresh::within;
use super::{Error, note};

/// What there is to wait for. In words it says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Pending {
    /// Days from before the rollups are not all filled in.
    #[error(
        "the rollups {0} do not hold all of the older days yet: wait until the recorder of partition 0, or weir \
         simulate-history, has filled them in and each of them has its row in the table backfills"
    )]
    Backfill(String),
    /// Days are being made anew from their rows.
    #[error(
        "a day of the rollups is being made anew ({0}): wait until the recorder has put it in its place and these tables are gone"
    )]
    Making(String),
    /// Days have changed since they were found equal to their rows, or were not found so yet.
    #[error(
        "the rollups {family} of {days} closed days, {first} among them, have not been found equal to their rows since these \
         changed: wait until the recorder of partition 0 has checked them, which it does every [recorder] seal_every, and the \
         latest verdict of each in the table seals is equal"
    )]
    Days {
        /// Whose.
        family: &'static str,
        /// How many.
        days: usize,
        /// The latest, `yyyymmdd`.
        first: u32,
    },
}

/// What is to be waited for, if anything. A database that no recorder has ever sealed is one that nobody checks: of it only
/// the backfill is asked.
///
/// # Errors
/// When ClickHouse cannot be asked.
pub async fn pending(config: &Config) -> Result<Option<Pending>, Error> {
    let client = crate::clickhouse_client(config).map_err(|error| Error::Password(error.to_string()))?;
    let database = &config.clickhouse.database;
    let mut lacking = Vec::new();
    for family in Family::ALL {
        if !note::is_backfilled(&client, family).await? {
            lacking.push(family.as_str());
        }
    }
    if !lacking.is_empty() {
        return Ok(Some(Pending::Backfill(lacking.join(", "))));
    }
    let making = making(&client, database).await?;
    if !making.is_empty() {
        return Ok(Some(Pending::Making(making.join(", "))));
    }
    unsealed(&client, database).await
}

/// The tables of jobs that are under way; what was left behind by killed ones is older than any job can be.
async fn making(client: &Client, database: &str) -> Result<Vec<String>, Error> {
    let sql = format!(
        "SELECT name FROM system.tables WHERE database = '{database}' AND match(name, '_1[mhd]_seal_[0-9a-f]{{32}}$') \
         AND metadata_modification_time >= now() - INTERVAL 1 DAY ORDER BY name"
    );
    within(client.query_raw(&sql).fetch_all()).await
}

async fn unsealed(client: &Client, database: &str) -> Result<Option<Pending>, Error> {
    let seals: u64 = within(client.query_raw("SELECT count() FROM seals").fetch_one()).await?;
    if seals == 0 {
        return Ok(None);
    }
    for family in Family::ALL {
        let due = due(days::changed(client, database, family).await?, Timestamp::now());
        let days: Vec<u32> = closed(&due).map(days::Day::number).collect();
        if let Some(&first) = days.first() {
            return Ok(Some(Pending::Days { family: family.as_str(), days: days.len(), first }));
        }
    }
    Ok(None)
}
