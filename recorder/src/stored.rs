//! What ClickHouse holds, asked of itself: the check that it is not ahead of the progress in KV. After a loss of KV or of
//! its last writes it would be, and rows would be written twice.

use std::time::Duration;

use clickhouse::{Client, Row};
use schemas::time::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::protocol::Stored;

/// How far back rows are looked for when nothing is known of a partition. `opened` and `bodies` forget after 30 days, so whatever is
/// older counts as stored up to its highest number; no ledger keeps events that long.
const HORIZON: Duration = Duration::from_secs(20 * 86_400);
/// Clocks of recorders may differ by this much.
const CLOCK_MARGIN: Duration = Duration::from_secs(3_600);

/// Since when a progress may have missed rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It was last written then.
    Progress(Timestamp),
    /// There is none.
    Ever,
}

#[derive(Row, Deserialize)]
struct Run {
    #[serde(with = "clickhouse::serde::uuid")]
    epoch: Uuid,
    first: u64,
    last: u64,
}

/// Runs of event numbers of a partition whose rows were written since then, and, with [`Since::Ever`], everything older.
pub async fn find(
    client: &Client,
    partition: u16,
    since: Since,
    now: Timestamp,
) -> Result<Vec<Stored>, clickhouse::error::Error> {
    let start = match since {
        Since::Progress(updated_at) => minus(updated_at, CLOCK_MARGIN),
        Since::Ever => minus(now, HORIZON),
    };
    let mut runs = fetch(client, RECENT, partition, start).await?;
    if since == Since::Ever {
        runs.extend(fetch(client, OLDER, partition, start).await?);
    }
    Ok(runs.into_iter().map(|Run { epoch, first, last }| Stored { epoch, first, last }).collect())
}

async fn fetch(
    client: &Client,
    sql: &str,
    partition: u16,
    start: Timestamp,
) -> Result<Vec<Run>, clickhouse::error::Error> {
    let rows = |comparison: &str| {
        let bound = format!(
            "`partition` = {partition} AND `recorded_at` {comparison} fromUnixTimestamp64Micro({})",
            start.as_micros()
        );
        let table = |name: &str| format!("SELECT `epoch`, `seq` FROM {name} WHERE {bound}");
        let letters = format!(
            "SELECT assumeNotNull(e), assumeNotNull(s) FROM (SELECT `epoch` AS e, `seq` AS s FROM dead_letters \
             WHERE {bound} AND `epoch` IS NOT NULL AND `seq` IS NOT NULL)"
        );
        [table("requests"), table("candidates"), table("opened"), table("bodies"), letters].join(" UNION ALL ")
    };
    let sql = sql.replace("{recent}", &rows(">=")).replace("{older}", &rows("<"));
    client.query_raw(&sql).fetch_all().await
}

/// Numbers without a hole between them share their distance to their rank.
const RECENT: &str = "
SELECT `epoch`, min(`seq`) AS first, max(`seq`) AS last
FROM (
    SELECT `epoch`, `seq`, toInt64(`seq`) - toInt64(row_number() OVER (PARTITION BY `epoch` ORDER BY `seq`)) AS run
    FROM (SELECT DISTINCT `epoch`, `seq` FROM ({recent}))
)
GROUP BY `epoch`, run
ORDER BY `epoch`, first";

const OLDER: &str = "
SELECT `epoch`, toUInt64(1) AS first, max(`seq`) AS last
FROM ({older})
GROUP BY `epoch`";

fn minus(time: Timestamp, span: Duration) -> Timestamp {
    Timestamp::from_micros(time.as_micros() - i64::try_from(span.as_micros()).unwrap_or_default())
}
