//! NATS and ClickHouse may go away under load: no client notices, and no request is lost or counted twice.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tests::answers::Tokens;
use tests::eventually;
use tests::load::{self, Load, Served};
use tests::stack::{Plan, Stack};
use uuid::Uuid;

/// How long an outage lasts. Longer than every timeout and backoff step that it has to cross.
const OUTAGE: Duration = Duration::from_secs(12);

/// Enough to keep every part busy on two cores that other tests need too.
const CLIENTS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn nats_stopped_and_started_again() {
    let mut stack = Stack::start(load::answer).await;
    let load = busy(&stack).await;
    stack.broker.stop().await;
    still_serving(&load).await;
    stack.broker.restart().await;
    accounted(&stack, finish(load).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_killed_and_started_again() {
    let mut stack = Stack::start(load::answer).await;
    let load = busy(&stack).await;
    for _ in 0..3 {
        stack.broker.kill();
        busy_again(&load, 20).await;
        stack.broker.restart().await;
        busy_again(&load, 20).await;
    }
    accounted(&stack, finish(load).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clickhouse_stopped_and_started_again() {
    let mut stack = Stack::planned(Plan { own_engine: true, ..Plan::default() }, load::answer).await;
    let load = busy(&stack).await;
    stack.engine.as_mut().unwrap().stop().await;
    still_serving(&load).await;
    stack.engine.as_mut().unwrap().restart().await;
    accounted(&stack, finish(load).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clickhouse_killed_and_started_again() {
    let mut stack = Stack::planned(Plan { own_engine: true, ..Plan::default() }, load::answer).await;
    let load = busy(&stack).await;
    for _ in 0..3 {
        stack.engine.as_mut().unwrap().kill();
        busy_again(&load, 20).await;
        stack.engine.as_mut().unwrap().restart().await;
        busy_again(&load, 20).await;
    }
    accounted(&stack, finish(load).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_killed_and_started_again() {
    let mut stack = Stack::planned(Plan { own_engine: true, ..Plan::default() }, load::answer).await;
    let load = busy(&stack).await;
    stack.broker.kill();
    stack.engine.as_mut().unwrap().kill();
    busy_again(&load, 50).await;
    stack.broker.restart().await;
    busy_again(&load, 50).await;
    stack.engine.as_mut().unwrap().restart().await;
    accounted(&stack, finish(load).await).await;
}

/// NATS has acknowledged events that no recorder could store yet, and then loses everything: they come again from the
/// gateway's ledger.
#[tokio::test(flavor = "multi_thread")]
async fn nats_wiped_while_clickhouse_is_away() {
    let mut stack = Stack::planned(Plan { own_engine: true, ..Plan::default() }, load::answer).await;
    let load = busy(&stack).await;
    stack.engine.as_mut().unwrap().kill();
    busy_again(&load, 200).await;
    stack.broker.kill();
    stack.broker.wipe();
    busy_again(&load, 50).await;
    stack.broker.restart().await;
    busy_again(&load, 50).await;
    stack.engine.as_mut().unwrap().restart().await;
    accounted(&stack, finish(load).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recorders_ended_wherever_they_are() {
    let mut stack = Stack::start(load::answer).await;
    let load = busy(&stack).await;
    for round in 0..12 {
        busy_again(&load, 7 + round).await;
        stack.replace_recorder().await;
        // It waits for the lease of the one before: let it get to work before it is ended in its turn.
        let rows = recorded(&stack).await;
        eventually("the new recorder records", tests::stack::ARRIVAL, || async {
            let more = recorded(&stack).await - rows;
            if more > 0 { Ok(()) } else { Err("nothing yet".to_owned()) }
        })
        .await;
    }
    accounted(&stack, finish(load).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_starts_before_nats_serves_and_accounts() {
    let mut stack = Stack::without_gateway(Plan::default(), load::answer).await;
    stack.broker.kill();
    stack.start_gateway().await;
    let load = Load::start(&stack.caller(), CLIENTS);
    busy_again(&load, 50).await;
    stack.broker.restart().await;
    accounted(&stack, finish(load).await).await;
}

async fn recorded(stack: &Stack) -> i64 {
    let rows: Vec<serde_json::Value> = stack.database.rows("SELECT count() AS rows FROM {db}.requests").await;
    rows[0]["rows"].as_i64().unwrap()
}

/// A load that has been going on long enough for rows to arrive.
pub(super) async fn busy(stack: &Stack) -> Load {
    let load = Load::start(&stack.caller(), CLIENTS);
    busy_again(&load, 50).await;
    load
}

/// Waits until that many more requests were begun.
pub(super) async fn busy_again(load: &Load, more: u64) {
    let before = load.begun();
    eventually("clients are being served", Duration::from_secs(60), || async move {
        let begun = load.begun() - before;
        if begun >= more { Ok(()) } else { Err(format!("{begun} requests begun")) }
    })
    .await;
}

/// Lets the outage last, and sees that clients are served in it from the beginning to the end.
async fn still_serving(load: &Load) {
    for _ in 0..4 {
        let before = load.begun();
        tokio::time::sleep(OUTAGE / 4).await;
        assert!(load.begun() > before + CLIENTS, "clients wait while accounting is down");
    }
}

/// Ends the load after the outage; a client that noticed anything has failed the test by now.
pub(super) async fn finish(load: Load) -> BTreeMap<Uuid, Served> {
    busy_again(&load, 50).await;
    let served = load.finish().await;
    let mut waits: Vec<Duration> = served.values().map(|served| served.head_after).collect();
    waits.sort();
    let (median, worst) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    println!("{} requests; to the head of the answer: median {median:?}, worst {worst:?}", served.len());
    served
}

/// Everything that was served is in ClickHouse once, with the tokens that the provider reported.
pub(super) async fn accounted(stack: &Stack, served: BTreeMap<Uuid, Served>) {
    let rows = stack.all_rows(served.len()).await;
    for (id, served) in &served {
        let row = rows.get(id).unwrap_or_else(|| panic!("no row for {id}"));
        let Tokens { input, cache_read, output, .. } = served.tokens;
        let recorded = (row.outcome.as_str(), row.input_tokens, row.output_tokens);
        assert_eq!(recorded, ("completed", Some(input + cache_read), Some(output)), "{row:?}");
    }
    #[derive(Deserialize, PartialEq, Debug)]
    struct Count {
        rows: u64,
        requests: u64,
    }
    let expected = Count { rows: served.len() as u64, requests: served.len() as u64 };
    for table in ["requests", "opened", "candidates"] {
        let sql = format!("SELECT count() AS rows, uniqExact(request_id) AS requests FROM {{db}}.{table}");
        eventually(&format!("{table} has every request once"), tests::stack::ARRIVAL, || async {
            let count: Vec<Count> = stack.database.try_rows(&sql).await?;
            if count[0] == expected { Ok(()) } else { Err(format!("{count:?}, expected {expected:?}")) }
        })
        .await;
    }
    let dead: Vec<serde_json::Value> = stack.database.rows("SELECT * FROM {db}.dead_letters").await;
    assert!(dead.is_empty(), "{dead:?}");
}
