//! Which ledgers have ended: their gateways have been gone for a day, and told before how far the ledgers reach.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::heads::LedgerHead;
use schemas::progress::SeqSet;
use schemas::subjects::LEDGERS_BUCKET;
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::protocol;
use crate::record::Shared;

/// How often it is looked at.
pub const PERIOD: Duration = Duration::from_secs(3_600);
/// Most ledgers asked for at a time; the others' turn comes.
const ASKED_MAX: usize = 500;
/// Longest time for asking.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The last number in a partition of each ledger that has ended. Whether everything of it is recorded is another question.
/// None when it cannot be told: then none is forgotten.
pub async fn finished(shared: &Shared, partition: u16, epochs: &BTreeMap<Uuid, SeqSet>) -> BTreeMap<Uuid, u64> {
    let asked = tokio::time::timeout(TIMEOUT, ask(shared, partition, epochs)).await;
    asked.unwrap_or_else(|_| Err("no answer in time".to_owned())).unwrap_or_else(|error| {
        tracing::debug!(error, "it cannot be told which ledgers have ended");
        BTreeMap::new()
    })
}

async fn ask(shared: &Shared, partition: u16, epochs: &BTreeMap<Uuid, SeqSet>) -> Result<BTreeMap<Uuid, u64>, String> {
    let mut finished = BTreeMap::new();
    let old = |epoch: &Uuid| protocol::created(*epoch).is_none_or(is_long_ago);
    let whole = epochs.iter().filter(|(epoch, set)| set.ahead.is_empty() && old(epoch));
    let whole: Vec<Uuid> = whole.map(|(epoch, _)| *epoch).take(ASKED_MAX).collect();
    if whole.is_empty() {
        return Ok(finished);
    }
    let bucket = shared.jetstream.get_key_value(LEDGERS_BUCKET).await.map_err(|error| error.to_string())?;
    for epoch in whole {
        let told = bucket.get(epoch.to_string()).await.map_err(|error| error.to_string())?;
        let head = told.and_then(|told| serde_json::from_slice::<LedgerHead>(&told).ok());
        let ended = head.filter(|head| is_long_ago(head.told_at));
        finished.extend(ended.and_then(|head| Some((epoch, *head.last.get(&partition)?))));
    }
    Ok(finished)
}

fn is_long_ago(time: Timestamp) -> bool {
    Timestamp::now().millis_since(time) > protocol::RETIRE_AFTER.as_millis() as f64
}
