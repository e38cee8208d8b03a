//! What ClickHouse holds, asked of itself: the check that it is not ahead of the progress in KV. After a loss of KV or of
//! its last writes it would be, and rows would be written twice.

use std::collections::BTreeSet;
use std::time::Duration;

use clickhouse::{Client, Row};
use schemas::time::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::protocol::{self, Numbers, Since, Stored};

/// How far back rows are looked for when nothing is known of a partition. `opened` and `bodies` forget after 30 days, so whatever is
/// older counts as stored up to its highest number; no ledger keeps events that long.
const HORIZON: Duration = Duration::from_secs(20 * 86_400);
/// Clocks of recorders may differ by this much.
const CLOCK_MARGIN: Duration = Duration::from_secs(3_600);
/// The clock of a gateway may have been set by this much since its ledger was created.
const DAY_MARGIN: Duration = Duration::from_secs(86_400);

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
    match since {
        Since::Progress(updated_at) => {
            let written = written(">=", minus(updated_at, CLOCK_MARGIN));
            fetch(client, RECENT, partition, (&written, &written)).await
        }
        Since::Ever => ever(client, partition, ("1", "1"), now).await,
    }
}

/// Runs of event numbers of some ledgers, whenever they were written.
pub async fn find_ledgers(
    client: &Client,
    partition: u16,
    ledgers: &BTreeSet<Uuid>,
    now: Timestamp,
) -> Result<Vec<Stored>, clickhouse::error::Error> {
    let names: Vec<String> = ledgers.iter().map(|epoch| format!("'{epoch}'")).collect();
    let theirs = format!("`epoch` IN ({})", names.join(", "));
    of_ledgers(client, partition, (theirs, ledgers.iter().copied()), now).await
}

/// The same for some events, given as the first and the last number of each ledger's.
pub async fn find_numbers(
    client: &Client,
    partition: u16,
    numbers: &Numbers,
    now: Timestamp,
) -> Result<Vec<Stored>, clickhouse::error::Error> {
    let bounds = numbers.iter().map(|(epoch, seqs)| {
        let first = seqs.ranges().next().map_or(0, |range| range.0);
        format!("(`epoch` = '{epoch}' AND `seq` BETWEEN {first} AND {})", seqs.highest())
    });
    let theirs = format!("({})", bounds.collect::<Vec<_>>().join(" OR "));
    of_ledgers(client, partition, (theirs, numbers.keys().copied()), now).await
}

async fn of_ledgers(
    client: &Client,
    partition: u16,
    (theirs, ledgers): (String, impl Iterator<Item = Uuid>),
    now: Timestamp,
) -> Result<Vec<Stored>, clickhouse::error::Error> {
    // No request is older than the ledger that it was written to: days before that are not read.
    let created: Option<Vec<Timestamp>> = ledgers.map(protocol::created).collect();
    let oldest = created.and_then(|created| created.into_iter().min()).map(|oldest| minus(oldest, DAY_MARGIN));
    let days = |column: &str| match oldest {
        Some(oldest) => format!("{theirs} AND {column} >= fromUnixTimestamp64Micro({})", oldest.as_micros()),
        None => theirs.clone(),
    };
    ever(client, partition, (&days("`received_at`"), &days("`published_at`")), now).await
}

/// Everything that was ever written where the conditions hold, that of events' tables and that of dead letters.
async fn ever(
    client: &Client,
    partition: u16,
    (events, letters): (&str, &str),
    now: Timestamp,
) -> Result<Vec<Stored>, clickhouse::error::Error> {
    let mut runs = Vec::new();
    for (sql, comparison) in [(RECENT, ">="), (OLDER, "<")] {
        let written = written(comparison, minus(now, HORIZON));
        let conditions = (format!("{written} AND {events}"), format!("{written} AND {letters}"));
        runs.extend(fetch(client, sql, partition, (&conditions.0, &conditions.1)).await?);
    }
    Ok(runs)
}

fn written(comparison: &str, time: Timestamp) -> String {
    format!("`recorded_at` {comparison} fromUnixTimestamp64Micro({})", time.as_micros())
}

async fn fetch(
    client: &Client,
    sql: &str,
    partition: u16,
    (events, letters): (&str, &str),
) -> Result<Vec<Stored>, clickhouse::error::Error> {
    let table = |name: &str| format!("SELECT `epoch`, `seq` FROM {name} WHERE `partition` = {partition} AND {events}");
    let letters = format!(
        "SELECT assumeNotNull(e), assumeNotNull(s) FROM (SELECT `epoch` AS e, `seq` AS s FROM dead_letters \
         WHERE `partition` = {partition} AND {letters} AND `epoch` IS NOT NULL AND `seq` IS NOT NULL)"
    );
    let rows = [table("requests"), table("candidates"), table("opened"), table("bodies"), letters].join(" UNION ALL ");
    let runs: Vec<Run> = client.query_raw(&sql.replace("{rows}", &rows)).fetch_all().await?;
    Ok(runs.into_iter().map(|Run { epoch, first, last }| Stored { epoch, first, last }).collect())
}

/// Numbers without a hole between them share their distance to their rank.
const RECENT: &str = "
SELECT `epoch`, min(`seq`) AS first, max(`seq`) AS last
FROM (
    SELECT `epoch`, `seq`, toInt64(`seq`) - toInt64(row_number() OVER (PARTITION BY `epoch` ORDER BY `seq`)) AS run
    FROM (SELECT DISTINCT `epoch`, `seq` FROM ({rows}))
)
GROUP BY `epoch`, run
ORDER BY `epoch`, first";

const OLDER: &str = "
SELECT `epoch`, toUInt64(1) AS first, max(`seq`) AS last
FROM ({rows})
GROUP BY `epoch`";

fn minus(time: Timestamp, span: Duration) -> Timestamp {
    Timestamp::from_micros(time.as_micros() - i64::try_from(span.as_micros()).unwrap_or_default())
}
